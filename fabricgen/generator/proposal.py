"""A proposal drawn as a soft layout, and moved along the gradient of an energy.

Boxes are drawn as products of sigmoids, so that area, height and place of every box have a
gradient (boxes.md section 4). Touching boxes move and scale as one group, or joints would open.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from fabricgen.generator.conditions import Boxes, Conditions, Proposal, Segments
from fabricgen.layout import Layout
from fabricgen.surfaces import ANY, BUILDING, GROUND, PATH, PAVED, ROAD, SURFACES, TREE

Guide = Callable[[Layout], Tensor]  # energy per item (B,), lower is better

SOFT_M = 0.7  # width of a soft wall; a hard edge blurred by a pixel of 2 m looks like this
MIN_SHARE = 1e-6
PATCH_STEP_PX = 8  # patches of boxes come in multiples of this
ROAD_REACH_M = 7 * SOFT_M  # beyond a road's edge its share is below 0.1 %
TOUCH_M = 0.6  # boxes nearer than this move together
MEAN_DECAY, SQUARE_DECAY = 0.9, 0.999  # of the running moments of Adam


@dataclass(frozen=True)
class PolishSettings:
    """How boxes follow a gradient."""

    steps: int = 30  # moves of every group
    rate: float = 0.06  # of a move: 1 is about 6 m or 6 %
    move_m: float = 6.0  # a unit of translation
    scale: float = 0.06  # a unit of growth, as a share of the size
    max_move_m: float = 8.0  # farthest that a group may go
    max_scale: float = 0.15  # most that a group may grow or shrink


def box_shares(boxes: Boxes, floor_m: float, *, rows: int, cols: int, pixel_m: float) -> tuple:
    """Soft raster of boxes.

    Args:
        boxes: N boxes an item, floors known.
        floor_m: Height of one storey.
        rows: Of the grid.
        cols: Of the grid.
        pixel_m: Edge of a pixel.

    Returns:
        Share of each pixel under any box (B, rows, cols), the sum of shares of all boxes (same),
        and the mean height of what stands there (same) [m].
    """
    batch = boxes.valid.shape[0]
    maps = torch.zeros(3, batch * rows * cols, device=boxes.geometry.device)
    item, place = boxes.valid.nonzero(as_tuple=True)  # (n,) all boxes of all items in a row
    geometry, height_m = boxes.geometry[item, place], boxes.floors[item, place] * floor_m
    half = _half_patch(geometry.detach(), pixel_m)  # (n,)
    for size in half.unique().tolist():
        own = half == size
        share, cell = _patches(geometry[own], int(size), rows=rows, cols=cols, pixel_m=pixel_m)
        cell = cell + (item[own] * rows * cols)[:, None, None]
        free = torch.log1p(-share.clamp(max=1 - MIN_SHARE))
        values = torch.stack([free, share, share * height_m[own, None, None]])
        maps = maps.index_add(1, cell.reshape(-1), values.reshape(3, -1))
    log_free, total, weighted = maps.reshape(3, batch, rows, cols)
    return 1 - torch.exp(log_free), total, weighted / total.clamp(min=MIN_SHARE)


def _half_patch(geometry: Tensor, pixel_m: float) -> Tensor:
    """Pixels from the center to the edge of a box's patch, in few sizes, (n,)."""
    reach_m = geometry[:, 2:4].norm(dim=-1) / 2 + 4 * SOFT_M
    return (reach_m / pixel_m / PATCH_STEP_PX).ceil().long() * PATCH_STEP_PX


