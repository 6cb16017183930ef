"""What steers: carbon per floor area under the brief, as an energy with a gradient.

The energy holds floor area at what was asked (or at what the proposal had), so that it cannot win
by building less, and coverage where it was asked; buildings may be no darker than those around, so
that it cannot win by depth; the ground keeps its share of paths and yards, so that it cannot win by
taking away access.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fabricgen.design.counting import Counting
from fabricgen.form.daylight import core_share
from fabricgen.form.indicators import STOREY_M, of_layout
from fabricgen.generator.conditions import Conditions, Proposal
from fabricgen.generator.proposal import Guide, draw
from fabricgen.layout import Layout

TYPICAL_KGCO2E_PER_M2_YEAR = 10.0  # a difference of this much per floor area counts as 1
TREE_HEIGHT_M = 8.0  # of a mature street tree; carbon-model section 1
MISS = 50.0  # of a squared relative miss: a tenth missed counts as half the difference above
FREE = (0.0, 0.15)  # misses of far and coverage that closing the drawn plan takes away
DARK = 20.0  # a tenth of the floor area too dark counts as twice of it
LEAST_CORE_SHARE = 0.15  # of the floor area, that may be dark also among slender houses
COMMON_FLOORS = 3.0  # of a box whose floors nobody knows


@dataclass(frozen=True)
class SteeringSettings:
    """How hard carbon pulls."""

    guided: bool = True  # False: the brief alone steers
    rounds: int = 1  # of drawing the costliest parts anew
    polish_steps: int = 12  # gradient moves of boxes after that
    redraw_share: float = 0.25  # of the floor area, the costliest, drawn anew in each round
    ground_pull: float = 1.5  # odds (ln) per kgCO2e/m2/yr that the ground yields to carbon
    keep_access_share: float = 0.8  # of the unsteered paved ground that must stay


def energy_of(
    counting: Counting,
    *,
    inside: Tensor,
    targets: Tensor,
    core_limit: float = 1.0,
    carbon_weight: float = 1.0,
) -> Callable[[Layout], Tensor]:
    """An energy of soft layouts.

    Args:
        counting: How carbon is counted.
        inside: The site, (B, H, W) bool.
        targets: Floor area ratio and coverage to hold, (B, 2); NaN: free.
        core_limit: Share of the floor area that may lie away from daylight.
        carbon_weight: 0 leaves brief and daylight alone.

    Returns:
        A function from a layout to (B,): net per floor area that is there, in units of
        `TYPICAL_KGCO2E_PER_M2_YEAR`, squared relative misses of the targets times `MISS`, and the
        share of floor area that is dark beyond the limit times `DARK`.
    """

    def energy(layout: Layout) -> Tensor:
        form = of_layout(layout, inside)
        got = torch.stack([form["far"], form["site_coverage"]], dim=1)  # (B, 2)
        aim = torch.where(targets.isnan(), got.detach(), targets)
        off = ((got - aim) / aim.clamp(min=1e-3)).abs()
        miss = (off - off.new_tensor(FREE)).clamp(min=0).square().sum(dim=1)
        dark = (core_share(layout, inside) - core_limit).clamp(min=0)
        total = MISS * miss + DARK * dark
        if carbon_weight:
            ledger = counting.ledger(layout, inside)
            floor_m2 = (form["far"] * form["site_area_m2"]).clamp(min=1.0)
            per_floor = ledger.net_kgco2e_per_year / floor_m2
            total = total + carbon_weight * per_floor / TYPICAL_KGCO2E_PER_M2_YEAR
        return total

    return energy


def ground_cost(layout: Layout, counting: Counting, *, inside: Tensor) -> Tensor:
    """Net carbon of one more square meter of each surface, (B, 8, H, W) [kgCO2e/m2/yr].

    The gradient of the evaluator with respect to the shares: all that the tilt of generator.md
    section 2.3 needs of an objective that is not linear. Travel is left out: it follows the
    streets, which the choice of ground does not move; seen from above, a crown beside a street
    would pass for a part of it.
    """
    cover = layout.cover.detach().requires_grad_()
    soft = Layout(cover, layout.height_m, layout.allowed, layout.height_known, layout.pixel_m)
    signs = {"emission": 1.0, "sink": -1.0}
    net = sum(
        signs[entry.kind] * entry.amount.sum()
        for entry in counting.ledger(soft, inside).entries
        if entry.kind in signs and not entry.name.startswith("travel.")
    )
    (slope,) = torch.autograd.grad(net, cover)
    return slope / layout.pixel_m**2


def soft(proposal: Proposal, conditions: Conditions) -> Layout:
    """A proposal as the evaluator sees it while it steers, (B, 8, H, W)."""
    return draw(proposal, conditions, storey_m=STOREY_M, tree_height_m=TREE_HEIGHT_M)


def core_limit_of(conditions: Conditions) -> float:
    """Share of dark floor area that a site may have: that of the buildings around it."""
    one = conditions.first(1)
    return max(float(core_share(one.context, ~one.editable)), LEAST_CORE_SHARE)


def hold(guide: Guide, layout: Layout) -> Tensor:
    """Energy without a gradient, (B,)."""
    with torch.no_grad():
        return guide(layout)
