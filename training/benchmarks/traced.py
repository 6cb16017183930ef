"""Traced footprints against real ones, and other tracers to stand beside ours."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from rasterio.features import shapes as raster_shapes

from fabricgen.errors import need
from fabricgen.layout import Frame, Layout
from fabricgen.plan import paint
from fabricgen.surfaces import BIT, BUILDING

LEAST_M2 = 12.0  # smaller footprints do not count
CORNER_SIMPLIFY_M, CORNER_DEG = 0.5, 10.0
NEAR_DEG = 5.0  # of a direction, to run along it
STRAIGHT = 0.95  # share of a real outline along its directions, for it to be such a fabric
QUARTER = np.pi / 2


@dataclass(frozen=True, eq=False)
class Match:
    """One window's footprints against the real ones."""

    raster_iou: float  # of shares: sum of the lesser over sum of the greater
    iou: float  # of polygons
    area_off: float  # share by which the built area differs
    each_area_off: np.ndarray  # the same of each building, beside one real one
    corners: np.ndarray  # of each traced building
    real_corners: np.ndarray
    valid: bool  # no overlaps, walls that meet have equal corners (coverage validity of GEOS)
    walls_m: float  # length of walls where the real ones run along their building's directions
    near_m: float  # of which within 5 degrees of these
    seconds: float

    @staticmethod
    def summary(rows: Sequence[Match]) -> dict[str, float]:
        """Figures of many windows."""
        corners = np.concatenate([row.corners for row in rows])
        real = np.concatenate([row.real_corners for row in rows])
        each = np.concatenate([row.each_area_off for row in rows])
        return {
            "IoU of rasters": float(np.mean([row.raster_iou for row in rows])),
            "least": float(np.min([row.raster_iou for row in rows])),
            "IoU of polygons": float(np.mean([row.iou for row in rows])),
            "area off %": 100 * float(np.mean([abs(row.area_off) for row in rows])),
            "a building %, median": 100 * float(np.median(np.abs(each))) if len(each) else np.nan,
            "within 1 %": float((np.abs(each) < 0.01).mean()) if len(each) else np.nan,
            "corners": float(np.median(corners)),
            "real": float(np.median(real)),
            "mean": float(np.mean(corners)),
            "real mean": float(np.mean(real)),
            "valid": float(np.mean([row.valid for row in rows])),
            "walls within 5 deg": sum(r.near_m for r in rows)
            / max(sum(r.walls_m for r in rows), 1),
            "s a window": float(np.mean([row.seconds for row in rows])),
        }


def match(
    real: np.ndarray, found: np.ndarray, layout: Layout, frame: Frame, *, seconds: float
) -> Match:
    """Compares footprints.

    Args:
        real: Polygons as mapped, in the frame's CRS.
        found: Polygons that were traced.
        layout: What they were traced from.
        frame: Where it lies.
        seconds: That the tracing took.
    """
    found = found[shapely.area(found) > 0]
    one, other = shapely.union_all(real), shapely.union_all(shapely.make_valid(found))
    share = layout.cover[0, BUILDING].numpy()
    bare = [(shape, BIT[BUILDING], float("nan")) for shape in found]
    drawn = paint(bare, frame, ground=BIT[-1]).cover[0, BUILDING].numpy()
    both = one.intersection(other).area
    large, real_large = (a[shapely.area(a) >= LEAST_M2] for a in (found, real))
    walls_m, near_m = _along(real_large, large)
    return Match(
        raster_iou=float(np.minimum(share, drawn).sum() / np.maximum(share, drawn).sum()),
        iou=both / (one.area + other.area - both),
        area_off=other.area / one.area - 1,
        each_area_off=_each_area_off(real_large, large),
        corners=np.array([corners(shape) for shape in large]),
        real_corners=np.array([corners(shape) for shape in real_large]),
        valid=bool(shapely.is_valid(found).all()) and bool(shapely.coverage_is_valid(found)),
        walls_m=walls_m,
        near_m=near_m,
        seconds=seconds,
    )


def corners(shape: shapely.Polygon) -> int:
    """Corners of an outline and its courts, bends under 10 degrees not counted."""
    count = 0
    plain = shape.simplify(CORNER_SIMPLIFY_M)
    for ring in (plain.exterior, *plain.interiors):
        points = shapely.get_coordinates(ring)[:-1]
        after = np.roll(points, -1, axis=0) - points
        before = points - np.roll(points, 1, axis=0)
        cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
        turn = np.abs(np.arctan2(cross, (before * after).sum(axis=1)))
        count += int((turn > np.radians(CORNER_DEG)).sum())
    return count


def _pairs(real: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Traced and real buildings that stand on each other by more than half of both."""
    if len(real) == 0 or len(found) == 0:
        return np.zeros(0, int), np.zeros(0, int)
    i, j = shapely.STRtree(real).query(found, predicate="intersects")
    shared = shapely.area(shapely.intersection(shapely.make_valid(found[i]), real[j]))
    alike = (shared > 0.5 * shapely.area(found[i])) & (shared > 0.5 * shapely.area(real[j]))
    return i[alike], j[alike]


def _each_area_off(real: np.ndarray, found: np.ndarray) -> np.ndarray:
    """How far areas differ where one traced building stands on one real one."""
    i, j = _pairs(real, found)
    return shapely.area(found[i]) / shapely.area(real[j]) - 1


def _along(real: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """Length of traced walls on orthogonal buildings, and how much of it runs along them."""
    total, near = 0.0, 0.0
    for i, j in zip(*_pairs(real, found), strict=True):
        angle, length = _walls(real[j])
        turn = np.angle((length * np.exp(4j * angle)).sum()) / 4
        if (length * (_apart(angle, turn) < np.radians(NEAR_DEG))).sum() < STRAIGHT * length.sum():
            continue
        angle, length = _walls(found[i])
        total += float(length.sum())
        near += float((length * (_apart(angle, turn) < np.radians(NEAR_DEG))).sum())
    return total, near


def _walls(shape: shapely.Polygon) -> tuple[np.ndarray, np.ndarray]:
    rings = [shapely.get_coordinates(r) for r in (shape.exterior, *shape.interiors)]
    step = np.concatenate([np.diff(ring, axis=0) for ring in rings])
    return np.arctan2(step[:, 1], step[:, 0]), np.hypot(*step.T)


def _apart(angle: np.ndarray, turn: float) -> np.ndarray:
    return np.abs((angle - turn + QUARTER / 2) % QUARTER - QUARTER / 2)


def stairs(layout: Layout, frame: Frame) -> np.ndarray:
    """Outlines of pixels that are mostly built, as the plainest tracer has them."""
    built = (layout.cover[0, BUILDING].numpy() >= 0.5).astype(np.uint8)
    found = raster_shapes(built, mask=built > 0, transform=Affine(*frame.affine()))
    return np.array([shapely.geometry.shape(shape) for shape, _ in found], dtype=object)


def regularised(layout: Layout, frame: Frame) -> np.ndarray:
    """What buildingregulariser makes of these outlines, smoothed by up to a pixel."""
    library = need("buildingregulariser", extra="morph")
    table = gpd.GeoDataFrame(geometry=list(stairs(layout, frame)), crs=frame.crs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it hands back an outline as it was
        made = library.regularize_geodataframe(table, num_cores=1, simplify_tolerance=frame.pixel_m)
    return np.array(shapely.get_parts(made.geometry.to_numpy()), dtype=object)


TRACERS: dict[str, Callable[[Layout, Frame], np.ndarray]] = {
    "stairs of pixels": stairs,
    "buildingregulariser": regularised,
}
