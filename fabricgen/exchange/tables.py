"""Files of geographic data as named tables, before anybody asks what they mean."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow
import pyarrow.parquet
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, GeometryError
from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely.errors import ShapelyError

from fabricgen.errors import FormatError, one_line
from fabricgen.exchange import columns
from fabricgen.exchange.curves import curved
from fabricgen.exchange.dbf import encoding_of
from fabricgen.exchange.repair import Say, listed

WGS84 = "EPSG:4326"
MAX_JSON_BYTES = 200_000_000  # in memory it takes ten times as much
MAX_PARQUET_BYTES = 2_000_000_000  # unpacked
MAX_ROWS = 2_000_000  # of one layer
SHOWN_SIGNS = 120  # of what GDAL says of a file


@dataclass(frozen=True, eq=False)
class Table:
    """One layer of a file.

    Attributes:
        name: Of the layer, or of the file where it is the only one.
        rows: Its features as they stand in the file.
        crs: In which its plan was drawn, where the file tells it besides its own.
        short: Names of columns may have been cut.
    """

    name: str
    rows: gpd.GeoDataFrame
    crs: str | None = None
    short: bool = False


def json_document(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        FormatError: It is too large, no JSON, or no object.
    """
    if path.stat().st_size > MAX_JSON_BYTES:
        raise FormatError(
            f"{path.name}: is larger than {MAX_JSON_BYTES // 1_000_000} MB", "give a GeoPackage"
        )
    try:
        document = json.loads(path.read_bytes())  # of any encoding of Unicode
    except (ValueError, RecursionError) as err:
        raise FormatError(f"{path.name}: is no JSON, or is cut short", "export it again") from err
    if not isinstance(document, dict):
        raise FormatError(f"{path.name}: holds no object, no FeatureCollection", "give GeoJSON")
    return document


def of_geojson(document: dict[str, Any], path: Path) -> list[Table]:
    """The features of a GeoJSON document.

    Raises:
        FormatError: It is no collection, is empty, or a feature or its `crs` cannot be read.
    """
    if document.get("type") == "Feature":
        document = {"type": "FeatureCollection", "features": [document]}
    if document.get("type") != "FeatureCollection" or not isinstance(
        document.get("features"), list
    ):
        kind = document.get("type") or "no object"
        raise FormatError(f"{path.name}: holds {kind}, no FeatureCollection", "give GeoJSON")
    if not document["features"]:
        raise FormatError(f"{path.name}: holds no feature", "export it again")
    with np.errstate(invalid="ignore"):  # coordinates that are no number are told with their id
        records = [_record(one, n, path.name) for n, one in enumerate(document["features"], 1)]
    rows = gpd.GeoDataFrame(records, geometry="geometry", crs=_crs_member(document, path.name))
    ours = document.get("fabricgen")
    return [Table(path.stem, rows, ours.get("crs") if isinstance(ours, dict) else None)]


def _record(feature: Any, number: int, name: str) -> dict[str, Any]:
    """A feature's properties with its geometry; its own id where the properties have none."""
    try:
        own = {} if feature.get("id") is None else {"id": feature["id"]}
        properties = {**own, **(feature.get("properties") or {})}
        shape = feature.get("geometry")
        made = None if shape is None else shapely.geometry.shape(shape)
    except (
        AttributeError, LookupError, TypeError, ValueError, RecursionError, ShapelyError
    ) as err:  # fmt: skip
        what = f"feature {number}"
        if isinstance(feature, dict) and feature.get("id") is not None:
            what += f" ({feature['id']})"
        raise FormatError(f"{name}: {what} cannot be read ({err})", "export it again") from err
    return {**properties, "geometry": made}


def _crs_member(document: dict[str, Any], name: str) -> CRS:
    """WGS 84, or what a `crs` of the format before RFC 7946 says."""
    said = document.get("crs")
    if said is None:
        return CRS.from_user_input(WGS84)
    try:
        return CRS.from_user_input(said["properties"]["name"])
    except (KeyError, TypeError, CRSError) as err:
        raise FormatError(f"{name}: its crs cannot be read", "leave it out: WGS 84") from err


