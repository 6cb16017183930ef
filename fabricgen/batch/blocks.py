"""A run over the blocks of a city: each a folder of its own, whole or not at all, then all as one.

A block's folder holds what a run for a single site would hold. A killed run is continued by the
same command: what is complete stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import shapely

from fabricgen import __version__, provenance
from fabricgen.batch.engines import EngineSettings
from fabricgen.batch.engines import run as run_engine
from fabricgen.batch.journal import open_journal
from fabricgen.city.store import TileStore
from fabricgen.design import LoopSettings, run
from fabricgen.design.blocks import Block, Refused
from fabricgen.design.site import place_site
from fabricgen.errors import InputError
from fabricgen.exchange import join_schemes, read_plan
from fabricgen.files import atomic_file
from fabricgen.plan import LAYERS, Plan
from fabricgen.report import facts_of, plan_png, write_results, write_table
from fabricgen.report.results import MARK
from fabricgen.steps import OnStep, quiet

FOLDER = "blocks"  # of the folders of single blocks


@dataclass(frozen=True)
class BlockSettings:
    """How every block is designed, and who works."""

    loop: LoopSettings = field(default_factory=LoopSettings)  # its processes are shared by blocks
    count: int = 8  # schemes of each block
    engine: EngineSettings = field(default_factory=EngineSettings)


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
    out: Path,
    *,
    settings: BlockSettings,
    record: Mapping[str, Any],
    inputs: Sequence[Path],
    on_step: OnStep = quiet,
) -> tuple[pd.DataFrame, list[Refused]]:
    """Schemes for every block, and all of them in one GeoPackage.

    Args:
        blocks: From `read_blocks`.
        refused: Features that could not be read as blocks; they go into `rejected.csv` too.
        store: Tile store of the city. A cluster's nodes must see it and `out` as this machine does.
        out: The folder: `blocks/<block>/` as of a single site, `schemes.gpkg`, `scores.csv`,
            `scores.parquet`, `overview.png` with the best scheme of each block, `rejected.csv`,
            and `run.json` last.
        settings: Of all blocks.
        record: Provenance of the run.
        inputs: Files that the results depend on: the blocks' and the city's.
        on_step: Hears how many blocks are done.

    Returns:
        The scores, one row per scheme with its block in front, and the blocks set aside.

    Raises:
        InputError: The folder holds another run's blocks, or no block could be designed.
        StorageError: Another run writes there, or the disk is full.
    """
    asked = {name: record[name] for name in ("settings", "seed", "weights")}
    depends = {"version": __version__, "count": settings.count, **asked}
    with open_journal(out, of=depends, inputs=inputs) as journal:
        folder = journal.folder.absolute()
        alone, city = replace(settings.loop, workers=1), store.absolute()
        tasks = [
            Task(block, city, settings.count, alone, record, folder / FOLDER / block.name)
            for block in blocks
        ]
        waiting = [task for task in tasks if not _is_done(task)]
        done, aside = len(tasks) - len(waiting), list(refused)
        on_step(done, len(tasks), "blocks")
        workers = settings.loop.workers or None
        answers = run_engine(draw_block, waiting, engine=settings.engine, workers=workers)
        for _, answer in answers:
            done += 1
            on_step(done, len(tasks), "blocks")
            aside += [] if answer is None else [answer]
        made = [task for task in tasks if _is_done(task)]
        return _gather(made, aside, folder, record=record), aside


def _is_done(task: Task) -> bool:
    return (task.folder / MARK).exists()


def draw_block(task: Task, on_step: OnStep) -> Refused | None:
    """Designs one block and writes its folder; None, or why it cannot be designed."""
    block = task.block
    try:
        store = TileStore.open(task.store)
        site = place_site(block.shapes, store, name=block.name, zones=block.zones)
        made = run(
            site, None, block.brief, task.count, block.seed, settings=task.settings, on_step=on_step
        )
        facts = facts_of(made, asked=task.count)
        record = {**task.record, **facts, "block": block.name, "seed": block.seed}
        write_results(made, task.folder, record=record)
    except InputError as err:
        return Refused(block.name, err.problem.removeprefix(f"{block.name}: "), err.fix)
    return None


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
    write_table(scores, out, "scores")
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
