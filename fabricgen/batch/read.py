"""Everything in a part as candidates on their grids; what cannot be read keeps its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely
from rasterio.errors import RasterioError

from fabricgen.batch.plans import plans_of
from fabricgen.batch.sources import TABLES, Part, Piece, index_of
from fabricgen.design.candidates import Candidate, candidate_of
from fabricgen.errors import FormatError, InputError
from fabricgen.exchange import Raster, read_drawn
from fabricgen.files import safe_name
from fabricgen.plan import Plan

MAX_PIXELS = 4_000_000  # of one plan among many; memory of a worker is bounded by it


@dataclass(frozen=True)
class Label:
    """Which plan it is.

    Attributes:
        place: In its part.
        plan: Its name, unique among all.
        file: Name of its file.
        scheme: Its name in the file.
    """

    place: int
    plan: str
    file: str
    scheme: str


@dataclass(frozen=True)
class Rejected:
    """A plan that cannot be scored, and why."""

    label: Label
    reason: str


@dataclass(frozen=True, eq=False)
class Drawn:
    """A plan on its grid, ready to be counted."""

    label: Label
    candidate: Candidate


def read_part(part: Part, *, pixel_m: float) -> Iterator[Drawn | Rejected]:
    """Each plan of a part, in its order.

    Args:
        part: Files, or plans of a table.
        pixel_m: Of the grids on which plans are drawn.
    """
    place = 0
    for piece in part.pieces:
        for scheme, thing in _things(piece):
            alone = piece.alone or (not piece.schemes and not scheme)
            name = piece.name if alone else f"{piece.name}-{safe_name(scheme)}"
            label = Label(place, name, piece.path.name, scheme)
            yield _drawn(thing, label, pixel_m=pixel_m)
            place += 1


def _things(piece: Piece) -> Iterator[tuple[str, Plan | Raster | InputError]]:
    try:
        if not piece.schemes:
            yield from _whole(piece.path)
            return
        crs, layers = TABLES[piece.path.suffix.lower()].read(piece.path, piece.schemes, piece.rows)
    except InputError as err:
        yield from ((scheme, err) for scheme in piece.schemes or ("",))
        return
    yield from plans_of(layers, piece.schemes, crs)


def _whole(path: Path) -> Iterator[tuple[str, Plan | Raster | InputError]]:
    """All that a file holds."""
    table = index_of(path)
    if table is not None:
        crs, layers = TABLES[path.suffix.lower()].read(
            path, table.schemes, table.rows_of(0, len(table.schemes))
        )
        several = len(table.schemes) > 1
        for scheme, plan in plans_of(layers, table.schemes, crs):
            yield scheme if several else "", plan
        return
    try:
        found: dict[str, Any] = read_drawn(path, on_remark=_unheard)
    except (shapely.errors.ShapelyError, RasterioError) as err:
        raise FormatError(f"{path.name}: cannot be read ({err})", "export it again") from err
    several = len(found) > 1
    for scheme, thing in found.items():
        yield scheme if several else "", thing


def _unheard(_remark: str) -> None:
    """Repairs of one among thousands; `fabricgen score` of the file alone tells them."""


def _drawn(thing: Plan | Raster | InputError, label: Label, *, pixel_m: float) -> Drawn | Rejected:
    if isinstance(thing, InputError):
        return Rejected(label, str(thing))
    try:
        candidate = candidate_of(thing, name=label.plan, file=label.file, pixel_m=pixel_m)
    except InputError as err:
        return Rejected(label, str(err))
    except shapely.errors.ShapelyError as err:
        return Rejected(label, f"a shape cannot be drawn ({err}); redraw it")
    rows, cols = candidate.layout.height_m.shape[-2:]
    if rows * cols > MAX_PIXELS:
        return Rejected(label, f"{rows} x {cols} pixels are too many; score it by itself")
    return Drawn(label, candidate)