def of_parquet(path: Path, say: Say) -> list[Table]:
    """The table of a GeoParquet, of the columns that a plan has or that go by their names.

    Raises:
        FormatError: No GeoParquet, cut short, or too large once unpacked.
    """
    del say  # nothing is changed here
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            meta, names = file.metadata, file.schema_arrow.names
            unpacked = sum(meta.row_group(n).total_byte_size for n in range(meta.num_row_groups))
            geo = json.loads((file.schema_arrow.metadata or {}).get(b"geo", b"{}"))
        _check_rows(meta.num_rows, path.name)
        if unpacked > MAX_PARQUET_BYTES:
            raise FormatError(
                f"{path.name}: unpacks to {unpacked / 1e9:,.1f} GB", "cut it into parts"
            )
        shape = geo["primary_column"]
        known = [name for name in names if name != shape and columns.is_known(name)]
        rows = gpd.read_parquet(path, columns=[*known, shape])
    except FormatError:
        raise
    except (
        pyarrow.ArrowException, LookupError, TypeError, ValueError, OSError, ShapelyError,
        CRSError,
    ) as err:  # fmt: skip
        raise FormatError(
            f"{path.name}: is no GeoParquet, or is cut short", "export it again"
        ) from err
    return [Table(path.stem, rows)]


def of_shapefile(path: Path, say: Say) -> list[Table]:
    """A Shapefile; its texts are told from its bytes where it does not say its encoding."""
    return [Table(path.stem, _layer(path, None, say, encoding=encoding_of(path)), short=True)]


def of_flatgeobuf(path: Path, say: Say) -> list[Table]:
    """A FlatGeobuf."""
    return [Table(path.stem, _layer(path, None, say))]


def of_gpkg(path: Path, say: Say) -> list[Table]:
    """All layers with geometry of a GeoPackage.

    Raises:
        FormatError: No GeoPackage, cut short, or without such a layer.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # told when the layers are read
            layers = pyogrio.list_layers(path)
    except (DataSourceError, UnicodeDecodeError) as err:
        raise FormatError(
            f"{path.name}: is no GeoPackage, or is cut short", "export it again"
        ) from err
    except GeometryError as err:  # GDAL's "any type, with M"
        raise FormatError(
            f"{path.name}: a layer of mixed types with M", "save it without M, or of one type"
        ) from err
    spatial = [str(name) for name, geometry in layers if geometry is not None]
    if not spatial:
        raise FormatError(f"{path.name}: has no layer with geometry", "export it again")
    told: dict[str, None] = {}
    tables = [Table(name, _layer(path, name, lambda one: told.setdefault(one))) for name in spatial]
    for remark in told:
        say(remark)
    for name in spatial:
        rows = curved(path, name)
        if rows:
            say(f"{name}, rows {listed(rows)}: curves drawn as short lines")
    return tables


def _check_rows(count: int, name: str) -> None:
    """Refuses a layer that would not fit into memory.

    Raises:
        FormatError: It has too many features.
    """
    if count > MAX_ROWS:
        raise FormatError(
            f"{name}: has {count:,} features, more than {MAX_ROWS:,}", "cut it into parts"
        )


def _layer(
    path: Path, name: str | None, say: Say, *, encoding: str | None = None
) -> gpd.GeoDataFrame:
    """One layer through GDAL, whose warnings are told.

    Raises:
        FormatError: It cannot be read, is too large, or has no geometry.
    """
    try:
        with warnings.catch_warnings(record=True, action="always") as heard:
            info = pyogrio.read_info(path, layer=name, encoding=encoding)
            _check_rows(info["features"], path.name)
            rows = pyogrio.read_dataframe(path, layer=name, encoding=encoding)
    except (
        DataLayerError, DataSourceError, GeometryError, UnicodeDecodeError, ShapelyError,
        IndexError, UnboundLocalError,  # how pyogrio ends on an empty and on a broken header
    ) as err:  # fmt: skip
        what = f"layer {name}" if name else "it"
        fix = "keep its .shx, .dbf and .prj beside it" if path.suffix.lower() == ".shp" else ""
        why = one_line(str(err)).replace(str(path), path.name)[:SHOWN_SIGNS].rstrip(".")
        raise FormatError(
            f"{path.name}: {what} cannot be read, or is cut short ({why})", fix or "export it again"
        ) from err
    for warning in heard:
        if issubclass(warning.category, RuntimeWarning):
            say(f"GDAL says: {one_line(str(warning.message)).replace(str(path), path.name)}")
    if not isinstance(rows, gpd.GeoDataFrame):
        raise FormatError(f"{path.name}: has no geometry", "give a layer with geometry")
    return rows
