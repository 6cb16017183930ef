"""Sites larger than a window: which window draws which pixels, and conditions cut to one window.

The site is parted into as few cores as windows can hold with a ring of surroundings around each.
A window sees as context what the windows before it have drawn, so that rows of houses run on
across the joints; what later windows will draw can be told as ground of which nothing is known.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from fabricgen.generator.conditions import WINDOW_PX, Boxes, Conditions, Segments
from fabricgen.layout import crop

RING_PX = 12  # at least this much around a core is seen; the stages were trained with 8 and more
BLOCK_RING_PX = 4  # around a block that is drawn as a whole


@dataclass(frozen=True, eq=False)
class Tile:
    """One window on the frame.

    Attributes:
        row: First row of the window.
        col: First column of the window.
        core: The pixels that this window draws, (rows, cols) of the whole frame, bool; or
            (B, rows, cols), its own for each item.
    """

    row: int
    col: int
    core: Tensor


def tiles(
    editable: Tensor, *, size_px: int = WINDOW_PX, core_px: int = WINDOW_PX - 2 * RING_PX
) -> list[Tile]:
    """Windows that together draw every editable pixel once, in reading order.

    The site is cut into bands of rows, and each band where the site lies in it, so that a site
    that stands askew needs no more windows than it must.

    Args:
        editable: (rows, cols) bool, both at least `size_px`.
        size_px: Edge of a window.
        core_px: Longest side of a core.
    """
    rows, cols = editable.shape
    found = []
    for band in _parts(editable.any(dim=1), core_px):
        for part in _parts(editable[band].any(dim=0), core_px):
            core = torch.zeros_like(editable)
            core[band, part] = editable[band, part]
            found.append(Tile(_start(band, rows, size_px), _start(part, cols, size_px), core))
    return [tile for tile in found if bool(tile.core.any())]


def _parts(used: Tensor, core_px: int) -> list[slice]:
    """Equal parts of the stretch where anything is used, as few as cores allow."""
    place = used.nonzero()[:, 0].tolist()
    if not place:
        return []
    first, length = place[0], place[-1] + 1 - place[0]
    count = -(-length // core_px)
    edges = [first + round(k * length / count) for k in range(count + 1)]
    return [slice(low, high) for low, high in pairwise(edges)]


def _start(part: slice, length: int, size_px: int) -> int:
    """First row or column of the window around a part, inside the frame."""
    return max(0, min((part.start + part.stop - size_px) // 2, length - size_px))


def whole_blocks(todo: list[Tile], blocks: np.ndarray, *, size_px: int = WINDOW_PX) -> list[Tile]:
    """The same windows with cores that part no block which fits into one of them.

    Such a block goes to the window that had most of it among those that hold it with BLOCK_RING_PX
    around. Streets and larger blocks stay parted as they were.

    Args:
        todo: Windows with one core for all items.
        blocks: Number of the block of each pixel, (B, rows, cols); 0 on streets.
        size_px: Edge of a window.
    """
    owner = np.full(blocks.shape[1:], -1)
    for number, tile in enumerate(todo):
        owner[tile.core.cpu().numpy()] = number
    places = np.array([[tile.row, tile.col] for tile in todo])
    owners = np.stack([_owners(labels, owner, places, size_px) for labels in blocks])
    return [
        replace(tile, core=torch.from_numpy(owners == number).to(tile.core.device))
        for number, tile in enumerate(todo)
    ]


def _owners(labels: np.ndarray, owner: np.ndarray, places: np.ndarray, size_px: int) -> np.ndarray:
    """Number of the window that draws each pixel of one item, (rows, cols); -1 off the site."""
    own = owner.copy()
    on_site = np.where(owner >= 0, labels, 0)
    for number, box in enumerate(ndimage.find_objects(on_site), start=1):
        if box is None:
            continue
        block = on_site[box] == number
        share = np.bincount(owner[box][block], minlength=len(places))
        low, high = (np.array([getattr(side, end) for side in box]) for end in ("start", "stop"))
        room = np.minimum(low - places, places + size_px - high).min(axis=1)
        share = np.where(room >= BLOCK_RING_PX, share, 0)
        if share.max() > 0:
            own[box][block] = share.argmax()
    return own


def without_known(conditions: Conditions, mask: Tensor) -> Conditions:
    """Conditions that say nothing of the ground under a mask, no data instead of empty.

    The mask is (rows, cols), or (B, rows, cols).
    """
    context = conditions.context
    return replace(
        conditions,
        context=replace(
            context,
            cover=torch.where(mask if mask.ndim == 2 else mask[:, None], 0.0, context.cover),
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
