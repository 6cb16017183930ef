"""From a map of ground surfaces to patches that someone could have drawn.

The map is calmed first (small specks gone, areas per surface kept), then its outlines are smoothed
once per shared line, so that neighbors keep sharing them: paved ground gets straight edges, lawns,
shrubs and water get curves. Walls, streets and the site's edge cut the patches last, and stay
straight.
"""

import numpy as np
import shapely
from rasterio.features import shapes as raster_shapes
from scipy import ndimage
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from fabricgen.surfaces import BARE, BUILDING, GRASS, GROUND, PAVED, ROAD, TREE, WATER
from fabricgen.vectorize.settings import DrawSettings

SMOOTH_M = 4.0  # width of the blur that calms the map
STRAIGHT_M = 3.0  # stairs of pixels up to this deep become straight lines
CURVE_M = 1.8  # and natural outlines lose wiggles up to this
CURVE_ROUNDS = 3  # corner cuttings of natural outlines
GROVE_M2 = 60.0  # ground under larger groups of trees is grass, under smaller ones what is around
AREA_ROUNDS = 10


def surface_labels(ground: np.ndarray) -> np.ndarray:
    """The most likely ground surface of each pixel, (H, W) uint8; 255 where the map has none.

    Args:
        ground: Surfaces (H, W), or log-probabilities of the eight surfaces (8, H, W).
    """
    ground = np.asarray(ground)
    if ground.ndim == 3:
        scores = np.array(ground, dtype=np.float64)
        scores[[BUILDING, ROAD]] = -np.inf
        return scores.argmax(axis=0).astype(np.uint8)
    return np.where(np.isin(ground, GROUND), ground, 255).astype(np.uint8)


def calm(
    labels: np.ndarray, free: np.ndarray, pixel_m: float, settings: DrawSettings
) -> tuple[np.ndarray, np.ndarray]:
    """A quieter map with the same area of each surface, and where trees stand.

    Args:
        labels: Surface of each pixel, (H, W); 255 unknown.
        free: Pixels that no wall or street covers, (H, W) bool.
        pixel_m: Edge of a pixel.
        settings: What counts as a patch.

    Returns:
        Ground surfaces without trees (H, W) uint8 and the tree mask (H, W) bool.
    """
    known = labels != 255
    if not (free & known).any():
        return np.full(labels.shape, BARE, np.uint8), np.zeros(labels.shape, bool)
    trees = free & _without_specks(labels == TREE, 2, diagonal=True)
    ground = _under_trees(labels, trees, free & known, pixel_m)
    wanted = np.bincount(ground[free], minlength=8).astype(float)
    ground = _fill(ground, _off_walls(free) & known)
    ground = _majority(ground, free, wanted, SMOOTH_M / pixel_m)
    smallest = max(1, int(np.ceil(settings.min_patch_m2 / pixel_m**2)))
    return _merge_specks(ground, free, smallest), trees


def patches(
    labels: np.ndarray, pixel_m: float, free: BaseGeometry, settings: DrawSettings
) -> dict[int, list[Polygon]]:
    """Disjoint polygons per surface that together fill the free ground.

    Args:
        labels: Ground surface of each pixel, (H, W).
        pixel_m: Edge of a pixel.
        free: Ground that no wall or street covers, in frame coordinates.
        settings: What counts as a patch.
    """
    lines = [_smooth(arc, labels, pixel_m) for arc in arcs(labels, pixel_m)]
    return fill(lines, labels, pixel_m, free=free, settings=settings)


