"""Covers each footprint by a few oriented boxes.

A footprint that fills its smallest rectangle keeps that one box. Others are covered greedily: up to
three wall directions, each with a small raster of the footprint and candidate lines through its
vertices and at equal steps; every rectangle between two pairs of lines is scored by an integral
image (+1 per new area inside, -1 outside, -0.15 covered already), and the best of all directions is
taken until it gains too little. Many footprints go through numpy at once.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import shapely

from .raster import edges_of, pixels_of, spans_of_edges
from .window import canonical

FULL_SHARE = 0.95  # of the smallest rectangle: one box is enough
SIMPLIFY_M = 0.3
DIRECTIONS = 3
DIRECTION_SHARE = 0.12  # of the wall length that a further direction needs
BINS = 90  # of 1 degree, over a quarter turn
GRID_PX = 56
MARGIN_PX = 1
WALL_LINES, STEP_LINES = 11, 3  # candidate lines per axis
LINES = WALL_LINES + STEP_LINES
COVERED = -0.15  # score of area that has a box already
COURT = -4.0  # score of area in a court, so that wings win against one box over all
MIN_GAIN_SHARE, MIN_GAIN_M2 = 0.015, 3.0
MAX_BOXES, MAX_BOXES_LARGE, LARGE_M2 = 4, 6, 2000.0
BATCH = 96
_LOW, _HIGH = np.triu_indices(LINES, k=1)  # pairs of lines


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of many footprints: geometry (N, 5) as u, v, width, depth, angle; `owner` (N,)."""

    geometry: np.ndarray
    owner: np.ndarray


def cover(polygons: np.ndarray, *, threads: int = 1) -> Boxes:
    """Covers footprints, given in (u, v) meters, by at most 4 boxes each (6 above 2000 m2).

    Args:
        polygons: Polygons and multipolygons with area, (N,).
        threads: How many to work in at once.

    Returns:
        Boxes in order of the footprints, each with its canonical angle.
    """
    slim = shapely.simplify(polygons, SIMPLIFY_M, preserve_topology=True)
    slim = np.where(shapely.area(slim) > 0, slim, polygons)
    single, geometry = _smallest_rectangles(slim)
    batches, jobs = _batches(slim, np.flatnonzero(~single))
    with ThreadPoolExecutor(threads) as pool:  # numpy works outside the interpreter's lock
        covered = list(pool.map(lambda job: _cover_batch(*job), jobs))

    tables = [geometry[single]] + [table for table, _ in covered]
    owners = [np.flatnonzero(single)]
    owners += [batch[own] for batch, (_, own) in zip(batches, covered, strict=True)]
    table, owner = np.concatenate(tables), np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    padded = np.column_stack([table, np.zeros((len(table), 2))])
    return Boxes(canonical(padded)[order, :5], owner[order])


