"""Each fault is made, seen alone, and gone again."""

import numpy as np
import pytest
from shapely.geometry import LineString, Polygon, box

from fabricgen.quality.validity import CLEAN, validity_measures
from fabricgen.surfaces import BIT, WATER

UP = (LineString([(128, 68), (128, 188)]), 8.0, "local")
HOUSE = box(140, 100, 160, 120)


@pytest.fixture
def judged(make_plan, make_place, cross_labels):
    place = make_place(cross_labels)

    def judge(buildings=(HOUSE,), roads=(UP,), **more):
        plan = make_plan(place.site.boundary, [(b, 9.0) for b in buildings], roads, **more)
        return validity_measures(plan, place)

    return judge


def only(found, key):
    return {k for k, limit in CLEAN.items() if found[k] > limit} == {key}


def test_a_clean_plan_has_no_fault(judged):
    found = judged()
    assert found.pop("validity.clean") == 1 and set(found) == set(CLEAN)
    assert all(value == pytest.approx(0, abs=1e-9) for value in found.values())


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("validity.on_road", 0.1, {"buildings": [box(130, 100, 150, 120)]}),
        (
            "validity.out_of_site",
            50 / 14400,
            {"buildings": [box(178, 100, 198, 105)], "roads": [UP]},
        ),
        ("validity.sliver", 0.5, {"buildings": [HOUSE, box(140, 130, 143, 133)]}),
        ("validity.pinch", 0.5, {"buildings": [HOUSE, box(162, 100, 180, 120)]}),
    ],
)
def test_a_fault_is_seen_and_costs_the_clean_sheet(judged, key, value, told):
    found = judged(**told)
    assert found[key] == pytest.approx(value, rel=0.02) and found["validity.clean"] == 0


def test_overlaps_are_counted_as_share_of_the_footprints(judged):
    found = judged([HOUSE, box(150, 100, 170, 120)])
    assert found["validity.overlap"] == pytest.approx(200 / 800)
    assert found["validity.partition"] == pytest.approx(200 / 120**2)


def test_ground_drawn_twice_breaks_the_partition(judged):
    found = judged(green=[(box(80, 80, 100, 100), "grass"), (box(90, 80, 110, 100), "shrub")])
    assert found["validity.partition"] == pytest.approx(200 / 120**2)
    assert only(found, "validity.partition")


def test_broken_shapes_are_counted(judged):
    bow = Polygon([(80, 80), (90, 90), (90, 80), (80, 90)])
    assert judged(paved=[bow])["validity.invalid"] == 1


def test_a_house_behind_water_is_out_of_reach(judged, make_place, make_plan, cross_labels):
    moat = box(70, 140, 110, 186).difference(box(80, 150, 100, 176))
    found = judged([HOUSE, box(85, 155, 95, 170)], water=[moat])
    assert found["validity.unreachable"] == 0.5 and only(found, "validity.unreachable")


def test_a_house_far_from_any_street_is_out_of_reach(make_plan, make_place, cross_labels):
    labels = cross_labels.copy()
    labels[:, 200:] = BIT[WATER]
    corner = make_place(labels)
    none = make_plan(corner.site.boundary, [(box(100, 100, 110, 110), 9.0)])
    # The stubs around reach to the outline, 28 m and more away: within a walk.
    assert validity_measures(none, corner)["validity.unreachable"] == 0


def test_a_street_that_nothing_leads_to_is_an_island(judged):
    lone = (LineString([(150, 140), (180, 140)]), 8.0, "service")
    found = judged(roads=[UP, lone])
    assert 0.15 < found["validity.road_islands"] < 0.3
    assert only(found, "validity.road_islands")


def test_without_any_street_around_reach_is_not_judged(make_plan, make_place):
    place = make_place()
    found = validity_measures(make_plan(place.site.boundary, [(HOUSE, 9.0)]), place)
    assert np.isnan(found["validity.unreachable"]) and np.isnan(found["validity.road_islands"])
    assert found["validity.clean"] == 1
