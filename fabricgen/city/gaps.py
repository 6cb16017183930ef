"""Finds ground that nobody mapped, so that it does not teach that cities are empty.

Three kinds, all as faces that leave the covered area:
- cells of 128 m, and the cells around them, in which nothing is mapped at all (open sea, the
  corners of an extract with an irregular outline);
- cells with streets where people live but hardly a building and no other use of the ground;
- blocks without buildings or any other use of the ground amid dense ones (perimeter blocks are
  often relations, which extracts lose first), and what is left of relations that lack a part.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import shapely
from rasterio import features
from rasterio.transform import Affine
from scipy import ndimage

from ..surfaces import BIT, BUILDING, PATH, ROAD, SERVICE, WATER
from .lattice import CELL_M, Cells
from .mapped import Mapped, Streets

MIN_STREET_M = 60.0  # of lived-in street in a cell that should have houses
FEW_BUILDINGS_SHARE = 0.04  # below, a street cell counts as lacking buildings
BARE_BUILDINGS_SHARE = 0.01  # below, it is masked, unless other uses explain it
EXPLAINED_SHARE = 0.4  # of a cell or block under mapped green, water or paved ground
COARSE_M = 4
BLOCK_M2 = (1_000.0, 60_000.0)
EMPTY_BLOCK_SHARE = 0.03
DENSE_AROUND_SHARE = 0.18
AROUND_M = 100.0
THICK_M = 12.0
LOST_MARGIN_M = 8.0


@dataclass(frozen=True, eq=False)
class Gaps:
    """What leaves the covered area, and how complete the rest is.

    Attributes:
        faces: Polygons to take out, (N,).
        complete: Completeness of each cell, (R, C), 0…1: 1 where streets have their houses.
        area_m2: Area taken out, by reason.
    """

    faces: np.ndarray
    complete: np.ndarray
    area_m2: Counter[str]


def find(mapped: Mapped, labels: np.ndarray, cells: Cells, corner: tuple[float, float]) -> Gaps:
    """Finds the gaps of a city whose labels are painted but not yet cut to the covered area."""
    built = cells.surface(BUILDING) / cells.pixels
    open_bits = mapped.open_bits
    uncovered = sum(cells.labels[..., byte] for byte in _open_bytes(open_bits))
    explained = 1.0 - uncovered / cells.pixels - built
    street_m = _lived_in_m(mapped.streets, built.shape, corner)

    empty = ndimage.uniform_filter(uncovered / cells.pixels, size=3, mode="nearest") > 0.9999
    due = street_m >= MIN_STREET_M * np.minimum(1.0, cells.pixels / CELL_M**2)
    other = explained - cells.surface(ROAD) / cells.pixels  # green, water, paved
    bare = due & (built < BARE_BUILDINGS_SHARE) & (other < EXPLAINED_SHARE)
    complete = np.where(due, np.clip(built / FEW_BUILDINGS_SHARE, 0.0, 1.0), 1.0)

    faces = {
        "nothing mapped": _cell_faces(empty, corner),
        "streets without buildings": _cell_faces(bare & ~empty, corner),
    }
    faces["empty block amid dense ones"] = _empty_blocks(mapped, labels, corner)
    faces["ring of a missing building"] = shapely.buffer(mapped.lost, LOST_MARGIN_M)
    area_m2 = Counter({why: float(shapely.area(_within(found, mapped.clip)).sum())
                       for why, found in faces.items() if len(found)})  # fmt: skip
    return Gaps(np.concatenate(list(faces.values())), complete, area_m2)


def _within(faces: np.ndarray, clip: shapely.Geometry) -> np.ndarray:
    return shapely.intersection(faces, clip)


def _open_bytes(open_bits: int) -> tuple[int, ...]:
    """Labels of ground that no feature covers, near and far from what is built."""
    return tuple({open_bits, open_bits | BIT[WATER]})


def _lived_in_m(
    streets: Streets, shape: tuple[int, ...], corner: tuple[float, float]
) -> np.ndarray:
    """Length of lived-in streets in each cell, (R, C), counted every 4 m along the line [m]."""
    lines = streets.shape[streets.lived_in]
    if len(lines) == 0:
        return np.zeros(shape)
    points = shapely.get_coordinates(shapely.segmentize(lines, COARSE_M))
    line = shapely.get_coordinates(shapely.segmentize(lines, COARSE_M), return_index=True)[1]
    same = line[1:] == line[:-1]
    length = np.hypot(*(points[1:] - points[:-1]).T)[same]
    middle = ((points[1:] + points[:-1]) / 2)[same]
    col = np.floor((middle[:, 0] - corner[0]) / CELL_M).astype(np.int64)
    row = np.floor((corner[1] - middle[:, 1]) / CELL_M).astype(np.int64)
    inside = (row >= 0) & (row < shape[0]) & (col >= 0) & (col < shape[1])
    flat = row[inside] * shape[1] + col[inside]
    return np.bincount(flat, weights=length[inside], minlength=shape[0] * shape[1]).reshape(shape)


def _cell_faces(which: np.ndarray, corner: tuple[float, float]) -> np.ndarray:
    """Squares of cells, joined where they touch."""
    return _faces_of(which, corner, CELL_M)


def _faces_of(mask: np.ndarray, corner: tuple[float, float], edge_m: float) -> np.ndarray:
    """Polygons around the true pixels of a north-up mask."""
    transform = Affine(edge_m, 0.0, corner[0], 0.0, -edge_m, corner[1])
    found = features.shapes(mask.astype(np.uint8), mask=mask, transform=transform)
    polygons = [shapely.geometry.shape(face) for face, _ in found]
    array = np.empty(len(polygons), object)
    array[:] = polygons
    return array


def _empty_blocks(mapped: Mapped, labels: np.ndarray, corner: tuple[float, float]) -> np.ndarray:
    """Blocks between streets with next to no building, amid dense ones."""
    shape = tuple(-(-side // COARSE_M) for side in labels.shape)
    coarse = labels[::COARSE_M, ::COARSE_M]
    wide = mapped.streets.take(~np.isin(mapped.streets.kind, (SERVICE, PATH)))
    if len(wide.shape) == 0:
        return np.zeros(0, object)
    transform = Affine(COARSE_M, 0.0, corner[0], 0.0, -COARSE_M, corner[1])
    barrier = features.rasterize(
        shapely.buffer(wide.shape, np.maximum(wide.width_m / 2, 3.0)), shape, transform=transform
    ).astype(bool)
    block, count = ndimage.label(~barrier)
    pixels = np.maximum(np.bincount(block.ravel(), minlength=count + 1), 1)

    def share(mask: np.ndarray) -> np.ndarray:
        return np.bincount(block.ravel(), weights=mask.ravel(), minlength=count + 1) / pixels

    built = coarse == BIT[BUILDING]
    uncovered = np.isin(coarse, _open_bytes(mapped.open_bits))
    size = 2 * round(AROUND_M / COARSE_M) + 1
    around = ndimage.uniform_filter(built.astype(np.float32), size=size, mode="nearest")
    own = share(built)
    empty = (pixels * COARSE_M**2 > BLOCK_M2[0]) & (pixels * COARSE_M**2 < BLOCK_M2[1])
    empty &= (own < EMPTY_BLOCK_SHARE) & (share(uncovered) > 1 - EXPLAINED_SHARE)
    empty &= share(around) > DENSE_AROUND_SHARE
    to_street = ndimage.distance_transform_edt(~barrier) * COARSE_M
    empty &= ndimage.maximum(to_street, block, np.arange(count + 1)) > THICK_M  # no median strip
    empty[0] = False
    return _faces_of(empty[block], corner, COARSE_M)
