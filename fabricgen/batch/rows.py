"""A row for each plan, in the columns of `scores.csv`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import pyarrow as pa
import torch

from fabricgen.batch.count import Counted
from fabricgen.batch.read import Rejected
from fabricgen.carbon import reports
from fabricgen.carbon.ledger import Entry, Ledger
from fabricgen.carbon.uncertainty import net_draws
from fabricgen.report.tables import FORM, GREEN

KINDS = ("emission", "sink", "avoided", "stock")
TEXTS = ("plan", "file", "scheme", "region", "problem")
DRAWS = "net_draws_kgco2e_per_year"  # by draw; the same draws for every plan


def rejected_row(one: Rejected) -> dict[str, Any]:
    """The row of a plan that was not scored: its reason in the column `problem`."""
    return {**asdict(one.label), "problem": one.reason}


def scored_rows(counted: Counted) -> Iterator[dict[str, Any]]:
    """The rows of plans that were counted together."""
    ledger = counted.ledger
    sums = _sums(ledger)
    central = _central(ledger)
    course = central.timeline("net", declining_grid=True)[:, 0].sum(dim=1).tolist()
    years = central.years_to_carbon_positive().tolist()
    spread = ledger.spread("net").tolist()
    nets = ledger.net_kgco2e_per_year.tolist()
    green = {name: values.tolist() for name, values in counted.green.items()}
    flows = {entry.name: entry.amount.tolist() for entry in ledger.entries}
    for n, drawn in enumerate(counted.drawn):
        form = counted.form[n] | {name: values[n] for name, values in green.items()}
        net, heights = nets[n], counted.heights[n]
        floor_m2, gpc = form["gross_floor_area_m2"], reports.by_gpc(ledger, n)
        yield {
            **asdict(drawn.label),
            "region": counted.region.name,
            "problem": "",
            "site_area_m2": form["site_area_m2"],
            **{name: form[name] for name in (*FORM, *GREEN)},
            **{f"{kind}_kgco2e_per_year": sums[kind][n] for kind in KINDS[:3]},
            "stock_kgco2e": sums["stock"][n],
            "net_kgco2e_per_year": net,
            **dict(zip(_PERCENTILES, spread[n], strict=True)),
            "net_kgco2e_per_m2_gfa_year": net / floor_m2 if floor_m2 > 0 else float("nan"),
            "net_kgco2e_per_m2_site_year": net / form["site_area_m2"],
            "whole_life_net_declining_grid_kgco2e": course[n],
            "years_to_carbon_positive": years[n],
            "gpc_basic_kgco2e_per_year": gpc.basic,
            "gpc_basic_plus_kgco2e_per_year": gpc.basic_plus,
            "gpc_removals_kgco2e_per_year": gpc.removals,
            "height_unknown_share": 0.0 if heights is None else heights.unknown_share,
            "net_at_low_heights_kgco2e_per_year": _or_nan(heights, "net_low"),
            "net_at_high_heights_kgco2e_per_year": _or_nan(heights, "net_high"),
            **{name: values[n] for name, values in flows.items()},
            DRAWS: net_draws(ledger, n).float().cpu().numpy(),
        }


_PERCENTILES = tuple(f"net_{point}_kgco2e_per_year" for point in ("p05", "p50", "p95"))


def _or_nan(heights: Any, name: str) -> float:
    return float("nan") if heights is None else float(getattr(heights, name))


def _sums(ledger: Ledger) -> dict[str, list[float]]:
    """Sums by kind, NaN where nothing of a kind was assessed."""
    found = {}
    for kind in KINDS:
        amounts = [entry.amount.double() for entry in ledger.entries if entry.kind == kind]
        nothing = torch.full_like(ledger.site_area_m2, torch.nan).double()
        found[kind] = (torch.stack(amounts).sum(dim=0) if amounts else nothing).tolist()
    return found


def _central(ledger: Ledger) -> Ledger:
    """The same ledger without its draws: courses over the years are read off the central values."""
    path = None if ledger.grid_path is None else ledger.grid_path[:, :1]
    return replace(ledger, entries=tuple(map(_central_entry, ledger.entries)), grid_path=path)


def _central_entry(entry: Entry) -> Entry:
    parts = tuple(replace(part, amounts=part.amounts[:, :1]) for part in entry.parts)
    return replace(entry, parts=parts)


def as_table(rows: list[dict[str, Any]], *, draws: int, meta: Mapping[str, bytes]) -> pa.Table:
    """Rows as a table in the order of their places; amounts that a plan lacks are null.

    Args:
        rows: In any order, and of any columns.
        draws: Length of the list of draws.
        meta: Of the file.
    """
    rows = sorted(rows, key=lambda row: row["place"])
    names = dict.fromkeys((*TEXTS, *(name for row in rows for name in row if name != "place")))
    columns, fields = [], []
    for name in names:
        values = [row.get(name) for row in rows]
        kind = pa.list_(pa.float32(), draws) if name == DRAWS else pa.float64()
        kind = pa.string() if name in TEXTS else kind
        columns.append(pa.array(values, type=kind))
        fields.append(pa.field(name, kind))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=dict(meta)))
