"""Polygons onto a grid, exactly by pixel centers and for a whole city at once.

Every polygon becomes runs of pixels (`Spans`): the walls that cross a row of pixel centers, sorted,
taken in pairs. Runs are few and cheap to keep, so a city is painted in any order, as often as need
be. A pixel belongs to a polygon when its center does, which keeps areas without bias.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely

_EDGES_AT_ONCE = 400_000
_PIXELS_AT_ONCE = 8_000_000


@dataclass(frozen=True, eq=False)
class Spans:
    """Runs of pixels: `feature` covers columns [start, stop) of `row`; each (N,) int32."""

    feature: np.ndarray
    row: np.ndarray
    start: np.ndarray
    stop: np.ndarray

    def __len__(self) -> int:
        return len(self.feature)

    def take(self, which: np.ndarray) -> Spans:
        """Some of the runs, or all in another order."""
        return Spans(self.feature[which], self.row[which], self.start[which], self.stop[which])

    def ordered(self, rank: np.ndarray) -> Spans:
        """The runs, low ranks first; `rank` has one entry per feature."""
        return self.take(np.argsort(rank[self.feature], kind="stable"))


def edges_of(polygons: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Walls of polygons with their holes: starts (E, 2), ends (E, 2), polygon index (E,)."""
    parts, owner = shapely.get_parts(polygons, return_index=True)
    rings, ring_part = shapely.get_rings(parts, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    same = ring[1:] == ring[:-1]
    return points[:-1][same], points[1:][same], owner[ring_part[ring[1:][same]]]


def spans_of(polygons: np.ndarray, shape: tuple[int, int], corner: tuple[float, float]) -> Spans:
    """Pixels of 1 m whose centers lie in each polygon.

    Args:
        polygons: Polygons and multipolygons, (N,); empty ones cover nothing.
        shape: Rows and columns of the grid.
        corner: World x, y of the grid's outer top-left corner.

    Returns:
        Runs inside the grid, sorted by polygon, row, column.
    """
    starts, ends, owner = edges_of(polygons)
    grid = np.array([corner[0], corner[1]])
    starts, ends = (starts - grid) * (1, -1), (ends - grid) * (1, -1)
    return spans_of_edges(starts, ends, owner, shape)


def spans_of_edges(
    starts: np.ndarray, ends: np.ndarray, owner: np.ndarray, shape: tuple[int, int]
) -> Spans:
    """As `spans_of`, from walls in pixel coordinates (column, row), (E, 2) each."""
    # A wall crosses the row centers between its two ends: ceil(top - 0.5) … ceil(bottom - 0.5) - 1.
    top = np.minimum(starts[:, 1], ends[:, 1])
    bottom = np.maximum(starts[:, 1], ends[:, 1])
    first = np.clip(np.ceil(top - 0.5), 0, shape[0]).astype(np.int64)
    last = np.clip(np.ceil(bottom - 0.5), 0, shape[0]).astype(np.int64)
    keep = np.flatnonzero(last > first)
    count = (last - first)[keep]

    # Every crossing, in pieces to bound memory; a polygon's walls may fall into several pieces.
    found = []
    for piece in _pieces(count, _EDGES_AT_ONCE):
        edge = np.repeat(keep[piece], count[piece])
        within = np.arange(len(edge)) - np.repeat(
            np.cumsum(count[piece]) - count[piece], count[piece]
        )
        row = first[edge] + within
        (x0, y0), (x1, y1) = starts[edge].T, ends[edge].T
        found.append((owner[edge], row, x0 + (row + 0.5 - y0) * (x1 - x0) / (y1 - y0)))
    if not found:
        nothing = np.zeros(0, np.int32)
        return Spans(nothing, nothing, nothing, nothing)
    who, row, x = (np.concatenate(part) for part in zip(*found, strict=True))

    # In each row a polygon is entered and left in turn.
    order = np.lexsort((x, who * shape[0] + row))
    who, row, column = who[order], row[order], np.ceil(x[order] - 0.5)
    column = np.clip(column, 0, shape[1]).astype(np.int32)
    spans = Spans(who[::2].astype(np.int32), row[::2].astype(np.int32), column[::2], column[1::2])
    return spans.take(spans.stop > spans.start)


def _pieces(count: np.ndarray, limit: int) -> Iterator[slice]:
    """Slices of consecutive items whose counts sum to about `limit`."""
    ends = np.cumsum(count)
    start = 0
    while start < len(count):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + limit, side="right")))
        yield slice(start, stop)
        start = stop


def pixels_of(spans: Spans, columns: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Flat pixel indices and their feature, in order of the runs and in bounded pieces."""
    length = (spans.stop - spans.start).astype(np.int64)
    first = spans.row.astype(np.int64) * columns + spans.start
    for piece in _pieces(length, _PIXELS_AT_ONCE):
        run = length[piece]
        within = np.arange(run.sum()) - np.repeat(np.cumsum(run) - run, run)
        yield np.repeat(first[piece], run) + within, np.repeat(spans.feature[piece], run)


def paint(plate: np.ndarray, spans: Spans, value: np.ndarray | int) -> None:
    """Writes `value` (one, or one per feature) where the runs lie; later runs win."""
    flat = plate.reshape(-1)
    for pixel, feature in pixels_of(spans, plate.shape[1]):
        flat[pixel] = value if np.isscalar(value) else np.asarray(value)[feature]


def area_of(spans: Spans, count: int) -> np.ndarray:
    """Pixels of each feature, (count,)."""
    return np.bincount(spans.feature, weights=spans.stop - spans.start, minlength=count)
