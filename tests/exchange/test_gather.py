"""Files of other people: names, units and flaws are understood and told, or refused with an id."""

import json
import warnings
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from fabricgen.errors import FormatError, InputError
from fabricgen.exchange import read_drawn, read_plan, write_plan
from fabricgen.exchange.columns import (
    COLUMN_NAMES,
    alias_table,
    find,
    kind_of,
    layer_of,
    numbers,
    plain,
)

CRS = "EPSG:32635"
X, Y = 385_000.0, 6_672_000.0


def box(u0, v0, u1, v1):
    return shapely.box(X + u0, Y + v0, X + u1, Y + v1)


SITE = {"layer": "site", "id": "s", "geometry": box(0, 0, 100, 100)}


def house(**more):
    return {"layer": "buildings", "id": 1, "h": 9.0, "geometry": box(10, 10, 30, 30), **more}


@pytest.fixture
def read(tmp_path):
    """Reads rows as a plan, and what was remarked."""

    def run(*rows, crs=CRS, suffix=".parquet", to=None, first=True):
        every = [SITE, *rows] if first else rows
        table = gpd.GeoDataFrame(pd.DataFrame(every).astype({"id": str}), crs=crs)
        path = tmp_path / f"theirs{suffix}"
        table = table if to is None else table.to_crs(to)
        table.to_parquet(path) if suffix == ".parquet" else table.to_file(path)
        remarks = []
        return read_plan(path, on_remark=remarks.append), remarks

    return run


@pytest.mark.parametrize(
    ("header", "word", "unit"),
    [
        ("height_m", "height", "m"), ("Height (ft)", "height", "ft"), ("H [m]", "h", "m"),
        ("building:levels", "buildinglevels", ""), ("层数", "层数", ""), ("height_ft", "height", "ft"),
    ],
)  # fmt: skip
def test_a_name_is_read_without_its_signs_and_with_its_unit(header, word, unit):
    assert plain(header) == (word, unit)


@pytest.mark.parametrize("column", COLUMN_NAMES)
def test_every_other_name_finds_its_column_and_no_other(column):
    for name in COLUMN_NAMES[column]:
        assert find([name.upper()], column) == [(name.upper(), "")]
        others = [key for key in COLUMN_NAMES if key != column and find([name], key)]
        assert not others, name


def test_names_that_a_shapefile_cut_are_found():
    assert find(["building_l"], "floors", short=True) == [("building_l", "")]
    assert find(["building_l"], "floors") == []


def test_layers_and_kinds_have_other_names_too():
    assert [layer_of(w) for w in ("Footprints", "道路", "Tree", "xyz")] == [
        "buildings", "roads", "trees", None,
    ]  # fmt: skip
    assert [kind_of("roads", w) for w in ("residential", "local", "footway", "canal")] == [
        "local", "local", "path", None,
    ]  # fmt: skip
    assert kind_of("green", "灌木") == "shrub"


def test_numbers_have_units_in_the_header_or_beside_them():
    values = pd.Series(["12", "12 m", "40 ft", "39'", None, "tall"])
    read, odd = numbers(values, "height_m", "ft")
    assert read[:4] == pytest.approx([3.6576, 12, 12.192, 11.8872])
    assert np.isnan(read[4:]).all() and odd.tolist() == [False] * 5 + [True]
    assert numbers(pd.Series(["3-4"]), "floors")[0] == [4]


def test_heights_in_feet_and_floors_in_chinese_are_understood(read):
    plan, remarks = read(house(h=None, **{"Height (ft)": 30.0, "层数": 3}))
    assert plan.buildings["height_m"].tolist() == pytest.approx([9.144])
    assert plan.buildings["floors"].tolist() == [3]
    assert plan.buildings["footprint_m2"].tolist() == pytest.approx([400])
    assert remarks == []