def _patches(
    geometry: Tensor, half: int, *, rows: int, cols: int, pixel_m: float
) -> tuple[Tensor, Tensor]:
    """Soft inside of n boxes on the pixels around each, and the pixels' numbers, (n, K, K)."""
    offset = torch.arange(-half, half + 1, device=geometry.device)
    center = (geometry[:, :2].detach() / pixel_m).floor().long()  # (n, 2) col, row
    col = center[:, 0, None, None] + offset  # (n, 1, K)
    row = center[:, 1, None, None] + offset[:, None]  # (n, K, 1)
    du = (col + 0.5) * pixel_m - geometry[:, 0, None, None]
    dv = (row + 0.5) * pixel_m - geometry[:, 1, None, None]
    cos, sin = (f(geometry[:, 4])[:, None, None] for f in (torch.cos, torch.sin))
    across = (geometry[:, 2, None, None] / 2 - (du * cos + dv * sin).abs()) / SOFT_M
    along = (geometry[:, 3, None, None] / 2 - (dv * cos - du * sin).abs()) / SOFT_M
    # Far below zero a sigmoid breeds denormal numbers, which are slow and mean nothing.
    share = torch.sigmoid(across.clamp(min=-15)) * torch.sigmoid(along.clamp(min=-15))
    inside = (row >= 0) & (row < rows) & (col >= 0) & (col < cols)
    share = torch.where(inside, share, 0.0)
    return share, row.clamp(0, rows - 1) * cols + col.clamp(0, cols - 1)


def road_shares(segments: Segments, *, rows: int, cols: int, pixel_m: float) -> tuple:
    """Soft raster of street pieces: carriageways and paths, each (B, rows, cols)."""
    batch = segments.valid.shape[0]
    item, place = segments.valid.nonzero(as_tuple=True)  # (n,) all pieces of all items in a row
    ends, half_m = segments.ends[item, place], segments.width_m[item, place] / 2
    owner, row, col = _around(ends, half_m + ROAD_REACH_M, rows=rows, cols=cols, pixel_m=pixel_m)
    offset = torch.stack([col + 0.5, row + 0.5], dim=-1) * pixel_m - ends[owner, :2]  # (P, 2)
    step = ends[:, 2:] - ends[:, :2]
    square = step.square().sum(-1).clamp(min=MIN_SHARE)
    along = ((offset * step[owner]).sum(-1) / square[owner]).clamp(0, 1)
    gap = (offset - along[:, None] * step[owner]).norm(dim=-1)
    share = torch.sigmoid((half_m[owner] - gap) / SOFT_M)
    kind = (segments.kind[item, place] == PATH).long()
    cell = ((kind * batch + item)[owner] * rows + row) * cols + col
    maps = torch.zeros(2 * batch * rows * cols, device=ends.device)
    road, path = maps.scatter_reduce(0, cell, share, "amax").view(2, batch, rows, cols)
    return road, path


