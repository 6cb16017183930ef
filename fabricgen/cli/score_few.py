"""A few plans scored, with a page for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import console

if TYPE_CHECKING:
    from ..design.candidates import Scored, ScoreSettings

COLUMNS = {
    "rank": "",
    "tie": "",
    "plan": "",
    "region": "",
    "far": ".2f",
    "gross_floor_area_m2": ",.0f",
    "emission_t": ",.1f",
    "sink_t": ",.1f",
    "avoided_t": ",.1f",
    "net_t": ",.1f",
    "net_p05_t": ",.1f",
    "net_p95_t": ",.1f",
    "net_kg_per_m2_gfa": ".1f",
}
MOST_COLUMNS = 6  # plans in the table of flows; the pages and scores.csv hold all
KG_PER_T = 1000.0


def score_few(
    files: Sequence[Path], settings: ScoreSettings, *, out: Path, values: Mapping[str, Any]
) -> None:
    """Scores a few plans and writes a page for each."""
    from ..design.candidates import score_files
    from ..files import check_replaceable, prepare_output
    from ..provenance import Start, record
    from ..report.score_page import MARK, score_table, write_scores

    start = Start()
    check_replaceable(out, mark=MARK)
    prepare_output(out.parent, free_mb=20)
    with console.progress("score") as on_step:
        scored = score_files(files, settings=settings, on_step=on_step)
        inputs = [*files, *([Path(settings.factors)] if settings.factors else [])]
        run = record("score", start=start, settings=values, inputs=inputs, more=facts(scored))
        write_scores(scored, out, record=run)
    for one in scored:
        if one.heights is not None:
            console.warn(f"{one.name}: {one.heights.text}")
    rows = score_table(scored).to_dict("records")
    console.show({"out": str(out), "plans": rows}, text=describe(scored, rows, out=out))


def facts(scored: Sequence[Scored]) -> dict[str, Any]:
    """What `run.json` says besides versions and settings."""
    return {
        "regions": {one.name: {"name": one.region.name, "why": one.reason} for one in scored},
        "counts": {"made": len(scored)},
        "not_assessed": list(dict.fromkeys(x for s in scored for x in s.score.ledger.not_assessed)),
        "heights": {s.name: s.heights.text for s in scored if s.heights is not None},
    }


def describe(scored: Sequence[Scored], rows: list[dict[str, Any]], *, out: Path) -> str:
    """The ledger for a person: flows by plan, then the order with ranges, regions and ties."""
    shown = scored[:MOST_COLUMNS]
    flows: dict[str, dict[str, Any]] = {}
    for one in shown:
        for entry in one.score.ledger.entries:
            line = flows.setdefault(entry.name, {"kind": entry.kind, "flow": entry.name})
            line[one.name] = float(entry.amount[0]) / KG_PER_T
    kinds = ("emission", "sink", "avoided", "stock")
    lines = sorted(flows.values(), key=lambda line: kinds.index(line["kind"]))
    table = console.table(lines, {"kind": "", "flow": "", **{one.name: ",.1f" for one in shown}})
    summary = console.table([in_tonnes(row) for row in rows], COLUMNS)
    regions = dict.fromkeys(f"{s.region.name} ({s.reason})" for s in scored)
    parts = [
        "tonnes CO2e a year; stock: tonnes held on the site",
        table,
        "",
        summary,
        f"region: {'; '.join(regions)}",
        *tie_lines(scored),
        f"written to {out}; open {out / (scored[0].name + '.html')}",
    ]
    return "\n".join(parts)


def in_tonnes(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its amounts in tonnes beside it."""
    kinds = ("emission", "sink", "avoided", "net", "net_p05", "net_p95")
    tonnes = {f"{kind}_t": row[f"{kind}_kgco2e_per_year"] / KG_PER_T for kind in kinds}
    return {**row, **tonnes, "net_kg_per_m2_gfa": row["net_kgco2e_per_m2_gfa_year"]}


def tie_lines(scored: Sequence[Scored]) -> list[str]:
    """One line for each group of plans whose difference is not significant."""
    groups: dict[int, list[str]] = {}
    for one in scored:
        groups.setdefault(one.tie, []).append(one.name)
    return [
        f"not significantly different: {', '.join(names)}"
        for names in groups.values()
        if len(names) > 1
    ]