def test_the_first_column_that_says_a_height_counts(read):
    rows = [house(height=12.0), house(id=2, h=5.0, geometry=box(40, 40, 50, 50))]
    assert read(*rows)[0].buildings["height_m"].tolist() == [12.0, 5.0]


def test_missing_heights_stay_unknown_and_are_told(read):
    plan, remarks = read(house(h=None), house(id=7, h=0, geometry=box(40, 40, 50, 50)))
    assert plan.buildings["height_m"].isna().all()
    assert remarks == [
        "theirs.parquet: buildings 7: height_m is 0, left unknown",
        "theirs.parquet: buildings 1, 7: neither height nor floors, left unknown",
    ]


def test_flaws_are_mended_and_told_by_id(read):
    high = shapely.force_3d(box(40, 40, 50, 50), 7.0)
    two = shapely.MultiPolygon([box(60, 10, 70, 20), box(75, 10, 85, 20)])
    bow = shapely.Polygon([(X + 60, Y + 60), (X + 70, Y + 70), (X + 70, Y + 60), (X + 60, Y + 70)])
    plan, remarks = read(
        house(),
        house(id="again"),
        house(id="z", geometry=high),
        house(id="m", geometry=two),
        house(id="e", geometry=shapely.Polygon()),
        house(id="dot", geometry=shapely.Polygon([(X + 50, Y + 90)] * 4)),
        house(id="x", geometry=bow),
        house(id="edge", geometry=box(90, 90, 110, 95)),
        house(id="out", geometry=box(120, 0, 130, 10)),
        house(id=1, geometry=box(40, 10, 50, 20)),
    )
    assert plan.buildings["id"].tolist() == ["1", "z", "m.1", "m.2", "x.1", "x.2", "edge", "1-2"]
    assert plan.buildings.area.sum() == pytest.approx(400 + 100 + 200 + 50 + 50 + 100)
    assert remarks == [
        f"theirs.parquet: buildings {what}"
        for what in (
            "e, dot: empty, left out", "z: Z and M dropped", "x: crossed itself, repaired",
            "m, x: in several parts, split", "again: drawn twice, left out",
            "1: same id again, numbered", "out: outside the site, left out",
            "edge: cut at the site's edge",
        )
    ]  # fmt: skip


def test_slivers_of_overlap_are_cut_and_larger_ones_refused(read):
    plan, remarks = read(house(), house(id=2, geometry=box(29.9, 10, 50, 30)))
    assert plan.buildings.area.tolist() == pytest.approx([400, 400])
    assert remarks == ["theirs.parquet: buildings 2: overlap cut out"]
    with pytest.raises(InputError, match="theirs.parquet: buildings 1: overlaps another building"):
        read(house(), house(id=2, geometry=box(20, 10, 50, 30)))


def test_green_is_what_is_seen_from_above(read):
    lawn = {"layer": "green", "id": "g", "kind": "meadow", "geometry": box(0, 50, 50, 100)}
    wood = {"layer": "绿地", "id": "t", "kind": "forest", "geometry": box(25, 50, 75, 100)}
    plan, remarks = read(house(), lawn, wood)
    assert plan.green["kind"].tolist() == ["grass", "tree"]
    assert plan.green.area.tolist() == pytest.approx([1250, 2500])
    assert remarks == ["theirs.parquet: green g: overlap cut out"]
    with pytest.raises(InputError, match="green g: kind is 'moor'; give grass, shrub, tree"):
        read(house(), {**lawn, "kind": "moor"})


def test_roads_of_a_map_get_kinds_and_widths(read):
    line = shapely.LineString([(X, Y + 50), (X + 100, Y + 50)])
    plan, remarks = read(
        house(), {"layer": "highway", "id": "r", "highway": "tertiary", "geometry": line}
    )
    assert plan.roads[["kind", "width_m"]].values.tolist() == [["secondary", 10.0]]
    assert remarks == ["theirs.parquet: roads r: no width, that of their kind taken"]


