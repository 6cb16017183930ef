"""Sites larger than a window: which window draws which pixels, and conditions cut to one window.

Windows overlap; each draws the pixels that are nearest to its middle, and sees as context what the
windows before it have drawn, so that streets and rows of houses run on across the joints.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fabricgen.generator.conditions import WINDOW_PX, Boxes, Conditions, Segments
from fabricgen.layout import crop

STEP_PX = 64  # at most this far from window to window: half of each is seen twice


@dataclass(frozen=True, eq=False)
class Tile:
    """One window on the frame.

    Attributes:
        row: First row of the window.
        col: First column of the window.
        core: The pixels that this window draws, (rows, cols) of the whole frame, bool.
    """

    row: int
    col: int
    core: Tensor


def tiles(editable: Tensor, *, size_px: int = WINDOW_PX) -> list[Tile]:
    """Windows that together draw every editable pixel once, in reading order.

    Args:
        editable: (rows, cols) bool, both at least `size_px`.
        size_px: Edge of a window.
    """
    rows, cols = editable.shape
    tops, lefts = _starts(rows, size_px), _starts(cols, size_px)
    own_row = _nearest(rows, tops, size_px)
    own_col = _nearest(cols, lefts, size_px)
    found = []
    for i, top in enumerate(tops):
        for j, left in enumerate(lefts):
            core = editable & (own_row == i)[:, None] & (own_col == j)[None]
            if bool(core.any()):
                found.append(Tile(top, left, core))
    return found


def _starts(length: int, size_px: int) -> list[int]:
    gaps = -(-(length - size_px) // STEP_PX)
    return [round(k * (length - size_px) / gaps) for k in range(gaps + 1)] if gaps else [0]


def _nearest(length: int, starts: list[int], size_px: int) -> Tensor:
    middle = torch.tensor(starts, dtype=torch.float32) + size_px / 2
    place = torch.arange(length, dtype=torch.float32) + 0.5
    return (place[:, None] - middle[None]).abs().argmin(dim=1)


def cut(conditions: Conditions, tile: Tile, *, size_px: int = WINDOW_PX) -> Conditions:
    """Conditions as one window sees them, in the window's own coordinates."""
    rows = slice(tile.row, tile.row + size_px)
    cols = slice(tile.col, tile.col + size_px)
    pixel_m = conditions.context.pixel_m
    du, dv = -tile.col * pixel_m, -tile.row * pixel_m
    return replace(
        conditions,
        context=crop(conditions.context, rows, cols),
        editable=(conditions.editable & tile.core)[:, rows, cols],
        boxes=near_boxes(shift_boxes(conditions.boxes, du, dv), size_px * pixel_m),
        segments=near_segments(shift_segments(conditions.segments, du, dv), size_px * pixel_m),
    )


def shift_boxes(boxes: Boxes, du_m: float, dv_m: float) -> Boxes:
    """Boxes moved by (du, dv)."""
    move = torch.tensor([du_m, dv_m, 0.0, 0.0, 0.0], device=boxes.geometry.device)
    return replace(boxes, geometry=boxes.geometry + move)


def shift_segments(segments: Segments, du_m: float, dv_m: float) -> Segments:
    """Street pieces moved by (du, dv)."""
    move = torch.tensor([du_m, dv_m, du_m, dv_m], device=segments.ends.device)
    return replace(segments, ends=segments.ends + move)


def near_boxes(boxes: Boxes, edge_m: float) -> Boxes:
    """Only boxes that can reach into a square window of this edge."""
    reach = boxes.geometry[..., 2:4].norm(dim=-1) / 2  # (B, N)
    place = boxes.geometry[..., :2]
    near = ((place > -reach[..., None]) & (place < edge_m + reach[..., None])).all(dim=-1)
    return replace(boxes, valid=boxes.valid & near)


def near_segments(segments: Segments, edge_m: float) -> Segments:
    """Only street pieces that can reach into a square window of this edge."""
    low = torch.minimum(segments.ends[..., :2], segments.ends[..., 2:])
    high = torch.maximum(segments.ends[..., :2], segments.ends[..., 2:])
    slack = segments.width_m[..., None] / 2
    near = ((high > -slack) & (low < edge_m + slack)).all(dim=-1)
    return replace(segments, valid=segments.valid & near)
