"""`fabricgen generate` for a file of blocks: every feature a site of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import console

if TYPE_CHECKING:
    import pandas as pd

    from ..design.blocks import Refused

COLUMNS = {
    "block": "",
    "scheme": "",
    "far": ".2f",
    "site_coverage": ".2f",
    "green_ratio": ".2f",
    "gross_floor_area_m2": ",.0f",
    "net_kgco2e_per_year": ",.0f",
    "unmet": "",
}
SHOWN = 20  # blocks on the terminal; scores.csv has all


def draw_blocks(site: Path, context: Path, *, out: Path, settings: Mapping[str, Any]) -> None:
    """Runs the loop for every block, writes the folder and shows each block's best scheme."""
    from ..batch import EngineSettings
    from ..batch.blocks import BlockSettings, generate_blocks
    from ..design import Brief, LoopSettings, weights_path
    from ..design.blocks import read_blocks
    from ..design.site import open_context
    from ..files import prepare_output
    from ..provenance import Start, record
    from ..settings import fill

    start = Start()
    names = [field.name for field in fields(LoopSettings)]
    chosen = fill(LoopSettings, {name: settings[name] for name in names if name in settings})
    engine = fill(EngineSettings, settings.get("engine", {}))
    Brief.read(settings["brief"])  # a mistake in it is one mistake, not one of each block
    blocks, refused = read_blocks(site, settings["brief"], seed=settings["seed"])
    prepare_output(out.parent, free_mb=50)
    with console.progress("generate") as on_step:
        store = open_context(context, on_step=on_step)
        base = record(
            "generate",
            start=start,
            settings=settings,
            seed=settings["seed"],
            inputs=(site, context),
            weights=weights_path(chosen.weights),
        )
        scores, aside = generate_blocks(
            blocks,
            refused,
            store.folder(store.cities()[0]),
            out,
            settings=BlockSettings(chosen, settings["count"], engine),
            record=base,
            inputs=(site, context),
            on_step=on_step,
        )
    for one in aside:
        console.warn(f"{one.block}: {one.problem}; {one.fix}")
    best = scores[scores["rank"] == 1].to_dict("records")
    document = {
        "out": str(out),
        "schemes": scores.to_dict("records"),
        "rejected": [vars(one) for one in aside],
    }
    console.show(document, text=_describe(scores, best, aside, out))


def _describe(
    scores: pd.DataFrame, best: list[dict[str, Any]], aside: list[Refused], out: Path
) -> str:
    more = [f"and {len(best) - SHOWN} more blocks"] if len(best) > SHOWN else []
    total_t = sum(row["net_kgco2e_per_year"] for row in best) / 1000
    return "\n".join(
        [
            console.table(best[:SHOWN], COLUMNS),
            *more,
            f"{len(best)} blocks, {len(scores)} schemes, {len(aside)} blocks set aside; "
            f"net of the best of each: {total_t:,.0f} t CO2e a year",
            f"written to {out}; open {out / 'overview.png'}",
        ]
    )
