import numpy as np
import pytest
import shapely

from fabricgen.city import osm
from fabricgen.city.ingest import read
from fabricgen.errors import FormatError
from fabricgen.surfaces import BIT, PAVED

from . import worlds


@pytest.fixture
def extract(tmp_path):
    return worlds.OsmFile(tmp_path / "x.osm.pbf")


def test_the_town_is_read_in_meters(tmp_path):
    mapped = osm.read(worlds.town(tmp_path / "t.osm.pbf").write())
    assert mapped.crs == worlds.CRS
    assert sorted(shapely.area(mapped.buildings.shape).round()) == [800, 800, 900, 900]
    assert mapped.clip.area == pytest.approx(worlds.SIDE_M**2, rel=0.08)  # a box in degrees
    heights = mapped.buildings.height_m
    assert sorted(heights[~np.isnan(heights)]) == pytest.approx([9.144, 12.0])
    assert len(mapped.streets.shape) == 2 and len(mapped.crowns.shape) == 2
    assert "OpenStreetMap" in mapped.origin.attribution


def test_a_multipolygon_keeps_its_court_and_a_pedestrian_one_is_paved(extract):
    outer = extract.box(0, 0, 50, 40)
    inner = extract.box(15, 10, 20, 20)
    extract.relation([(outer, "outer"), (inner, "inner")], building="yes")
    square = extract.box(100, 0, 30, 30)
    extract.relation([(square, "outer")], highway="pedestrian")
    mapped = osm.read(extract.write())
    assert shapely.area(mapped.buildings.shape).round().tolist() == [1600]
    assert mapped.areas.bits.tolist() == [BIT[PAVED]]


def test_a_relation_without_its_ways_is_counted_and_its_place_remembered(extract):
    extract.box(-100, -100, 20, 20, building="yes")
    part = extract.way([(0, 0), (40, 0), (40, 40)])
    extract.relation([(part, "outer"), (999, "outer")], building="yes")
    mapped = osm.read(extract.write())
    assert mapped.dropped["building relation not complete"] == 1
    assert len(mapped.lost) == 1 and mapped.lost[0].area == pytest.approx(800, rel=0.01)


def test_what_is_left_out_is_counted_by_reason(extract):
    extract.box(0, 0, 20, 20, building="yes")
    extract.box(50, 0, 20, 20, building="yes", layer="-2")
    extract.box(80, 0, 1, 1, building="yes")
    extract.box(120, 0, 20, 20, building="yes", height="-4")
    extract.way([(0, 50), (9, 50)], tags={"highway": "primary", "tunnel": "yes"})
    extract.way([(0, 60), (9, 60)], tags={"highway": "proposed"})
    extract.way([(0, 70), (9, 70), (9, 80)], tags={"building": "yes"})
    dropped = osm.read(extract.write()).dropped
    assert dropped["underground building"] == 1
    assert dropped["building under 4 m2"] == 1
    assert dropped["height tag that cannot be"] == 1
    assert dropped["underground street"] == 1
    assert dropped["highway that is no street"] == 1
    assert dropped["building whose ring is not closed"] == 1


@pytest.mark.parametrize("words", [{"building": "yes"}, {"natural": "wood"}])
def test_a_ring_that_crosses_itself_is_mended(extract, words):
    extract.way([(0, 0), (40, 0), (0, 20), (40, 20)], closed=True, tags=words)
    extract.box(100, 0, 20, 20, building="yes")
    mapped = osm.read(extract.write())
    found = mapped.buildings.shape if "building" in words else mapped.areas.shape
    assert shapely.is_valid(found).all()
    assert shapely.area(found).max() == pytest.approx(400, rel=0.01)  # two triangles
    assert sum(mapped.dropped.values()) == 0


def test_a_multipolygon_whose_rings_cross_or_overlap_is_mended(extract):
    tie = extract.way([(0, 0), (40, 0), (0, 20), (40, 20)], closed=True)
    extract.relation([(tie, "outer")], natural="wood")
    yard = extract.box(100, 0, 40, 40)
    halves = [extract.box(110, 10, 12, 20), extract.box(118, 10, 12, 20)]
    extract.relation([(yard, "outer"), *((half, "inner") for half in halves)], landuse="grass")
    extract.box(200, 0, 20, 20, building="yes")
    mapped = osm.read(extract.write())
    assert shapely.area(mapped.areas.shape) == pytest.approx([400, 1600 - 400], rel=0.01)
    assert sum(mapped.dropped.values()) == 0


def test_a_ring_without_area_is_counted(extract):
    extract.way([(0, 0), (40, 0)], closed=True, tags={"natural": "wood"})
    extract.box(100, 0, 20, 20, building="yes")
    mapped = osm.read(extract.write())
    assert len(mapped.areas.shape) == 0 and sum(mapped.dropped.values()) == 1


def test_a_file_without_a_box_takes_that_of_its_features(extract):
    worlds.town(extract.path)
    for step in range(12):
        extract.box(step * 40, step * 30, 20, 20, building="yes")
    path = extract.write()
    plain = path.with_name("plain.osm")
    import osmium

    with osmium.SimpleWriter(str(plain)) as writer:
        for thing in osmium.FileProcessor(str(path)):
            writer.add(thing)
    assert 100_000 < osm.read(plain).clip.area < 300_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"hello, this is not a map at all", "not a whole OpenStreetMap file"),
        (b"\x00\x00\x00\x0d\x0a\x09OSMHeader", "not a whole OpenStreetMap file"),
    ],
)
def test_a_file_that_is_no_extract_is_one_clear_line(tmp_path, content, message):
    path = tmp_path / "bad.osm.pbf"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message) as caught:
        read(path)
    assert "\n" not in str(caught.value) and "bad.osm.pbf" in str(caught.value)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.999])
def test_a_truncated_extract_is_one_clear_line(tmp_path, share):
    whole = worlds.town(tmp_path / "whole.osm.pbf").write().read_bytes()
    path = tmp_path / "cut.osm.pbf"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(FormatError) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_an_extract_without_buildings_and_streets_is_refused(extract):
    extract.node(0, 0, natural="tree")
    with pytest.raises(FormatError, match="no building and no street"):
        read(extract.write())


def test_a_country_is_refused(extract):
    extract.box(0, 0, 20, 20, building="yes")
    with pytest.raises(FormatError, match="more than a city"):
        read(extract.write(side_m=400_000))
