"""Plans as CityJSON 2.0: buildings as closed solids of one height, the ground as surfaces."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry
from shapely.ops import split

from fabricgen.exchange.heights import standing_m
from fabricgen.files import atomic_file
from fabricgen.plan import LAYERS, Plan

MILLIMETER = 0.001  # of the grid of vertices
NANOMETER = 1e-9  # of what the grid leaves over
REMAINDERS = "vertex_remainders_nm"  # attribute of the site: x, y that the grid takes off a vertex
KINDS = {
    "roads": "Road",
    "paved": "LandUse",
    "water": "WaterBody",
    "green": "PlantCover",
    "trees": "SolitaryVegetationObject",
}
NAMES = {"height_m": "measuredHeight", "floors": "storeysAboveGround", "use": "function"}
TREE_NAMES = {"height_m": "height", "crown_m": "crownDiameter"}

SURFACES = ("GroundSurface", "RoofSurface", "WallSurface")

Ring = list[int]
Attributes = Mapping[str, Mapping[str, float | str]]


@dataclass(eq=False)
class Vertices:
    """Vertices of a file, each place once, as whole millimeters from the corner of the site.

    Attributes:
        corner: Of the site, (2,).
        places: Number of a vertex by its place.
        exact: What lies where before it is moved onto the grid, by its place in plan.
    """

    corner: np.ndarray
    places: dict[tuple[int, int, int], int] = field(default_factory=dict)
    exact: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)

    def learn(self, shape: BaseGeometry) -> None:
        """Keeps where the corners of a shape truly lie."""
        local = shapely.get_coordinates(shape) - self.corner
        for (x, y), true in zip(np.rint(local / MILLIMETER).astype(int), local, strict=True):
            self.exact.setdefault((int(x), int(y)), true)

    def remainders_nm(self) -> list[list[int]]:
        """For each vertex, how far it lies from where it was: true minus written."""
        written = np.array([place[:2] for place in self.places]) * MILLIMETER  # (N, 2)
        true = np.array(
            [self.exact.get(p[:2], at) for p, at in zip(self.places, written, strict=True)]
        )
        return np.rint((true - written) / NANOMETER).astype(int).tolist()

    def ring(self, xy: np.ndarray, z_m: float) -> Ring:
        """Indices of a ring's (N, 2) coordinates at a height, its end not repeated."""
        cells = np.rint((xy - self.corner) / MILLIMETER).astype(int)
        z = round(z_m / MILLIMETER)
        return [self.places.setdefault((int(x), int(y), z), len(self.places)) for x, y in cells]


def write_cityjson(
    plan: Plan,
    path: Path,
    *,
    scheme: str,
    meta: Mapping[str, object],
    buildings: Attributes | None = None,
) -> list[str]:
    """Write a plan as one CityJSON file. The ground lies at height 0.

    Vertices lie on whole millimeters, as models of cities want them; what that takes off stands
    in an attribute of the site, so that a plan comes back as it was.

    Args:
        plan: A plan that passes `check_plan`.
        path: The file, written whole or not at all.
        scheme: Its name, the title in the metadata.
        meta: Provenance, in the attributes of the site.
        buildings: More attributes of buildings by id, such as their carbon.

    Returns:
        Buildings without any height, which have a footprint instead of a solid, and a CRS that
        has no code to name.
    """
    vertices = Vertices(np.floor(np.array(plan.site.bounds[:2])))
    for shape in (plan.site, *(one for name in LAYERS for one in getattr(plan, name).geometry)):
        vertices.learn(shape)
    objects = dict(_objects(plan, vertices, meta, buildings or {}))
    objects["site"]["attributes"][REMAINDERS] = vertices.remainders_nm()
    code = CRS.from_user_input(plan.crs).to_authority()
    remarks = standing_m(plan)[1]
    metadata: dict[str, Any] = {"title": scheme, "geographicalExtent": _extent(vertices)}
    if code is None:
        remarks.append(f"{plan.crs}: has no code, the coordinate system is not stated")
    else:
        metadata["referenceSystem"] = f"https://www.opengis.net/def/crs/{code[0]}/0/{code[1]}"
    document = {
        "type": "CityJSON",
        "version": "2.0",
        "transform": {"scale": [MILLIMETER] * 3, "translate": [*vertices.corner.tolist(), 0.0]},
        "metadata": metadata,
        "CityObjects": objects,
        "vertices": [list(place) for place in vertices.places],
    }
    with atomic_file(Path(path)) as part:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False, default=str)
        part.write_text(text, encoding="utf-8")
    return remarks


def _extent(vertices: Vertices) -> list[float]:
    """Lowest and highest x, y, z in the CRS."""
    places = np.array(list(vertices.places)) * MILLIMETER + [*vertices.corner, 0.0]
    return [*places.min(axis=0).tolist(), *places.max(axis=0).tolist()]


def _objects(
    plan: Plan, vertices: Vertices, meta: Mapping[str, object], more: Attributes
) -> Iterator[tuple[str, dict[str, Any]]]:
    """City objects by their id, which the layer makes unique."""
    flat = [_surface(part, vertices, 0.0) for part in _on_grid(plan.site, vertices)]
    said = {"function": "site", "provenance": dict(meta)}
    yield "site", _object("LandUse", said, [_geometry("MultiSurface", "0", flat)])
    heights, _ = standing_m(plan)
    rows = plan.buildings.to_dict("records")
    for row, height_m in zip(rows, heights, strict=True):
        attributes = {**_said(row, "buildings", NAMES), **more.get(row["id"], {})}
        bodies = _bodies(_on_grid(row["geometry"], vertices), height_m, vertices)
        yield from _building(f"buildings-{row['id']}", attributes, bodies)
    for name, kind in KINDS.items():
        for row in getattr(plan, name).to_dict("records"):
            names = TREE_NAMES if name == "trees" else {"kind": "function"}
            attributes = _said(row, name, names)
            yield f"{name}-{row['id']}", _object(kind, attributes, _ground(row, vertices))


