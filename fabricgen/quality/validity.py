"""Faults that a plan must not have: overlaps, houses on streets, slivers, houses out of reach.

Maps of real cities have faults too: each share stands beside that of real plans.
"""

from __future__ import annotations

import numpy as np
import shapely
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from fabricgen.plan import LAYERS, Plan
from fabricgen.quality.drawn import broken, mended
from fabricgen.quality.maps import EIGHT, FOUR, city_map
from fabricgen.quality.places import Place
from fabricgen.surfaces import BARE, BIT, GRASS, PAVED, ROAD
from fabricgen.vectorize.drawing import to_frame

# What still counts as clean.
CLEAN = {
    "validity.overlap": 0.001,
    "validity.on_road": 0.005,
    "validity.out_of_site": 1e-6,
    "validity.partition": 0.001,
    "validity.invalid": 0.0,
    "validity.unreachable": 0.02,
    "validity.sliver": 0.02,
    "validity.road_islands": 0.02,
    "validity.pinch": 0.05,
}
FACES = ("buildings", "paved", "water", "green")
SLIVER_M2, THIN_M = 20.0, 1.5
PINCH_M = (0.5, 3.0)
WALK_M = 60
DOOR_M = 4.0  # from a wall to ground on which one walks
NAN = float("nan")


def validity_measures(
    plan: Plan, place: Place, *, labels: np.ndarray | None = None
) -> dict[str, float]:
    """Share of each fault, and `validity.clean`: 1 if all stay below their limits, else 0.

    Args:
        plan: What is judged.
        place: Its site.
        labels: Its `city_map`, where the caller has it.
    """
    faulty = sum(int(broken(getattr(plan, name).geometry.to_numpy()).sum()) for name in LAYERS)
    plan = mended(plan) if faulty else plan
    labels = city_map(plan, place) if labels is None else labels
    shape = plan.buildings.geometry.to_numpy()
    found = {**_faults(plan, shape), **_streets(plan, shape, place, labels)}
    found["validity.invalid"] = float(faulty)
    found["validity.sliver"] = _share(
        (shapely.area(shape) < SLIVER_M2) | shapely.is_empty(shapely.buffer(shape, -THIN_M))
    )
    found["validity.pinch"] = _pinches(shape)
    found = {key: found[key] for key in CLEAN}
    clean = all(not found[key] > limit for key, limit in CLEAN.items())  # NaN: nothing to fault
    return found | {"validity.clean": float(clean)}


def _faults(plan: Plan, shape: np.ndarray) -> dict[str, float]:
    footprint_m2 = float(shapely.area(shape).sum())
    one, other = shapely.STRtree(shape).query(shape, predicate="intersects")
    pair = one < other
    shared = shapely.intersection(shape[one[pair]], shape[other[pair]])
    overlap_m2 = float(shapely.area(shared).sum())
    on_road = shapely.intersection(shapely.union_all(shape), plan.carriageways).area
    faces = np.concatenate([getattr(plan, name).geometry.to_numpy() for name in FACES])
    out_m2 = shapely.difference(shapely.union_all(faces), plan.site).area
    each_m2 = float(shapely.area(shapely.intersection(faces, plan.site)).sum())
    road = plan.carriageways
    twice_m2 = each_m2 + road.area - shapely.union_all([*faces, road]).intersection(plan.site).area
    return {
        "validity.overlap": overlap_m2 / footprint_m2 if footprint_m2 else NAN,
        "validity.on_road": on_road / footprint_m2 if footprint_m2 else NAN,
        "validity.out_of_site": out_m2 / plan.site.area,
        "validity.partition": max(0.0, twice_m2) / plan.site.area,
    }


def _streets(plan: Plan, shape: np.ndarray, place: Place, labels: np.ndarray) -> dict[str, float]:
    """Houses that no street outside the site can be reached from, and streets that lead nowhere."""
    inside, road = place.inside, labels == BIT[ROAD]
    part, count = ndimage.label(road, structure=EIGHT)
    if not (road & ~inside).any():
        return {"validity.unreachable": NAN, "validity.road_islands": NAN}
    outer = np.isin(np.arange(count + 1), np.unique(part[road & ~inside]))
    outer[0] = False
    linked = outer[part]
    own_m2 = int((road & inside).sum())
    islands = float((road & inside & ~linked).sum()) / own_m2 if own_m2 else NAN

    # Ground of which nobody knows what it is may be walked on; so may open ground around.
    walk = linked | (labels == 0) | ~np.isin(labels, BIT)
    for surface in (PAVED, GRASS, BARE):
        walk |= labels == BIT[surface]
    reached = linked.copy()
    for step in range(WALK_M):
        reached = ndimage.binary_dilation(reached, FOUR if step % 2 else EIGHT, mask=walk | linked)
    reachable = [_near(reached, to_frame(one, place.tile.frame)) for one in shape]
    return {
        "validity.unreachable": _share(~np.array(reachable, bool)),
        "validity.road_islands": islands,
    }


def _near(reached: np.ndarray, building: BaseGeometry) -> bool:
    """Whether ground that was reached lies within 4 m of a wall."""
    west, north, east, south = building.bounds
    low_col, low_row = (max(0, int(x - DOOR_M)) for x in (west, north))
    view = reached[low_row : int(south + DOOR_M) + 1, low_col : int(east + DOOR_M) + 1]
    row, col = np.nonzero(view)
    return bool(
        shapely.dwithin(
            building, shapely.multipoints(np.column_stack([col + low_col, row + low_row]) + 0.5),
            DOOR_M,
        )
        if len(row)
        else False
    )  # fmt: skip


def _pinches(shape: np.ndarray) -> float:
    if not len(shape):
        return NAN
    one, other = shapely.STRtree(shape).query(shape, predicate="dwithin", distance=PINCH_M[1])
    pair = one < other
    gap_m = shapely.distance(shape[one[pair]], shape[other[pair]])
    return float((gap_m >= PINCH_M[0]).sum()) / len(shape)


def _share(yes: np.ndarray) -> float:
    return float(yes.mean()) if len(yes) else NAN
