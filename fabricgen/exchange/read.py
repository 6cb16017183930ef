"""A plan or a raster out of a file, by its suffix."""

import logging
from pathlib import Path

from fabricgen.errors import FormatError, InputError, PlanError
from fabricgen.exchange.gather import gather
from fabricgen.exchange.geotiff import Raster, read_geotiff
from fabricgen.exchange.gpkg import is_ours, read_meta, read_scheme, scheme_names
from fabricgen.exchange.readers import READERS
from fabricgen.exchange.repair import Say
from fabricgen.plan import Plan, check_plan

log = logging.getLogger(__name__)

RASTERS = (".tif", ".tiff")


def read_plan(path: Path, *, scheme: str | None = None, on_remark: Say = log.warning) -> Plan:
    """Read one plan and hold it against the contract.

    Args:
        path: A file that `write_plan` or `write_schemes` wrote, a GeoJSON, GeoParquet, GeoPackage
            or Shapefile of any origin, or a folder of Shapefiles.
        scheme: Which one, where the file holds several.
        on_remark: Hears what was changed, filled or left out on the way in.

    Raises:
        InputError: A suffix that no format has, or a scheme that is not there.
        FormatError: The file is not what its suffix says.
        PlanError: What it holds breaks the contract of a plan.
    """
    path = Path(path)
    _check_suffix(path, tuple(READERS))
    if _is_strict(path):
        return _strict(path, scheme, on_remark)
    plans = _gathered(path, on_remark)
    if scheme is None and len(plans) > 1:
        raise InputError(f"{path.name} holds the schemes {', '.join(plans)}", "name one of them")
    name = next(iter(plans)) if scheme is None else scheme
    if name not in plans:
        raise InputError(
            f"{path.name}: no scheme {name}; it holds {', '.join(plans)}", "name one of these"
        )
    return _checked(plans[name], path)


def read_drawn(path: Path, *, on_remark: Say = log.warning) -> dict[str, Plan | Raster]:
    """Everything in a file that can be scored, by name: each scheme of a plan, or one raster.

    Args:
        path: What `read_plan` reads, or a GeoTIFF.
        on_remark: Hears what was changed, filled or left out on the way in.

    Raises:
        InputError: A suffix that no format has.
        FormatError: The file is not what its suffix says.
        PlanError: A plan breaks its contract.
    """
    path = Path(path)
    if path.suffix.lower() in RASTERS:
        return {path.stem: read_geotiff(path)}
    _check_suffix(path, (*READERS, *RASTERS))
    if not _is_strict(path):
        return {name: _checked(plan, path) for name, plan in _gathered(path, on_remark).items()}
    names = scheme_names(path)
    if len(set(names)) != len(names):
        raise FormatError(f"{path.name}: two schemes share a name", "export the plans again")
    return {name: _strict(path, name, on_remark) for name in names}


def provenance_of(path: Path) -> dict[str, object]:
    """What a file says of how its plan was made; nothing where it is not ours."""
    path = Path(path)
    return read_meta(path) if _is_strict(path) else {}


def _check_suffix(path: Path, known: tuple[str, ...]) -> None:
    if not path.is_dir() and path.suffix.lower() not in known:
        raise InputError(f"{path.name}: no format of this suffix", f"use {', '.join(known)}")


def _is_strict(path: Path) -> bool:
    """Whether a file has our own columns, which are read as they stand."""
    return path.suffix.lower() == ".gpkg" and not path.is_dir() and is_ours(path)


def _strict(path: Path, scheme: str | None, on_remark: Say) -> Plan:
    """A plan in our own columns as it stands; one that was edited is mended like any other."""
    try:
        return _checked(read_scheme(path, scheme), path)
    except PlanError:
        name = scheme_names(path)[0] if scheme is None else scheme
        return _checked(_gathered(path, on_remark, only=name)[name], path)


def _gathered(path: Path, on_remark: Say, *, only: str | None = None) -> dict[str, Plan]:
    try:
        return gather(path, lambda remark: on_remark(f"{path.name}: {remark}"), only=only)
    except FormatError:
        raise  # says its file already
    except InputError as err:
        raise type(err)(f"{path.name}: {err.problem}", err.fix) from err


def _checked(plan: Plan, path: Path) -> Plan:
    try:
        return check_plan(plan)
    except PlanError as err:
        raise PlanError(f"{path.name}: {err.problem}", err.fix) from err
