"""Real plans, what is pasted, and rules, on places made by code."""

import numpy as np
import pytest
import shapely
from shapely.geometry import box

from fabricgen.form.indicators import of_plan
from fabricgen.plan import check_plan
from fabricgen.quality.places import boxes_inside
from fabricgen.quality.proposers import brief_of, inside_px, real, rules, shuffled
from fabricgen.quality.reals import drawn_real, surroundings
from fabricgen.surfaces import BARE, BIT, BUILDING, GRASS

STREETS = [(0, 128, 256, 128, 8.0, 2)]


def labelled(houses, ground=BIT[BARE]):
    labels = np.full((256, 256), ground, np.uint8)
    for x, y, w, d, _ in houses:
        labels[int(256 - y - d / 2) : int(256 - y + d / 2), int(x - w / 2) : int(x + w / 2)] = BIT[
            BUILDING
        ]
    return labels


def test_a_real_plan_has_its_boxes_streets_and_ground(make_place):
    houses = [(100, 100, 20, 12, 4), (150, 150, 24, 12, 2), (40, 40, 20, 20, 5)]
    place = make_place(labelled(houses, BIT[GRASS]), houses, STREETS)
    plan = check_plan(drawn_real(place))
    assert sorted(plan.buildings.area.round()) == pytest.approx([240, 288], rel=0.02)
    assert set(plan.buildings["floors"]) == {4, 2}
    assert shapely.length(plan.roads.geometry).sum() == pytest.approx(120, abs=1)
    assert of_plan(plan)["green_ratio"] > 0.8
    assert len(boxes_inside(place, place.tile)) == 2


def test_unknown_ground_is_bare(make_place):
    place = make_place(np.full((256, 256), BIT[GRASS] | BIT[BARE], np.uint8), segments=STREETS)
    assert of_plan(drawn_real(place))["green_ratio"] == 0


def test_surroundings_are_streets_outside_alone(make_place):
    place = make_place(segments=STREETS)
    roads = surroundings(place).roads
    assert shapely.length(roads.geometry).sum() == pytest.approx(256 - 120)
    assert not shapely.intersects(roads.geometry, place.site.boundary.buffer(-0.1)).any()


def test_a_brief_asks_for_what_is_mapped(make_place):
    houses = [(100, 100, 20, 12, 4)]
    asked = {
        mapped: set(brief_of(make_place(labelled(houses), houses, mapped=mapped)).asks)
        for mapped in [(), ("heights",), ("greenery", "paved")]
    }
    assert list(asked.values()) == [
        {"site_coverage"}, {"site_coverage", "far"}, {"site_coverage", "green_ratio"},
    ]  # fmt: skip
    place = make_place(labelled(houses), houses, mapped=("heights",))
    assert brief_of(place).asks["far"][0] == pytest.approx(4 * 240 / 120**2, rel=0.02)


def test_shuffled_takes_the_most_alike_other_place(make_place):
    few, many = [(100, 100, 20, 20, 3)], [(90 + 25 * n, 100, 20, 20, 3) for n in range(4)]
    some = [(90 + 25 * n, 160, 20, 20, 3) for n in range(3)]
    place, *others = (
        make_place(labelled(h), h, name=name) for name, h in (("a", many), ("b", few), ("c", some))
    )
    plan = shuffled([place, *others])(place, 0)
    assert sorted(plan.buildings.centroid.y.round()) == [160, 160, 160]


def test_rules_draw_slabs_at_the_asked_coverage(make_place):
    houses = [(80 + 24 * n, 90 + 30 * k, 20, 15, 4) for n in range(4) for k in range(3)]
    place = make_place(labelled(houses), houses, STREETS, mapped=("heights",))
    form = of_plan(rules(place, 0))
    want = of_plan(real(place, 0))
    assert form["site_coverage"] == pytest.approx(want["site_coverage"], rel=0.4)
    assert form["far"] == pytest.approx(want["far"], rel=0.5)


def test_the_site_in_pixels_has_its_area_and_seeds_hang_on_the_name(make_place):
    place = make_place(site=box(68, 68, 188, 148))
    assert inside_px(place).sum() * 4 == 120 * 80
    assert place.inside.sum() == 120 * 80
    assert place.inside[120, 128] and not place.inside[60, 128]  # row 0 is the top
    assert place.seed(1) == make_place(name="p").seed(1) != make_place(name="q").seed(1)
    assert place.seed(1) != place.seed(2)
