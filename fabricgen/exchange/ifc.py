"""Plans as IFC4: the site, its buildings by storeys, streets, ground and trees around them."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from fabricgen.errors import need
from fabricgen.exchange.dxf import origin_of
from fabricgen.exchange.heights import standing_m
from fabricgen.files import atomic_file
from fabricgen.form.indicators import STOREY_M
from fabricgen.plan import CROWN_M, LAYERS, Plan

SLAB_M = 0.3  # of a storey's height; the rest is its space
NAMESPACE = uuid.UUID("6f0c1d52-6d0b-5c55-9a55-1d9d6c1f4b11")  # of ids that equal plans share
CREATED = "2020-01-01T00:00:00"  # a constant, so that equal plans give equal files
GROUND_M = 0.1  # thickness of pavings, lawns and ponds, which reach up to the ground
TREE_M = 8.0  # height of a drawn tree that does not say
PSET = "Fabricgen"  # property set of the columns of a plan
TRUNK = {"trees": "IfcGeographicElement", "roads": "IfcCivilElement"}


@dataclass(eq=False)
class Model:
    """A file in the making, with what its parts share.

    Attributes:
        file: Of ifcopenshell.
        name: Of the scheme; ids hang on it.
        body: Context of solids.
        outline: Context of footprints.
        axis: Context of center lines.
    """

    file: Any
    name: str
    body: Any = None
    outline: Any = None
    axis: Any = None

    def add(self, kind: str, *values: Any, **named: Any) -> Any:
        """A part without an id."""
        return self.file.create_entity(kind, *values, **named)

    def root(self, kind: str, key: str, **named: Any) -> Any:
        """A part with an id, which hangs on the scheme and its key."""
        code = need("ifcopenshell.guid", extra="cad").compress
        own = code(uuid.uuid5(NAMESPACE, f"{self.name}/{kind}/{key}").hex)
        return self.add(kind, GlobalId=own, **named)


def write_ifc(plan: Plan, path: Path, *, scheme: str, meta: Mapping[str, object]) -> list[str]:
    """Write a plan as IFC4, in meters.

    A building is its footprint and, for each storey, a slab with the space above it. Streets are
    axes, the ground thin plates, trees cylinders of their crown. All columns of a feature stand in
    its property set `Fabricgen`.

    Args:
        plan: A plan that passes `check_plan`.
        path: The file, written whole or not at all.
        scheme: Its name, the project's.
        meta: Provenance; its `attribution` describes the project.

    Returns:
        Buildings without any height, which have no storeys, and a CRS that has no code to name.

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
    _contain(model, site, _surroundings(model, plan, origin))
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
    model.axis = model.add(
        "IfcGeometricRepresentationSubContext",
        ContextIdentifier="Axis",
        **{**named, "TargetView": "GRAPH_VIEW"},
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
    return model.root(
        "IfcSite",
        "",
        Name="site",
        CompositionType="ELEMENT",
        ObjectPlacement=_place(model),
        Representation=_footprint(model, shape),
    )


def _footprint(model: Model, shape: BaseGeometry) -> Any:
    """Areas on the ground, with their holes."""
    areas = []
    for part in shapely.get_parts(shape):
        inner = [_polyline(model, ring.coords) for ring in part.interiors]
        outer = _polyline(model, part.exterior.coords)
        areas.append(model.add("IfcAnnotationFillArea", outer, inner or None))
    flat = model.add("IfcShapeRepresentation", model.outline, "FootPrint", "FillArea", areas)
    return model.add("IfcProductDefinitionShape", Representations=[flat])


def _surroundings(model: Model, plan: Plan, origin: np.ndarray) -> list[Any]:
    """Streets, grounds and trees."""
    made = []
    for name in LAYERS:
        if name == "buildings":
            continue
        for row in getattr(plan, name).to_dict("records"):
            shape = shapely.transform(row["geometry"], lambda xy: xy - origin)
            key = f"{name}/{row['id']}"
            part = model.root(
                TRUNK.get(name, "IfcGeographicElement"),
                key,
                Name=str(row["id"]),
                ObjectType=f"{name} {row.get('kind', '')}".strip(),
                ObjectPlacement=_place(model),
                Representation=_drawn(model, {**row, "geometry": shape}),
            )
            if name != "roads":
                part.PredefinedType = "USERDEFINED"
            _describe(model, part, key, {"layer": name, **_said(row, name)})
            made.append(part)
    return made


def _drawn(model: Model, row: dict[str, Any]) -> Any:
    """The axis of a street, the plate of a ground, or the cylinder of a tree."""
    shape = row["geometry"]
    if shape.geom_type == "LineString":
        line = model.add("IfcPolyline", [_point(model, xy) for xy in shape.coords])
        axis = model.add("IfcShapeRepresentation", model.axis, "Axis", "Curve2D", [line])
        return model.add("IfcProductDefinitionShape", Representations=[axis])
    if shape.geom_type == "Polygon":
        return _prism(model, _profile(model, shape), -GROUND_M, GROUND_M)
    crown_m, height_m = row["crown_m"], row["height_m"]
    middle = model.add("IfcAxis2Placement2D", _point(model, shape.coords[0]))
    radius_m = (CROWN_M if np.isnan(crown_m) else crown_m) / 2
    crown = model.add("IfcCircleProfileDef", "AREA", None, middle, float(radius_m))
    return _prism(model, crown, 0.0, TREE_M if np.isnan(height_m) else height_m)


def _said(row: dict[str, Any], layer: str) -> dict[str, Any]:
    """What is known of a feature."""
    return {key: row[key] for key in LAYERS[layer] if not pd.isna(row[key]) and row[key] != ""}


def _describe(model: Model, part: Any, key: str, said: Mapping[str, Any]) -> None:
    """A property set with the columns of a feature."""
    values = [
        model.add(
            "IfcPropertySingleValue",
            Name=name,
            NominalValue=model.add("IfcText", value)
            if isinstance(value, str)
            else model.add("IfcReal", float(value)),
        )
        for name, value in said.items()
    ]
    _define(model, part, PSET, key, values)


def _define(model: Model, part: Any, name: str, key: str, values: list[Any]) -> None:
    own = f"{name}/{key}"
    pset = model.root("IfcPropertySet", own, Name=name, HasProperties=values)
    model.root(
        "IfcRelDefinesByProperties", own, RelatedObjects=[part], RelatingPropertyDefinition=pset
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
        Representation=_footprint(model, row["geometry"]),
    )
    _describe(model, building, key, {"layer": "buildings", **_said(row, "buildings")})
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
    _define(model, building, "Pset_BuildingCommon", key, [said])
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
    _contain(model, storey, [slab])
    return storey


def _profile(model: Model, shape: BaseGeometry) -> Any:
    """A footprint as the profile of a prism."""
    outer = _polyline(model, shape.exterior.coords)
    if not shape.interiors:
        return model.add("IfcArbitraryClosedProfileDef", "AREA", None, outer)
    inner = [_polyline(model, ring.coords) for ring in shape.interiors]
    return model.add("IfcArbitraryProfileDefWithVoids", "AREA", None, outer, inner)


def _polyline(model: Model, coords: Sequence[tuple[float, float]]) -> Any:
    points = [_point(model, xy) for xy in coords[:-1]]
    return model.add("IfcPolyline", [*points, points[0]])


def _point(model: Model, xy: tuple[float, float]) -> Any:
    return model.add("IfcCartesianPoint", (float(xy[0]), float(xy[1])))


def _prism(model: Model, profile: Any, base_m: float, height_m: float) -> Any:
    up = model.add("IfcDirection", (0.0, 0.0, 1.0))
    solid = model.add("IfcExtrudedAreaSolid", profile, _axes(model, base_m), up, float(height_m))
    body = model.add("IfcShapeRepresentation", model.body, "Body", "SweptSolid", [solid])
    return model.add("IfcProductDefinitionShape", Representations=[body])


def _aggregate(model: Model, whole: Any, parts: list[Any]) -> None:
    if parts:
        model.root("IfcRelAggregates", whole.GlobalId, RelatingObject=whole, RelatedObjects=parts)


def _contain(model: Model, place: Any, parts: list[Any]) -> None:
    if parts:
        model.root(
            "IfcRelContainedInSpatialStructure",
            place.GlobalId,
            RelatedElements=parts,
            RelatingStructure=place,
        )
