"""`fabricgen generate`: schemes for a site of your own."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import SettingsError
from . import console
from .generate_blocks import draw_blocks
from .options import ConfigDir, Out, Overrides, SettingsFile, read_settings

COLUMNS = {
    "rank": "",
    "scheme": "",
    "far": ".2f",
    "site_coverage": ".2f",
    "green_ratio": ".2f",
    "mean_height_m": ".1f",
    "gross_floor_area_m2": ",.0f",
    "emission_kgco2e_per_year": ",.0f",
    "sink_kgco2e_per_year": ",.0f",
    "net_kgco2e_per_year": ",.0f",
}


def generate(
    overrides: Overrides = None,
    *,
    site: Annotated[
        Path, typer.Option("--site", exists=True, help="File with the site's polygon(s).")
    ],
    context: Annotated[
        Path, typer.Option("--context", exists=True, help="City extract, or a tile store.")
    ],
    count: Annotated[int | None, typer.Option("--count", help="Schemes to hand over.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of every random choice.")] = None,
    out: Out = Path("outputs/schemes"),
    config_dir: ConfigDir = None,
    settings: SettingsFile = None,
) -> None:
    """Draw schemes for a site, ranked by carbon and brief, or for every block of a city.

    fabricgen generate --site site.gpkg --context city.osm.pbf --count 8 brief.far=2.0
    """
    values = read_settings("generate", overrides, config_dir=config_dir, settings=settings)
    values = with_options(values, count=count, seed=seed)
    if sites_apart(site, values):
        draw_blocks(site, context, out=out, settings=values)
    else:
        draw(site, context, out=out, settings=values)


def sites_apart(site: Path, settings: Mapping[str, Any]) -> bool:
    """Whether each feature of a file is a site of its own."""
    sites = settings.get("sites", "auto")  # a run.json of before has none
    if sites == "auto":
        from ..design.blocks import holds_blocks

        return holds_blocks(site)
    if sites not in ("one", "each"):
        raise SettingsError(f"sites is {sites!r}", "give auto, one or each")
    return sites == "each"


def with_options(
    values: Mapping[str, Any], *, count: int | None, seed: int | None
) -> dict[str, Any]:
    """Settings with the options of the command line over them, and those two held to sense."""
    merged = {**values}
    merged.update({k: v for k, v in {"count": count, "seed": seed}.items() if v is not None})
    for key, low, high in (("count", 1, 10_000), ("seed", 0, 2**63 - 1)):
        value = merged.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise SettingsError(f"{key} is {value!r}", f"give a whole number in {low} to {high}")
    return merged


def draw(
    site: Path, context: Path, *, out: Path, settings: Mapping[str, Any], verb: str = "generate"
) -> None:
    """Runs the loop, writes the folder and shows its scores; what `generate` and `demo` share."""
    from ..design import Brief, LoopSettings, run
    from ..files import check_replaceable, prepare_output
    from ..provenance import Start
    from ..report import record_of, write_results
    from ..report.results import MARK
    from ..settings import fill

    start = Start()
    names = [field.name for field in fields(LoopSettings)]
    chosen = fill(LoopSettings, {name: settings[name] for name in names if name in settings})
    brief = Brief.read(settings["brief"])
    check_replaceable(out, mark=MARK)
    prepare_output(out.parent, free_mb=50)
    with console.progress(verb) as on_step:
        made = run(
            site,
            context,
            brief,
            settings["count"],
            settings["seed"],
            settings=chosen,
            on_step=on_step,
        )
        record = record_of(made, verb=verb, start=start, settings=settings, inputs=(site, context))
        write_results(made, out, record=record)
    with (out / "scores.csv").open(encoding="utf-8", newline="") as source:
        rows = [{k: _value(v) for k, v in row.items()} for row in csv.DictReader(source)]
    region, unmet = record["region"], record["unmet"]
    lines = [
        console.table(rows, COLUMNS),
        *unmet_lines(unmet),
        f"carbon region: {region}",
        f"written to {out}; open {out / 'report.html'}",
    ]
    document = {"out": str(out), "region": region, "schemes": rows, "unmet": unmet}
    console.show(document, text="\n".join(lines))


def unmet_lines(unmet: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """One line for each ask that schemes miss: what was asked, what was got, and why.

    Args:
        unmet: As in `run.json`: misses (`name`, `asked`, `nearest`, `why`) by scheme.
    """
    by_ask: dict[str, list[Mapping[str, Any]]] = {}
    for misses in unmet.values():
        for miss in misses:
            by_ask.setdefault(miss["name"], []).append(miss)
    lines = []
    for name, misses in by_ask.items():
        got = sorted(miss["nearest"] for miss in misses)
        span = f"{got[0]:.3g}" if len(got) == 1 else f"{got[0]:.3g} to {got[-1]:.3g}"
        schemes = "1 scheme" if len(got) == 1 else f"{len(got)} schemes"
        first = misses[0]
        lines.append(
            f"not met by {schemes}: {name}, asked {first['asked']}, got {span}; {first['why']}"
        )
    return lines


def _value(text: str) -> int | float | str | None:
    """A cell of a CSV as what it is; None where it is empty or no finite number."""
    try:
        number = float(text)
    except ValueError:
        return text or None
    if not math.isfinite(number):
        return None
    return int(number) if text.lstrip("-").isdigit() else number
