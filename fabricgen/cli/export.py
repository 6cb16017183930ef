"""`fabricgen export`: a plan in the formats of other tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError, need
from . import console
from .options import Out

if TYPE_CHECKING:
    from ..exchange.geotiff import Raster
    from ..plan import Plan

FORMATS = {
    "gpkg": ".gpkg",
    "geojson": ".geojson",
    "geoparquet": ".parquet",
    "dxf": ".dxf",
    "cityjson": ".city.json",
    "ifc": ".ifc",
    "cog": ".tif",
}
PACKAGES = {"dxf": "ezdxf", "ifc": "ifcopenshell"}  # that a format needs, of the extra `cad`


def export(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="PLAN [scheme=NAME]",
            help="GeoPackage, GeoJSON, GeoParquet, DXF, CityJSON, IFC, Shapefiles, zipped or not.",
            show_default=False,
        ),
    ],
    *,
    to: Annotated[str, typer.Option("--to", help=f"Of {', '.join(FORMATS)}; commas between.")],
    out: Out = Path("outputs/export"),
    region: Annotated[
        str | None,
        typer.Option(
            "--region", help="Carbon region or auto: buildings of cityjson carry their carbon."
        ),
    ] = None,
) -> None:
    """Write a plan in the formats of other tools.

    fabricgen export schemes.gpkg --to geojson,dxf,cityjson --out outputs/export scheme=s01

    fabricgen export raster.tif --to gpkg
    """
    path, asked = sort_words(words)
    formats = formats_of(to)
    for name in formats:
        if name in PACKAGES:
            need(PACKAGES[name], extra="cad")
    if region and "cityjson" not in formats:
        raise InputError("--region without cityjson", "only that format holds it; add it to --to")

    from ..exchange import read_drawn
    from ..files import prepare_output

    remarks: list[str] = []
    plans = chosen(read_drawn(path, on_remark=remarks.append), asked, file=path.name)
    targets = names_of(path, list(plans), formats, out=out)
    prepare_output(out, free_mb=20)
    files = []
    with console.progress("export") as on_step:
        for n, (scheme, plan) in enumerate(plans.items()):
            on_step(n, len(plans), scheme)
            said = carbon_of(plan, scheme, region) if region else {}
            for name in formats:
                target = targets[scheme, name]
                found = write(plan, target, name, scheme=scheme, source=path, buildings=said)
                remarks += [f"{target.name}: {one}" for one in found]
                files.append({"file": target.name, "format": name, "scheme": scheme})
    for remark in remarks:
        console.warn(remark)
    table = console.table(files, {"file": "", "format": "", "scheme": ""})
    document = {"out": str(out), "files": files, "remarks": remarks}
    console.show(document, text=f"{table}\nwritten to {out}")


def sort_words(words: Sequence[str]) -> tuple[Path, list[str]]:
    """The file and the schemes that are asked for; none: all.

    Raises:
        InputError: No file or several, or a setting other than `scheme`.
    """
    paths = [word for word in words if "=" not in word or Path(word).exists()]
    settings = [word for word in words if word not in paths]
    if len(paths) != 1:
        raise InputError(f"{len(paths)} files", "give one plan after export")
    for word in settings:
        if not word.startswith("scheme="):
            raise InputError(f"no setting is called '{word.split('=')[0]}'", "give scheme=NAME")
    asked = [name for word in settings for name in word.split("=", 1)[1].split(",")]
    return Path(paths[0]), asked


def formats_of(text: str) -> list[str]:
    """Formats by their names with commas between.

    Raises:
        InputError: A name that is none.
    """
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in FORMATS]
    if wrong or not names:
        raise InputError(f"--to {', '.join(wrong) or 'nothing'}", f"use {', '.join(FORMATS)}")
    return list(dict.fromkeys(names))


def chosen(drawn: dict[str, Any], asked: Sequence[str], *, file: str) -> dict[str, Plan]:
    """The plans that are asked for; rasters are traced.

    Raises:
        InputError: A scheme that is not there.
    """
    for name in asked:
        if name not in drawn:
            raise InputError(
                f"{file}: no scheme {name}; it holds {', '.join(drawn)}", "name one of these"
            )
    return {name: as_plan(drawn[name]) for name in (asked or drawn)}


def as_plan(drawn: Plan | Raster) -> Plan:
    """A plan as it is, a raster traced: its buildings, streets, ground and trees as vectors."""
    from ..plan import Plan

    if isinstance(drawn, Plan):
        return drawn
    from ..vectorize.trace import site_of, trace_layout

    site = site_of(drawn.inside[0].numpy(), drawn.frame)
    return trace_layout(drawn.layout, drawn.frame, site)


def names_of(
    path: Path, schemes: Sequence[str], formats: Sequence[str], *, out: Path
) -> dict[tuple[str, str], Path]:
    """The file of each scheme in each format.

    Raises:
        InputError: One would replace the plan itself.
    """
    from ..files import safe_name

    found = {}
    for scheme in schemes:
        stem = path.stem if len(schemes) == 1 and scheme == path.stem else f"{path.stem}-{scheme}"
        for name in formats:
            target = out / f"{safe_name(stem)}{FORMATS[name]}"
            if target.exists() and target.samefile(path):
                raise InputError(f"{target.name}: is the plan itself", "choose another --out")
            if target in found.values():
                raise InputError(f"{target.name}: two schemes want this name", "export one alone")
            found[scheme, name] = target
    return found


def write(
    plan: Plan, target: Path, form: str, *, scheme: str, source: Path, buildings: dict[str, Any]
) -> list[str]:
    """Writes one plan in one format; hands back what the format does not hold as the plan does."""
    from ..exchange import provenance_of, write_cog, write_plan
    from ..files import sha256_of

    if form == "cog":
        from ..design.candidates import candidate_of

        drawn = candidate_of(plan, name=scheme, file=source.name)
        write_cog(drawn.layout, drawn.frame, target, inside=drawn.inside[0])
        return []
    origin = {"file": source.name, "sha256": sha256_of(source)}
    meta = {**provenance_of(source), "exported_from": origin}
    return write_plan(plan, target, extra=meta, scheme=scheme, buildings=buildings)


def carbon_of(plan: Plan, scheme: str, region: str) -> dict[str, dict[str, float | str]]:
    """The carbon of each building, as `score` counts the plan with its default settings."""
    from .. import carbon
    from ..design.by_building import carbon_by_building
    from ..design.candidates import ScoreSettings, candidate_of, judge

    candidate = candidate_of(plan, name=scheme, file=scheme)
    reason = "asked for"
    if region == "auto":
        located = carbon.locate(*candidate.lon_lat)
        region, reason = located.name, located.reason
    settings = ScoreSettings(draws=1)
    scored = judge(candidate, carbon.region(region), reason=reason, settings=settings)
    return carbon_by_building(scored)
