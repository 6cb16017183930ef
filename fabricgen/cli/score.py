"""`fabricgen score`: the carbon of plans and rasters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError
from . import console
from .options import ConfigDir, Out, SettingsFile, read_settings

if TYPE_CHECKING:
    from ..design.candidates import Scored

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


def score(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="PLAN_OR_RASTER... [KEY=VALUE]...",
            help="Plans (GeoPackage, GeoJSON, ...) and GeoTIFFs, then settings: factors=mine.csv.",
            show_default=False,
        ),
    ],
    *,
    region: Annotated[
        str | None, typer.Option("--region", help="Carbon region; auto: by the site's place.")
    ] = None,
    out: Out = Path("outputs/scores"),
    config_dir: ConfigDir = None,
    settings: SettingsFile = None,
) -> None:
    """Count the carbon of plans and rasters, with ranges.

    fabricgen score plans/*.gpkg scheme.tif --region auto --out outputs/scores
    """
    paths, overrides = sort_words(words)
    values = read_settings("score", overrides, config_dir=config_dir, settings=settings)
    if region is not None:
        values = {**values, "region": region}

    from ..design.candidates import ScoreSettings, score_files
    from ..files import check_replaceable, prepare_output
    from ..provenance import Start, record
    from ..report.score_page import MARK, score_table, write_scores
    from ..settings import fill

    start = Start()
    names = [field.name for field in fields(ScoreSettings)]
    chosen = fill(ScoreSettings, {name: values[name] for name in names if name in values})
    check_replaceable(out, mark=MARK)
    prepare_output(out.parent, free_mb=20)
    with console.progress("score") as on_step:
        scored = score_files(paths, settings=chosen, on_step=on_step)
        inputs = [*paths, *([Path(chosen.factors)] if chosen.factors else [])]
        run = record("score", start=start, settings=values, inputs=inputs, more=facts(scored))
        write_scores(scored, out, record=run)
    for one in scored:
        if one.heights is not None:
            console.warn(f"{one.name}: {one.heights.text}")
    rows = score_table(scored).to_dict("records")
    console.show({"out": str(out), "plans": rows}, text=describe(scored, rows, out=out))


def sort_words(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Paths and settings apart; a file that exists is a path whatever its name.

    Raises:
        InputError: No path among them.
    """
    settings = [word for word in words if "=" in word and not Path(word).exists()]
    paths = [Path(word) for word in words if word not in settings]
    if not paths:
        raise InputError("no plan to score", "give a plan or a GeoTIFF, or several")
    return paths, settings


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
    summary = console.table([_in_tonnes(row) for row in rows], COLUMNS)
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


def _in_tonnes(row: dict[str, Any]) -> dict[str, Any]:
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