def _object(kind: str, attributes: dict[str, Any], geometry: list[dict]) -> dict[str, Any]:
    return {"type": kind, "attributes": attributes, "geometry": geometry}


def _said(row: dict[str, Any], layer: str, names: Mapping[str, str]) -> dict[str, Any]:
    """What is known of a feature, under the names of the format where it has some."""
    known = {key: row[key] for key in LAYERS[layer] if not pd.isna(row[key]) and row[key] != ""}
    if "floors" in known:
        known["floors"] = round(known["floors"])  # the format counts whole ones
    return {names.get(key, key): value for key, value in known.items()}


def _geometry(kind: str, lod: str, boundaries: list) -> dict[str, Any]:
    return {"type": kind, "lod": lod, "boundaries": boundaries}


def _on_grid(shape: BaseGeometry, vertices: Vertices) -> list[BaseGeometry]:
    """Polygons whose corners lie on whole millimeters and that are valid there."""
    local = shapely.transform(shape, lambda xy: xy - vertices.corner)
    snapped = shapely.set_precision(local, MILLIMETER)
    parts = [part for part in shapely.get_parts(snapped) if not part.is_empty]
    return [
        shapely.transform(shapely.orient_polygons(part), lambda xy: xy + vertices.corner)
        for part in parts
    ]


def _rings(polygon: BaseGeometry) -> list[np.ndarray]:
    """Rings without their repeated end: the outer counterclockwise, holes clockwise."""
    rings = [polygon.exterior, *polygon.interiors]
    return [shapely.get_coordinates(ring)[:-1] for ring in rings]


def _surface(polygon: BaseGeometry, vertices: Vertices, z_m: float) -> list[Ring]:
    """A level surface that faces up."""
    return [vertices.ring(xy, z_m) for xy in _rings(polygon)]


def _building(
    name: str, attributes: dict[str, Any], bodies: list[dict]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """A building; where a neck thinner than a millimeter parts it, with a part for each body."""
    if len(bodies) == 1:
        yield name, _object("Building", attributes, bodies)
        return
    parts = {f"{name}.{n}": body for n, body in enumerate(bodies, start=1)}
    yield name, {**_object("Building", attributes, []), "children": list(parts)}
    for key, body in parts.items():
        yield key, {**_object("BuildingPart", {}, [body]), "parents": [name]}


def _bodies(polygons: list[BaseGeometry], height_m: float, vertices: Vertices) -> list[dict]:
    """A solid for each footprint; the footprints themselves where no height is known."""
    if np.isnan(height_m):
        flat = [_surface(polygon, vertices, 0.0) for polygon in polygons]
        return [_geometry("MultiSurface", "0", flat)]
    apart = [part for polygon in polygons for part in _unpinched(polygon, vertices)]
    return [_solid(polygon, height_m, vertices) for polygon in apart]


def _unpinched(polygon: BaseGeometry, vertices: Vertices) -> list[BaseGeometry]:
    """Parts without rings that touch: where two do, four walls would share an edge."""
    places, counts = np.unique(np.concatenate(_rings(polygon)), axis=0, return_counts=True)
    if (counts == 1).all():
        return [polygon]
    touch = places[counts > 1][0]
    hole = next(ring for ring in polygon.interiors if shapely.Point(touch).intersects(ring))
    inner = shapely.Polygon(hole).representative_point()
    step = np.array([inner.x, inner.y]) - touch
    step *= polygon.length / np.hypot(*step)
    cut = shapely.LineString([touch - step, touch + step])
    halves = [half for part in split(polygon, cut).geoms for half in _on_grid(part, vertices)]
    if len(halves) < 2:
        return halves
    return [part for half in halves for part in _unpinched(half, vertices)]


def _solid(polygon: BaseGeometry, height_m: float, vertices: Vertices) -> dict[str, Any]:
    """A prism: every face is counterclockwise as seen from outside."""
    low, high = _surface(polygon, vertices, 0.0), _surface(polygon, vertices, height_m)
    shell = [[ring[::-1] for ring in low], high]
    kinds = [0, 1]
    for under, over in zip(low, high, strict=True):
        for here, there in zip(range(len(under)), [*range(1, len(under)), 0], strict=True):
            shell.append([[under[here], under[there], over[there], over[here]]])
            kinds.append(2)
    semantics = {"surfaces": [{"type": name} for name in SURFACES], "values": [kinds]}
    return {**_geometry("Solid", "1", [shell]), "semantics": semantics}


def _ground(row: dict[str, Any], vertices: Vertices) -> list[dict[str, Any]]:
    """The surface, center line or stem of a feature."""
    shape = row["geometry"]
    if shape.geom_type == "Polygon":
        flat = [_surface(part, vertices, 0.0) for part in _on_grid(shape, vertices)]
        return [_geometry("MultiSurface", "0", flat)]
    if shape.geom_type == "LineString":
        return [
            _geometry("MultiLineString", "0", [vertices.ring(shapely.get_coordinates(shape), 0.0)])
        ]
    return [_geometry("MultiPoint", "0", vertices.ring(shapely.get_coordinates(shape), 0.0))]
