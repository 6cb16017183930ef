"""Descriptors of buildings: how many, how large, of what shape, and how they stand to each other.

Relations (walls along the street, walls in one line, equal turns) see disorder that means of shape
and size do not.
"""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely
from scipy.spatial import cKDTree

from fabricgen.form.morphology import building_shapes
from fabricgen.quality.drawn import Drawn, nearest_m

SIMPLER_M = 0.5  # outlines are simplified by this before corners and walls are counted
NEIGHBORS = 3
JOINED_M = 0.5
FRONT_M = 1.5  # a facade this much farther from the street than the nearest point is the front too
LONG_SHARE = 0.98  # of the longest wall of a building
LINE_M = 1.0  # two wall lines this near are one
PARALLEL = 0.996  # cosine of 5 degrees
TOUCH_M = 0.1  # a facade this near to hard ground stands on it
NAN = float("nan")


def building_descriptors(drawn: Drawn) -> dict[str, float]:
    """The descriptors `bld.*`; a mean over no building is NaN."""
    shape = drawn.building
    area_m2 = shapely.area(shape)
    site_m2 = drawn.site.area
    known = ~np.isnan(drawn.height_m)
    return {
        "bld.count_ha": len(shape) / drawn.area_ha,
        "bld.cover": drawn.built.area / site_m2,
        "bld.far": float(np.nansum(area_m2 * drawn.floors)) / site_m2,
        "bld.area_med": _median(area_m2),
        "bld.area_p90": float(np.quantile(area_m2, 0.9)) if len(shape) else NAN,
        **_shapes(shape),
        **_relations(drawn),
        **_heights(drawn.height_m[known], area_m2[known]),
    }


def _shapes(shape: np.ndarray) -> dict[str, float]:
    if not len(shape):
        names = ("eri", "convexity", "elongation", "court", "corners")
        return dict.fromkeys([f"bld.{name}" for name in names], NAN)
    table = building_shapes(gpd.GeoSeries(shape))
    simple = building_shapes(gpd.GeoSeries(shapely.simplify(shape, SIMPLER_M)))
    court_m2 = float(table["courtyard_area_m2"].sum())
    return {
        "bld.eri": float(table["equivalent_rectangular_index"].mean()),
        "bld.convexity": float(table["convexity"].mean()),
        "bld.elongation": float(table["elongation"].mean()),
        "bld.court": court_m2 / (court_m2 + float(table["area_m2"].sum())),
        "bld.corners": float(simple["corners"].mean()),
    }


def _heights(height_m: np.ndarray, area_m2: np.ndarray) -> dict[str, float]:
    if not len(height_m):
        return {"bld.height_mean": NAN, "bld.height_sd": NAN}
    mean = float(np.average(height_m, weights=area_m2))
    spread = float(np.average((height_m - mean) ** 2, weights=area_m2)) ** 0.5
    return {"bld.height_mean": mean, "bld.height_sd": spread}


def _relations(drawn: Drawn) -> dict[str, float]:
    shape, facades = drawn.building, drawn.facades
    start, end, owner = walls(shape)
    frame = _resultants(end - start, owner, len(shape))
    whole = np.abs(frame.sum()) / _length(end - start).sum() if len(start) else NAN
    turn = np.angle(frame) / 4
    near = _neighbors(shape)
    gap_m = _gaps(shape)
    to_hard = nearest_m(facades.point, drawn.hard)
    to_street = nearest_m(facades.point, drawn.carriageway)
    return {
        "bld.wall_order": float(whole),
        "bld.align_street": _mean(_turn_deg(turn - _toward_street(drawn))),
        "bld.align_nb": _mean(_turn_deg(turn[:, None] - _take(turn, near))),
        "bld.front_parallel": _front(to_street, facades.owner),
        "bld.collinear": _collinear(start, end, owner, near),
        "bld.on_street": _share(to_hard <= TOUCH_M, ~np.isnan(to_hard)),
        "bld.gap": _median(gap_m),
        "bld.joined": _share(gap_m <= JOINED_M, np.ones(len(gap_m), bool)),
        "bld.setback": _median(to_hard[~np.isnan(to_hard)]),
    }


