"""The forty descriptors: by hand on a small street, by law, and against momepy's stored run."""

import math
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from shapely.affinity import rotate, translate
from shapely.geometry import LineString, Point, box

from fabricgen.errors import SettingsError
from fabricgen.plan import empty_plan
from fabricgen.quality.descriptors import KEYS, NEEDS, describe, table

MORPHOLOGY = Path(__file__).parents[1] / "golden" / "morphology"
SITE = box(0, 0, 100, 100)  # 1 ha
STREET = (LineString([(0, 50), (100, 50)]), 10.0, "local")
HOUSES = [box(10 + 20 * n, 60, 20 + 20 * n, 80) for n in range(4)]  # 10 x 20 m, 5 m off the street


@pytest.fixture
def street(make_plan):
    """Four houses on one front line, a lawn behind them, a tree, a yard and a pond."""
    return make_plan(
        SITE,
        [(house, 9.0) for house in HOUSES],
        [STREET],
        [(box(0, 90, 100, 100), "grass"), (box(40, 0, 60, 10), "shrub")],
        paved=[box(0, 20, 30, 40)],
        trees=[(Point(80, 20), 8.0), (Point(95, 20), 8.0)],
        water=[box(90, 0, 100, 10)],
    )


def test_there_are_forty_in_one_order(street):
    found = describe(street)
    assert list(found) == list(KEYS) and len(KEYS) == 40
    assert all(isinstance(value, float) for value in found.values())


def test_values_of_a_street_by_hand(street):
    found = describe(street)
    expected = {
        "bld.count_ha": 4, "bld.cover": 0.08, "bld.far": 0.24,
        "bld.area_med": 200, "bld.area_p90": 200,
        "bld.eri": 1, "bld.convexity": 1, "bld.elongation": 0.5, "bld.corners": 4,
        "bld.wall_order": 1, "bld.align_street": 0, "bld.align_nb": 0,
        # 5 of 30 points of a house lie on the front, both corners and the two points 2 m behind.
        "bld.front_parallel": 6 / 30, "bld.on_street": 0, "bld.gap": 10, "bld.joined": 0,
        "bld.court": 0, "bld.height_mean": 9, "bld.height_sd": 0,
        "road.share": 0.1, "paved.share": 0.06, "road.length_ha": 100, "road.width": 10,
        "road.nodes_ha": 0, "road.order": 1,
        "green.share": 0.12 + 2 * math.pi * 16 / 1e4, "water.share": 0.01,
        "green.largest": 0.1, "green.patches_ha": 4, "tree.spacing": 7,
    }  # fmt: skip
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=0.01, abs=1e-9), key
    shares = ("bld.cover", "road.share", "paved.share", "green.share", "water.share", "bare.share")
    assert sum(found[key] for key in shares) == pytest.approx(1)


def test_green_edges_and_shapes_come_from_whole_pixels(make_plan):
    found = describe(make_plan(SITE, green=[(box(20, 20, 40, 60), "grass")]))
    assert found["green.edge_ha"] == 120
    assert found["green.mesh"] == pytest.approx(800**2 / 1e4)
    assert found["green.shape"] == pytest.approx(0.25 * 120 / math.sqrt(800))
    on_edge = describe(make_plan(SITE, green=[(box(0, 0, 100, 50), "grass")]))
    assert on_edge["green.edge_ha"] == 100  # the site's own outline is no edge


def test_walls_on_one_line_are_seen_and_lost_by_a_small_turn(make_plan):
    row = [box(10 + 40 * n, 60, 40 + 40 * n, 70) for n in range(2)]
    turned = [row[0], rotate(row[1], 8)]
    for shapes, share in ((row, 1.0), (turned, 0.0)):
        assert describe(make_plan(SITE, [(s, 9.0) for s in shapes]))["bld.collinear"] == share


def test_party_walls_are_no_facades(make_plan):
    pair = make_plan(SITE, [(box(10, 60, 20, 80), 9.0), (box(20, 60, 30, 80), 9.0)], [STREET])
    from fabricgen.quality.drawn import drawn_of

    xy = np.array([(p.x, p.y) for p in drawn_of(pair).facades.point])
    assert not ((np.abs(xy[:, 0] - 20) < 0.1) & (xy[:, 1] > 61) & (xy[:, 1] < 79)).any()
    assert describe(pair)["bld.joined"] == 1


def test_houses_on_a_street_are_seen(make_plan):
    on = make_plan(SITE, [(box(40, 45, 60, 80), 9.0)], [STREET])
    assert describe(on)["bld.on_street"] > 0.2
    assert describe(on)["road.share"] == pytest.approx(0.08)  # a roof hides the street below


def test_a_crossing_is_one_node_and_ends_at_the_outline_are_none(make_plan):
    cross = [STREET, (LineString([(50, 0), (50, 100)]), 6.0, "local")]
    found = describe(make_plan(SITE, roads=cross))
    assert found["road.nodes_ha"] == 1 and found["road.deadends"] == 0
    stub = [STREET, (LineString([(50, 50), (50, 80)]), 6.0, "local")]
    found = describe(make_plan(SITE, roads=stub))
    assert found["road.nodes_ha"] == 1 and found["road.deadends"] == 0.5


