"""Buildings beside buildings and along streets: shared walls, nearness, plots, street profiles.

Names and definitions as in `form.morphology`. Lengths are in the unit of the coordinate system.
"""

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from fabricgen.errors import SettingsError
from fabricgen.form.morphology import building_shapes

JOIN_M = 0.01  # gaps below twice this do not part two walls
ROUND = 16  # pieces of a quarter circle around a corner that grows
SETBACK_M = 0.4  # walls step back this far before space is divided, so that neighbors do not touch
SPACING_M = 0.5  # of points along walls
TICK_M = 50.0  # a street is looked across over this width
STEP_M = 10.0  # between two looks
LEAST_M = 1e-9  # guards the direction of two equal points


def building_walls(footprints: gpd.GeoSeries) -> pd.DataFrame:
    """What each building shares with those that touch it.

    Returns:
        The index of `footprints`: `shared_walls_m`, the length of outline shared exactly;
        `shared_walls_joined_m`, the same with gaps below 2 cm closed; `contiguity_degree`,
        buildings that touch; `perimeter_wall_m` and `courtyards`, the outer outline and the
        enclosed yards of the whole row of touching buildings.
    """
    shape = footprints.to_numpy()
    one, other = _pairs(shape, "intersects")  # those that overlap by a rounding touch as well
    degree = np.bincount(one, minlength=len(shape))
    row = _rows(one, other, len(shape))
    blocks = [_joined(shape[row == n]) for n in range(row.max(initial=-1) + 1)]
    outer = np.array([shapely.length(shapely.get_exterior_ring(b)).sum() for b in blocks])[row]
    yards = np.array([shapely.get_num_interior_rings(b).sum() for b in blocks])[row]
    one, other = _pairs(shape, "touches")  # the outline of an overlap is no shared wall
    alone = shapely.length(shapely.get_exterior_ring(shape))
    shared = shapely.length(shapely.intersection(shape[one], shape[other]))
    columns = {
        "shared_walls_m": np.bincount(one, shared, minlength=len(shape)),
        "shared_walls_joined_m": _joined_walls(shape),
        "contiguity_degree": degree,
        "perimeter_wall_m": np.where(degree > 0, outer, alone),
        "courtyards": yards,
    }
    return pd.DataFrame(columns, index=footprints.index)


def building_nearness(footprints: gpd.GeoSeries, *, nearest: int = 5) -> pd.DataFrame:
    """Each building against those whose centroids are nearest.

    Args:
        footprints: At least `nearest` + 1 polygons.
        nearest: How many neighbors count.

    Returns:
        The index of `footprints`: `neighbor_distance_m`, mean distance between outlines;
        `adjacency_share`, rows of touching buildings per building among it and its neighbors;
        `alignment_deg`, mean difference of orientation.

    Raises:
        SettingsError: Fewer buildings than that.
    """
    shape = footprints.to_numpy()
    if len(shape) <= nearest:
        raise SettingsError(f"nearest: {nearest} of {len(shape)} buildings", "ask for fewer")
    middle = shapely.get_coordinates(shapely.centroid(shape))
    near = cKDTree(middle).query(middle, k=nearest + 1)[1]  # (N, 1 + nearest), itself first
    row = np.sort(_rows(*_pairs(shape, "intersects"), len(shape))[near], axis=1)
    rows = 1 + (np.diff(row, axis=1) > 0).sum(axis=1)
    turned = building_shapes(footprints)["orientation_deg"].to_numpy()
    away = shapely.distance(shape[near[:, :1]], shape[near[:, 1:]])
    columns = {
        "neighbor_distance_m": away.mean(axis=1),
        "adjacency_share": rows / near.shape[1],
        "alignment_deg": np.abs(turned[near[:, 1:]] - turned[:, None]).mean(axis=1),
    }
    return pd.DataFrame(columns, index=footprints.index)


