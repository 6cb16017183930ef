"""GeoPackages of many plans in our own layers: where each plan's rows lie, and a few plans of it.

The file is never read whole, nor changed: it has no index over the schemes, so one pass notes the
rows of each (12 bytes a feature), and plans are then read by their rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS

from fabricgen.batch.plans import Layer, is_metric
from fabricgen.errors import FormatError, InputError
from fabricgen.exchange.gpkg import is_ours
from fabricgen.plan import LAYERS

ROWS_AT_ONCE = 50_000

Rows = Mapping[str, np.ndarray]  # ids of rows by layer


@dataclass(frozen=True, eq=False)
class Index:
    """Where the plans of a file lie.

    Attributes:
        schemes: Names in the order of the sites, then those that have no site.
        rows: By layer the ids of its rows, plan by plan, and where each plan starts among them.
    """

    schemes: list[str]
    rows: Mapping[str, tuple[np.ndarray, np.ndarray]]

    def rows_of(self, start: int, stop: int) -> Rows:
        """Rows of the plans from one to before another."""
        return {
            name: ids[starts[start] : starts[stop]]
            for name, (ids, starts) in self.rows.items()
            if starts[stop] > starts[start]
        }


def index(path: Path) -> Index | None:
    """Where each plan lies; None where the file has not our layers, or is not in meters."""
    try:
        if not is_ours(path) or not is_metric(pyogrio.read_info(path, layer="site")["crs"]):
            return None
        with closing(sqlite3.connect(f"file:{path.absolute()}?mode=ro", uri=True)) as base:
            return _index(base)
    except (InputError, sqlite3.Error):
        return None  # it is read like any other file, which says what is wrong


def _index(base: sqlite3.Connection) -> Index:
    known: dict[str, int] = {}
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for layer in ("site", *LAYERS):
        # Names of layers are our own.
        rows = base.execute(f'SELECT rowid, scheme FROM "{layer}" ORDER BY rowid')
        ids, codes = [], []
        while some := rows.fetchmany(ROWS_AT_ONCE):
            ids.append(np.array([row for row, _ in some], dtype=np.int64))
            names = (known.setdefault(str(name), len(known)) for _, name in some)
            codes.append(np.fromiter(names, dtype=np.int32, count=len(some)))
        if ids:
            found[layer] = (np.concatenate(ids), np.concatenate(codes))
    rows_of = {}
    for layer, (ids, codes) in found.items():
        order = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[order], np.arange(len(known) + 1))
        rows_of[layer] = (ids[order], starts)
    return Index(list(known), rows_of)


def read(path: Path, schemes: Sequence[str], rows: Rows) -> tuple[str, dict[str, Layer]]:
    """CRS and layers of some plans.

    Args:
        path: The file.
        schemes: Their names.
        rows: Where they lie.

    Raises:
        FormatError: The file cannot be read, or lacks a column.
    """
    found = {}
    try:
        crs = CRS.from_user_input(pyogrio.read_info(path, layer="site")["crs"]).to_string()
        for layer, ids in rows.items():
            meta, _, shapes, columns = pyogrio.raw.read(path, layer=layer, fids=ids)
            named = dict(zip(meta["fields"], columns, strict=True))
            if "scheme" not in named:
                raise FormatError(f"layer {layer}: no column scheme", "export the plans again")
            shapes = shapely.from_wkb(shapes, on_invalid="ignore")
            found[layer] = Layer(named.pop("scheme").astype(str), shapes, named)
    except (DataLayerError, DataSourceError) as err:
        raise FormatError(f"{path.name}: is damaged, or is cut short", "export it again") from err
    return crs, found
