"""Plans held against each other in the same draws of all factors: who is better, and how surely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch

from fabricgen.carbon.uncertainty import SURE, beat_matrix, beats, tie_groups
from fabricgen.errors import InputError, SettingsError
from fabricgen.report.compare_counted import KINDS, MOST, NET, Counted, flows_of
from fabricgen.report.tables import FORM, GREEN, NAMES
from fabricgen.settings import ranged
from fabricgen.units import KG_PER_T

TAILS = (0.05, 0.95)
ROUNDING = 1e-5  # of net: a plan that went through another file differs by less
LEAST_M2 = 1.0  # of floors, below which nothing is told per floor area


@dataclass(frozen=True)
class CompareSettings:
    """What `compare` can be told besides how plans are counted."""

    per: Literal["auto", "floor", "site", "plan"] = "auto"  # auto: floor where all plans have some
    reference: str | None = None  # plan that the others are held against; None: the first given
    best: int | None = ranged(
        None, 2, MOST
    )  # of a folder of scores, plans taken by rank; None: all


@dataclass(frozen=True)
class Measure:
    """What carbon is told per.

    Attributes:
        column: Of the area, by which it is divided; empty: of the plan as a whole.
        unit: Of flows.
        stock_unit: Of what is held.
    """

    column: str
    unit: str
    stock_unit: str

    def scale(self, one: Counted) -> float:
        """What an amount of a plan [kgCO2e] is multiplied with."""
        return 1 / one.values[self.column] if self.column else 1 / KG_PER_T


MEASURES = {
    "floor": Measure(
        "gross_floor_area_m2",
        "kg CO₂e per m² of floor area and year",
        "kg CO₂e per m² of floor area",
    ),
    "site": Measure("site_area_m2", "kg CO₂e per m² of site and year", "kg CO₂e per m² of site"),
    "plan": Measure("", "t CO₂e a year", "t CO₂e"),
}


@dataclass(frozen=True, eq=False)
class Comparison:
    """Plans in the order of their net, with what the common draws say of the order.

    Attributes:
        plans: Best first, N of them.
        measure: What net is told per.
        net: Central net of each, (N,), in the measure's unit.
        draws: Net in each of the common draws, (N, D).
        beats: P(row has less net than column), (N, N).
        ties: Group of each that the draws do not tell apart, from 1, (N,).
        reference: Number of the plan that the others are held against.
    """

    plans: tuple[Counted, ...]
    measure: Measure
    net: np.ndarray
    draws: np.ndarray
    beats: np.ndarray
    ties: tuple[int, ...]
    reference: int


@dataclass(frozen=True)
class Difference:
    """One amount minus another.

    Attributes:
        central: Of the central amounts.
        low, high: 5 and 95 % points of the difference draw by draw; NaN where there are no draws.
        p_less: Share of the draws in which the first is less; ties count half; NaN without draws.
    """

    central: float
    low: float
    high: float
    p_less: float

    @property
    def is_sure(self) -> bool:
        """Whether the difference has the same sign in nearly all draws."""
        return self.p_less >= SURE or self.p_less <= 1 - SURE


def compare(plans: Sequence[Counted], settings: CompareSettings | None = None) -> Comparison:
    """Ranks plans by net per area in common draws.

    Args:
        plans: At least two, counted alike in one region.
        settings: What net is told per, and the reference.

    Raises:
        SettingsError: No plan of the reference's name.
        InputError: Net per floor area was asked for, and a plan has no floors.
    """
    settings = settings or CompareSettings()
    measure = MEASURES[_per(plans, settings.per)]
    ranked = sorted(plans, key=lambda one: one.values[NET] * measure.scale(one))
    net = np.array([one.values[NET] * measure.scale(one) for one in ranked])
    draws = np.stack([one.draws[NET] * measure.scale(one) for one in ranked])
    snapped = [torch.from_numpy(row) for row in _snapped(draws)]
    names = [one.name for one in ranked]
    wanted = plans[0].name if settings.reference is None else settings.reference
    if wanted not in names:
        raise SettingsError(
            f"reference={wanted}: no plan of this name", f"use {', '.join(names[:8])}"
        )
    return Comparison(
        plans=tuple(ranked), measure=measure, net=net, draws=draws,
        beats=beat_matrix(snapped).numpy(), ties=tuple(tie_groups(snapped)),
        reference=names.index(wanted),
    )  # fmt: skip


def _per(plans: Sequence[Counted], asked: str) -> str:
    floorless = [p.name for p in plans if not p.values["gross_floor_area_m2"] > LEAST_M2]
    if asked == "floor" and floorless:
        raise InputError(f"{floorless[0]}: has no floors", "use per=site or per=plan")
    return ("site" if floorless else "floor") if asked == "auto" else asked


def _snapped(amounts: np.ndarray) -> np.ndarray:
    """Amounts in steps so small that only rounding is lost: it does not tell equal plans apart."""
    grain = ROUNDING * float(np.median(np.abs(amounts)))
    return np.round(amounts / grain) * grain if grain > 0 else amounts


def between(comparison: Comparison, a: int, b: int) -> Difference:
    """Net of plan number a minus that of plan number b."""
    low, high = np.quantile(comparison.draws[a] - comparison.draws[b], TAILS)
    central = float(comparison.net[a] - comparison.net[b])
    return Difference(central, float(low), float(high), float(comparison.beats[a, b]))


def quantity(one: Counted, other: Counted, name: str, *, measure: Measure | None) -> Difference:
    """How a plan differs from another in an indicator, a total or a flow.

    Args:
        one: The plan.
        other: What it is held against.
        name: Column of the scores.
        measure: What amounts of carbon are told per; None for an indicator.
    """
    scales = (1.0, 1.0) if measure is None else (measure.scale(one), measure.scale(other))
    central = amount(one, name) * scales[0] - amount(other, name) * scales[1]
    if np.isnan(central) or name not in one.draws or name not in other.draws:
        return Difference(central, np.nan, np.nan, np.nan)
    mine, theirs = one.draws[name] * scales[0], other.draws[name] * scales[1]
    low, high = np.quantile(mine - theirs, TAILS)
    pair = [torch.from_numpy(row) for row in _snapped(np.stack([mine, theirs]))]
    return Difference(central, float(low), float(high), beats(*pair))


def amount(one: Counted, name: str) -> float:
    """A value of a plan; a flow that its ledger does not hold is NaN, not assessed."""
    return one.values.get(name, float("nan"))


def percent(share: float) -> str:
    """A probability in words: certain only where it is, and exact where it is about to be sure."""
    if 0 < share < 0.005:
        return "< 1 %"
    if 0.995 < share < 1:
        return "> 99 %"
    is_close = min(abs(share - SURE), abs(share + SURE - 1)) < 0.01
    return f"{100 * share:.{1 if is_close else 0}f} %"


def finding(comparison: Comparison, a: int, b: int) -> str:
    """What the draws say of two plans, in words."""
    if not between(comparison, a, b).is_sure:
        return "the difference is not significant"
    better = a if comparison.beats[a, b] >= SURE else b
    return f"{comparison.plans[better].name} is better"


def quantities(comparison: Comparison) -> list[tuple[str, str, str]]:
    """Everything that is set side by side: (column, title, kind), form first, then carbon."""
    plans = comparison.plans
    form = [(name, NAMES[name], "form") for name in FORM]
    green = [(name, title, "green") for name, title in GREEN.items()]
    totals = [(NET, "Net", "total")]
    totals += [(column, kind.capitalize(), "total") for kind, column in KINDS.items()]
    flows = [(name, name, kind) for name, kind in flows_of(plans)]
    told = [*form, *green, *totals, *flows]
    return [row for row in told if any(not np.isnan(amount(one, row[0])) for one in plans)]


def comparison_table(comparison: Comparison) -> pd.DataFrame:
    """One row per plan and quantity, with the paired difference to the reference.

    `probability_less` is the share of common draws in which the plan has less than the reference.
    """
    against = comparison.plans[comparison.reference]
    rows = []
    for name, title, kind in quantities(comparison):
        is_carbon = kind not in ("form", "green")
        measure = comparison.measure if is_carbon else None
        for place, one in enumerate(comparison.plans):
            gap = quantity(one, against, name, measure=measure)
            scale = 1.0 if measure is None else measure.scale(one)
            low, high = _range(one, name, scale)
            rows.append(
                {
                    "plan": one.name,
                    "rank": place + 1,
                    "tie": comparison.ties[place],
                    "quantity": name,
                    "title": title,
                    "kind": kind,
                    "unit": _unit(name, kind, comparison.measure),
                    "value": amount(one, name) * scale,
                    "p05": low,
                    "p95": high,
                    "reference": against.name,
                    "difference": gap.central,
                    "difference_p05": gap.low,
                    "difference_p95": gap.high,
                    "probability_less": gap.p_less,
                    "significant": gap.is_sure,
                }
            )
    return pd.DataFrame(rows)


def _range(one: Counted, name: str, scale: float) -> tuple[float, float]:
    if name not in one.draws:
        return float("nan"), float("nan")
    low, high = np.quantile(one.draws[name] * scale, TAILS)
    return float(low), float(high)


def _unit(name: str, kind: str, measure: Measure) -> str:
    if kind in ("form", "green"):
        return "m²" if name.endswith("_m2") else "m" if name.endswith("_m") else ""
    return measure.stock_unit if kind == "stock" or name == KINDS["stock"] else measure.unit


def pairs_table(comparison: Comparison) -> pd.DataFrame:
    """One row per pair of plans, the better ranked one first."""
    names = [one.name for one in comparison.plans]
    parts = []
    for a, name in enumerate(names[:-1]):
        gaps = comparison.draws[a] - comparison.draws[a + 1 :]  # (N - a - 1, D)
        low, high = np.quantile(gaps, TAILS, axis=1)
        p_less = comparison.beats[a, a + 1 :]
        table = {
            "better": name,
            "other": names[a + 1 :],
            "unit": comparison.measure.unit,
            "difference": comparison.net[a] - comparison.net[a + 1 :],
            "difference_p05": low,
            "difference_p95": high,
            "probability": p_less,
            "significant": (p_less >= SURE) | (p_less <= 1 - SURE),
        }
        parts.append(pd.DataFrame(table))
    return pd.concat(parts, ignore_index=True)
