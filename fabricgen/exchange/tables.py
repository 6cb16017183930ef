"""Any vector file as named tables, before anybody asks what they mean."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import pyarrow
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS
from pyproj.exceptions import CRSError

from fabricgen.errors import FormatError, InputError

WGS84 = "EPSG:4326"
MAX_JSON_BYTES = 500_000_000


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


def read_tables(path: Path) -> list[Table]:
    """The layers of a GeoJSON, GeoParquet, GeoPackage or Shapefile, or of a folder of Shapefiles.

    Raises:
        FormatError: The file is not what its suffix says.
        InputError: A suffix that no format has, or a folder without Shapefiles.
    """
    path = Path(path)
    if path.is_dir():
        parts = sorted(path.glob("*.[sS][hH][pP]"))
        if not parts:
            raise InputError("is a folder without a Shapefile", "give a file")
        return [table for part in parts for table in _of_shapefile(part)]
    if not path.is_file():
        raise FormatError(f"{path.name}: no such file", "give the path of a plan")
    return READERS[path.suffix.lower()](path)


def _of_geojson(path: Path) -> list[Table]:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise FormatError(f"{path.name}: is larger than 500 MB", "give a GeoPackage")
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as err:
        raise FormatError(f"{path.name}: is no JSON, or is cut short", "export it again") from err
    kind = document.get("type") if isinstance(document, dict) else None
    if kind != "FeatureCollection" or not isinstance(document.get("features"), list):
        raise FormatError(
            f"{path.name}: holds {kind or 'no object'}, no FeatureCollection", "give GeoJSON"
        )
    if not document["features"]:
        raise FormatError(f"{path.name}: holds no feature", "export it again")
    records = [_record(one, n, path.name) for n, one in enumerate(document["features"], start=1)]
    rows = gpd.GeoDataFrame(records, geometry="geometry", crs=_crs_member(document, path.name))
    ours = document.get("fabricgen")
    return [Table(path.stem, rows, ours.get("crs") if isinstance(ours, dict) else None)]


def _record(feature: Any, number: int, name: str) -> dict[str, Any]:
    """A feature's properties with its geometry; its own id where the properties have none."""
    try:
        own = {} if feature.get("id") is None else {"id": feature["id"]}
        properties = {**own, **(feature.get("properties") or {})}
        shape = feature.get("geometry")
        return {**properties, "geometry": None if shape is None else shapely.geometry.shape(shape)}
    except (AttributeError, KeyError, TypeError, ValueError, shapely.errors.ShapelyError) as err:
        raise FormatError(
            f"{name}: feature {number} cannot be read ({err})", "export it again"
        ) from err


def _crs_member(document: dict[str, Any], name: str) -> CRS:
    """WGS 84, or what a `crs` of the format before RFC 7946 says."""
    said = document.get("crs")
    if said is None:
        return CRS.from_user_input(WGS84)
    try:
        return CRS.from_user_input(said["properties"]["name"])
    except (KeyError, TypeError, CRSError) as err:
        raise FormatError(f"{name}: its crs cannot be read", "leave it out: WGS 84") from err


def _of_parquet(path: Path) -> list[Table]:
    try:
        rows = gpd.read_parquet(path)
    except (pyarrow.ArrowException, ValueError, OSError) as err:
        raise FormatError(
            f"{path.name}: is no GeoParquet, or is cut short", "export it again"
        ) from err
    return [Table(path.stem, rows)]


def _of_shapefile(path: Path) -> list[Table]:
    return [Table(path.stem, _layer(path, None), short=True)]


def _of_gpkg(path: Path) -> list[Table]:
    try:
        layers = pyogrio.list_layers(path)
    except DataSourceError as err:
        raise FormatError(
            f"{path.name}: is no GeoPackage, or is cut short", "export it again"
        ) from err
    spatial = [str(name) for name, geometry in layers if geometry is not None]
    if not spatial:
        raise FormatError(f"{path.name}: has no layer with geometry", "export it again")
    return [Table(name, _layer(path, name)) for name in spatial]


def _layer(path: Path, name: str | None) -> gpd.GeoDataFrame:
    try:
        rows = pyogrio.read_dataframe(path, layer=name)
    except (DataLayerError, DataSourceError, UnicodeDecodeError) as err:
        what = f"layer {name}" if name else "it"
        raise FormatError(f"{path.name}: {what} cannot be read", "export it again") from err
    if not isinstance(rows, gpd.GeoDataFrame):
        raise FormatError(f"{path.name}: has no geometry", "give a layer with geometry")
    return rows


READERS = {
    ".gpkg": _of_gpkg,
    ".geojson": _of_geojson,
    ".json": _of_geojson,
    ".parquet": _of_parquet,
    ".geoparquet": _of_parquet,
    ".shp": _of_shapefile,
}