def test_degrees_feet_and_web_mercator_are_brought_to_true_meters(read):
    for to in ("EPSG:4326", "EPSG:3857"):
        plan, remarks = read(house(), to=to)
        assert plan.crs == CRS
        assert plan.buildings.area.tolist() == pytest.approx([400], rel=1e-6)
        assert f"theirs.parquet: site, buildings: brought from {to} to {CRS}" in remarks


def test_feet_of_a_state_plane_are_brought_to_meters(tmp_path):
    feet = shapely.box(985_000, 195_000, 985_300, 195_300)
    rows = [
        {"layer": "site", "geometry": feet},
        {"layer": "buildings", "h": 9, "geometry": feet.buffer(-90)},
    ]
    gpd.GeoDataFrame(rows, crs="EPSG:2263").to_parquet(tmp_path / "ny.parquet")
    plan = read_plan(tmp_path / "ny.parquet", on_remark=lambda _: None)
    assert plan.crs == "EPSG:32618"
    assert plan.site.area == pytest.approx((300 * 0.3048006) ** 2, rel=2e-3)  # the zone's scale


@pytest.mark.parametrize(
    ("crs", "shape", "says"),
    [
        (CRS, shapely.box(Y, X, Y + 9, X + 9), r"buildings 1: coordinates 6.672e\+06, 385004 have the wrong order of axes for EPSG:32635"),
        ("EPSG:4326", shapely.box(31.2, 121.4, 31.3, 121.5), "buildings 1: coordinates 31.25, 121.45 have the wrong order of axes for EPSG:4326"),
        ("EPSG:4326", box(0, 0, 9, 9), "buildings 1: coordinates 385004, 6.672e.06 lie outside EPSG:4326; state the system"),
        (None, box(0, 0, 9, 9), "buildings 1: no coordinate system; state it"),
        ("EPSG:4326", shapely.box(60.1, 24.9, 60.2, 25.0), r"buildings 1: lies [0-9,]+ km from the site; its coordinate system, or the order of its axes, is wrong"),
    ],
)  # fmt: skip
def test_wrong_systems_and_orders_of_axes_are_one_line_with_the_id(tmp_path, crs, shape, says):
    site = gpd.GeoDataFrame([SITE], crs=CRS)
    site.to_file(tmp_path / "plan.gpkg", layer="site", driver="GPKG")
    table = gpd.GeoDataFrame([{"id": "1", "h": 9, "geometry": shape}], crs=crs)
    with warnings.catch_warnings(action="ignore"):  # of no coordinate system
        table.to_file(tmp_path / "plan.gpkg", layer="buildings", driver="GPKG")
    with pytest.raises(InputError, match=f"plan.gpkg: {says}") as caught:
        read_drawn(tmp_path / "plan.gpkg", on_remark=lambda _: None)
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value)


def test_a_geojson_whose_axes_were_swapped_after_export_is_told(tmp_path, plan):
    path = tmp_path / "one.geojson"
    write_plan(plan, path)
    table = gpd.read_file(path)
    table["geometry"] = shapely.transform(table.geometry.to_numpy(), lambda xy: xy[:, ::-1])
    document = json.loads(table.to_json())
    document["fabricgen"] = {"crs": plan.crs}
    path.write_text(json.dumps(document))
    with pytest.raises(
        InputError, match="one.geojson: the site lies at 60.1.*, outside EPSG:32635"
    ):
        read_plan(path)


def test_a_folder_of_shapefiles_is_one_plan(tmp_path):
    folder = tmp_path / "block"
    folder.mkdir()
    site = gpd.GeoDataFrame([{"geometry": box(0, 0, 100, 100)}], crs=CRS)
    rows = [{"building_levels": 4, "osm_id": 77, "geometry": box(10, 10, 30, 30)}]
    site.to_file(folder / "site.shp")
    gpd.GeoDataFrame(rows, crs=CRS).rename(columns={"building_levels": "building_l"}).to_file(
        folder / "建筑.shp"
    )
    remarks = []
    (plan,) = read_drawn(folder, on_remark=remarks.append).values()
    assert plan.buildings[["id", "floors"]].values.tolist() == [["77", 4.0]]
    assert remarks == []
    with pytest.raises(InputError, match=r"site.shp: holds no|建筑.shp: holds no site"):
        read_drawn(folder / "建筑.shp")


