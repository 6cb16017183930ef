"""Windows of a city at any place and angle, and their eight views."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..layout import Frame
from ..surfaces import BIT, PAINT_ORDER

Arrays = Mapping[str, np.ndarray]

U, V, WIDTH_M, DEPTH_M, ANGLE_RAD, FLOORS, BUILDING_ID = range(7)  # columns of boxes


@dataclass(frozen=True, eq=False)
class Window:
    """A piece of a city, cut at any place and angle.

    Attributes:
        labels: Allowed surfaces, (rows, cols) uint8; 0 = no data.
        height_dm: Height above ground, (rows, cols) uint16 in decimeters; 0 = unknown.
        boxes: Boxes that touch the window, (N, 7) float32 in the window's (u, v).
        segments: Street pieces that touch the window, (M, 6) float32 in the window's (u, v).
        frame: Where the window lies, before its flip.
        north_deg: Bearing of the window's up, clockwise from north, after its flip.
        city: Name of the city.
        flip: Which of the 8 dihedral transforms was applied.
    """

    labels: np.ndarray
    height_dm: np.ndarray
    boxes: np.ndarray
    segments: np.ndarray
    frame: Frame
    north_deg: float
    city: str
    flip: int = 0


def centred_frame(
    crs: str, x_m: float, y_m: float, angle_deg: float, *, rows: int, cols: int, pixel_m: float
) -> Frame:
    """The frame of that size and turn whose centre is at (x_m, y_m)."""
    turn = math.radians(angle_deg)
    sin, cos = math.sin(turn), math.cos(turn)
    half_u, half_v = cols * pixel_m / 2, rows * pixel_m / 2
    corner_x = x_m - half_u * cos + half_v * sin
    corner_y = y_m + half_u * sin + half_v * cos
    return Frame(crs, corner_x, corner_y, angle_deg, pixel_m, rows, cols)


def cut(
    frame: Frame, city_frame: Frame, plates: Arrays, tables: Arrays, reach: Arrays, *, city: str
) -> Window:
    """Cuts a frame out of a city.

    Args:
        frame: The window.
        city_frame: The frame of the city's arrays.
        plates: `labels` and `height_dm`, (H, W), pixels of 1 m.
        tables: `boxes` (N, 7) and `segments` (M, 6).
        reach: Of each box and segment, sorted by v: v, u, radius, number, (4, N) and (4, M).
        city: Name of the city.
    """
    labels, height_dm = _cut_plates(frame, city_frame, plates)
    boxes, segments = _cut_tables(frame, city_frame, tables, reach)
    return Window(labels, height_dm, boxes, segments, frame, frame.angle_deg % 360.0, city)


# --- rasters -------------------------------------------------------------------------------------

# Place of each byte when samples tie: no data, then open sets, then surfaces by PAINT_ORDER.
_RANK = np.ones(256, np.uint8)
_RANK[0] = 0
for _place, _surface in enumerate(PAINT_ORDER):
    _RANK[BIT[_surface]] = 2 + _place


def _cut_plates(frame: Frame, city: Frame, plates: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Labels and heights of a frame, both (rows, cols)."""
    samples = max(1, round(frame.pixel_m))  # per edge of a pixel
    step = 1.0 / samples
    row = (np.arange(frame.rows * samples) + 0.5) * step
    col = (np.arange(frame.cols * samples) + 0.5) * step
    a, b, c, d, e, f = frame.affine()
    index_col = np.floor((b * row[:, None] + c - city.x_m) + a * col).astype(np.int32)
    index_row = np.floor((city.y_m - f - e * row[:, None]) - d * col).astype(np.int32)

    # Outside the city there is no data.
    inside = (index_row >= 0) & (index_row < city.rows) & (index_col >= 0) & (index_col < city.cols)
    whole = bool(inside.all())
    if not whole:
        index_row, index_col = np.where(inside, index_row, 0), np.where(inside, index_col, 0)
    labels = plates["labels"][index_row, index_col]
    height_dm = plates["height_dm"][index_row, index_col]
    if not whole:
        labels, height_dm = labels * inside, height_dm * inside
    if samples == 1:
        return labels, height_dm
    shape = (frame.rows, samples, frame.cols, samples)
    return _majority(labels.reshape(shape), height_dm.reshape(shape))


