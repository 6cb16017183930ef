"""Heights and floors from what a mapper wrote: meters, feet, levels. Never invented.

A storey counts 3.0 m both ways: levels without a height become a height in the raster, a height
without levels becomes whole floors of the boxes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..units import count, length_m

STOREY_M = 3.0
MAX_HEIGHT_M = 1000.0
MAX_FLOORS = 250


@dataclass(frozen=True)
class Tall:
    """How tall something is, as far as its tags say; NaN = not said."""

    height_m: float = math.nan
    floors: float = math.nan
    contradicts: bool = False  # a height was given that cannot be read or cannot be


def of_building(tags: Mapping[str, str]) -> Tall:
    """Height and floors of a building or a part of one.

    `height` is the top above ground. Floors are `building:levels` and `roof:levels`. A height at
    or below `min_height`, or beyond what can stand, contradicts itself and is not used.
    """
    height_m = length_m(tags.get("height") or tags.get("building:height"))
    levels = count(tags.get("building:levels"))
    said = bool(tags.get("height") or tags.get("building:levels"))
    if levels + 1 > 1:  # roof storeys only count on top of known levels
        roof = count(tags.get("roof:levels"))
        levels += 0.0 if math.isnan(roof) else roof
    lowest = length_m(tags.get("min_height"))
    if height_m <= 0 or height_m > MAX_HEIGHT_M or height_m <= lowest:
        height_m = math.nan
    if levels <= 0 or levels > MAX_FLOORS:
        levels = math.nan
    return Tall(height_m, levels, said and math.isnan(height_m) and math.isnan(levels))


def complete(height_m: np.ndarray, floors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fills height from floors and whole floors from height; what has neither stays NaN.

    Args:
        height_m: (N,) NaN = unknown.
        floors: (N,) NaN = unknown.
    """
    height = np.where(np.isnan(height_m), floors * STOREY_M, height_m)
    from_height = np.maximum(1.0, np.rint(height_m / STOREY_M))
    whole = np.where(np.isnan(floors), from_height, np.maximum(1.0, np.rint(floors)))
    return height, whole


def tree_m(tags: Mapping[str, str]) -> float:
    """Height of a tree; NaN where not said or beyond what grows."""
    height_m = length_m(tags.get("height"))
    return height_m if 0 < height_m <= 120 else math.nan
