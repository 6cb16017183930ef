"""Plans as GeoJSON (RFC 7946): WGS 84, longitude first, outer rings counterclockwise."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from fabricgen.errors import InputError
from fabricgen.exchange.place import still_valid
from fabricgen.files import atomic_file
from fabricgen.plan import LAYERS, Plan

DATE_LINE_DEG = 180.0


def write_geojson(plan: Plan, path: Path, *, scheme: str, meta: Mapping[str, object]) -> None:
    """Write a plan as one collection; each feature names its `layer`.

    Coordinates have all digits of a double, so that a plan comes back as it was; the member
    `fabricgen` names the metric CRS in which it was drawn, and its provenance.

    Args:
        plan: A plan that passes `check_plan`.
        path: The file, written whole or not at all.
        scheme: Its name, which each feature repeats.
        meta: Provenance.

    Raises:
        InputError: It lies across the date line, which RFC 7946 wants cut in two.
    """
    to_degrees = Transformer.from_crs(plan.crs, 4326, always_xy=True)
    document = {
        "type": "FeatureCollection",
        "fabricgen": {"crs": plan.crs, "meta": dict(meta)},
        "features": list(_features(plan, scheme, to_degrees)),
    }
    with atomic_file(Path(path)) as part:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False, default=str)
        part.write_text(text, encoding="utf-8")


def _features(plan: Plan, scheme: str, to_degrees: Transformer) -> Iterator[dict[str, Any]]:
    site = _geometry(plan.site, to_degrees)
    west, _, east, _ = shapely.geometry.shape(site).bounds
    if east - west > DATE_LINE_DEG:
        raise InputError("the site lies across the date line", "write GeoPackage or GeoParquet")
    yield _feature({"layer": "site", "scheme": scheme}, site)
    for name, columns in LAYERS.items():
        table = getattr(plan, name)
        for row in table.to_dict("records"):
            said = {key: _plain(row[key]) for key in columns}
            properties = {"layer": name, "scheme": scheme, **said}
            yield _feature(properties, _geometry(row["geometry"], to_degrees))


def _feature(properties: dict[str, Any], geometry: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def _geometry(shape: BaseGeometry, to_degrees: Transformer) -> dict[str, Any]:
    """A geometry in degrees, right-handed."""

    def turn(xy: np.ndarray) -> np.ndarray:
        return np.stack(to_degrees.transform(xy[:, 0], xy[:, 1]), axis=1)

    degrees = still_valid(shapely.transform(shape, turn), shape)
    return shapely.geometry.mapping(shapely.orient_polygons(degrees))


def _plain(value: Any) -> Any:
    """A cell as JSON has it: None where nothing is known."""
    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value
