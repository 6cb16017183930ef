"""Walls moved until what they enclose covers each pixel as the map says: least squares on shares.

The share of a pixel at the edge of a building says where in the pixel the wall is. All walls of a
window move at once (Gauss-Newton; the derivative is the length of a wall in a pixel): each wall
along its normal, each building's directions as one, free walls about their middles. Walls that
shrink to nothing go. This brings back what a contour loses: corners, and with them the area.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import shapely
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import spsolve

from fabricgen.vectorize.coverage import Pieces, cut, render
from fabricgen.vectorize.outlines import FLAT, FREE, Outline, Ring

ROUNDS = 6
DAMPING = 0.02  # holds what the map does not tell, in squared pixels of wall
TURN_DAMPING = 1.0  # the same for directions, whose columns are far larger
MOST_PX = 0.75  # that a wall moves in one round
MOST_RAD = np.radians(6.0)  # that it turns
STRAY_PX = 3.0  # beyond the box of its ring that a corner may come, besides a share of its size
STRAY_SHARE = 0.25
JOIN_RAD = np.radians(20.0)  # walls nearer to parallel than this become one when the step goes


class Walls:
    """All walls of all outlines as flat arrays, rings one after the other."""

    def __init__(self, outlines: Sequence[Outline]) -> None:
        rings = [ring for outline in outlines for ring in outline.rings]
        sizes = np.array([len(ring.angle) for ring in rings], dtype=int)
        count = [len(outline.rings) for outline in outlines]
        self.ring = np.repeat(np.arange(len(rings)), sizes)
        self.mass = np.repeat(np.repeat(np.arange(len(outlines)), count), sizes)
        self.angle = np.concatenate([ring.angle for ring in rings])
        self.offset = np.concatenate([ring.offset for ring in rings])
        frames = np.array([len(outline.frames) for outline in outlines])
        self.kind = np.concatenate([ring.frame for ring in rings])
        self.framed = self.kind != FREE
        self.first_frame = np.cumsum(frames) - frames
        self.frames = np.concatenate([outline.frames for outline in outlines])
        first = np.cumsum(sizes) - sizes
        self.before = np.arange(len(self.ring)) - 1
        self.before[first] = first + sizes - 1
        self.after = np.empty(len(self.ring), dtype=int)
        self.after[self.before] = np.arange(len(self.ring))

    def corners(self) -> np.ndarray:
        """Where each wall begins: it crosses the one before, (N, 2)."""
        a, b = self.angle[self.before], self.angle
        o, p = self.offset[self.before], self.offset
        det = np.sin(b - a)
        det = np.where(np.abs(det) < FLAT, FLAT, det)
        # Normals (sin, -cos).
        return np.stack(
            [(p * np.cos(a) - o * np.cos(b)) / det, (p * np.sin(a) - o * np.sin(b)) / det], axis=1
        )


def fit(
    outlines: Sequence[Outline], share: np.ndarray, *, shortest_px: float, rounds: int = ROUNDS
) -> tuple[list[Outline | None], np.ndarray]:
    """Outlines moved to where they cover each pixel as the map says.

    Args:
        outlines: One per mass.
        share: Built share of each pixel, (rows, cols).
        shortest_px: Walls that become shorter than this go.
        rounds: Steps of Gauss-Newton.

    Returns:
        As many outlines, None for what is gone, and what the map says more than they cover,
        (rows, cols).
    """
    kept: list[Outline | None] = list(outlines)
    for _ in range(rounds):
        at = [k for k, outline in enumerate(kept) if outline is not None]
        if not at:
            return kept, share
        walls = Walls([outline for k in at if (outline := kept[k]) is not None])
        starts = walls.corners()
        pieces = cut(starts, starts[walls.after])
        _move(walls, pieces, starts, share - render(pieces, share.shape))
        moved = _rebuilt(walls, shortest_px)
        for k, outline in zip(at, _uncrossed([kept[k] for k in at], moved), strict=True):
            kept[k] = outline
    living = [outline for outline in kept if outline is not None]
    return kept, share - cover_of(living, share.shape)


def strays(ring: Ring, before: Ring) -> bool:
    """Whether a changed ring has a corner far outside of what it was.

    Walls that are turned nearly parallel to the ones beside them cross these far away.
    """
    old, new = ring_corners(before), ring_corners(ring)
    low, high = old.min(axis=0), old.max(axis=0)
    margin = STRAY_PX + STRAY_SHARE * float((high - low).max())
    return bool(((new < low - margin) | (new > high + margin)).any())


def any_strays(outline: Outline, before: Outline) -> bool:
    """Whether a ring of a changed outline strays from the outer ring of what it was."""
    return any(strays(ring, before.rings[0]) for ring in outline.rings)


def _uncrossed(
    before: Sequence[Outline | None], after: Sequence[Outline | None]
) -> list[Outline | None]:
    """Moved outlines, rings of which that have come to cross themselves or stray as before."""
    rings = [ring for outline in after if outline is not None for ring in outline.rings]
    if not rings:
        return list(after)
    corners = np.concatenate([ring_corners(ring) for ring in rings])
    owner = np.repeat(np.arange(len(rings)), [len(ring.angle) for ring in rings])
    sound = iter(shapely.is_valid(shapely.polygons(shapely.linearrings(corners, indices=owner))))
    found: list[Outline | None] = []
    for old, new in zip(before, after, strict=True):
        if new is None or old is None:
            found.append(new)
            continue
        kept = [next(sound) and not strays(ring, old.rings[0]) for ring in new.rings]
        same = len(old.rings) == len(new.rings)
        found.append(
            replace(
                new,
                rings=tuple(
                    ring if good or not same else old.rings[j]
                    for j, (ring, good) in enumerate(zip(new.rings, kept, strict=True))
                ),
            )
        )
    return found


def cover_of(outlines: Sequence[Outline], shape: tuple[int, int]) -> np.ndarray:
    """Covered share of each pixel, (rows, cols)."""
    if not outlines:
        return np.zeros(shape)
    walls = Walls(outlines)
    starts = walls.corners()
    return render(cut(starts, starts[walls.after]), shape)


def turn_gain(outlines: Sequence[Outline], share: np.ndarray) -> np.ndarray:
    """How much less misfit each wall would have if it turned about its middle, (N,).

    Walls in the order of the outlines, of their rings, and of the walls of these.
    """
    if not outlines:
        return np.zeros(0)
    walls = Walls(outlines)
    starts = walls.corners()
    pieces = cut(starts, starts[walls.after])
    missing = share - render(pieces, share.shape)
    rows, cols = share.shape
    inside = (pieces.row >= 0) & (pieces.row < rows) & (pieces.col >= 0) & (pieces.col < cols)
    wall, start, end = pieces.wall[inside], pieces.start[inside], pieces.end[inside]
    middle = (starts + starts[walls.after]) / 2
    along = np.stack([np.cos(walls.angle), np.sin(walls.angle)], axis=1)
    lever = (((start + end) / 2 - middle[wall]) * along[wall]).sum(axis=1)
    slope = -np.hypot(*(end - start).T) * lever
    left = missing[pieces.row[inside], pieces.col[inside]]
    pull = np.bincount(wall, slope * left, len(walls.angle))
    stiffness = np.bincount(wall, slope**2, len(walls.angle))
    return pull**2 / np.maximum(stiffness, 1.0)


def _move(walls: Walls, pieces: Pieces, starts: np.ndarray, missing: np.ndarray) -> None:
    """One step of Gauss-Newton."""
    rows, cols = missing.shape
    inside = (pieces.row >= 0) & (pieces.row < rows) & (pieces.col >= 0) & (pieces.col < cols)
    wall = pieces.wall[inside]
    pixel = (pieces.row * cols + pieces.col)[inside]
    start, end = pieces.start[inside], pieces.end[inside]
    length = np.hypot(*(end - start).T)

    # A wall of the building's directions turns about the building, a free one about itself.
    count, masses = len(walls.angle), len(walls.first_frame)
    frames = len(walls.frames)
    size = np.bincount(walls.mass, minlength=masses)
    pivot = np.stack(
        [np.bincount(walls.mass, starts[:, k], masses) / size for k in (0, 1)], axis=1
    )[walls.mass]
    middle = (starts + starts[walls.after]) / 2
    pivot = np.where(walls.framed[:, None], pivot, middle)
    along = np.stack([np.cos(walls.angle), np.sin(walls.angle)], axis=1)
    lever = (((start + end) / 2 - pivot[wall]) * along[wall]).sum(axis=1)
    turner = np.where(
        walls.framed,
        count + walls.first_frame[walls.mass] + walls.kind,
        count + frames + np.arange(count),
    )

    entries = np.concatenate([length, -length * lever])
    columns = np.concatenate([wall, turner[wall]])
    total = count + frames + count
    slope = coo_array(
        (entries, (np.concatenate([pixel, pixel]), columns)), shape=(rows * cols, total)
    ).tocsr()
    damping = np.full(total, TURN_DAMPING)
    damping[:count] = DAMPING
    normal = (slope.T @ slope + diags_array(damping)).tocsc()
    step = spsolve(normal, slope.T @ missing.ravel())

    # Lines turn about their pivots: their distance from the origin follows.
    turn = np.clip(step[turner], -MOST_RAD, MOST_RAD)
    push = np.clip(step[:count], -MOST_PX, MOST_PX)
    from_pivot = walls.offset - _reach(walls.angle, pivot)
    walls.angle = walls.angle + turn
    walls.offset = from_pivot + push + _reach(walls.angle, pivot)
    walls.frames = walls.frames + np.clip(step[count : count + frames], -MOST_RAD, MOST_RAD)


def _reach(angle: np.ndarray, point: np.ndarray) -> np.ndarray:
    return np.sin(angle) * point[:, 0] - np.cos(angle) * point[:, 1]


def _rebuilt(walls: Walls, shortest_px: float) -> list[Outline | None]:
    """The outlines again, without walls that have shrunk to nothing or turned around."""
    starts = walls.corners()
    way = starts[walls.after] - starts
    length = way[:, 0] * np.cos(walls.angle) + way[:, 1] * np.sin(walls.angle)
    short = length < shortest_px
    first = np.flatnonzero(np.concatenate([[True], np.diff(walls.ring) > 0]))
    last = np.append(first[1:], len(walls.ring))
    rings: list[list[Ring | None]] = [[] for _ in walls.first_frame]
    for start, end in zip(first, last, strict=True):
        part = slice(start, end)
        ring: Ring | None = Ring(walls.angle[part], walls.offset[part], walls.kind[part])
        own = rings[walls.mass[start]]
        if short[part].any():
            mended = without_short(ring, shortest_px)
            # A court stays even so: the caller counts on as many rings, and judges them.
            ring = ring if mended is None and own else mended
        own.append(ring)
    made: list[Outline | None] = []
    frames = np.split(walls.frames, walls.first_frame[1:])
    for own, found in zip(frames, rings, strict=True):
        if found[0] is None:
            made.append(None)
        else:
            made.append(Outline(own, tuple(ring for ring in found if ring is not None)))
    return made


def ring_corners(ring: Ring) -> np.ndarray:
    """Corners of one ring, (n, 2): where each wall begins."""
    a, b = np.roll(ring.angle, 1), ring.angle
    o, p = np.roll(ring.offset, 1), ring.offset
    det = np.sin(b - a)
    det = np.where(np.abs(det) < FLAT, FLAT, det)
    return np.stack(
        [(p * np.cos(a) - o * np.cos(b)) / det, (p * np.sin(a) - o * np.sin(b)) / det], axis=1
    )


def ring_area(ring: Ring) -> float:
    """Signed area: positive for outer rings. [px²]."""
    x, y = ring_corners(ring).T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _lengths(ring: Ring) -> np.ndarray:
    starts = ring_corners(ring)
    way = np.roll(starts, -1, axis=0) - starts
    return way[:, 0] * np.cos(ring.angle) + way[:, 1] * np.sin(ring.angle)


def without_short(ring: Ring, shortest_px: float) -> Ring | None:
    """A ring without walls shorter than this; walls beside them join where they are parallel."""
    while len(ring.angle) > 3:
        length = _lengths(ring)
        k = int(length.argmin())
        if length[k] >= shortest_px:
            return ring
        n = len(ring.angle)
        before, after = (k - 1) % n, (k + 1) % n
        turn = (ring.angle[after] - ring.angle[before] + np.pi) % (2 * np.pi) - np.pi
        keep = np.ones(n, dtype=bool)
        keep[k] = False
        if abs(turn) < JOIN_RAD:
            ring = _joined(ring, before, after, np.maximum(length, 1e-3))
            keep[after] = False
        elif abs(turn) > np.pi - JOIN_RAD:
            # Two walls back to back with nothing between: the wing is gone.
            keep[[before, after]] = False
        ring = ring.take(keep)
    return None if len(ring.angle) < 3 or _lengths(ring).min() < shortest_px else ring


def _joined(ring: Ring, one: int, other: int, length: np.ndarray) -> Ring:
    """A ring in which one wall stands for two parallel ones."""
    share = length[other] / (length[one] + length[other])
    angle, offset, frame = ring.angle.copy(), ring.offset.copy(), ring.frame.copy()
    turn = (angle[other] - angle[one] + np.pi) % (2 * np.pi) - np.pi
    if frame[one] == frame[other]:
        angle[one] += turn * share
    elif frame[one] == FREE or (frame[other] != FREE and share > 0.5):
        angle[one] += turn
        frame[one] = frame[other]
    starts = ring_corners(ring)
    ends = np.roll(starts, -1, axis=0)
    middle = [(starts[k] + ends[k]) / 2 for k in (one, other)]
    point = middle[0] * (1 - share) + middle[1] * share
    offset[one] = np.sin(angle[one]) * point[0] - np.cos(angle[one]) * point[1]
    return Ring(angle, offset, frame)
