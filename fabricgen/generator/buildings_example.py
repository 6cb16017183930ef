"""One training item of the buildings stage: a real site as arrays of fixed shapes."""

import numpy as np

from fabricgen.form.indicators import BRIEF_KEYS
from fabricgen.generator.blocks import (
    CELLS,
    WINDOW_M,
    cell_of,
    grid_points,
    label_blocks,
    read_streets,
    through_streets,
)
from fabricgen.generator.buildings_features import ANOTHER, NEW
from fabricgen.generator.buildings_network import BuildingsSettings
from fabricgen.generator.buildings_scene import (
    STOREY_GUESS,
    Scene,
    box_walk,
    make_scene,
    near_boxes,
    near_setbacks,
    progress,
    share_inside,
)
from fabricgen.generator.conditions import SiteSample
from fabricgen.surfaces import BIT, BUILDING, WATER


def example(
    sample: SiteSample, rng: np.random.Generator, settings: BuildingsSettings
) -> dict[str, np.ndarray]:
    """One training item of fixed shapes; asks are hidden at random.

    A building belongs to the site when the center of its largest box does; the others stand.
    """
    target, context = split_buildings(sample.boxes, sample.editable)
    if rng.random() < settings.keep_share:
        target, context = _keep_some(target, context, rng)
    context = nearest_boxes(context, sample.editable, settings.max_context)
    scene = make_scene(
        sample.segments,
        context,
        sample.editable,
        asks=_hide_asks(sample.asks, rng, settings),
        unmapped=sample.labels == 0,
        water=sample.labels == BIT[WATER],
        block_coverage=_block_coverage(sample, rng, settings),
    )
    boxes, fresh, cell = order_boxes(target, scene)
    return _pack(scene, boxes, fresh, cell, settings)


def split_buildings(boxes: np.ndarray, site: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 7) of the site's buildings and of the others, each building's largest first."""
    if len(boxes) == 0:
        return boxes, boxes
    order = np.lexsort([-boxes[:, 2] * boxes[:, 3], boxes[:, 6]])
    boxes = boxes[order]
    first = np.flatnonzero(np.diff(boxes[:, 6], prepend=-1e9))
    pixel = np.floor(boxes[first, :2] / (WINDOW_M / site.shape[0])).astype(int)
    held = ((pixel >= 0) & (pixel < site.shape[0])).all(1)
    pixel = np.clip(pixel, 0, site.shape[0] - 1)
    inside = held & site[pixel[:, 1], pixel[:, 0]]
    mine = np.repeat(inside, np.diff(np.append(first, len(boxes))))
    return boxes[mine], boxes[~mine]


def order_boxes(boxes: np.ndarray, scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put boxes (N, 7), largest first in each building, in the order of the walk.

    Returns:
        Boxes, which of them start a building (N,) bool, and the cell of each (N,).
    """
    if len(boxes) == 0:
        return boxes, np.zeros(0, bool), np.zeros(0, np.int64)
    fresh = np.diff(boxes[:, 6], prepend=-1e9) != 0
    cell = cell_of(boxes[:, :2], CELLS)
    lead = np.flatnonzero(fresh)[np.cumsum(fresh) - 1]  # first box of each box's building
    walk = box_walk(boxes[:, :5], scene.streets)[:, 0]
    order = np.lexsort([np.arange(len(boxes)), lead, walk[lead], scene.rank[cell[lead]]])
    return boxes[order], fresh[order], cell[order]