def _smallest_rectangles(polygons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which footprints fill their smallest rectangle, and those rectangles (N, 5)."""
    rectangles = shapely.oriented_envelope(polygons)
    square = shapely.get_type_id(rectangles) == 3
    geometry = np.zeros((len(polygons), 5))
    if square.any():
        corners = shapely.get_coordinates(shapely.get_exterior_ring(rectangles[square]))
        corners = corners.reshape(-1, 5, 2)
        along, across = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 1]
        geometry[square] = np.column_stack(
            [
                corners[:, :4].mean(axis=1),
                np.hypot(*along.T),
                np.hypot(*across.T),
                np.arctan2(along[:, 1], along[:, 0]),
            ]
        )
    filled = shapely.area(polygons) > FULL_SHARE * geometry[:, 2] * geometry[:, 3]
    return square & filled, geometry


# --- the greedy cover of a batch -----------------------------------------------------------------


def _batches(
    polygons: np.ndarray, rest: np.ndarray
) -> tuple[list[np.ndarray], list[tuple[np.ndarray, np.ndarray]]]:
    """Footprints that need a greedy cover, in batches of equally many wall directions.

    Args:
        polygons: All footprints, (N,).
        rest: Which of them to cover, (R,).

    Returns:
        For each batch its indices in `polygons`, and its polygons with their directions (B, D).
    """
    starts, ends, owner = edges_of(polygons[rest])
    angles = wall_directions(starts, ends, owner, len(rest))
    ways = (~np.isnan(angles)).sum(axis=1)
    batches, jobs = [], []
    for count in range(1, DIRECTIONS + 1):
        alike = np.flatnonzero(ways == count)
        for start in range(0, len(alike), BATCH):
            some = alike[start : start + BATCH]
            batches.append(rest[some])
            jobs.append((polygons[rest[some]], angles[some, :count]))
    return batches, jobs


def _cover_batch(polygons: np.ndarray, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (M, 5) of footprints (B,) with wall directions (B, D), and each box's owner (M,)."""
    starts, ends, owner = edges_of(polygons)
    centre = shapely.get_coordinates(shapely.centroid(polygons))
    starts, ends = starts - centre[owner], ends - centre[owner]
    area = shapely.area(polygons)
    grids = _grids(starts, ends, owner, angles)
    _mark_courts(grids, polygons, angles, centre)
    boxes, who = _greedy(grids, angles, area)
    cos, sin = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    p, q = boxes[:, 0].copy(), boxes[:, 1].copy()
    boxes[:, 0] = p * cos - q * sin + centre[who, 0]
    boxes[:, 1] = p * sin + q * cos + centre[who, 1]
    return boxes, who


def wall_directions(
    starts: np.ndarray, ends: np.ndarray, owner: np.ndarray, count: int
) -> np.ndarray:
    """Up to three wall directions mod 90 degrees of each footprint, (B, 3) radians, NaN = none.

    Peaks of the length-weighted histogram; the exact angle is the weighted mean near the peak.
    """
    step = ends - starts
    length = np.hypot(*step.T)
    angle = np.mod(np.arctan2(step[:, 1], step[:, 0]), np.pi / 2)
    place = np.minimum((angle / (np.pi / 2) * BINS).astype(np.int64), BINS - 1)
    histogram = np.bincount(owner * BINS + place, weights=length, minlength=count * BINS)
    left = histogram.reshape(count, BINS)
    total = np.maximum(left.sum(axis=1), 1e-9)
    angles = np.zeros((count, DIRECTIONS))
    for rank in range(DIRECTIONS):
        near = np.stack([np.roll(left, shift, axis=1) for shift in (-2, -1, 0, 1, 2)]).sum(axis=0)
        peak = near.argmax(axis=1)
        offset = np.mod(angle - (peak[owner] + 0.5) * (np.pi / 2 / BINS) + np.pi / 4, np.pi / 2)
        offset -= np.pi / 4
        weight = length * (np.abs(offset) < 2.5 * np.pi / 2 / BINS)
        mean = np.bincount(owner, weights=weight * offset, minlength=count)
        total_near = np.maximum(np.bincount(owner, weights=weight, minlength=count), 1e-9)
        exact = (peak + 0.5) * (np.pi / 2 / BINS) + mean / total_near
        enough = near[np.arange(count), peak] >= DIRECTION_SHARE * total
        angles[:, rank] = np.where(enough | (rank == 0), exact, np.nan)
        away = np.abs((np.arange(BINS) - peak[:, None] + BINS // 2) % BINS - BINS // 2)
        left = np.where(away <= 4, 0.0, left)
    return angles


@dataclass(frozen=True, eq=False)
class _Grids:
    """Footprints in their own directions, (B, D, …).

    `score` (B, D, G, G) of each pixel, rows along q; `origin` (B, D, 2) p, q of the corner; `pixel`
    (B, D, 2) its edges; `lines` (B, D, 2, L) candidate lines of p and q, sorted.
    """

    score: np.ndarray
    origin: np.ndarray
    pixel: np.ndarray
    lines: np.ndarray


def _turned(points: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Points (E, 2) in each of their directions (E, D): p along, q across, (E * D, 2)."""
    cos, sin = np.cos(angles), np.sin(angles)
    u, v = points[:, 0, None], points[:, 1, None]
    return np.stack([cos * u + sin * v, cos * v - sin * u], axis=-1).reshape(-1, 2)


def _grids(starts: np.ndarray, ends: np.ndarray, owner: np.ndarray, angles: np.ndarray) -> _Grids:
    count, ways = angles.shape
    slot = (owner[:, None] * ways + np.arange(ways)).ravel()  # (E * D,)
    first, second = _turned(starts, angles[owner]), _turned(ends, angles[owner])
    low = np.full((count * ways, 2), np.inf)
    high = np.full((count * ways, 2), -np.inf)
    np.minimum.at(low, slot, first)
    np.maximum.at(high, slot, first)
    pixel = np.maximum(high - low, 0.1) / (GRID_PX - 2 * MARGIN_PX)
    origin = low - MARGIN_PX * pixel
    inside = _fill(first, second, slot, origin, pixel)
    lines = _candidate_lines(first, second, slot, low, high)
    return _Grids(
        np.where(inside, 1.0, -1.0).astype(np.float32).reshape(count, ways, GRID_PX, GRID_PX),
        origin.reshape(count, ways, 2),
        pixel.reshape(count, ways, 2),
        lines.reshape(count, ways, 2, LINES),
    )


def _fill(
    first: np.ndarray, second: np.ndarray, slot: np.ndarray, origin: np.ndarray, pixel: np.ndarray
) -> np.ndarray:
    """Which pixels of each grid lie in its polygon, (S, G, G) bool.

    All grids are stacked into one tall raster: grid g has rows g * G … (g + 1) * G - 1.
    """
    shift = np.column_stack([np.zeros(len(slot)), slot * GRID_PX])
    shape = (len(origin) * GRID_PX, GRID_PX)
    spans = spans_of_edges(
        (first - origin[slot]) / pixel[slot] + shift,
        (second - origin[slot]) / pixel[slot] + shift,
        slot,
        shape,
    )
    inside = np.zeros(shape, bool)
    for index, _ in pixels_of(spans, GRID_PX):
        inside.reshape(-1)[index] = True
    return inside.reshape(-1, GRID_PX, GRID_PX)


def _mark_courts(
    grids: _Grids, polygons: np.ndarray, angles: np.ndarray, centre: np.ndarray
) -> None:
    """Writes the score of courts into the grids of footprints that have some."""
    parts, owner = shapely.get_parts(polygons, return_index=True)
    courtly = shapely.get_num_interior_rings(parts) > 0
    if not courtly.any():
        return
    rings, part = shapely.get_rings(parts[courtly], return_index=True)
    outer = np.r_[True, part[1:] != part[:-1]]  # the first ring of a part is its outline
    courts, owner = shapely.polygons(rings[~outer]), owner[courtly][part[~outer]]
    starts, ends, court = edges_of(courts)
    owner = owner[court]
    ways = angles.shape[1]
    slot = (owner[:, None] * ways + np.arange(ways)).ravel()
    inside = _fill(
        _turned(starts - centre[owner], angles[owner]),
        _turned(ends - centre[owner], angles[owner]),
        slot,
        grids.origin.reshape(-1, 2),
        grids.pixel.reshape(-1, 2),
    )
    grids.score[inside.reshape(grids.score.shape) & (grids.score < 0)] = COURT


def _candidate_lines(
    first: np.ndarray, second: np.ndarray, slot: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Lines of each grid, (S, 2, L) sorted: where most wall stands, and equal steps."""
    count = len(low)
    step = np.abs(second - first)
    lines = np.zeros((count, 2, LINES))
    for axis in range(2):
        weight = np.where(step[:, axis] < 0.2 * step[:, 1 - axis], step[:, 1 - axis], 0.05)
        middle = np.where(weight > 0.05, (first + second)[:, axis] / 2, first[:, axis])
        found = _heaviest(middle, weight, slot, count)
        rest = np.linspace(0, 1, STEP_LINES + 2)[1:-1]
        steps = low[:, axis, None] + rest * (high - low)[:, axis, None]
        found = np.where(np.isnan(found), low[:, axis, None], found)
        lines[:, axis] = np.sort(np.column_stack([found, steps]), axis=1)
    return lines


def _heaviest(at: np.ndarray, weight: np.ndarray, slot: np.ndarray, count: int) -> np.ndarray:
    """The `WALL_LINES` places with the most weight in each slot, near ones joined, (S, K) NaN."""
    order = np.lexsort((at, slot))
    at, weight, slot = at[order], weight[order], slot[order]
    new = np.r_[True, (slot[1:] != slot[:-1]) | (at[1:] - at[:-1] > 0.15)]
    group = np.cumsum(new) - 1
    mass = np.bincount(group, weights=weight)
    place = np.bincount(group, weights=weight * at) / mass
    slot = slot[new]
    order = np.lexsort((-mass, slot))
    place, slot = place[order], slot[order]
    rank = np.arange(len(slot)) - np.searchsorted(slot, slot)
    keep = rank < WALL_LINES
    table = np.full((count, WALL_LINES), np.nan)
    table[slot[keep], rank[keep]] = place[keep]
    return table


def _greedy(grids: _Grids, angles: np.ndarray, area: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Takes the best rectangle of any direction until it gains too little."""
    weight = grids.score.copy()  # (B, D, G, G)
    cell_m2 = (grids.pixel[..., 0] * grids.pixel[..., 1]).astype(np.float32)  # (B, D)
    most = np.where(area > LARGE_M2, MAX_BOXES_LARGE, MAX_BOXES)
    alive = np.arange(len(area))
    boxes, owners = [], []
    for turn in range(MAX_BOXES_LARGE):
        gain, way, box = _best_rectangles(weight[alive], cell_m2[alive], grids, alive)
        enough = gain > np.maximum(MIN_GAIN_SHARE * area[alive], MIN_GAIN_M2)
        enough |= turn == 0  # every building has a box
        enough &= most[alive] > turn
        alive, way, box = alive[enough], way[enough], box[enough]
        if len(alive) == 0:
            break
        angle = angles[alive, way]
        boxes.append(np.column_stack([box, angle]))
        owners.append(alive)
        weight[alive] = _covered(weight[alive], box, angle, angles[alive], grids, alive)
    return np.concatenate(boxes), np.concatenate(owners)


def _best_rectangles(
    weight: np.ndarray, cell_m2: np.ndarray, grids: _Grids, alive: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gain [m2], direction, and p, q, width, depth (A, 4) of each footprint's best rectangle."""
    integral = np.zeros((*weight.shape[:2], GRID_PX + 1, GRID_PX + 1), np.float32)
    integral[:, :, 1:, 1:] = weight.cumsum(axis=2).cumsum(axis=3)
    lines = grids.lines[alive]  # (A, D, 2, L)
    place = (lines - grids.origin[alive][..., None]) / grids.pixel[alive][..., None]
    table = _interpolate(integral, place[:, :, 1], place[:, :, 0])  # (A, D, L, L), q then p
    bands = np.take(table, _HIGH, axis=2) - np.take(table, _LOW, axis=2)  # (A, D, P, L)
    score = np.take(bands, _HIGH, axis=3) - np.take(bands, _LOW, axis=3)  # (A, D, P, P)
    score = score.reshape(*score.shape[:2], -1)
    best = score.argmax(axis=2)  # (A, D)
    gain = np.take_along_axis(score, best[..., None], axis=2)[..., 0] * cell_m2
    way = gain.argmax(axis=1)
    row = np.arange(len(alive))
    pair_q, pair_p = np.divmod(best[row, way], len(_LOW))
    p0, p1 = lines[row, way, 0, _LOW[pair_p]], lines[row, way, 0, _HIGH[pair_p]]
    q0, q1 = lines[row, way, 1, _LOW[pair_q]], lines[row, way, 1, _HIGH[pair_q]]
    size_p, size_q = np.maximum(p1 - p0, 0.5), np.maximum(q1 - q0, 0.5)
    box = np.column_stack([(p0 + p1) / 2, (q0 + q1) / 2, size_p, size_q])
    return gain[row, way], way, box


def _interpolate(integral: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """The integral image at fractional rows and columns, (A, D, L, L): exact between pixels."""
    row = np.clip(rows.astype(np.int64), 0, GRID_PX - 1)
    col = np.clip(cols.astype(np.int64), 0, GRID_PX - 1)
    down = (rows - row).astype(np.float32)[..., None]
    right = (cols - col).astype(np.float32)[:, :, None, :]
    first = np.take_along_axis(integral, row[..., None], axis=2)
    second = np.take_along_axis(integral, row[..., None] + 1, axis=2)
    band = first * (1 - down) + second * down  # (A, D, L, G + 1)
    left = np.take_along_axis(band, col[:, :, None, :], axis=3)
    after = np.take_along_axis(band, col[:, :, None, :] + 1, axis=3)
    return left * (1 - right) + after * right


def _covered(
    weight: np.ndarray,
    box: np.ndarray,
    angle: np.ndarray,
    angles: np.ndarray,
    grids: _Grids,
    alive: np.ndarray,
) -> np.ndarray:
    """Scores after a box was taken: its area counts `COVERED` from now on."""
    turn = (angles - angle[:, None])[..., None, None].astype(np.float32)  # (A, D, 1, 1)
    cos, sin = np.cos(turn), np.sin(turn)
    steps = (np.arange(GRID_PX, dtype=np.float32) + 0.5)[None, None]
    origin = grids.origin[alive].astype(np.float32)[..., None]
    pixel = grids.pixel[alive].astype(np.float32)[..., None]
    p = (origin[:, :, 0] + pixel[:, :, 0] * steps)[:, :, None, :]  # (A, D, 1, G)
    q = (origin[:, :, 1] + pixel[:, :, 1] * steps)[:, :, :, None]  # (A, D, G, 1)
    middle_p, middle_q, width, depth = (
        column.astype(np.float32)[:, None, None, None] for column in box.T
    )
    along = np.abs(cos * p - sin * q - middle_p) <= width / 2
    across = np.abs(sin * p + cos * q - middle_q) <= depth / 2
    return np.where(along & across, np.float32(COVERED), weight)
