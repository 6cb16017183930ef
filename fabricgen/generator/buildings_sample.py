"""Sampling of the buildings stage: boxes one after the other, for a batch of sites at once.

The place of a box is drawn once; its numbers are drawn several times at once, and the first draw
that keeps off roads and other buildings is taken. Where no draw does, the place is drawn again.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from fabricgen.errors import InputError
from fabricgen.generator.blocks import CELLS, WINDOW_M, grid_points
from fabricgen.generator.boxes import depth_into_roads, penetration
from fabricgen.generator.buildings_example import (
    box_targets,
    covered_cells,
    nearest_boxes,
    scene_arrays,
)
from fabricgen.generator.buildings_features import (
    END,
    FLOOR_CLASSES,
    NEW,
    box_cell,
    floors_log_prob,
    gather_near,
    mask_types,
    walk_cells,
)
from fabricgen.generator.buildings_network import BuildingsModel, Maps
from fabricgen.generator.buildings_scene import (
    COVERAGE_ASK,
    PROGRESS,
    Scene,
    box_walk,
    make_scene,
    near_boxes,
    near_setbacks,
    progress,
    share_inside,
)
from fabricgen.generator.conditions import Boxes, Conditions
from fabricgen.generator.snap import SnapRange, draw_nucleus, snap_draw, snap_log_prob
from fabricgen.surfaces import PATH, WATER


@dataclass(frozen=True)
class BuildingsSampling:
    """How boxes are drawn."""

    nucleus: float = 0.95  # of the probability of places and numbers; 1 draws from all of it
    tries: int = 6  # draws of a box's numbers at once
    places: int = 4  # draws of a place before the least conflict is taken
    conflict_m: float = 0.5  # depth into a road or another building that is borne
    drop_m: float = 2.0  # deeper boxes are left out of the result
    hold_coverage: bool = True  # end at the coverage asked, neither before nor after
    short_share: float = 0.9  # of the coverage asked, below which no end is drawn
    max_boxes: int | None = None  # the model's own limit when None


@dataclass(frozen=True)
class Tilt:
    """A push on the choices of each item, (B,); a Kullback-Leibler tilt by a linear term."""

    end: Tensor | None = None  # added to the logit of ending
    floors: Tensor | None = None  # times the number of floors, added to their logits


@dataclass(eq=False)
class _Run:
    """What is placed so far, for B sites and up to L boxes."""

    scenes: list[Scene]
    batch: dict[str, Tensor]  # as `example` packs it, filled as boxes come
    stands: np.ndarray  # (B, N + L) bool, context and boxes that count as obstacles
    walk: np.ndarray  # (B, N + L, 3) walk, face, setback
    share: np.ndarray  # (B,) coverage placed
    far: np.ndarray  # (B,) floor area per site area placed
    block_m2: list[np.ndarray]  # per site, area placed in each block
    last: np.ndarray  # (B,) cell of the last building
    done: np.ndarray  # (B,) bool
    logs: dict[str, list[Tensor]] = field(default_factory=dict)  # drawn log-probabilities, (B,)


def sample(
    model: BuildingsModel,
    conditions: Conditions,
    *,
    rng: torch.Generator,
    sampling: BuildingsSampling | None = None,
    tilt: Tilt | None = None,
    block_coverage: Tensor | None = None,
) -> Boxes:
    """Draw the buildings of B sites.

    Args:
        model: Trained weights.
        conditions: Sites with all their streets; `boxes` of the conditions stand and stay.
        rng: Randomness, on the model's device.
        sampling: How boxes are drawn.
        tilt: A push on ends and floors.
        block_coverage: Coverage asked of the block at each pixel, (B, H, W), NaN free.

    Returns:
        New boxes only, (B, L).
    """
    run = draw_sequence(
        model,
        conditions,
        rng=rng,
        sampling=sampling or BuildingsSampling(),
        tilt=tilt or Tilt(),
        block_coverage=block_coverage,
    )
    boxes = run.batch["boxes"][:, 1:]
    standing = run.batch["context"].shape[1]
    keeps = torch.from_numpy(run.stands[:, standing:]).to(boxes.device)
    return Boxes(boxes[..., :5], boxes[..., 5], run.batch["building"][:, 1:].clamp(min=0), keeps)


@torch.no_grad()
def draw_sequence(
    model: BuildingsModel,
    conditions: Conditions,
    *,
    rng: torch.Generator,
    sampling: BuildingsSampling,
    tilt: Tilt,
    block_coverage: Tensor | None = None,
) -> _Run:
    """Draw and keep the whole account, from which `log_prob` recomputes every probability."""
    limit = min(sampling.max_boxes or model.settings.max_boxes, model.settings.max_boxes)
    device = next(model.parameters()).device
    run = _begin(conditions, model, limit=limit, block_coverage=block_coverage, device=device)
    batch = run.batch
    maps = model.encode(batch["raster"], batch["overall"])
    past = None
    for at in range(limit):
        _note_account(run, at)
        state, past = model.read(
            maps,
            batch["overall"],
            batch["boxes"][:, at : at + 1],
            batch["account"][:, at : at + 1],
            past,
        )
        _draw_kinds(run, model, state[:, 0], at=at, rng=rng, sampling=sampling, tilt=tilt)
        item = torch.from_numpy(np.flatnonzero(~run.done)).to(device)
        if len(item) == 0:
            break
        _draw_boxes(run, model, maps, state[item, 0], at=at, rng=rng, sampling=sampling, tilt=tilt)
    return run


def _draw_kinds(
    run: _Run,
    model: BuildingsModel,
    state: Tensor,
    *,
    at: int,
    rng: torch.Generator,
    sampling: BuildingsSampling,
    tilt: Tilt,
) -> None:
    """Draw new building, another box or end for each site that goes on."""
    at_start = torch.full((len(state),), at == 0, device=state.device)
    plain = mask_types(model.type_head(state), at_start)
    logits = plain.clone()
    if tilt.end is not None:
        logits[:, END] += tilt.end
    for index, scene in enumerate(run.scenes):
        left = scene.cell_share > 0
        if run.last[index] >= 0:
            left = left & (scene.rank >= scene.rank[run.last[index]])
        if not left.any():
            logits[index, NEW] = -1e9
            continue
        asked = scene.asks[COVERAGE_ASK] - scene.standing_share
        if sampling.hold_coverage and not np.isnan(asked):
            if run.share[index] >= asked:
                logits[index, :END] = -1e9
            elif run.share[index] < sampling.short_share * asked and _room_left(scene, run, index):
                logits[index, END] = -1e9
    kind = torch.multinomial(logits.softmax(-1), 1, generator=rng)[:, 0]
    open_ = torch.from_numpy(~run.done).to(kind.device)
    log = plain.log_softmax(-1).gather(1, kind[:, None])[:, 0]
    run.logs.setdefault("type", []).append(torch.where(open_, log, torch.nan))
    run.batch["kind"][:, at] = kind
    ends = (kind == END).cpu().numpy() & ~run.done
    run.batch["complete"] |= torch.from_numpy(ends).to(kind.device)
    run.done |= ends


def _room_left(scene: Scene, run: _Run, index: int) -> bool:
    """Whether enough of the site lies ahead for more buildings."""
    if run.last[index] < 0:
        return True
    ahead = scene.rank > scene.rank[run.last[index]]
    return float(scene.cell_share[ahead].sum()) > 0.02


def _draw_boxes(
    run: _Run,
    model: BuildingsModel,
    maps: Maps,
    state: Tensor,
    *,
    at: int,
    rng: torch.Generator,
    sampling: BuildingsSampling,
    tilt: Tilt,
) -> None:
    """Draw the next box of every site that goes on; `state` (R, width) is theirs."""
    device = state.device
    item = torch.from_numpy(np.flatnonzero(~run.done)).to(device)
    logits = _cell_logits(run, model, maps, state, item, at)
    log_cell = logits.log_softmax(-1)
    best: list[dict[str, Tensor] | None] = [None] * len(item)
    waiting = torch.arange(len(item), device=device)
    for _ in range(sampling.places):
        cell = draw_nucleus(logits[waiting], nucleus=sampling.nucleus, rng=rng)
        drawn = _draw_numbers(
            run,
            model,
            maps,
            state[waiting],
            item[waiting],
            cell,
            at=at,
            rng=rng,
            sampling=sampling,
            tilt=tilt,
        )
        drawn["cell_log"] = log_cell[waiting].gather(1, cell[:, None])[:, 0]
        for row, index in enumerate(waiting.tolist()):
            one = {name: values[row] for name, values in drawn.items()}
            if best[index] is None or one["depth_m"] < best[index]["depth_m"]:
                best[index] = one
        bad = drawn["depth_m"] > sampling.conflict_m
        logits[waiting[bad], cell[bad]] = -1e9
        waiting = waiting[bad]
        if len(waiting) == 0:
            break
    for index, one in zip(item.tolist(), best, strict=True):
        _place(run, index, at, one, sampling)
    _note_logs(run, item, best)


def _cell_logits(
    run: _Run, model: BuildingsModel, maps: Maps, state: Tensor, item: Tensor, at: int
) -> Tensor:
    """Logits of the next cell of each site that goes on, (R, C)."""
    batch = run.batch
    cells = {name: batch[name][item] for name in ("rank", "block", "face", "walk_m", "open")}
    last = torch.from_numpy(run.last).to(item.device)[item]
    last_box = box_cell(batch["boxes"][item, at]) if at else torch.full_like(last, -1)
    kind = batch["kind"][item, at]
    walk = walk_cells(
        cells=cells, last=last, last_box=last_box, kind=kind, built=batch["built_at"][item] < at
    )
    return model.cell_logits(maps, state, kind, item, walk)


def _draw_numbers(
    run: _Run,
    model: BuildingsModel,
    maps: Maps,
    state: Tensor,
    item: Tensor,
    cell: Tensor,
    *,
    at: int,
    rng: torch.Generator,
    sampling: BuildingsSampling,
    tilt: Tilt,
) -> dict[str, Tensor]:
    """Numbers of a box in each given cell, the best of several draws; arrays of (R, ...)."""
    near, setbacks = _surroundings(run, model, item, cell, at)
    batch, tries = run.batch, sampling.tries
    features = gather_near(batch, item, torch.full_like(item, at), near)
    street = batch["street"][item, cell]
    kind = batch["kind"][item, at]
    place = model.look(maps, state, kind, item, cell, features, street, setbacks)
    place = place.repeat(tries)
    push = None if tilt.floors is None else tilt.floors[item].repeat_interleave(tries)
    logs: dict[str, Tensor] = {}

    def choose(name: str, spec: SnapRange | None, weights: Tensor, values: Tensor) -> Tensor:
        if spec is None:
            drawn = _draw_floors(weights, values, push=push, nucleus=sampling.nucleus, rng=rng)
            logs[name] = floors_log_prob(weights, values, drawn)
            return drawn
        drawn = snap_draw(weights, values, spec=spec, nucleus=sampling.nucleus, rng=rng)
        logs[name] = snap_log_prob(weights, values, drawn, spec=spec)
        return drawn

    boxes = model.attributes(place, choose)  # (R * tries, 6)
    depth = _conflict(run, boxes, item.repeat_interleave(tries), at).view(-1, tries)
    # The first draw that is borne, or else the one with the least conflict.
    good = depth <= sampling.conflict_m
    pick = torch.where(good.any(1), good.float().argmax(1), depth.argmin(1))
    row = torch.arange(len(item), device=item.device) * tries + pick
    drawn = {f"{name}_log": values[row] for name, values in logs.items()}
    chosen = depth.gather(1, pick[:, None])[:, 0]
    return {
        **drawn,
        "box": boxes[row],
        "depth_m": chosen,
        "cell": cell,
        "near": near,
        "setbacks": setbacks,
    }


def _draw_floors(
    weights: Tensor,
    neighbors: Tensor,
    *,
    push: Tensor | None,
    nucleus: float,
    rng: torch.Generator,
) -> Tensor:
    """Whole storeys, from the classes or from a neighbor, under an exponential tilt. (R,)."""
    classes = torch.arange(1, FLOOR_CLASSES + 1, device=weights.device, dtype=weights.dtype)
    storeys = neighbors.round().clamp(1, FLOOR_CLASSES)
    values = torch.cat([classes.expand(len(weights), -1), storeys], dim=1)
    if push is not None:
        weights = weights + push[:, None] * values
    return values.gather(1, draw_nucleus(weights, nucleus=nucleus, rng=rng)[:, None])[:, 0]


def _surroundings(
    run: _Run, model: BuildingsModel, item: Tensor, cell: Tensor, at: int
) -> tuple[Tensor, Tensor]:
    """Neighbors (R, K) and setbacks (R, 2) of cells, as `example` finds them."""
    rows, cells = item.cpu().numpy(), cell.cpu().numpy()
    pool = _pool(run)[rows].cpu().numpy()
    stands = run.stands[rows]
    near = near_boxes(grid_points(CELLS)[cells], pool, stands, model.settings.neighbors)
    scenes = [run.scenes[row] for row in rows]
    walk = np.array([[s.walk_m[c], s.face[c]] for s, c in zip(scenes, cells, strict=True)])
    setbacks = near_setbacks(walk, run.walk[rows], stands)
    return torch.from_numpy(near).to(item.device), torch.from_numpy(setbacks).to(item.device)


def _conflict(run: _Run, boxes: Tensor, item: Tensor, at: int) -> Tensor:
    """Deepest reach of each box (R, 6) into another building or a road. (R,) [m]."""
    pool = _pool(run)[item]  # (R, N + L, 5)
    counts = torch.from_numpy(run.stands).to(item.device)[item]
    standing = run.batch["context"].shape[1]
    building = run.batch["building"]
    own = building[item, 1:] == building[item, at][:, None]
    own = own & (run.batch["kind"][item, at] != NEW)[:, None]
    other = torch.cat([counts[:, :standing], counts[:, standing:] & ~own], dim=1)
    depth = penetration(boxes[:, None, :5].expand_as(pool), pool)
    into_boxes = torch.where(other, depth, -1.0).amax(1)
    ends, width, valid = (run.batch[name][item] for name in ("ends", "road_m", "is_road"))
    if ends.shape[1] == 0:
        return into_boxes
    into_roads = depth_into_roads(boxes[:, None, :5], ends, width)
    return torch.maximum(into_boxes, torch.where(valid, into_roads, -1.0).amax(1))


def _place(
    run: _Run, index: int, at: int, one: dict[str, Tensor], sampling: BuildingsSampling
) -> None:
    """Write a drawn box into the account of one site."""
    batch, scene = run.batch, run.scenes[index]
    box = one["box"]
    fresh = int(batch["kind"][index, at]) == NEW
    batch["boxes"][index, at + 1, :6] = box
    batch["boxes"][index, at + 1, 6] = float(fresh)
    batch["boxes"][index, at + 1, 7] = 1.0
    batch["building"][index, at + 1] = batch["building"][index, at] + int(fresh)
    batch["cell"][index, at], batch["last"][index, at] = one["cell"], int(run.last[index])
    batch["near"][index, at], batch["setbacks"][index, at] = one["near"], one["setbacks"]
    row = box[None].cpu().numpy()
    cell = int(one["cell"])
    center = grid_points(CELLS)[[cell]]
    batch["target"][index, at] = torch.from_numpy(box_targets(row, center)[0])
    batch["count"][index] += 1
    if fresh:
        run.last[index] = cell
    if float(one["depth_m"]) > sampling.drop_m:
        return  # stays in the sequence that the network reads, counts nowhere else
    place = batch["context"].shape[1] + at
    run.stands[index, place] = True
    run.walk[index, place] = box_walk(row[:, :5], scene.streets)[0]
    under = torch.from_numpy(covered_cells(row[0]))
    batch["built_at"][index, under] = batch["built_at"][index, under].clamp(max=at)
    area_m2 = float(row[0, 2] * row[0, 3] * share_inside(row[:, :5], scene.site)[0])
    run.share[index] += area_m2 / max(scene.site_m2, 1.0)
    run.far[index] += area_m2 * float(row[0, 5]) / max(scene.site_m2, 1.0)
    run.block_m2[index][scene.block[cell]] += area_m2


def _note_account(run: _Run, at: int) -> None:
    """Write the running account before step `at`."""
    for index, scene in enumerate(run.scenes):
        last = run.last[index : index + 1]
        block = scene.block[last[0]]
        block_m2 = float(scene.cell_share[scene.block == block].sum()) * scene.site_m2
        rows = progress(
            scene,
            count=np.array([at]),
            share=run.share[index : index + 1],
            far=run.far[index : index + 1],
            last=last,
            block_share=run.block_m2[index][block : block + 1] / max(block_m2, 64.0),
        )
        run.batch["account"][index, at] = torch.from_numpy(rows[0])


def _note_logs(run: _Run, item: Tensor, drawn: list[dict[str, Tensor]]) -> None:
    """Keep the log-probabilities of this step's boxes, NaN for sites that have ended."""
    for name in (name for name in drawn[0] if name.endswith("_log")):
        row = torch.full((len(run.scenes),), torch.nan, device=item.device)
        row[item] = torch.stack([one[name] for one in drawn])
        run.logs.setdefault(name.removesuffix("_log"), []).append(row)