def _pack(
    scene: Scene,
    boxes: np.ndarray,
    fresh: np.ndarray,
    cell: np.ndarray,
    settings: BuildingsSettings,
) -> dict[str, np.ndarray]:
    """All arrays of one item, padded to the settings' sizes; what is too long is cut off."""
    most = settings.max_boxes
    complete = len(boxes) <= most
    boxes, fresh, cell = boxes[:most], fresh[:most], cell[:most]
    count = len(boxes)
    lead = np.maximum.accumulate(np.where(fresh, np.arange(count), 0))
    last = np.concatenate([[-1], cell[lead]])  # (count + 1,)
    centers = grid_points(CELLS)[cell]
    near, setbacks = _surroundings(scene, boxes, cell, settings)
    rows = np.zeros((count + 1, 8), np.float32)
    rows[1:, :6], rows[1:, 6], rows[1:, 7] = boxes[:, :6], fresh, 1.0
    return {
        **scene_arrays(scene, settings),
        "built_at": _built_at(scene, boxes),
        "boxes": pad_rows(rows, most + 1),
        "building": pad_rows(np.concatenate([[-1], np.cumsum(fresh) - 1]), most + 1, -2),
        "kind": pad_rows(np.where(fresh, NEW, ANOTHER), most + 1),
        "cell": pad_rows(cell, most),
        "last": pad_rows(last[:count], most, -1),
        "near": pad_rows(near, most, -1),
        "setbacks": pad_rows(setbacks, most, np.nan),
        "target": pad_rows(box_targets(boxes, centers), most),
        "account": pad_rows(_account(scene, boxes, cell, last), most + 1),
        "count": np.int64(count),
        "complete": np.bool_(complete),
    }


