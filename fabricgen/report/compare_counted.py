"""A plan with its count, as `compare` needs it: fresh from the evaluator, or out of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fabricgen.carbon.ledger import flow_tags
from fabricgen.carbon.uncertainty import net_draws
from fabricgen.design.candidates import Scored
from fabricgen.errors import FormatError, InputError
from fabricgen.form.indicators import STOREY_M
from fabricgen.layout import Frame
from fabricgen.plan import Plan
from fabricgen.report.score_page import DRAWS, score_row

SCORES, PARTS = "scores.parquet", "parts"
MOST = 400  # plans; every one is held against every other
NET = "net_kgco2e_per_year"
KINDS = {
    "emission": "emission_kgco2e_per_year",
    "sink": "sink_kgco2e_per_year",
    "avoided": "avoided_kgco2e_per_year",
    "stock": "stock_kgco2e",
}


@dataclass(frozen=True, eq=False)
class Counted:
    """One plan with its count.

    Attributes:
        name: Unique in a comparison.
        source: Name of the file or folder that it came from.
        region: Carbon region.
        values: Indicators, totals and flows, by column of `scores.csv`.
        draws: Amounts in each of the common draws, (D,), by the same columns; net always.
        plan, frame: The plan and the grid it was counted on, where it was counted now.
        horizon_years: Over which vegetation and soil are averaged; None where the record lacks it.
        unknown_height_m: With which buildings without a height were counted.
        not_assessed, notes, stand_ins: What the ledger says of itself.
    """

    name: str
    source: str
    region: str
    values: Mapping[str, float]
    draws: Mapping[str, np.ndarray]
    plan: Plan | None = None
    frame: Frame | None = None
    horizon_years: int | None = None
    unknown_height_m: float = STOREY_M
    not_assessed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stand_ins: tuple[str, ...] = ()


def counted_now(one: Scored) -> Counted:
    """A plan as it was counted just now, with the draws of every flow."""
    ledger = one.score.ledger
    draws = {NET: net_draws(ledger).double().numpy()}
    for kind in {entry.kind for entry in ledger.entries}:
        draws[KINDS[kind]] = ledger.amounts(kind)[0, 1:].detach().double().numpy()
    for entry in ledger.entries:
        draws[entry.name] = entry.amounts[0, 1:].detach().double().numpy()
    return Counted(
        name=one.name, source=one.candidate.file, region=one.region.name,
        values=_numbers(score_row(one)), draws=draws,
        plan=one.candidate.plan, frame=one.candidate.frame,
        horizon_years=ledger.horizon_years,
        unknown_height_m=STOREY_M if one.heights is None else one.heights.central_m,
        not_assessed=ledger.not_assessed, notes=ledger.notes, stand_ins=ledger.fall_throughs,
    )  # fmt: skip


def counted_before(
    folder: Path, record: Mapping[str, Any], *, name: str = "", best: int | None = None
) -> list[Counted]:
    """Plans as an earlier `score` counted them; of these the draws of net alone are kept.

    Args:
        folder: A folder of `score`, of few plans or of very many.
        record: Its `run.json`.
        name: The one plan that is meant; all where it is empty.
        best: Only so many, by rank.

    Raises:
        FormatError: A table cannot be read, or holds no draws.
        InputError: No plan of the name, or too many plans.
    """
    ranked = _table(folder / SCORES, columns=["plan", "file", "rank"]).sort_values("rank")
    wanted = ranked[[_is_meant(str(plan), name) for plan in ranked["plan"]]] if name else ranked
    if wanted.empty:
        raise InputError(f"{folder.name}: holds no plan {name}", f"it holds {few(ranked['plan'])}")
    wanted = wanted[: 1 if name else best]
    if len(wanted) > MOST:
        raise InputError(
            f"{folder.name}: holds {len(wanted)} plans", f"compare its best {MOST} by best={MOST}"
        )
    keys = set(zip(wanted["plan"], wanted["file"], strict=True))
    rows = {(row["plan"], row["file"]): row for row in _rows(folder, keys)}
    said = tuple(str(text) for text in record.get("not_assessed", ()))
    return [
        Counted(
            name=f"{folder.name}/{row['plan']}", source=folder.name, region=str(row["region"]),
            values=_numbers(row), draws={NET: np.asarray(row[DRAWS], dtype=np.float64)},
            horizon_years=record.get("settings", {}).get("horizon_years"), not_assessed=said,
        )
        for row in (rows[key] for key in zip(wanted["plan"], wanted["file"], strict=True))
    ]  # fmt: skip


def _is_meant(plan: str, name: str) -> bool:
    """Whether a plan is the one of a name: `s01`, or with the name of its file, `schemes-s01`."""
    return plan == name or plan.endswith(f"-{name}")


def _rows(folder: Path, keys: set[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """The rows of some plans with their draws, from the table or, of very many plans, its parts."""
    parts = sorted((folder / PARTS).glob("*.parquet"))
    for path in parts or [folder / SCORES]:
        table = _table(path)
        if DRAWS not in table.columns:
            raise FormatError(f"{folder.name}/{path.name}: holds no draws", "score the plans anew")
        is_wanted = [key in keys for key in zip(table["plan"], table["file"], strict=True)]
        yield from table[is_wanted].to_dict("records")


def _table(path: Path, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    try:
        return pq.read_table(path, columns=columns).to_pandas()
    except (pa.ArrowException, OSError) as err:
        where = f"{path.parent.name}/{path.name}"
        raise FormatError(f"{where}: cannot be read", "score the plans anew") from err


def _numbers(row: Mapping[Any, Any]) -> dict[str, float]:
    """The numbers of a row of scores; its place in an order holds for that run alone."""
    return {
        str(name): float(value)
        for name, value in row.items()
        if isinstance(value, int | float | np.number) and name not in ("rank", "tie")
    }


def few(names: Sequence[str]) -> str:
    """The first names of a list."""
    told = ", ".join(str(name) for name in list(names)[:8])
    return told + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def flows_of(plans: Sequence[Counted]) -> list[tuple[str, str]]:
    """Names of all flows and stocks of some plans with their kinds, in the order of kinds."""
    tags = flow_tags()
    names = dict.fromkeys(name for one in plans for name in one.values if name in tags)
    order = list(KINDS)
    return sorted(((n, tags[n].kind) for n in names), key=lambda pair: order.index(pair[1]))
