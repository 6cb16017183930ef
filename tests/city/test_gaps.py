import json

import numpy as np
import pytest
import shapely

from fabricgen.city.ingest import ingest
from fabricgen.surfaces import BIT, BUILDING, ROAD, WATER

from . import worlds

SIDE_M = 1400.0


def estate(extract, x0, y0, *, houses):
    """A grid of residential streets, 380 m wide, with or without its houses."""
    for step in range(0, 400, 76):
        extract.way([(x0 + step, y0), (x0 + step, y0 + 380)], tags={"highway": "residential"})
        extract.way([(x0, y0 + step), (x0 + 380, y0 + step)], tags={"highway": "residential"})
    if houses:
        for u in range(0, 380, 76):
            for v in range(0, 380, 76):
                extract.box(x0 + u + 15, y0 + v + 15, 40, 40, building="yes")


@pytest.fixture
def halves(tmp_path):
    """Houses in the west, the same streets without houses in the middle, nothing in the east."""
    extract = worlds.OsmFile(tmp_path / "halves.osm.pbf")
    estate(extract, -640, -190, houses=True)
    estate(extract, -180, -190, houses=False)
    report = ingest(extract.write(side_m=SIDE_M), city="halves", out=tmp_path / "store")
    return report, tmp_path / "store"


def at(store, x, y):
    card = json.loads((store / "city.json").read_text())
    labels = np.load(store / "labels.npy")
    row = int(card["frame"]["y_m"] - (worlds.CENTRE[1] + y))
    col = int(worlds.CENTRE[0] + x - card["frame"]["x_m"])
    return labels[row, col]


def test_streets_without_houses_and_empty_ground_have_no_data(halves):
    report, store = halves
    assert at(store, -605, -155) == BIT[BUILDING] and at(store, -640, -100) == BIT[ROAD]
    assert at(store, 0, 0) == 0  # amid streets where nobody drew the houses
    assert at(store, 600, 0) == 0  # where nobody drew anything
    assert set(report.masked_m2) >= {"nothing mapped", "streets without buildings"}


def test_the_covered_area_is_what_has_data(halves):
    report, store = halves
    labels = np.load(store / "labels.npy")
    assert report.area_km2 * 1e6 == pytest.approx((labels > 0).sum(), rel=0.002)
    card = json.loads((store / "city.json").read_text())
    known = sum(card["surface_area_m2"].values())
    assert known + card["unknown_m2"] == (labels > 0).sum()


def test_windows_of_houses_are_complete(halves):
    _, store = halves
    with np.load(store / "index.npz") as index:
        full = index["surface_share_building"] > 0.2
        assert full.any() and (index["completeness"][full] > 0.6).all()


def test_a_green_street_is_no_gap(tmp_path):
    extract = worlds.OsmFile(tmp_path / "park.osm.pbf")
    estate(extract, -190, -190, houses=False)
    extract.box(-280, -280, 560, 560, leisure="park")
    extract.box(-290, -290, 8, 8, building="yes")
    report = ingest(extract.write(), city="park", out=tmp_path / "store")
    assert "streets without buildings" not in report.masked_m2


def test_the_block_of_a_lost_building_is_masked(tmp_path):
    extract = worlds.OsmFile(tmp_path / "lost.osm.pbf")
    estate(extract, -190, -190, houses=True)
    ring = extract.way([(-100, 250), (-60, 250), (-60, 280)])
    extract.relation([(ring, "outer"), (12345, "outer")], building="yes")
    report = ingest(extract.write(), city="lost", out=tmp_path / "store")
    assert report.masked_m2["ring of a missing building"] > 1000
    assert at(tmp_path / "store", -70, 260) == 0


def test_open_ground_far_from_all_that_is_built_may_be_water(tmp_path):
    extract = worlds.OsmFile(tmp_path / "shore.osm.pbf")
    estate(extract, -290, -190, houses=True)
    ingest(extract.write(), city="shore", out=tmp_path / "store")
    assert at(tmp_path / "store", -285, 20) & BIT[WATER] == 0
    assert at(tmp_path / "store", 200, 0) & BIT[WATER]


def test_coverage_is_written_in_degrees(halves):
    _, store = halves
    document = json.loads((store / "coverage.geojson").read_text())
    shape = shapely.geometry.shape(document["features"][0]["geometry"])
    west, south, east, north = shape.bounds
    assert 24 < west < east < 26 and 59 < south < north < 61
