"""IFC as tables: footprints, heights and columns out of a building model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from fabricgen.errors import FormatError, InputError, need
from fabricgen.exchange.ifc import PSET
from fabricgen.exchange.repair import Record, Say, listed
from fabricgen.exchange.tables import Table

MAX_BYTES = 500_000_000
MAX_SLABS = 2000  # of one building, whose bodies are built to see where it stands
HEAD, TAIL = b"ISO-10303-21;", b"END-ISO-10303-21;"
TAIL_BYTES = 256  # of the end of a file
UPRIGHT = 0.1  # of a face's normal that points up, below which it is a wall
ELEMENTS = ("IfcGeographicElement", "IfcCivilElement")


def of_ifc(path: Path, say: Say) -> list[Table]:
    """The layers of a building model that a plan has.

    The site and the buildings are where their `FootPrint` is; a building without one is where its
    slabs are. Grounds, streets and trees are read from our own files alone: there is no common way
    to say them.

    Args:
        path: An IFC4 or IFC2x3 file.
        say: Hears of footprints that were made from slabs, and of buildings without any.

    Raises:
        FormatError: No IFC, cut short, or too large.
        InputError: No coordinate system, or nothing of a plan.
        MissingDependencyError: ifcopenshell is not installed.
    """
    model = _opened(path)
    unit_m = float(need("ifcopenshell.util.unit", extra="cad").calculate_unit_scale(model))
    place, crs = _place(model, unit_m)
    rows: dict[str, list[Record]] = {"site": [], "buildings": []}
    try:
        for site in model.by_type("IfcSite"):
            shape = _footprint(site, unit_m)
            if shape is not None:
                rows["site"].append({"id": site.Name or site.GlobalId, "geometry": shape})
        rows["buildings"] = list(_buildings(model, unit_m, say))
        for part in (part for kind in ELEMENTS for part in _of_type(model, kind)):
            said = _said(part)
            if "layer" in said:
                shape = _shape(part, said["layer"], unit_m)
                rows.setdefault(said["layer"], []).append({**said, "geometry": shape})
    except (AttributeError, LookupError, TypeError, ValueError, shapely.errors.ShapelyError) as err:
        raise FormatError(
            f"{path.name}: its parts cannot be read ({err})", "export it again"
        ) from err
    ours = any("layer" in row for group in rows.values() for row in group)
    scheme = str(model.by_type("IfcProject")[0].Name or "") if ours else ""
    tables = [_table(name, found, place, crs, scheme) for name, found in rows.items() if found]
    if not tables:
        raise InputError("holds no footprint of a site or building", "export them with `FootPrint`")
    return tables


def _opened(path: Path) -> Any:
    ifc = need("ifcopenshell", extra="cad")
    if path.stat().st_size > MAX_BYTES:
        raise FormatError(
            f"{path.name}: is larger than {MAX_BYTES // 1_000_000} MB", "export its part"
        )
    with path.open("rb") as source:
        head = source.read(len(HEAD) + 3).removeprefix(b"\xef\xbb\xbf")
        source.seek(max(0, path.stat().st_size - TAIL_BYTES))
        tail = source.read()
    try:
        if not head.startswith(HEAD) or TAIL not in tail:
            raise ValueError("no head or no tail")
        model = ifc.open(str(path))
        if not model.by_type("IfcProject"):
            raise ValueError("no project")
    except (OSError, RuntimeError, ValueError, TypeError, ifc.Error) as err:
        raise FormatError(f"{path.name}: is no IFC, or is cut short", "export it again") from err
    return model


def _place(model: Any, unit_m: float) -> tuple[np.ndarray, CRS]:
    """How the model lies in its coordinate system: an affine matrix (2, 3), and the system.

    Raises:
        InputError: It does not say.
    """
    turns = _of_type(model, "IfcMapConversion")
    if not turns:
        raise InputError("no coordinate system", "export it with IfcMapConversion")
    turn = turns[0]
    try:
        crs = CRS.from_user_input(turn.TargetCRS.Name)
    except CRSError as err:
        raise InputError(
            f"its coordinate system '{turn.TargetCRS.Name}' is unknown", "write its EPSG code"
        ) from err
    map_unit = getattr(turn.TargetCRS, "MapUnit", None)
    units = need("ifcopenshell.util.unit", extra="cad")
    map_m = units.convert_unit(1.0, map_unit, _meter(model)) if map_unit else unit_m
    across, along = turn.XAxisOrdinate, turn.XAxisAbscissa
    angle = 0.0 if across is None or along is None else np.arctan2(across, along)
    scale = (turn.Scale or 1.0) * map_m / unit_m
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    shift = np.array([turn.Eastings, turn.Northings]) * map_m
    return np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]]]), crs


def _meter(model: Any) -> Any:
    return model.create_entity("IfcSIUnit", UnitType="LENGTHUNIT", Name="METRE")


def _of_type(model: Any, kind: str) -> list[Any]:
    """All of a kind, none where the schema does not know it."""
    try:
        return model.by_type(kind)
    except RuntimeError:
        return []


def _said(part: Any) -> dict[str, Any]:
    """The columns of a feature out of our property set."""
    elements = need("ifcopenshell.util.element", extra="cad")
    found = dict(elements.get_pset(part, PSET) or {})
    return {key: value for key, value in found.items() if key not in ("id", "footprint_m2")} | (
        {"id": part.Name or part.GlobalId} if found else {}
    )


def _buildings(model: Any, unit_m: float, say: Say) -> Iterator[Record]:
    elements = need("ifcopenshell.util.element", extra="cad")
    slabs, nowhere = [], []
    for building in model.by_type("IfcBuilding"):
        said = _said(building)
        row: Record = {"id": building.Name or building.GlobalId, **said}
        if not said:
            common = elements.get_pset(building, "Pset_BuildingCommon") or {}
            row |= {"floors": common.get("NumberOfStoreys"), "use": building.ObjectType}
        shape = _footprint(building, unit_m)
        if shape is None:
            shape, top_m = _from_slabs(building)
            row["height_m"] = top_m or None
            (nowhere if shape is None else slabs).append(str(row["id"]))
        if shape is not None:
            yield {**row, "geometry": shape}
    if slabs:
        say(f"buildings {listed(slabs)}: no footprint, that of their slabs taken")
    if nowhere:
        say(f"buildings {listed(nowhere)}: neither footprint nor slabs, left out")


def _footprint(part: Any, unit_m: float) -> BaseGeometry | None:
    """The areas of a `FootPrint` in the coordinates of the model [m]."""
    found = []
    for one in _representations(part, "FootPrint"):
        for item in one.Items:
            if item.is_a("IfcAnnotationFillArea"):
                inner = [_points(ring) for ring in item.InnerBoundaries or ()]
                found.append(shapely.Polygon(_points(item.OuterBoundary), inner))
            elif item.is_a("IfcPolyline"):
                found.append(shapely.Polygon(_points(item)))
    if not found:
        return None
    shape = found[0] if len(found) == 1 else shapely.MultiPolygon(found)
    return _placed(shape, part, unit_m)


def _representations(part: Any, name: str) -> list[Any]:
    shape = part.Representation
    every = shape.Representations if shape else ()
    return [one for one in every if one.RepresentationIdentifier == name]


def _points(line: Any) -> np.ndarray:
    """Points of a polyline, (N, 2)."""
    return np.array([point.Coordinates[:2] for point in line.Points])


def _placed(shape: BaseGeometry, part: Any, unit_m: float) -> BaseGeometry:
    """A shape moved to where its part is placed, in meters."""
    placements = need("ifcopenshell.util.placement", extra="cad")
    matrix = np.array(placements.get_local_placement(part.ObjectPlacement))
    turn, shift = matrix[:2, :2], matrix[:2, 3]
    return shapely.transform(shape, lambda xy: (xy @ turn.T + shift) * unit_m)


def _shape(part: Any, layer: str, unit_m: float) -> BaseGeometry | None:
    """The axis, plate or stem that `write_ifc` made of a feature."""
    if layer == "roads":
        (axis,) = _representations(part, "Axis")
        return _placed(shapely.LineString(_points(axis.Items[0])), part, unit_m)
    (body,) = _representations(part, "Body")
    profile = body.Items[0].SweptArea
    if layer == "trees":
        middle = profile.Position.Location.Coordinates[:2] if profile.Position else (0.0, 0.0)
        return _placed(shapely.Point(middle), part, unit_m)
    inner = [_points(ring) for ring in getattr(profile, "InnerCurves", ())]
    return _placed(shapely.Polygon(_points(profile.OuterCurve), inner), part, unit_m)


def _from_slabs(building: Any) -> tuple[BaseGeometry | None, float]:
    """Where the slabs of a building stand, and how high it reaches above the lowest [m].

    Raises:
        ValueError: More slabs than can be built.
    """
    geometry = need("ifcopenshell.geom", extra="cad")
    elements = need("ifcopenshell.util.element", extra="cad")
    parts = [one for one in elements.get_decomposition(building) if one.is_a("IfcSlab")]
    if len(parts) > MAX_SLABS:
        raise ValueError(f"building {building.Name} has {len(parts)} slabs")
    settings = geometry.settings()
    settings.set("use-world-coords", True)  # noqa: FBT003 (its own call)
    shapes, levels = [], []
    for part in parts:
        if part.Representation is None:
            continue
        try:
            made = geometry.create_shape(settings, part).geometry
        except RuntimeError:
            continue  # a slab that cannot be built leaves the others
        corners = np.array(made.verts).reshape(-1, 3)  # [m]
        faces = corners[np.array(made.faces).reshape(-1, 3)]  # (N, 3, 3)
        normal = np.cross(faces[:, 1] - faces[:, 0], faces[:, 2] - faces[:, 0])
        flat = np.abs(normal[:, 2]) > UPRIGHT * np.linalg.norm(normal, axis=1)
        shapes += list(shapely.polygons(faces[flat][:, :, :2]))
        levels.append((corners[:, 2].min(), corners[:, 2].max()))
    if not shapes:
        return None, 0.0
    low, high = np.array(levels).T
    return shapely.union_all(shapely.make_valid(np.array(shapes))), float(high.max() - low.min())


def _table(name: str, rows: list[Record], place: np.ndarray, crs: CRS, scheme: str) -> Table:
    """Features of one layer in the coordinate system."""
    turn, shift = place[:, :2], place[:, 2]
    still = np.array_equal(turn, np.eye(2))
    shapes = [
        shapely.transform(row["geometry"], lambda xy: (xy if still else xy @ turn.T) + shift)
        for row in rows
    ]
    table = pd.DataFrame(rows).drop(columns=["geometry", "layer"], errors="ignore")
    table["scheme"] = scheme
    return Table(name, gpd.GeoDataFrame(table, geometry=gpd.GeoSeries(shapes, crs=crs), crs=crs))
