"""Plans as IFC4: the site, its buildings, and each storey as a slab with the space above it."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from fabricgen.errors import need
from fabricgen.exchange.dxf import origin_of
from fabricgen.exchange.heights import standing_m
from fabricgen.files import atomic_file
from fabricgen.form.indicators import STOREY_M
from fabricgen.plan import Plan

SLAB_M = 0.3  # of a storey's height; the rest is its space
NAMESPACE = uuid.UUID("6f0c1d52-6d0b-5c55-9a55-1d9d6c1f4b11")  # of ids that equal plans share
CREATED = "2020-01-01T00:00:00"  # a constant, so that equal plans give equal files
LEFT_OUT = ("roads", "paved", "water", "green", "trees")


@dataclass(eq=False)
class Model:
    """A file in the making, with what its parts share.

    Attributes:
        file: Of ifcopenshell.
        name: Of the scheme; ids hang on it.
        body: Context of solids.
        outline: Context of footprints.
    """

    file: Any
    name: str
    body: Any = None
    outline: Any = None

    def add(self, kind: str, *values: Any, **named: Any) -> Any:
        """A part without an id."""
        return self.file.create_entity(kind, *values, **named)

    def root(self, kind: str, key: str, **named: Any) -> Any:
        """A part with an id, which hangs on the scheme and its key."""
        code = need("ifcopenshell.guid", extra="cad").compress
        own = code(uuid.uuid5(NAMESPACE, f"{self.name}/{kind}/{key}").hex)
        return self.add(kind, GlobalId=own, **named)


def write_ifc(plan: Plan, path: Path, *, scheme: str, meta: Mapping[str, object]) -> list[str]:
    """Write the buildings of a plan as IFC4, in meters.

    Args:
        plan: A plan that passes `check_plan`.
        path: The file, written whole or not at all.
        scheme: Its name, the project's.
        meta: Provenance; its `attribution` describes the project.

    Returns:
        The layers that are left out, buildings without any height, which have no storeys, and a
        CRS that has no code to name.

    Raises:
        MissingDependencyError: ifcopenshell is not installed.
    """
    ifc = need("ifcopenshell", extra="cad")
    model = Model(ifc.file(schema="IFC4"), scheme)
    project = _project(model, str(meta.get("attribution") or ""))
    origin = origin_of(plan)
    remarks = _georeference(model, plan.crs, origin)
    site = _site(model, shapely.transform(plan.site, lambda xy: xy - origin))
    _aggregate(model, project, [site])
    heights, flat = standing_m(plan)
    buildings = []
    for row, height_m in zip(plan.buildings.to_dict("records"), heights, strict=True):
        shape = shapely.transform(row["geometry"], lambda xy: xy - origin)
        buildings.append(_building(model, {**row, "geometry": shape}, height_m))
    _aggregate(model, site, buildings)
    left = [name for name in LEFT_OUT if len(getattr(plan, name))]
    if left:
        remarks.append(f"{', '.join(left)}: not part of this format, left out")
    with atomic_file(Path(path)) as part:
        model.file.header.file_name.time_stamp = CREATED
        model.file.write(str(part))
    return [*remarks, *flat]


def _project(model: Model, description: str) -> Any:
    """The project with its units and contexts."""
    kinds = (
        ("LENGTHUNIT", "METRE"),
        ("AREAUNIT", "SQUARE_METRE"),
        ("VOLUMEUNIT", "CUBIC_METRE"),
        ("PLANEANGLEUNIT", "RADIAN"),
    )
    units = [model.add("IfcSIUnit", UnitType=kind, Name=name) for kind, name in kinds]
    space = model.add(
        "IfcGeometricRepresentationContext",
        ContextType="Model",
        CoordinateSpaceDimension=3,
        Precision=1e-5,
        WorldCoordinateSystem=_axes(model),
    )
    named = {"ContextType": "Model", "ParentContext": space, "TargetView": "MODEL_VIEW"}
    model.body = model.add(
        "IfcGeometricRepresentationSubContext", ContextIdentifier="Body", **named
    )
    model.outline = model.add(
        "IfcGeometricRepresentationSubContext",
        ContextIdentifier="FootPrint",
        **{**named, "TargetView": "PLAN_VIEW"},
    )
    return model.root(
        "IfcProject",
        "",
        Name=model.name,
        Description=description or None,
        RepresentationContexts=[space],
        UnitsInContext=model.add("IfcUnitAssignment", units),
    )


def _georeference(model: Model, crs: str, origin: np.ndarray) -> list[str]:
    """Says where on earth the local origin lies."""
    code = CRS.from_user_input(crs).to_authority()
    if code is None:
        return [f"{crs}: has no code, the coordinate system is not stated"]
    (space,) = model.file.by_type("IfcGeometricRepresentationContext", include_subtypes=False)
    target = model.add("IfcProjectedCRS", Name=":".join(code))
    model.add(
        "IfcMapConversion",
        SourceCRS=space,
        TargetCRS=target,
        Eastings=float(origin[0]),
        Northings=float(origin[1]),
        OrthogonalHeight=0.0,
        XAxisAbscissa=1.0,
        XAxisOrdinate=0.0,
        Scale=1.0,
    )
    return []


def _axes(model: Model, z_m: float = 0.0) -> Any:
    return model.add("IfcAxis2Placement3D", model.add("IfcCartesianPoint", (0.0, 0.0, z_m)))


def _place(model: Model, z_m: float = 0.0) -> Any:
    """A placement in the coordinates of the project."""
    return model.add("IfcLocalPlacement", None, _axes(model, z_m))


def _site(model: Model, shape: BaseGeometry) -> Any:
    rings = [part.exterior for part in shapely.get_parts(shape)]
    lines = [_polyline(model, ring.coords) for ring in rings]
    outline = model.add("IfcShapeRepresentation", model.outline, "FootPrint", "Curve2D", lines)
    return model.root(
        "IfcSite",
        "",
        Name="site",
        CompositionType="ELEMENT",
        ObjectPlacement=_place(model),
        Representation=model.add("IfcProductDefinitionShape", Representations=[outline]),
    )


def _building(model: Model, row: dict[str, Any], height_m: float) -> Any:
    """A building with its storeys, none where no height is known."""
    key = str(row["id"])
    building = model.root(
        "IfcBuilding",
        key,
        Name=key,
        ObjectType=row["use"] or None,
        CompositionType="ELEMENT",
        ObjectPlacement=_place(model),
    )
    if np.isnan(height_m):
        return building
    count = max(1, round(height_m / STOREY_M if np.isnan(row["floors"]) else row["floors"]))
    step_m = height_m / count
    profile = _profile(model, row["geometry"])
    storeys = [
        _storey(model, f"{key}/{n}", profile, base_m=n * step_m, step_m=step_m)
        for n in range(count)
    ]
    _aggregate(model, building, storeys)
    said = model.add(
        "IfcPropertySingleValue",
        Name="NumberOfStoreys",
        NominalValue=model.add("IfcInteger", count),
    )
    common = model.root("IfcPropertySet", key, Name="Pset_BuildingCommon", HasProperties=[said])
    model.root(
        "IfcRelDefinesByProperties",
        key,
        RelatedObjects=[building],
        RelatingPropertyDefinition=common,
    )
    return building


def _storey(model: Model, key: str, profile: Any, *, base_m: float, step_m: float) -> Any:
    """A storey: a slab, and the space on it up to the next."""
    slab_m = min(SLAB_M, step_m / 2)
    named = {"Name": key, "ObjectPlacement": _place(model, base_m)}
    storey = model.root(
        "IfcBuildingStorey", key, **named, CompositionType="ELEMENT", Elevation=base_m
    )
    slab = model.root(
        "IfcSlab",
        key,
        **named,
        PredefinedType="FLOOR",
        Representation=_prism(model, profile, 0.0, slab_m),
    )
    space = model.root(
        "IfcSpace",
        key,
        **named,
        CompositionType="ELEMENT",
        PredefinedType="INTERNAL",
        Representation=_prism(model, profile, slab_m, step_m - slab_m),
    )
    _aggregate(model, storey, [space])
    model.root(
        "IfcRelContainedInSpatialStructure", key, RelatedElements=[slab], RelatingStructure=storey
    )
    return storey


def _profile(model: Model, shape: BaseGeometry) -> Any:
    """A footprint as the profile of a prism."""
    outer = _polyline(model, shape.exterior.coords)
    if not shape.interiors:
        return model.add("IfcArbitraryClosedProfileDef", "AREA", None, outer)
    inner = [_polyline(model, ring.coords) for ring in shape.interiors]
    return model.add("IfcArbitraryProfileDefWithVoids", "AREA", None, outer, inner)


def _polyline(model: Model, coords: Sequence[tuple[float, float]]) -> Any:
    points = [model.add("IfcCartesianPoint", (float(x), float(y))) for x, y in coords[:-1]]
    return model.add("IfcPolyline", [*points, points[0]])


def _prism(model: Model, profile: Any, base_m: float, height_m: float) -> Any:
    up = model.add("IfcDirection", (0.0, 0.0, 1.0))
    solid = model.add("IfcExtrudedAreaSolid", profile, _axes(model, base_m), up, float(height_m))
    body = model.add("IfcShapeRepresentation", model.body, "Body", "SweptSolid", [solid])
    return model.add("IfcProductDefinitionShape", Representations=[body])


def _aggregate(model: Model, whole: Any, parts: list[Any]) -> None:
    if parts:
        model.root("IfcRelAggregates", whole.GlobalId, RelatingObject=whole, RelatedObjects=parts)
