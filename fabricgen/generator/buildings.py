"""Buildings as a sequence of oriented boxes: one training item, and the loss.

The network is in `buildings_network`, the sampler in `buildings_sample`; both are offered here.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from fabricgen.form.indicators import BRIEF_KEYS
from fabricgen.generator.blocks import CELLS, WINDOW_M, cell_of, grid_points
from fabricgen.generator.buildings_network import (
    ANOTHER,
    END,
    FLOOR_CLASSES,
    NEW,
    BuildingsModel,
    BuildingsSettings,
    box_cell,
    walk_cells,
)
from fabricgen.generator.buildings_scene import (
    Scene,
    box_walk,
    make_scene,
    near_boxes,
    near_setbacks,
    progress,
    share_inside,
    STOREY_GUESS,
)
from fabricgen.generator.conditions import SiteSample
from fabricgen.generator.snap import SnapRange, snap_log_prob
from fabricgen.surfaces import BIT, BUILDING, WATER

PARTS = ("type", "cell", "angle", "width", "depth", "along", "across", "floors")


def example(
    sample: SiteSample, rng: np.random.Generator, settings: BuildingsSettings
) -> dict[str, np.ndarray]:
    """One training item of fixed shapes; asks are hidden at random.

    A building belongs to the site when the center of its largest box does; the others stand.
    """
    target, context = split_buildings(sample.boxes, sample.editable)
    if rng.random() < settings.keep_share:
        target, context = _keep_some(target, context, rng)
    context = _nearest(context, sample.editable, settings.max_context)
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
    complete = len(boxes) <= settings.max_boxes
    count = min(len(boxes), settings.max_boxes)
    return _pack(scene, boxes[:count], fresh[:count], cell[:count], complete, settings)


def split_buildings(boxes: np.ndarray, site: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 7) of the site's buildings and of the others, largest box first in each building."""
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


