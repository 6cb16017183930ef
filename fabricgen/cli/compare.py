"""`fabricgen compare`: plans side by side, with how surely one beats another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import console
from .options import ConfigDir, Out, SettingsFile, read_settings, sort_words

if TYPE_CHECKING:
    from ..report.compare import Comparison

COLUMNS = {
    "rank": "",
    "tie": "",
    "plan": "",
    "far": ".2f",
    "net": ",.2f",
    "difference": "+,.2f",
    "p05": "+,.2f",
    "p95": "+,.2f",
    "P(better)": ".3f",
}
MOST_LINES = 12  # pairs that are told one by one; pairs.csv holds all


def compare(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="A B... [KEY=VALUE]...",
            help="Plans, GeoTIFFs, result folders of generate or score, or FOLDER/PLAN.",
            show_default=False,
        ),
    ],
    *,
    region: Annotated[
        str | None, typer.Option("--region", help="Carbon region; auto: by the site's place.")
    ] = None,
    out: Out = Path("outputs/comparison"),
    config_dir: ConfigDir = None,
    settings: SettingsFile = None,
) -> None:
    """Set plans side by side: differences with ranges, and how surely one beats another.

    fabricgen compare outputs/a outputs/b/s03 mine.gpkg --out outputs/comparison
    """
    paths, overrides = sort_words(words, "plan to score", "give a plan or a GeoTIFF, or several")
    values = read_settings("compare", overrides, config_dir=config_dir, settings=settings)
    if region is not None:
        values = {**values, "region": region}

    from ..design.candidates import ScoreSettings
    from ..files import check_replaceable, prepare_output
    from ..provenance import Start, record
    from ..report.compare import CompareSettings
    from ..report.compare import compare as held_against
    from ..report.compare_inputs import MARK, gather
    from ..report.compare_page import write_comparison
    from ..settings import fill

    start = Start()
    counting, asked = (
        fill(kind, {f.name: values[f.name] for f in fields(kind) if f.name in values})
        for kind in (ScoreSettings, CompareSettings)
    )
    check_replaceable(out, mark=MARK)
    prepare_output(out.parent, free_mb=20)
    with console.progress("compare") as on_step:
        plans = gather(paths, settings=counting, best=asked.best, on_step=on_step)
        made = held_against(plans, asked)
        facts = {"region": plans[0].region, "counts": {"made": len(plans)}}
        inputs = dict.fromkeys(path if path.exists() else path.parent for path in paths)
        run = record("compare", start=start, settings=values, inputs=inputs, more=facts)
        write_comparison(made, out, record=run)
    rows = ranking(made)
    console.show({"out": str(out), "plans": rows}, text=describe(made, rows, out=out))


def ranking(comparison: Comparison) -> list[dict[str, Any]]:
    """One row a plan, best first, with its difference to the reference."""
    from ..report.compare import between

    rows = []
    for place, one in enumerate(comparison.plans):
        gap = between(comparison, place, comparison.reference)
        rows.append(
            {
                "rank": place + 1,
                "tie": comparison.ties[place],
                "plan": one.name,
                "far": one.values["far"],
                "net": float(comparison.net[place]),
                "difference": gap.central,
                "p05": gap.low,
                "p95": gap.high,
                "P(better)": gap.p_less,
                "significant": gap.is_sure,
            }
        )
    return rows


def describe(comparison: Comparison, rows: Sequence[dict[str, Any]], *, out: Path) -> str:
    """The comparison for a person."""
    against = comparison.plans[comparison.reference].name
    lines = [
        f"net in {comparison.measure.unit}; differences and P(better) are against {against}",
        console.table(rows, COLUMNS),
        "",
        *pair_lines(comparison),
        f"written to {out}; open {out / 'compare.html'}",
    ]
    return "\n".join(lines)


def pair_lines(comparison: Comparison) -> list[str]:
    """A sentence on every plan against the best one, or on tie groups where there are many."""
    from ..report.compare import finding, percent

    best, others = comparison.plans[0], comparison.plans[1:]
    if len(others) > MOST_LINES:
        groups = [comparison.ties.count(tie) for tie in dict.fromkeys(comparison.ties)]
        return [
            f"{len(groups)} groups of plans that the draws tell apart; "
            f"{groups[0]} cannot be told from the best, {best.name}"
        ]
    lines = []
    for place, one in enumerate(others, start=1):
        odds = percent(comparison.beats[0, place])
        lines.append(f"{best.name} against {one.name}: {finding(comparison, 0, place)} (P {odds})")
    return lines
