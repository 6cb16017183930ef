"""Drawings (DXF) as tables: units, place, blocks, layers by the customs of CAD offices."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError

from fabricgen.errors import FormatError, InputError, need
from fabricgen.exchange import columns
from fabricgen.exchange.dxf import APP
from fabricgen.exchange.outlines import Stroke, polygons
from fabricgen.exchange.repair import DIMENSION, Record, Say, listed
from fabricgen.exchange.tables import Table
from fabricgen.form.indicators import STOREY_M
from fabricgen.plan import CROWN_M, LAYERS

MAX_BYTES = 300_000_000
MAX_ENTITIES = 500_000
MAX_PARTS = 100_000  # of blocks, those within blocks counted as often as they are drawn
MAX_POINTS = 5_000_000
MAX_DEPTH = 8  # of blocks within blocks
FLAT_M = 0.01  # between a curve and the line that stands for it
MAX_SITE_M = 20_000.0  # across, of a drawing that does not state its unit
SAME_M = 1e-6  # between a figure in the drawing and in its extended data
# Meters in the units of drawings by their number ($INSUNITS); 21 and on are those of US surveys.
UNIT_M = {
    1: 0.0254, 2: 0.3048, 3: 1609.344, 4: 0.001, 5: 0.01, 6: 1.0, 7: 1000.0, 10: 0.9144, 14: 0.1,
    15: 10.0, 16: 100.0, 21: 1200 / 3937, 22: 100 / 3937, 23: 3600 / 3937,
}  # fmt: skip
# What reading a damaged drawing ends in, besides the errors of ezdxf itself.
DAMAGE = (
    OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration, RecursionError,
    EOFError,
)  # fmt: skip
TEXTS = ("TEXT", "MTEXT", "DIMENSION", "LEADER", "MULTILEADER", "ATTDEF", "ATTRIB", "VIEWPORT")


@dataclass(eq=False)
class Budget:
    """What may still be drawn before a file counts as a bomb."""

    file: str
    entities: int = MAX_ENTITIES
    points: int = MAX_POINTS

    def spend(self, *, entities: int = 0, points: int = 0) -> None:
        """Takes something off.

        Raises:
            FormatError: More was asked than is left.
        """
        self.entities -= entities
        self.points -= points
        if self.entities < 0 or self.points < 0:
            raise FormatError(
                f"{self.file}: draws more than {MAX_ENTITIES:,} entities or {MAX_POINTS:,} points",
                "purge it, or export its part",
            )


@dataclass(frozen=True, eq=False)
class Drawn:
    """An entity where it is drawn: blocks are taken apart.

    Attributes:
        entity: Of ezdxf.
        cad_layer: Name of its layer; inside a block, layer 0 is that of the block's insert.
        id: Its handle; of a part of a block, the handle of the insert and a number.
    """

    entity: Any
    cad_layer: str
    id: str


def of_drawing(path: Path, say: Say) -> list[Table]:
    """The layers of a drawing that a plan has.

    Args:
        path: A DXF of any release.
        say: Hears what is not stated, closed, joined or left out.

    Raises:
        FormatError: No DXF, cut short, or too large.
        InputError: No unit that can be true, no coordinate system, or no layer of a plan.
        MissingDependencyError: ezdxf is not installed.
    """
    drawing = _opened(path)
    own = dict(drawing.header.custom_vars.properties)
    unit_m = _unit_m(drawing, say)
    place, crs = _place(drawing, own, path, unit_m)
    _check_blocks(drawing, path.name)
    budget = Budget(path.name)
    strokes: dict[str, list[Stroke]] = {}
    stems: list[Record] = []
    skipped: dict[str, None] = {}
    for one in _drawn(drawing, drawing.modelspace(), budget):
        layer = columns.layer_in(one.cad_layer)
        if one.entity.dxftype() in TEXTS:
            continue
        if layer is None:
            skipped[one.cad_layer] = None
        elif layer == "trees":
            stems += _stem(one, unit_m)
        else:
            strokes.setdefault(layer, []).extend(_strokes(one, layer, unit_m, budget))
    known = {*strokes, *(["trees"] if stems else [])}
    if not known:
        raise InputError(
            f"no layer of a plan among {listed(sorted(skipped)) or 'none'}",
            f"name its layers {', '.join(columns.LAYER_NAMES)}, or C-BLDG-OTLN and the like",
        )
    if skipped:
        say(f"layers {listed(list(skipped))}: not part of a plan, left out")
    records = {name: _records(found, name, say) for name, found in strokes.items()}
    records["trees"] = stems
    _check_size(drawing, records)
    scheme = own.get("fabricgen scheme", "")
    return [
        _table(name, rows, place, crs=crs, scheme=scheme) for name, rows in records.items() if rows
    ]


def _opened(path: Path) -> Any:
    ezdxf = need("ezdxf", extra="cad")
    if path.stat().st_size > MAX_BYTES:
        raise FormatError(
            f"{path.name}: is larger than {MAX_BYTES // 1_000_000} MB", "export its part"
        )
    try:
        return ezdxf.readfile(path)
    except (ezdxf.DXFError, *DAMAGE) as err:
        raise FormatError(
            f"{path.name}: is no DXF, or is cut short", "save it again, as DXF"
        ) from err


def _unit_m(drawing: Any, say: Say) -> float:
    """Meters in a unit of the drawing.

    Raises:
        InputError: A unit that nobody draws sites in.
    """
    number = int(drawing.header.get("$INSUNITS", 0))
    if number == 0:
        say("states no unit ($INSUNITS), read in meters")
        return 1.0
    if number not in UNIT_M:
        raise InputError(f"its unit is number {number}", "set it to meters ($INSUNITS 6)")
    return UNIT_M[number]


def _place(drawing: Any, own: dict[str, str], path: Path, unit_m: float) -> tuple[np.ndarray, CRS]:
    """How a drawing lies in its coordinate system: an affine matrix (2, 3), and the system.

    Our own drawings name both, others hold geographic data, or have a `.prj` beside them.

    Raises:
        InputError: None of these, or one that cannot be read.
    """
    still = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    geodata = drawing.modelspace().get_geodata()
    beside = path.with_suffix(".prj")
    try:
        if "fabricgen crs" in own:
            still[:, 2] = [float(own.get(f"fabricgen origin_{axis}_m", 0)) for axis in "xy"]
            return still, CRS.from_user_input(own["fabricgen crs"])
        if beside.is_file():
            return still, CRS.from_user_input(beside.read_text(encoding="utf-8").strip())
        if geodata is not None:
            matrix, code = geodata.get_crs_transformation()
            corners = matrix.transform_vertices([(0, 0), (1, 0), (0, 1)])
            start, right, up = (np.array([corner.x, corner.y]) for corner in corners)
            turn = np.stack([right - start, up - start], axis=1) / unit_m
            return np.column_stack([turn, start]), CRS.from_epsg(code)
    except (CRSError, ValueError, UnicodeDecodeError, *_geodata_errors()) as err:
        raise InputError(
            "its coordinate system cannot be read", f"put its WKT into {beside.name} beside it"
        ) from err
    raise InputError("no coordinate system", f"put its WKT into {beside.name} beside it")


def _geodata_errors() -> tuple[type[Exception], ...]:
    return (need("ezdxf", extra="cad").DXFError,)


def _drawn(drawing: Any, entities: Any, budget: Budget) -> Iterator[Drawn]:
    """Everything that can be seen, blocks taken apart."""
    hidden = {
        layer.dxf.name.lower() for layer in drawing.layers if layer.is_off() or layer.is_frozen()
    }
    for entity in entities:
        name = str(entity.dxf.get("layer", "0"))
        if name.lower() not in hidden and not entity.dxf.get("invisible", 0):
            yield from _parts(Drawn(entity, name, str(entity.dxf.handle)), budget)


def _check_blocks(drawing: Any, file: str) -> None:
    """Counts what blocks within blocks would draw, without drawing it.

    Raises:
        FormatError: Too much, or a block holds itself.
    """
    sizes: dict[str, int] = {}

    def size(name: str, depth: int) -> int:
        if depth > MAX_DEPTH:
            raise FormatError(f"{file}: blocks more than {MAX_DEPTH} deep, at {name}", "explode it")
        if name not in sizes:
            block = drawing.blocks.get(name) or ()
            sizes[name] = sum(weight(part, depth + 1) for part in block)
        return sizes[name]

    def weight(entity: Any, depth: int) -> int:
        if entity.dxftype() != "INSERT":
            return 1
        return 1 + max(1, entity.mcount) * size(str(entity.dxf.name), depth)

    inserts = drawing.modelspace().query("INSERT")
    total = sum(weight(insert, 0) for insert in inserts)
    if total > MAX_PARTS:
        raise FormatError(
            f"{file}: its blocks draw {total:,} parts, more than {MAX_PARTS:,}", "purge or explode"
        )


def _parts(one: Drawn, budget: Budget) -> Iterator[Drawn]:
    """An entity, or the parts of a block; a block on a layer of trees is one tree.

    Raises:
        FormatError: There are too many.
    """
    budget.spend(entities=1)
    if one.entity.dxftype() != "INSERT" or columns.layer_in(one.cad_layer) == "trees":
        yield one
        return
    copies = one.entity.multi_insert() if one.entity.mcount > 1 else [one.entity]
    number = 0
    for copy in copies:
        for part in copy.virtual_entities():
            number += 1
            name = str(part.dxf.get("layer", "0"))
            here = Drawn(part, one.cad_layer if name == "0" else name, f"{one.id}.{number}")
            yield from _parts(here, budget)


def _said(entity: Any) -> dict[str, str]:
    """Columns out of the extended data of our own drawings; long values stand in pieces."""
    if not entity.has_xdata(APP):
        return {}
    said: dict[str, str] = {}
    for _, text in entity.get_xdata(APP):
        key, mark, value = str(text).partition("=")
        if mark:
            said[key] = said.get(key, "") + value
    return said


def _stem(one: Drawn, unit_m: float) -> list[Record]:
    """A tree: the middle and width of a circle, or the place of a block or a point."""
    entity, said = one.entity, _said(one.entity)
    kind = entity.dxftype()
    crown_m = float("nan")
    if kind == "CIRCLE":
        middle = entity.ocs().to_wcs(entity.dxf.center)
        crown_m = entity.dxf.radius * 2 * unit_m
    elif kind == "INSERT":
        middle = entity.ocs().to_wcs(entity.dxf.insert)
        crowns = [
            part.dxf.radius for part in entity.virtual_entities() if part.dxftype() == "CIRCLE"
        ]
        crown_m = max(crowns, default=float("nan")) * 2 * unit_m
    elif kind == "POINT":
        middle = entity.dxf.location
    else:
        return []
    spoken = float(said.get("crown_m", CROWN_M if said else "nan"))
    if said and abs(crown_m - spoken) <= SAME_M:
        crown_m = float(said.get("crown_m", "nan"))
    height_m = _figure(entity, "thickness") * unit_m
    record = {"id": one.id, **said, "crown_m": crown_m, "height_m": height_m or float("nan")}
    return [{**record, "geometry": shapely.Point(middle.x * unit_m, middle.y * unit_m)}]


def _strokes(one: Drawn, layer: str, unit_m: float, budget: Budget) -> Iterator[Stroke]:
    """The lines of an entity in meters, curves in short pieces."""
    entity, said = one.entity, _said(one.entity)
    kinds = need("ezdxf.path", extra="cad")
    if entity.dxftype() in ("HATCH", "MPOLYGON") and DIMENSION[layer] != 2:
        return
    try:
        paths = list(kinds.from_hatch(entity) if entity.dxftype() == "HATCH" else [
            part for part in kinds.make_path(entity).sub_paths()
        ])  # fmt: skip
    except (TypeError, ValueError, ZeroDivisionError) as err:
        raise InputError(
            f"{layer} {one.id}: a {entity.dxftype()} on {one.cad_layer} cannot be read",
            "draw it as closed polylines, or switch its layer off",
        ) from err
    ring = said.pop("ring", "")
    row = {**_measures(entity, said, layer, unit_m), "kind": said.get("kind") or _kind(one, layer)}
    for path in paths:
        xy = np.array([(v.x, v.y) for v in path.flattening(FLAT_M / unit_m)]) * unit_m
        budget.spend(points=len(xy))
        if len(xy) > 1:
            yield Stroke(said.get("id", one.id), one.cad_layer, xy, path.is_closed, row, ring)


def _kind(one: Drawn, layer: str) -> str | None:
    """The kind of green or street that a layer's name tells."""
    words = reversed(re.split(r"[\W_]+", one.cad_layer))
    if layer not in ("green", "roads"):
        return None
    return next((word for word in words if columns.kind_of(layer, word)), None)


