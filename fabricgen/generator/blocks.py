"""Blocks between streets, and the walk along their edges that orders the buildings.

A block is a connected piece of ground between through streets. Within a block the order is a walk:
keep the street on one side, go around the face of the street graph, and note the distance walked.
A terrace is then a run of equal steps, whatever way its street bends.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fabricgen.surfaces import LOCAL, PATH

WINDOW_M = 256.0
GRID = 64  # pixels of the condition raster along an edge, 4 m each
CELLS = 32  # cells of the pointer along an edge, 8 m each
NEAR_GRID = 16  # squares of 16 m that share a list of the streets nearby
NEAR_KEEP = 10  # streets in that list
FAR_M = 60.0  # distance to a street where there is none
BARRIER_M = 2.9  # least half width of a street on the grid, so that blocks do not leak diagonally
TURN_SHARE = 0.9  # cosine above which two streets run in one direction


@dataclass(frozen=True, eq=False)
class Streets:
    """The segments of one window with what the walk needs."""

    segments: np.ndarray  # (M, 6) u0, v0, u1, v1, width, kind
    face: np.ndarray  # (2 M,) face to the left (2 m) and right (2 m + 1) of segment m
    start_m: np.ndarray  # (2 M,) distance walked along the face to the start of the side
    near: np.ndarray  # (NEAR_GRID ** 2, K) nearest segments of each square


@dataclass(frozen=True, eq=False)
class StreetView:
    """How points see their nearest street; arrays of (P,)."""

    edge_m: np.ndarray  # distance to the road edge, negative on the road
    foot: np.ndarray  # (P, 2) nearest point of the center line
    normal: np.ndarray  # (P, 2) unit vector from the street toward the point's side
    half_m: np.ndarray  # half the road's width
    kind: np.ndarray  # index into ROAD_KINDS
    walk_m: np.ndarray  # distance walked along the face
    face: np.ndarray  # face that the point lies on, -1 without streets


def read_streets(segments: np.ndarray) -> Streets:
    """Prepare the segments (M, 6) of a window; foot and cycle paths are left out."""
    kept = segments[segments[:, 5] < PATH].astype(np.float32)
    kept = kept[np.hypot(kept[:, 2] - kept[:, 0], kept[:, 3] - kept[:, 1]) > 0.1]
    if len(kept) == 0:
        none = np.zeros((NEAR_GRID**2, 0), np.int64)
        return Streets(kept, np.zeros(0, np.int64), np.zeros(0, np.float32), none)
    face, start_m = _faces(kept)
    squares = grid_points(NEAR_GRID)
    distance = _center_distance(squares, kept)  # (256, M)
    keep = min(NEAR_KEEP, len(kept))
    near = np.argpartition(distance, keep - 1, axis=1)[:, :keep]
    return Streets(kept, face, start_m, near)


def grid_points(cells: int) -> np.ndarray:
    """Centers of a square grid over the window, (cells ** 2, 2) as u, v, row by row."""
    middle = (np.arange(cells, dtype=np.float32) + 0.5) * (WINDOW_M / cells)
    v, u = np.meshgrid(middle, middle, indexing="ij")
    return np.stack([u.ravel(), v.ravel()], axis=1)


def cell_of(points: np.ndarray, cells: int) -> np.ndarray:
    """Index of the grid square that holds each point (..., 2); outside points go to the rim."""
    place = np.clip((points / (WINDOW_M / cells)).astype(np.int64), 0, cells - 1)
    return place[..., 1] * cells + place[..., 0]


def nearest_street(points: np.ndarray, streets: Streets) -> StreetView:
    """The nearest street of each point (P, 2); where there is none, `face` is -1."""
    if len(streets.segments) == 0:
        return _no_street(points)
    edge, _, pick = _look(points, streets)
    return pick(edge.argmin(1))


def view_streets(points: np.ndarray, streets: Streets) -> tuple[StreetView, StreetView]:
    """The nearest street of each point (P, 2), and the nearest that runs another way.

    Where there is none, `face` is -1 and the edge is FAR_M away.
    """
    if len(streets.segments) == 0:
        return _no_street(points), _no_street(points)
    edge, direction, pick = _look(points, streets)
    first = edge.argmin(1)
    heading = direction[np.arange(len(points)), first]
    same = np.abs((direction * heading[:, None]).sum(-1)) > TURN_SHARE
    other = np.where(same, np.inf, edge)
    second = other.argmin(1)
    turned = pick(second)
    nowhere = ~np.isfinite(other[np.arange(len(points)), second])
    turned.face[nowhere] = -1
    turned.edge_m[nowhere] = FAR_M
    return pick(first), turned


def _look(
    points: np.ndarray, streets: Streets
) -> tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], StreetView]]:
    """Distance to the edges (P, K) and directions (P, K, 2) of the streets near each point.

    The function makes views of one of the K streets of each point, by their numbers (P,).
    """
    candidates = streets.near[cell_of(points, NEAR_GRID)]  # (P, K)
    segments = streets.segments[candidates]  # (P, K, 6)
    along, foot, length = _project(points[:, None], segments)
    offset = points[:, None] - foot
    edge = np.hypot(offset[..., 0], offset[..., 1]) - segments[..., 4] / 2  # (P, K)
    direction = (segments[..., 2:4] - segments[..., :2]) / length[..., None]

    def pick(which: np.ndarray) -> StreetView:
        rows = np.arange(len(points))
        d, seg = direction[rows, which], segments[rows, which]
        normal = np.stack([-d[:, 1], d[:, 0]], axis=1)
        side = ((points - seg[:, :2]) * normal).sum(1) < 0
        half_edge = 2 * candidates[rows, which] + side
        walked = along[rows, which] * length[rows, which]
        back = length[rows, which] - walked
        return StreetView(
            edge_m=edge[rows, which],
            foot=foot[rows, which],
            normal=np.where(side[:, None], -normal, normal),
            half_m=seg[:, 4] / 2,
            kind=seg[:, 5].astype(np.int64),
            walk_m=streets.start_m[half_edge] + np.where(side, back, walked),
            face=streets.face[half_edge],
        )

    return edge, direction, pick


def label_blocks(through: np.ndarray) -> np.ndarray:
    """Number the connected pieces of ground between through streets.

    Args:
        through: True where a through street lies, (G, G) bool.

    Returns:
        Block of each pixel, (G, G) int64; pixels on a street take a neighboring block.
    """
    grid = through.shape[0]
    labels = np.where(through, -1, np.arange(grid * grid).reshape(grid, grid))
    while True:
        spread = _smallest_neighbor(labels, through)
        flat = np.append(spread.ravel(), grid * grid)
        spread = np.where(through, -1, flat[flat[spread]])
        if np.array_equal(spread, labels):
            break
        labels = spread
    for _ in range(4):  # street pixels join a block beside them
        labels = np.where(labels < 0, _largest_neighbor(labels), labels)
    return np.unique(labels, return_inverse=True)[1].reshape(grid, grid)


def through_streets(streets: Streets) -> np.ndarray:
    """Pixels of the condition grid on a primary, secondary or local street, (G, G) bool."""
    marked = np.zeros(GRID * GRID, bool)
    chosen = streets.segments[streets.segments[:, 5] <= LOCAL]
    step = WINDOW_M / GRID
    for u0, v0, u1, v1, width, _ in chosen:
        reach = max(width / 2, BARRIER_M)
        low = np.floor((np.array([min(u0, u1), min(v0, v1)]) - reach) / step).astype(int)
        high = np.ceil((np.array([max(u0, u1), max(v0, v1)]) + reach) / step).astype(int)
        (a, b), (c, d) = np.clip(low, 0, GRID), np.clip(high, 0, GRID)
        if a >= c or b >= d:
            continue
        u = (np.arange(a, c, dtype=np.float32) + 0.5) * step - u0
        v = ((np.arange(b, d, dtype=np.float32) + 0.5) * step - v0)[:, None]
        du, dv = u1 - u0, v1 - v0
        t = np.clip((u * du + v * dv) / (du * du + dv * dv), 0, 1)
        hit = (u - t * du) ** 2 + (v - t * dv) ** 2 < reach * reach
        marked.reshape(GRID, GRID)[b:d, a:c] |= hit
    return marked.reshape(GRID, GRID)


def rank_cells(block: np.ndarray, view: StreetView) -> tuple[np.ndarray, np.ndarray]:
    """The order of all cells: block by block, around each block's edge, from the street inward.

    Args:
        block: Block of each cell, (C,).
        view: How each cell's center sees its street.

    Returns:
        Rank of each cell 0…C-1 and rank of its block, both (C,) int64.
    """
    points = grid_points(CELLS)
    count = int(block.max()) + 1
    size = np.maximum(np.bincount(block, minlength=count), 1)
    u = np.bincount(block, points[:, 0], count) / size
    v = np.bincount(block, points[:, 1], count) / size
    # Bands of 64 m read to and fro, so that one block leads to the next.
    band = (v // 64).astype(int)
    place = np.lexsort([np.where(band % 2 == 0, u, -u), band])
    block_rank = np.empty(count, np.int64)
    block_rank[place] = np.arange(count)

    own = block_rank[block]
    order = np.lexsort([view.edge_m, view.walk_m, view.face, own])
    rank = np.empty(len(block), np.int64)
    rank[order] = np.arange(len(block))
    return rank, own


def _faces(segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Face and start of each side, by walking the street graph with the street on one hand."""
    ends = np.round(segments[:, :4].reshape(-1, 2) * 20).astype(np.int64)
    node = np.unique(ends, axis=0, return_inverse=True)[1].reshape(-1, 2)
    step = segments[:, 2:4] - segments[:, :2]
    bearing = np.arctan2(step[:, 1], step[:, 0])
    half = np.arange(2 * len(segments))
    source = node.ravel()  # side 2m starts at end 0, side 2m+1 at end 1
    leaving = np.stack([bearing, np.mod(bearing + 2 * np.pi, 2 * np.pi) - np.pi], 1).ravel()
    # Around each node by bearing: after arriving by the twin, leave by the one before it.
    order = np.lexsort([leaving, source])
    first = np.searchsorted(source[order], source[order], side="left")
    last = np.searchsorted(source[order], source[order], side="right") - 1
    place = np.arange(len(half))
    before = np.where(place == first, last, place - 1)
    turn = np.empty(len(half), np.int64)
    turn[order] = order[before]
    follow = turn[half ^ 1]
    corner = segments[:, :4].reshape(-1, 2).sum(1)
    length = np.repeat(np.hypot(step[:, 0], step[:, 1]), 2)

    face = np.full(len(half), -1, np.int64)
    start_m = np.zeros(len(half), np.float32)
    faces = 0
    for begin in np.argsort(corner, kind="stable").tolist():
        at, walked = begin, 0.0
        while face[at] < 0:
            face[at], start_m[at] = faces, walked
            walked += float(length[at])
            at = int(follow[at])
        faces += walked > 0
    return face, start_m


