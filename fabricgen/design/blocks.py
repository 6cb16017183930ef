"""Blocks of a city, each a site of its own: one feature of a file, its columns the brief."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import pandas as pd

from fabricgen.design.brief import Brief
from fabricgen.design.site import check_crs, check_shape, read_features, read_zones
from fabricgen.errors import InputError
from fabricgen.files import safe_name
from fabricgen.form.indicators import BRIEF_KEYS

NAME_COLUMNS = ("block", "name", "id")  # the first that a file has names its blocks
SEED_BITS = 32


@dataclass(frozen=True, eq=False)
class Block:
    """One feature of a file of blocks.

    Attributes:
        name: Unique among the blocks; fit for a folder.
        shapes: Its polygon, one row.
        brief: What is asked of it.
        seed: Of its schemes; hangs on the run's seed and its name alone, so that blocks can be
            added, left out or drawn in any order.
        zones: Where no house may stand, of all blocks; None where the file has no such layer.
    """

    name: str
    shapes: gpd.GeoDataFrame
    brief: Brief
    seed: int
    zones: gpd.GeoDataFrame | None = None


@dataclass(frozen=True)
class Refused:
    """A feature that cannot be designed, and why."""

    block: str
    problem: str
    fix: str


def holds_blocks(path: Path, layer: str | None = None) -> bool:
    """Whether a file's features are sites of their own: several, with asks in their columns."""
    table = read_features(path, layer)
    return len(table) > 1 and any(name in table.columns for name in BRIEF_KEYS)


def read_blocks(
    path: Path, brief: Mapping[str, object], *, seed: int, layer: str | None = None
) -> tuple[list[Block], list[Refused]]:
    """Every feature of a file as a block.

    Args:
        path: A vector file of polygons. A column by the name of an indicator holds asks: a number,
            a range as text (`0.3-0.5`, `[0.3, 0.5]`), or nothing.
        brief: What is asked where a block's own columns say nothing.
        seed: Of the run.
        layer: Layer of the file, if it has several.

    Returns:
        Blocks in the order of the file, and the features that cannot be used.

    Raises:
        InputError: The file or its coordinate system cannot be used, or two blocks share a name.
    """
    table, zones = read_features(path, layer), read_zones(path)
    check_crs(table, path.name)
    names = _names(table, path.name)
    asked = [name for name in BRIEF_KEYS if name in table.columns]
    blocks, refused = [], []
    for row, name in enumerate(names):
        shapes = table.iloc[[row]]
        own = {key: _ask(shapes[key].iloc[0]) for key in asked}
        own = {key: value for key, value in own.items() if value is not None}
        try:
            check_shape(shapes.geometry.iloc[0], f"feature {row + 1}")
            asks = Brief.read({**brief, **own})
        except InputError as err:  # a brief that cannot be is one of these
            refused.append(Refused(name, err.problem, err.fix))
        else:
            blocks.append(Block(name, shapes[["geometry"]], asks, _seed(seed, name), zones))
    return blocks, refused


def _names(table: gpd.GeoDataFrame, file: str) -> list[str]:
    column = next((one for one in NAME_COLUMNS if one in table.columns), None)
    if column is None:
        return [f"b{row + 1:04d}" for row in range(len(table))]
    said = [f"{value:g}" if isinstance(value, float) else str(value) for value in table[column]]
    names = [safe_name(text) for text in said]
    double = pd.Series(names).duplicated(keep=False).to_numpy()
    if double.any() or table[column].isna().any():
        first = said[int(double.argmax())] if double.any() else "none"
        raise InputError(
            f"{file}: column {column} does not tell blocks apart ('{first}' stands for several)",
            f"give each feature its own {column}",
        )
    return names


def _ask(value: object) -> object:
    """A cell as an ask: number, range or None; other text stays, for `Brief` to refuse."""
    if pd.isna(value) or str(value).strip() == "":
        return None
    if not isinstance(value, str):
        return float(value)
    text = re.sub(r"^\s*([\d.]+)\s*(?:-|–|…|to)\s*([\d.]+)\s*$", r"[\1, \2]", value)
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return value


def _seed(seed: int, name: str) -> int:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - SEED_BITS)