def fill(
    lines: list[LineString],
    labels: np.ndarray,
    pixel_m: float,
    *,
    free: BaseGeometry,
    settings: DrawSettings,
) -> dict[int, list[Polygon]]:
    """Disjoint polygons per surface between lines that part surfaces.

    Args:
        lines: All lines between two surfaces, in frame coordinates.
        labels: Ground surface of each pixel, (H, W).
        pixel_m: Edge of a pixel.
        free: Ground that no wall or street covers, in frame coordinates.
        settings: What counts as a patch.
    """
    if free.is_empty:
        return {}
    inside = shapely.union_all([line for line in lines if line.intersects(free)])
    linework = shapely.union_all([inside, free.boundary])
    faces = np.array(shapely.get_parts(shapely.polygonize([linework])), dtype=object)
    points = shapely.point_on_surface(faces)
    shapely.prepare(free)
    keep = shapely.contains(free, points)
    faces, points = faces[keep], points[keep]
    rows = np.clip((shapely.get_y(points) / pixel_m).astype(int), 0, labels.shape[0] - 1)
    cols = np.clip((shapely.get_x(points) / pixel_m).astype(int), 0, labels.shape[1] - 1)
    return _join_slivers(faces, labels[rows, cols], settings)


def _without_specks(mask: np.ndarray, pixels: int, *, diagonal: bool = False) -> np.ndarray:
    structure = np.ones((3, 3)) if diagonal else None
    number, _ = ndimage.label(mask, structure)
    return mask & (np.bincount(number.ravel())[number] >= pixels)


def _under_trees(
    labels: np.ndarray, trees: np.ndarray, known: np.ndarray, pixel_m: float
) -> np.ndarray:
    """The map with trees taken away: groves stand in grass, single trees in what is around."""
    groves = _without_specks(trees, int(GROVE_M2 / pixel_m**2), diagonal=True)
    ground = np.where(groves, GRASS, labels)
    sure = known & (ground != TREE)
    return _fill(ground, sure) if sure.any() else np.full(labels.shape, GRASS, np.uint8)


def _off_walls(free: np.ndarray) -> np.ndarray:
    """Free pixels that touch no wall or street, or all of a court too narrow to have any.

    The map is unsure beside walls, and a rim one pixel wide would be drawn as a sliver.
    """
    core = ndimage.binary_erosion(free, border_value=1)
    number, count = ndimage.label(free)
    has_core = np.zeros(count + 1, bool)
    has_core[np.unique(number[core])] = True
    return core | (free & ~has_core[number])


def _fill(labels: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """Every pixel takes the label of the nearest sure one."""
    rows, cols = ndimage.distance_transform_edt(~sure, return_distances=False, return_indices=True)
    return labels[rows, cols].astype(np.uint8)


def _majority(
    labels: np.ndarray, free: np.ndarray, wanted: np.ndarray, sigma_px: float
) -> np.ndarray:
    """The strongest blurred surface, with a handicap per surface that keeps the areas."""
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=8))
    blurred = np.stack(
        [ndimage.gaussian_filter((labels == s).astype(np.float32), sigma_px) for s in present]
    )
    scores = np.log(blurred + 1e-3)  # (n, H, W)
    bias = np.zeros(len(present))
    for _ in range(AREA_ROUNDS):
        chosen = (scores + bias[:, None, None]).argmax(axis=0)
        got = np.bincount(chosen[free], minlength=len(present))
        bias += 0.5 * np.log((wanted[present] + 1.0) / (got + 1.0))
    return present[(scores + bias[:, None, None]).argmax(axis=0)].astype(np.uint8)


def _merge_specks(labels: np.ndarray, free: np.ndarray, pixels: int) -> np.ndarray:
    """Patches with fewer free pixels take the surface beside them."""
    small = np.zeros(labels.shape, bool)
    for surface in np.unique(labels):
        number, _ = ndimage.label((labels == surface) & free)
        small |= (number > 0) & (np.bincount(number.ravel())[number] < pixels)
    sure = free & ~small
    return _fill(labels, sure) if sure.any() else labels


def arcs(labels: np.ndarray, pixel_m: float) -> list[LineString]:
    """Lines between surfaces, each from one meeting of three to the next."""
    rings = [ring for shape, _ in raster_shapes(labels) for ring in shape["coordinates"]]
    lines = shapely.union_all([LineString(np.asarray(ring) * pixel_m) for ring in rings])
    return list(shapely.get_parts(shapely.line_merge(lines)))


