"""Paints what is mapped into one byte of allowed surfaces and one height per 1 m pixel.

From bottom to top: the open set of ground that nothing covers; faces of which only a set is known
(a park), large ones first; then known surfaces in the order of `PAINT_ORDER`. Two refinements:
faces of wood lie below water, paved and road (a forest is mapped across its paths), single crowns
above them; streets lie above faces of paved ground.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from scipy import ndimage

from ..surfaces import ANY, BIT, BUILDING, PAINT_ORDER, PATH, PAVED, ROAD, TREE, WATER
from . import heights
from .mapped import Areas, Buildings, Crowns, Mapped, Streets
from .raster import Spans, area_of, paint, pixels_of, spans_of

SHORE_M = 60  # open ground farther than this from all that is built may be unmapped water
COARSE_PX = 4  # distances are measured on pixels of 4 m


@dataclass(frozen=True, eq=False)
class Plates:
    """What is painted, and what is then known of each building.

    Attributes:
        labels: Allowed surfaces, (H, W) uint8.
        height_dm: Heights in decimeters, (H, W) uint16; 0 = unknown.
        seen_share: Share of each footprint that no larger one hides, (N,).
        height_m: Height of each building from its tags, its floors or its parts, (N,); NaN.
        floors: Floors of each building, (N,), whole; NaN = unknown.
    """

    labels: np.ndarray
    height_dm: np.ndarray
    seen_share: np.ndarray
    height_m: np.ndarray
    floors: np.ndarray


def paint_all(mapped: Mapped, shape: tuple[int, int], corner: tuple[float, float]) -> Plates:
    """Paints a whole city; what lies outside the covered area is taken out later.

    Args:
        mapped: What the source maps.
        shape: Rows and columns of pixels of 1 m.
        corner: World x, y of the outer top-left corner.
    """
    labels = np.full(shape, mapped.open_bits, np.uint8)
    height_dm = np.zeros(shape, np.uint16)
    for faces, byte in ground_layers(mapped):
        paint(labels, spans_of(faces, shape, corner), byte)
    _paint_crowns(labels, height_dm, mapped.crowns, corner)
    plates = _paint_buildings(labels, height_dm, mapped, corner)
    if "water" in mapped.layers:
        _open_far_water(labels, mapped.open_bits)
    return plates


def ground_layers(mapped: Mapped) -> list[tuple[np.ndarray, int]]:
    """Faces below crowns and buildings with the byte they paint, bottom to top."""
    areas = mapped.areas
    known = np.isin(areas.bits, BIT)
    layers = [(areas.shape[which], int(areas.bits[which[0]])) for which in _open_faces(areas)]
    order = [surface for surface in PAINT_ORDER if surface != BUILDING]
    order.remove(TREE)
    order.insert(order.index(WATER), TREE)  # a wood is mapped across its ponds and paths
    for surface in order:
        layers.append((areas.shape[known & (areas.bits == BIT[surface])], BIT[surface]))
        if surface in (PAVED, ROAD):
            layers.append((street_faces(mapped.streets, path=surface == PAVED), BIT[surface]))
        layers.append((_rows(mapped.crowns, surface), BIT[surface]))
    return [(faces, byte) for faces, byte in layers if len(faces)]


def _open_faces(areas: Areas) -> list[np.ndarray]:
    """Indices of faces with several surfaces, large ones first, in runs of one byte."""
    several = np.flatnonzero(~np.isin(areas.bits, BIT))
    several = several[np.argsort(-shapely.area(areas.shape[several]), kind="stable")]
    if len(several) == 0:
        return []
    changes = np.flatnonzero(np.diff(areas.bits[several].astype(int))) + 1
    return np.split(several, changes)


def _rows(crowns: Crowns, surface: int) -> np.ndarray:
    """Hedges, ditches and other low lines as faces; crowns of trees come later."""
    which = (crowns.bits == BIT[surface]) & (surface != TREE)
    return shapely.buffer(crowns.shape[which], crowns.width_m[which] / 2)


def street_faces(streets: Streets, *, path: bool) -> np.ndarray:
    """Streets as faces: the line grown by half its width, round at its ends and bends."""
    which = (streets.kind == PATH) == path
    return shapely.buffer(streets.shape[which], streets.width_m[which] / 2)


def crown_faces(crowns: Crowns) -> tuple[np.ndarray, np.ndarray]:
    """Discs of single trees and strips of tree rows, low ones first, and their height_dm."""
    which = np.flatnonzero(crowns.bits == BIT[TREE])
    which = which[np.argsort(np.nan_to_num(crowns.height_m[which]), kind="stable")]
    faces = shapely.buffer(crowns.shape[which], crowns.width_m[which] / 2, quad_segs=12)
    return faces, decimeters(crowns.height_m[which])


def decimeters(height_m: np.ndarray) -> np.ndarray:
    """Heights as stored: uint16 decimeters, 0 = unknown."""
    return np.rint(np.nan_to_num(height_m) * 10).clip(0, 65535).astype(np.uint16)


def _paint_crowns(
    labels: np.ndarray, height_dm: np.ndarray, crowns: Crowns, corner: tuple[float, float]
) -> None:
    faces, crown_dm = crown_faces(crowns)
    spans = spans_of(faces, labels.shape, corner)
    paint(labels, spans, BIT[TREE])
    paint(height_dm, spans, crown_dm)


# --- buildings -----------------------------------------------------------------------------------


def _paint_buildings(
    labels: np.ndarray, height_dm: np.ndarray, mapped: Mapped, corner: tuple[float, float]
) -> Plates:
    """Footprints with the greatest height of outline and parts; areas are never added."""
    buildings = mapped.buildings
    height_m, floors = heights.complete(buildings.height_m, buildings.floors)
    spans = spans_of(buildings.shape, labels.shape, corner)
    paint(labels, spans, BIT[BUILDING])
    tall_dm = decimeters(height_m)
    paint(height_dm, spans.ordered(tall_dm), tall_dm)
    _raise_parts(labels, height_dm, mapped.parts, corner)

    # A building without a height of its own takes the mean of the parts that cover it.
    pixels = np.maximum(area_of(spans, len(height_m)), 1)
    bare = np.isnan(height_m)
    from_parts = _mean_known(height_dm, spans.take(bare[spans.feature]), pixels)
    height_m = np.where(bare, from_parts, height_m)
    unset = np.isnan(floors)
    floors = np.where(unset, heights.complete(height_m, floors)[1], floors)
    seen = seen_share(buildings, spans, labels.shape)
    return Plates(labels, height_dm, seen, height_m, floors)


def _raise_parts(
    labels: np.ndarray, height_dm: np.ndarray, parts: Buildings, corner: tuple[float, float]
) -> None:
    """Lifts heights to those of building parts, inside footprints only."""
    part_dm = decimeters(heights.complete(parts.height_m, parts.floors)[0])
    spans = spans_of(parts.shape, labels.shape, corner).ordered(part_dm)
    flat, ground = height_dm.reshape(-1), labels.reshape(-1)
    for pixel, feature in pixels_of(spans, labels.shape[1]):
        lifted = np.maximum(flat[pixel], part_dm[feature])
        flat[pixel] = np.where(ground[pixel] == BIT[BUILDING], lifted, flat[pixel])


def _mean_known(height_dm: np.ndarray, spans: Spans, pixels: np.ndarray) -> np.ndarray:
    """Mean known height of each feature's pixels, NaN where less than half are known [m]."""
    total, known = np.zeros(len(pixels)), np.zeros(len(pixels))
    flat = height_dm.reshape(-1)
    for pixel, feature in pixels_of(spans, height_dm.shape[1]):
        tall = flat[pixel]
        total += np.bincount(feature, weights=tall, minlength=len(pixels))
        known += np.bincount(feature, weights=tall > 0, minlength=len(pixels))
    enough = known >= 0.5 * pixels
    return np.where(enough, total / np.maximum(known, 1) / 10, np.nan)


