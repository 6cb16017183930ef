"""A plan or a raster out of a file, by its suffix."""

from collections.abc import Callable
from pathlib import Path

from fabricgen.errors import FormatError, InputError, PlanError
from fabricgen.exchange.geotiff import Raster, read_geotiff
from fabricgen.exchange.gpkg import read_scheme, scheme_names
from fabricgen.plan import Plan, check_plan


def read_plan(path: Path, *, scheme: str | None = None) -> Plan:
    """Read one plan and hold it against the contract.

    Args:
        path: A file that `write_plan` or `write_schemes` wrote.
        scheme: Which one, where the file holds several.

    Raises:
        InputError: A suffix that no format has, or a scheme that is not there.
        FormatError: The file is not what its suffix says.
        PlanError: What it holds breaks the contract of a plan.
    """
    path = Path(path)
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise InputError(f"{path.name}: no format of this suffix", f"use {', '.join(READERS)}")
    try:
        return check_plan(read(path, scheme))
    except PlanError as err:
        raise PlanError(f"{path.name}: {err.problem}", err.fix) from err


def read_drawn(path: Path) -> dict[str, Plan | Raster]:
    """Everything in a file that can be scored, by name: each scheme of a plan, or one raster.

    Raises:
        InputError: A suffix that no format has.
        FormatError: The file is not what its suffix says.
        PlanError: A plan breaks its contract.
    """
    path = Path(path)
    if path.suffix.lower() in RASTERS:
        return {path.stem: read_geotiff(path)}
    if path.suffix.lower() not in READERS:
        known = ", ".join((*READERS, *RASTERS))
        raise InputError(f"{path.name}: no format of this suffix", f"use {known}")
    names = scheme_names(path)
    if len(set(names)) != len(names):
        raise FormatError(f"{path.name}: two schemes share a name", "export the plans again")
    return {name: read_plan(path, scheme=name) for name in names}


READERS: dict[str, Callable[[Path, str | None], Plan]] = {".gpkg": read_scheme}
RASTERS = (".tif", ".tiff")
