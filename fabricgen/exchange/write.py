"""A plan into a file, by its suffix."""

from collections.abc import Callable, Mapping
from pathlib import Path

from fabricgen.errors import InputError
from fabricgen.exchange.gpkg import write_schemes
from fabricgen.plan import Plan


def write_plan(plan: Plan, path: Path, *, extra: Mapping[str, object] | None = None) -> None:
    """Write one plan; the suffix of the path chooses the format.

    Args:
        plan: A plan that passes `check_plan`.
        path: The file to write, whole or not at all; its name without suffix names the scheme.
        extra: Provenance to store with it.

    Raises:
        InputError: A suffix that no format has.
    """
    path = Path(path)
    write = WRITERS.get(path.suffix.lower())
    if write is None:
        raise InputError(f"{path.name}: no format of this suffix", f"use {', '.join(WRITERS)}")
    write(plan, path, extra or {})


def _write_gpkg(plan: Plan, path: Path, extra: Mapping[str, object]) -> None:
    write_schemes([(path.stem, plan)], path, meta=extra)


WRITERS: dict[str, Callable[[Plan, Path, Mapping[str, object]], None]] = {".gpkg": _write_gpkg}
