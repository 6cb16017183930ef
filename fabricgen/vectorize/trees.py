"""Single trees: where stems stand, and the crowns that together are the canopy."""

from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from fabricgen.vectorize.settings import DrawSettings

CROWN_SIDES = 16
SCALE_ROUNDS = 7
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
    trees = _grow(points[order][chosen], wanted_m2, region, rng, settings)
    if canopy_area_m2(trees, region) < 0.97 * wanted_m2:
        chosen = spaced(points[order], 0.72 * settings.tree_spacing_m)
        trees = _grow(points[order][chosen], wanted_m2, region, rng, settings)
    return trees


def spaced(points: np.ndarray, spacing_m: float, taken: np.ndarray | None = None) -> np.ndarray:
    """Indices of points kept in turn if none kept before is nearer than the spacing."""
    cells: dict[tuple[int, int], list[np.ndarray]] = {}
    for point in taken if taken is not None else ():
        cells.setdefault(tuple((point // spacing_m).astype(int)), []).append(point)
    kept = []
    for k, point in enumerate(points):
        row, col = (point // spacing_m).astype(int)
        near = [
            other
            for r in (row - 1, row, row + 1)
            for c in (col - 1, col, col + 1)
            for other in cells.get((r, c), ())
        ]
        if all((point[0] - o[0]) ** 2 + (point[1] - o[1]) ** 2 >= spacing_m**2 for o in near):
            cells.setdefault((row, col), []).append(point)
            kept.append(k)
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
    joined = shapely.union_all(crowns(trees, region))
    filled = []
    for part in shapely.get_parts(joined):
        if part.geom_type != "Polygon":
            continue
        holes = [
            ring
            for ring in part.interiors
            if Polygon(ring).area >= GAP_M2 or not region.contains(Polygon(ring))
        ]
        filled.append(Polygon(part.exterior, holes))
    return shapely.union_all(filled)


def canopy_area_m2(trees: Trees, region: BaseGeometry) -> float:
    """Ground under the canopy. [m²]."""
    return canopy(trees, region).area


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
) -> Trees:
    """Give stems crowns of mixed sizes whose canopy has the wanted area, as far as they can."""
    mixed = rng.uniform(0.85, 1.15, len(place))
    middle = (settings.crown_min_m + settings.crown_max_m) / 2

    def sized(size: float, count: int) -> Trees:
        crown = np.clip(mixed[:count] * size, settings.crown_min_m, settings.crown_max_m)
        return Trees(place[:count], crown)

    # Too many stems for the wanted area: leave some out before all crowns become tiny.
    count = len(place)
    while count > 1 and canopy_area_m2(sized(0.8 * middle, count), region) > wanted_m2 * 1.02:
        count = max(1, min(count - 1, int(count * 0.93)))
    low, high = settings.crown_min_m, settings.crown_max_m * 1.15
    for _ in range(SCALE_ROUNDS):
        size = (low + high) / 2
        if canopy_area_m2(sized(size, count), region) > wanted_m2:
            high = size
        else:
            low = size
    return sized((low + high) / 2, count)