def loss(
    model: BuildingsModel, batch: dict[str, Tensor], *, rng: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean negative log-likelihood of a box, the sum of its parts; `rng` has nothing to draw."""
    logs = log_prob(model, batch)
    parts = {name: -_mean(logs[name], logs[f"{name}_counts"]) for name in PARTS}
    return torch.stack(list(parts.values())).sum(), parts


def log_prob(model: BuildingsModel, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Log-probability of each choice of each box under teacher forcing.

    Returns:
        For each of PARTS its values and, under `<part>_counts`, which of them are known. `type` is
        over all steps with a known type, the others over all boxes, item by item.
    """
    count, complete = batch["count"], batch["complete"]
    longest = int(count.max()) + 1
    maps = model.encode(batch["raster"], batch["overall"])
    boxes = batch["boxes"][:, :longest]  # (B, T, 8); row 0 is the start
    state, _ = model.read(maps, batch["overall"], boxes, batch["account"][:, :longest])

    # What kind of step comes next.
    step = torch.arange(longest, device=count.device)
    kind = batch["kind"][:, :longest]
    kind = torch.where(step == count[:, None], END, kind)
    ends = (step < count[:, None]) | ((step == count[:, None]) & complete[:, None])
    type_logits = mask_types(model.type_head(state[ends]), step.expand_as(ends)[ends] == 0)
    type_log = type_logits.log_softmax(-1).gather(1, kind[ends][:, None])[:, 0]
    logs = {"type": type_log, "type_counts": torch.ones_like(type_log)}

    # Where the box goes.
    item, at = (step < count[:, None]).nonzero(as_tuple=True)  # (R,), item by item
    here, which = state[item, at], kind[item, at]
    rows = {name: batch[name][item, at] for name in ("cell", "last", "near", "setbacks", "target")}
    cells = {name: batch[name][item] for name in ("rank", "block", "face", "walk_m", "open")}
    last_box = torch.where(at > 0, box_cell(boxes[item, at]), -1)
    built = batch["built_at"][item] < at[:, None]
    walk = walk_cells(
        cells=cells, last=rows["last"], last_box=last_box, kind=which, built=built
    )
    logits = model.cell_logits(maps, here, which, item, walk)
    logs["cell"] = logits.log_softmax(-1).gather(1, rows["cell"][:, None])[:, 0]

    # What it looks like.
    near = gather_near(batch, item, at, rows["near"])
    street = batch["street"][item, rows["cell"]]
    place = model.look(maps, here, which, item, rows["cell"], near, street, rows["setbacks"])
    target = rows["target"]  # (R, 6) angle, log sizes, offsets, floors
    told = {name: target[:, k] for k, name in enumerate(PARTS[2:])}

    def choose(name: str, spec: SnapRange | None, weights: Tensor, values: Tensor) -> Tensor:
        if spec is None:
            logs[name] = floors_log_prob(weights, values, told[name].nan_to_num(1.0))
        else:
            logs[name] = snap_log_prob(weights, values, told[name], spec=spec)
        return told[name]

    model.attributes(place, choose)
    for name in PARTS[1:]:
        logs[f"{name}_counts"] = torch.ones_like(logs[name])
    logs["floors_counts"] = (~told["floors"].isnan()).float()
    return logs


def mask_types(logits: Tensor, at_start: Tensor) -> Tensor:
    """Type logits (R, 3) without ANOTHER where no building was begun, (R,) bool."""
    another = torch.arange(3, device=logits.device) == ANOTHER
    return logits.masked_fill(at_start[:, None] & another, -1e9)


def floors_log_prob(weights: Tensor, neighbors: Tensor, target: Tensor) -> Tensor:
    """Log-probability of whole storeys: one class each, or the same as a neighbor. (R,)"""
    whole = target.round().clamp(1, FLOOR_CLASSES)
    own = weights.gather(1, whole.long()[:, None] - 1)
    same = neighbors.round().clamp(1, FLOOR_CLASSES) == whole[:, None]
    shared = weights[:, FLOOR_CLASSES:].masked_fill(~same, -torch.inf)
    return torch.cat([own, shared], dim=1).logsumexp(1) - weights.logsumexp(1)


def gather_near(batch: dict[str, Tensor], item: Tensor, at: Tensor, near: Tensor) -> Tensor:
    """Neighbors of R rows as the network takes them, (R, K, 10).

    Args:
        batch: With `context` (B, N, 6), `boxes` (B, 1 + L, 8) and `building` (B, 1 + L).
        item: Which item, (R,).
        at: Boxes placed before, (R,).
        near: Index into context followed by placed boxes, -1 none, (R, K).
    """
    standing = batch["context"].shape[1]
    pool = torch.cat([batch["context"], batch["boxes"][:, 1:, :6]], dim=1)
    index = near.clamp(min=0)
    rows = pool[item[:, None], index]  # (R, K, 6)
    placed = index >= standing
    own = (index - standing).clamp(min=0)  # order of the placed box
    current = batch["building"][item, at]  # building of the last box, -1 at the start
    same = placed & (batch["building"][item[:, None], own + 1] == current[:, None])
    age = torch.where(placed, ((at[:, None] - own) / 8).clamp(max=4.0), 4.0)
    flags = torch.stack([near >= 0, ~placed, same], dim=-1).float()
    return torch.cat([rows, flags, age[..., None]], dim=-1)


def _pack(
    scene: Scene,
    boxes: np.ndarray,
    fresh: np.ndarray,
    cell: np.ndarray,
    complete: bool,
    settings: BuildingsSettings,
) -> dict[str, np.ndarray]:
    """All arrays of one item, padded to the settings' sizes."""
    count, most = len(boxes), settings.max_boxes
    lead = np.maximum.accumulate(np.where(fresh, np.arange(count), 0)) if count else cell
    last = np.concatenate([[-1], cell[lead]]) if count else np.array([-1])  # (count + 1,)

    # The running account before each step.
    area = boxes[:, 2] * boxes[:, 3] * share_inside(boxes[:, :5], scene.site)
    storeys = np.where(np.isnan(boxes[:, 5]), STOREY_GUESS, boxes[:, 5])
    share = np.concatenate([[0.0], np.cumsum(area)]) / max(scene.site_m2, 1.0)
    far = np.concatenate([[0.0], np.cumsum(area * storeys)]) / max(scene.site_m2, 1.0)
    account = progress(
        scene,
        count=np.arange(count + 1),
        share=share,
        far=far,
        last=last,
        block_share=_block_shares(scene, cell, area, last),
    )

    # What stands near each box when it is placed.
    pool = np.concatenate([scene.context[:, :5], boxes[:, :5]])
    pool_walk = np.concatenate([scene.context_walk, box_walk(boxes[:, :5], scene.streets)])
    standing = len(scene.context)
    order = np.arange(len(pool)) - standing
    allowed = order[None] < np.arange(count)[:, None]
    centers = grid_points(CELLS)[cell]
    near = near_boxes(centers, pool[None], allowed, settings.neighbors)
    near = np.where(near >= standing, near - standing + settings.max_context, near)
    walk = np.stack([scene.walk_m[cell], scene.face[cell]], axis=1)
    setbacks = near_setbacks(walk, pool_walk[None], allowed)

    rows = np.zeros((count + 1, 8), np.float32)
    rows[1:, :6], rows[1:, 6], rows[1:, 7] = boxes[:, :6], fresh, 1.0
    return {
        **scene_arrays(scene, settings),
        "built_at": _built_at(scene, boxes),
        "boxes": _fill(rows, most + 1),
        "building": _fill(np.concatenate([[-1], np.cumsum(fresh) - 1]), most + 1, -2),
        "kind": _fill(np.where(fresh, NEW, ANOTHER), most + 1),
        "cell": _fill(cell, most),
        "last": _fill(last[:count], most, -1),
        "near": _fill(near, most, -1),
        "setbacks": _fill(setbacks, most, np.nan),
        "target": _fill(_targets(boxes, centers), most),
        "account": _fill(account, most + 1),
        "count": np.int64(count),
        "complete": np.bool_(complete),
    }


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
        "context": _fill(scene.context, settings.max_context),
    }


