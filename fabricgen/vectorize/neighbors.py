"""Walls between near buildings: alleys too narrow to walk close or open, fronts stand in line.

One wall at a time is laid on the line of the wall it faces or continues; it stays where it was if
that would take ground from a street, from another building or from the outside of the site.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry import Polygon

from fabricgen.vectorize.settings import DrawSettings
from fabricgen.vectorize.walls import (
    GROWN_M2,
    clean_ring,
    has_fault,
    lay_wall,
    polygon_of,
    rings_of,
)

FACING_DEG = 20.0  # walls that face each other enclose at most this angle
WEDGE_M = 2.5  # an alley may be this wide at its wider end
BESIDE_M = 1.0  # walls face each other over at least this length; fronts part by at most this
MET_M = 0.01  # walls this near are one party wall
KEEP_SHARE = 0.7  # a wall steps back only if this much of its building is left
ROUNDS = 2  # walls of each pair that may move
JOGS = 8  # walls of each building that may move for its own sake


@dataclass(frozen=True, eq=False)
class _Walls:
    """All walls of one building."""

    ring: np.ndarray  # (n,) which ring of the shape
    number: np.ndarray  # (n,) which wall of the ring
    start: np.ndarray  # (n, 2)
    along: np.ndarray  # (n, 2) unit vectors, the inside to the left
    length: np.ndarray  # (n,)


@dataclass(frozen=True)
class _Pair:
    """Wall `a` of one building beside wall `b` of another."""

    a: int
    b: int
    low_m: float  # how far b lies outside of a, where it is nearest
    high_m: float  # and where it is farthest


def fit_neighbors(
    shapes: list[Polygon], fixed: shapely.STRtree, settings: DrawSettings
) -> list[Polygon]:
    """Footprints without narrow alleys between them or jogs in walls and joined fronts.

    Args:
        shapes: Disjoint footprints.
        fixed: What no wall may stand on.
        settings: Widths of alleys, depths of steps.

    Returns:
        As many footprints in the same order, disjoint and off what is fixed.
    """
    if not shapes:
        return []
    shapes = [shapely.orient_polygons(shape) for shape in shapes]
    tree = shapely.STRtree(shapes)
    reach_m = 2 * (settings.flush_m + settings.alley_m)
    for i in range(len(shapes)):
        near = tree.query(shapes[i], predicate="dwithin", distance=reach_m)
        shapes[i] = _without_jogs(shapes[i], [shapes[k] for k in near if k != i], fixed, settings)
    first, second = tree.query(shapes, predicate="dwithin", distance=settings.alley_m)
    pairs = sorted((int(i), int(j)) for i, j in zip(first, second, strict=True) if i < j)
    for i, j in pairs:
        near = tree.query(shapes[i].union(shapes[j]), predicate="dwithin", distance=reach_m)
        others = [shapes[k] for k in near if k not in (i, j)]
        for ways in (_alley, _front):
            for _ in range(ROUNDS):
                both = shapes[i], shapes[j]
                moved = _first_free(ways(*both, settings), both, others, fixed)
                if moved is None:
                    break
                shapes[i], shapes[j] = moved
    return shapes


def _without_jogs(
    shape: Polygon, others: list[Polygon], fixed: shapely.STRtree, settings: DrawSettings
) -> Polygon:
    """A footprint whose walls stand on one line where they nearly do."""
    for _ in range(JOGS):
        options = _straighter(shape, settings)
        straight = next((one for one in options if _is_free(one, shape, others, fixed)), None)
        if straight is None:
            return shape
        shape = straight
    return shape


def _straighter(shape: Polygon, settings: DrawSettings) -> Iterator[Polygon]:
    """A footprint with one of two walls beside a jog laid on the other's line, longer ones last."""
    walls = _walls(shape)
    for k in np.flatnonzero(walls.length < settings.flush_m):
        ring = np.flatnonzero(walls.ring == walls.ring[k])
        before, after = ring[walls.number[k] - 1], ring[(walls.number[k] + 1) % len(ring)]
        bend = float(walls.along[before] @ walls.along[after])
        if bend < np.cos(np.radians(settings.touch_turn_deg)):
            continue
        order = (before, after) if walls.length[before] < walls.length[after] else (after, before)
        for mover, host in (order, order[::-1]):
            moved = _laid(shape, walls, mover, walls.start[host], walls.along[host])
            if moved is not None:
                yield moved


def _first_free(
    options: Iterator[tuple[int, Polygon]],
    both: tuple[Polygon, Polygon],
    others: list[Polygon],
    fixed: shapely.STRtree,
) -> tuple[Polygon, Polygon] | None:
    """Two buildings after the first of some moves that takes no ground that is taken."""
    for mover, shape in options:
        stays = both[1 - mover]
        if _is_free(shape, both[mover], [*others, stays], fixed):
            return (shape, stays) if mover == 0 else (stays, shape)
    return None


def _is_free(
    shape: Polygon, before: Polygon, others: list[Polygon], fixed: shapely.STRtree
) -> bool:
    """Whether a changed footprint takes no ground that is taken."""
    gained = shape.difference(before)
    if gained.area <= GROWN_M2:
        return True
    taken = [*others, *fixed.geometries[fixed.query(gained, predicate="intersects")]]
    return bool(shapely.area(shapely.intersection(taken, gained)).sum() <= GROWN_M2)


