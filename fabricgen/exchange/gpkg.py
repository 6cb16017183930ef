"""Plans as a GeoPackage: one layer per kind of thing, one `scheme` column, styled for QGIS."""

import json
import sqlite3
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, GeometryError

from fabricgen.errors import FormatError, InputError, PlanError
from fabricgen.exchange.styles import styles
from fabricgen.files import atomic_file
from fabricgen.plan import LAYERS, TEXT_COLUMNS, Plan, check_plan, layer

GEOMETRY = {
    "site": "MultiPolygon",
    "buildings": "Polygon",
    "roads": "LineString",
    "paved": "Polygon",
    "water": "Polygon",
    "green": "Polygon",
    "trees": "Point",
}
META = "fabricgen"  # key of the provenance in the metadata of the layer `site`
CREATED = "2020-01-01T00:00:00.000Z"  # of styles; a constant, so that equal runs give equal files

STYLE_TABLE = """
CREATE TABLE layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256),
    f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT,
    useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
    update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')))
"""


def write_schemes(
    plans: Sequence[tuple[str, Plan]], path: Path, *, meta: Mapping[str, object] | None = None
) -> None:
    """Write plans side by side into one GeoPackage, whole or not at all.

    Args:
        plans: (name of the scheme, plan), all in one CRS; names are unique.
        path: The file; what stood there is replaced once the new one is complete.
        meta: Provenance, with an `attribution`; stored as JSON in the metadata of the layer `site`.

    Raises:
        InputError: No plans, names that repeat, or plans of several coordinate systems.
        PlanError: A plan breaks its contract.
    """
    names = [name for name, _ in plans]
    if not plans or len(set(names)) != len(names):
        raise InputError(f"schemes named {', '.join(names) or 'none'}", "give each its own name")
    crs = {plan.crs for _, plan in plans}
    if len(crs) > 1:
        raise InputError(f"schemes in {' and '.join(sorted(crs))}", "bring them to one CRS")
    for _, plan in plans:
        check_plan(plan)
    tables = {name: _joined(name, plans) for name in ("site", *LAYERS)}
    with atomic_file(Path(path)) as part:
        for name, table in tables.items():
            first = {} if part.exists() else {"layer_metadata": metadata_of(meta or {})}
            pyogrio.write_dataframe(
                table,
                part,
                layer=name,
                driver="GPKG",
                geometry_type=GEOMETRY[name],
                append=part.exists(),
                **first,
            )
        add_styles(part)


def read_scheme(path: Path, scheme: str | None) -> Plan:
    """One plan of a GeoPackage that `write_schemes` wrote.

    Args:
        path: The file.
        scheme: Its name; may be left out where the file holds one only.

    Raises:
        FormatError: The file is no such GeoPackage.
        InputError: No scheme of that name, or several and none named.
        PlanError: It has no site, or a text where a number belongs.
    """
    path = Path(path)
    names = scheme_names(path)
    site = read_layer(path, "site")
    if site.crs is None:
        raise FormatError(f"{path.name}: no coordinate system", "save it with a CRS in meters")
    if scheme is None and len(names) > 1:
        raise InputError(f"{path.name} holds the schemes {', '.join(names)}", "name one of them")
    name = names[0] if scheme is None else scheme
    if name not in names:
        raise InputError(
            f"{path.name}: no scheme {name}; it holds {', '.join(names)}", "name one of these"
        )
    crs = site.crs.to_string()
    shape = site.geometry[site["scheme"] == name].iloc[0]
    if shape is None or shape.is_empty:
        raise PlanError("its site has no polygon", "draw one in the layer `site`")
    if shape.geom_type == "MultiPolygon" and len(shape.geoms) == 1:
        shape = shape.geoms[0]
    return Plan(shape, crs, **{key: _one(read_layer(path, key), key, name, crs) for key in LAYERS})


def scheme_names(path: Path) -> list[str]:
    """Names of the schemes in a GeoPackage that `write_schemes` wrote, in its order.

    Raises:
        FormatError: The file is no such GeoPackage.
    """
    site = read_layer(Path(path), "site")
    if "scheme" not in site.columns or site.empty:
        raise FormatError(f"{path.name}: its site layer names no scheme", "export the plan again")
    return [str(name) for name in site["scheme"]]


def is_ours(path: Path) -> bool:
    """Whether a GeoPackage has the layers and columns of `write_schemes`.

    Raises:
        FormatError: The file is no GeoPackage.
    """
    try:
        site = _read_info(Path(path), "site")
        layers = {str(name) for name, _ in _quietly(pyogrio.list_layers, path)}
    except GeometryError:
        return False  # a type that we do not write
    return site is not None and "scheme" in site["fields"] and layers >= set(LAYERS)


def _check_length(path: Path) -> None:
    """Holds the size of a database against its header: SQLite itself reads on while it can.

    Raises:
        FormatError: Pages are missing at its end.
    """
    with path.open("rb") as source:
        head = source.read(100)
    if len(head) < 100 or head[24:28] != head[92:96]:  # the header counts pages no more
        return
    page = int.from_bytes(head[16:18], "big")
    size = (65536 if page == 1 else page) * int.from_bytes(head[28:32], "big")
    if size > path.stat().st_size and head.startswith(b"SQLite format 3"):
        raise FormatError(f"{path.name}: is cut short", "export it again")