def walls(shape: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges of simplified outlines: starts (N, 2), ends (N, 2) and the building of each, (N,)."""
    rings, owner = shapely.get_parts(
        shapely.boundary(shapely.simplify(shape, SIMPLER_M)), return_index=True
    )
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    edge = np.flatnonzero(np.diff(ring) == 0)
    return xy[edge], xy[edge + 1], owner[ring[edge]]


def resultant(way: np.ndarray) -> np.ndarray:
    """Length times exp(4 i angle) of directions (N, 2): walls at right angles add up."""
    return _length(way) * np.exp(4j * np.arctan2(way[:, 1], way[:, 0]))


def _resultants(way: np.ndarray, owner: np.ndarray, count: int) -> np.ndarray:
    """Sum over the walls of each building, (count,) complex."""
    z = resultant(way)
    real, imaginary = (np.bincount(owner, part, minlength=count) for part in (z.real, z.imag))
    return real + 1j * imaginary


def _length(way: np.ndarray) -> np.ndarray:
    return np.hypot(way[:, 0], way[:, 1])


def _turn_deg(angle: np.ndarray) -> np.ndarray:
    """Angles between two frames of right angles, 0…45 degrees."""
    return np.abs((np.degrees(angle) + 45) % 90 - 45)


def _neighbors(shape: np.ndarray) -> np.ndarray:
    """Buildings whose centroids are nearest, (N, 3); -1 where there are not so many."""
    near = np.full((len(shape), NEIGHBORS), -1)
    if len(shape) > 1:
        middle = shapely.get_coordinates(shapely.centroid(shape))
        many = min(NEIGHBORS, len(shape) - 1)
        near[:, :many] = cKDTree(middle).query(middle, k=many + 1)[1][:, 1:]
    return near


def _take(values: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Values of neighbors, NaN where there is none."""
    return np.where(near >= 0, values[near] if len(values) else np.zeros(near.shape), NAN)


def _gaps(shape: np.ndarray) -> np.ndarray:
    """Distance of each building to the nearest other, (N,); empty where there is but one."""
    if len(shape) < 2:
        return np.zeros(0)
    (owner, _), found = shapely.STRtree(shape).query_nearest(
        shape, exclusive=True, return_distance=True, all_matches=False
    )
    gap_m = np.zeros(len(shape))
    gap_m[owner] = found
    return gap_m


def _toward_street(drawn: Drawn) -> np.ndarray:
    """Angle of the way from each centroid to the nearest carriageway, (N,); NaN where none is."""
    angle = np.full(len(drawn.building), NAN)
    if not len(drawn.carriageway) or not len(angle):
        return angle
    middle = shapely.centroid(drawn.building)
    owner, street = shapely.STRtree(drawn.carriageway).query_nearest(middle, all_matches=False)
    lines = shapely.shortest_line(middle[owner], drawn.carriageway[street])
    xy = shapely.get_coordinates(lines).reshape(-1, 2, 2)
    way = xy[:, 1] - xy[:, 0]
    # From the middle of a carriageway no way leads to it.
    angle[owner] = np.where(_length(way) > TOUCH_M, np.arctan2(way[:, 1], way[:, 0]), NAN)
    return angle


def _front(to_street_m: np.ndarray, owner: np.ndarray) -> float:
    """Mean over buildings of the share of facade that is hardly farther than its nearest point."""
    seen = ~np.isnan(to_street_m)
    if not seen.any():
        return NAN
    _, owner = np.unique(owner[seen], return_inverse=True)
    least = np.full(owner.max() + 1, np.inf)
    np.minimum.at(least, owner, to_street_m[seen])
    front = to_street_m[seen] <= least[owner] + FRONT_M
    return float((np.bincount(owner, front) / np.bincount(owner)).mean())


def _collinear(start: np.ndarray, end: np.ndarray, owner: np.ndarray, near: np.ndarray) -> float:
    """Share of buildings whose longest wall continues that of a neighbor.

    Walls hardly shorter than the longest count as well: of a box both long walls do.
    """
    if len(near) < 2:
        return NAN
    length_m = _length(end - start)
    longest = np.zeros(len(near))
    np.maximum.at(longest, owner, length_m)
    long = np.flatnonzero(length_m >= LONG_SHARE * longest[owner])
    start, end, owner = start[long], end[long], owner[long]
    way = (end - start) / np.maximum(length_m[long], 1e-9)[:, None]
    middle = (start + end) / 2

    # Every long wall against every long wall of the three neighbors.
    first, count = (
        np.searchsorted(owner, np.arange(len(near))),
        np.bincount(owner, minlength=len(near)),
    )
    wall, other = np.repeat(np.arange(len(owner)), NEIGHBORS), near[owner].ravel()
    wall, other = wall[other >= 0], other[other >= 0]
    many = count[other]
    step = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
    wall, facing = np.repeat(wall, many), np.repeat(first[other], many) + step
    apart = middle[facing] - start[wall]
    off_m = np.abs(apart[:, 0] * way[wall, 1] - apart[:, 1] * way[wall, 0])
    parallel = np.abs((way[facing] * way[wall]).sum(axis=1))
    met = np.zeros(len(near), bool)
    met[owner[wall[(off_m <= LINE_M) & (parallel > PARALLEL)]]] = True
    return float(met.mean())


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else NAN


def _mean(values: np.ndarray) -> float:
    known = ~np.isnan(values)
    return float(values[known].mean()) if known.any() else NAN


def _share(yes: np.ndarray, known: np.ndarray) -> float:
    return float(yes[known].mean()) if known.any() else NAN
