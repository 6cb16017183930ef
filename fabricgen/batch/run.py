"""Scores any number of plans: parts to an engine, results to a journal, one ranked table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from fabricgen import __version__, carbon, provenance
from fabricgen.batch.engines import EngineSettings
from fabricgen.batch.engines import run as run_engine
from fabricgen.batch.journal import Journal, open_journal
from fabricgen.batch.ranking import Order, finish
from fabricgen.batch.score_part import Job, score_part
from fabricgen.batch.sources import Part, find_files, list_parts
from fabricgen.carbon.factors import FACTOR_FILES, read_own
from fabricgen.design.candidates import ScoreSettings, read_before
from fabricgen.files import sha256_of
from fabricgen.provenance import Start
from fabricgen.settings import ranged
from fabricgen.steps import OnStep, quiet

SHOWN = 10  # of the best, in the summary
MOST_INPUTS = 100  # files that run.json names one by one


@dataclass(frozen=True)
class BatchSettings:
    """How the work on many plans is divided; the results do not depend on it, but for the files."""

    engine: EngineSettings = field(default_factory=EngineSettings)
    workers: int | None = ranged(None, 1, 10_000)  # processes, or CPUs of the cluster; None: all
    plans_per_part: int = ranged(256, 1, 10_000)  # scored at a time, and written as one file


@dataclass(frozen=True, eq=False)
class Summary:
    """What came out.

    Attributes:
        out: The folder.
        scored, rejected: Numbers of plans.
        groups: Of plans that cannot be told apart.
        per: What net was divided by for the order.
        best: The first rows of the ranked table.
        resumed: Parts that stood there already.
    """

    out: Path
    scored: int
    rejected: int
    groups: int
    per: str
    best: list[dict[str, Any]]
    resumed: int


def score_many(
    paths: Sequence[Path],
    *,
    out: Path,
    settings: ScoreSettings | None = None,
    batch: BatchSettings | None = None,
    on_step: OnStep = quiet,
) -> Summary:
    """Scores all plans of files, folders, patterns and tables; see `score_parts`."""
    batch = batch or BatchSettings()
    parts = list_parts(find_files(paths), plans_per_part=batch.plans_per_part)
    return score_parts(
        parts, out=out, settings=settings or ScoreSettings(), batch=batch, on_step=on_step
    )


def score_parts(
    parts: Sequence[Part],
    *,
    out: Path,
    settings: ScoreSettings,
    batch: BatchSettings,
    on_step: OnStep = quiet,
) -> Summary:
    """Scores all plans of some parts; a stopped run goes on.

    Args:
        parts: From `list_parts`.
        out: Folder of the results: `parts/`, `scores.parquet`, `scores.csv`, `rejected.csv`, and
            `run.json` last. The same call goes on where an earlier one was stopped.
        settings: How plans are counted.
        batch: Engine and workers.
        on_step: Hears about progress, in plans.

    Raises:
        InputError: A setting cannot be used, or `out` holds something else or another run. A plan
            that cannot be scored stops nothing; it stands in `rejected.csv`.
        ResourceError: This machine lacks something; what is done stays.
    """
    start = Start()
    _check(settings)
    inputs = _inputs(parts, settings)
    depends = _depends_on(settings, batch, parts)
    with open_journal(out, of=depends, inputs=inputs) as journal:
        resumed = sum(journal.is_done(part.number) for part in parts)
        _score(parts, journal, settings=settings, batch=batch, on_step=on_step)
        order = finish(journal, len(parts), draws=settings.draws, on_step=on_step)
        if not journal.is_complete:
            record = _record(start, settings, batch, order, inputs=inputs)
            provenance.write(record, journal.folder)
        return _summary(journal, order, resumed=resumed)


def _check(settings: ScoreSettings) -> None:
    """Tells what is wrong with the settings before any work."""
    if settings.region != "auto":
        carbon.region(settings.region)
    if settings.factors is not None:
        read_own(Path(settings.factors))
    if settings.before is not None:
        read_before(Path(settings.before))


def _inputs(parts: Sequence[Part], settings: ScoreSettings) -> list[Path]:
    """Every file that is read, once."""
    files = dict.fromkeys(piece.path for part in parts for piece in part.pieces)
    given = (settings.factors, settings.before)
    return [*files, *(Path(path) for path in given if path is not None)]


def _depends_on(
    settings: ScoreSettings, batch: BatchSettings, parts: Sequence[Part]
) -> dict[str, Any]:
    """All that the results hang on besides the files."""
    folder = Path(carbon.__file__).parent
    return {
        "version": __version__,
        "settings": provenance.scrub(asdict(settings)),
        "factor_tables": {name: sha256_of(folder / name) for name in FACTOR_FILES},
        "plans_per_part": batch.plans_per_part,
        "parts": len(parts),
    }


def _score(
    parts: Sequence[Part],
    journal: Journal,
    *,
    settings: ScoreSettings,
    batch: BatchSettings,
    on_step: OnStep,
) -> None:
    """Has every part scored that is not there yet."""
    todo = [part for part in parts if not journal.is_done(part.number)]
    there = sum(part.plans for part in parts) - sum(part.plans for part in todo)
    total, done = sum(part.plans for part in todo), 0
    note = f"plans, {there} were there" if there else "plans"
    jobs = [Job(part, _anywhere(settings), journal.key) for part in todo]
    on_step(done, total, note)
    answers = run_engine(score_part, jobs, engine=batch.engine, workers=batch.workers)
    for index, content in answers:
        journal.keep(todo[index].number, content)
        done += todo[index].plans
        on_step(done, total, note)


def _anywhere(settings: ScoreSettings) -> ScoreSettings:
    """Settings whose paths hold in a worker, wherever it was started."""
    given = {"factors": settings.factors, "before": settings.before}
    paths = {name: str(Path(path).absolute()) for name, path in given.items() if path is not None}
    return replace(settings, **paths)


def _record(
    start: Start,
    settings: ScoreSettings,
    batch: BatchSettings,
    order: Order,
    *,
    inputs: Sequence[Path],
) -> dict[str, Any]:
    values = {**asdict(settings), **asdict(batch), "pages": "none"}
    few = inputs if len(inputs) <= MOST_INPUTS else []
    more: Mapping[str, Any] = {
        "counts": {"made": len(order.part), "rejected": order.rejected},
        "regions": list(order.regions),
        "ranked_by": f"net per {order.per}",
        "files": len(inputs),
    }
    return provenance.record("score", start=start, settings=values, inputs=few, more=more)


def _summary(journal: Journal, order: Order, *, resumed: int) -> Summary:
    table = pq.ParquetFile(journal.folder / "scores.parquet")
    first = next(table.iter_batches(batch_size=SHOWN), None)
    return Summary(
        out=journal.folder,
        scored=len(order.part),
        rejected=order.rejected,
        groups=int(order.tie.max()) if len(order.tie) else 0,
        per=order.per,
        best=[] if first is None else first.to_pylist(),
        resumed=resumed,
    )
