"""The index of a city: a lattice of 256 m windows with what is in them and where walls point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ..layout import Frame
from ..surfaces import BIT, BUILDING, SURFACES
from . import split

CELL_M = 128  # stride of the lattice
WINDOW_M = 256
WALL_REACH_M = 150.0
MIN_COVERED_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class Cells:
    """Counts of pixels per cell of 128 m.

    Attributes:
        labels: Pixels of each label byte, (R, C, 256).
        tall: Building pixels with a known height, (R, C).
        pixels: Pixels of the raster in each cell, (R, C).
    """

    labels: np.ndarray
    tall: np.ndarray
    pixels: np.ndarray

    @property
    def covered(self) -> np.ndarray:
        """Pixels with data, (R, C)."""
        return self.labels.sum(axis=2) - self.labels[..., 0]

    def surface(self, surface: int) -> np.ndarray:
        """Pixels that are exactly that surface, (R, C)."""
        return self.labels[..., BIT[surface]]


def count_cells(labels: np.ndarray, height_dm: np.ndarray) -> Cells:
    """Counts labels and known heights per cell, strip by strip."""
    rows, cols = (-(-side // CELL_M) for side in labels.shape)
    counts = np.zeros((rows, cols, 256), np.int64)
    tall, pixels = np.zeros((rows, cols), np.int64), np.zeros((rows, cols), np.int64)
    cell = np.arange(labels.shape[1], dtype=np.int32) // CELL_M
    for row in range(rows):
        strip = labels[row * CELL_M : (row + 1) * CELL_M]
        key = (cell * 256)[None, :] + strip
        counts[row] = np.bincount(key.ravel(), minlength=cols * 256).reshape(cols, 256)
        known = height_dm[row * CELL_M : (row + 1) * CELL_M] > 0
        known &= strip == BIT[BUILDING]
        tall[row] = np.bincount(cell, weights=known.sum(axis=0), minlength=cols)
        pixels[row] = np.bincount(cell, minlength=cols) * strip.shape[0]
    return Cells(counts, tall, pixels)


def index_of(
    frame: Frame, cells: Cells, walls: np.ndarray, *, complete: np.ndarray, city: str
) -> dict[str, np.ndarray]:
    """The lattice of windows, one array per column.

    Args:
        frame: The city's frame.
        cells: Counts per cell.
        walls: Walls of all buildings in (u, v): u0, v0, u1, v1, (E, 4).
        complete: How complete each cell's buildings are, (R, C), 0…1.
        city: Name of the city.
    """
    window = _sum4(cells.labels.astype(np.float64))
    pixels = np.maximum(_sum4(cells.pixels), 1)
    covered = window.sum(axis=2) - window[..., 0]
    keep = covered >= MIN_COVERED_SHARE * WINDOW_M**2
    row, col = np.nonzero(keep)
    centres = np.column_stack([col + 1, row + 1]) * float(CELL_M)  # (N, 2) u, v
    window, pixels, covered = window[keep], pixels[keep], covered[keep]
    built = window[:, BIT[BUILDING]]
    x_m, y_m = frame.x_m + centres[:, 0], frame.y_m - centres[:, 1]
    angle_deg, order = wall_angles(walls, centres)
    cell_weight = _sum4(cells.covered * complete)[keep] / WINDOW_M**2

    table: dict[str, np.ndarray] = {"x_m": x_m, "y_m": y_m}
    for name, sign_x, sign_y in (("min", -1, -1), ("max", 1, 1)):
        table[f"{name}_x_m"] = x_m + sign_x * WINDOW_M / 2
        table[f"{name}_y_m"] = y_m + sign_y * WINDOW_M / 2
    exact = np.zeros(len(centres))
    for surface, name in enumerate(SURFACES):
        share = window[:, BIT[surface]] / pixels
        table[f"surface_share_{name}"] = share.astype(np.float32)
        exact += share
    table["unknown_share"] = (1.0 - exact).astype(np.float32)
    known = _sum4(cells.tall)[keep] / np.maximum(built, 1)
    table["height_known_share"] = known.astype(np.float32)
    table["completeness"] = cell_weight.astype(np.float32)
    table["wall_angle_deg"] = angle_deg.astype(np.float32)
    table["wall_order"] = order.astype(np.float32)
    chosen = split.validation_blocks(city, *_block_shares(frame, cells))
    table["split"] = split.window_split(city, centres, chosen, window_m=WINDOW_M)
    return table


def _sum4(cells: np.ndarray) -> np.ndarray:
    """Sums of 2 x 2 cells: the windows of the lattice, (R - 1, C - 1, …)."""
    return cells[:-1, :-1] + cells[1:, :-1] + cells[:-1, 1:] + cells[1:, 1:]


def _block_shares(frame: Frame, cells: Cells) -> tuple[np.ndarray, np.ndarray]:
    """Built and covered share of each validation block, (R, C)."""
    block = round(split.blocks().block_m / CELL_M)
    shape = [-(-side // block) * block for side in cells.pixels.shape]

    def by_block(counts: np.ndarray) -> np.ndarray:
        padded = np.zeros(shape)
        padded[: counts.shape[0], : counts.shape[1]] = counts
        tiles = padded.reshape(shape[0] // block, block, shape[1] // block, block)
        return tiles.sum(axis=(1, 3)) / (block * CELL_M) ** 2

    return by_block(cells.surface(BUILDING)), by_block(cells.covered)


def wall_angles(walls: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Dominant wall direction around each center, and how strictly walls keep to it.

    z = sum(l exp(4 i a)) / sum(l) over walls within 150 m, with length l and bearing a.

    Args:
        walls: u0, v0, u1, v1 with v down, (E, 4).
        centres: u, v, (N, 2).

    Returns:
        arg(z) / 4 in degrees, clockwise from north, in (-45, 45], and |z|; both (N,). Where there
        are no walls the angle and the order are 0.
    """
    if len(walls) == 0 or len(centres) == 0:
        return np.zeros(len(centres)), np.zeros(len(centres))
    step = walls[:, 2:] - walls[:, :2]
    length = np.hypot(*step.T)
    bearing = np.arctan2(step[:, 0], -step[:, 1])
    weighted = length * np.exp(4j * bearing)
    tree = cKDTree((walls[:, :2] + walls[:, 2:]) / 2)
    z = np.zeros(len(centres), complex)
    for number, near in enumerate(tree.query_ball_point(centres, WALL_REACH_M)):
        total = length[near].sum()
        z[number] = weighted[near].sum() / total if total > 0 else 0.0
    return np.degrees(np.angle(z) / 4), np.abs(z)