def _measures(entity: Any, said: dict[str, str], layer: str, unit_m: float) -> dict[str, Any]:
    """Columns of a feature; what was changed in the drawing goes before the extended data."""
    row: dict[str, Any] = dict(said)
    if layer == "buildings":
        drawn_m = _figure(entity, "thickness") * unit_m
        spoken_m = float(said.get("height_m", float(said.get("floors", 0)) * STOREY_M))
        if drawn_m != 0 and abs(drawn_m - spoken_m) > SAME_M:
            row |= {"height_m": abs(drawn_m), "floors": None}
    if layer == "roads":
        width_m = _figure(entity, "const_width") * unit_m
        if width_m > 0 and abs(width_m - float(said.get("width_m", 0.0))) > SAME_M:
            row["width_m"] = width_m
    return row


def _figure(entity: Any, name: str) -> float:
    """A figure of an entity, 0 where it has none of this name."""
    return float(entity.dxf.get(name)) if entity.dxf.hasattr(name) else 0.0


def _records(strokes: list[Stroke], layer: str, say: Say) -> list[Record]:
    if DIMENSION[layer] == 2:
        return polygons(strokes, layer, say)
    return [
        {"id": stroke.id, **stroke.said, "geometry": shapely.LineString(stroke.xy)}
        for stroke in strokes
    ]


