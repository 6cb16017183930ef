"""The parts of a run as one ranked table, in bounded memory.

Least net per floor area comes first; where some plan has no floors, per site area, as for a few
plans. Plans are compared in their common draws; those of several regions have none in common, and
each is then a group of its own.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from fabricgen.batch.journal import Journal, read_error
from fabricgen.batch.rows import DRAWS
from fabricgen.carbon.uncertainty import SURE
from fabricgen.files import atomic_file
from fabricgen.steps import OnStep

ROWS_AT_ONCE = 20_000  # of the ranked table
NET, FLOORS, SITE = "net_kgco2e_per_year", "gross_floor_area_m2", "site_area_m2"
FIRST = ("plan", "file", "scheme", "rank", "tie", "beats_next_share", "region")
REJECTED = ("plan", "file", "scheme", "problem")
RANKS = {
    "rank": pa.field("rank", pa.int64()),
    "tie": pa.field("tie", pa.int64()),
    "beats_next_share": pa.field("beats_next_share", pa.float64()),
}


@dataclass(frozen=True, eq=False)
class Order:
    """The order of all plans that were scored, best first.

    Attributes:
        part, row: Where each stands, (N,).
        tie: Its group, from 1, (N,).
        beats_next: P(less net per area than the next), (N,); NaN where nothing tells.
        per: What net is divided by.
        regions: Names of all.
        rejected: How many plans were not scored.
    """

    part: np.ndarray
    row: np.ndarray
    tie: np.ndarray
    beats_next: np.ndarray
    per: str
    regions: tuple[str, ...]
    rejected: int


@dataclass(frozen=True, eq=False)
class _Found:
    """What the order needs of all scored plans, in the order of the parts; (N,) each."""

    part: np.ndarray
    row: np.ndarray
    net: np.ndarray
    floor_m2: np.ndarray
    site_m2: np.ndarray
    regions: tuple[str, ...]
    rejected: int
    schema: pa.Schema


def finish(journal: Journal, parts: int, *, draws: int, on_step: OnStep) -> Order:
    """Writes `scores.parquet`, `scores.csv` and `rejected.csv`.

    Args:
        journal: A folder whose parts are all there.
        parts: Their number.
        draws: Of each plan.
        on_step: Hears about progress.

    Raises:
        StorageError: A part cannot be read, or the tables cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix=".draws.", dir=journal.folder) as private:
        scratch = Path(private) / "draws.f32"
        found = _gather(journal, parts, scratch)
        order = _order(found, scratch, draws)
    _write_ranked(journal, order, found.schema, on_step=on_step)
    return order


def _gather(journal: Journal, parts: int, scratch: Path) -> _Found:
    """Reads every part once; the draws go to a scratch file, so that memory stays small."""
    found: list[tuple[np.ndarray, ...]] = []
    regions: dict[str, None] = {}
    schemas: list[pa.Schema] = []
    rejected = 0
    with scratch.open("wb") as file, _rejected_table(journal) as write:
        for part in range(parts):
            table = _read(journal.path_of(part))
            is_scored = pc.equal(table["problem"], "")
            problems = table.filter(pc.invert(is_scored)).select(REJECTED).to_pylist()
            for row in problems:
                write(row)
            rejected += len(problems)
            rows = np.flatnonzero(is_scored.to_numpy(zero_copy_only=False))
            if not len(rows):
                continue
            table = table.filter(is_scored)
            schemas.append(table.drop_columns([DRAWS, "problem"]).schema)
            regions.update(dict.fromkeys(table["region"].to_pylist()))
            numbers = (table[name].to_numpy() for name in (NET, FLOORS, SITE))
            found.append((np.full(len(rows), part), rows, *numbers))
            file.write(table[DRAWS].combine_chunks().flatten().to_numpy().tobytes())
    columns = [np.concatenate(some) for some in zip(*found, strict=True)] if found else []
    nothing = [np.zeros(0, dtype=np.int64)] * 2 + [np.zeros(0)] * 3
    schema = pa.unify_schemas(schemas).remove_metadata() if schemas else pa.schema([])
    return _Found(*(columns or nothing), tuple(regions), rejected, schema)


