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
