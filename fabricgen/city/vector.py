"""Reads a city given as layers: a folder of GeoParquet files, or one GeoPackage.

Layers `buildings` (height_m, levels, use), `streets` (class, width_m), `green` (kind), `trees`
(height_m, crown_m), `water`, `paved` (kind) and `meta` (licence, clip_wkt and more); only the
buildings are required.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow
import pyogrio
import shapely
from pyproj import CRS
from pyproj.exceptions import ProjError

from ..errors import FormatError
from ..surfaces import BIT, ROAD, TREE, WATER
from . import heights, tags
from .mapped import (
    Areas,
    Buildings,
    Crowns,
    Mapped,
    Origin,
    Streets,
    array_of,
    local_utm,
    polygons_of,
)
from .osm import MIN_BUILDING_M2

FARTHEST_M = 4e7  # around the earth
LAYERS = ("buildings", "streets", "green", "trees", "water", "paved")


def read(path: Path) -> Mapped:
    """Reads a folder of GeoParquet layers or a GeoPackage.

    Raises:
        FormatError: Damaged, or without buildings, a CRS or geometries.
    """
    tables, meta = _tables(path)
    crs = _crs(tables, path)
    tables = {name: _in_crs(table, crs, name, path) for name, table in tables.items()}
    dropped: Counter[str] = Counter()
    buildings = _buildings(tables["buildings"], dropped)
    if len(buildings.shape) == 0:
        raise FormatError(f"{path.name}: its buildings layer is empty", "give a city with some")
    streets, carriageways = _streets(tables.get("streets"), dropped)
    return Mapped(
        crs=crs,
        clip=_clip(meta, tables, path),
        layers=frozenset(tables),
        buildings=buildings,
        parts=buildings.take(np.zeros(len(buildings.shape), bool)),
        streets=streets,
        areas=_areas(tables, carriageways, dropped),
        crowns=_crowns(tables.get("trees"), dropped),
        dropped=dropped,
        origin=_origin(meta, path),
    )


# --- the layers ----------------------------------------------------------------------------------


def _tables(path: Path) -> tuple[dict[str, gpd.GeoDataFrame], dict[str, Any]]:
    """The layers that are there, and the row of `meta`."""
    if not path.exists():
        raise FormatError(f"{path.name}: no such file or folder", "give a city's folder or file")
    names = _layer_names(path)
    if "buildings" not in names:
        raise FormatError(
            f"{path.name}: has no layer 'buildings'",
            f"give layers named {', '.join(LAYERS)}; buildings are required",
        )
    tables = {name: _read_layer(path, name) for name in LAYERS if name in names}
    meta = _read_meta(path).iloc[0].to_dict() if "meta" in names else {}
    return tables, meta


def _layer_names(path: Path) -> set[str]:
    if path.is_dir():
        return {file.stem for file in path.glob("*.parquet")}
    try:
        return set(pyogrio.list_layers(path)[:, 0])
    except pyogrio.errors.DataSourceError as err:
        raise _unreadable(path, err) from err


_READ_ERRORS = (
    pyarrow.ArrowException,
    ProjError,
    pyogrio.errors.DataSourceError,
    pyogrio.errors.DataLayerError,
    shapely.errors.GEOSException,
    ValueError,  # no geo metadata; texts that are no UTF-8
    KeyError,
    OSError,
)


def _read_layer(path: Path, name: str) -> gpd.GeoDataFrame:
    try:
        if path.is_dir():
            return gpd.read_parquet(path / f"{name}.parquet")
        return gpd.read_file(path, layer=name)
    except _READ_ERRORS as err:
        raise _unreadable(path, err, layer=name) from err


def _read_meta(path: Path) -> pd.DataFrame:
    try:
        if path.is_dir():
            meta = pd.read_parquet(path / "meta.parquet")
        else:
            meta = pyogrio.read_dataframe(path, layer="meta")
    except _READ_ERRORS as err:
        raise _unreadable(path, err, layer="meta") from err
    if len(meta) == 0:
        raise FormatError(f"{path.name}: its layer 'meta' is empty", "give it one row, or none")
    return meta


def _unreadable(path: Path, err: Exception, *, layer: str = "") -> FormatError:
    what = f"layer '{layer}' cannot be read" if layer else "no city layers can be read"
    return FormatError(f"{path.name}: {what} ({err})", "save it again as GeoParquet or GeoPackage")


def _crs(tables: dict[str, gpd.GeoDataFrame], path: Path) -> str:
    """The CRS to work in: that of the buildings where it is in meters, else the local UTM zone."""
    buildings = tables["buildings"]
    if buildings.crs is None:
        raise FormatError(f"{path.name}: its buildings have no coordinate system", "set one")
    if buildings.geometry.isna().all() or len(buildings) == 0:
        raise FormatError(f"{path.name}: its buildings have no geometry", "give polygons")
    crs = CRS(buildings.crs)
    in_meters = crs.is_projected and all(axis.unit_name == "metre" for axis in crs.axis_info[:2])
    if in_meters and crs.to_authority() is not None:
        return ":".join(crs.to_authority())
    west, south, east, north = buildings.to_crs("EPSG:4326").total_bounds
    if not np.isfinite([west, south, east, north]).all():
        raise FormatError(f"{path.name}: coordinates do not fit their system", "check the CRS")
    return local_utm(west, south, east, north)


def _in_crs(table: gpd.GeoDataFrame, crs: str, name: str, path: Path) -> gpd.GeoDataFrame:
    if table.crs is None:
        raise FormatError(f"{path.name}: its {name} have no coordinate system", "set one")
    table = table if table.crs == crs else table.to_crs(crs)
    bounds = table.total_bounds  # nan where the table is empty
    if np.isinf(bounds).any() or (np.abs(bounds) > FARTHEST_M).any():
        raise FormatError(
            f"{path.name}: its {name} lie {np.abs(bounds).max():.3g} m away, which cannot be",
            "check its coordinate system, or save it again",
        )
    return table


def _clip(
    meta: dict[str, Any], tables: dict[str, gpd.GeoDataFrame], path: Path
) -> shapely.Geometry:
    """The area inside which the data hold: `meta.clip_wkt`, else the buildings' hull."""
    text = meta.get("clip_wkt")
    if not text:
        points = shapely.centroid(tables["buildings"].geometry.to_numpy())
        return shapely.convex_hull(shapely.multipoints(points[~shapely.is_missing(points)]))
    try:
        clip = shapely.make_valid(shapely.from_wkt(text), method="structure")
    except shapely.errors.GEOSException as err:
        raise FormatError(f"{path.name}: meta.clip_wkt is no geometry", "write it as WKT") from err
    if clip.area <= 0:
        raise FormatError(f"{path.name}: meta.clip_wkt has no area", "give a polygon")
    return clip