def test_paths_are_no_carriageways(make_plan):
    found = describe(make_plan(SITE, roads=[(STREET[0], 2.0, "path")]))
    assert found["road.share"] == 0 and found["paved.share"] == pytest.approx(0.02)


def test_streets_beside_the_site_count_for_distances_alone(make_plan):
    block = make_plan(SITE, [(HOUSES[0], 9.0)])
    around = make_plan(
        box(-50, -50, 150, 150), roads=[(LineString([(0, 105), (100, 105)]), 10.0, "local")]
    )
    alone, seen = describe(block), describe(block, around=around)
    assert math.isnan(alone["bld.align_street"]) and seen["bld.align_street"] == pytest.approx(0)
    assert seen["road.share"] == 0 and seen["bld.setback"] > 20


def test_specks_count_on_neither_side(street, make_plan):
    specks = [(box(50, 20, 53, 23), 9.0)]
    more = make_plan(SITE, [(h, 9.0) for h in HOUSES] + specks, [STREET])
    assert describe(more)["bld.count_ha"] == 4


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_what_is_not_mapped_is_missing_and_never_zero(street, name):
    found = describe(street, mapped=set(NEEDS) - {name})
    assert all(math.isnan(found[key]) for key in NEEDS[name])
    whole = describe(street)
    same = [k for k in KEYS if k not in NEEDS[name] and k not in ("bld.on_street", "bld.setback")]
    np.testing.assert_equal([found[k] for k in same], [whole[k] for k in same])


def test_a_layer_that_does_not_exist_is_refused(street):
    with pytest.raises(SettingsError, match="mapped: trees; choose from greenery, heights, paved"):
        describe(street, mapped={"trees"})


def test_an_empty_site_has_shares_and_no_shapes():
    found = describe(empty_plan(SITE, "EPSG:32635"))
    assert found["bld.cover"] == 0 and found["bare.share"] == 1
    assert math.isnan(found["bld.eri"]) and math.isnan(found["road.order"])
    assert np.isnan(table([found])[0, list(KEYS).index("bld.eri")])


@pytest.mark.parametrize(
    "matrix",
    [(-1, 0, 0, 1, 500, 0), (0, -1, 1, 0, 0, 0), (1, 0, 0, 1, 3, 7)],
    ids=["mirrored", "turned", "moved"],
)
def test_mirrors_and_turns_change_nothing(street, moved_plan, matrix):
    before, after = describe(street), describe(moved_plan(street, matrix))
    for key in KEYS:
        assert after[key] == pytest.approx(before[key], rel=0.02, abs=1e-6, nan_ok=True), key


def test_order_of_features_changes_nothing(street):
    from dataclasses import replace

    mixed = replace(
        street,
        buildings=street.buildings.iloc[::-1].reset_index(drop=True),
        green=street.green.iloc[::-1].reset_index(drop=True),
    )
    assert describe(mixed) == pytest.approx(describe(street), nan_ok=True)


def test_means_of_shape_equal_momepy_on_its_own_sample():
    footprints = gpd.read_file(MORPHOLOGY / "case_01_input.gpkg", layer="buildings")
    plan = empty_plan(footprints.union_all().convex_hull.buffer(20), footprints.crs.to_string())
    from dataclasses import replace

    nothing = {c: np.nan for c in ("height_m", "floors", "footprint_m2")}
    plan = replace(
        plan, buildings=footprints[["geometry"]].assign(**nothing, id="", source="", use="")
    )
    found = describe(plan, mapped={"greenery"})
    small = (footprints.area < 12).sum()
    assert small == 0
    assert found["bld.eri"] == pytest.approx(0.930759, abs=1e-6)
    assert found["bld.convexity"] == pytest.approx(0.941623, abs=1e-6)
    assert found["bld.elongation"] == pytest.approx(0.804673, abs=1e-4)


def test_disorder_moves_relations(make_plan):
    rng = np.random.default_rng(0)
    row = [box(5 + 24 * n, 60, 15 + 24 * n, 72) for n in range(4)]
    messy = [translate(rotate(h, rng.uniform(10, 30)), 0, rng.uniform(-1, 4)) for h in row]
    good, bad = (
        describe(make_plan(SITE, [(s, 9.0) for s in shapes], [STREET])) for shapes in (row, messy)
    )
    assert bad["bld.align_nb"] > good["bld.align_nb"] + 3
    assert bad["bld.align_street"] > good["bld.align_street"] + 3
    assert bad["bld.front_parallel"] < good["bld.front_parallel"]
    assert bad["bld.wall_order"] < good["bld.wall_order"] - 0.05
    assert bad["bld.eri"] == pytest.approx(good["bld.eri"])


def test_transforms_are_those_of_the_list(street):
    row = table([describe(street)])[0]
    found = dict(zip(KEYS, row, strict=True))
    assert found["bld.area_med"] == pytest.approx(math.log10(200))
    assert found["bld.count_ha"] == pytest.approx(math.log1p(4))
    assert found["green.mesh"] == pytest.approx(math.sqrt(describe(street)["green.mesh"]))
