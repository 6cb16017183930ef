"""What the buildings model sees of a site: one raster, the order of its cells, what stands.

Training and sampling build the same `Scene`, so that both see the same numbers. numpy only.
"""

from dataclasses import dataclass

import numpy as np

from fabricgen.generator.blocks import (
    CELLS,
    GRID,
    WINDOW_M,
    Streets,
    StreetView,
    grid_points,
    label_blocks,
    nearest_street,
    rank_cells,
    read_streets,
    through_streets,
    view_streets,
)
from fabricgen.generator.buildings_raster import draw_raster, pool, top_left

GLOBALS = 14  # asks, their flags, site area, share that stands already
PROGRESS = 11  # running account of one step, see `progress`
ASK_SCALE = np.array([2.0, 0.4, 0.4, 12.0, 0.3, 0.3], np.float32)  # brings asks near one
FAR_ASK, COVERAGE_ASK = 0, 1
STOREY_GUESS = 3.0  # storeys counted for a box whose floors nobody knows
SETBACK_REACH_M = 90.0  # along the street; farther buildings lend no setback
SETBACK_MOST_M = 30.0  # deeper ones stand behind another building


@dataclass(frozen=True, eq=False)
class Scene:
    """One site as arrays; C = 1024 cells, N context boxes."""

    raster: np.ndarray  # (CHANNELS, G, G) float32
    overall: np.ndarray  # (GLOBALS,) float32
    asks: np.ndarray  # (K,) float32, NaN free
    site_m2: float
    standing_share: float  # coverage of the site by context boxes
    standing_far: float
    cell_share: np.ndarray  # (C,) share of the site in each cell, sums to 1
    rank: np.ndarray  # (C,) order of the cells
    block: np.ndarray  # (C,) rank of each cell's block
    face: np.ndarray  # (C,) face of the street walk, -1 without streets
    walk_m: np.ndarray  # (C,) distance along the walk
    street: np.ndarray  # (C, 2, 6) foot u, v, normal u, v, half width, 1 if there is one
    block_ask: np.ndarray  # (C,) coverage asked of each cell's block, NaN free
    context: np.ndarray  # (N, 6) geometry and floors of what stands
    context_walk: np.ndarray  # (N, 3) walk, face, setback of the same
    site: np.ndarray  # (H, W) bool, the editable pixels
    streets: Streets


def make_scene(
    segments: np.ndarray,
    context: np.ndarray,
    site: np.ndarray,
    *,
    asks: np.ndarray,
    unmapped: np.ndarray,
    water: np.ndarray,
    block_coverage: np.ndarray | None = None,
) -> Scene:
    """Look at one site.

    Args:
        segments: (M, 6) all streets of the window, given or proposed.
        context: (N, 7) boxes that stand.
        site: (H, W) bool, where new buildings may go.
        asks: (K,) in the order of BRIEF_KEYS, NaN free.
        unmapped: (H, W) bool, no source says anything here.
        water: (H, W) bool.
        block_coverage: (H, W) float, coverage asked of the block around each pixel, NaN free.
    """
    streets = read_streets(segments)
    points = grid_points(CELLS)
    view, turned = view_streets(points, streets)
    blocks = label_blocks(through_streets(streets))  # (G, G)
    cell_blocks = blocks.reshape(CELLS, 2, CELLS, 2)[:, 1, :, 1].ravel()
    rank, block = rank_cells(cell_blocks, view)
    site_cells = pool(site, CELLS).ravel()
    site_px = float(site.sum())
    site_m2 = site_px * (WINDOW_M / site.shape[0]) ** 2
    share = site_cells / max(site_cells.sum(), 1e-6)

    inside = share_inside(context[:, :5], site)
    area = context[:, 2] * context[:, 3] * inside
    floors = np.where(np.isnan(context[:, 5]), STOREY_GUESS, context[:, 5])
    standing = float(area.sum() / max(site_m2, 1.0))
    ask_map = top_left(block_coverage, GRID) if block_coverage is not None else None
    cell_ask = np.full(CELLS * CELLS, np.nan, np.float32)
    if ask_map is not None:
        cell_ask = ask_map.reshape(CELLS, 2, CELLS, 2)[:, 1, :, 1].ravel()
    return Scene(
        raster=draw_raster(streets, context, site, unmapped, water, ask_map),
        overall=_overall(asks, site_m2, standing),
        asks=asks.astype(np.float32),
        site_m2=site_m2,
        standing_share=standing,
        standing_far=float((area * floors).sum() / max(site_m2, 1.0)),
        cell_share=share.astype(np.float32),
        rank=rank,
        block=block,
        face=view.face,
        walk_m=view.walk_m.astype(np.float32),
        street=np.stack([_street_rows(view), _street_rows(turned)], axis=1),
        block_ask=cell_ask.astype(np.float32),
        context=context[:, :6].astype(np.float32),
        context_walk=box_walk(context[:, :5], streets),
        site=site,
        streets=streets,
    )