def _around(
    ends: Tensor, reach_m: Tensor, *, rows: int, cols: int, pixel_m: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels of the grid in the upright rectangle around each of n segments.

    Args:
        ends: (n, 4).
        reach_m: How far the rectangle reaches beyond them, (n,).
        rows: Of the grid.
        cols: Of the grid.
        pixel_m: Edge of a pixel.

    Returns:
        Segment, row and column of each pixel, (P,) long, segment by segment.
    """
    first, second = ends.view(-1, 2, 2).unbind(1)
    limit = torch.tensor([cols, rows], device=ends.device)
    low = ((torch.minimum(first, second) - reach_m[:, None]) / pixel_m).floor().long()
    high = ((torch.maximum(first, second) + reach_m[:, None]) / pixel_m).ceil().long()
    low, high = low.clamp(min=0), high.minimum(limit)
    wide, tall = (high - low).clamp(min=0).unbind(-1)  # (n,)
    count = wide * tall
    owner = torch.arange(len(ends), device=ends.device).repeat_interleave(count)
    number = torch.arange(len(owner), device=ends.device) - (count.cumsum(0) - count)[owner]
    row = number // wide[owner]
    return owner, low[owner, 1] + row, low[owner, 0] + number - row * wide[owner]


def draw(
    proposal: Proposal, conditions: Conditions, *, storey_m: float, tree_height_m: float
) -> Layout:
    """The proposal as a soft layout, differentiable in boxes, floors and ground.

    Outside the site the context stands. Ground is what neither building nor road covers.

    Args:
        proposal: New streets, boxes and ground of B items.
        conditions: The same B items.
        storey_m: Height of one storey.
        tree_height_m: Crown top of the trees that the ground holds.

    Returns:
        A complete layout on the site, (B, 8, H, W).
    """
    context = conditions.context
    rows, cols = context.height_m.shape[1:]
    grid = {"rows": rows, "cols": cols, "pixel_m": context.pixel_m}
    built, _, roof_m = box_shares(proposal.boxes, storey_m, **grid)
    road, path = road_shares(proposal.streets, **grid)
    return _lay(conditions, built, roof_m, road, path, proposal.ground.exp(), tree_height_m)


def _lay(  # the layers of one drawing
    conditions: Conditions,
    built: Tensor,
    roof_m: Tensor,
    road: Tensor,
    path: Tensor,
    ground: Tensor,
    tree_height_m: float,
) -> Layout:
    context = conditions.context
    road = road * (1 - built)
    open_ = 1 - built - road  # (B, H, W)
    soil = torch.stack(
        [ground[:, s] if s in GROUND else torch.zeros_like(built) for s in range(len(SURFACES))], 1
    )
    soil = soil / soil.sum(dim=1, keepdim=True).clamp(min=MIN_SHARE)
    soil = soil * (1 - path)[:, None]
    shares = list((soil * open_[:, None]).unbind(dim=1))
    shares[BUILDING], shares[ROAD] = built, road
    shares[PAVED] = shares[PAVED] + path * open_
    cover = torch.stack(shares, dim=1)
    # One height a pixel: roofs and crowns weighted by their shares.
    crown = shares[TREE]
    height = (built * roof_m + crown * tree_height_m) / (built + crown).clamp(min=MIN_SHARE)
    editable = conditions.editable
    everything = torch.full_like(context.allowed, ANY)
    return Layout(
        torch.where(editable[:, None], cover, context.cover),
        torch.where(editable, height, context.height_m),
        torch.where(editable, everything, context.allowed),
        editable | context.height_known,
        context.pixel_m,
    )


def groups_of(boxes: Boxes) -> Tensor:
    """Number of the group of touching boxes that each belongs to, (B, N) long."""
    geometry = boxes.geometry.detach().cpu().numpy()
    valid = boxes.valid.cpu().numpy()
    groups = np.zeros(valid.shape, dtype=np.int64)
    for item, (rows, keep) in enumerate(zip(geometry, valid, strict=True)):
        index = np.flatnonzero(keep)
        near = _touching(rows[index]) | np.equal.outer(
            *(boxes.building[item].cpu().numpy()[index],) * 2
        )
        first, second = np.nonzero(near)
        graph = coo_matrix((np.ones(len(first)), (first, second)), shape=(len(index),) * 2)
        groups[item, index] = connected_components(graph, directed=False)[1]
    return torch.from_numpy(groups).to(boxes.geometry.device)


def _touching(rows: np.ndarray) -> np.ndarray:
    """Boxes within `TOUCH_M` of each other by separating axes, (N, N) bool."""
    axis = np.stack([np.cos(rows[:, 4]), np.sin(rows[:, 4])], axis=1)
    axes = np.stack([axis, np.stack([-axis[:, 1], axis[:, 0]], axis=1)], axis=1)  # (N, 2, 2)
    half = (rows[:, 2:4] / 2)[:, :, None] * axes  # (N, 2, 2) half edges
    apart = rows[None, :, :2] - rows[:, None, :2]  # (N, N, 2)
    near = np.ones((len(rows), len(rows)), dtype=bool)
    for k in range(2):
        mine = axes[:, k]  # the direction of one edge of each box i
        gap = np.abs((apart * mine[:, None]).sum(-1))
        reach_i = np.abs((half * mine[:, None]).sum(-1)).sum(-1)[:, None]
        reach_j = np.abs(np.einsum("jkd,id->ijk", half, mine)).sum(-1)
        close = gap <= reach_i + reach_j + TOUCH_M
        near &= close & close.T
    return near


def polish(
    proposal: Proposal,
    conditions: Conditions,
    guide: Guide,
    *,
    storey_m: float,
    tree_height_m: float,
    settings: PolishSettings | None = None,
) -> Proposal:
    """Move and scale touching groups of boxes down the gradient of an energy.

    Standing on roads, on neighbors, on the context or outside the site costs as well, beyond
    what the proposal did at the start.

    Args:
        proposal: Where to start from.
        conditions: What to respect.
        guide: Energy of a layout, (B,), scaled so that 1 matters.
        storey_m: Height of one storey.
        tree_height_m: Crown top of trees.
        settings: Steps and limits.
    """
    settings = settings or PolishSettings()
    boxes = proposal.boxes
    if settings.steps == 0 or not bool(boxes.valid.any()):
        return proposal
    context = conditions.context
    grid = {
        "rows": context.height_m.shape[1],
        "cols": context.height_m.shape[2],
        "pixel_m": context.pixel_m,
    }
    groups = groups_of(boxes)
    road, path = road_shares(proposal.streets, **grid)
    ground = proposal.ground.exp()
    open_ = conditions.editable
    if conditions.buildable is not None:
        open_ = open_ & conditions.buildable
    blocked = road + path + (~open_).float()  # (B, H, W)
    size = (groups.shape[0], int(groups.max()) + 1, 4)
    shift = torch.zeros(size, device=groups.device)
    moments = (torch.zeros_like(shift), torch.zeros_like(shift))
    start: Tensor | None = None
    for step in range(1, settings.steps + 1):
        shift.requires_grad_()
        moved = _moved(boxes, groups, shift, settings)
        built, total, roof_m = box_shares(moved, storey_m, **grid)
        layout = _lay(conditions, built, roof_m, road, path, ground, tree_height_m)
        area = boxes.geometry[..., 2:4].prod(-1).mul(boxes.valid).sum(1) / context.pixel_m**2
        faults = ((total - built) + total * blocked).sum(dim=(1, 2)) / area.clamp(min=1)
        start = faults.detach() if start is None else start
        energy = guide(layout) + 20 * (faults - start).clamp(min=0)
        (slope,) = torch.autograd.grad(energy.sum(), shift)
        shift = shift.detach() - settings.rate * adam_step(slope, moments, step)
    return replace(proposal, boxes=_moved(boxes, groups, shift, settings))


def adam_step(slope: Tensor, moments: tuple[Tensor, Tensor], step: int) -> Tensor:
    """Direction of Adam's step (Kingma and Ba 2015, algorithm 1); moments are updated in place.

    By hand, since the first use of `torch.optim` loads a compiler for a second.
    """
    mean, square = moments
    mean.lerp_(slope, 1 - MEAN_DECAY)
    square.mul_(SQUARE_DECAY).addcmul_(slope, slope, value=1 - SQUARE_DECAY)
    scale = (square / (1 - SQUARE_DECAY**step)).sqrt() + 1e-8
    return mean / (1 - MEAN_DECAY**step) / scale


def _moved(boxes: Boxes, groups: Tensor, shift: Tensor, settings: PolishSettings) -> Boxes:
    """Boxes after each group's translation, growth about its center, and change of floors."""
    own = shift.gather(1, groups[..., None].expand(-1, -1, 4))  # (B, N, 4)
    limit_m = settings.max_move_m / settings.move_m
    move = own[..., :2].clamp(-limit_m, limit_m) * settings.move_m
    grow = (own[..., 2] * settings.scale).clamp(-settings.max_scale, settings.max_scale).exp()
    floors = (boxes.floors * (own[..., 3] * 0.25).clamp(-0.5, 0.5).exp()).clamp(min=1.0)
    weight = (boxes.geometry[..., 2:4].prod(-1) * boxes.valid)[..., None]  # (B, N, 1)
    sums = torch.zeros(*shift.shape[:2], 3, device=weight.device)
    where = groups[..., None].expand(-1, -1, 3)
    sums = sums.scatter_add(1, where, torch.cat([boxes.geometry[..., :2] * weight, weight], -1))
    middle = (sums[..., :2] / sums[..., 2:].clamp(min=MIN_SHARE)).gather(1, where[..., :2])
    place = middle + (boxes.geometry[..., :2] - middle) * grow[..., None] + move
    size = boxes.geometry[..., 2:4] * grow[..., None]
    geometry = torch.cat([place, size, boxes.geometry[..., 4:]], dim=-1)
    return replace(boxes, geometry=geometry, floors=floors)
