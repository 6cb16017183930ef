"""Files of other people as plans: layers, columns and units by their many names, problems by id."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from fabricgen.errors import InputError
from fabricgen.exchange import columns
from fabricgen.exchange.place import check_place, level, spoken, still_valid, working_crs
from fabricgen.exchange.readers import read_tables
from fabricgen.exchange.repair import (
    SAFE_SHARE,
    Record,
    Say,
    clip,
    listed,
    narrowed,
    once,
    part_overlaps,
    tidy,
)
from fabricgen.exchange.sorting import Piece, headers_of, plain_value, sort_out, texts
from fabricgen.layout import MAX_HEIGHT_M
from fabricgen.plan import LAYERS, TEXT_COLUMNS, Plan, layer
from fabricgen.surfaces import ROAD_KINDS, ROAD_WIDTH_M

GREEN_RANK = {"grass": 0, "shrub": 1, "tree": 2}  # as seen from above
KIND = {"roads": "local", "green": "grass"}  # where a feature says none


def gather(path: Path, say: Say, *, only: str | None = None) -> dict[str, Plan]:
    """The plans in a file or folder of any origin, by the names of their schemes.

    Args:
        path: Anything that `read_tables` reads.
        say: Hears what was changed, filled or left out, with ids.
        only: A scheme; others are left where they are.

    Raises:
        FormatError: A file is not what its suffix says.
        InputError: What it holds cannot be told, lies nowhere, or has no site.
    """
    pieces = sort_out(read_tables(path, say), say)
    if only is not None:
        pieces = [part for piece in pieces for part in _of_scheme(piece, only)]
    pieces = [replace(piece, rows=level(piece.rows)) for piece in pieces]
    for piece in pieces:
        check_place(piece.rows, piece.ids, piece.layer)
    sites = [piece for piece in pieces if piece.layer == "site"]
    if not sites:
        raise InputError("holds no site", "add its polygon in a layer `site`")
    crs = working_crs([sites[0].rows, *(p.rows for p in pieces)], sites[0].table.crs)
    records: dict[str, list[Record]] = {name: [] for name in ("site", *LAYERS)}
    _tell_moves(pieces, crs, say)
    for piece in pieces:
        rows = piece.rows if piece.rows.crs == crs else _brought(piece.rows, crs)
        records[piece.layer] += _records(replace(piece, rows=rows), say)
    tidied = {name: tidy(rows, name, say) for name, rows in records.items()}
    named = dict.fromkeys(row["scheme"] for rows in tidied.values() for row in rows)
    schemes = [name for name in named if name] or [path.stem]
    return {name: _plan(name, tidied, crs, say=say) for name in schemes}


def _brought(rows: gpd.GeoDataFrame, crs: str) -> gpd.GeoDataFrame:
    """Features in the plan's CRS."""
    turned = rows.to_crs(crs)
    shapes = still_valid(turned.geometry.to_numpy(), rows.geometry.to_numpy())
    return turned.set_geometry(shapes, crs=crs)


def _of_scheme(piece: Piece, name: str) -> list[Piece]:
    """The features of one scheme, and those of all."""
    mine = np.array([said in ("", name) for said in _text(piece, "scheme")], dtype=bool)
    if not mine.any():
        return []
    return [replace(piece, rows=piece.rows[mine], ids=piece.ids[mine])]


def _tell_moves(pieces: Sequence[Piece], crs: str, say: Say) -> None:
    """Says which layers come from another CRS, but for those that the file itself says do."""
    moved: dict[str, list[str]] = {}
    for piece in pieces:
        if piece.rows.crs != crs and piece.table.crs is None:
            moved.setdefault(spoken(piece.rows.crs), []).append(piece.layer)
    for source, layers in moved.items():
        say(f"{', '.join(dict.fromkeys(layers))}: brought from {source} to {crs}")


def _records(piece: Piece, say: Say) -> list[Record]:
    """Features with the columns of a plan."""
    names = ("scheme", *LAYERS.get(piece.layer, ()))
    found = {
        name: _text(piece, name) if name in (*TEXT_COLUMNS, "scheme") else _number(piece, name, say)
        for name in names
        if name not in ("id", "kind", "footprint_m2")
    }
    if "kind" in names:
        found["kind"] = _kinds(piece, say)
    if piece.layer == "roads":
        found["guessed"] = np.isnan(found["width_m"])
        found["width_m"] = _widths(piece, found, say)
    if piece.layer == "buildings":
        found["use"] = ["" if use.lower() in ("yes", "building") else use for use in found["use"]]
        bare = np.isnan(found["height_m"]) & np.isnan(found["floors"])
        if bare.any():
            say(f"buildings {listed(piece.ids[bare])}: neither height nor floors, left unknown")
    shapes = piece.rows.geometry.to_numpy()
    return [
        {"id": piece.ids[n], "geometry": shapes[n], **{key: found[key][n] for key in found}}
        for n in range(len(shapes))
    ]


