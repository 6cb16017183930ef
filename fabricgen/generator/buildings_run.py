"""The account of a run of the buildings sampler: what is placed so far, and what stands near."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from fabricgen.errors import InputError
from fabricgen.form.indicators import BRIEF_KEYS, STOREY_M
from fabricgen.generator.blocks import CELLS, WINDOW_M, grid_points
from fabricgen.generator.boxes import road_strips, trim
from fabricgen.generator.buildings_example import (
    box_targets,
    covered_cells,
    nearest_boxes,
    scene_arrays,
)
from fabricgen.generator.buildings_features import END, NEW, CellWalk, box_cell, walk_cells
from fabricgen.generator.buildings_network import BuildingsSettings
from fabricgen.generator.buildings_scene import (
    COVERAGE_ASK,
    FAR_ASK,
    PROGRESS,
    Scene,
    box_walk,
    make_scene,
    near_boxes,
    near_setbacks,
    progress,
    share_inside,
)
from fabricgen.generator.conditions import Conditions
from fabricgen.surfaces import PATH, WATER

TOUCH_M = 0.02  # walls this deep into each other touch
LEAST_SHARE = 0.03  # surroundings built less than this set no goal
HEIGHT_ASK = BRIEF_KEYS.index("mean_height_m")
NEVER = 10_000  # step at which a cell gets built over when it never does


@dataclass(eq=False)
class Run:
    """What is placed so far, for B sites and up to L boxes."""

    scenes: list[Scene]
    batch: dict[str, Tensor]  # as `example` packs it, filled as boxes come
    stands: np.ndarray  # (B, N + L) bool, context and boxes that count as obstacles
    walk: np.ndarray  # (B, N + L, 3) walk, face, setback
    goal: np.ndarray  # (B,) coverage that new boxes are to reach, NaN where nothing tells
    share: np.ndarray  # (B,) coverage placed
    far: np.ndarray  # (B,) floor area per site area placed
    block_m2: list[np.ndarray]  # per site, area placed in each block
    last: np.ndarray  # (B,) cell of the last building
    done: np.ndarray  # (B,) bool
    logs: dict[str, list[Tensor]] = field(default_factory=dict)  # drawn log-probabilities, (B,)


def begin_run(
    conditions: Conditions,
    settings: BuildingsSettings,
    *,
    limit: int,
    block_coverage: Tensor | None,
    device: torch.device,
) -> Run:
    """Look at the sites and lay out empty accounts."""
    scenes = read_scenes(conditions, settings.max_context, block_coverage)
    count, cells, standing = len(scenes), CELLS * CELLS, settings.max_context
    stacked = [scene_arrays(scene, settings) for scene in scenes]
    batch = {
        name: torch.from_numpy(np.stack([one[name] for one in stacked])) for name in stacked[0]
    }
    built = torch.full((count, cells), NEVER)
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
        "strips": road_strips(segments.ends, segments.width_m),
        "is_road": segments.valid & (segments.kind < PATH),
    }
    batch["building"][:, 0] = -1
    blocks = [np.zeros(int(scene.block.max()) + 1, np.float32) for scene in scenes]
    return Run(
        scenes=scenes,
        batch={name: values.to(device) for name, values in batch.items()},
        stands=stands,
        walk=walk,
        goal=np.array([_goal(scene) for scene in scenes], np.float32),
        share=np.zeros(count, np.float32),
        far=np.zeros(count, np.float32),
        block_m2=blocks,
        last=np.full(count, -1, np.int64),
        done=np.zeros(count, bool),
    )


def _goal(scene: Scene) -> float:
    """Coverage that new boxes are to reach: as asked, or implied, or that of the surroundings."""
    asks = scene.asks
    coverage = asks[COVERAGE_ASK]
    if np.isnan(coverage):
        coverage = asks[FAR_ASK] / max(asks[HEIGHT_ASK] / STOREY_M, 1.0)
    if np.isnan(coverage):
        area_m2 = scene.context[:, 2] * scene.context[:, 3]
        outside_m2 = (area_m2 * (1 - share_inside(scene.context[:, :5], scene.site))).sum()
        ring_m2 = WINDOW_M**2 - scene.site_m2
        coverage = outside_m2 / ring_m2 if outside_m2 > LEAST_SHARE * ring_m2 else np.nan
    return float(coverage) - scene.standing_share


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


def note_account(run: Run, at: int) -> None:
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


def cell_walk(run: Run, item: Tensor, at: int) -> CellWalk:
    """How the cells of some sites (R,) look from the last box."""
    batch = run.batch
    cells = {name: batch[name][item] for name in ("rank", "block", "face", "walk_m", "open")}
    last = torch.from_numpy(run.last).to(item.device)[item]
    last_box = box_cell(batch["boxes"][item, at]) if at else torch.full_like(last, -1)
    built = batch["built_at"][item] < at
    return walk_cells(
        cells=cells, last=last, last_box=last_box, kind=batch["kind"][item, at], built=built
    )


def look_around(run: Run, item: Tensor, cell: Tensor, *, keep: int) -> tuple[Tensor, Tensor]:
    """Neighbors (R, K) and setbacks (R, 2) of cells, as `example` finds them."""
    rows, cells = item.cpu().numpy(), cell.cpu().numpy()
    pool = _pool(run)[rows].cpu().numpy()
    stands = run.stands[rows]
    near = near_boxes(grid_points(CELLS)[cells], pool, stands, keep)
    scenes = [run.scenes[row] for row in rows]
    walk = np.array([[s.walk_m[c], s.face[c]] for s, c in zip(scenes, cells, strict=True)])
    setbacks = near_setbacks(walk, run.walk[rows], stands)
    return torch.from_numpy(near).to(item.device), torch.from_numpy(setbacks).to(item.device)


def fit_boxes(
    run: Run, boxes: Tensor, item: Tensor, at: int, *, many: int, road_m: float
) -> Tensor:
    """Drawn boxes cut back off other buildings, and off roads beyond `road_m`, (R * many, 5).

    Args:
        run: The account.
        boxes: Drawn geometry, (R * many, 5), those of a site in a row.
        item: Sites, (R,).
        at: Boxes placed before.
        many: Boxes of each site.
        road_m: Depth into a road that is borne.
    """
    batch, standing = run.batch, run.batch["context"].shape[1]
    used = standing + at  # nothing stands in the places behind
    pool = torch.cat([batch["context"][item, :, :5], batch["boxes"][item, 1 : at + 1, :5]], dim=1)
    stands = torch.from_numpy(run.stands[:, :used]).to(item.device)[item]
    building = batch["building"][item]
    own = building[:, 1 : at + 1] == building[:, at, None]
    own = own & (batch["kind"][item, at] != NEW)[:, None]
    other = torch.cat([stands[:, :standing], stands[:, standing:] & ~own], dim=1)
    borne = torch.cat(
        [
            torch.where(other, TOUCH_M, torch.inf),
            torch.where(batch["is_road"][item], road_m, torch.inf),
        ],
        dim=1,
    )
    obstacles = torch.cat([pool, batch["strips"][item]], dim=1)
    return trim(boxes, *(each.repeat_interleave(many, dim=0) for each in (obstacles, borne)))


def write_boxes(
    run: Run, item: Tensor, at: int, *, drawn: dict[str, Tensor], counts: Tensor
) -> None:
    """Write drawn boxes into the accounts of their sites.

    A box that does not count stays in the sequence that the network reads, and nowhere else.

    Args:
        run: The account.
        item: Sites, (R,).
        at: Boxes placed before.
        drawn: `box` and `drawn` (R, 6), before and after they were cut back, `cell` (R,), `near`
            (R, K), `setbacks` (R, 2).
        counts: (R,) bool.
    """
    batch, rows, cells = run.batch, item.cpu().numpy(), drawn["cell"].cpu().numpy()
    fresh = batch["kind"][item, at] == NEW
    flags = torch.stack([fresh, torch.ones_like(fresh)], dim=1)
    batch["boxes"][item, at + 1] = torch.cat([drawn["box"], flags.to(drawn["box"])], dim=1)
    batch["building"][item, at + 1] = batch["building"][item, at] + fresh
    batch["last"][item, at] = torch.from_numpy(run.last[rows]).to(item.device)
    for name in ("cell", "near", "setbacks"):
        batch[name][item, at] = drawn[name]
    target = box_targets(drawn["drawn"].cpu().numpy(), grid_points(CELLS)[cells])
    batch["target"][item, at] = torch.from_numpy(target).to(item.device)
    batch["count"][item] += 1
    run.last[rows] = np.where(fresh.cpu().numpy(), cells, run.last[rows])
    boxes = drawn["box"].cpu().numpy()
    for row in np.flatnonzero(counts.cpu().numpy()):
        _count_box(run, int(rows[row]), at, box=boxes[row], cell=int(cells[row]))


def _count_box(run: Run, index: int, at: int, *, box: np.ndarray, cell: int) -> None:
    """A box (6,) that stands and counts for the coverage of its site."""
    batch, scene = run.batch, run.scenes[index]
    place = batch["context"].shape[1] + at
    run.stands[index, place] = True
    run.walk[index, place] = box_walk(box[None, :5], scene.streets)[0]
    under = torch.from_numpy(covered_cells(box)).to(batch["built_at"].device)
    batch["built_at"][index, under] = batch["built_at"][index, under].clamp(max=at)
    area_m2 = float(box[2] * box[3] * share_inside(box[None, :5], scene.site)[0])
    run.share[index] += area_m2 / max(scene.site_m2, 1.0)
    run.far[index] += area_m2 * float(box[5]) / max(scene.site_m2, 1.0)
    run.block_m2[index][scene.block[cell]] += area_m2


def note_logs(run: Run, item: Tensor, drawn: dict[str, Tensor]) -> None:
    """Keep the log-probabilities of this step's boxes (R,), NaN for sites that have ended."""
    for name in (name for name in drawn if name.endswith("_log")):
        row = torch.full((len(run.scenes),), torch.nan, device=item.device)
        row[item] = drawn[name]
        run.logs.setdefault(name.removesuffix("_log"), []).append(row)


def _pool(run: Run) -> Tensor:
    """Context and placed boxes, (B, N + L, 5)."""
    return torch.cat([run.batch["context"][..., :5], run.batch["boxes"][:, 1:, :5]], dim=1)
