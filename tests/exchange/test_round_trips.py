"""What is exported says the same to independent readers, and comes back with the same scores."""

import json
import subprocess
import sys

import geopandas as gpd
import numpy as np
import pyarrow.parquet
import pyogrio
import pytest
import rasterio
import shapely
from shapely import affinity

from fabricgen.design.candidates import PIXEL_M, ScoreSettings, frame_of, score_files
from fabricgen.errors import FormatError, InputError
from fabricgen.exchange import read_drawn, read_geotiff, read_plan, write_plan
from fabricgen.exchange.cog import write_cog
from fabricgen.exchange.place import still_valid
from fabricgen.form.indicators import of_layout, of_plan
from fabricgen.plan import LAYERS, TEXT_COLUMNS, Plan, rasterize, site_mask

META = {"attribution": "© OpenStreetMap contributors", "seed": 7}
SUFFIXES = (".geojson", ".parquet", ".dxf", ".city.json", ".ifc")
ORIGIN = "local origin at"  # what a drawing remarks


@pytest.fixture
def turned(plan):
    """The plan turned by an odd angle, with a courtyard, so that no coordinate is round."""
    middle = plan.site.centroid

    def turn(shape):
        return affinity.translate(affinity.rotate(shape, 17.3, origin=middle), 0.123, 0.456)

    tables = {name: getattr(plan, name).copy() for name in LAYERS}
    house = tables["buildings"].geometry.iloc[0]
    yard = shapely.box(*house.buffer(-3, join_style="mitre").bounds)
    tables["buildings"].loc[0, "geometry"] = house.difference(yard)
    tables["buildings"]["footprint_m2"] = tables["buildings"].area
    for table in tables.values():
        table["geometry"] = [turn(shape) for shape in table.geometry]
    return Plan(turn(plan.site), plan.crs, **tables)


@pytest.fixture
def cleft(plan):
    """Lawns 300 m long with a cleft that ends a hair before their straight northern edge."""
    lawn = shapely.Polygon(
        [(0, 0), (100, 0), (150, 30 - 1e-6), (200, 0), (300, 0), (300, 30), (0, 30)]
    )
    return [affinity.translate(lawn, 385_000 + x, 6_671_000) for x in (0, 400)]


@pytest.mark.parametrize("source", [32635, 3067])
def test_what_only_a_projection_makes_cross_is_mended(cleft, source):
    before = gpd.GeoSeries(cleft, crs=source)
    bent = before.to_crs(4326)
    assert not bent.is_valid.all()  # the chord of 300 m bends by more than the cleft is wide
    mended = gpd.GeoSeries(still_valid(bent.to_numpy(), before.to_numpy()), crs=4326)
    assert mended.is_valid.all()
    assert mended.to_crs(source).area.tolist() == pytest.approx(before.area.tolist(), rel=1e-4)
    crossed = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    assert still_valid(crossed, crossed) is crossed  # a user's own fault is not hidden


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_plan_comes_back_with_its_columns_and_geometry(tmp_path, turned, suffix):
    remarks = []
    path = tmp_path / f"one{suffix}"
    assert not [one for one in write_plan(turned, path, extra=META) if ORIGIN not in one]
    again = read_plan(path, on_remark=remarks.append)
    assert again.crs == turned.crs and remarks == []
    assert shapely.equals_exact(again.site.normalize(), turned.site.normalize(), 1e-6)
    for name, columns in LAYERS.items():
        mine, theirs = getattr(turned, name), getattr(again, name)
        for column in columns:
            if column in TEXT_COLUMNS:
                assert theirs[column].tolist() == mine[column].tolist()
            else:
                assert theirs[column].tolist() == pytest.approx(mine[column].tolist(), rel=1e-9)
        apart = shapely.hausdorff_distance(mine.geometry.to_numpy(), theirs.geometry.to_numpy())
        assert (apart < 1e-6).all()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_indicators_agree_to_a_millionth(tmp_path, turned, suffix):
    write_plan(turned, tmp_path / f"one{suffix}")
    (again,) = read_drawn(tmp_path / f"one{suffix}").values()
    mine, theirs = of_plan(turned), of_plan(again)
    for name, value in mine.items():
        assert theirs[name] == pytest.approx(value, rel=1e-6), name


def test_scores_agree_to_a_millionth(tmp_path, turned):
    settings = ScoreSettings(draws=4)
    paths = [tmp_path / f"one{suffix}" for suffix in (".gpkg", *SUFFIXES)]
    for path in paths:
        write_plan(turned, path)
    first, *others = sorted(score_files(paths, settings=settings), key=lambda s: s.name)
    for other in others:
        for mine, theirs in zip(
            first.score.ledger.entries, other.score.ledger.entries, strict=True
        ):
            assert theirs.name == mine.name
            assert float(theirs.amount) == pytest.approx(float(mine.amount), rel=1e-6), mine.name


