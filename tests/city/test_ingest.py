import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely

from fabricgen.city import raster
from fabricgen.city.ingest import CitySettings, ingest
from fabricgen.city.store import TileStore
from fabricgen.errors import FormatError, InputError
from fabricgen.files import shipped
from fabricgen.surfaces import BIT, BUILDING, GRASS, PAVED, ROAD, SHRUB, SURFACES, TREE, WATER

from . import worlds
from .test_store import outlines

PLAIN = CitySettings(mask_gaps=False)


def area(store, surface):
    return store.card("town")["surface_area_m2"][SURFACES[surface]]


def test_every_surface_has_the_area_that_was_drawn(town_store):
    assert area(town_store, BUILDING) == pytest.approx(800 + 800 + 900 + 900, rel=0.01)
    assert area(town_store, WATER) == pytest.approx(400, rel=0.03)
    assert area(town_store, TREE) == pytest.approx(np.pi * (16 + 6.25), rel=0.05)
    streets = 560 * 8 + 560 * 7 - 56 + np.pi * (16 + 12.25)
    assert area(town_store, ROAD) == pytest.approx(streets, rel=0.01)


def test_a_park_is_one_of_its_surfaces_and_open_ground_any_but_road(town_store):
    x, y = worlds.CENTRE
    park = town_store.window("town", x + 160, y + 160, rows=4, cols=4, pixel_m=1.0)
    assert (park.labels == BIT[TREE] | BIT[SHRUB] | BIT[GRASS]).all()
    ground = town_store.window("town", x - 30, y + 30, rows=4, cols=4, pixel_m=1.0)
    assert (ground.labels & BIT[PAVED]).all()
    assert not (ground.labels & (BIT[ROAD] | BIT[BUILDING])).any()


def test_heights_and_floors_are_those_of_the_tags(town_store):
    x, y = worlds.CENTRE
    window = town_store.window("town", x, y, rows=200, cols=200, pixel_m=1.0)
    built = window.labels == BIT[BUILDING]
    assert set(window.height_dm[built]) == {0, 91, 120}
    floors = sorted(window.boxes[:, 5].tolist(), key=lambda f: (f != f, f))
    assert floors[:3] == [3.0, 4.0, 4.0] and np.isnan(floors[3])


def test_the_folder_holds_all_that_is_promised(town_store, tmp_path):
    ingest(
        worlds.town(tmp_path / "t.osm.pbf").write(), city="t", out=tmp_path / "s", settings=PLAIN
    )
    names = {path.name for path in (tmp_path / "s").iterdir()}
    assert names >= {
        "labels.npy",
        "height_dm.npy",
        "boxes.npy",
        "segments.npy",
        "index.npz",
        "index.parquet",
        "city.json",
        "coverage.geojson",
    }
    table = pd.read_parquet(tmp_path / "s" / "index.parquet")
    assert {"crs", "source", "licence", "attribution", "split", "wall_order"} <= set(table)
    assert {f"surface_share_{name}" for name in SURFACES} <= set(table)
    assert (table["split"] == "train").all() and len(table) > 3
    card = json.loads((tmp_path / "s" / "city.json").read_text())
    assert card["licence"].startswith("ODbL") and card["crs"] == worlds.CRS


