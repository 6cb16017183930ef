"""Which windows train, validate and test: by city, and inside a training city by whole blocks.

Validation blocks of one city lie together in one built-up corner, because every block alone would
cost a wide ring of training ground around it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import yaml

from ..errors import ResourceError
from ..files import shipped
from .store import BUFFER, LOCAL_ONLY, TEST, TRAIN, VALIDATION

BUILT_SHARE = 0.1  # of a block under buildings, for it to be worth validating on


@dataclass(frozen=True)
class Blocks:
    """How validation blocks are chosen."""

    block_m: float
    share: float
    buffer_m: float
    seed: int


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    try:
        path = shipped("configs") / "data" / "split.yaml"
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as err:
        raise ResourceError("configs/data/split.yaml cannot be read", "install again") from err


def blocks() -> Blocks:
    """The settings of the validation blocks."""
    return Blocks(**_table()["validation_blocks"])


def city_split(city: str) -> int:
    """`TEST`, `LOCAL_ONLY`, or `TRAIN`; a city that is not listed trains."""
    table = _table()
    for group, code in (("test_cities", TEST), ("local_only", LOCAL_ONLY)):
        if any(city in names for names in table[group].values()):
            return code
    return TRAIN


def validation_blocks(city: str, built: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Which blocks of a training city validate.

    Starts at the built-up block farthest toward a corner drawn by the seed, and grows from there.

    Args:
        city: Name of the city; part of the seed.
        built: Share of each block under buildings, (R, C).
        covered: Share of each block that the source covers, (R, C).

    Returns:
        (R, C) bool.
    """
    rule = blocks()
    chosen = np.zeros(built.shape, bool)
    wanted = round(rule.share * float(covered.sum()))
    candidates = np.argwhere((built >= BUILT_SHARE) & (covered >= 0.75))
    if wanted < 1 or len(candidates) == 0:
        return chosen
    rng = np.random.default_rng([rule.seed, zlib.crc32(city.encode())])
    corner = rng.choice([-1, 1], size=2)
    start = candidates[(candidates @ corner).argmax()]
    away = np.abs(candidates - start)
    nearest = np.lexsort((away.sum(axis=1), away.max(axis=1)))[:wanted]
    chosen[tuple(candidates[nearest].T)] = True
    return chosen


def window_split(
    city: str, centres: np.ndarray, chosen: np.ndarray, *, window_m: float
) -> np.ndarray:
    """The split code of each window.

    Args:
        city: Name of the city.
        centres: Window centres in the city frame's (u, v), (N, 2).
        chosen: Validation blocks, (R, C) bool; block (r, c) starts at (c, r) * block_m.
        window_m: Edge of a window, which may be turned by any angle.

    Returns:
        (N,) uint8. A window validates if its centre lies in a validation block. It trains only if
        its whole circumscribed circle keeps the buffer to every validation block.
    """
    code = city_split(city)
    if code != TRAIN:
        return np.full(len(centres), code, np.uint8)
    rule = blocks()
    splits = np.full(len(centres), TRAIN, np.uint8)
    reach = window_m / np.sqrt(2) + rule.buffer_m
    inside = np.zeros(len(centres), bool)
    for row, col in np.argwhere(chosen):
        low = np.array([col, row]) * rule.block_m
        gap = np.maximum(np.maximum(low - centres, centres - low - rule.block_m), 0.0)
        distance = np.hypot(*gap.T)
        splits[distance < reach] = BUFFER
        inside |= distance == 0
    splits[inside] = VALIDATION
    return splits
