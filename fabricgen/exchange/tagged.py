"""Features of OpenStreetMap by their tags, from the same table as `ingest`."""

from functools import lru_cache
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
import yaml

from fabricgen.exchange import columns
from fabricgen.files import shipped
from fabricgen.surfaces import SURFACES, TREE

GREEN = ("tree", "shrub", "grass")
GROUND = ("paved", "water")


def layers_by_tag(rows: gpd.GeoDataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The layer of a plan and the kind of each feature.

    Args:
        rows: Features with a column for each tag, as overpass-turbo exports them.

    Returns:
        (N,) names of layers, empty where tags do not tell one, and (N,) kinds, `None` where the
        tags do not tell one.
    """
    keys = tags_of(rows)
    dimensions = shapely.get_dimensions(rows.geometry.to_numpy())
    found = [
        _layer(dict(zip(keys, values, strict=True)), int(dimension))
        for values, dimension in zip(
            rows[keys].astype(object).itertuples(index=False), dimensions, strict=True
        )
    ]
    names = np.array([name for name, _ in found], dtype=object)
    return names, np.array([kind for _, kind in found], dtype=object)


def tags_of(rows: gpd.GeoDataFrame) -> list[str]:
    """The columns that are tags by which a feature is told."""
    return [key for key in ("building", "highway", *_areas()) if key in rows.columns]


@lru_cache(maxsize=1)
def _areas() -> dict[str, dict[str, list[str]]]:
    """Surfaces by key and word, of the keys that tell an area by themselves."""
    path = shipped("configs") / "city" / "tags.yaml"
    book = yaml.safe_load(path.read_text(encoding="utf-8"))
    beside = (*book["needs_another_tag"], *book["needs_area_yes"])
    return {key: words for key, words in book["areas"].items() if key not in beside}


def _layer(tags: dict[str, Any], dimension: int) -> tuple[str, str | None]:
    """The layer and kind of one feature."""
    said = {key: str(value) for key, value in tags.items() if isinstance(value, str)}
    if dimension == 2 and said.get("building", "no") != "no":
        return "buildings", None
    if dimension == 1 and said.get("highway") in columns.road_words():
        return "roads", said["highway"]
    if dimension == 0:
        return ("trees", None) if said.get("natural") == SURFACES[TREE] else ("", None)
    if dimension != 2:
        return "", None
    sets = [_areas()[key].get(word, _areas()[key].get("*")) for key, word in said.items()
            if key in _areas()]  # fmt: skip
    known = [surfaces for surfaces in sets if surfaces]
    surfaces = min(known, key=len, default=[])
    if len(surfaces) == 1 and surfaces[0] in (*GREEN, *GROUND):
        return ("green" if surfaces[0] in GREEN else surfaces[0]), surfaces[0]
    return ("green", None) if surfaces and set(surfaces) <= set(GREEN) else ("", None)
