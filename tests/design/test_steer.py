"""Floors brought to the floor area, and what carbon must not win by."""

from dataclasses import replace

import pytest
import torch

from fabricgen.design.brief import Brief
from fabricgen.design.conditions import conditions_of
from fabricgen.design.counting import Counting
from fabricgen.design.objective import core_limit_of, energy_of, hold, soft
from fabricgen.design.site import place_site
from fabricgen.design.steer import _fit_floors, _targets
from fabricgen.form.indicators import of_layout
from fabricgen.generator import cascade
from fabricgen.generator.conditions import Boxes, Conditions, Proposal, Segments


@pytest.fixture
def conditions(demo_shape, helsinki) -> Conditions:
    site = place_site(demo_shape, helsinki, name="site.gpkg")
    return conditions_of(site, Brief.read({}), 2, keep_streets=False)


def houses(conditions: Conditions, *rows: tuple[float, float, float, float]) -> Proposal:
    """Boxes (east, down, width, depth) about the middle of the site, alike in both items."""
    where = conditions.editable[0].nonzero().float().mean(0).flip(0) * conditions.context.pixel_m
    shape = torch.tensor([[*row, 0.0] for row in rows])
    shape[:, :2] += where
    count = len(rows)
    boxes = Boxes(
        shape.expand(2, -1, -1).clone(),
        torch.full((2, count), 3.0),
        torch.arange(count).expand(2, -1),
        torch.ones(2, count, dtype=torch.bool),
    )
    return Proposal(Segments.empty(2), boxes, cascade.plain_ground(conditions))


@pytest.mark.parametrize("far", [0.8, 2.0])
def test_overlapping_houses_get_the_floor_area_that_was_asked(conditions, far):
    proposal = houses(conditions, (-30, 0, 40, 30), (-15, 0, 40, 30), (40, 0, 20, 60))
    targets = _targets(proposal, conditions, Brief.read({"far": far}))
    fitted = _fit_floors(proposal, targets, conditions)
    got = of_layout(soft(fitted, conditions), conditions.editable)["far"]
    # Storeys are whole where they are counted.
    torch.testing.assert_close(got, torch.full((2,), far), rtol=0.1, atol=0.0)


def test_coverage_is_held_only_where_it_is_asked(conditions):
    proposal = houses(conditions, (0, 0, 40, 30))
    free = _targets(proposal, conditions, Brief.read({"far": 1.0}))
    held = _targets(proposal, conditions, Brief.read({"far": 1.0, "site_coverage": 0.3}))
    assert free[:, 0].eq(1.0).all() and free[:, 1].isnan().all()
    assert held[:, 1].allclose(torch.tensor(0.3))


def test_carbon_does_not_win_by_rooms_without_daylight(conditions):
    slender = houses(conditions, *((x, 0.0, 12.0, 60.0) for x in (-60, -30, 0, 30, 60)))
    deep = houses(conditions, (0, 0, 60.0, 60.0))
    targets = torch.tensor([[0.8, torch.nan]]).expand(2, -1)
    slender, deep = (_fit_floors(one, targets, conditions) for one in (slender, deep))
    told = {"inside": conditions.editable, "targets": targets}
    blind = energy_of(Counting("fi"), **told)
    sighted = energy_of(Counting("fi"), core_limit=0.15, **told)
    seen = [soft(one, conditions) for one in (slender, deep)]
    assert (hold(blind, seen[1]) < hold(blind, seen[0])).all()  # less wall, less heat
    assert (hold(sighted, seen[1]) > hold(sighted, seen[0])).all()


def test_a_site_may_be_as_dark_as_the_city_around(conditions):
    around = core_limit_of(conditions)
    assert 0.15 < around < 0.8  # blocks of the inner city, wall to wall
    context = replace(conditions.context, cover=torch.zeros_like(conditions.context.cover))
    assert core_limit_of(replace(conditions, context=context)) == 0.15
