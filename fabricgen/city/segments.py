"""Street center lines as straight pieces that meet exactly at their junctions."""

from __future__ import annotations

import numpy as np
import shapely

from .mapped import Streets

SIMPLIFY_M = 1.0
SNAP_M = 1 / 64  # coordinates closer than this are the same node


def pieces_of(streets: Streets, clip: shapely.Geometry, corner: tuple[float, float]) -> np.ndarray:
    """Cuts streets at shared nodes, simplifies each piece, and splits it into straight segments.

    Args:
        streets: Center lines.
        clip: The covered area; lines are cut at its edge.
        corner: World x, y of the frame's outer top-left corner.

    Returns:
        (M, 6) float32: u0, v0, u1, v1, width_m, kind in the frame's (u, v).
    """
    if len(streets.shape) == 0:
        return np.zeros((0, 6), np.float32)
    lines = shapely.set_precision(streets.shape, SNAP_M, mode="pointwise")
    lines, owner = _split(lines)
    lines = shapely.simplify(lines, SIMPLIFY_M, preserve_topology=True)
    shapely.prepare(clip)
    inside = shapely.contains_properly(clip, lines)
    lines[~inside] = shapely.intersection(lines[~inside], clip)
    parts, part_of = shapely.get_parts(lines, return_index=True)
    straight = shapely.get_type_id(parts) == 1
    parts, owner = parts[straight], owner[part_of[straight]]

    points, line = shapely.get_coordinates(parts, return_index=True)
    same = line[1:] == line[:-1]
    start, stop, owner = points[:-1][same], points[1:][same], owner[line[1:][same]]
    longer = np.hypot(*(stop - start).T) > SNAP_M
    turn, origin = np.array([1.0, -1.0]), np.array(corner)
    table = np.column_stack(
        [
            (start - origin) * turn,
            (stop - origin) * turn,
            streets.width_m[owner],
            streets.kind[owner],
        ]
    )
    return table[longer].astype(np.float32)


def _split(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cuts lines at nodes that several lines (or one line twice) pass through.

    Returns:
        Pieces, and the line each came from.
    """
    points, line = shapely.get_coordinates(lines, return_index=True)
    repeats = np.zeros(len(points), bool)
    repeats[1:] = (line[1:] == line[:-1]) & (points[1:] == points[:-1]).all(axis=1)
    points, line = points[~repeats], line[~repeats]
    key = np.rint(points / SNAP_M).astype(np.int64)
    packed = key[:, 0] * (1 << 32) + key[:, 1]
    _, node, times = np.unique(packed, return_inverse=True, return_counts=True)
    shared = times[node] > 1

    # A shared node inside a line ends one piece and starts the next.
    first = np.r_[True, line[1:] != line[:-1]]
    last = np.r_[first[1:], True]
    double = shared & ~first & ~last
    copies = np.where(double, 2, 1)
    index = np.repeat(np.arange(len(points)), copies)
    second = np.r_[False, index[1:] == index[:-1]]
    piece = np.cumsum(first[index] & ~second | second) - 1
    long_enough = np.bincount(piece)[piece] >= 2
    renumbered = np.unique(piece[long_enough], return_inverse=True)[1]
    pieces = shapely.linestrings(points[index][long_enough], indices=renumbered)
    owner = np.zeros(len(pieces), np.int64)
    owner[renumbered] = line[index][long_enough]
    return pieces, owner