def _walls(shape: Polygon) -> _Walls:
    rings = rings_of(shape)
    step = np.concatenate([np.roll(ring, -1, axis=0) - ring for ring in rings])
    length = np.hypot(*step.T)
    return _Walls(
        np.repeat(np.arange(len(rings)), [len(ring) for ring in rings]),
        np.concatenate([np.arange(len(ring)) for ring in rings]),
        np.concatenate(rings),
        step / length[:, None],
        length,
    )


def _beside(a: _Walls, b: _Walls) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Where walls of b lie as seen from walls of a, each (n, m).

    Returns:
        Start and end of the part of a's line beside wall b, and how far outside of a's line b lies
        at both. Where b lies beside none of a, start is larger than end.
    """
    arm = b.start[None] - a.start[:, None]  # (n, m, 2)
    out = np.stack([a.along[:, 1], -a.along[:, 0]], axis=1)
    s0 = (arm * a.along[:, None]).sum(-1)
    d0 = (arm * out[:, None]).sum(-1)
    ds, dd = (b.along @ a.along.T).T, (b.along @ out.T).T  # change per meter along b
    s1 = s0 + ds * b.length
    start = np.maximum(np.minimum(s0, s1), 0.0)
    end = np.minimum(np.maximum(s0, s1), a.length[:, None])
    slope = dd / np.where(np.abs(ds) < 1e-6, 1e-6, ds)
    return start, end, d0 + (start - s0) * slope, d0 + (end - s0) * slope


def _alley(
    first: Polygon, second: Polygon, settings: DrawSettings
) -> Iterator[tuple[int, Polygon]]:
    """Ways to close a narrow alley between two buildings, then ways to open it.

    Yields:
        Which of the two changes (0 or 1), and its new shape; what changes least comes first.
    """
    shapes, walls = (first, second), (_walls(first), _walls(second))
    pair = _facing(*walls, settings)
    if pair is None:
        return
    closed, opened = [], []
    for mover, wall, host in ((0, pair.a, pair.b), (1, pair.b, pair.a)):
        mine, theirs, shape = walls[mover], walls[1 - mover], shapes[mover]
        closed.append((mover, _laid(shape, mine, wall, theirs.start[host], theirs.along[host])))
        back = np.array([-mine.along[wall, 1], mine.along[wall, 0]])
        place = mine.start[wall] + back * (settings.alley_open_m - pair.low_m)
        stepped = _laid(shape, mine, wall, place, mine.along[wall])
        least = max(settings.min_building_m2, KEEP_SHARE * shape.area)
        if stepped is not None and stepped.area >= least:
            opened.append((mover, stepped))
    for options in (closed, opened):
        drawn = [(mover, shape) for mover, shape in options if shape is not None]
        yield from sorted(drawn, key=lambda option: abs(option[1].area - shapes[option[0]].area))


def _facing(a: _Walls, b: _Walls, settings: DrawSettings) -> _Pair | None:
    """The two walls along which a narrow alley runs farthest."""
    start, end, low, high = _beside(a, b)
    low, high = np.minimum(low, high), np.maximum(low, high)
    facing = a.along @ b.along.T < -np.cos(np.radians(FACING_DEG))
    facing &= (end - start > BESIDE_M) & (low > -MET_M) & (low < settings.alley_m)
    facing &= (high > MET_M) & (high < WEDGE_M)
    if not facing.any():
        return None
    i, j = np.unravel_index(np.where(facing, end - start, -np.inf).argmax(), facing.shape)
    return _Pair(int(i), int(j), float(low[i, j]), float(high[i, j]))


def _front(
    first: Polygon, second: Polygon, settings: DrawSettings
) -> Iterator[tuple[int, Polygon]]:
    """The shorter of two fronts that continue each other laid on the longer, or the other way."""
    shapes, (a, b) = (first, second), (_walls(first), _walls(second))
    if first.distance(second) > MET_M:
        return
    start, end, near, far = _beside(a, b)
    # At the joint, where the gap along the front is, both lines are nearest to each other.
    step = np.minimum(np.abs(near), np.abs(far))
    row = a.along @ b.along.T > np.cos(np.radians(settings.touch_turn_deg))
    row &= (np.abs(end - start) < BESIDE_M) & (step < settings.snap_m)
    row &= np.maximum(np.abs(near), np.abs(far)) > MET_M
    for i, j in np.argwhere(row):
        order = (0, 1) if a.length[i] < b.length[j] else (1, 0)
        for mover in order:
            mine, theirs = ((a, i), (b, j)) if mover == 0 else ((b, j), (a, i))
            host, wall = theirs
            shape = _laid(shapes[mover], *mine, host.start[wall], host.along[wall])
            if shape is not None:
                yield mover, shape


def _laid(
    shape: Polygon, walls: _Walls, wall: int, point: np.ndarray, along: np.ndarray
) -> Polygon | None:
    """A footprint with one wall on a line, or None where that makes no clean outline."""
    rings = rings_of(shape)
    number = int(walls.ring[wall])
    ring = lay_wall(rings[number], int(walls.number[wall]), point, along)
    if ring is None:
        return None
    rings[number] = clean_ring(ring)
    moved = polygon_of(rings)
    return None if moved is None or has_fault(moved) else moved