def seen_share(buildings: Buildings, spans: Spans, shape: tuple[int, int]) -> np.ndarray:
    """Share of each footprint that is left when larger footprints are laid over it, (N,).

    A footprint on top of another (a roof, a part drawn as a building, a duplicate) keeps no box.
    """
    size = shapely.area(buildings.shape)
    owner = np.full(shape, -1, np.int32)
    order = np.argsort(size, kind="stable")
    rank = np.empty(len(size), np.int64)
    rank[order] = np.arange(len(size))
    paint(owner, spans.ordered(rank), np.arange(len(size), dtype=np.int32))
    left = np.bincount(owner[owner >= 0], minlength=len(size))
    own = area_of(spans, len(size))
    return np.where(own > 0, left / np.maximum(own, 1), 1.0)


# --- water nobody drew ---------------------------------------------------------------------------


def _open_far_water(labels: np.ndarray, open_bits: int) -> None:
    """Lets open ground far from all that is built be water: seas often lack an outline."""
    rows, cols = (-(-side // COARSE_PX) for side in labels.shape)
    built = np.zeros((rows, cols), bool)
    for surface in (BUILDING, ROAD, PAVED):
        seen = (labels == BIT[surface])[::COARSE_PX, ::COARSE_PX]
        built |= seen
    if not built.any():
        return
    distance_m = ndimage.distance_transform_edt(~built).astype(np.float32) * COARSE_PX
    far = np.repeat(distance_m > SHORE_M, COARSE_PX, axis=0)[: labels.shape[0]]
    for row in range(0, labels.shape[0], 1024):
        strip = labels[row : row + 1024]
        wide = np.repeat(far[row : row + 1024], COARSE_PX, axis=1)[:, : labels.shape[1]]
        strip[wide & (strip == open_bits)] = (open_bits | BIT[WATER]) & ANY