def _majority(labels: np.ndarray, height_dm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The commonest label of each pixel's samples, and the mean known height where it holds.

    Args:
        labels: (rows, s, cols, s) uint8.
        height_dm: (rows, s, cols, s) uint16.
    """
    rows, samples, cols, _ = labels.shape
    planes = labels.transpose(1, 3, 0, 2).reshape(samples**2, rows, cols)  # one per sample
    tall = height_dm.transpose(1, 3, 0, 2).reshape(planes.shape)
    present = np.flatnonzero(np.bincount(planes.ravel(), minlength=256)).astype(np.uint8)
    present = present[np.argsort(_RANK[present], kind="stable")]  # later ones win ties
    winner = np.zeros((rows, cols), np.uint8)
    best = np.ones((rows, cols), np.uint16)
    for label in present:
        count = (planes == label).sum(axis=0, dtype=np.uint16)
        takes = count >= best
        winner[takes], best[takes] = label, count[takes]

    known = (planes == winner) & (tall > 0)
    count = known.sum(axis=0, dtype=np.uint32)
    total = (tall * known).sum(axis=0, dtype=np.uint32)
    mean = (total + count // 2) // np.maximum(count, 1)
    return winner, mean.astype(np.uint16)


# --- boxes and segments --------------------------------------------------------------------------


def _cut_tables(
    frame: Frame, city: Frame, tables: Arrays, reach: Arrays
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and segments that touch a frame, in its (u, v)."""
    width, height = frame.cols * frame.pixel_m, frame.rows * frame.pixel_m
    turn = math.radians(frame.angle_deg - city.angle_deg)
    sin, cos = math.sin(turn), math.cos(turn)
    corner_u = frame.x_m - city.x_m
    corner_v = city.y_m - frame.y_m
    centre_u = corner_u + width / 2 * cos - height / 2 * sin
    centre_v = corner_v + width / 2 * sin + height / 2 * cos
    radius = math.hypot(width, height) / 2

    def near(name: str) -> np.ndarray:
        v, u, own, number = reach[name]  # sorted by v
        far = radius + (own.max() if len(own) else 0.0)
        band = slice(*np.searchsorted(v, [centre_v - far, centre_v + far]))
        limit = own[band] + radius
        close = (np.abs(u[band] - centre_u) <= limit) & (np.abs(v[band] - centre_v) <= limit)
        return tables[name][np.sort(number[band][close].astype(np.int64))]

    def turned(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u, v = u.astype(np.float64) - corner_u, v.astype(np.float64) - corner_v
        return cos * u + sin * v, cos * v - sin * u

    boxes = near("boxes")
    boxes[:, U], boxes[:, V] = turned(boxes[:, U], boxes[:, V])
    boxes[:, ANGLE_RAD] -= turn
    boxes = canonical(boxes[_boxes_touch(boxes, width, height)])
    segments = near("segments")
    for end in (0, 2):
        segments[:, end], segments[:, end + 1] = turned(segments[:, end], segments[:, end + 1])
    return boxes, segments[_segments_touch(segments, width, height)]


def canonical(boxes: np.ndarray) -> np.ndarray:
    """Boxes (N, 7) with the angle in (-pi/4, pi/4], width and depth swapped to get there."""
    boxes = boxes.copy()
    quarter = np.pi / 2
    turns = np.ceil(boxes[:, ANGLE_RAD] / quarter - 0.5 - 1e-7)
    boxes[:, ANGLE_RAD] -= turns * quarter
    swap = turns.astype(np.int64) % 2 == 1
    boxes[swap, WIDTH_M : DEPTH_M + 1] = boxes[swap, WIDTH_M : DEPTH_M + 1][:, ::-1]
    return boxes


def _boxes_touch(boxes: np.ndarray, width: float, height: float) -> np.ndarray:
    """Which boxes share area with [0, width] x [0, height]: no axis of either separates them."""
    cos, sin = np.cos(boxes[:, ANGLE_RAD]), np.sin(boxes[:, ANGLE_RAD])
    half_w, half_d = boxes[:, WIDTH_M] / 2, boxes[:, DEPTH_M] / 2
    from_u, from_v = boxes[:, U] - width / 2, boxes[:, V] - height / 2
    reach_u = np.abs(half_w * cos) + np.abs(half_d * sin) + width / 2
    reach_v = np.abs(half_w * sin) + np.abs(half_d * cos) + height / 2
    window_w = (np.abs(width * cos) + np.abs(height * sin)) / 2
    window_d = (np.abs(width * sin) + np.abs(height * cos)) / 2
    along = np.abs(from_u * cos + from_v * sin) < half_w + window_w
    across = np.abs(from_v * cos - from_u * sin) < half_d + window_d
    return (np.abs(from_u) < reach_u) & (np.abs(from_v) < reach_v) & along & across


def _segments_touch(segments: np.ndarray, width: float, height: float) -> np.ndarray:
    """Which centre lines come nearer to the window than half their width (by its grown box)."""
    grow = segments[:, 4] / 2
    enter, leave = np.zeros(len(segments)), np.ones(len(segments))
    inside = np.ones(len(segments), bool)
    for axis, size in ((0, width), (1, height)):
        start, step = segments[:, axis], segments[:, axis + 2] - segments[:, axis]
        flat = np.abs(step) < 1e-6
        safe = np.where(flat, 1.0, step)
        first, second = (-grow - start) / safe, (size + grow - start) / safe
        enter = np.where(flat, enter, np.maximum(enter, np.minimum(first, second)))
        leave = np.where(flat, leave, np.minimum(leave, np.maximum(first, second)))
        inside &= ~flat | ((start >= -grow) & (start <= size + grow))
    return inside & (enter <= leave)


# --- the eight views of a window -----------------------------------------------------------------


def flipped(window: Window, flip: int) -> Window:
    """One of the 8 dihedral views: mirrored from 4 on, then `flip % 4` turns against the clock."""
    if not 0 <= flip < 8:
        raise ValueError(f"flip is {flip}, not 0 to 7")
    width = window.frame.cols * window.frame.pixel_m
    height = window.frame.rows * window.frame.pixel_m
    labels, height_dm = window.labels, window.height_dm
    boxes, segments, north = window.boxes.copy(), window.segments.copy(), window.north_deg
    if flip >= 4:
        labels, height_dm = labels[:, ::-1], height_dm[:, ::-1]
        boxes[:, U] = width - boxes[:, U]
        boxes[:, ANGLE_RAD] *= -1
        segments[:, [0, 2]] = width - segments[:, [0, 2]]
        north = -north
    for _ in range(flip % 4):
        labels, height_dm = np.rot90(labels), np.rot90(height_dm)
        boxes[:, [U, V]] = np.column_stack([boxes[:, V], width - boxes[:, U]])
        boxes[:, ANGLE_RAD] -= np.pi / 2
        segments = segments[:, [1, 0, 3, 2, 4, 5]]
        segments[:, [1, 3]] = width - segments[:, [1, 3]]
        width, height = height, width
        north += 90.0
    return Window(
        np.ascontiguousarray(labels),
        np.ascontiguousarray(height_dm),
        canonical(boxes),
        segments,
        window.frame,
        north % 360.0,
        window.city,
        flip,
    )
