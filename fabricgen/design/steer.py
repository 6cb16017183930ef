"""Steering by the gradient: boxes chosen, drawn anew and moved, the ground tilted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from fabricgen.design.brief import Brief
from fabricgen.design.counting import Counting
from fabricgen.design.objective import (
    COMMON_FLOORS,
    TREE_HEIGHT_M,
    SteeringSettings,
    core_limit_of,
    energy_of,
    ground_cost,
    hold,
    soft,
)
from fabricgen.form.indicators import STOREY_M, of_layout
from fabricgen.generator import cascade
from fabricgen.generator.cascade import SamplerSettings
from fabricgen.generator.checkpoint import Models
from fabricgen.generator.conditions import (
    Boxes,
    Conditions,
    Proposal,
    join_segments,
)
from fabricgen.generator.proposal import Guide, PolishSettings, groups_of, polish
from fabricgen.generator.steering import Constraint, harden, kl_tilt
from fabricgen.surfaces import GREEN, PAVED, TREE

FIT_TURNS = 3  # of bringing floors to the asked floor area


def steer_boxes(  # noqa: PLR0913  # the whole state of a part passes through here
    models: Models,
    proposal: Proposal,
    conditions: Conditions,
    brief: Brief,
    count: int,
    *,
    counting: Counting,
    rng: torch.Generator,
    sampler: SamplerSettings,
    steering: SteeringSettings,
    say: Callable[[str], None],
) -> tuple[Proposal, Conditions]:
    """The best of the proposals, their costliest parts drawn anew, their groups moved.

    Args:
        models: With a buildings stage.
        proposal: Streets and boxes of all candidates.
        conditions: What they were told.
        brief: Floor area and coverage to hold.
        count: Schemes to keep.
        counting: How carbon is counted.
        rng: Source of chance.
        sampler: How boxes are drawn.
        steering: How hard carbon pulls.
        say: Hears what is being done.

    Returns:
        Proposal and conditions of `count` schemes.
    """
    proposal = replace(proposal, boxes=_with_floors(proposal.boxes))
    inside = conditions.editable
    targets = _targets(proposal, conditions, brief)
    proposal = _fit_floors(proposal, targets, conditions)
    limit, weight = core_limit_of(conditions), float(steering.guided)
    guide = energy_of(
        counting, inside=inside, targets=targets, core_limit=limit, carbon_weight=weight
    )
    energy = _energy(guide, proposal, conditions)
    index = energy.argsort()[:count]
    proposal, conditions = cascade.choose(proposal, index), conditions.first(count)
    if not steering.guided:
        return proposal, conditions

    # The costliest parts anew, then all groups down the gradient; only what gains is kept.
    inside, targets, energy = conditions.editable, targets[index], energy[index]
    guide = energy_of(counting, inside=inside, targets=targets, core_limit=limit)
    for turn in range(steering.rounds):
        say(f"drawing the costliest parts anew, round {turn + 1} of {steering.rounds}")
        leave = _costliest(proposal, conditions, counting, share=steering.redraw_share)
        other = cascade.redraw(models, proposal, leave, conditions, rng=rng, settings=sampler)
        other = replace(other, boxes=_with_floors(other.boxes))
        other = _fit_floors(other, targets, conditions)
        proposal, energy = _better(guide, other, proposal, energy, conditions)
    say("moving buildings down the gradient")
    other = polish(
        proposal,
        conditions,
        guide,
        storey_m=STOREY_M,
        tree_height_m=TREE_HEIGHT_M,
        settings=PolishSettings(steps=steering.polish_steps),
    )
    other = _fit_floors(other, targets, conditions)
    return _better(guide, other, proposal, energy, conditions)[0], conditions


def _better(
    guide: Guide, other: Proposal, proposal: Proposal, energy: Tensor, conditions: Conditions
) -> tuple[Proposal, Tensor]:
    """Item by item, the one with less energy."""
    trial = _energy(guide, other, conditions)
    wins = trial < energy
    return cascade.where(wins, other, proposal), torch.where(wins, trial, energy)


def _energy(guide: Guide, proposal: Proposal, conditions: Conditions) -> Tensor:
    return hold(guide, soft(proposal, conditions))


def _with_floors(boxes: Boxes) -> Boxes:
    return replace(boxes, floors=torch.nan_to_num(boxes.floors, nan=COMMON_FLOORS).clamp(min=1))


def _targets(proposal: Proposal, conditions: Conditions, brief: Brief) -> Tensor:
    """Floor area ratio and coverage to hold, (B, 2).

    Floor area that nobody asked for stays as it was proposed, or carbon would win by building
    less; coverage that nobody asked for is free, NaN.
    """
    got = of_layout(soft(proposal, conditions), conditions.editable)
    far = got["far"].clamp(*brief.asks.get("far", (-math.inf, math.inf)))
    coverage = torch.full_like(far, math.nan)
    if "site_coverage" in brief.asks:
        coverage = got["site_coverage"].clamp(*brief.asks["site_coverage"])
    return torch.stack([far, coverage], dim=1)


def _fit_floors(proposal: Proposal, targets: Tensor, conditions: Conditions) -> Proposal:
    """Floors scaled alike on all boxes so that the floor area is the asked one.

    Floor area is that of the drawing: boxes that overlap or reach out of the site hold less than
    their sum. Box by box no less than one floor, so that it takes a few turns.
    """
    for _ in range(FIT_TURNS):
        far = of_layout(soft(proposal, conditions), conditions.editable)["far"]
        factor = (targets[:, 0] / far.clamp(min=1e-6)).clamp(0.2, 5.0)
        floors = (proposal.boxes.floors * factor[:, None]).clamp(min=1.0)
        proposal = replace(proposal, boxes=replace(proposal.boxes, floors=floors))
    return proposal


def _costliest(
    proposal: Proposal, conditions: Conditions, counting: Counting, *, share: float
) -> Tensor:
    """Groups of boxes with the highest net carbon per floor area, up to a share of it, (B, N)."""
    layout = soft(proposal, conditions)
    with torch.no_grad():
        ledger = counting.ledger(layout, conditions.editable)
        net = ledger.map("emission") - ledger.map("sink")  # (B, H, W)
    boxes, groups = proposal.boxes, groups_of(proposal.boxes)
    cell = (boxes.geometry[..., :2] / conditions.context.pixel_m).long()
    col, row = cell[..., 0].clamp(0, net.shape[2] - 1), cell[..., 1].clamp(0, net.shape[1] - 1)
    item = torch.arange(len(net))[:, None]
    floor_m2 = boxes.geometry[..., 2:4].prod(-1) * boxes.floors * boxes.valid
    cost = net[item, row, col] / boxes.floors * boxes.valid  # per pixel and storey
    size = int(groups.max()) + 1
    total = torch.zeros(len(net), size).scatter_add(1, groups, cost * floor_m2)
    weight = torch.zeros(len(net), size).scatter_add(1, groups, floor_m2)
    order = (total / weight.clamp(min=1e-6)).argsort(dim=1, descending=True)
    run_up = weight.gather(1, order).cumsum(1) / weight.sum(1, keepdim=True).clamp(min=1e-6)
    taken = torch.zeros_like(weight, dtype=torch.bool).scatter(1, order, run_up <= share)
    return taken.gather(1, groups) & boxes.valid


def lay_ground(
    models: Models,
    proposal: Proposal,
    conditions: Conditions,
    brief: Brief,
    *,
    counting: Counting,
    rng: torch.Generator,
    sampler: SamplerSettings,
    steering: SteeringSettings,
) -> Proposal:
    """The ground stage under the brief, tilted by carbon where the run is guided."""
    streets = join_segments(conditions.segments, proposal.streets)
    told = conditions.with_segments(streets)
    pull = None
    if steering.guided:
        # On a guess without paving, or every new tree would be charged with paving beneath it.
        lawn = replace(proposal, ground=cascade.plain_ground(conditions, green=0.99))
        cost = ground_cost(soft(lawn, conditions), counting, inside=conditions.editable)
        pull = -steering.ground_pull * (cost - cost.mean(dim=1, keepdim=True))
    tilt = _tilt_of(brief, pull, steering.keep_access_share)
    log_p = cascade.draw_ground(
        models, told, proposal.boxes, proposal.streets, tilt=tilt, rng=rng,
        settings=sampler,
    )  # fmt: skip
    built, road = cascade.built_masks(conditions, proposal.boxes, proposal.streets)
    free = conditions.editable & ~built & ~road
    log_p = harden(log_p, _shares(brief, conditions.editable, free), where=free)
    return replace(proposal, ground=log_p)


def _shares(brief: Brief, site: Tensor, free: Tensor) -> list[Constraint]:
    """The brief's shares of the site as shares of its open ground."""
    share = site.sum(dim=(1, 2)) / free.sum(dim=(1, 2)).clamp(min=1)  # (B,)
    return [
        Constraint(surfaces, brief.asks[name][0] * share, brief.asks[name][1] * share)
        for name, surfaces in (("green_ratio", GREEN), ("tree_share", (TREE,)))
        if name in brief.asks
    ]


def _tilt_of(brief: Brief, pull: Tensor | None, keep_access_share: float) -> cascade.Tilt:
    """Steers the ground: shares of the brief hold, and carbon pulls within them.

    A share of the site becomes one of the open ground that a window draws; each window holds it
    on its own part of the site.
    """

    def tilt(log_p: Tensor, free: Tensor, part: Tensor, span: tuple[slice, slice]) -> Tensor:
        constraints = _shares(brief, part, free)
        if pull is not None:
            paved = (log_p[:, PAVED].exp() * free).sum(dim=(1, 2)) / free.sum((1, 2)).clamp(min=1)
            constraints.append(Constraint((PAVED,), keep_access_share * paved, 1.0))
            log_p = torch.log_softmax(log_p + pull[:, :, span[0], span[1]], dim=1)
        return kl_tilt(log_p, constraints, where=free)

    return tilt