def test_schemes_side_by_side_are_told_apart(read, tmp_path):
    rows = [{**SITE, "scheme": name} for name in "ab"]
    rows += [{**house(), "scheme": name, "h": h} for name, h in zip("ab", (9, 12), strict=True)]
    table = gpd.GeoDataFrame(pd.DataFrame(rows).astype({"id": str}), crs=CRS)
    table.to_parquet(tmp_path / "two.parquet")
    drawn = read_drawn(tmp_path / "two.parquet")
    assert {name: plan.buildings["height_m"].tolist() for name, plan in drawn.items()} == {
        "a": [9.0], "b": [12.0],
    }  # fmt: skip
    with pytest.raises(InputError, match="holds the schemes a, b; name one of them"):
        read_plan(tmp_path / "two.parquet")


def test_what_names_no_scheme_is_part_of_each(read):
    rows = [house(scheme="a"), house(id=2, scheme="b", geometry=box(40, 40, 50, 50))]
    tree = {"layer": "trees", "id": "t", "geometry": shapely.Point(X + 80, Y + 80)}
    with pytest.raises(InputError, match="holds the schemes a, b; name one"):
        read(*rows, tree)
    rows[0]["scheme"] = ""
    plan, _ = read(*rows, tree)
    assert plan.buildings["id"].tolist() == ["1", "2"] and len(plan.trees) == 1
    with pytest.raises(InputError, match="theirs.parquet: scheme a has no site; add its polygon"):
        read({**SITE, "scheme": "b"}, house(scheme="a"), first=False)


def test_what_cannot_be_told_is_refused_in_one_line(read, tmp_path):
    for rows, says in (
        ([house(geometry=shapely.Point(X, Y))], "buildings 1: is a Point; give polygons"),
        ([house(h=-3)], "buildings 1: height_m is -3; give 0 to 1000"),
        ([house(layer=None)], "feature 1: layer ''; give one of site"),
        ([house(h=5000)], "buildings 1: height_m is 5000"),
        (
            [house(layer="pigeons", h=None)],
            "feature 1: layer 'pigeons'; give one of site, buildings",
        ),
    ):
        with pytest.raises(InputError, match=f"theirs.parquet: {says}"):
            read(*rows)
    star = shapely.Polygon(
        [(X + 50 + 20 * np.cos(a), Y + 50 + 20 * np.sin(a)) for a in np.arange(5) * 4 * np.pi / 5]
    )
    with pytest.raises(InputError, match="buildings 1: crosses itself and can be read in several"):
        read(house(geometry=star))
    blank = gpd.GeoDataFrame([{"geometry": box(0, 0, 9, 9)}], crs=CRS)
    blank.to_parquet(tmp_path / "blank.parquet")
    with pytest.raises(InputError, match="layer blank: it does not say what it holds; name it, or"):
        read_plan(tmp_path / "blank.parquet")
    bare = gpd.GeoDataFrame([{"h": 3, "geometry": box(0, 0, 9, 9)}], crs=CRS)
    bare.to_file(tmp_path / "houses.geojson")
    with pytest.raises(InputError, match="houses.geojson: holds no site; add its polygon"):
        read_plan(tmp_path / "houses.geojson")
    (tmp_path / "city.json").write_text('{"type": "Topology"}')
    with pytest.raises(FormatError, match="holds Topology, no FeatureCollection; give GeoJSON"):
        read_plan(tmp_path / "city.json")


def test_the_page_on_export_holds_the_table_of_names():
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    shown = page.split("<!-- aliases -->\n")[1].split("<!-- /aliases -->")[0]
    assert shown.strip() == alias_table()
