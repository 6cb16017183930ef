"""Parquet tables of many plans, one row a feature, in the columns that our GeoParquet has.

Rows of a plan lie together: a chunk of plans is then a few row groups, and no more is read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError

from fabricgen.batch.plans import Layer, is_metric
from fabricgen.errors import FormatError, InputError
from fabricgen.plan import LAYERS, TEXT_COLUMNS

NEEDED = ("scheme", "layer", "geometry")
APART = 4  # row groups over which one plan may spread

Rows = tuple[int, int]  # first row group, and the one after the last


@dataclass(frozen=True, eq=False)
class Index:
    """Where the plans of a table lie.

    Attributes:
        schemes: Names in the order in which they first occur.
        first, last: Row group of the first and the last row of each, (N,).
    """

    schemes: list[str]
    first: np.ndarray
    last: np.ndarray

    def rows_of(self, start: int, stop: int) -> Rows:
        """Row groups of the plans from one to before another."""
        return int(self.first[start:stop].min()), int(self.last[start:stop].max()) + 1


def index(path: Path) -> Index | None:
    """Where each plan lies; None where the table has not our columns, or is not in meters.

    Raises:
        InputError: The rows of a plan are scattered over the table.
    """
    try:
        with pq.ParquetFile(path) as table:
            if not _is_ours(table.schema_arrow):
                return None
            found = _index(table)
    except (pa.ArrowException, OSError):
        return None  # it is read like any other file, which says what is wrong
    far = np.flatnonzero(found.last - found.first >= APART)
    if len(far):
        raise InputError(
            f"{path.name}: the rows of plan {found.schemes[far[0]]} are scattered over the table",
            "sort it by the column scheme",
        )
    return found


def _index(table: pq.ParquetFile) -> Index:
    known: dict[str, int] = {}
    first: list[int] = []
    last: list[int] = []
    for group in range(table.num_row_groups):
        names = table.read_row_group(group, columns=["scheme"])["scheme"]
        for name in pc.unique(names).to_pylist():
            code = known.setdefault(str(name), len(known))
            if code == len(first):
                first.append(group)
                last.append(group)
            last[code] = group
    return Index(list(known), np.array(first, dtype=np.int64), np.array(last, dtype=np.int64))


def _is_ours(schema: pa.Schema) -> bool:
    """Our columns, of our types, in meters."""
    if not set(schema.names) >= set(NEEDED) or b"geo" not in (schema.metadata or {}):
        return False
    crs = _crs(schema)
    numbers = {name for names in LAYERS.values() for name in names} - set(TEXT_COLUMNS)
    typed = all(
        pa.types.is_floating(schema.field(name).type)
        or pa.types.is_integer(schema.field(name).type)
        for name in numbers & set(schema.names)
    )
    return typed and pa.types.is_binary(schema.field("geometry").type) and is_metric(crs)


def _crs(schema: pa.Schema) -> str:
    """The coordinate system as GeoParquet tells it; empty where it cannot be read."""
    try:
        column = json.loads(schema.metadata[b"geo"])["columns"]["geometry"]
        if column.get("encoding") != "WKB" or not column.get("crs"):
            return ""
        return str(CRS.from_json_dict(column["crs"]).to_string())
    except (ValueError, KeyError, TypeError, AttributeError, CRSError):
        return ""


def read(path: Path, schemes: Sequence[str], rows: Rows) -> tuple[str, dict[str, Layer]]:
    """CRS and layers of some plans.

    Args:
        path: The table.
        schemes: Their names.
        rows: Their row groups.

    Raises:
        FormatError: The table cannot be read.
    """
    wanted = pa.array(schemes, type=pa.string())
    try:
        groups = [_group(str(path), path.stat().st_mtime_ns, n) for n in range(*rows)]
        table = pa.concat_tables(
            [one.filter(pc.is_in(one["scheme"].cast(pa.string()), wanted)) for one in groups]
        )
    except (pa.ArrowException, OSError) as err:
        raise FormatError(f"{path.name}: is damaged, or is cut short", "write it again") from err
    layers = table["layer"].cast(pa.string()).to_numpy(zero_copy_only=False)
    return _crs(table.schema), {
        name: _layer(table.filter(pa.array(layers == name)))
        for name in ("site", *LAYERS)
        if (layers == name).any()
    }


@lru_cache(maxsize=2)
def _group(path: str, _changed_ns: int, number: int) -> pa.Table:
    """A row group, kept while the next plans may still lie in it."""
    with pq.ParquetFile(path) as table:
        return table.read_row_group(number)


def _layer(table: pa.Table) -> Layer:
    columns = {
        name: table[name].to_numpy(zero_copy_only=False)
        for name in table.column_names
        if name not in NEEDED
    }
    shapes = table["geometry"].to_numpy(zero_copy_only=False)
    names = table["scheme"].cast(pa.string()).to_numpy(zero_copy_only=False)
    return Layer(names, shapely.from_wkb(shapes, on_invalid="ignore"), columns)
