"""Sites larger than a window: which window draws which pixels, and conditions cut to one window.

The site is parted into as few cores as windows can hold with a ring of surroundings around each.
A window sees as context what the windows before it have drawn, so that rows of houses run on
across the joints; what later windows will draw can be told as ground of which nothing is known.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from fabricgen.generator.conditions import WINDOW_PX, Boxes, Conditions, Segments
from fabricgen.layout import crop

RING_PX = 12  # at least this much around a core is seen; the stages were trained with 8 and more


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

    The site is cut into bands of rows, and each band where the site lies in it, so that a site
    that stands askew needs no more windows than it must.

    Args:
        editable: (rows, cols) bool, both at least `size_px`.
        size_px: Edge of a window.
    """
    rows, cols = editable.shape
    found = []
    for band in _parts(editable.any(dim=1), size_px):
        for part in _parts(editable[band].any(dim=0), size_px):
            core = torch.zeros_like(editable)
            core[band, part] = editable[band, part]
            found.append(Tile(_start(band, rows, size_px), _start(part, cols, size_px), core))
    return [tile for tile in found if bool(tile.core.any())]


def _parts(used: Tensor, size_px: int) -> list[slice]:
    """Equal parts of the stretch where anything is used, as few as windows allow."""
    place = used.nonzero()[:, 0].tolist()
    if not place:
        return []
    first, length = place[0], place[-1] + 1 - place[0]
    count = -(-length // (size_px - 2 * RING_PX))
    edges = [first + round(k * length / count) for k in range(count + 1)]
    return [slice(low, high) for low, high in pairwise(edges)]


def _start(part: slice, length: int, size_px: int) -> int:
    """First row or column of the window around a part, inside the frame."""
    return max(0, min((part.start + part.stop - size_px) // 2, length - size_px))


def without_known(conditions: Conditions, mask: Tensor) -> Conditions:
    """Conditions that say nothing of the ground under a mask (rows, cols): no data, not empty."""
    context = conditions.context
    return replace(
        conditions,
        context=replace(
            context,
            cover=torch.where(mask, 0.0, context.cover),
            allowed=torch.where(mask, torch.zeros_like(context.allowed), context.allowed),
        ),
    )


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