def _project(points: np.ndarray, segments: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share along, nearest point and length of segments (..., 6) for points (..., 2)."""
    step = segments[..., 2:4] - segments[..., :2]
    square = (step * step).sum(-1)
    along = np.clip(((points - segments[..., :2]) * step).sum(-1) / square, 0, 1)
    return along, segments[..., :2] + along[..., None] * step, np.sqrt(square)


def _center_distance(points: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Distance of each point to each road's edge, (P, M)."""
    u0, v0, u1, v1, width, _ = segments.T
    du, dv = u1 - u0, v1 - v0
    u, v = points[:, :1] - u0, points[:, 1:] - v0
    along = np.clip((u * du + v * dv) / (du * du + dv * dv), 0, 1)
    return np.hypot(u - along * du, v - along * dv) - width / 2


def _no_street(points: np.ndarray) -> StreetView:
    """What points see where there is no street; the walk follows the rows."""
    count = len(points)
    zero = np.zeros((count, 2), np.float32)
    nowhere = np.full(count, -1, np.int64)
    walk = points[:, 1] // 32 * WINDOW_M + points[:, 0]
    far = np.full(count, FAR_M, np.float32)
    return StreetView(
        far, points.copy(), zero, np.zeros(count, np.float32), nowhere + 5, walk, nowhere
    )


def _smallest_neighbor(labels: np.ndarray, blocked: np.ndarray) -> np.ndarray:
    """Smallest label of a pixel and its open neighbors."""
    high = np.where(blocked, labels.size, labels)
    padded = np.pad(high, 1, constant_values=labels.size)
    best = np.minimum(
        np.minimum(padded[:-2, 1:-1], padded[2:, 1:-1]),
        np.minimum(padded[1:-1, :-2], padded[1:-1, 2:]),
    )
    return np.where(blocked, labels.size, np.minimum(high, best))


def _largest_neighbor(labels: np.ndarray) -> np.ndarray:
    """Largest label among the four neighbors, -1 beyond the grid."""
    padded = np.pad(labels, 1, constant_values=-1)
    return np.maximum(
        np.maximum(padded[:-2, 1:-1], padded[2:, 1:-1]),
        np.maximum(padded[1:-1, :-2], padded[1:-1, 2:]),
    )