def _quietly(read: Callable[..., Any], path: Path, **named: Any) -> Any:
    """Asks GDAL without its warnings: they are told where the layers are read."""
    with warnings.catch_warnings(action="ignore"):
        return read(path, **named)


def _read_info(path: Path, name: str) -> dict[str, Any] | None:
    if not path.is_file():
        raise FormatError(f"{path.name}: no such file", "give the path of a GeoPackage")
    _check_length(path)
    try:
        return _quietly(pyogrio.read_info, path, layer=name)
    except DataLayerError:
        return None
    except DataSourceError as err:
        raise FormatError(
            f"{path.name}: is no GeoPackage, or is cut short", "export it again"
        ) from err


def read_meta(path: Path) -> dict[str, object]:
    """The provenance inside a GeoPackage, empty where there is none."""
    path = Path(path)
    if not path.is_file():
        raise FormatError(f"{path.name}: no such file", "give the path of a GeoPackage")
    try:
        stored = pyogrio.read_info(path, layer="site").get("layer_metadata") or {}
    except (DataSourceError, DataLayerError) as err:
        raise FormatError(f"{path.name}: holds no site", "give a plan of fabricgen") from err
    return json.loads(stored.get(META, "{}"))


def _joined(name: str, plans: Sequence[tuple[str, Plan]]) -> gpd.GeoDataFrame:
    """One layer of all plans with their names."""
    crs = plans[0][1].crs
    if name == "site":
        shapes = [_multi(plan.site) for _, plan in plans]
        areas = [plan.site.area for _, plan in plans]
        table = {"scheme": np.array([key for key, _ in plans], dtype=object), "area_m2": areas}
        return gpd.GeoDataFrame(table, geometry=gpd.GeoSeries(shapes, crs=crs), crs=crs)
    filled = [(key, getattr(plan, name)) for key, plan in plans if len(getattr(plan, name))]
    if not filled:
        empty = layer(name, crs)
        empty.insert(0, "scheme", np.array([], dtype=object))
        return empty
    parts = [table[[*LAYERS[name], "geometry"]].assign(scheme=key) for key, table in filled]
    table = gpd.GeoDataFrame(pd.concat(parts, ignore_index=True), crs=crs)
    if name == "buildings" and table["floors"].notna().all():
        table["floors"] = table["floors"].astype(np.int32)
    return table[["scheme", *LAYERS[name], "geometry"]]


def _multi(shape: shapely.Geometry) -> shapely.MultiPolygon:
    return shape if shape.geom_type == "MultiPolygon" else shapely.MultiPolygon([shape])


def metadata_of(meta: Mapping[str, object]) -> dict[str, str]:
    """Provenance as the strings that GDAL stores; the attribution also stands by itself."""
    stored = {META: json.dumps(meta, sort_keys=True, default=str)}
    if meta.get("attribution"):
        stored["attribution"] = str(meta["attribution"])
    return stored


def add_styles(path: Path) -> None:
    """Put each layer's default style where QGIS looks for it."""
    with closing(sqlite3.connect(path)) as base, base:
        base.execute(STYLE_TABLE)
        base.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, last_change) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles', ?)",
            (CREATED,),
        )
        columns = dict(base.execute("SELECT table_name, column_name FROM gpkg_geometry_columns"))
        for name, document in styles().items():
            base.execute(
                "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
                "f_geometry_column, styleName, styleQML, useAsDefault, description, owner, "
                "update_time) VALUES ('', '', ?, ?, ?, ?, 1, ?, '', ?)",
                (name, columns[name], name, document, f"fabricgen: {name}", CREATED),
            )
        base.execute("UPDATE gpkg_contents SET last_change = ?", (CREATED,))
        base.execute("UPDATE gpkg_metadata_reference SET timestamp = ?", (CREATED,))


def read_layer(path: Path, name: str) -> gpd.GeoDataFrame:
    """A layer of a GeoPackage.

    Raises:
        FormatError: The file is none, or has no such layer.
    """
    if not path.is_file():
        raise FormatError(f"{path.name}: no such file", "give the path of a GeoPackage")
    try:
        return pyogrio.read_dataframe(path, layer=name)
    except DataLayerError as err:
        raise FormatError(f"{path.name}: has no layer {name}", "give a plan of fabricgen") from err
    except DataSourceError as err:
        raise FormatError(
            f"{path.name}: is no GeoPackage, or is cut short", "export it again"
        ) from err


def _one(table: gpd.GeoDataFrame, name: str, scheme: str, crs: str) -> gpd.GeoDataFrame:
    """A layer of one scheme with the columns and types of a plan."""
    missing = [column for column in ("scheme", *LAYERS[name]) if column not in table.columns]
    if missing:
        raise FormatError(f"layer {name}: no column {', '.join(missing)}", "export the plan again")
    rows = table[table["scheme"] == scheme].to_dict("records")
    for row in rows:
        row.update({key: "" for key in TEXT_COLUMNS if key in row and pd.isna(row[key])})
    try:
        return layer(name, crs, rows)
    except (TypeError, ValueError) as err:
        raise PlanError(f"{name}: {err}", "give numbers") from err