def box_walk(boxes: np.ndarray, streets: Streets) -> np.ndarray:
    """Walk, face and setback of each box (N, 5): (N, 3) float32; face -1 without streets."""
    view = nearest_street(boxes[:, :2], streets)
    along, across = _axes(boxes[:, 4])
    reach = (
        boxes[:, 2] * np.abs((along * view.normal).sum(1))
        + boxes[:, 3] * np.abs((across * view.normal).sum(1))
    ) / 2
    offset = ((boxes[:, :2] - view.foot) * view.normal).sum(1)
    setback = offset - reach - view.half_m
    return np.stack([view.walk_m, view.face, setback], axis=1).astype(np.float32)


def share_inside(boxes: np.ndarray, site: np.ndarray) -> np.ndarray:
    """Share of each box (N, 5) on the site, by 16 points, (N,)."""
    along, across = _axes(boxes[:, 4])
    step = (np.arange(4, dtype=np.float32) + 0.5) / 4 - 0.5
    w = step[None, :, None, None] * (boxes[:, 2:3] * along)[:, None, None, :]
    d = step[None, None, :, None] * (boxes[:, 3:4] * across)[:, None, None, :]
    points = boxes[:, None, None, :2] + w + d  # (N, 4, 4, 2)
    place = np.floor(points / (WINDOW_M / site.shape[0])).astype(np.int64)
    held = ((place >= 0) & (place < site.shape[0])).all(-1)
    place = np.clip(place, 0, site.shape[0] - 1)
    return (site[place[..., 1], place[..., 0]] & held).mean(axis=(1, 2)).astype(np.float32)


def near_boxes(centers: np.ndarray, pool: np.ndarray, allowed: np.ndarray, keep: int) -> np.ndarray:
    """The nearest boxes of each place, by distance to their walls.

    Args:
        centers: (R, 2).
        pool: (R or 1, P, 5) boxes.
        allowed: (R, P) bool, which of them stand.
        keep: How many.

    Returns:
        Indices into P, nearest first, -1 where there are fewer, (R, keep).
    """
    along, across = _axes(pool[..., 4])
    offset = centers[:, None] - pool[..., :2]
    w = np.abs((offset * along).sum(-1)) - pool[..., 2] / 2
    d = np.abs((offset * across).sum(-1)) - pool[..., 3] / 2
    distance = np.hypot(np.maximum(w, 0), np.maximum(d, 0)) + np.minimum(np.maximum(w, d), 0)
    return _smallest(np.where(allowed, distance, np.inf), keep)


