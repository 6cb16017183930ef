"""What a person or a program sees of a run.

stdout is for results and nothing else: a table, or exactly one JSON document with `--json`.
Progress, logs and errors go to stderr. A program that wants to follow a run sets
`FABRICGEN_PROGRESS=json`; each step is then one JSON document on a line of its own.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import FabricgenError
from ..steps import OnStep, quiet

PLAIN_EVERY_S = 5.0  # between lines of progress where no terminal draws a bar
RECORD_EVERY_S = 0.2  # between steps that a program hears of; the last one always
FOR_PROGRAMS = "FABRICGEN_PROGRESS"  # variable that a program sets to `json`
_LEVELS = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG}


@dataclass
class _Mode:
    as_json: bool = False
    verbosity: int = 0  # -1 errors only, 0, 1 info, 2 debug


_mode = _Mode()


def configure(*, as_json: bool, verbosity: int) -> None:
    """Sets how this process speaks; the command line calls it once, before a verb runs."""
    _mode.as_json, _mode.verbosity = as_json, verbosity
    level = _LEVELS[max(-1, min(2, verbosity))]
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(levelname)s %(message)s", force=True
    )
    logging.captureWarnings(capture=True)
    # What libraries warn of is for developers, unless somebody asks.
    logging.getLogger("py.warnings").setLevel(logging.WARNING if verbosity > 0 else logging.ERROR)
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "matplotlib", "rasterio"):
        logging.getLogger(name).setLevel(logging.WARNING if verbosity < 2 else logging.DEBUG)


@contextmanager
def progress(title: str) -> Iterator[OnStep]:
    """Shows how far a piece of work is: a bar on a terminal, else a plain line now and then.

    Yields:
        The listener to hand to a room.
    """
    if _mode.verbosity < 0:
        yield quiet
        return
    if os.environ.get(FOR_PROGRAMS) == "json":
        shown = _records(title)
    else:
        shown = _bar(title) if sys.stderr.isatty() else _lines(title)
    with shown as on_step:
        yield on_step


@contextmanager
def _bar(title: str) -> Iterator[OnStep]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    ]
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None, note="")

        def on_step(done: int, total: int | None, note: str) -> None:
            bar.update(task, completed=done, total=total, note=note)

        yield on_step


@contextmanager
def _lines(title: str) -> Iterator[OnStep]:
    began = last = time.monotonic()

    def on_step(done: int, total: int | None, note: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < PLAIN_EVERY_S:
            return
        last = now
        print(progress_line(title, done, total, note=note, elapsed_s=now - began), file=sys.stderr)

    yield on_step


@contextmanager
def _records(title: str) -> Iterator[OnStep]:
    began = time.monotonic()
    last = -RECORD_EVERY_S

    def on_step(done: int, total: int | None, note: str) -> None:
        nonlocal last
        elapsed_s = time.monotonic() - began
        if elapsed_s - last < RECORD_EVERY_S and done != total:
            return
        last = elapsed_s
        step = {"title": title, "done": done, "total": total, "note": note}
        record = {"progress": {**step, "elapsed_s": round(elapsed_s, 1)}}
        print(json.dumps(record, ensure_ascii=False), file=sys.stderr, flush=True)

    yield on_step


def progress_line(title: str, done: int, total: int | None, *, note: str, elapsed_s: float) -> str:
    """One line of progress: `ingest 3/12 roads, 14 s, ETA 42 s`."""
    count = f"{done}/{total}" if total else f"{done}"
    words = [f"{title} {count} {note}".rstrip(), f"{elapsed_s:.0f} s"]
    if total and 0 < done <= total:
        words.append(f"ETA {elapsed_s * (total - done) / done:.0f} s")
    return ", ".join(words)


def show(document: Any, *, text: str) -> None:
    """Prints a result: `document` as JSON where a program reads, else `text` for a person."""
    print(json.dumps(document, ensure_ascii=False, default=str) if _mode.as_json else text)


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """Draws rows as text.

    Args:
        rows: Values by column name; None and nan show as a dash.
        columns: Column name to format specification, in order: `{"far": ".2f"}`.
    """
    cells = [[_cell(row.get(name), spec) for name, spec in columns.items()] for row in rows]
    wide = [max([len(name), *(len(line[i]) for line in cells)]) for i, name in enumerate(columns)]
    lines = [list(columns), *cells]
    return "\n".join(
        "  ".join(text.rjust(wide[i]) for i, text in enumerate(line)).rstrip() for line in lines
    )


def _cell(value: Any, spec: str) -> str:
    if value is None or value == "" or value != value:  # nan differs from itself
        return "-"
    if not spec:
        return str(value)
    return format(float(value), spec)


def warn(text: str) -> None:
    """Says something on stderr that does not stop the run."""
    if _mode.verbosity >= 0:
        print(f"note: {text}", file=sys.stderr)


def fail(err: FabricgenError) -> None:
    """Says why a run ended: one line on stderr, and a JSON document on stdout with `--json`."""
    if _mode.as_json:
        kind = type(err).__name__
        print(json.dumps({"error": {"type": kind, "problem": err.problem, "fix": err.fix}}))
    print(f"error: {err}", file=sys.stderr)
