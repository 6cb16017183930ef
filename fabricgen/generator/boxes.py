"""Geometry of oriented boxes: canonical form, corners, overlap, distances, snap candidates.

A box is (u, v, width, depth, angle): center and size in meters, angle in radians from u toward v.
Width runs along (cos t, sin t), depth along (-sin t, cos t). Every function takes any leading axes.
"""

import math

import torch
from torch import Tensor

QUARTER = math.pi / 2
MOST_OBSTACLES = 16  # that a box is cut back from, the deepest ones


def wrap_angle(angle: Tensor) -> Tensor:
    """The same wall direction within (-pi/4, pi/4]."""
    return angle - QUARTER * torch.ceil(angle / QUARTER - 0.5)


def canonical(boxes: Tensor) -> Tensor:
    """The same boxes (..., 5) with the angle in (-pi/4, pi/4], width and depth swapped to fit."""
    turns = torch.ceil(boxes[..., 4] / QUARTER - 0.5)
    swap = torch.remainder(turns, 2) == 1
    width = torch.where(swap, boxes[..., 3], boxes[..., 2])
    depth = torch.where(swap, boxes[..., 2], boxes[..., 3])
    angle = boxes[..., 4] - QUARTER * turns
    return torch.stack([boxes[..., 0], boxes[..., 1], width, depth, angle], dim=-1)