def near_setbacks(walk: np.ndarray, pool_walk: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Setbacks of the two nearest buildings on the same side of the street, NaN if none.

    Args:
        walk: Walk and face of each cell, (R, 2).
        pool_walk: Walk, face, setback of the boxes, (R or 1, P, 3).
        allowed: (R, P) bool, which of them stand.

    Returns:
        (R, 2) in meters.
    """
    gap = np.abs(pool_walk[..., 0] - walk[:, :1])
    setback = pool_walk[..., 2]
    fits = allowed & (pool_walk[..., 1] == walk[:, 1:]) & (walk[:, 1:] >= 0)
    fits = fits & (gap < SETBACK_REACH_M) & (setback > -1.0) & (setback < SETBACK_MOST_M)
    chosen = _smallest(np.where(fits, gap + np.maximum(setback, 0), np.inf), 2)
    setback = np.broadcast_to(setback, fits.shape)
    taken = np.take_along_axis(setback, np.maximum(chosen, 0), axis=1)
    return np.where(chosen < 0, np.nan, taken).astype(np.float32)


def progress(
    scene: Scene,
    *,
    count: np.ndarray,
    share: np.ndarray,
    far: np.ndarray,
    last: np.ndarray,
    block_share: np.ndarray,
) -> np.ndarray:
    """The running account shown at each step.

    Args:
        scene: The site.
        count: Boxes placed so far, (T,).
        share: Site coverage placed so far, without what stood before, (T,).
        far: The same in floor area per site area, (T,).
        last: Cell of the last building, -1 at the start, (T,).
        block_share: Coverage so far of the last cell's block, (T,).

    Returns:
        (T, PROGRESS) float32.
    """
    by_rank = np.empty_like(scene.cell_share)
    by_rank[scene.rank] = scene.cell_share
    passed = np.concatenate([[0.0], np.cumsum(by_rank)])
    left = 1.0 - np.where(last < 0, 0.0, passed[scene.rank[last] + 1])
    asked, asked_far = scene.asks[COVERAGE_ASK], scene.asks[FAR_ASK]
    known, known_far = not np.isnan(asked), not np.isnan(asked_far)
    zero = np.zeros(len(count), np.float32)
    missing = asked - scene.standing_share - share if known else zero
    missing_far = asked_far - scene.standing_far - far if known_far else zero
    block_ask = np.where(last < 0, np.nan, scene.block_ask[last])
    has_block = ~np.isnan(block_ask)
    density = np.clip(missing / np.maximum(left, 0.02), -1, 3)
    rows = [
        count / 64.0,
        np.log1p(count) / 4.0,
        share * 2.5,
        missing * 2.5,
        zero + known,
        np.clip(missing_far, -4, 8) / 2.0,
        zero + known_far,
        left,
        density,
        np.where(has_block, block_ask - block_share, 0.0) * 2.5,
        has_block,
    ]
    return np.stack([np.asarray(row, np.float32) for row in rows], axis=-1)


def _overall(asks: np.ndarray, site_m2: float, standing: float) -> np.ndarray:
    known = ~np.isnan(asks)
    scaled = np.where(known, np.clip(asks / ASK_SCALE, 0, 5), 0)
    rest = [np.log(max(site_m2, 1.0) / 2e4), standing * 2.5]
    return np.concatenate([scaled, known, rest]).astype(np.float32)


def _street_rows(view: StreetView) -> np.ndarray:
    there = (view.face >= 0).astype(np.float32)
    parts = [view.foot, view.normal, view.half_m[:, None], there[:, None]]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _axes(angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos, sin], axis=-1), np.stack([-sin, cos], axis=-1)


def _smallest(values: np.ndarray, keep: int) -> np.ndarray:
    """Indices of the smallest values along the last axis in order, -1 where infinite."""
    missing = keep - values.shape[1]
    if missing > 0:
        values = np.pad(values, ((0, 0), (0, missing)), constant_values=np.inf)
    chosen = np.argpartition(values, keep - 1, axis=1)[:, :keep]
    found = np.take_along_axis(values, chosen, axis=1)
    order = found.argsort(axis=1)
    chosen, found = (np.take_along_axis(a, order, axis=1) for a in (chosen, found))
    return np.where(np.isfinite(found), chosen, -1)
