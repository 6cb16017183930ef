"""The drawn plan brought to the brief: coverage, floors, trees, green, in that order.

Each step moves as little as it can and none is forced: what stays out of reach is returned with the
nearest that was reached and the reason. A plan that already meets its brief is returned as it came.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import geopandas as gpd
import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from fabricgen.form.indicators import of_plan
from fabricgen.plan import Plan
from fabricgen.vectorize.buildings import narrow_m
from fabricgen.vectorize.close_coverage import TOUCH_M, close_coverage
from fabricgen.vectorize.close_ground import close_green, close_trees, follow_walls, tree_area
from fabricgen.vectorize.drawing import NOWHERE
from fabricgen.vectorize.rectangles import groups_of
from fabricgen.vectorize.settings import DrawSettings

Range = tuple[float, float]

# How near to an ask counts as met: relative for far, coverage and height, points for the shares.
TOLERANCE = {
    "far": 0.01,
    "site_coverage": 0.03,
    "green_ratio": 0.02,
    "mean_height_m": 0.05,
    "road_share": 0.03,
    "tree_share": 0.02,
}
RELATIVE = ("far", "site_coverage", "mean_height_m")
AIM = {"far": 0.003, "site_coverage": 0.01, "green_ratio": 0.005, "tree_share": 0.005}
STRAY = 2.0  # storeys by which one building may leave the common scale
STRAY_SHARE = 0.3
STEPS = 400  # changes of single storeys at most

WHY = {
    "far": "storeys change by at most half or double and by whole storeys",
    "site_coverage": "footprints scale by at most {scale:.0%}, walls move out by a few meters, and "
    "they keep off streets, the site's edge and each other",
    "green_ratio": "no more ground may change without touching walls, streets or ways",
    "mean_height_m": "height follows from floor area and coverage, which come first",
    "road_share": "streets stay as they were drawn",
    "tree_share": "trees stand apart, off walls and streets",
}


@dataclass(frozen=True)
class Unmet:
    """An ask that stayed out of reach."""

    name: str
    asked: Range
    nearest: float
    why: str


@dataclass(frozen=True, eq=False)
class Closed:
    """A plan as near to its brief as it gets, and what it misses."""

    plan: Plan
    unmet: tuple[Unmet, ...]


def close_brief(
    plan: Plan,
    asks: Mapping[str, Range],
    *,
    no_build: BaseGeometry = NOWHERE,
    seed: int = 0,
    settings: DrawSettings | None = None,
) -> Closed:
    """Bring a plan to the asks by small changes.

    Args:
        plan: A drawn plan that passes `check_plan`.
        asks: Range (low, high) by indicator, on the site; a value has low == high.
        no_build: Ground on which no wall may come to stand.
        seed: Of the choice of trees.
        settings: Setbacks, storey height, limits of change.

    Returns:
        The changed plan, and the asks that it misses.
    """
    settings = settings or DrawSettings()
    before = plan.buildings.union_all()

    # Walls: coverage first, floor area by whole storeys, and a last gentle scaling for it.
    asked = _with_implied(dict(asks), settings)
    if "site_coverage" in asked:
        span = _aim("site_coverage", asked["site_coverage"], _coverage(plan))
        if span is not None:
            plan = close_coverage(plan, *span, no_build=no_build, settings=settings)
    asked = _floors_from_height(plan, asked, settings)
    if "far" in asked:
        plan = close_floors(plan, asked["far"], settings=settings)
        plan = _fit_far(plan, asked, no_build, settings)
    plan = follow_walls(plan, before)

    # Ground: trees first, because they count as green.
    if "tree_share" in asks:
        span = _aim("tree_share", asks["tree_share"], tree_area(plan) / plan.site.area)
        if span is not None:
            plan = close_trees(plan, *span, seed=seed, settings=settings)
    if "green_ratio" in asks:
        now = float(plan.green.geometry.area.sum()) / plan.site.area
        span = _aim("green_ratio", asks["green_ratio"], now)
        if span is not None:
            plan = close_green(plan, *span, settings=settings)
    return Closed(plan, _unmet(plan, asks, settings))


def close_floors(plan: Plan, asked: Range, *, settings: DrawSettings) -> Plan:
    """Whole storeys changed until the floor area ratio is in a range.

    All buildings scale alike first, which keeps who is taller than whom; then touching buildings of
    equal height rise or fall together by a storey, and single ones only if that is too coarse.
    """
    table = plan.buildings
    areas = table["footprint_m2"].to_numpy()
    start = _floors(table, settings)
    now = float((areas * start).sum()) / plan.site.area
    span = _aim("far", asked, now)
    if span is None or len(table) == 0 or not areas.sum():
        return plan
    goal_m2 = float(np.clip(now, *span)) * plan.site.area
    ideal = start * goal_m2 / (now * plan.site.area)
    # Houses may be lower than they were meant; far higher ones would ask for other footprints.
    least = np.maximum(1, np.floor(np.minimum(start * 0.5, ideal * 0.75)))
    most = np.minimum(settings.max_floors, np.maximum(np.ceil(start * 2.0), start + 3))
    narrow = np.array([narrow_m(shape) for shape in table.geometry])
    most = np.clip(narrow * settings.slenderness // settings.storey_m, start, most)
    floors = np.clip(np.rint(ideal), least, most)
    groups = groups_of(table.geometry.to_numpy(), TOUCH_M)
    blocks = _blocks(groups, start)
    for units in (blocks, np.arange(len(start))):
        floors = _step_floors(floors, areas, units, goal_m2, (least, most, ideal))
    changed = table.copy()
    changed["floors"] = floors
    changed["height_m"] = floors * settings.storey_m
    return replace(plan, buildings=changed)


def _step_floors(
    floors: np.ndarray,
    areas: np.ndarray,
    units: np.ndarray,
    goal_m2: float,
    limits: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> np.ndarray:
    """Raise or lower units by single storeys while that brings the floor area nearer its goal."""
    least, most, ideal = limits
    count = units.max() + 1
    size = np.bincount(units, areas)
    floors = floors.copy()
    for _ in range(STEPS):
        missing = goal_m2 - float((areas * floors).sum())
        up = 1.0 if missing > 0 else -1.0
        after = floors + up
        possible = (after >= least) & (after <= most)
        possible &= np.abs(after - ideal) <= np.maximum(STRAY, STRAY_SHARE * ideal)
        may = np.bincount(units, ~possible, count) == 0
        gain = abs(missing) - np.abs(abs(missing) - size)  # how much nearer one step comes
        if not np.any(may & (gain > 1e-9)):
            break
        # Of the useful steps, the one that strays least from the scaled heights, then the largest.
        stray = np.bincount(units, np.abs(after - ideal) * areas, count) / size
        score = np.where(may & (gain > 1e-9), gain / size - 0.5 * np.maximum(stray - 0.5, 0), -9e9)
        best = int(score.argmax())
        floors[units == best] += up
    return floors


def _blocks(groups: np.ndarray, floors: np.ndarray) -> np.ndarray:
    """Touching buildings of equal height share a number."""
    pairs = np.stack([groups, floors.astype(int)], axis=1)
    return np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)


def _floors(table: gpd.GeoDataFrame, settings: DrawSettings) -> np.ndarray:
    floors = table["floors"].to_numpy(dtype=float)
    guess = np.rint(table["height_m"].to_numpy(dtype=float) / settings.storey_m)
    floors = np.where(np.isnan(floors), guess, floors)
    return np.maximum(1.0, np.where(np.isnan(floors), settings.default_floors, np.rint(floors)))


def _fit_far(
    plan: Plan, asked: Mapping[str, Range], no_build: BaseGeometry, settings: DrawSettings
) -> Plan:
    """Footprints scaled by a hair for the floor area that whole storeys leave missing."""
    floor_m2 = plan.buildings["footprint_m2"] * plan.buildings["floors"]
    now = float(floor_m2.sum()) / plan.site.area
    span = _aim("far", asked["far"], now)
    if span is None or now == 0:
        return plan
    coverage = _coverage(plan)
    wanted = coverage * float(np.clip(now, *span)) / now
    if "site_coverage" in asked:
        low, high = asked["site_coverage"]
        slack = TOLERANCE["site_coverage"] * 0.8
        # Where coverage is out of reach anyway, floor area comes first, by as much again.
        if not low * (1 - slack) <= coverage <= high * (1 + slack):
            low, high = min(low, coverage), max(high, coverage)
        wanted = float(np.clip(wanted, low * (1 - slack), high * (1 + slack)))
    return close_coverage(plan, wanted, wanted, no_build=no_build, settings=settings, gentle=True)


def _coverage(plan: Plan) -> float:
    return float(shapely.area(plan.buildings.geometry.to_numpy()).sum()) / plan.site.area


def _with_implied(asked: dict[str, Range], settings: DrawSettings) -> dict[str, Range]:
    """Floor area and mean height together say what the coverage must be, if that is free."""
    if "far" in asked and "mean_height_m" in asked and "site_coverage" not in asked:
        (low, high), (shallow, tall) = asked["far"], asked["mean_height_m"]
        span = (low * settings.storey_m / max(tall, 1e-6), high * settings.storey_m / shallow)
        asked["site_coverage"] = span
    return asked


def _floors_from_height(
    plan: Plan, asked: dict[str, Range], settings: DrawSettings
) -> dict[str, Range]:
    """A mean height alone asks for the floor area of as many storeys on what is built."""
    if "mean_height_m" in asked and "far" not in asked:
        storeys = (height / settings.storey_m for height in asked["mean_height_m"])
        low, high = (_coverage(plan) * count for count in storeys)
        return {**asked, "far": (low, high)}
    return asked


def _aim(name: str, asked: Range, now: float) -> Range | None:
    """What to bring a value into, or None where it is near enough.

    A value is met within a part of its tolerance; the end of a range is met from inside.
    """
    low, high = asked
    slack = AIM[name] * (low if name in RELATIVE else 1.0)
    if low == high:
        return None if abs(now - low) <= slack else (low, high)
    if low - 1e-12 <= now <= high + 1e-12:
        return None
    inset = min(slack, (high - low) / 2)
    return low + inset, high - inset


def _unmet(plan: Plan, asks: Mapping[str, Range], settings: DrawSettings) -> tuple[Unmet, ...]:
    got = of_plan(plan)
    missed = []
    for name, (low, high) in asks.items():
        slack = TOLERANCE[name] * (max(abs(low), 1e-9) if name in RELATIVE else 1.0)
        if max(low - got[name], got[name] - high, 0.0) > slack:
            why = WHY[name].format(scale=settings.scale_share)
            if name != "road_share" and len(plan.buildings) == 0 and name in RELATIVE:
                why = "there is no building to change"
            missed.append(Unmet(name, (low, high), got[name], why))
    return tuple(missed)
