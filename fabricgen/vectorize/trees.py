"""Single trees: where stems stand, and the crowns that together are the canopy."""

from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from rasterio import features
from scipy.spatial import cKDTree
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from fabricgen.vectorize.settings import DrawSettings
from fabricgen.vectorize.walls import parts

CROWN_SIDES = 16
SCALE_ROUNDS = 10
SAMPLE_M = 1.0  # grid on which the canopy is measured while its size is sought
HEIGHT_PER_CROWN = 1.4  # how tall a tree is drawn for the width of its crown
GAP_M2 = 4.0  # gaps between crowns smaller than this belong to the canopy


@dataclass(frozen=True, eq=False)
class Trees:
    """Stems with their crowns, in whatever coordinates they came."""

    place: np.ndarray  # (N, 2)
    crown_m: np.ndarray  # (N,) diameters

    @property
    def height_m(self) -> np.ndarray:
        """Drawn height of each tree, (N,)."""
        return HEIGHT_PER_CROWN * self.crown_m


def plant(
    mask: np.ndarray,
    pixel_m: float,
    *,
    region: BaseGeometry,
    rng: np.random.Generator,
    settings: DrawSettings,
) -> Trees:
    """Trees whose canopy covers about as much ground as a mask of tree pixels.

    Args:
        mask: Tree pixels, (H, W) bool.
        pixel_m: Edge of a pixel.
        region: Ground that crowns may cover, in frame coordinates.
        rng: Source of every chance.
        settings: Crowns and spacing.
    """
    rows, cols = np.nonzero(mask)
    jitter = rng.uniform(-0.3, 0.3, (len(rows), 2))
    points = (np.stack([cols, rows], axis=1) + 0.5 + jitter) * pixel_m
    points = points[_may_stand(points, region, settings)]
    wanted_m2 = len(rows) * pixel_m**2
    # Wide stands first; if their largest crowns cannot fill the mask, younger trees between them.
    order = rng.permutation(len(points))
    chosen = spaced(points[order], settings.tree_spacing_m)
    trees, got_m2 = _grow(points[order][chosen], wanted_m2, region, rng, settings)
    if got_m2 < 0.97 * wanted_m2:
        chosen = spaced(points[order], 0.72 * settings.tree_spacing_m)
        trees, _ = _grow(points[order][chosen], wanted_m2, region, rng, settings)
    return trees


def spaced(points: np.ndarray, spacing_m: float, taken: np.ndarray | None = None) -> np.ndarray:
    """Indices of points kept in turn if none kept before is nearer than the spacing."""
    if len(points) == 0:
        return np.zeros(0, dtype=int)
    tree = cKDTree(points)
    pairs = tree.query_pairs(spacing_m, output_type="ndarray")  # (n, 2), first < second
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    first = np.searchsorted(pairs[:, 0], np.arange(len(points) + 1))
    blocked = np.zeros(len(points), dtype=bool)
    if taken is not None and len(taken):
        blocked = cKDTree(taken).query(points)[0] < spacing_m
    kept = []
    for k in range(len(points)):
        if not blocked[k]:
            kept.append(k)
            blocked[pairs[first[k] : first[k + 1], 1]] = True
    return np.array(kept, dtype=int)


def crowns(trees: Trees, region: BaseGeometry) -> np.ndarray:
    """The part of each crown that lies over the region around its stem, (N,) geometries."""
    angle = np.arange(CROWN_SIDES) * 2 * np.pi / CROWN_SIDES
    # A polygon of as much area as the circle it stands for.
    reach = trees.crown_m / 2 * np.sqrt(2 * np.pi / (CROWN_SIDES * np.sin(2 * np.pi / CROWN_SIDES)))
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)  # (16, 2)
    discs = shapely.polygons(trees.place[:, None] + reach[:, None, None] * circle[None])
    shapely.prepare(region)
    cut = ~shapely.contains_properly(region, discs)
    discs[cut] = shapely.intersection(discs[cut], region)
    several = np.flatnonzero(shapely.get_num_geometries(discs) > 1)
    for k in several:
        stem = shapely.Point(trees.place[k])
        discs[k] = min(shapely.get_parts(discs[k]), key=stem.distance)
    return discs


