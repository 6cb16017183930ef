"""The pure function that engines run: a part of the plans in, its file of results out."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from fabricgen.batch.count import Context, Counted, count_all
from fabricgen.batch.read import Drawn, Rejected, read_part
from fabricgen.batch.rows import as_table, rejected_row, scored_rows
from fabricgen.batch.sources import Part
from fabricgen.carbon.factors import read_own
from fabricgen.design.candidates import ScoreSettings, read_before
from fabricgen.steps import OnStep

PIXELS_AT_ONCE = 2**22  # of plans that wait to be counted; they hold 160 MB


@dataclass(frozen=True)
class Job:
    """A part to score.

    Attributes:
        part: Its plans.
        settings: How they are counted.
        key: Of the run, written into the file.
    """

    part: Part
    settings: ScoreSettings
    key: str


def score_part(job: Job, on_step: OnStep) -> bytes:
    """Scores the plans of a part.

    Args:
        job: What to do.
        on_step: Hears when it is done.

    Returns:
        A Parquet file with one row for each plan, also for those that could not be scored. Equal
        jobs give equal bytes.
    """
    settings = job.settings
    context = Context(settings, *_given(settings.factors, settings.before))
    rows: list[dict[str, Any]] = []
    with torch.inference_mode():
        for some in _chunks(job.part, settings.pixel_m):
            drawn = [one for one in some if isinstance(one, Drawn)]
            rows += [rejected_row(one) for one in some if isinstance(one, Rejected)]
            for found in count_all(drawn, context):
                if isinstance(found, Counted):
                    rows += scored_rows(found)
                else:
                    rows.append(rejected_row(found))
    target = io.BytesIO()
    table = as_table(rows, draws=settings.draws, meta={"fabricgen": job.key})
    pq.write_table(table, target, compression="zstd")
    on_step(1, 1, f"part {job.part.number}")
    return target.getvalue()


def _chunks(part: Part, pixel_m: float) -> Iterator[list[Drawn | Rejected]]:
    """The plans of a part, a bounded number of pixels at a time."""
    some: list[Drawn | Rejected] = []
    pixels = 0
    for one in read_part(part, pixel_m=pixel_m):
        some.append(one)
        pixels += one.candidate.inside.numel() if isinstance(one, Drawn) else 0
        if pixels > PIXELS_AT_ONCE:
            yield some
            some, pixels = [], 0
    yield some


@lru_cache(maxsize=1)
def _given(factors: str | None, before: str | None) -> tuple[dict, Any]:
    """The user's factors and today's plan, read once by each worker."""
    own = {} if factors is None else read_own(Path(factors))
    return own, None if before is None else read_before(Path(before))
