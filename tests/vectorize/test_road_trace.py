"""Laws of streets out of rasters: what was drawn comes back, joined, with its width and kind."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import affinity

from fabricgen.layout import Frame
from fabricgen.plan import Plan, empty_plan, layer, rasterize
from fabricgen.surfaces import LOCAL, PRIMARY, ROAD_KINDS, ROAD_WIDTH_M, SECONDARY, SERVICE
from fabricgen.vectorize.road_trace import kind_of, trace_roads, trace_runs

CRS = "EPSG:32635"
CORNER = (385_000.0, 6_672_000.0)
FRAME = Frame(CRS, 385_000.0, 6_672_256.0, 0.0, 2.0, 128, 128)
SITE = shapely.box(385_000, 6_672_000, 385_256, 6_672_256)


def street(*places, kind=LOCAL, width_m=None):
    line = shapely.LineString([(385_000 + x, 6_672_000 + y) for x, y in places])
    return line, kind, ROAD_WIDTH_M[kind] if width_m is None else width_m


def drawn(*streets, **others):
    rows = [
        {"id": f"r{k}", "kind": ROAD_KINDS[kind], "width_m": width_m, "geometry": line}
        for k, (line, kind, width_m) in enumerate(streets)
    ]
    layers = {**vars(empty_plan(SITE, CRS)), "roads": layer("roads", CRS, rows), **others}
    return Plan(**layers)


def traced(*streets, frame=FRAME, site=SITE, **others):
    layout = rasterize(drawn(*streets, **others), frame)
    return trace_roads(layout, frame, site)


def junctions(roads, *, least=3):
    """Places at which at least that many lines end, relative to the site's corner."""
    ends = [xy for line in roads.geometry for xy in (line.coords[0], line.coords[-1])]
    place, count = np.unique(np.array(ends).reshape(-1, 2), axis=0, return_counts=True)
    return place[count >= least] - CORNER


def test_a_cross_comes_back_with_its_junction_width_and_kind():
    roads = traced(street((0, 130), (256, 130)), street((121, 0), (121, 256), kind=SECONDARY))
    assert len(roads) == 4
    assert junctions(roads, least=4) == pytest.approx(np.array([[121, 130]]), abs=0.3)
    assert sorted(roads["kind"]) == ["local", "local", "secondary", "secondary"]
    for kind, width_m in (("local", 7), ("secondary", 10)):
        assert roads["width_m"][roads["kind"] == kind].to_numpy() == pytest.approx(width_m, abs=0.3)


def test_streets_that_meet_at_a_sharp_angle_meet_where_their_center_lines_do():
    roads = traced(street((0, 100), (256, 100)), street((100, 100), (220, 150)))
    assert len(junctions(roads)) == 1
    assert junctions(roads)[0] == pytest.approx([100, 100], abs=2.0)


def test_staggered_streets_stay_two_junctions():
    roads = traced(
        street((0, 130), (256, 130)), street((110, 130), (110, 0)), street((128, 130), (128, 256))
    )
    assert junctions(roads) == pytest.approx(np.array([[110, 130], [128, 130]]), abs=1.0)


def test_carriageways_with_a_strip_between_them_stay_apart():
    roads = traced(street((0, 100), (256, 110)), street((0, 109.5), (256, 119.5)))
    assert len(roads) == 2
    assert roads["width_m"].to_numpy() == pytest.approx([7, 7], abs=0.5)


def test_a_wide_place_becomes_one_hub_and_no_hairball():
    plaza = street((110, 128), (146, 128), width_m=36)
    arms = [street((128, 128), xy) for xy in ((0, 120), (256, 140), (120, 0), (135, 256))]
    roads = traced(plaza, *arms)
    assert len(roads) <= 6
    assert len(junctions(roads)) <= 2


def test_a_street_under_crowns_goes_on():
    crowns = layer("green", CRS, [
        {"id": "g1", "kind": "tree", "geometry": shapely.Point(385_100, 6_672_128).buffer(4.5)},
    ])  # fmt: skip
    roads = traced(street((0, 128), (256, 128)), green=crowns)
    assert len(roads) == 1
    assert roads.length.sum() == pytest.approx(256, abs=2)


