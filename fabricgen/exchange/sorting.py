"""Which layer of a plan the features of a file belong to: by name, by column, by tag, by look."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from fabricgen.errors import InputError, one_line
from fabricgen.exchange import columns
from fabricgen.exchange.repair import Say, listed
from fabricgen.exchange.tables import Table
from fabricgen.exchange.tagged import layers_by_tag, tags_of

LONGEST = 100  # signs of an id or a text


@dataclass(frozen=True, eq=False)
class Piece:
    """Features of one layer of a plan, as they stand in one layer of a file."""

    layer: str
    rows: gpd.GeoDataFrame
    ids: np.ndarray  # (N,) texts
    table: Table


def sort_out(tables: Sequence[Table], say: Say) -> list[Piece]:
    """The layers of a file by the layers of a plan that they hold.

    Args:
        tables: Layers of a file.
        say: Hears of layers and features that are no part of a plan.

    Raises:
        InputError: It cannot be told what they hold.
    """
    filled = [table for table in tables if not table.rows.empty]
    found = [_pieces(table, say) for table in filled]
    other = [table.name for table, pieces in zip(filled, found, strict=True) if not pieces]
    every = [piece for pieces in found for piece in pieces]
    if other and not every:
        raise InputError(
            f"layer {other[0]}: it does not say what it holds",
            f"name it, or its features in a column `layer`, {', '.join(columns.LAYER_NAMES)}",
        )
    if other:
        say(f"layers {listed(other)}: not part of a plan, left out")
    return every


def _pieces(table: Table, say: Say) -> list[Piece]:
    """A layer of a file by the layers of a plan that it holds; none where nothing tells.

    Raises:
        InputError: A feature names a layer that is none, beside others that do.
    """
    own = columns.layer_of(table.name)
    named = columns.find(headers_of(table.rows), "layer", short=table.short)
    values = texts(table.rows[named[0][0]]) if named else [""] * len(table.rows)
    layers = np.array([columns.layer_of(value) or "" for value in values], dtype=object)
    ids = _ids(table.rows, table)
    rows = table.rows
    if not (layers != "").any():
        layers[:] = own or _guess(table) or ""
    if (layers == "").any():
        tagged, kinds = layers_by_tag(rows)
        tagged = np.where(layers == "", tagged, "")
        if (tagged != "").any():
            rows = rows.assign(kind=np.where(tagged != "", kinds, _kind(rows)))
            layers = np.where(layers == "", tagged, layers)
    left = layers == ""
    if left.all():
        return []
    for row in np.flatnonzero(left):
        number = values[row].lstrip("-").isdigit()  # a level, as OpenStreetMap counts layers
        if not number and (values[row] or not tags_of(rows)):
            known = ", ".join(columns.LAYER_NAMES)
            raise InputError(f"feature {ids[row]}: layer '{values[row]}'", f"give one of {known}")
    if left.any():
        say(f"features {listed(ids[left])}: not part of a plan, left out")
    parts = [name for name in dict.fromkeys(layers) if name]
    return [Piece(name, rows[layers == name], ids[layers == name], table) for name in parts]


def _kind(rows: gpd.GeoDataFrame) -> np.ndarray:
    """The column `kind` where there is one."""
    return rows["kind"].to_numpy(object) if "kind" in rows else np.full(len(rows), None)


def _guess(table: Table) -> str:
    """The layer that columns give away: heights stand on buildings, widths along streets."""
    dimensions = set(shapely.get_dimensions(table.rows.geometry.dropna().to_numpy()))

    def has(*names: str) -> bool:
        headers = headers_of(table.rows)
        return any(columns.find(headers, name, short=table.short) for name in names)

    tagged = {"building", "highway"} & set(table.rows.columns)  # tells each feature by itself
    if dimensions == {2} and has("height_m", "floors") and not tagged:
        return "buildings"
    return "roads" if dimensions == {1} and has("kind", "width_m") else ""


def headers_of(rows: gpd.GeoDataFrame) -> list[str]:
    """Names of all columns but the geometry."""
    return [str(name) for name in rows.columns if name != rows.geometry.name]


def _ids(rows: gpd.GeoDataFrame, table: Table) -> np.ndarray:
    """Each feature's id, or its number in the file."""
    own = columns.find(headers_of(rows), "id", short=table.short)
    ids = [str(index + 1) for index in rows.index]
    if own:
        ids = [one or number for number, one in zip(ids, texts(rows[own[0][0]]), strict=True)]
    return np.array(ids, dtype=object)


def texts(values: pd.Series) -> list[str]:
    """Cells as texts in one line, empty where nothing is said."""
    return ["" if value is None else _word(value) for value in map(plain_value, values)]


def plain_value(value: object) -> object:
    """A cell: lists and records as JSON, `None` where nothing is said."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple | dict | set):
        return json.dumps(value, default=str, ensure_ascii=False) if value else None
    return None if pd.isna(value) or str(value).strip() == "" else value


def _word(value: object) -> str:
    """A value as text; a whole number without the decimals that a missing neighbor gives it."""
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return one_line(str(int(value) if whole else value))[:LONGEST]
