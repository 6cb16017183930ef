"""What is asked: a value, a range, or nothing, for each indicator, held against physics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fabricgen.errors import BriefError
from fabricgen.form.indicators import BRIEF_KEYS, STOREY_M
from fabricgen.settings import suggest

# Least and most that can be asked, and how far from an ask still counts as met:
# relative for far, coverage and height, points for the shares.
LIMITS = {
    "far": (0.0, 20.0),
    "site_coverage": (0.0, 0.9),
    "green_ratio": (0.0, 1.0),
    "mean_height_m": (STOREY_M, 300.0),
    "road_share": (0.0, 0.6),
    "tree_share": (0.0, 1.0),
}
TOLERANCE = {
    "far": 0.02,
    "site_coverage": 0.03,
    "green_ratio": 0.02,
    "mean_height_m": 0.05,
    "road_share": 0.03,
    "tree_share": 0.02,
}
RELATIVE = ("far", "site_coverage", "mean_height_m")


@dataclass(frozen=True)
class Brief:
    """Asks by name as (low, high); a value is low == high; what is free is absent."""

    asks: Mapping[str, tuple[float, float]]

    @classmethod
    def read(cls, values: Mapping[str, object]) -> Brief:
        """Reads and checks a brief.

        Raises:
            BriefError: A name is unknown, a value is no number or range, or the asks contradict
                each other or physics.
        """
        asks = {}
        for name, value in values.items():
            if name not in BRIEF_KEYS:
                raise BriefError(f"brief.{name}: no such indicator", suggest(name, BRIEF_KEYS))
            if value is not None:
                asks[name] = _range_of(name, value)
        brief = cls(asks)
        _check_physics(brief)
        return brief

    def text(self, name: str) -> str:
        """An ask as it was written."""
        if name not in self.asks:
            return "free"
        low, high = self.asks[name]
        return f"{low:g}" if low == high else f"{low:g}…{high:g}"

    def table(self) -> dict[str, str]:
        """All asks as written, in the order of the indicators."""
        return {name: self.text(name) for name in BRIEF_KEYS}

    def targets(self) -> Tensor:
        """Middle of each ask in the order of the indicators, NaN = free, (K,)."""
        nan = (math.nan, math.nan)
        return torch.tensor([sum(self.asks.get(name, nan)) / 2 for name in BRIEF_KEYS])

    def misses(self, got: Mapping[str, float]) -> dict[str, float]:
        """By how much each ask is missed beyond its tolerance; those that are met are left out."""
        missed = {}
        for name, (low, high) in self.asks.items():
            slack = TOLERANCE[name] * (max(abs(low), 1e-9) if name in RELATIVE else 1.0)
            distance = max(low - got[name], got[name] - high, 0.0)
            if distance > slack:
                missed[name] = distance
        return missed


def _range_of(name: str, value: object) -> tuple[float, float]:
    numbers = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    plain = all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers)
    if not plain or len(numbers) not in (1, 2) or not all(map(math.isfinite, numbers)):
        raise BriefError(f"brief.{name}={value!r}", "give a number, a range [low,high], or null")
    low, high = float(numbers[0]), float(numbers[-1])
    least, most = LIMITS[name]
    if low > high:
        raise BriefError(f"brief.{name}=[{low:g},{high:g}]", "give the lower end first")
    if low < least or high > most:
        percent = f", as {high:g} % is {high / 100:g}" if most <= 1 < high <= 100 else ""
        raise BriefError(f"brief.{name}={value!r}", f"ask between {least:g} and {most:g}{percent}")
    return low, high


def _check_physics(brief: Brief) -> None:
    """The asks' best cases must fit together."""
    least = {name: low for name, (low, _) in brief.asks.items()}
    most = {name: high for name, (_, high) in brief.asks.items()}
    cover = most.get("site_coverage", LIMITS["site_coverage"][1])
    height = most.get("mean_height_m", LIMITS["mean_height_m"][1])
    reach = cover * height / STOREY_M
    if least.get("far", 0.0) > reach * 1.02:
        raise BriefError(
            f"brief: FAR {least['far']:g} needs more than {cover:.0%} coverage at {height:g} m "
            f"mean height, which hold {reach:.2g}",
            "lower brief.far, or raise brief.site_coverage or brief.mean_height_m",
        )
    if "far" in most and most["far"] < least.get("site_coverage", 0.0) * 0.98:
        raise BriefError(
            f"brief: coverage {least['site_coverage']:g} already makes a FAR of as much, "
            f"above the asked {most['far']:g}",
            "raise brief.far or lower brief.site_coverage",
        )
    shares = ("site_coverage", "green_ratio", "road_share")
    total = sum(least.get(name, 0.0) for name in shares)
    if total > 1.0:
        raise BriefError(
            f"brief: coverage, green and road together ask for {total:.0%} of the site",
            "lower one of them so that they fit into 100 %",
        )
    if least.get("tree_share", 0.0) > most.get("green_ratio", 1.0):
        raise BriefError("brief: more trees than green", "raise brief.green_ratio")
