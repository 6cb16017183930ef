"""Laws of closing a brief: what is asked is what a reader measures, or it is said to be missed."""

from dataclasses import replace

import numpy as np
import pytest
import shapely

from fabricgen.form.indicators import of_plan
from fabricgen.plan import LAYERS, check_plan, empty_plan
from fabricgen.vectorize import close_brief
from fabricgen.vectorize.close import TOLERANCE

BRIEFS = [
    {"far": (1.4, 1.4)},
    {"far": (0.7, 0.8)},
    {"far": (1.5, 1.5), "site_coverage": (0.24, 0.24)},
    {"far": (0.8, 0.8), "site_coverage": (0.14, 0.14), "green_ratio": (0.55, 0.55)},
    {"green_ratio": (0.35, 0.35), "tree_share": (0.03, 0.03)},
    {"tree_share": (0.2, 0.22), "green_ratio": (0.5, 0.6)},
    {"mean_height_m": (12.0, 12.0)},
    {"far": (1.5, 1.5), "mean_height_m": (18.0, 18.0)},
]


@pytest.fixture(scope="module")
def plan(proposals):
    return proposals.draw()


def misses(got, asks):
    relative = ("far", "site_coverage", "mean_height_m")
    return [
        name
        for name, (low, high) in asks.items()
        if max(low - got[name], got[name] - high)
        > TOLERANCE[name] * (low if name in relative else 1)
    ]


@pytest.mark.parametrize("asks", BRIEFS, ids=lambda asks: "-".join(asks))
def test_a_feasible_brief_is_met_by_a_clean_plan(plan, asks):
    closed = close_brief(plan, asks, seed=1)
    check_plan(closed.plan)
    assert closed.unmet == ()
    assert misses(of_plan(closed.plan), asks) == []
    assert (closed.plan.buildings["floors"] % 1 == 0).all()
    assert (closed.plan.buildings["height_m"] == 3 * closed.plan.buildings["floors"]).all()


@pytest.mark.parametrize("asks", BRIEFS, ids=lambda asks: "-".join(asks))
def test_nothing_is_covered_twice_afterwards(plan, asks):
    closed = close_brief(plan, asks, seed=1).plan
    names = ("buildings", "paved", "water", "green")
    shapes = [shape for name in names for shape in getattr(closed, name).geometry]
    shapes.append(closed.carriageways)
    whole = shapely.union_all(shapes)
    assert shapely.area(shapes).sum() - whole.area < 0.2
    stems = closed.trees.geometry.to_numpy()
    built = shapely.union_all(closed.buildings.geometry.to_numpy())
    assert not shapely.intersects(built, stems).any()


@pytest.mark.parametrize("asks", BRIEFS, ids=lambda asks: "-".join(asks))
def test_closing_twice_changes_nothing(plan, asks):
    once = close_brief(plan, asks, seed=1).plan
    twice = close_brief(once, asks, seed=1).plan
    for name in LAYERS:
        assert getattr(once, name).equals(getattr(twice, name))


def test_a_plan_that_meets_its_brief_stays_as_it_is(plan):
    got = of_plan(plan)
    asks = {name: (got[name], got[name]) for name in TOLERANCE}
    closed = close_brief(plan, asks)
    assert closed.unmet == ()
    for name in LAYERS:
        assert getattr(closed.plan, name).equals(getattr(plan, name))


def test_what_cannot_be_met_is_said_with_the_nearest(plan):
    asks = {"site_coverage": (0.7, 0.7), "road_share": (0.5, 0.6)}
    closed = close_brief(plan, asks)
    check_plan(closed.plan)
    got = of_plan(closed.plan)
    said = {miss.name: miss for miss in closed.unmet}
    assert set(said) == set(asks)
    assert said["site_coverage"].nearest == pytest.approx(got["site_coverage"])
    assert said["site_coverage"].asked == (0.7, 0.7)
    assert "15%" in said["site_coverage"].why
    assert got["site_coverage"] > of_plan(plan)["site_coverage"]


def test_terraces_keep_one_height(plan):
    closed = close_brief(plan, {"far": (1.4, 1.4)}).plan
    terrace = plan.buildings["floors"] == 3
    assert closed.buildings["floors"][terrace].nunique() == 1


def test_floors_rise_to_double_at_most(plan):
    closed = close_brief(plan, {"far": (9.0, 9.0)})
    before, after = plan.buildings["floors"], closed.plan.buildings["floors"]
    assert (after <= np.maximum(2 * before, before + 3)).all()
    assert [miss.name for miss in closed.unmet] == ["far"]


def test_towers_come_down_as_far_as_the_floor_area_asks(plan):
    table = plan.buildings.assign(floors=plan.buildings["floors"] * 4)
    towers = replace(plan, buildings=table.assign(height_m=table["floors"] * 3.0))
    far = of_plan(plan)["far"]
    closed = close_brief(towers, {"far": (far, far)})
    assert closed.unmet == ()
    assert of_plan(closed.plan)["far"] == pytest.approx(far, rel=TOLERANCE["far"])


def test_an_empty_site_misses_every_building_ask(proposals):
    plan = empty_plan(proposals.site(), proposals.FRAME.crs)
    closed = close_brief(plan, {"far": (1.0, 1.0), "site_coverage": (0.2, 0.3)})
    assert [miss.name for miss in closed.unmet] == ["far", "site_coverage"]
    assert closed.unmet[0].why == "there is no building to change"


def test_the_same_seed_closes_the_same(plan):
    asks = {"tree_share": (0.15, 0.15)}
    first, second = (close_brief(plan, asks, seed=5).plan for _ in range(2))
    assert first.trees.equals(second.trees)