def _smooth(arc: LineString, labels: np.ndarray, pixel_m: float) -> LineString:
    if _beside_paved(arc, labels, pixel_m):
        return arc.simplify(STRAIGHT_M)
    closed = arc.is_ring
    points = shapely.get_coordinates(arc.simplify(CURVE_M))
    if closed and len(points) < 5:
        points = shapely.get_coordinates(arc)
    for _ in range(CURVE_ROUNDS):
        points = _cut_corners(points, closed=closed)
    return LineString(points)


def _beside_paved(arc: LineString, labels: np.ndarray, pixel_m: float) -> bool:
    """Whether the ground on either side of an arc is paved."""
    (u0, v0), (u1, v1) = arc.coords[0], arc.coords[1]
    step = np.array([u1 - u0, v1 - v0]) / np.hypot(u1 - u0, v1 - v0) * pixel_m / 2
    place = np.array([u0, v0]) + step
    for side in ((-step[1], step[0]), (step[1], -step[0])):
        col, row = ((place + side) / pixel_m).astype(int)
        inside = 0 <= row < labels.shape[0] and 0 <= col < labels.shape[1]
        if inside and labels[row, col] == PAVED:
            return True
    return False


def _cut_corners(points: np.ndarray, *, closed: bool) -> np.ndarray:
    """One round of corner cutting (Chaikin 1974); open lines keep their ends."""
    before, after = points[:-1], points[1:]
    cut = np.stack([0.75 * before + 0.25 * after, 0.25 * before + 0.75 * after], axis=1)
    cut = cut.reshape(-1, 2)
    if closed:
        return np.concatenate([cut, cut[:1]])
    return np.concatenate([points[:1], cut[1:-1], points[-1:]])


def _join_slivers(
    faces: np.ndarray, labels: np.ndarray, settings: DrawSettings
) -> dict[int, list[Polygon]]:
    """Faces too small or thin to be patches go to the neighbor with the longest common edge."""
    for _ in range(3):
        faces, labels = _dissolve(faces, labels)
        core = shapely.buffer(faces, -settings.min_strip_m / 2, quad_segs=2)
        bad = (shapely.area(faces) < settings.min_patch_m2) | shapely.is_empty(core)
        if not bad.any():
            break
        labels = _labels_of_neighbors(faces, labels, bad)
    faces, labels = _dissolve(faces, labels)
    # A pond this small is a slip of the map; what it would stand in is grass.
    puddle = (labels == WATER) & (shapely.area(faces) < settings.min_pond_m2)
    if puddle.any():
        faces, labels = _dissolve(faces, np.where(puddle, GRASS, labels))
    return {int(s): list(faces[labels == s]) for s in np.unique(labels)}


def _dissolve(faces: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shapes: list[Polygon] = []
    names: list[int] = []
    for surface in np.unique(labels):
        joined = shapely.get_parts(shapely.union_all(faces[labels == surface]))
        joined = [shape for shape in joined if shape.geom_type == "Polygon"]
        shapes += joined
        names += [int(surface)] * len(joined)
    return np.array(shapes, dtype=object), np.array(names, dtype=int)


def _labels_of_neighbors(faces: np.ndarray, labels: np.ndarray, bad: np.ndarray) -> np.ndarray:
    changed = labels.copy()
    tree = shapely.STRtree(faces)
    smallest_first = np.flatnonzero(bad)[np.argsort(shapely.area(faces[bad]), kind="stable")]
    for k in smallest_first:
        beside = [
            j for j in sorted(tree.query(faces[k], predicate="intersects")) if j != k and not bad[j]
        ]
        if not beside:
            continue
        common = shapely.length(shapely.intersection(faces[k], faces[beside]))
        if common.max() > 0:
            changed[k] = labels[beside[int(common.argmax())]]
    return changed