def test_a_plan_that_went_through_degrees_is_counted_on_the_same_grid(tmp_path, turned):
    write_plan(turned, tmp_path / "one.geojson")
    assert frame_of(read_plan(tmp_path / "one.geojson")) == frame_of(turned)


def test_geojson_is_rfc_7946_to_an_independent_reader(tmp_path, turned):
    path = tmp_path / "one.geojson"
    write_plan(turned, path, extra=META)
    document = json.loads(path.read_text(encoding="utf-8"))
    assert "crs" not in document and document["fabricgen"]["meta"] == META
    for feature in document["features"]:
        shape = shapely.geometry.shape(feature["geometry"])
        for part in shapely.get_parts(shape):
            if part.geom_type == "Polygon":
                assert part.exterior.is_ccw
                assert not any(ring.is_ccw for ring in part.interiors)
        x, y = shape.centroid.x, shape.centroid.y
        assert 24 < x < 25.5 and 60 < y < 60.5  # Helsinki: longitude first
    table = pyogrio.read_dataframe(path)  # GDAL
    assert table.crs == "EPSG:4326"
    counts = table["layer"].value_counts()
    assert {name: counts[name] for name in LAYERS} == {
        name: len(getattr(turned, name)) for name in LAYERS
    }
    buildings = table[table["layer"] == "buildings"].to_crs(turned.crs)
    assert buildings.area.to_numpy() == pytest.approx(turned.buildings.area.to_numpy(), rel=1e-6)


def test_geoparquet_holds_what_its_specification_asks(tmp_path, turned):
    path = tmp_path / "one.parquet"
    write_plan(turned, path, extra=META)
    table = pyarrow.parquet.read_table(path)
    geo = json.loads(table.schema.metadata[b"geo"])
    assert geo["version"] == "1.1.0" and geo["primary_column"] == "geometry"
    column = geo["columns"]["geometry"]
    assert column["encoding"] == "WKB"
    assert column["crs"]["id"] == {"authority": "EPSG", "code": 32635}
    assert set(column["geometry_types"]) == {"Polygon", "LineString", "Point"}
    assert json.loads(table.schema.metadata[b"fabricgen"]) == META
    rows = table.to_pylist()
    areas = [shapely.from_wkb(r["geometry"]).area for r in rows if r["layer"] == "buildings"]
    assert areas == pytest.approx(turned.buildings.area.tolist())


def test_a_cloud_optimized_geotiff_is_one_and_says_the_same(tmp_path, turned):
    frame = frame_of(turned)
    layout = rasterize(turned, frame)
    inside = site_mask(turned.site, frame)
    path = tmp_path / "one.tif"
    write_cog(layout, frame, path, inside=inside)
    assert [p.name for p in tmp_path.iterdir()] == ["one.tif"]
    with rasterio.open(path) as source:
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert source.descriptions[:2] == ("surface", "height")
        assert source.scales[1] == 0.1 and source.block_shapes[0] == (512, 512)
    again = read_geotiff(path)
    mine, theirs = of_plan(turned), of_layout(again.layout, again.inside)
    assert frame.pixel_m == PIXEL_M
    for name in ("far", "site_coverage", "site_area_m2"):
        assert float(theirs[name]) == pytest.approx(mine[name], rel=0.01), name


def test_a_plan_across_the_date_line_is_refused_by_geojson(tmp_path, plan):
    crs = "EPSG:32601"
    tables = {
        name: getattr(plan, name).iloc[:0].set_crs(crs, allow_override=True) for name in LAYERS
    }
    x = gpd.GeoSeries([shapely.Point(180.0, 60.0)], crs=4326).to_crs(crs).iloc[0]
    across = Plan(x.buffer(50), crs, **tables)
    with pytest.raises(InputError, match="across the date line; write GeoPackage"):
        write_plan(across, tmp_path / "x.geojson")
    write_plan(across, tmp_path / "x.parquet")
    assert np.isclose(read_plan(tmp_path / "x.parquet").site.area, across.site.area)


def test_an_unknown_suffix_is_told(tmp_path, plan):
    with pytest.raises(InputError, match=r"x.skp: no format of this suffix; use .gpkg, .geojson"):
        write_plan(plan, tmp_path / "x.skp")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_that_are_cut_short_or_something_else_are_told(tmp_path, plan, suffix):
    path = tmp_path / f"one{suffix}"
    write_plan(plan, path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(
        FormatError, match="or is cut short; (export it again|save it again, as DXF)"
    ):
        read_drawn(path)
    path.write_text("id,height\n1,2\n")
    with pytest.raises(FormatError, match="one.*: is no "):
        read_drawn(path)


def test_the_room_loads_without_the_packages_of_the_extra_cad():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['ezdxf', 'ifcopenshell']))\n"
        "import fabricgen.exchange; print('loaded')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "loaded", done.stderr