def test_the_same_extract_gives_the_same_bytes(tmp_path):
    source = worlds.town(tmp_path / "t.osm.pbf").write()
    for name in ("a", "b"):
        ingest(source, city="t", out=tmp_path / name, settings=PLAIN)
    for file in ("labels.npy", "height_dm.npy", "boxes.npy", "segments.npy", "city.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_parts_raise_heights_and_add_no_area(tmp_path):
    extract = worlds.OsmFile(tmp_path / "p.osm.pbf")
    extract.box(0, 0, 40, 40, building="yes", height="10")
    extract.box(10, 10, 10, 10, building__part="yes", height="40")
    extract.box(30, 30, 30, 30, building__part="yes", height="20")  # reaches beyond the outline
    extract.box(100, 0, 20, 20, building="yes")
    extract.box(100, 0, 20, 20, building__part="yes", building__levels="5")
    report = ingest(extract.write(), city="p", out=tmp_path / "s", settings=PLAIN)
    card = json.loads((tmp_path / "s" / "city.json").read_text())
    assert card["surface_area_m2"]["building"] == pytest.approx(2000, rel=0.01)
    assert report.height_known_share == 1.0
    height_dm = np.load(tmp_path / "s" / "height_dm.npy")
    assert (height_dm == 400).sum() == pytest.approx(100, abs=6)
    assert (height_dm == 200).sum() == pytest.approx(100, abs=6)
    floors = np.load(tmp_path / "s" / "boxes.npy")[:, 5]
    assert sorted(floors) == [3.0, 5.0]


def test_an_extract_larger_than_allowed_is_refused(tmp_path):
    source = worlds.town(tmp_path / "t.osm.pbf").write()
    with pytest.raises(FormatError, match=r"cut out a city, or raise ingest\.max_km2"):
        ingest(source, city="t", out=tmp_path / "s", settings=CitySettings(max_km2=0.1))
    assert not (tmp_path / "s").exists()


def test_a_file_in_the_way_is_said(tmp_path):
    source = worlds.town(tmp_path / "t.osm.pbf").write()
    (tmp_path / "stores").write_text("in the way")
    with pytest.raises(InputError, match="a file stands where a folder should go"):
        ingest(source, city="t", out=tmp_path / "stores" / "s", settings=PLAIN)


def test_steps_are_told(tmp_path):
    heard = []
    source = worlds.town(tmp_path / "t.osm.pbf").write()
    ingest(
        source,
        city="t",
        out=tmp_path / "s",
        settings=PLAIN,
        on_step=lambda done, total, note: heard.append((done, total, note)),
    )
    assert [done for done, _, _ in heard] == list(range(7)) and heard[-1][2] == "done"


# --- the demo city -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def helsinki(tmp_path_factory):
    out = tmp_path_factory.mktemp("helsinki") / "store"
    source = shipped("demo") / "helsinki-centre.osm.pbf"
    return ingest(source, city="helsinki-centre", out=out), source, out


def test_the_demo_city_is_a_test_city_with_its_credit(helsinki):
    report, _, out = helsinki
    assert set(report.windows) == {"test"} and report.area_km2 == pytest.approx(3.93, abs=0.05)
    assert report.buildings > 1300
    assert (
        "OpenStreetMap contributors" in TileStore.open(out).card("helsinki-centre")["attribution"]
    )


def test_buildings_of_the_demo_city_agree_with_geopandas(helsinki):
    import geopandas as gpd
    import pyogrio

    _, source, out = helsinki
    card = json.loads((out / "city.json").read_text())
    covered = gpd.read_file(out / "coverage.geojson").to_crs(card["crs"]).union_all()
    table = pyogrio.read_dataframe(source, layer="multipolygons", on_invalid="ignore")
    table = table[table["building"].notna() & (table["building"] != "no")].to_crs(card["crs"])
    above = ~table["other_tags"].fillna("").str.contains('"layer"=>"-|"underground"')
    exact = shapely.union_all(table[above].make_valid().to_numpy()).intersection(covered).area
    assert card["surface_area_m2"]["building"] == pytest.approx(exact, rel=0.01)


@pytest.mark.slow
def test_all_areas_of_the_demo_city_agree_with_plain_geometry(helsinki, monkeypatch):
    _, source, out = helsinki
    scripts = Path(__file__).parents[2] / "scripts"
    monkeypatch.syspath_prepend(str(scripts))
    check_areas = __import__("check_areas")
    assert check_areas.main([str(source), str(out)]) == 0
    sys.modules.pop("check_areas")


def test_boxes_of_the_demo_city_cover_its_buildings(helsinki):
    _, _, out = helsinki
    boxes = np.load(out / "boxes.npy")
    labels = np.load(out / "labels.npy")
    drawn = np.zeros(labels.shape, bool)
    shapes = outlines(boxes.astype(float))
    shapes = shapely.transform(shapes, lambda points: points * (1, -1))
    raster.paint(drawn, raster.spans_of(shapes, labels.shape, (0.0, 0.0)), True)
    built, known = labels == BIT[BUILDING], labels > 0
    assert (built & drawn).sum() / ((built | drawn) & known).sum() > 0.88
    count = np.bincount(boxes[:, 6].astype(int))
    assert count.max() <= 6 and (np.abs(boxes[:, 4]) <= np.pi / 4 + 1e-6).all()
