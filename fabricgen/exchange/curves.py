"""Curves in a GeoPackage, which GDAL turns into short lines without a word."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

CURVES = range(8, 13)  # codes of types with curves in well-known binary, Z and M taken off
FLAT_TYPES = (
    "POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON",
)  # fmt: skip
ENVELOPE_BYTES = (0, 32, 48, 48, 64)  # by the code in the flags of a geometry
FLAGS, HEAD = 3, 8  # where the flags stand; bytes before the envelope
STEP = 1000  # between the codes of types without and with Z and M
EWKB_FLAGS = 0x0FFFFFFF


def curved(path: Path, layer: str) -> list[str]:
    """The row numbers of features with curves, none where the type of the layer has none.

    Args:
        path: A GeoPackage that GDAL reads.
        layer: Name of a layer with geometry.
    """
    # Immutable: read as it stands, whoever holds it locked.
    where = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(where, uri=True)) as base:
            return list(_curved(_rows(base, layer)))
    except sqlite3.DatabaseError:
        return []  # nothing to tell: what is damaged, GDAL has read or refused


def _rows(base: sqlite3.Connection, layer: str) -> Iterable[tuple[int, bytes]]:
    """Row numbers and the heads of geometries of a layer that may hold curves."""
    found = base.execute(
        "SELECT column_name, geometry_type_name FROM gpkg_geometry_columns WHERE table_name = ?",
        (layer,),
    ).fetchone()
    if found is None or str(found[1]).upper() in FLAT_TYPES:
        return ()
    column, table = (name.replace('"', '""') for name in (found[0], layer))
    return base.execute(f'SELECT rowid, substr("{column}", 1, 80) FROM "{table}"')


def _curved(rows: Iterable[tuple[int, bytes]]) -> Iterator[str]:
    for number, blob in rows:
        if blob is None or len(blob) <= HEAD:
            continue
        start = HEAD + ENVELOPE_BYTES[min((blob[FLAGS] >> 1) & 7, 4)]
        order = "little" if blob[start : start + 1] == b"\x01" else "big"
        code = int.from_bytes(blob[start + 1 : start + 5], order) & EWKB_FLAGS
        if code % STEP in CURVES:
            yield str(number)