def _origin(meta: dict[str, Any], path: Path) -> Origin:
    license_text = str(meta.get("licence") or meta.get("license") or "not stated")
    credit = meta.get("attribution")
    if not credit:
        from_osm = "OpenStreetMap" in license_text or "ODbL" in license_text
        credit = "© OpenStreetMap contributors" if from_osm else str(meta.get("origin") or "")
    source = str(meta.get("origin") or path.name)
    return Origin(source, license_text, str(credit), date=str(meta.get("date") or ""))


# --- from tables to arrays -----------------------------------------------------------------------


def _numbers(table: gpd.GeoDataFrame, name: str) -> np.ndarray:
    """A column as floats, NaN where it is missing or no number."""
    if name not in table:
        return np.full(len(table), np.nan)
    return pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64, na_value=np.nan)


def _words(table: gpd.GeoDataFrame, name: str) -> np.ndarray:
    """A column as texts, empty where it is missing."""
    if name not in table:
        return array_of([""] * len(table))
    return array_of([word if isinstance(word, str) else "" for word in table[name]])


def _buildings(table: gpd.GeoDataFrame, dropped: Counter[str]) -> Buildings:
    shapes, good = polygons_of(table.geometry.to_numpy())
    small = good & (shapely.area(shapes) < MIN_BUILDING_M2)
    dropped["building without area"] += int((~good).sum())
    dropped["building under 4 m2"] += int(small.sum())
    height_m, floors = _numbers(table, "height_m"), _numbers(table, "levels")
    floors = np.where(np.isnan(floors), _numbers(table, "floors"), floors)
    wrong = (height_m <= 0) | (height_m > heights.MAX_HEIGHT_M)
    dropped["height tag that cannot be"] += int(wrong.sum())
    height_m = np.where(wrong, np.nan, height_m)
    floors = np.where((floors <= 0) | (floors > heights.MAX_FLOORS), np.nan, floors)
    return Buildings(shapes, height_m, floors, _words(table, "use")).take(good & ~small)