def canopy(trees: Trees, region: BaseGeometry) -> BaseGeometry:
    """The ground that crowns cover, without the small gaps between them."""
    if len(trees.place) == 0:
        return Polygon()
    joined = parts(shapely.union_all(crowns(trees, region)))
    gaps = [
        gap
        for part in joined
        for ring in part.interiors
        if (gap := Polygon(ring)).area < GAP_M2 and region.contains(gap)
    ]
    return shapely.union_all([*joined, *gaps]) if gaps else shapely.multipolygons(joined)


def _may_stand(points: np.ndarray, region: BaseGeometry, settings: DrawSettings) -> np.ndarray:
    ground = region.buffer(-settings.stem_gap_m, quad_segs=2)
    shapely.prepare(ground)
    return shapely.contains_xy(ground, points[:, 0], points[:, 1])


def _grow(
    place: np.ndarray,
    wanted_m2: float,
    region: BaseGeometry,
    rng: np.random.Generator,
    settings: DrawSettings,
) -> tuple[Trees, float]:
    """Give stems crowns of mixed sizes whose canopy has the wanted area, as far as they can.

    Returns:
        The trees and their canopy's area. [m²].
    """
    mixed = rng.uniform(0.85, 1.15, len(place))
    middle = (settings.crown_min_m + settings.crown_max_m) / 2
    sample, stem, distance_m = _shaded(place, region, settings.crown_max_m / 2)

    def sized(size: float, count: int) -> Trees:
        crown = np.clip(mixed[:count] * size, settings.crown_min_m, settings.crown_max_m)
        return Trees(place[:count], crown)

    def area_m2(size: float, count: int) -> float:
        reach = np.zeros(len(place))
        reach[:count] = sized(size, count).crown_m / 2
        covered = np.bincount(sample, distance_m <= reach[stem]) > 0
        return float(covered.sum()) * SAMPLE_M**2

    # Too many stems for the wanted area: leave some out before all crowns become tiny.
    count = len(place)
    while count > 1 and area_m2(0.8 * middle, count) > wanted_m2 * 1.02:
        count = max(1, min(count - 1, int(count * 0.93)))
    low, high = settings.crown_min_m, settings.crown_max_m * 1.15
    for _ in range(SCALE_ROUNDS):
        size = (low + high) / 2
        if area_m2(size, count) > wanted_m2:
            high = size
        else:
            low = size
    size = (low + high) / 2
    return sized(size, count), area_m2(size, count)


def _shaded(
    place: np.ndarray, region: BaseGeometry, reach_m: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of a sample of the region and a stem within reach of it: numbers, distance [m].

    Counting samples is as good as uniting hundreds of crowns for the search of a size, and far
    quicker.
    """
    if region.is_empty or len(place) == 0:
        return np.zeros(0, int), np.zeros(0, int), np.zeros(0)
    low_u, low_v, high_u, high_v = region.bounds
    size = (int((high_v - low_v) / SAMPLE_M) + 1, int((high_u - low_u) / SAMPLE_M) + 1)
    grid = Affine(SAMPLE_M, 0, low_u, 0, SAMPLE_M, low_v)
    inside = features.rasterize([(region, 1)], out_shape=size, transform=grid, dtype=np.uint8)
    row, col = np.nonzero(inside)
    samples = np.stack([low_u + (col + 0.5) * SAMPLE_M, low_v + (row + 0.5) * SAMPLE_M], axis=1)
    pairs = cKDTree(samples).sparse_distance_matrix(cKDTree(place), reach_m, output_type="ndarray")
    return pairs["i"], pairs["j"], pairs["v"]
