"""`fabricgen evaluate`: generated plans beside real ones, on a city that never trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import FormatError
from . import console
from .options import ConfigDir, Out, Overrides, SettingsFile, read_settings

OUT_OF_BOUNDS = 4  # exit code of a check that ran and failed
COLUMNS = {"figure": "", "generated": "", "interval": "", "floor": ""}


def evaluate(  # noqa: PLR0913  # one for each option
    overrides: Overrides = None,
    *,
    city: Annotated[
        Path, typer.Option("--city", exists=True, help="City extract, or a tile store.")
    ],
    samples: Annotated[int | None, typer.Option("--samples", help="Sites.")] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", help="Plans for each site.")] = None,
    max_minutes: Annotated[
        float | None, typer.Option("--max-minutes", help="Be done after so long.")
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option("--check", exists=True, help="JSON of bounds, {key: [least, most]}."),
    ] = None,
    out: Out = Path("outputs/evaluation"),
    config_dir: ConfigDir = None,
    settings: SettingsFile = None,
) -> None:
    """Judge generated plans beside real ones.

    fabricgen evaluate --city city.osm.pbf --samples 64 --seeds 1 --max-minutes 20
    """
    values = read_settings("evaluate", overrides, config_dir=config_dir, settings=settings)
    told = {"samples": samples, "seeds": seeds, "max_minutes": max_minutes}
    values = {**values, **{key: value for key, value in told.items() if value is not None}}
    bounds = read_bounds(check) if check else {}

    from .. import provenance
    from ..files import lock, prepare_output
    from ..quality.page import figure_rows, missed, top_of
    from ..quality.protocol import EvaluateSettings
    from ..quality.protocol import evaluate as judge
    from ..quality.results import ROWS, write_evaluation
    from ..settings import fill

    start = provenance.Start()
    names = [field.name for field in fields(EvaluateSettings)]
    chosen = fill(EvaluateSettings, {name: values[name] for name in names if name in values})
    prepare_output(out, free_mb=50)
    with lock(out), console.progress("evaluate") as on_step:
        found = judge(city, rows=out / ROWS, settings=chosen, on_step=on_step)
        record = provenance.record(
            "evaluate", start=start, settings=values, inputs=[city], more={"data": found.sources}
        )
        write_evaluation(found, out, record=record)
    rows = [
        {
            "figure": row["key"],
            "generated": row["value"],
            **{k: row[k] for k in COLUMNS if k in row},
        }
        for row in figure_rows(found.metrics)
    ]
    away = [f"given away by: {', '.join(one['name'] for one in top_of(found.metrics))}"]
    lines = [console.table(rows, COLUMNS), *(away if top_of(found.metrics) else [])]
    lines.append(f"written to {out}; open {out / 'evaluate.html'}")
    console.show({"out": str(out), "metrics": found.metrics}, text="\n".join(lines))
    outside = missed(found.metrics, bounds)
    for line in outside:
        console.warn(line)
    if outside:
        raise typer.Exit(OUT_OF_BOUNDS)


def read_bounds(path: Path) -> Mapping[str, Any]:
    """Least and most by key.

    Raises:
        FormatError: The file holds something else.
    """
    try:
        bounds = json.loads(path.read_text(encoding="utf-8"))
        good = all(len(pair) == 2 and pair[0] <= pair[1] for pair in bounds.values())
    except (OSError, ValueError, TypeError, AttributeError):
        good = False
    if not good:
        raise FormatError(
            f"{path.name}: no bounds", 'give {"c2st.accuracy": [0.4, 0.7]} and the like'
        )
    return bounds