def _streets(table: gpd.GeoDataFrame | None, dropped: Counter[str]) -> tuple[Streets, np.ndarray]:
    """Center lines, and the carriageways that are drawn as faces."""
    if table is None:
        none = np.zeros(0)
        return Streets(array_of([]), none.astype(int), none, none.astype(bool)), array_of([])
    shapes = table.geometry.to_numpy()
    is_face = np.isin(shapely.get_type_id(shapes), [3, 6])
    faces, good = polygons_of(shapes[is_face])
    dropped["carriageway without area"] += int((~good).sum())

    # One line each.
    rule = [tags.street_word(word or None) for word in _words(table, "class")]
    width_m = _numbers(table, "width_m")
    width_m = np.where(np.isnan(width_m), [width for _, width, _ in rule], width_m)
    lines, owner = shapely.get_parts(shapes, return_index=True)
    keep = (shapely.get_type_id(lines) == 1) & (shapely.length(lines) > 0)
    dropped["street without length"] += int((~keep & ~is_face[owner]).sum())
    dropped["street without geometry"] += int(shapely.is_missing(shapes).sum())
    owner = owner[keep]
    kind = np.array([kind for kind, _, _ in rule], np.int64)
    lived_in = np.array([lived for _, _, lived in rule], bool)
    return Streets(lines[keep], kind[owner], width_m[owner], lived_in[owner]), faces[good]


def _areas(
    tables: dict[str, gpd.GeoDataFrame], carriageways: np.ndarray, dropped: Counter[str]
) -> Areas:
    book = tags.table()["vector"]
    shapes, bits = [carriageways], [np.full(len(carriageways), BIT[ROAD], np.uint8)]
    for name in ("green", "water", "paved"):
        if name not in tables:
            continue
        mended, good = polygons_of(tables[name].geometry.to_numpy())
        dropped[f"{name} without area"] += int((~good).sum())
        rule = book.get(name, {})
        kinds = _words(tables[name], "kind")
        byte = [rule.get(kind, rule.get("*", BIT[WATER])) for kind in kinds]
        shapes.append(mended[good])
        bits.append(np.array(byte, np.uint8)[good])
    return Areas(np.concatenate(shapes), np.concatenate(bits))


def _crowns(table: gpd.GeoDataFrame | None, dropped: Counter[str]) -> Crowns:
    if table is None:
        none = np.zeros(0)
        return Crowns(array_of([]), none.astype(np.uint8), none, none)
    book = tags.table()
    low, high = book["crown_limits_m"]
    crown_m = _numbers(table, "crown_m")
    unsaid = np.isnan(crown_m) | (crown_m < low) | (crown_m > high)
    crown_m = np.where(unsaid, book["points"]["natural"]["tree"]["crown_m"], crown_m)
    shapes = table.geometry.to_numpy()
    good = shapely.get_type_id(shapes) == 0
    dropped["tree that is no point"] += int((~good).sum())
    bits = np.full(len(shapes), BIT[TREE], np.uint8)
    return Crowns(shapes[good], bits[good], crown_m[good], _numbers(table, "height_m")[good])
