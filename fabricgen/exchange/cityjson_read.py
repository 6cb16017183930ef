"""CityJSON as tables: footprints and heights out of solids, surfaces and attributes."""

import re
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

from fabricgen.errors import FormatError, InputError
from fabricgen.exchange import columns
from fabricgen.exchange.cityjson import KINDS, NANOMETER, REMAINDERS
from fabricgen.exchange.repair import Record, Say, listed
from fabricgen.exchange.tables import Table

LAYER_OF = {kind: layer for layer, kind in KINDS.items()} | {
    "Building": "buildings", "BuildingPart": "buildings",
}  # fmt: skip
FLAT = 0.1  # of a face's normal that points up or down, below which it is a wall
_CODE = re.compile(r"(?:crs/|:)(\w+)[/:][\w.]*[/:](\w+)$")


def of_cityjson(document: dict[str, Any], path: Path, say: Say) -> list[Table]:
    """The layers of a city model that a plan has.

    A building is where its LoD 0 stands, else where its faces that are no walls do; its height is
    said by `measuredHeight`, else the extent of its faces.

    Args:
        document: What `json_document` read.
        path: For messages.
        say: Hears of objects that are no part of a plan.

    Raises:
        FormatError: Its vertices or objects cannot be read.
        InputError: No coordinate system.
    """
    crs = _crs(document)
    try:
        places = _places(document)
        objects = dict(document["CityObjects"])
        ours = "provenance" in (objects.get("site", {}).get("attributes") or {})
        rows = [
            {**row, "id": str(row.get("id") or name)}
            for name, one in objects.items()
            for row in _rows(one, objects, places, ours=ours)
        ]
    except (AttributeError, LookupError, TypeError, ValueError, shapely.errors.ShapelyError) as err:
        raise FormatError(
            f"{path.name}: its objects cannot be read ({err})", "export it again"
        ) from err
    aside = [row["id"] for row in rows if row["layer"] == ""]
    if aside:
        say(f"objects {listed(aside)}: not part of a plan, left out")
    title = str((document.get("metadata") or {}).get("title", "")) if ours else ""
    made = []
    for layer in dict.fromkeys(row["layer"] for row in rows if row["layer"]):
        mine = [{**row, "scheme": title} for row in rows if row["layer"] == layer]
        shapes = gpd.GeoSeries([row.pop("geometry") for row in mine], crs=crs)
        table = pd.DataFrame(mine).drop(columns="layer")
        made.append(Table(layer, gpd.GeoDataFrame(table, geometry=shapes, crs=crs)))
    if not made:
        raise InputError("holds no object of a plan", "export buildings and a site")
    return made


def _crs(document: dict[str, Any]) -> CRS:
    said = str((document.get("metadata") or {}).get("referenceSystem", ""))
    found = _CODE.search(said)
    try:
        return CRS.from_authority(*found.groups()) if found else CRS.from_user_input(said)
    except CRSError as err:
        raise InputError("no coordinate system", "state it as metadata.referenceSystem") from err


def _places(document: dict[str, Any]) -> np.ndarray:
    """Vertices in the coordinate system, (N, 3)."""
    places = np.array(document["vertices"], dtype=np.float64).reshape(-1, 3)
    turn = document.get("transform") or {"scale": [1, 1, 1], "translate": [0, 0, 0]}
    local = places * np.array(turn["scale"], dtype=np.float64)
    site = document["CityObjects"].get("site", {})
    finer = (site.get("attributes") or {}).get(REMAINDERS)
    if finer is not None and len(finer) == len(places):
        # At most half a step of the grid, so that vertices that another tool sorted anew stay good.
        half = np.array(turn["scale"][:2], dtype=np.float64) / 2
        local[:, :2] += np.clip(np.array(finer) * NANOMETER, -half, half)
    return local + np.array(turn["translate"], dtype=np.float64)