def test_a_ring_stays_a_ring():
    turn = np.linspace(0, 2 * np.pi, 60)
    ring = street(*[(128 + 40 * np.cos(a), 128 + 40 * np.sin(a)) for a in turn])
    roads = traced(ring)
    assert shapely.union_all(shapely.polygonize(list(roads.geometry))).area == pytest.approx(
        np.pi * 40**2, rel=0.03
    )


def test_dead_ends_end_where_they_were_drawn():
    roads = traced(street((0, 128), (170, 128)))
    assert roads.total_bounds[2] - 385_000 == pytest.approx(170, abs=0.6)


def test_a_street_reaches_the_edge_of_the_site_beyond_which_nothing_is_known():
    site = shapely.box(385_030, 6_672_040, 385_220, 6_672_200)
    plan = replace(drawn(street((30, 128), (220, 140))), site=site)
    roads = trace_roads(rasterize(plan, FRAME), FRAME, site)
    ends = [xy for line in roads.geometry for xy in (line.coords[0], line.coords[-1])]
    away = shapely.distance(shapely.points(ends), site.boundary)
    assert len(roads) == 1
    assert away.max() < 0.01
    assert roads.length.sum() == pytest.approx(np.hypot(190, 12), abs=0.1)


def test_crowns_between_two_carriageways_do_not_join_them():
    crowns = layer("green", CRS, [
        {"id": f"g{x}", "kind": "tree", "geometry": shapely.Point(385_000 + x, 6_672_106).buffer(3)}
        for x in range(20, 240, 10)
    ])  # fmt: skip
    roads = traced(street((0, 100), (256, 100)), street((0, 112), (256, 112)), green=crowns)
    assert len(roads) == 2
    assert len(junctions(roads)) == 0


def test_streets_join_those_around_the_site_exactly():
    site = shapely.box(385_060, 6_672_000, 385_256, 6_672_256)
    around = np.array([[0.0, 129.5, 60.0, 129.5, 7.0, LOCAL]])  # in the frame, rows downward
    layout = rasterize(drawn(street((0, 128), (256, 128))), FRAME)
    roads = trace_roads(layout, FRAME, site, context=around)
    ends = [xy for line in roads.geometry for xy in (line.coords[0], line.coords[-1])]
    assert np.hypot(*(np.array(ends) - [385_060, 6_672_256 - 129.5]).T).min() < 1e-6


def test_paths_are_not_streets_and_an_empty_raster_has_none():
    assert len(traced()) == 0
    assert len(traced(street((0, 128), (256, 128), kind=4))) == 0
    assert trace_runs(rasterize(drawn(), FRAME)) == []


def test_kinds_are_those_whose_usual_width_is_nearest():
    assert [kind_of(w) for w in (4, 7.4, 10, 30)] == [SERVICE, LOCAL, SECONDARY, PRIMARY]


@settings(max_examples=12, deadline=None)
@given(
    angle_deg=st.floats(0, 90), first_m=st.floats(60, 90), gap_m=st.floats(45, 70),
    pixel_m=st.sampled_from([1.0, 2.0]),
)  # fmt: skip
def test_a_grid_comes_back_whatever_its_turn(angle_deg, first_m, gap_m, pixel_m):
    size = round(256 / pixel_m)
    frame = Frame(CRS, FRAME.x_m, FRAME.y_m, 0.0, pixel_m, size, size)
    at = (first_m, first_m + gap_m, first_m + 2 * gap_m)
    middle = (385_128, 6_672_128)
    lines = [street((x, -100), (x, 356)) for x in at] + [street((-100, y), (356, y)) for y in at]
    turned = [(affinity.rotate(line, angle_deg, origin=middle), k, w) for line, k, w in lines]
    inside = [(line.intersection(SITE), k, w) for line, k, w in turned if line.intersects(SITE)]
    roads = traced(*inside, frame=frame)
    pairs = itertools.combinations([line for line, _, _ in inside], 2)
    real = [a.intersection(b) for a, b in pairs if a.intersects(b)]
    real = [p for p in real if p.distance(SITE.boundary) > 15]
    found = shapely.multipoints(np.add(junctions(roads, least=4), CORNER))
    assert max(p.distance(found) for p in real) < 1.0
