"""Rectangles of the same area, middle, direction and proportions as groups of pixels."""

import numpy as np

from fabricgen.vectorize.outlines import QUARTER, Outline, Ring

LEAST_PX2 = 1e-6  # groups of less are none
THIN_PX2 = 1 / 48  # spread of half a pixel, the least that is drawn


def moment_rectangles(
    number: np.ndarray, weight: np.ndarray, rows: np.ndarray, cols: np.ndarray, count: int
) -> list[Outline | None]:
    """A rectangle for each group, None for empty ones.

    Args:
        number: Group of each pixel, (n,).
        weight: Share of it that counts, (n,).
        rows: Its row, (n,).
        cols: Its column, (n,).
        count: How many groups.
    """
    x, y = cols + 0.5, rows + 0.5
    sums = [
        np.bincount(number, weight * value, count)
        for value in (np.ones(len(x)), x, y, x * x, x * y, y * y)
    ]
    found: list[Outline | None] = []
    for area, sx, sy, sxx, sxy, syy in zip(*sums, strict=True):
        if area < LEAST_PX2:
            found.append(None)
            continue
        middle = np.array([sx, sy]) / area
        # Each pixel's own spread of 1/12 is none of the building's.
        own = 1 / 12
        spread = np.array([[sxx, sxy], [sxy, syy]]) / area - np.outer(middle, middle)
        value, vector = np.linalg.eigh(spread - own * np.eye(2))
        size = np.sqrt(12 * np.maximum(value, THIN_PX2))
        size *= np.sqrt(area / size.prod())
        angle = np.arctan2(vector[1, 1], vector[0, 1])
        found.append(rectangle(middle, float(size[1]), float(size[0]), float(angle)))
    return found


def rectangle(middle: np.ndarray, along: float, across: float, angle: float) -> Outline:
    """A rectangle as an outline."""
    angles = angle + QUARTER * np.arange(4)
    reach = np.array([across, along, across, along]) / 2
    offset = np.sin(angles) * middle[0] - np.cos(angles) * middle[1] + reach
    ring = Ring(angles, offset, np.zeros(4, dtype=int))
    return Outline(np.array([angle]), (ring,))


def turned_square(box: Outline) -> Outline:
    """A rectangle turned by an eighth: moments of a square do not tell how it stands."""
    ring = box.rings[0]
    across, along = (ring.offset[k] + ring.offset[k + 2] for k in (0, 1))
    middle = _middle(ring)
    return rectangle(middle, float(along), float(across), float(box.frames[0] + QUARTER / 2))


def is_square(box: Outline, *, within: float) -> bool:
    """Whether the longer side is at most so many times the shorter one."""
    offset = box.rings[0].offset
    sides = offset[0] + offset[2], offset[1] + offset[3]
    return bool(max(sides) <= within * min(sides))


def _middle(ring: Ring) -> np.ndarray:
    angle = ring.angle[:2]
    half = (ring.offset[:2] - ring.offset[2:]) / 2
    normal = np.stack([np.sin(angle), -np.cos(angle)], axis=1)
    return np.linalg.solve(normal, half)


def as_court(ring: Ring, frame: int) -> Ring:
    """An outer ring walked around the other way, in a frame of this number."""
    return Ring(ring.angle[::-1] + np.pi, -ring.offset[::-1], np.full(len(ring.angle), frame))
