"""Small files of every kind, good and bad, as other programs write them."""

import json
import sqlite3
import struct
import warnings
from contextlib import closing

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyproj import CRS as Crs

from tests.exchange.conftest import CRS, X, Y, box

SITE, HOUSE = box(0, 0, 100, 100), box(10, 10, 30, 30)
STREET = shapely.LineString([(X, Y + 50), (X + 100, Y + 50)])


def table(*rows, crs=CRS):
    return gpd.GeoDataFrame(pd.DataFrame(list(rows)), geometry="geometry", crs=crs)


def site(shape=SITE, crs=CRS):
    return table({"name": "s", "geometry": shape}, crs=crs)


def houses(*rows, crs=CRS):
    return table(*({"id": "h", "height": 9.0, "geometry": HOUSE, **row} for row in rows), crs=crs)


def gpkg(path, /, **layers):
    """A GeoPackage of layers by name; a site and a house unless told otherwise."""
    for name, rows in {"site": site(), "buildings": houses({}), **layers}.items():
        if rows is not None:
            with warnings.catch_warnings(action="ignore"):  # of no coordinate system
                rows.to_file(path, layer=name, driver="GPKG")
    return path


def geojson(path, /, *features, **more):
    document = {"type": "FeatureCollection", "features": list(features), **more}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def degrees(shape):
    return gpd.GeoSeries([shape], crs=CRS).to_crs(4326).iloc[0]


def feature(layer, shape, /, **said):
    """A feature in degrees; a shape may be what a file says of it."""
    if isinstance(shape, shapely.Geometry):
        shape = shapely.geometry.mapping(shape)
    return {"type": "Feature", "properties": {"layer": layer, **said}, "geometry": shape}


PLACE = feature("site", degrees(SITE))


def wkb(code, *parts):
    """A geometry in well-known binary: numbers, or other geometries."""
    return struct.pack("<BII", 1, code, len(parts)) + b"".join(
        part if isinstance(part, bytes) else struct.pack(f"<{len(part)}d", *part) for part in parts
    )


def polygon_wkb(code, *points):
    ring = b"".join(struct.pack(f"<{len(p)}d", *p) for p in points)
    return struct.pack("<BIII", 1, code, 1, len(points)) + ring


def raw(path, *blobs, layer="buildings", kind="GEOMETRY", m=0):
    """Puts geometries as they stand into a GeoPackage, as GDAL's own writers do not."""
    with closing(sqlite3.connect(path)) as base, base:
        names = base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in names:
            base.execute(f'DROP TRIGGER "{name}"')
        for blob in blobs:
            whole = b"GP\x00\x01" + struct.pack("<i", 32635) + blob
            base.execute(f'INSERT INTO "{layer}" (geom) VALUES (?)', (whole,))
        base.execute("DELETE FROM gpkg_ogr_contents")
        base.execute("DELETE FROM gpkg_extensions WHERE extension_name = 'gpkg_rtree_index'")
        base.execute(
            "UPDATE gpkg_geometry_columns SET geometry_type_name = ?, m = ? WHERE table_name = ?",
            (kind, m, layer),
        )
        base.execute("PRAGMA writable_schema = ON")
        base.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'POLYGON', ?) WHERE name = ?",
            (kind, layer),
        )
    return path


def shapefiles(folder, /, encoding=None, cpg=None, **layers):
    """A folder of Shapefiles whose tables say their encoding only by `cpg`."""
    folder.mkdir()
    for name, rows in {"site": site(), **layers}.items():
        rows.to_file(folder / f"{name}.shp", **({"encoding": encoding} if encoding else {}))
        note, data = folder / f"{name}.cpg", folder / f"{name}.dbf"
        note.unlink()
        if cpg is not None:
            note.write_text(cpg)
        content = bytearray(data.read_bytes())
        content[29] = 0
        data.write_bytes(content)
    return folder


def reworked(path, change):
    """A GeoParquet of a house whose Arrow table was changed."""
    houses({}).to_parquet(path)
    pq.write_table(change(pq.read_table(path)), path)
    return path


def many_rows(count):
    """A column of geometries that is small on disk and large in memory."""
    shapes = pa.array([shapely.to_wkb(HOUSE)])
    numbers = pa.array([0] * count, pa.int8())
    geo = {"version": "1.0.0", "primary_column": "geometry", "columns": {"geometry": {
        "encoding": "WKB", "geometry_types": []}}}  # fmt: skip
    made = pa.table({"geometry": pa.DictionaryArray.from_arrays(numbers, shapes)})
    return made.replace_schema_metadata({b"geo": json.dumps(geo).encode()})


def drawing(path, /, *, unit=4, crs=CRS):
    """An empty drawing with the WKT of its system beside it, and its model space."""
    import ezdxf

    made = ezdxf.new("R2013", units=unit)
    if crs is not None:
        path.with_suffix(".prj").write_text(Crs.from_user_input(crs).to_wkt())
    return made, made.modelspace()


def mm(*places):
    """Places on the block in millimeters of the coordinate system."""
    return [((X + u) * 1000, (Y + v) * 1000) for u, v in places]


def ring_mm(u0, v0, u1, v1):
    return mm((u0, v0), (u1, v0), (u1, v1), (u0, v1))
