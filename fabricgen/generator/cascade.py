"""The three stages in a row over all windows of a site, and drawing a part of a proposal anew."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from fabricgen.errors import CheckpointError
from fabricgen.generator import buildings, ground, streets_site
from fabricgen.generator.buildings_sample import BuildingsSampling
from fabricgen.generator.checkpoint import Models
from fabricgen.generator.conditions import (
    BRIEF_KEYS,
    WINDOW_PX,
    Boxes,
    Conditions,
    Proposal,
    Segments,
    join_boxes,
    join_segments,
    packed,
)
from fabricgen.generator.paths import strip_mask
from fabricgen.generator.proposal import box_shares, road_shares
from fabricgen.generator.windows import (
    RING_PX,
    Tile,
    cut,
    shift_boxes,
    tiles,
    whole_blocks,
    without_known,
)
from fabricgen.layout import Layout
from fabricgen.surfaces import BIT, BUILDING, GRASS, LOCAL, PAVED, ROAD, SURFACES, TREE

# Log-probabilities (B, 8, h, w) of a window, the open ground that it draws (B, h, w), its part of
# the site (B, h, w), and where it lies on the frame (rows, cols) -> the same, steered.
Tilt = Callable[[Tensor, Tensor, Tensor, tuple[slice, slice]], Tensor]

CORE_PX = (64, WINDOW_PX - 2 * RING_PX)  # shortest and longest side of what a window draws
FILL_SHARE = 0.8  # of the most boxes of the model, that a core is meant to hold
COMMON_COVERAGE = 0.25  # where none is asked
MOST_COVERAGE = 0.85  # that the ground left by zones without houses is asked to hold
FAR, COVERAGE = BRIEF_KEYS.index("far"), BRIEF_KEYS.index("site_coverage")


@dataclass(frozen=True)
class SamplerSettings:
    """How proposals are drawn."""

    oversample: int = 3  # proposals for each scheme; the best by the brief and the guide goes on
    nucleus: float = 0.9  # share of the probability that turns and offsets are drawn from
    ground_steps: int = 8  # evaluations of the ground network


def draw_streets(models: Models, conditions: Conditions, *, rng: torch.Generator) -> Segments:
    """New streets on the site, (B, M)."""
    return streets_site.draw(_stage(models, "streets"), conditions, rng=rng)


def draw_boxes(
    models: Models,
    conditions: Conditions,
    *,
    standing: Boxes | None = None,
    rng: torch.Generator,
    settings: SamplerSettings,
) -> Boxes:
    """New buildings on the site, window by window, besides those that already stand on it.

    Args:
        models: With a buildings stage.
        conditions: Streets of the site among their segments.
        standing: Boxes on the site that stay.
        rng: Source of chance.
        settings: Of the sampler.

    Returns:
        The new boxes only, (B, N).
    """
    model = _stage(models, "buildings")
    conditions = _for_buildings(conditions)
    found = Boxes.empty(len(conditions.asks))
    stands = _built(Boxes.empty(len(conditions.asks)) if standing is None else standing, conditions)
    most = model.settings.max_boxes
    todo = tiles(conditions.editable[0], core_px=_core_px(conditions, most))
    if len(todo) > 1:
        todo = whole_blocks(todo, _blocks(conditions))
    for place, tile in enumerate(todo):
        ahead = torch.stack([each.core for each in todo[place:]]).any(dim=0)
        stays = found if standing is None else join_boxes(standing, found)
        seen = replace(
            conditions,
            boxes=join_boxes(conditions.boxes, stays),
            asks=_asks_left(conditions, stands, ahead),
        )
        if standing is None:  # else the later windows are built for the most part
            seen = without_known(seen, ahead & ~tile.core)
        sampling = BuildingsSampling(nucleus=settings.nucleus)
        new = buildings.sample(model, cut(seen, tile), rng=rng, sampling=sampling)
        new = shift_boxes(new, *_corner(conditions, tile))
        found = join_boxes(found, new)
        stands = stands + _built(new, conditions)
    return found


def draw_ground(
    models: Models,
    conditions: Conditions,
    boxes: Boxes,
    roads: Segments,
    *,
    tilt: Tilt | None,
    rng: torch.Generator,
    settings: SamplerSettings,
) -> Tensor:
    """Surface of the ground of the site, (B, 8, H, W) log-probabilities.

    The windows are drawn one after the other; each sees all buildings and streets of the site, and
    the ground of the windows before it.
    """
    model = _stage(models, "ground")
    rows, cols = conditions.editable.shape[1:]
    built, road = built_masks(conditions, boxes, roads)
    laid = conditions.context.allowed
    for surface, mask in ((ROAD, road), (BUILDING, built)):
        laid = torch.where(conditions.editable & mask, BIT[surface], laid)
    seen = replace(conditions, context=replace(conditions.context, allowed=laid.to(torch.uint8)))
    log_p = torch.full((len(conditions.asks), len(SURFACES), rows, cols), -30.0)
    for tile in tiles(conditions.editable[0]):
        window = cut(seen, tile)
        span = (
            slice(tile.row, tile.row + WINDOW_PX),
            slice(tile.col, tile.col + WINDOW_PX),
        )
        walls, lanes = built[:, span[0], span[1]], road[:, span[0], span[1]]
        part = ground.sample(
            model,
            window,
            walls,
            lanes,
            rng=rng,
            steps=settings.ground_steps,
            tilt=None if tilt is None else _on(tilt, window.editable, walls | lanes, span),
        )
        own = window.editable[:, None]
        log_p[:, :, span[0], span[1]] = torch.where(own, part, log_p[:, :, span[0], span[1]])
        seen = replace(seen, context=_with_ground(seen.context, log_p, conditions.editable, tile))
    return log_p


def built_masks(conditions: Conditions, boxes: Boxes, roads: Segments) -> tuple[Tensor, Tensor]:
    """Pixels mostly under new buildings and under new carriageways, each (B, H, W) bool."""
    rows, cols = conditions.editable.shape[1:]
    grid = {"rows": rows, "cols": cols, "pixel_m": conditions.context.pixel_m}
    built, _, _ = box_shares(replace(boxes, floors=torch.ones_like(boxes.floors)), 1.0, **grid)
    road, _ = road_shares(roads, **grid)
    return built > 0.5, (road > 0.5) & (built <= 0.5)


def plain_ground(conditions: Conditions, *, green: float = 0.45, tree: float = 0.15) -> Tensor:
    """A flat guess of the ground for judging boxes before any ground is drawn, (B, 8, H, W) log."""
    share = torch.full((len(SURFACES),), 1e-6)
    share[TREE], share[GRASS], share[PAVED] = tree, green - tree, 1 - green
    rows, cols = conditions.editable.shape[1:]
    return share.log()[None, :, None, None].expand(len(conditions.asks), -1, rows, cols)


def propose(
    models: Models,
    conditions: Conditions,
    *,
    fixed_streets: bool,
    rng: torch.Generator,
    settings: SamplerSettings,
) -> Proposal:
    """Streets and buildings of B proposals; the ground is a flat guess until `draw_ground`."""
    new = Segments.empty(len(conditions.asks))
    if not fixed_streets:
        new = draw_streets(models, conditions, rng=rng)
    told = conditions.with_segments(join_segments(conditions.segments, new))
    boxes = draw_boxes(models, told, rng=rng, settings=settings)
    return Proposal(new, boxes, plain_ground(conditions))


def redraw(
    models: Models,
    proposal: Proposal,
    leave: Tensor,
    conditions: Conditions,
    *,
    rng: torch.Generator,
    settings: SamplerSettings,
) -> Proposal:
    """Take the boxes marked by `leave` (B, N) away and draw others in their place."""
    kept = packed(replace(proposal.boxes, valid=proposal.boxes.valid & ~leave))
    told = conditions.with_segments(join_segments(conditions.segments, proposal.streets))
    new = draw_boxes(models, told, standing=kept, rng=rng, settings=settings)
    return replace(proposal, boxes=packed(join_boxes(kept, new)))


def choose(proposal: Proposal, index: Tensor) -> Proposal:
    """The items of a batch at `index` (K,)."""
    s, b = proposal.streets, proposal.boxes
    return Proposal(
        Segments(s.ends[index], s.width_m[index], s.kind[index], s.valid[index]),
        packed(Boxes(b.geometry[index], b.floors[index], b.building[index], b.valid[index])),
        proposal.ground[index],
    )


def where(mask: Tensor, first: Proposal, second: Proposal) -> Proposal:
    """`first` for the items where `mask` (B,) is True, `second` for the others."""
    both = Proposal(
        Segments(*_stacked(first.streets, second.streets)),
        Boxes(*_stacked(first.boxes, second.boxes)),
        torch.cat([first.ground, second.ground]),
    )
    batch = torch.arange(len(mask))
    return choose(both, torch.where(mask, batch, batch + len(mask)))


def _stacked(first: Boxes | Segments, second: Boxes | Segments) -> list[Tensor]:
    """Fields of two batches one after the other, padded to the longer."""
    fields = []
    for a, b in zip(vars(first).values(), vars(second).values(), strict=True):
        longest = max(a.shape[1], b.shape[1])
        padded = [x.new_zeros(x.shape[0], longest, *x.shape[2:]) for x in (a, b)]
        for room, x in zip(padded, (a, b), strict=True):
            room[:, : x.shape[1]] = x
        fields.append(torch.cat(padded))
    return fields


def _stage(models: Models, name: str) -> torch.nn.Module:
    model = models.stages().get(name)
    if model is None:
        raise CheckpointError(f"the weights hold no {name} stage", "use weights with all stages")
    return model


def _for_buildings(conditions: Conditions) -> Conditions:
    """Conditions in which ground where no house may stand is no site: the rest holds all asked."""
    if conditions.buildable is None:
        return conditions
    site, rest = conditions.editable, conditions.editable & conditions.buildable
    times = site.sum(dim=(1, 2)) / rest.sum(dim=(1, 2)).clamp(min=1)
    asks = conditions.asks.clone()
    asks[:, FAR] *= times
    asks[:, COVERAGE] = (asks[:, COVERAGE] * times).clamp(max=MOST_COVERAGE)
    return replace(conditions, editable=rest, asks=asks, buildable=None)


def _corner(conditions: Conditions, tile: Tile) -> tuple[float, float]:
    pixel_m = conditions.context.pixel_m
    return tile.col * pixel_m, tile.row * pixel_m


def _built(boxes: Boxes, conditions: Conditions) -> Tensor:
    """Ground under boxes and floor area per ground, at each pixel, (B, 2, rows, cols)."""
    rows, cols = conditions.editable.shape[1:]
    known = replace(boxes, floors=torch.nan_to_num(boxes.floors))
    pixel_m = conditions.context.pixel_m
    foot, _, floors = box_shares(known, 1.0, rows=rows, cols=cols, pixel_m=pixel_m)
    return torch.stack([foot, foot * floors], dim=1)


def _core_px(conditions: Conditions, max_boxes: int) -> int:
    """Longest side of a core that the model can fill, if boxes are as large as those around."""
    around = conditions.boxes.geometry[0][conditions.boxes.valid[0]]
    if not len(around):
        return CORE_PX[1]
    asked = float(conditions.asks[0, COVERAGE])
    share = COMMON_COVERAGE if math.isnan(asked) else max(asked, 0.01)
    side_m = math.sqrt(FILL_SHARE * max_boxes * float(around[:, 2:4].prod(-1).mean()) / share)
    return min(max(round(side_m / conditions.context.pixel_m), CORE_PX[0]), CORE_PX[1])


def _blocks(conditions: Conditions) -> np.ndarray:
    """Number of the block of each pixel between the streets of each item, (B, rows, cols)."""
    pixel_m, size = conditions.context.pixel_m, tuple(conditions.editable.shape[1:])
    return np.stack(
        [
            ndimage.label(~strip_mask(rows[rows[:, 5] <= LOCAL], size, pixel_m=pixel_m))[0]
            for rows in conditions.segments.to_arrays()
        ]
    )


def _asks_left(conditions: Conditions, stands: Tensor, ahead: Tensor) -> Tensor:
    """Asks of floor area and coverage on the ground that is ahead.

    Args:
        conditions: With the asks for the whole site.
        stands: What is built, as `_built` gives it.
        ahead: What this window and later ones draw, (rows, cols) or (B, rows, cols) bool.

    Returns:
        (B, K). Boxes that reach into the ground ahead count there, as the stage counts them.
    """
    site = conditions.editable
    behind = site & ~ahead
    done = (stands * behind[:, None]).sum(dim=(2, 3))  # (B, 2) pixels
    asks = conditions.asks.clone()
    for column, ask in ((0, COVERAGE), (1, FAR)):
        missing = asks[:, ask] * site.sum(dim=(1, 2)) - done[:, column]
        asks[:, ask] = missing.clamp(min=0) / (site & ahead).sum(dim=(1, 2)).clamp(min=1)
    return asks


def _with_ground(context: Layout, log_p: Tensor, editable: Tensor, tile: Tile) -> Layout:
    """The context with a window's ground laid as known."""
    bits = torch.tensor(BIT, dtype=torch.uint8)[log_p.argmax(dim=1)]
    laid = editable & tile.core
    return replace(context, allowed=torch.where(laid, bits, context.allowed))


def _on(
    tilt: Tilt, part: Tensor, taken: Tensor, span: tuple[slice, slice]
) -> Callable[[Tensor], Tensor]:
    return lambda log_p: tilt(log_p, part & ~taken, part, span)
