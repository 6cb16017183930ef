"""Many plans scored into one ranked table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import console
from .score_few import COLUMNS, in_tonnes

if TYPE_CHECKING:
    from ..batch import BatchSettings, Part, Summary
    from ..design.candidates import ScoreSettings


def score_many(
    parts: Sequence[Part], settings: ScoreSettings, *, out: Path, batch: BatchSettings
) -> None:
    """Scores many plans into one ranked table, and tells the best."""
    from .. import batch as room

    with console.progress("score") as on_step:
        summary = room.score_parts(parts, out=out, settings=settings, batch=batch, on_step=on_step)
    if summary.resumed:
        console.warn(f"{summary.resumed} parts stood there already; the run went on from them")
    if summary.rejected:
        console.warn(f"{summary.rejected} plans set aside, see {out / 'rejected.csv'}")
    document = {
        "out": str(out), "scored": summary.scored, "rejected": summary.rejected,
        "groups": summary.groups, "ranked_by": f"net per {summary.per}", "best": summary.best,
    }  # fmt: skip
    console.show(document, text=describe_many(summary))


def describe_many(summary: Summary) -> str:
    """The best plans for a person, and what there is besides."""
    shown = console.table([in_tonnes(row) for row in summary.best], COLUMNS)
    groups = f"{summary.groups} groups that can be told apart"
    return "\n".join(
        [
            f"the best of {summary.scored:,} plans by net per {summary.per}; tonnes CO2e a year",
            shown,
            f"{groups}; {summary.rejected:,} plans set aside with reasons",
            f"written to {summary.out}; scores.parquet and scores.csv hold all",
        ]
    )
