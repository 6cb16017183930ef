"""Plans out of the rows of a table in our own columns: many at once, held to the same contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from fabricgen.errors import FormatError, InputError, PlanError
from fabricgen.plan import LAYERS, TEXT_COLUMNS, Plan, check_plan, layer


@dataclass(frozen=True, eq=False)
class Layer:
    """Rows of one layer, of several plans.

    Attributes:
        scheme: Name of the plan of each, (N,) texts.
        shapes: (N,) geometries; None where a shape cannot be read.
        columns: By name, (N,) each.
    """

    scheme: np.ndarray
    shapes: np.ndarray
    columns: Mapping[str, np.ndarray]


def is_metric(crs: str | None) -> bool:
    """Whether a coordinate system is projected, in meters."""
    try:
        found = CRS.from_user_input(crs) if crs else None
    except CRSError:
        return False
    return found is not None and found.is_projected and found.axis_info[0].unit_name == "metre"


def plans_of(
    layers: Mapping[str, Layer], schemes: Sequence[str], crs: str
) -> Iterator[tuple[str, Plan | InputError]]:
    """The plan of each scheme, or why there is none.

    Args:
        layers: The site and the six layers, those that have rows.
        schemes: Names of the plans, in the order in which they are wanted.
        crs: Of all shapes.
    """
    names = pd.Index(schemes)
    try:
        tables = {name: _sorted(name, one, names, crs) for name, one in layers.items()}
    except InputError as err:
        yield from ((scheme, err) for scheme in schemes)
        return
    for code, scheme in enumerate(schemes):
        try:
            yield scheme, check_plan(_plan(tables, code, crs, name=scheme))
        except InputError as err:
            yield scheme, err
        except shapely.errors.ShapelyError as err:
            yield scheme, PlanError(f"a shape cannot be used ({err})", "redraw it")


def _sorted(
    name: str, rows: Layer, names: pd.Index, crs: str
) -> tuple[gpd.GeoDataFrame, np.ndarray]:
    """A layer with its rows plan by plan, and where each plan starts.

    Raises:
        FormatError: It lacks a column.
    """
    wanted = LAYERS.get(name, ())
    missing = [column for column in wanted if column not in rows.columns]
    if missing:
        raise FormatError(f"layer {name}: no column {', '.join(missing)}", "export the plans again")
    codes = names.get_indexer(pd.Index(rows.scheme))
    order = np.argsort(codes, kind="stable")
    columns = {column: _typed(rows.columns[column][order], column) for column in wanted}
    geometry = gpd.GeoSeries(rows.shapes[order], crs=crs)
    table = gpd.GeoDataFrame(columns, geometry=geometry, crs=crs)
    return table, np.searchsorted(codes[order], np.arange(len(names) + 1))


def _typed(values: np.ndarray, column: str) -> np.ndarray:
    if column not in TEXT_COLUMNS:
        return values.astype(np.float64)
    return np.array(["" if pd.isna(value) else str(value) for value in values], dtype=object)


def _plan(
    tables: Mapping[str, tuple[gpd.GeoDataFrame, np.ndarray]], code: int, crs: str, *, name: str
) -> Plan:
    """One plan.

    Raises:
        PlanError: It has no site, or one that cannot be used.
    """

    def rows(key: str) -> gpd.GeoDataFrame:
        if key not in tables:
            return _nothing(key, crs)
        table, starts = tables[key]
        start, stop = starts[code], starts[code + 1]
        return table.iloc[start:stop] if stop > start else _nothing(key, crs)

    sites = rows("site").geometry.to_numpy() if "site" in tables else []
    layers: dict[str, Any] = {key: rows(key) for key in LAYERS}
    return Plan(_site(list(sites), name), crs, **layers)


@lru_cache(maxsize=64)
def _nothing(key: str, crs: str) -> gpd.GeoDataFrame:
    return layer(key, crs) if key in LAYERS else gpd.GeoDataFrame(geometry=[], crs=crs)


def _site(shapes: Sequence[BaseGeometry | None], name: str) -> BaseGeometry:
    """The site as one geometry.

    Raises:
        PlanError: There is none, or it is no sound polygon.
    """
    if not shapes:
        raise PlanError(f"scheme {name} has no site", "add its polygon in a layer `site`")
    parts = shapely.get_parts([shape for shape in shapes if shape is not None])
    sound = (
        shapely.is_valid(parts) & (shapely.get_dimensions(parts) == 2) & (shapely.area(parts) > 0)
    )
    if len(parts) == 0 or not sound.all():
        raise PlanError(
            f"scheme {name}: its site is empty, crosses itself or is no polygon", "redraw it"
        )
    site = parts[0] if len(parts) == 1 else shapely.MultiPolygon(list(parts))
    return site if site.is_valid else shapely.union_all(parts)