def _pool(run: _Run) -> Tensor:
    """Context and placed boxes, (B, N + L, 5)."""
    return torch.cat([run.batch["context"][..., :5], run.batch["boxes"][:, 1:, :5]], dim=1)


def _begin(
    conditions: Conditions,
    model: BuildingsModel,
    *,
    limit: int,
    block_coverage: Tensor | None,
    device: torch.device,
) -> _Run:
    """Look at the sites and lay out empty accounts."""
    settings = model.settings
    scenes = read_scenes(conditions, settings.max_context, block_coverage)
    count, cells, standing = len(scenes), CELLS * CELLS, settings.max_context
    stacked = [scene_arrays(scene, settings) for scene in scenes]
    batch = {
        name: torch.from_numpy(np.stack([one[name] for one in stacked])) for name in stacked[0]
    }
    built = torch.full((count, cells), 10_000)
    stands = np.zeros((count, standing + limit), bool)
    walk = np.zeros((count, standing + limit, 3), np.float32)
    for index, scene in enumerate(scenes):
        stands[index, : len(scene.context)] = True
        walk[index, : len(scene.context)] = scene.context_walk
        for box in scene.context:
            built[index, torch.from_numpy(covered_cells(box))] = -1
    segments = conditions.segments
    batch |= {
        "built_at": built,
        "boxes": torch.zeros(count, limit + 1, 8),
        "building": torch.full((count, limit + 1), -2),
        "kind": torch.full((count, limit + 1), END),
        "cell": torch.zeros(count, limit, dtype=torch.long),
        "last": torch.full((count, limit), -1),
        "near": torch.full((count, limit, settings.neighbors), -1),
        "setbacks": torch.full((count, limit, 2), torch.nan),
        "target": torch.zeros(count, limit, 6),
        "account": torch.zeros(count, limit + 1, PROGRESS),
        "count": torch.zeros(count, dtype=torch.long),
        "complete": torch.zeros(count, dtype=torch.bool),
        "ends": segments.ends,
        "road_m": segments.width_m,
        "is_road": segments.valid & (segments.kind < PATH),
    }
    batch["building"][:, 0] = -1
    blocks = [np.zeros(int(scene.block.max()) + 1, np.float32) for scene in scenes]
    return _Run(
        scenes=scenes,
        batch={name: values.to(device) for name, values in batch.items()},
        stands=stands,
        walk=walk,
        share=np.zeros(count, np.float32),
        far=np.zeros(count, np.float32),
        block_m2=blocks,
        last=np.full(count, -1, np.int64),
        done=np.zeros(count, bool),
    )


def read_scenes(
    conditions: Conditions, max_context: int, block_coverage: Tensor | None
) -> list[Scene]:
    """The sites of a batch as training would see them."""
    layout = conditions.context
    size = conditions.editable.shape[-1] * layout.pixel_m
    if conditions.editable.shape[-1] != conditions.editable.shape[-2] or size != WINDOW_M:
        raise InputError(
            f"a window of {conditions.editable.shape[-1]} pixels of {layout.pixel_m} m",
            f"buildings are drawn in square windows of {WINDOW_M:.0f} m",
        )
    segments, boxes = conditions.segments.to_arrays(), conditions.boxes.to_arrays()
    site = conditions.editable.cpu().numpy()
    unmapped = (layout.allowed == 0).cpu().numpy() & ~site
    water = (layout.cover[:, WATER] > 0.5).cpu().numpy()
    asks = conditions.asks.cpu().numpy()
    blocks = None if block_coverage is None else block_coverage.cpu().numpy()
    return [
        make_scene(
            segments[index],
            nearest_boxes(boxes[index], site[index], max_context),
            site[index],
            asks=asks[index],
            unmapped=unmapped[index],
            water=water[index],
            block_coverage=None if blocks is None else blocks[index],
        )
        for index in range(len(site))
    ]