def axes(angle: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors along width and along depth, each (..., 2)."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos, sin], dim=-1), torch.stack([-sin, cos], dim=-1)


def corners(boxes: Tensor) -> Tensor:
    """The four corners of each box in turning order, (..., 4, 2)."""
    along, across = axes(boxes[..., 4])
    half_width = along * boxes[..., 2:3] / 2
    half_depth = across * boxes[..., 3:4] / 2
    middle = boxes[..., :2]
    return torch.stack(
        [
            middle - half_width - half_depth,
            middle + half_width - half_depth,
            middle + half_width + half_depth,
            middle - half_width + half_depth,
        ],
        dim=-2,
    )


def half_extent(boxes: Tensor, direction: Tensor) -> Tensor:
    """Half the length of each box's shadow on a unit direction (..., 2) [m]."""
    along, across = axes(boxes[..., 4])
    return (
        boxes[..., 2] * (along * direction).sum(-1).abs()
        + boxes[..., 3] * (across * direction).sum(-1).abs()
    ) / 2


def point_distance(points: Tensor, boxes: Tensor) -> Tensor:
    """Signed distance from points (..., 2) to boxes (..., 5), negative inside [m]."""
    along, across = axes(boxes[..., 4])
    offset = points - boxes[..., :2]
    outside_w = (offset * along).sum(-1).abs() - boxes[..., 2] / 2
    outside_d = (offset * across).sum(-1).abs() - boxes[..., 3] / 2
    outside = torch.hypot(outside_w.clamp(min=0), outside_d.clamp(min=0))
    return outside + torch.maximum(outside_w, outside_d).clamp(max=0)


def penetration(first: Tensor, second: Tensor) -> Tensor:
    """How deep two boxes reach into each other, (...), by separating axes [m].

    Zero or less: apart. The least shift along one of the four wall directions that parts them.
    """
    turn = second[..., 4] - first[..., 4]
    cos, sin = turn.cos().abs(), turn.sin().abs()
    du, dv = second[..., 0] - first[..., 0], second[..., 1] - first[..., 1]
    depths = []
    for own, other in ((first, second), (second, first)):
        own_cos, own_sin = own[..., 4].cos(), own[..., 4].sin()
        half_w = (own[..., 2] + other[..., 2] * cos + other[..., 3] * sin) / 2
        half_d = (own[..., 3] + other[..., 2] * sin + other[..., 3] * cos) / 2
        by_w = half_w - (du * own_cos + dv * own_sin).abs()
        by_d = half_d - (dv * own_cos - du * own_sin).abs()
        depths.append(torch.minimum(by_w, by_d))
    return torch.minimum(*depths)


def overlap_m2(first: Tensor, second: Tensor) -> Tensor:
    """Exact area that two boxes share, (...): one clipped by the four walls of the other."""
    first, second = torch.broadcast_tensors(first, second)
    along, across = axes(second[..., 4])
    offset = corners(first) - second[..., None, :2]  # (..., 4, 2)
    ring = torch.stack(
        [(offset * along[..., None, :]).sum(-1), (offset * across[..., None, :]).sum(-1)], dim=-1
    )
    for axis, size in ((0, 2), (1, 3)):
        half = second[..., size : size + 1] / 2  # (..., 1)
        ring = _clip(ring, axis, half)
        ring = _clip(ring * ring.new_tensor([-1.0, -1.0]), axis, half)
    following = ring.roll(-1, dims=-2)
    cross = ring[..., 0] * following[..., 1] - ring[..., 1] * following[..., 0]
    return cross.sum(-1).abs() / 2


def segment_distance(points: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """Distance from points (..., 2) to segments (..., 4) [m], and its sign by side.

    Returns:
        The distance, and +1 where the point lies toward (-dv, du) from the segment, else -1.
    """
    start, step = ends[..., :2], ends[..., 2:] - ends[..., :2]
    offset = points - start
    along = (offset * step).sum(-1) / (step * step).sum(-1).clamp(min=1e-6)
    foot = along.clamp(0, 1)[..., None] * step
    side = offset[..., 1] * step[..., 0] - offset[..., 0] * step[..., 1]
    distance = (offset - foot).norm(dim=-1)
    return distance, torch.where(side >= 0, 1.0, -1.0)


def road_strips(ends: Tensor, width_m: Tensor) -> Tensor:
    """Straight roads (..., 4) of a width (...) as boxes along their center lines, (..., 5)."""
    step = ends[..., 2:] - ends[..., :2]
    middle = (ends[..., :2] + ends[..., 2:]) / 2
    length = step.norm(dim=-1)
    bearing = torch.atan2(step[..., 1], step[..., 0])
    sizes = torch.stack([length, width_m, bearing], dim=-1)
    return torch.cat([middle, sizes], dim=-1)


def trim(boxes: Tensor, obstacles: Tensor, borne_m: Tensor, *, cuts: int = 6) -> Tensor:
    """Cut boxes back to the walls of what they reach into.

    Each cut moves one wall of the box; the side that loses less of it is taken, worst obstacle
    first.

    Args:
        boxes: (R, 5).
        obstacles: (R, P, 5).
        borne_m: Depth that an obstacle bears, (R, P); infinite where there is none.
        cuts: Most cuts to a box.

    Returns:
        Boxes (R, 5); one that could not be freed has no width and depth.
    """
    obstacles, borne_m = _within_reach(boxes, obstacles, borne_m)
    if obstacles.shape[1] == 0:
        return boxes
    excess = penetration(boxes[:, None], obstacles) - borne_m
    if excess.shape[1] > MOST_OBSTACLES:
        excess, worst = excess.topk(MOST_OBSTACLES, dim=1)
        obstacles = obstacles.gather(1, worst[..., None].expand(-1, -1, 5))
        borne_m = borne_m.gather(1, worst)
    rows = torch.arange(len(boxes), device=boxes.device)
    for _ in range(cuts):
        deepest, which = excess.max(dim=1)
        hit = deepest > 0
        if not bool(hit.any()):
            break
        boxes = torch.where(hit[:, None], _cut(boxes, obstacles[rows, which]), boxes)
        excess = penetration(boxes[:, None], obstacles) - borne_m
    freed = (excess.amax(1) <= 1e-3) & (boxes[:, 2:4] > 0).all(1)
    size = torch.where(freed[:, None], boxes[:, 2:4], torch.zeros_like(boxes[:, 2:4]))
    return torch.cat([boxes[:, :2], size, boxes[:, 4:]], dim=1)


def _within_reach(boxes: Tensor, obstacles: Tensor, borne_m: Tensor) -> tuple[Tensor, Tensor]:
    """Only obstacles whose circle reaches into that of the box, K a row, the nearest first.

    Most of what stands in a window is far away, and circles are quickly compared. Rows with fewer
    keep some that do not reach.
    """
    reach = (boxes[:, None, 2:4].norm(dim=-1) + obstacles[..., 2:4].norm(dim=-1)) / 2
    depth = reach - (boxes[:, None, :2] - obstacles[..., :2]).norm(dim=-1) - borne_m  # (R, P)
    most = int((depth > 0).sum(dim=1).max())
    near = depth.topk(most, dim=1).indices
    return obstacles.gather(1, near[..., None].expand(-1, -1, 5)), borne_m.gather(1, near)


def edge_candidates(boxes: Tensor, center: Tensor, half_m: Tensor, direction: Tensor) -> Tensor:
    """Offsets from `center` along `direction` that set an edge on an edge of a neighbor.

    Args:
        boxes: Neighbors, (..., K, 5).
        center: Where the offset starts, (..., 2).
        half_m: Half my own size along the direction, (...).
        direction: Unit vector, (..., 2).

    Returns:
        (..., K, 4): after it, before it, flush with its near edge, flush with its far edge. [m]
    """
    place = ((boxes[..., :2] - center[..., None, :]) * direction[..., None, :]).sum(-1)
    reach = half_extent(boxes, direction[..., None, :])
    mine = half_m[..., None]
    return torch.stack(
        [
            place + reach + mine,
            place - reach - mine,
            place - reach + mine,
            place + reach - mine,
        ],
        dim=-1,
    )


def _clip(ring: Tensor, axis: int, half: Tensor) -> Tensor:
    """Clip convex rings (..., P, 2) by coordinate `axis` <= half; doubling their points."""
    following = ring.roll(-1, dims=-2)
    here, there = half - ring[..., axis], half - following[..., axis]  # positive inside
    span = torch.where((here - there).abs() < 1e-9, torch.ones_like(here), here - there)
    share = (here / span).clamp(0, 1)[..., None]
    crossing = ring + share * (following - ring)
    in_here, in_there = (here >= 0)[..., None], (there >= 0)[..., None]
    # Each side gives its start and its end, both moved onto the kept part of it; a side wholly
    # outside shrinks onto the cutting line and adds no area to the ring.
    flat_here = _onto(ring, axis, half)
    flat_there = _onto(following, axis, half)
    start = torch.where(in_here, ring, torch.where(in_there, crossing, flat_here))
    end = torch.where(in_there, following, torch.where(in_here, crossing, flat_there))
    return torch.stack([start, end], dim=-2).flatten(-3, -2)


def _onto(points: Tensor, axis: int, half: Tensor) -> Tensor:
    """Points moved along one axis onto the line `axis` = half."""
    moved = [points[..., 0], points[..., 1]]
    moved[axis] = half.expand_as(moved[axis])
    return torch.stack(moved, dim=-1)


def _cut(boxes: Tensor, obstacle: Tensor) -> Tensor:
    """Move the wall of each box (R, 5) that has to move least, as a share, to clear an obstacle."""
    directions = torch.stack(axes(boxes[:, 4]), dim=1)  # (R, 2, 2)
    offset = ((obstacle[:, None, :2] - boxes[:, None, :2]) * directions).sum(-1)  # (R, 2)
    reach = half_extent(obstacle[:, None], directions)
    depth = boxes[:, 2:4] / 2 + reach - offset.abs()  # (R, 2)
    axis = (depth / boxes[:, 2:4].clamp(min=1e-3)).argmin(dim=1)
    rows = torch.arange(len(boxes), device=boxes.device)
    cut = torch.zeros_like(depth)
    cut[rows, axis] = depth[rows, axis]
    size = (boxes[:, 2:4] - cut).clamp(min=0)
    shift = -(torch.where(offset >= 0, 1.0, -1.0) * cut / 2)[..., None] * directions
    return torch.cat([boxes[:, :2] + shift.sum(1), size, boxes[:, 4:]], dim=1)
