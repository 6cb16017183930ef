"""Houses proposed with as much outer wall as carbon bears.

The evaluator cannot judge a house before it is drawn, and a gradient can only move what is there.
So it is asked beforehand what wall costs on this site, and the sampler weighs its draws by that.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fabricgen.design.counting import Counting
from fabricgen.design.objective import COMMON_FLOORS, SteeringSettings, soft
from fabricgen.form.indicators import of_layout
from fabricgen.generator import cascade
from fabricgen.generator.buildings_sample import Tilt
from fabricgen.generator.cascade import SamplerSettings
from fabricgen.generator.checkpoint import Models
from fabricgen.generator.conditions import Boxes, Conditions, Proposal, Segments

SQUARE_M, BAR_M = (16.0, 16.0), (8.0, 32.0)  # houses of one area, with less and with more wall
APART_M = 48.0  # between their centers


def propose(
    models: Models,
    conditions: Conditions,
    *,
    keep_streets: bool,
    counting: Counting,
    rng: torch.Generator,
    sampler: SamplerSettings,
    steering: SteeringSettings,
) -> tuple[Proposal, Tilt]:
    """Streets and buildings of B proposals, those of guided runs with as much wall as carbon bears.

    Returns:
        The proposals, and the tilt that they were drawn under.
    """
    tilt = Tilt()
    if steering.guided and steering.wall_pull:
        price = wall_price(conditions, counting)
        tilt = Tilt(walls=(steering.wall_pull * price).expand(len(conditions.asks)))
    proposal = cascade.propose(
        models, conditions, fixed_streets=keep_streets, tilt=tilt, rng=rng, settings=sampler
    )
    return proposal, tilt


def wall_price(conditions: Conditions, counting: Counting) -> Tensor:
    """What a meter of outer wall per square meter of footprint costs here, (1,) [kgCO2e/m2 GFA/yr].

    The evaluator tells, by the difference between a site of square houses and one of bars of the
    same floor area; its slope at a house that is not drawn yet is nowhere else to be had.
    """
    one = conditions.first(1)
    center = _centers(one)
    net, wall = [], []
    for width_m, depth_m in (SQUARE_M, BAR_M):
        layout = soft(_houses(one, center, width_m, depth_m), one)
        form = of_layout(layout, one.editable)
        with torch.no_grad():
            total = counting.ledger(layout, one.editable).net_kgco2e_per_year
        net.append(total / (form["far"] * form["site_area_m2"]).clamp(min=1.0))
        wall.append(2 * (width_m + depth_m) / (width_m * depth_m))
    return (net[1] - net[0]) / (wall[1] - wall[0])


def _centers(one: Conditions) -> Tensor:
    """Of houses in rows over the site's rectangle, (N, 2) [m]."""
    at = []
    for across in (1, 2):  # columns, then rows
        where = one.editable.any(dim=across)[0].nonzero()[:, 0] * one.context.pixel_m
        low, high = where.min(), where.max() + one.context.pixel_m
        number = max(int((high - low) / APART_M), 1)
        at.append(low + (torch.arange(number) + 0.5) * (high - low) / number)
    return torch.cartesian_prod(*at).reshape(-1, 2)


def _houses(one: Conditions, center: Tensor, width_m: float, depth_m: float) -> Proposal:
    """Houses of one shape on a lawn."""
    count = len(center)
    shape = torch.tensor([width_m, depth_m, 0.0]).expand(count, 3)
    boxes = Boxes(
        torch.cat([center, shape], dim=1)[None],
        torch.full((1, count), COMMON_FLOORS),
        torch.arange(count)[None],
        torch.ones(1, count, dtype=torch.bool),
    )
    return Proposal(Segments.empty(1), boxes, cascade.plain_ground(one))
