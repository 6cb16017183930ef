"""What a wall costs, and houses that are drawn by it."""

import pytest
import torch

from fabricgen.design.brief import Brief
from fabricgen.design.conditions import conditions_of, surroundings_of
from fabricgen.design.counting import Counting
from fabricgen.design.loop import weights_path
from fabricgen.design.objective import SteeringSettings
from fabricgen.design.site import place_site
from fabricgen.design.walls import propose, wall_price
from fabricgen.generator.cascade import SamplerSettings
from fabricgen.generator.checkpoint import load


@pytest.fixture
def site(demo_shape, helsinki):
    return place_site(demo_shape, helsinki, name="site.gpkg")


def counted(site, region: str) -> Counting:
    return Counting(region, surroundings_of(site))


def test_walls_cost_less_where_it_is_mild(site):
    conditions = conditions_of(site, Brief.read({}), 1, keep_streets=False)
    cold, mild = (float(wall_price(conditions, counted(site, name))) for name in ("fi", "br"))
    assert cold > 5 and 0 < mild < 0.5 * cold


def test_the_price_does_not_hang_on_how_many_are_drawn(site):
    one, four = (conditions_of(site, Brief.read({}), n, keep_streets=False) for n in (1, 4))
    finland = counted(site, "fi")
    assert torch.equal(wall_price(one, finland), wall_price(four, finland))


@pytest.mark.slow
def test_guided_houses_have_less_wall_for_their_area(site):
    brief = Brief.read({"far": 2.0, "site_coverage": 0.35})
    conditions = conditions_of(site, brief, 4, keep_streets=True)
    models, share = load(weights_path("default")), {}
    for guided in (True, False):
        proposal, tilt = propose(
            models,
            conditions,
            keep_streets=True,
            counting=counted(site, "fi"),
            rng=torch.Generator().manual_seed(0),
            sampler=SamplerSettings(),
            steering=SteeringSettings(guided=guided),
        )
        assert (tilt.walls is not None) == guided
        sides = proposal.boxes.geometry[proposal.boxes.valid][:, 2:4]
        share[guided] = 2 * sides.sum() / sides.prod(1).sum()
    assert share[True] < 0.95 * share[False]