def _targets(boxes: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Angle, log width, log depth, offsets along and across, floors; (N, 6)."""
    offset = boxes[:, :2] - centers
    cos, sin = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    size = np.log(np.maximum(boxes[:, 2:4], 0.5))
    along = offset[:, 0] * cos + offset[:, 1] * sin
    across = offset[:, 1] * cos - offset[:, 0] * sin
    columns = [boxes[:, 4], size[:, 0], size[:, 1], along, across, boxes[:, 5]]
    return np.stack(columns, axis=1).astype(np.float32)


def _block_shares(
    scene: Scene, cell: np.ndarray, area: np.ndarray, last: np.ndarray
) -> np.ndarray:
    """Coverage so far of the block of the last building before each step, (count + 1,)."""
    blocks = int(scene.block.max()) + 1
    site_m2 = np.bincount(scene.block, scene.cell_share, blocks) * scene.site_m2
    built = np.zeros((len(cell) + 1, blocks), np.float32)
    built[np.arange(len(cell)) + 1, scene.block[cell]] = area
    so_far = np.cumsum(built, axis=0) / np.maximum(site_m2, 64.0)
    return so_far[np.arange(len(last)), scene.block[last]]


def _built_at(scene: Scene, boxes: np.ndarray) -> np.ndarray:
    """Order of the first box over each cell's center: -1 stands already, large: never. (C,)"""
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
    columns = np.arange(max(int((u - reach_u) / size), 0), min(int((u + reach_u) / size) + 1, CELLS))
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


def _nearest(context: np.ndarray, site: np.ndarray, most: int) -> np.ndarray:
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
    from fabricgen.generator.blocks import label_blocks, read_streets, through_streets

    blocks = label_blocks(through_streets(read_streets(segments)))
    factor = site.shape[0] // len(blocks)
    fine = blocks.repeat(factor, axis=0).repeat(factor, axis=1)
    site_px = np.bincount(fine[site], minlength=fine.max() + 1)
    built_px = np.bincount(fine[site & built], minlength=fine.max() + 1)
    share = built_px / np.maximum(site_px, 1)
    return np.where(site_px[fine] > 0, share[fine], np.nan).astype(np.float32)


def _fill(rows: np.ndarray, length: int, value: float = 0) -> np.ndarray:
    """Pad the first axis to `length`."""
    rows = np.asarray(rows)
    kind = np.float32 if rows.dtype.kind == "f" else np.int64
    filled = np.full((length, *rows.shape[1:]), value, kind)
    filled[: len(rows)] = rows[:length]
    return filled


def _mean(values: Tensor, counts: Tensor) -> Tensor:
    return (values * counts).sum() / counts.sum().clamp(min=1.0)