def _check_size(drawing: Any, records: dict[str, list[Record]]) -> None:
    """Holds a drawing without a unit against the size of a site.

    Raises:
        InputError: It cannot be in meters.
    """
    sites = [record["geometry"] for record in records.get("site", ())]
    if drawing.header.get("$INSUNITS", 0) or not sites:
        return
    west, south, east, north = shapely.total_bounds(sites)
    across = max(east - west, north - south)
    if across > MAX_SITE_M:
        raise InputError(
            f"states no unit, and a site {across:,.0f} across is not in meters",
            "set its unit ($INSUNITS)",
        )


def _table(name: str, rows: list[Record], place: np.ndarray, *, crs: CRS, scheme: str) -> Table:
    """Features of one layer in the coordinate system."""
    turn, shift = place[:, :2], place[:, 2]
    shapes = shapely.transform(
        np.array([row.pop("geometry") for row in rows], dtype=object),
        lambda xy: (xy if np.array_equal(turn, np.eye(2)) else xy @ turn.T) + shift,
    )
    kept = ("id", *LAYERS.get(name, ()))
    table = {key: [row.get(key) for row in rows] for key in dict.fromkeys(kept)}
    table["scheme"] = [scheme] * len(rows)
    return Table(name, gpd.GeoDataFrame(table, geometry=gpd.GeoSeries(shapes, crs=crs), crs=crs))
