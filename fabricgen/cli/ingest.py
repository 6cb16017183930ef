"""`fabricgen ingest`: a city extract into a tile store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from . import console
from .options import ConfigDir, Out, Overrides, SettingsFile, read_settings


def ingest(
    extract: Annotated[Path, typer.Argument(help="A .osm.pbf, GeoPackage or GeoParquet city.")],
    overrides: Overrides = None,
    *,
    city: Annotated[str | None, typer.Option("--city", help="Its name; else the file's.")] = None,
    out: Out = Path("stores"),
    config_dir: ConfigDir = None,
    settings: SettingsFile = None,
) -> None:
    """Read a city into a tile store.

    fabricgen ingest helsinki.osm.pbf --city helsinki --out stores/helsinki
    """
    values = read_settings("ingest", overrides, config_dir=config_dir, settings=settings)

    from ..city.ingest import CitySettings
    from ..city.ingest import ingest as read_city
    from ..settings import fill

    with console.progress("ingest") as on_step:
        read_city(
            extract,
            city=city or extract.name.split(".")[0],
            out=out,
            settings=fill(CitySettings, values["city"], where="city"),
            on_step=on_step,
        )
    report = json.loads((out / "city.json").read_text(encoding="utf-8"))
    console.show(report, text=describe(report, out=out))


def describe(report: dict[str, Any], *, out: Path) -> str:
    """The summary of an ingest for a person: areas, heights, and what was dropped and why."""
    area_m2 = report["area_km2"] * 1e6
    lines = [f"{report['name']}: {report['area_km2']:.2f} km2, {report['buildings']} buildings"]
    shares = {**report["surface_area_m2"], "unknown": report["unknown_m2"]}
    lines += [f"  {name:<10} {amount_m2 / area_m2:6.1%}" for name, amount_m2 in shares.items()]
    lines.append(f"  heights known for {report['height_known_share']:.1%} of buildings")
    lines += [f"  dropped {count}: {reason}" for reason, count in report["dropped"].items()]
    return "\n".join([*lines, f"written to {out}"])