def _columns(piece: Piece, name: str) -> list[tuple[pd.Series, str]]:
    found = columns.find(headers_of(piece.rows), name, short=piece.table.short)
    return [(_plain(piece.rows[header]), unit) for header, unit in found]


def _plain(values: pd.Series) -> pd.Series:
    """Cells that are numbers or texts."""
    return values if values.dtype.kind in "iuf" else values.map(plain_value)


def _text(piece: Piece, name: str) -> list[str]:
    made = [""] * len(piece.rows)
    for values, _ in _columns(piece, name):
        made = [old or new for old, new in zip(made, texts(values), strict=True)]
    return made


def _number(piece: Piece, name: str, say: Say) -> np.ndarray:
    """(N,) numbers; the first column that says one counts.

    Raises:
        InputError: A number below 0 or beyond what can stand.
    """
    made, odd = np.full(len(piece.rows), np.nan), np.zeros(len(piece.rows), dtype=bool)
    for values, unit in _columns(piece, name):
        read, unreadable = columns.numbers(values, name, unit)
        made, odd = np.where(np.isnan(made), read, made), odd | unreadable
    odd &= np.isnan(made)
    if odd.any():
        say(f"{piece.layer} {listed(piece.ids[odd])}: {name} is no measure, left unknown")
    for row in np.flatnonzero((made < 0) | (made > MAX_HEIGHT_M)):
        raise InputError(
            f"{piece.layer} {piece.ids[row]}: {name} is {made[row]:g}",
            f"give 0 to {MAX_HEIGHT_M:g}, or none where it is not known",
        )
    if (made == 0).any():
        say(f"{piece.layer} {listed(piece.ids[made == 0])}: {name} is 0, left unknown")
    return np.where(made == 0, np.nan, made)


def _kinds(piece: Piece, say: Say) -> list[str]:
    """Kinds of ours for the words of a file.

    Raises:
        InputError: A green area of a kind that is none of ours.
    """
    words = _text(piece, "kind")
    kinds = [columns.kind_of(piece.layer, word) if word else None for word in words]
    default = KIND.get(piece.layer)
    if default is None:
        return words
    missing = np.array([kind is None for kind in kinds], dtype=bool)
    for row in np.flatnonzero(missing):
        if piece.layer == "green" and words[row]:
            raise InputError(
                f"green {piece.ids[row]}: kind is '{words[row]}'",
                f"give {', '.join(columns.GREEN_WORDS)}",
            )
    if missing.any():
        say(f"{piece.layer} {listed(piece.ids[missing])}: kind not known, counted as {default}")
    return [default if kind is None else kind for kind in kinds]


def _widths(piece: Piece, found: dict[str, Sequence], say: Say) -> np.ndarray:
    """Widths, by kind where none is given."""
    usual = np.array([ROAD_WIDTH_M[ROAD_KINDS.index(kind)] for kind in found["kind"]])
    missing = np.isnan(found["width_m"])
    if missing.any():
        say(f"roads {listed(piece.ids[missing])}: no width, that of their kind taken")
    return np.where(missing, usual, found["width_m"])


def _plan(name: str, records: dict[str, list[Record]], crs: str, *, say: Say) -> Plan:
    """One scheme out of all features; what names no scheme is part of each.

    Raises:
        InputError: It has no site.
    """

    def mine(key: str) -> list[Record]:
        return [row for row in records[key] if row["scheme"] in ("", name)]

    sites = [row["geometry"] for row in mine("site")]
    if not sites:
        raise InputError(f"scheme {name} has no site", "add its polygon in a layer `site`")
    site = sites[0] if len(sites) == 1 else shapely.MultiPolygon(sites)
    if not site.is_valid:
        site = shapely.union_all(sites)
    tables: dict[str, gpd.GeoDataFrame] = {}
    for key in LAYERS:
        rows = clip(once(mine(key), key, say), key, site, say=say)
        if key == "roads":
            rows = narrowed(rows, tables["buildings"].geometry.to_numpy(), say)
        if key == "buildings":
            rows = part_overlaps(rows, key, rank=lambda _: 0, share=SAFE_SHARE, say=say)
            rows = [{**row, "footprint_m2": row["geometry"].area} for row in rows]
        if key == "green":
            rows = part_overlaps(
                rows, key, rank=lambda row: GREEN_RANK[row["kind"]], share=1.0, say=say
            )
        tables[key] = layer(key, crs, rows)
    return Plan(site, crs, **tables)
