"""A plan out of a file, by its suffix."""

from collections.abc import Callable
from pathlib import Path

from fabricgen.errors import InputError
from fabricgen.exchange.gpkg import read_scheme
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
    return check_plan(read(path, scheme))


READERS: dict[str, Callable[[Path, str | None], Plan]] = {".gpkg": read_scheme}
