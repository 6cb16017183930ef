"""Corners that a coarse map shows cut off, drawn as the square steps that they most likely are."""

import numpy as np

from fabricgen.vectorize.fitting import ring_corners
from fabricgen.vectorize.outlines import FREE, QUARTER, Ring

LONGEST_PX = 4.0  # longer walls are oblique in truth
SQUARE_RAD = np.radians(10.0)  # how far from a right angle the walls beside may stand
HALF = np.sqrt(0.5)  # a step of this share of the cut takes as much ground as the cut


def squared(ring: Ring) -> Ring:
    """A ring whose short oblique walls are steps of two walls, or one across where it parts two."""
    starts = ring_corners(ring)
    ends = np.roll(starts, -1, axis=0)
    length = np.hypot(*(ends - starts).T)
    n = len(ring.angle)
    rows: list[tuple[float, float, int]] = []
    for k in range(n):
        before, after = (k - 1) % n, (k + 1) % n
        own = (float(ring.angle[k]), float(ring.offset[k]), int(ring.frame[k]))
        same = ring.frame[before] == ring.frame[after] != FREE
        if ring.frame[k] != FREE or not same or length[k] > LONGEST_PX:
            rows.append(own)
            continue
        turn = _turn(ring.angle[before], ring.angle[after])
        if abs(abs(turn) - QUARTER) < SQUARE_RAD:
            rows += _step(ring, starts[k], ends[k], before, after)
        elif abs(turn) < SQUARE_RAD:
            rows.append(_across(ring, starts[k], ends[k], before))
        else:
            rows.append(own)
    angle, offset, frame = (np.array(column) for column in zip(*rows, strict=True))
    return Ring(angle, offset, frame)


def laid(ring: Ring, frames: np.ndarray, within_rad: float) -> Ring:
    """A ring whose oblique walls lie along the nearest of some frames, where that is near enough.

    A facade with shallow steps looks like an oblique wall on a coarse map.
    """
    turn = (frames[None] - ring.angle[:, None] + QUARTER / 2) % QUARTER - QUARTER / 2
    nearest = np.abs(turn).argmin(axis=1)
    by = turn[np.arange(len(nearest)), nearest]
    lies = (ring.frame == FREE) & (np.abs(by) < within_rad)
    if not lies.any():
        return ring
    starts = ring_corners(ring)
    ends = np.roll(starts, -1, axis=0)
    rows: list[tuple[float, float, int]] = []
    n = len(ring.angle)
    for k in range(n):
        angle = float(ring.angle[k] + by[k] * lies[k])
        offset = _offset(angle, (starts[k] + ends[k]) / 2) if lies[k] else float(ring.offset[k])
        rows.append((angle, offset, int(nearest[k] if lies[k] else ring.frame[k])))
    joined = [rows[0]]
    for k in range(1, n + 1):
        row = rows[k % n]
        if abs(np.sin(_turn(joined[-1][0], row[0]))) < np.sin(SQUARE_RAD):
            joined.append(_between(joined[-1], row, starts[k % n]))
        joined.append(row)
    angle, offset, frame = (np.array(column) for column in zip(*joined[:-1], strict=True))
    return Ring(angle, offset, frame)


def _between(
    one: tuple[float, float, int], other: tuple[float, float, int], joint: np.ndarray
) -> tuple[float, float, int]:
    """The wall across from a line to one that is parallel to it, through a point."""
    normal = np.array([np.sin(other[0]), -np.cos(other[0])])
    foot = joint + normal * (other[1] - normal @ joint)
    outward = np.sin(one[0]) * foot[0] - np.cos(one[0]) * foot[1] > one[1]
    angle = one[0] + (-QUARTER if outward else QUARTER)
    return angle, _offset(angle, joint), one[2]


def _step(
    ring: Ring, start: np.ndarray, end: np.ndarray, before: int, after: int
) -> list[tuple[float, float, int]]:
    """Two walls in the place of one that cuts a corner."""
    corner = _crossing(ring, before, after)
    frame = int(ring.frame[before])
    walls = []
    for wall, point in ((after, start), (before, end)):
        angle = float(ring.angle[wall])
        walls.append((angle, _offset(angle, corner + (point - corner) * HALF), frame))
    return walls


def _across(
    ring: Ring, start: np.ndarray, end: np.ndarray, before: int
) -> tuple[float, float, int]:
    """A wall square to two parallel ones, through the middle of the oblique one between them."""
    along = np.array([np.cos(ring.angle[before]), np.sin(ring.angle[before])])
    left = along[0] * (end - start)[1] - along[1] * (end - start)[0]
    angle = float(ring.angle[before] + (QUARTER if left > 0 else -QUARTER))
    return angle, _offset(angle, (start + end) / 2), int(ring.frame[before])


def _crossing(ring: Ring, one: int, other: int) -> np.ndarray:
    angle = ring.angle[[one, other]]
    normal = np.stack([np.sin(angle), -np.cos(angle)], axis=1)
    return np.linalg.solve(normal, ring.offset[[one, other]])


def _offset(angle: float, point: np.ndarray) -> float:
    return float(np.sin(angle) * point[0] - np.cos(angle) * point[1])


def _turn(first: float, second: float) -> float:
    return float((second - first + np.pi) % (2 * np.pi) - np.pi)