@contextmanager
def _rejected_table(journal: Journal) -> Iterator[Callable[[dict[str, str]], object]]:
    """A writer of rows of `rejected.csv`."""
    with (
        atomic_file(journal.folder / "rejected.csv") as path,
        path.open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.DictWriter(file, REJECTED)
        table.writeheader()
        yield table.writerow


def _read(path: Path, *, columns: Sequence[str] | None = None) -> pa.Table:
    try:
        return pq.read_table(path, columns=columns, use_threads=False)
    except (pa.ArrowException, OSError) as err:
        raise read_error(path, err) from err


def _order(found: _Found, scratch: Path, draws: int) -> Order:
    floors = bool((found.floor_m2 > 1).all())
    area_m2 = np.maximum(found.floor_m2 if floors else found.site_m2, 1.0)
    best = np.argsort(found.net / area_m2, kind="stable")
    count = len(best)
    tie, beats_next = np.arange(1, count + 1), np.full(count, np.nan)
    if len(found.regions) == 1:
        drawn = np.memmap(scratch, dtype=np.float32, mode="r", shape=(count, draws))
        tie, beats_next = _told_apart(drawn, area_m2.astype(np.float32), best)
    return Order(
        found.part[best], found.row[best], tie, beats_next,
        "floor area" if floors else "site area", found.regions, found.rejected,
    )  # fmt: skip


def _told_apart(
    drawn: np.ndarray, area_m2: np.ndarray, best: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Groups of plans and P(each beats the next), both (N,), as `uncertainty.tie_groups` has them.

    Args:
        drawn: Net by plan and draw, (N, D).
        area_m2: By plan, (N,).
        best: Plans in their order, (N,).
    """
    tie, beats_next = np.ones(len(best), dtype=np.int64), np.full(len(best), np.nan)
    leader: np.ndarray | None = None
    before: np.ndarray | None = None
    group = 0
    for n, plan in enumerate(best):
        own = drawn[plan] / area_m2[plan]  # (D,)
        if before is not None:
            beats_next[n - 1] = _beats(before, own)
        if leader is None or _beats(leader, own) >= SURE:
            leader, group = own, group + 1
        tie[n], before = group, own
    return tie, beats_next


def _beats(one: np.ndarray, other: np.ndarray) -> float:
    """Share of the draws in which one has less than the other; ties count half."""
    return float(((one < other).mean() + (one <= other).mean()) / 2)


def _write_ranked(journal: Journal, order: Order, schema: pa.Schema, *, on_step: OnStep) -> None:
    """Writes the ranked tables a bounded number of rows at a time."""
    names = [name for name in (*FIRST, *schema.names) if name in schema.names or name in RANKS]
    names = list(dict.fromkeys(names))
    full = pa.schema([RANKS[name] if name in RANKS else schema.field(name) for name in names])
    total = len(order.part)
    with (
        atomic_file(journal.folder / "scores.parquet") as file,
        atomic_file(journal.folder / "scores.csv") as text,
        pq.ParquetWriter(file, full, compression="zstd") as table,
        pa_csv.CSVWriter(text, full) as plain,
    ):
        for start in range(0, total, ROWS_AT_ONCE):
            ranks = slice(start, min(start + ROWS_AT_ONCE, total))
            some = _block(journal, order, schema, ranks).select(names)
            table.write_table(some)
            plain.write_table(some)
            on_step(ranks.stop, total, "ranked")


def _block(journal: Journal, order: Order, schema: pa.Schema, ranks: slice) -> pa.Table:
    """The rows of some ranks, in their order."""
    parts, rows = order.part[ranks], order.row[ranks]
    pieces, places = [], []
    for part in np.unique(parts):
        mine = np.flatnonzero(parts == part)
        path = journal.path_of(part)
        columns = [name for name in pq.read_schema(path).names if name in schema.names]
        pieces.append(_read(path, columns=columns).take(pa.array(rows[mine])))
        places.append(mine)
    table = pa.concat_tables(
        [piece.replace_schema_metadata() for piece in pieces], promote_options="default"
    )
    table = table.take(pa.array(np.argsort(np.concatenate(places), kind="stable")))
    ranked = {
        "rank": np.arange(ranks.start + 1, ranks.stop + 1),
        "tie": order.tie[ranks],
        "beats_next_share": order.beats_next[ranks],
    }
    for name, values in ranked.items():
        table = table.append_column(RANKS[name], pa.array(values, type=RANKS[name].type))
    for name in schema.names:
        if name not in table.column_names:
            empty = pa.nulls(len(table), schema.field(name).type)
            table = table.append_column(schema.field(name), empty)
    return table
