"""A plan into a file, by its suffix."""

from collections.abc import Callable, Mapping
from pathlib import Path

from fabricgen.errors import InputError
from fabricgen.exchange.cityjson import Attributes, write_cityjson
from fabricgen.exchange.dxf import write_dxf
from fabricgen.exchange.geojson import write_geojson
from fabricgen.exchange.geoparquet import write_geoparquet
from fabricgen.exchange.gpkg import write_schemes
from fabricgen.exchange.ifc import write_ifc
from fabricgen.plan import Plan, check_plan

Remarks = list[str]  # what a format cannot hold, or holds in another way


def write_plan(
    plan: Plan,
    path: Path,
    *,
    extra: Mapping[str, object] | None = None,
    scheme: str = "",
    buildings: Attributes | None = None,
) -> Remarks:
    """Write one plan; the suffix of the path chooses the format.

    Args:
        plan: A plan that passes `check_plan`.
        path: The file to write, whole or not at all.
        extra: Provenance to store with it.
        scheme: Its name; else that of the file without suffix.
        buildings: More attributes of buildings by id; only CityJSON holds them.

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
    name, meta = scheme or path.name[: -len(suffix)], extra or {}
    check_plan(plan)
    if suffix == ".gpkg":
        write_schemes([(name, plan)], path, meta=meta)
        return []
    if suffix == ".city.json":
        return write_cityjson(plan, path, scheme=name, meta=meta, buildings=buildings)
    return WRITERS[suffix](plan, path, scheme=name, meta=meta) or []


WRITERS: dict[str, Callable[..., Remarks | None]] = {
    ".gpkg": write_schemes,
    ".geojson": write_geojson,
    ".parquet": write_geoparquet,
    ".dxf": write_dxf,
    ".city.json": write_cityjson,
    ".ifc": write_ifc,
}