def _rows(
    one: dict[str, Any], objects: dict[str, Any], places: np.ndarray, *, ours: bool
) -> Iterator[Record]:
    """An object as a feature; a building's parts are features of their own, with its attributes."""
    attributes = dict(one.get("attributes") or {})
    for parent in one.get("parents") or ():
        attributes = {**(objects[parent].get("attributes") or {}), **attributes}
    layer = LAYER_OF.get(str(one.get("type")), "")
    if one.get("type") == "LandUse":
        layer = "site" if attributes.get("function") == "site" else ("paved" if ours else "")
    geometries = one.get("geometry") or ()
    if not geometries:
        return
    row = {key: said for key, said in attributes.items() if isinstance(said, str | int | float)}
    if layer != "buildings":
        yield {
            **row, "kind": row.get("function"), "layer": layer,
            "geometry": _flat(geometries, layer, places),
        }  # fmt: skip
        return
    shape, top_m = _house(geometries, places)
    told = any(columns.find(list(row), name) for name in ("height_m", "floors"))
    more = {} if told or top_m == 0 else {"height_m": top_m}
    yield {**row, **more, "layer": layer, "geometry": shape}


def _faces(geometry: dict[str, Any]) -> list[list[list[int]]]:
    """All faces of a geometry, each its rings of vertex numbers; shells and solids flattened."""
    depth = {"MultiSurface": 1, "CompositeSurface": 1, "Solid": 2, "MultiSolid": 3}
    level = depth.get(geometry["type"], 3 if geometry["type"] == "CompositeSolid" else 0)
    found = geometry["boundaries"] if level else []
    for _ in range(level - 1):
        found = [one for group in found for one in group]
    return found


def _house(geometries: list[dict[str, Any]], places: np.ndarray) -> tuple[BaseGeometry, float]:
    """Where a building stands, and how high it reaches above its lowest point [m]."""
    numbers = np.array(
        [n for one in geometries for face in _faces(one) for ring in face for n in ring], dtype=int
    )
    z = places[numbers, 2] if len(numbers) else np.zeros(1)
    flat = [one for one in geometries if str(one.get("lod", "")).startswith("0")]
    chosen = flat or sorted(geometries, key=lambda one: str(one.get("lod", "")))[:1]
    under = [face for one in chosen for face in _ground_faces(one)]
    faces = under or [face for one in chosen for face in _faces(one)]
    shapes = [_polygon(face, places) for face in faces if under or not _is_wall(face, places)]
    shape = shapes[0] if len(shapes) == 1 else shapely.union_all(shapes)
    return shape, float(z.max() - z.min())


def _ground_faces(geometry: dict[str, Any]) -> list[list[list[int]]]:
    """The faces of a solid that are said to be its ground."""
    said = geometry.get("semantics") or {}
    if geometry["type"] != "Solid" or not said.get("surfaces"):
        return []
    ground = {
        n for n, one in enumerate(said["surfaces"]) if one and one.get("type") == "GroundSurface"
    }
    shells = zip(geometry["boundaries"], said["values"], strict=True)
    return [
        face for shell, kinds in shells for face, kind in zip(shell, kinds, strict=True)
        if kind in ground
    ]  # fmt: skip


def _polygon(face: list[list[int]], places: np.ndarray) -> BaseGeometry:
    """A face seen from above."""
    rings = [places[ring, :2] for ring in face]
    return shapely.Polygon(rings[0], rings[1:])


def _is_wall(face: list[list[int]], places: np.ndarray) -> bool:
    """Whether a face stands upright: by its normal after Newell."""
    ring = places[face[0]] - places[face[0][0]]
    normal = np.cross(ring, np.roll(ring, -1, axis=0)).sum(axis=0)
    size = float(np.linalg.norm(normal))
    return size == 0 or abs(normal[2]) < FLAT * size


def _flat(geometries: list[dict[str, Any]], layer: str, places: np.ndarray) -> BaseGeometry | None:
    """Areas, lines or a point on the ground."""
    first = geometries[0]
    if first["type"] == "MultiPoint":
        return shapely.Point(places[first["boundaries"][0], :2])
    if first["type"] == "MultiLineString":
        lines = [shapely.LineString(places[line, :2]) for line in first["boundaries"]]
        return lines[0] if len(lines) == 1 else shapely.MultiLineString(lines)
    shapes = [_polygon(face, places) for face in _faces(first) if not _is_wall(face, places)]
    if layer == "trees" and shapes:
        return shapely.centroid(shapely.union_all(shapes))
    if len(shapes) <= 1:
        return shapes[0] if shapes else None
    return shapely.MultiPolygon(shapes) if layer == "site" else shapely.union_all(shapes)