def _account(scene: Scene, boxes: np.ndarray, cell: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The running account before each step, (count + 1, PROGRESS)."""
    area = boxes[:, 2] * boxes[:, 3] * share_inside(boxes[:, :5], scene.site)
    storeys = np.where(np.isnan(boxes[:, 5]), STOREY_GUESS, boxes[:, 5])
    site_m2 = max(scene.site_m2, 1.0)
    return progress(
        scene,
        count=np.arange(len(boxes) + 1),
        share=np.concatenate([[0.0], np.cumsum(area)]) / site_m2,
        far=np.concatenate([[0.0], np.cumsum(area * storeys)]) / site_m2,
        last=last,
        block_share=_block_shares(scene, cell, area, last),
    )


def _surroundings(
    scene: Scene, boxes: np.ndarray, cell: np.ndarray, settings: BuildingsSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Neighbors and setbacks as each box finds them, (count, K) and (count, 2).

    Neighbors are indices into `max_context` rows of context followed by the placed boxes.
    """
    pool = np.concatenate([scene.context[:, :5], boxes[:, :5]])
    pool_walk = np.concatenate([scene.context_walk, box_walk(boxes[:, :5], scene.streets)])
    standing = len(scene.context)
    allowed = np.arange(len(pool))[None] - standing < np.arange(len(boxes))[:, None]
    near = near_boxes(grid_points(CELLS)[cell], pool[None], allowed, settings.neighbors)
    near = np.where(near >= standing, near - standing + settings.max_context, near)
    walk = np.stack([scene.walk_m[cell], scene.face[cell]], axis=1)
    return near, near_setbacks(walk, pool_walk[None], allowed)


def scene_arrays(scene: Scene, settings: BuildingsSettings) -> dict[str, np.ndarray]:
    """The arrays of a site that training and sampling share."""
    return {
        "raster": scene.raster,
        "overall": scene.overall,
        "rank": scene.rank,
        "block": scene.block,
        "face": scene.face,
        "walk_m": scene.walk_m,
        "open": scene.cell_share > 0,
        "street": scene.street,
        "context": pad_rows(scene.context, settings.max_context),
    }


def box_targets(boxes: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Angle, log width, log depth, offsets along and across, floors; (N, 6)."""
    offset = boxes[:, :2] - centers
    cos, sin = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    size = np.log(np.maximum(boxes[:, 2:4], 0.5))
    along = offset[:, 0] * cos + offset[:, 1] * sin
    across = offset[:, 1] * cos - offset[:, 0] * sin
    columns = [boxes[:, 4], size[:, 0], size[:, 1], along, across, boxes[:, 5]]
    return np.stack(columns, axis=1).astype(np.float32)


def _block_shares(scene: Scene, cell: np.ndarray, area: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Coverage so far of the block of the last building before each step, (count + 1,)."""
    blocks = int(scene.block.max()) + 1
    site_m2 = np.bincount(scene.block, scene.cell_share, blocks) * scene.site_m2
    built = np.zeros((len(cell) + 1, blocks), np.float32)
    built[np.arange(len(cell)) + 1, scene.block[cell]] = area
    so_far = np.cumsum(built, axis=0) / np.maximum(site_m2, 64.0)
    return so_far[np.arange(len(last)), scene.block[last]]


def _built_at(scene: Scene, boxes: np.ndarray) -> np.ndarray:
    """Order of the first box over each cell's center: -1 stands already, large: never, (C,)."""
    built = np.full(CELLS * CELLS, 10_000, np.int64)
    both = np.concatenate([scene.context[:, :5], boxes[:, :5]])
    for index in range(len(both) - 1, -1, -1):
        built[covered_cells(both[index])] = max(index - len(scene.context), -1)
    return built


def covered_cells(box: np.ndarray) -> np.ndarray:
    """Cells whose centers lie under a box (5,)."""
    u, v, width, depth, angle = box[:5]
    size = WINDOW_M / CELLS
    cos, sin = np.cos(angle), np.sin(angle)
    reach_u = (width * abs(cos) + depth * abs(sin)) / 2
    reach_v = (width * abs(sin) + depth * abs(cos)) / 2
    columns = np.arange(
        max(int((u - reach_u) / size), 0), min(int((u + reach_u) / size) + 1, CELLS)
    )
    rows = np.arange(max(int((v - reach_v) / size), 0), min(int((v + reach_v) / size) + 1, CELLS))
    du = (columns + 0.5) * size - u
    dv = ((rows + 0.5) * size - v)[:, None]
    hit = (np.abs(du * cos + dv * sin) <= width / 2) & (np.abs(dv * cos - du * sin) <= depth / 2)
    return (rows[:, None] * CELLS + columns)[hit]


def _keep_some(
    target: np.ndarray, context: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Let some of the site's buildings stand, so that the model learns to fill in."""
    buildings = np.unique(target[:, 6])
    kept = buildings[rng.random(len(buildings)) < rng.uniform(0.1, 0.8)]
    stays = np.isin(target[:, 6], kept)
    return target[~stays], np.concatenate([context, target[stays]])


def nearest_boxes(context: np.ndarray, site: np.ndarray, most: int) -> np.ndarray:
    """The boxes nearest to the site's middle, at most so many."""
    if len(context) <= most:
        return context
    rows, columns = np.nonzero(site)
    middle = np.array([columns.mean(), rows.mean()]) * (WINDOW_M / site.shape[0])
    distance = np.abs(context[:, :2] - middle).max(1)
    return context[np.argsort(distance)[:most]]


def _hide_asks(
    asks: np.ndarray, rng: np.random.Generator, settings: BuildingsSettings
) -> np.ndarray:
    hidden = rng.random(len(BRIEF_KEYS)) < settings.ask_drop_share
    hidden = hidden | (rng.random() < settings.all_drop_share)
    return np.where(hidden, np.nan, asks).astype(np.float32)


def _block_coverage(
    sample: SiteSample, rng: np.random.Generator, settings: BuildingsSettings
) -> np.ndarray | None:
    """Coverage of each block's part of the site, per pixel, or None when hidden."""
    if rng.random() < settings.block_drop_share:
        return None
    return measure_blocks(sample.labels == BIT[BUILDING], sample.editable, sample.segments)


def measure_blocks(built: np.ndarray, site: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Share built of each block's part of the site, at each pixel, (H, W); NaN off the site."""
    blocks = label_blocks(through_streets(read_streets(segments)))
    factor = site.shape[0] // len(blocks)
    fine = blocks.repeat(factor, axis=0).repeat(factor, axis=1)
    site_px = np.bincount(fine[site], minlength=fine.max() + 1)
    built_px = np.bincount(fine[site & built], minlength=fine.max() + 1)
    share = built_px / np.maximum(site_px, 1)
    return np.where(site_px[fine] > 0, share[fine], np.nan).astype(np.float32)


def pad_rows(rows: np.ndarray, length: int, value: float = 0) -> np.ndarray:
    """Pad the first axis to `length`."""
    rows = np.asarray(rows)
    kind = np.float32 if rows.dtype.kind == "f" else np.int64
    filled = np.full((length, *rows.shape[1:]), value, kind)
    filled[: len(rows)] = rows[:length]
    return filled
