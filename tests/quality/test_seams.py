"""Seams on a crossing whose answer is known."""

import numpy as np
import pytest
from shapely.geometry import LineString, box

from fabricgen.plan import empty_plan
from fabricgen.quality.maps import city_map
from fabricgen.quality.seams import seam_measures
from fabricgen.surfaces import BIT, BUILDING, ROAD


def street(*ends, width=8.0):
    return (LineString(ends), width, "local")


ACROSS = street((68, 128), (188, 128))
UP = street((128, 68), (128, 188))


@pytest.fixture
def place(make_place, cross_labels):
    return make_place(cross_labels)


def plan_of(make_plan, place, roads=(), buildings=()):
    return make_plan(place.site.boundary, [(b, 9.0) for b in buildings], roads)


def test_streets_that_go_on_meet_all_stubs_without_an_offset(make_plan, place):
    found = seam_measures(plan_of(make_plan, place, [ACROSS, UP]), place)
    assert found["seam.recall"] == 1 and found["seam.precision"] == 1
    assert found["seam.offset"] == pytest.approx(0, abs=0.6)
    assert found["seam.across"] == pytest.approx(found["seam.inner"], abs=0.02)


def test_the_map_shows_the_plan_inside_and_the_city_outside(make_plan, place):
    labels = city_map(plan_of(make_plan, place, [ACROSS]), place)
    assert labels[128, 128] == BIT[ROAD] and labels[100, 128] != BIT[ROAD]
    assert labels[30, 128] == BIT[ROAD]
    assert (labels[~place.inside] == place.tile.labels[~place.inside]).all()


def test_one_of_two_streets_meets_half(make_plan, place):
    found = seam_measures(plan_of(make_plan, place, [ACROSS]), place)
    assert found["seam.recall"] == 0.5 and found["seam.precision"] == 1


def test_streets_moved_aside_meet_nothing(make_plan, place):
    aside = [street((68, 148), (188, 148)), street((148, 68), (148, 188))]
    found = seam_measures(plan_of(make_plan, place, aside), place)
    assert found["seam.recall"] == 0 and found["seam.precision"] == 0


def test_a_small_shift_is_an_offset(make_plan, place):
    found = seam_measures(plan_of(make_plan, place, [street((68, 131), (188, 131)), UP]), place)
    assert found["seam.recall"] == 1
    assert found["seam.offset"] == pytest.approx(1.5, abs=0.5)  # two ends by 3 m, two by none


def test_a_stump_at_the_outline_leads_nowhere(make_plan, place):
    stumps = [street((68, 128), (70, 128)), UP]
    assert seam_measures(plan_of(make_plan, place, stumps), place)["seam.recall"] == 0.5


def test_a_street_along_the_outline_is_no_stub(make_plan, make_place, cross_labels):
    labels = cross_labels.copy()
    labels[:] = BIT[BUILDING]
    labels[60:68] = BIT[ROAD]  # beside the whole upper edge of the site
    found = seam_measures(plan_of(make_plan, make_place(labels)), make_place(labels))
    assert np.isnan(found["seam.recall"])


def test_an_empty_site_in_a_city_is_a_hard_line(make_plan, make_place, cross_labels):
    labels = cross_labels.copy()
    labels[labels != BIT[ROAD]] = BIT[BUILDING]
    place = make_place(labels)
    found = seam_measures(empty_plan(place.site.boundary, place.site.frame.crs), place)
    assert found["seam.across"] == 1 and found["seam.inner"] == 0


def test_cut_buildings_are_those_that_end_on_the_outline(make_plan, place):
    cut, near, far = box(68, 80, 80, 90), box(70, 100, 80, 110), box(120, 80, 140, 90)
    found = seam_measures(plan_of(make_plan, place, buildings=[cut, near, far]), place)
    assert found["seam.cut_buildings"] == 0.5


def test_of_a_block_only_cut_buildings_are_counted(make_plan, make_place, cross_labels):
    block = make_place(cross_labels, kind="block")
    found = seam_measures(plan_of(make_plan, block, [ACROSS], [box(68, 80, 80, 90)]), block)
    assert found.pop("seam.cut_buildings") == 1
    assert np.isnan(list(found.values())).all()
