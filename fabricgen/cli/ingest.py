"""`fabricgen ingest`: a city extract into a tile store."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from . import console
from .options import ConfigDir, Overrides, SettingsFile, read_settings


def ingest(
    extract: Annotated[
        Path, typer.Argument(help="An .osm.pbf, a GeoPackage, or a folder of GeoParquet layers.")
    ],
    overrides: Overrides = None,
    *,
    city: Annotated[str | None, typer.Option("--city", help="Its name; else the file's.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the store; else stores/CITY.")
    ] = None,
    config_dir: ConfigDir = None,
    settings: SettingsFile = None,
) -> None:
    """Read a city into a tile store.

    fabricgen ingest helsinki.osm.pbf --city helsinki --out stores/helsinki
    """
    values = read_settings("ingest", overrides, config_dir=config_dir, settings=settings)

    from .. import provenance
    from ..city.ingest import CitySettings
    from ..city.ingest import ingest as read_city
    from ..settings import fill

    start = provenance.Start()
    city = city or extract.name.split(".")[0]
    out = out or Path("stores") / city
    chosen = fill(CitySettings, values["ingest"], where="ingest")
    with console.progress("ingest") as on_step:
        report = read_city(extract, city=city, out=out, settings=chosen, on_step=on_step)
    run = provenance.record("ingest", start=start, settings=values, inputs=[extract])
    provenance.write(run, out)
    console.show(asdict(report), text=f"{describe(asdict(report))}\nwritten to {out}")


def describe(report: dict[str, Any]) -> str:
    """The summary of an ingest for a person: areas, windows, heights, what was dropped and why."""
    windows = ", ".join(f"{count} {split}" for split, count in report["windows"].items() if count)
    lines = [
        f"{report['city']}: {report['area_km2']:.2f} km2 in {report['crs']}, "
        f"{report['buildings']:,} buildings, {report['segments']:,} pieces of street",
        f"windows: {windows or 'none'}",
    ]
    shares = {**report["surface_share"], "unknown": report["unknown_share"]}
    lines += [f"  {name:<10} {share:6.1%}" for name, share in shares.items()]
    lines.append(f"heights known for {report['height_known_share']:.1%} of the built area")
    lines += [f"left out {count:,}: {reason}" for reason, count in report["dropped"].items()]
    lines += [
        f"masked {area_m2 / 1e6:.2f} km2: {reason}"
        for reason, area_m2 in report["masked_m2"].items()
    ]
    return "\n".join(lines)
