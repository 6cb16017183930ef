"""Sampling of the buildings stage: boxes one after the other, for a batch of sites at once.

At a place several sizes are drawn, and several offsets for each. A draw is cut back off roads and
other buildings. Of those that keep most of their area the one nearest in size to the first is
taken, since the first that fits would favor small boxes; where a site is behind its coverage it is
the largest. Where every draw loses too much, the place is drawn again. `buildings_pace` keeps the
walk from skipping ground that the coverage needs.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fabricgen.generator.buildings_features import (
    ANOTHER,
    END,
    FLOOR_CLASSES,
    NEW,
    floors_log_prob,
    gather_near,
    mask_types,
)
from fabricgen.generator.buildings_network import BuildingsModel, Maps
from fabricgen.generator.buildings_pace import is_behind, most_m2, ruled_out, too_far
from fabricgen.generator.buildings_run import (
    Run,
    begin_run,
    cell_walk,
    fit_boxes,
    look_around,
    note_account,
    note_logs,
    write_boxes,
)
from fabricgen.generator.conditions import Boxes, Conditions
from fabricgen.generator.snap import SnapRange, draw_nucleus, snap_draw, snap_log_prob

# Logits of places to avoid, above the -1e9 of those that are closed.
HASTY, TRIED = -1e4, -1e7


@dataclass(frozen=True)
class BuildingsSampling:
    """How boxes are drawn."""

    nucleus: float = 0.9  # of the probability of turns and offsets; 1 draws from all of it
    size_nucleus: float = 1.0  # the same for sizes: the few large houses make a place
    place_nucleus: float = 1.0  # the same for places
    another: float = 0.4  # added to the logit of a further box of a building: ours are neater than
    # real ones, and after neat ones the network goes on too seldom
    sizes: int = 3  # draws of a box's size at once
    tries: int = 5  # draws of its offsets for each size
    places: int = 4  # draws of a place before the best is taken
    road_m: float = 0.5  # depth into a road that is borne
    keep_share: float = 0.7  # of a drawn box's area; one that loses more is drawn again
    drop_share: float = 0.4  # of its area, below which a box is left out of the result
    least_m: float = 1.0  # the same for its shorter side
    hold_coverage: bool = True  # pace by the coverage to be reached, and end there
    short_share: float = 0.8  # of the coverage asked, below which no end is drawn
    max_boxes: int | None = None  # the model's own limit when None


@dataclass(frozen=True)
class Tilt:
    """A push on the choices of each item, (B,); a Kullback-Leibler tilt by a linear term."""

    end: Tensor | None = None  # added to the logit of ending
    floors: Tensor | None = None  # times the number of floors, added to their logits


@dataclass(frozen=True, eq=False)
class _Pen:
    """What every draw needs."""

    model: BuildingsModel
    maps: Maps
    rng: torch.Generator
    sampling: BuildingsSampling
    tilt: Tilt


def sample(
    model: BuildingsModel,
    conditions: Conditions,
    *,
    rng: torch.Generator,
    sampling: BuildingsSampling | None = None,
    tilt: Tilt | None = None,
    block_coverage: Tensor | None = None,
) -> Boxes:
    """Draw the buildings of B sites.

    Args:
        model: Trained weights.
        conditions: Sites with all their streets; `boxes` of the conditions stand and stay.
        rng: Randomness, on the model's device.
        sampling: How boxes are drawn.
        tilt: A push on ends and floors.
        block_coverage: Coverage asked of the block at each pixel, (B, H, W), NaN free.

    Returns:
        New boxes only, (B, L).
    """
    run = draw_sequence(
        model,
        conditions,
        rng=rng,
        sampling=sampling or BuildingsSampling(),
        tilt=tilt or Tilt(),
        block_coverage=block_coverage,
    )
    boxes = run.batch["boxes"][:, 1:]
    standing = run.batch["context"].shape[1]
    valid = torch.from_numpy(run.stands[:, standing:]).to(boxes.device)
    building = run.batch["building"][:, 1:].clamp(min=0)
    # Out of inference, so that a gradient may move them.
    return Boxes(boxes[..., :5].clone(), boxes[..., 5].clone(), building.clone(), valid)


@torch.inference_mode()
def draw_sequence(
    model: BuildingsModel,
    conditions: Conditions,
    *,
    rng: torch.Generator,
    sampling: BuildingsSampling,
    tilt: Tilt,
    block_coverage: Tensor | None = None,
) -> Run:
    """Draw and keep the whole account, from which `log_prob` recomputes every probability."""
    most = model.settings.max_boxes
    limit = min(sampling.max_boxes or most, most)
    device = next(model.parameters()).device
    run = begin_run(
        conditions, model.settings, limit=limit, block_coverage=block_coverage, device=device
    )
    batch = run.batch
    maps = model.encode(batch["raster"], batch["overall"])
    pen = _Pen(model, maps, rng, sampling, tilt)
    past = None
    for at in range(limit):
        note_account(run, at)
        boxes, account = batch["boxes"][:, at : at + 1], batch["account"][:, at : at + 1]
        state, past = model.read(maps, batch["overall"], boxes, account, past)
        _draw_kinds(run, pen, state[:, 0], at=at)
        if run.done.all():
            break
        _draw_boxes(run, pen, state[:, 0], at=at)
    return run


def _draw_kinds(run: Run, pen: _Pen, state: Tensor, *, at: int) -> None:
    """Draw new building, another box or end for each site that goes on."""
    at_start = torch.full((len(state),), at == 0, device=state.device)
    plain = mask_types(pen.model.type_head(state), at_start)
    logits = plain.clone()
    logits[:, ANOTHER] += pen.sampling.another
    if pen.tilt.end is not None:
        logits[:, END] += pen.tilt.end
    short = pen.sampling.short_share if pen.sampling.hold_coverage else None
    for index in range(len(run.scenes)):
        logits[index, ruled_out(run, index, short_share=short)] = -1e9
    kind = torch.multinomial(logits.softmax(-1), 1, generator=pen.rng)[:, 0]
    going = torch.from_numpy(~run.done).to(kind.device)
    log = plain.log_softmax(-1).gather(1, kind[:, None])[:, 0]
    run.logs.setdefault("type", []).append(torch.where(going, log, torch.nan))
    run.batch["kind"][:, at] = kind
    ends = going & (kind == END)
    run.batch["complete"] |= ends
    run.done |= ends.cpu().numpy()


def _draw_boxes(run: Run, pen: _Pen, state: Tensor, *, at: int) -> None:
    """Draw the next box of every site that goes on; `state` is (B, width)."""
    item = torch.from_numpy(np.flatnonzero(~run.done)).to(state.device)
    walk, kind = cell_walk(run, item, at), run.batch["kind"][item, at]
    logits = pen.model.cell_logits(pen.maps, state[item], kind, item, walk)  # (R, C)
    log_cell = logits.log_softmax(-1)
    if pen.sampling.hold_coverage:
        hasty = np.stack([too_far(run, index) for index in item.tolist()])
        hasty = torch.from_numpy(hasty).to(item.device) & (kind == NEW)[:, None]
        logits = logits + HASTY * hasty
    best: dict[str, Tensor] = {}
    waiting = torch.arange(len(item), device=item.device)
    for _ in range(pen.sampling.places):
        cell = draw_nucleus(logits[waiting], nucleus=pen.sampling.place_nucleus, rng=pen.rng)
        drawn = _draw_numbers(run, pen, state[item[waiting]], item[waiting], cell=cell, at=at)
        drawn["cell_log"] = log_cell[waiting].gather(1, cell[:, None])[:, 0]
        _keep_better(best, drawn, waiting)
        bad = drawn["kept"] < pen.sampling.keep_share
        waiting, cell = waiting[bad], cell[bad]
        if len(waiting) == 0:
            break
        logits[waiting, cell] = TRIED
    counts = best["kept"] >= pen.sampling.drop_share
    write_boxes(run, item, at, drawn=best, counts=counts)
    note_logs(run, item, best)


def _keep_better(best: dict[str, Tensor], drawn: dict[str, Tensor], rows: Tensor) -> None:
    """Put draws of some rows in place of those that kept less of their area."""
    if not best:
        best.update({name: values.clone() for name, values in drawn.items()})
        return
    better = drawn["kept"] > best["kept"][rows]
    for name, values in drawn.items():
        best[name][rows[better]] = values[better]


def _draw_numbers(
    run: Run, pen: _Pen, state: Tensor, item: Tensor, *, cell: Tensor, at: int
) -> dict[str, Tensor]:
    """Numbers of a box in each given cell, the best of several draws; arrays of (R, ...)."""
    batch, tries, nucleus = run.batch, pen.sampling.tries, pen.sampling.nucleus
    many = pen.sampling.sizes * tries
    near, setbacks = look_around(run, item, cell, keep=pen.model.settings.neighbors)
    features = gather_near(batch, item, torch.full_like(item, at), near)
    kind, street = batch["kind"][item, at], batch["street"][item, cell]
    place = pen.model.look(pen.maps, state, kind, item, cell, features, street, setbacks)
    push = pen.tilt.floors
    push = None if push is None else push[item].repeat_interleave(many)
    logs: dict[str, Tensor] = {}

    def choose(name: str, spec: SnapRange | None, weights: Tensor, values: Tensor) -> Tensor:
        if spec is None:
            drawn = _draw_floors(weights, values, push=push, nucleus=nucleus, rng=pen.rng)
            logs[name] = floors_log_prob(weights, values, drawn)
            return drawn
        share = pen.sampling.size_nucleus if name in ("width", "depth") else nucleus
        drawn = snap_draw(weights, values, spec=spec, nucleus=share, rng=pen.rng)
        log = snap_log_prob(weights, values, drawn, spec=spec)
        logs[name] = log if len(log) == len(item) * many else log.repeat_interleave(tries)
        return drawn

    sizes = place.repeat(pen.sampling.sizes)  # each is tried at several offsets
    boxes = pen.model.attributes(sizes, choose, offsets=tries)  # (R * many, 6)
    fitted = fit_boxes(run, boxes[:, :5], item, at, many=many, road_m=pen.sampling.road_m)
    area_m2 = fitted[:, 2:4].prod(1)
    kept = area_m2 / boxes[:, 2:4].prod(1)
    kept = torch.where(fitted[:, 2:4].amin(1) < pen.sampling.least_m, 0.0, kept).view(-1, many)
    area_m2, behind = area_m2.view(-1, many), torch.zeros_like(item, dtype=torch.bool)
    if pen.sampling.hold_coverage:
        behind = torch.tensor([is_behind(run, index) for index in item.tolist()]).to(item.device)
        limit_m2 = torch.tensor([most_m2(run, index) for index in item.tolist()]).to(item.device)
        kept = torch.where(area_m2 > limit_m2[:, None], 0.0, kept)
    wanted_m2 = boxes[::many, 2:4].prod(1)
    pick = _pick_draw(kept, area_m2, wanted_m2, behind, keep_share=pen.sampling.keep_share)
    row = torch.arange(len(item), device=item.device) * many + pick
    return {f"{name}_log": values[row] for name, values in logs.items()} | {
        "drawn": boxes[row],
        "box": torch.cat([fitted, boxes[:, 5:]], dim=1)[row],
        "kept": kept.gather(1, pick[:, None])[:, 0],
        "cell": cell,
        "near": near,
        "setbacks": setbacks,
    }


def _pick_draw(
    kept: Tensor, area_m2: Tensor, wanted_m2: Tensor, behind: Tensor, *, keep_share: float
) -> Tensor:
    """Which of many draws is taken, (R,).

    Args:
        kept: Share of its area that each draw keeps, (R, many).
        area_m2: What it keeps, (R, many).
        wanted_m2: Area of the first draw before it was cut, (R,).
        behind: Whether the site is behind its coverage, (R,).
        keep_share: Of its area, that a draw must keep if any does.

    Returns:
        Among the draws that keep enough the one nearest to the wanted area, or the largest where
        the site is behind; where none keeps enough, the one that keeps most.
    """
    good = kept >= keep_share
    far = (area_m2.clamp(min=1e-3) / wanted_m2[:, None]).log().abs()
    nearest = torch.where(good, far, torch.inf).argmin(1)
    largest = torch.where(good, area_m2, -1.0).argmax(1)
    return torch.where(good.any(1), torch.where(behind, largest, nearest), kept.argmax(1))


def _draw_floors(
    weights: Tensor,
    neighbors: Tensor,
    *,
    push: Tensor | None,
    nucleus: float,
    rng: torch.Generator,
) -> Tensor:
    """Whole storeys, from the classes or from a neighbor, under an exponential tilt. (R,)."""
    classes = torch.arange(1, FLOOR_CLASSES + 1, device=weights.device, dtype=weights.dtype)
    storeys = neighbors.round().clamp(1, FLOOR_CLASSES)
    values = torch.cat([classes.expand(len(weights), -1), storeys], dim=1)
    if push is not None:
        weights = weights + push[:, None] * values
    return values.gather(1, draw_nucleus(weights, nucleus=nucleus, rng=rng)[:, None])[:, 0]
