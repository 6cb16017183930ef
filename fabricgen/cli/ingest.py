"""`fabricgen ingest`: city extracts into tile stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SettingsError
from . import console
from .options import ConfigDir, SettingsFile, read_settings, sort_words

if TYPE_CHECKING:
    from ..city.ingest import CitySettings


COLUMNS = {"city": "", "area_km2": ",.2f", "buildings": ",.0f", "segments": ",.0f"}


def ingest(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="EXTRACT... [KEY=VALUE]...",
            help="An .osm.pbf, a GeoPackage, or a folder of GeoParquet layers; then settings.",
            show_default=False,
        ),
    ],
    *,
    city: Annotated[str | None, typer.Option("--city", help="Its name; else the file's.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the store, else stores/CITY; of several, of all."),
    ] = None,
    config_dir: ConfigDir = None,
    settings: SettingsFile = None,
) -> None:
    """Read a city into a tile store, or several, each into its own.

    fabricgen ingest helsinki.osm.pbf --city helsinki --out stores/helsinki
    """
    extracts, overrides = sort_words(words, "city extract", "give an .osm.pbf, or several")
    values = read_settings("ingest", overrides, config_dir=config_dir, settings=settings)

    from ..city.ingest import CitySettings
    from ..settings import fill

    chosen = fill(CitySettings, values["ingest"], where="ingest")
    if len(extracts) > 1:
        if city is not None:
            raise SettingsError("--city with several extracts", "they are called like their files")
        _ingest_several(extracts, out or Path("stores"), chosen, values=values)
        return
    _ingest_one(extracts[0], city=city, out=out, chosen=chosen, values=values)


def _ingest_one(
    extract: Path,
    *,
    city: str | None,
    out: Path | None,
    chosen: CitySettings,
    values: Mapping[str, Any],
) -> None:
    from .. import provenance
    from ..batch.cities import city_of
    from ..city.ingest import ingest as read_city

    start = provenance.Start()
    city = city or city_of(extract)
    out = out or Path("stores") / city
    with console.progress("ingest") as on_step:
        report = read_city(extract, city=city, out=out, settings=chosen, on_step=on_step)
    run = provenance.record("ingest", start=start, settings=values, inputs=[extract])
    provenance.write(run, out)
    console.show(asdict(report), text=f"{describe(asdict(report))}\nwritten to {out}")


def _ingest_several(
    extracts: Sequence[Path], out: Path, chosen: CitySettings, *, values: Mapping[str, Any]
) -> None:
    from .. import provenance
    from ..batch import EngineSettings
    from ..batch.cities import CitiesSettings, ingest_cities
    from ..settings import fill

    engine = fill(EngineSettings, values.get("engine", {}), where="engine")
    cities = fill(CitiesSettings, {"workers": values.get("workers")})
    cities = replace(cities, city=chosen, engine=engine)
    record = provenance.record("ingest", start=provenance.Start(), settings=values)
    with console.progress("ingest") as on_step:
        found = ingest_cities(extracts, out, settings=cities, record=record, on_step=on_step)
    made = [row for row in found.to_dict("records") if not row["problem"]]
    aside = found.loc[found["problem"] != "", ["city", "problem", "fix"]].to_dict("records")
    lines = [
        console.table(made, COLUMNS),
        *(f"left out {row['city']}: {row['problem']}; {row['fix']}" for row in aside),
        f"written to {out}",
    ]
    named = [{name: row[name] for name in COLUMNS} for row in made]
    document = {"out": str(out), "cities": named, "rejected": aside}
    console.show(document, text="\n".join(lines))


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
