"""A run over the blocks of a city: each a folder of its own, whole or not at all, then all as one.

A block's folder holds what a run for a single site would hold. A killed run is continued by the
same command: what is complete stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import shapely

from fabricgen import provenance
from fabricgen.city.store import TileStore
from fabricgen.design import LoopSettings, run
from fabricgen.design.blocks import Block, Refused
from fabricgen.design.site import place_site
from fabricgen.design.workers import one_thread, share
from fabricgen.errors import InputError
from fabricgen.exchange import join_schemes, read_plan
from fabricgen.files import atomic_file, lock
from fabricgen.plan import LAYERS, Plan
from fabricgen.report import facts_of, plan_png, write_results
from fabricgen.report.results import MARK
from fabricgen.steps import OnStep, quiet

FOLDER = "blocks"  # of the folders of single blocks
JOB = "job.json"  # what a run was asked, so that another does not go on with it


@dataclass(frozen=True, eq=False)
class Task:
    """A block and all that its schemes hang on.

    Attributes:
        block: What to design.
        store: Tile store of the city.
        count: Schemes of each block.
        settings: Of the loop.
        record: Provenance that all blocks share.
        folder: Where its results go.
    """

    block: Block
    store: Path
    count: int
    settings: LoopSettings
    record: Mapping[str, Any]
    folder: Path


def generate_blocks(
    blocks: Sequence[Block],
    refused: Sequence[Refused],
    store: Path,
    count: int,
    out: Path,
    *,
    settings: LoopSettings,
    record: Mapping[str, Any],
    on_step: OnStep = quiet,
) -> tuple[pd.DataFrame, list[Refused]]:
    """Schemes for every block, and all of them in one GeoPackage.

    Args:
        blocks: From `read_blocks`.
        refused: Features that could not be read as blocks; they go into `rejected.csv` too.
        store: Tile store of the city.
        count: Schemes of each block.
        out: The folder: `blocks/<block>/` as of a single site, `schemes.gpkg`, `scores.csv`,
            `scores.parquet`, `overview.png` with the best scheme of each block, `rejected.csv`,
            and `run.json` last.
        settings: Of the loop; blocks share its processes, each block has one.
        record: Provenance of the run.
        on_step: Hears how many blocks are done.

    Returns:
        The scores, one row per scheme with its block in front, and the blocks set aside.

    Raises:
        InputError: The folder holds another run's blocks, or no block could be designed.
        StorageError: Another run writes there, or the disk is full.
    """
    out = Path(out)
    with lock(out):
        _claim(out, record, count)
        alone = replace(settings, workers=1)
        tasks = [
            Task(block, store, count, alone, record, out / FOLDER / block.name) for block in blocks
        ]
        waiting = [task for task in tasks if not (task.folder / MARK).exists()]
        done = [len(tasks) - len(waiting)]
        on_step(done[0], len(tasks), "blocks")

        def hear(_index: int, _done: int, note: str) -> None:
            on_step(done[0], len(tasks), note)

        def count_in(answer: Refused | None) -> Refused | None:
            done[0] += 1
            on_step(done[0], len(tasks), "blocks")
            return answer

        with one_thread():
            answers = share(
                draw_block, waiting, workers=settings.workers, on_step=hear, finish=count_in
            )
        aside = [*refused, *(answer for answer in answers if answer is not None)]
        made = [task for task in tasks if (task.folder / MARK).exists()]
        return _gather(made, aside, out, record=record), aside


def draw_block(task: Task, on_step: OnStep) -> Refused | None:
    """Designs one block and writes its folder; None, or why it cannot be designed."""
    block = task.block
    try:
        site = place_site(block.shapes, TileStore.open(task.store), name=block.name)
        made = run(
            site, None, block.brief, task.count, block.seed, settings=task.settings, on_step=on_step
        )
        facts = facts_of(made, asked=task.count)
        record = {**task.record, **facts, "block": block.name, "seed": block.seed}
        write_results(made, task.folder, record=record)
    except InputError as err:
        return Refused(block.name, err.problem.removeprefix(f"{block.name}: "), err.fix)
    return None


def _claim(out: Path, record: Mapping[str, Any], count: int) -> None:
    """Makes sure that what stands in a folder is the same run, begun before.

    Raises:
        InputError: It is another's.
    """
    asked = {key: record[key] for key in ("fabricgen", "settings", "seed", "inputs", "weights")}
    text = json.dumps(asked | {"count": count}, indent=2, sort_keys=True, default=str)
    job = out / JOB
    if job.exists():
        if job.read_text(encoding="utf-8") != text:
            raise InputError(
                f"{out.name}: holds blocks that were asked otherwise or from other files",
                "choose another --out, or delete the folder",
            )
        return
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out.name}: holds other files", "choose a folder that is new or empty")
    out.mkdir(parents=True, exist_ok=True)
    with atomic_file(job) as part:
        part.write_text(text, encoding="utf-8")


def _gather(
    made: Sequence[Task], aside: Sequence[Refused], out: Path, *, record: Mapping[str, Any]
) -> pd.DataFrame:
    """Joins what the blocks' folders hold; `run.json` comes last."""
    with atomic_file(out / "rejected.csv") as part:
        columns = ["block", "problem", "fix"]
        pd.DataFrame([vars(one) for one in aside], columns=columns).to_csv(part, index=False)
    if not made:
        raise InputError(
            f"none of {len(aside)} blocks could be designed: {aside[0].problem}",
            f"all reasons stand in {out / 'rejected.csv'}",
        )
    scores = pd.concat([_scores(task) for task in made], ignore_index=True)
    with atomic_file(out / "scores.csv") as part:
        scores.to_csv(part, index=False)
    with atomic_file(out / "scores.parquet") as part:
        scores.to_parquet(part, index=False)
    files = [(task.block.name, task.folder / "schemes.gpkg") for task in made]
    join_schemes(files, out / "schemes.gpkg", meta=record)
    plan_png(_best(made), out / "overview.png")
    counts = {"blocks": len(made), "made": len(scores), "rejected": len(aside)}
    provenance.write({**record, "counts": counts}, out)
    return scores


def _scores(task: Task) -> pd.DataFrame:
    table = pd.read_parquet(task.folder / "scores.parquet")
    table["scheme"] = [f"{task.block.name}-{scheme}" for scheme in table["scheme"]]
    table.insert(0, "block", task.block.name)
    return table


def _best(made: Sequence[Task]) -> Plan:
    """The first scheme of every block as one plan."""
    plans = [read_plan(task.folder / "schemes.gpkg", scheme="s01") for task in made]
    layers = {
        name: pd.concat([getattr(plan, name) for plan in plans], ignore_index=True)
        for name in LAYERS
    }
    site = shapely.union_all([plan.site for plan in plans])
    return Plan(site, plans[0].crs, **layers)
