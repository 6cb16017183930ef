"""How much of each pixel polygons cover, exactly, and how that changes when a wall moves.

Walls are cut where they cross the lines of the grid; each piece lies in one pixel, adds the area
between itself and the pixel's right edge there, and its height to all pixels right of it (signed
area, as renderers of fonts count it). A wall that moves outward by a little adds its length in a
pixel times that little: this is the derivative, with no need to try. Everything in pixels: x to
the right, y down; the inside of a ring lies to the left of its walls where y is read as upward, so
outer rings have a positive shoelace area and holes a negative one.
"""

from dataclasses import dataclass

import numpy as np

NONE = 1e-12  # pieces shorter than this are rounding


@dataclass(frozen=True, eq=False)
class Pieces:
    """Parts of walls, each within one pixel. All (M,) but the ends."""

    wall: np.ndarray  # which wall
    row: np.ndarray
    col: np.ndarray
    start: np.ndarray  # (M, 2) x, y
    end: np.ndarray  # (M, 2)


def cut(starts: np.ndarray, ends: np.ndarray) -> Pieces:
    """Walls from starts to ends, (N, 2) each, cut at the lines of the grid."""
    wall = [np.arange(len(starts))] * 2
    at = [np.zeros(len(starts)), np.ones(len(starts))]
    for axis in (0, 1):
        owner, share = _crossings(starts[:, axis], ends[:, axis])
        wall.append(owner)
        at.append(share)
    owner, share = np.concatenate(wall), np.concatenate(at)
    order = np.lexsort((share, owner))
    owner, share = owner[order], share[order]
    first = np.flatnonzero((owner[1:] == owner[:-1]) & (share[1:] - share[:-1] > NONE))
    owner = owner[first]
    span = ends[owner] - starts[owner]
    low = starts[owner] + share[first, None] * span
    high = starts[owner] + share[first + 1, None] * span
    middle = np.floor((low + high) / 2).astype(int)
    return Pieces(owner, middle[:, 1], middle[:, 0], low, high)


def render(pieces: Pieces, shape: tuple[int, int]) -> np.ndarray:
    """Covered share of each pixel, (rows, cols); what lies outside of the grid is left out."""
    rows, cols = shape
    rise = pieces.start[:, 1] - pieces.end[:, 1]  # outer rings count positive
    right = 1 - ((pieces.start[:, 0] + pieces.end[:, 0]) / 2 - pieces.col)
    inside = (pieces.row >= 0) & (pieces.row < rows) & (pieces.col < cols)
    before = inside & (pieces.col < 0)
    here = inside & ~before
    at = pieces.row * (cols + 1)
    cells = np.concatenate([at[before], (at + pieces.col)[here], (at + pieces.col + 1)[here]])
    parts = np.concatenate([rise[before], (rise * right)[here], (rise * (1 - right))[here]])
    added = np.zeros(rows * (cols + 1))
    np.add.at(added, cells, parts)
    return np.cumsum(added.reshape(rows, cols + 1), axis=1)[:, :cols]


def _crossings(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where walls cross whole numbers of one coordinate: the wall, and the share of its way."""
    first = np.ceil(np.minimum(low, high))
    count = np.maximum(np.floor(np.maximum(low, high)) - first + 1, 0).astype(int)
    owner = np.repeat(np.arange(len(low)), count)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    way = (high - low)[owner]
    flat = np.abs(way) < NONE
    line = first[owner] + number
    share = (line - low[owner]) / np.where(flat, 1.0, way)
    keep = ~flat & (share > 0) & (share < 1)
    return owner[keep], share[keep]