def building_plots(footprints: gpd.GeoSeries, *, reach_m: float = 50.0) -> gpd.GeoSeries:
    """The ground nearest to each building, as far as `reach_m` from any: its share of the space.

    Morphological tessellation (Fleischmann et al. 2020, Computers, Environment and Urban Systems
    80, 101441): Voronoi cells of points along walls set back a little, joined per building.
    """
    shape = footprints.to_numpy()
    inner = shapely.buffer(shape, -SETBACK_M, join_style="mitre")
    # What is thinner than two setbacks keeps its own outline.
    walls = shapely.boundary(np.where(shapely.is_empty(inner), shape, inner))
    points, owner = shapely.get_coordinates(shapely.segmentize(walls, SPACING_M), return_index=True)
    points, first = np.unique(points, axis=0, return_index=True)
    limit = shapely.union_all(shapely.buffer(shape, reach_m))
    cells = shapely.get_parts(
        shapely.voronoi_polygons(shapely.multipoints(points), extend_to=limit, ordered=True)
    )
    whole = gpd.GeoSeries(cells, crs=footprints.crs).groupby(owner[first])
    plots = whole.apply(shapely.coverage_union_all).reindex(range(len(shape)))
    return gpd.GeoSeries(
        shapely.intersection(plots.to_numpy(), limit), index=footprints.index, crs=footprints.crs
    )


def street_profiles(streets: gpd.GeoSeries, footprints: gpd.GeoSeries) -> pd.DataFrame:
    """How wide, open and even the space of each street is, looked at across every 10 m.

    Returns:
        The index of `streets`: `profile_width_m`, mean distance to the buildings on the left plus
        that on the right, half the look where none is met; `profile_openness`, share of looks that
        meet none, where both ends of a street lie in the open; `profile_width_deviation_m`,
        standard deviation of the distances met.
    """
    eyes, owner = shapely.get_coordinates(
        shapely.segmentize(streets.to_numpy(), STEP_M), return_index=True
    )
    left = _left_of(eyes, owner) * (TICK_M / 2)
    away = np.stack(
        [_first_wall_m(eyes, eyes + side, footprints) for side in (left, -left)], axis=1
    )
    looks = pd.DataFrame({"left": away[:, 0], "right": away[:, 1]}).groupby(owner)
    both = pd.Series(away.ravel()).groupby(np.repeat(owner, 2))
    columns = {
        "profile_width_m": looks.mean().fillna(TICK_M / 2).sum(axis=1),
        "profile_openness": 1 - both.count() / both.size(),
        "profile_width_deviation_m": both.std(ddof=0),
    }
    return pd.DataFrame(columns).set_index(streets.index)


def _pairs(shape: np.ndarray, predicate: str) -> tuple[np.ndarray, np.ndarray]:
    """Ordered pairs of different shapes."""
    one, other = shapely.STRtree(shape).query(shape, predicate=predicate)
    return one[one != other], other[one != other]


def _rows(one: np.ndarray, other: np.ndarray, count: int) -> np.ndarray:
    """Number of the row of touching buildings of each, (N,)."""
    links = sparse.coo_array((np.ones(len(one)), (one, other)), shape=(count, count))
    return connected_components(links, directed=False)[1]


def _joined(shape: np.ndarray) -> np.ndarray:
    return shapely.get_parts(shapely.union_all(shapely.buffer(shape, JOIN_M, quad_segs=ROUND)))


def _joined_walls(shape: np.ndarray) -> np.ndarray:
    # Grown outlines overlap in slivers along a shared wall, twice as long as the wall.
    grown = shapely.buffer(shape, JOIN_M, quad_segs=ROUND)
    one, other = _pairs(grown, "intersects")
    around = shapely.length(shapely.intersection(grown[one], grown[other]))
    walls = np.bincount(one, around, minlength=len(shape)) / 2 - 2 * JOIN_M
    return np.clip(walls, 0, shapely.length(shape))


def _left_of(points: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """Unit vectors to the left of lines at their vertices, (N, 2); zero at both ends of a line."""
    inner = np.zeros(len(owner), dtype=bool)
    inner[1:-1] = (owner[1:-1] == owner[:-2]) & (owner[1:-1] == owner[2:])
    way = np.append(np.diff(points, axis=0), [[0.0, 0.0]], axis=0)
    way /= np.maximum(np.hypot(way[:, 0], way[:, 1]), LEAST_M)[:, None]
    return np.where(inner[:, None], np.stack([-way[:, 1], way[:, 0]], axis=1), 0.0)


def _first_wall_m(eyes: np.ndarray, ends: np.ndarray, footprints: gpd.GeoSeries) -> np.ndarray:
    """Distance from each eye to the first building toward its end, (N,); NaN where none is."""
    shape = footprints.to_numpy()
    looks = shapely.linestrings(np.stack([eyes, ends], axis=1))
    look, met = shapely.STRtree(shape).query(looks, predicate="intersects")
    away = shapely.distance(
        shapely.intersection(looks[look], shape[met]), shapely.points(eyes[look])
    )
    first = np.full(len(eyes), np.inf)
    np.minimum.at(first, look, away)
    return np.where(np.isinf(first), np.nan, first)
