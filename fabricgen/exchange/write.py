"""A plan into a file, by its suffix."""

from collections.abc import Callable, Mapping
from pathlib import Path

from fabricgen.errors import InputError
from fabricgen.exchange.cityjson import write_cityjson
from fabricgen.exchange.dxf import write_dxf
from fabricgen.exchange.geojson import write_geojson
from fabricgen.exchange.geoparquet import write_geoparquet
from fabricgen.exchange.gpkg import write_schemes
from fabricgen.plan import Plan, check_plan

Remarks = list[str]  # what a format cannot hold, or holds in another way


def write_plan(
    plan: Plan, path: Path, *, extra: Mapping[str, object] | None = None, scheme: str = ""
) -> Remarks:
    """Write one plan; the suffix of the path chooses the format.

    Args:
        plan: A plan that passes `check_plan`.
        path: The file to write, whole or not at all.
        extra: Provenance to store with it.
        scheme: Its name; else that of the file without suffix.

    Returns:
        What the format does not hold as the plan does, a line each; most often nothing.

    Raises:
        InputError: A suffix that no format has, or a plan that the format cannot hold.
        MissingDependencyError: The format needs a package that is not installed.
    """
    path = Path(path)
    suffix = next((key for key in WRITERS if path.name.lower().endswith(key)), None)
    if suffix is None:
        raise InputError(f"{path.name}: no format of this suffix", f"use {', '.join(WRITERS)}")
    name = scheme or path.name[: -len(suffix)]
    return WRITERS[suffix](check_plan(plan), path, name, extra or {}) or []


def _gpkg(plan: Plan, path: Path, scheme: str, meta: Mapping[str, object]) -> None:
    write_schemes([(scheme, plan)], path, meta=meta)


def _geojson(plan: Plan, path: Path, scheme: str, meta: Mapping[str, object]) -> None:
    write_geojson(plan, path, scheme=scheme, meta=meta)


def _dxf(plan: Plan, path: Path, scheme: str, meta: Mapping[str, object]) -> Remarks:
    return write_dxf(plan, path, scheme=scheme, meta=meta)


def _cityjson(plan: Plan, path: Path, scheme: str, meta: Mapping[str, object]) -> Remarks:
    return write_cityjson(plan, path, scheme=scheme, meta=meta)


def _geoparquet(plan: Plan, path: Path, scheme: str, meta: Mapping[str, object]) -> None:
    write_geoparquet(plan, path, scheme=scheme, meta=meta)


Write = Callable[[Plan, Path, str, Mapping[str, object]], Remarks | None]
WRITERS: dict[str, Write] = {
    ".gpkg": _gpkg,
    ".geojson": _geojson,
    ".parquet": _geoparquet,
    ".dxf": _dxf,
    ".city.json": _cityjson,
}
