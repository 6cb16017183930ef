"""Patches of a categorical raster: which cells hang together, their size, outline and neighbors.

The measures that stand on them are in `form.landscape`. All of this counts whole cells and has no
gradient. Definitions follow FRAGSTATS (McGarigal, Cushman and Ene 2012, FRAGSTATS v4).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from fabricgen.errors import SettingsError

FIRST_REACH_PX = 8  # how far the search for a nearest neighbor looks at first
NEIGHBORS = {4: ndimage.generate_binary_structure(2, 1), 8: ndimage.generate_binary_structure(2, 2)}


@dataclass(frozen=True, eq=False)
class Patches:
    """A categorical raster cut into patches.

    Patches are numbered 1…N, by category and then by their first cell in reading order; arrays
    over patches hold patch n at n − 1.

    Attributes:
        categories: (H, W) integers.
        nodata: The category that is no part of the landscape.
        pixel_m: Edge of a cell.
        labels: Number of the patch of each cell, (H, W) int; 0 without data.
        category: (N,) category of each patch.
        cells: (N,) number of cells.
        sides: (N,) cell sides between the patch and anything else, the raster's border included.
    """

    categories: np.ndarray
    nodata: int
    pixel_m: float
    labels: np.ndarray
    category: np.ndarray
    cells: np.ndarray
    sides: np.ndarray

    @property
    def area_m2(self) -> np.ndarray:
        """(N,)."""
        return self.cells * self.pixel_m**2

    @property
    def perimeter_m(self) -> np.ndarray:
        """(N,)."""
        return self.sides * self.pixel_m

    @cached_property
    def core_cells(self) -> np.ndarray:
        """Cells of each patch with all four sides inside it, (N,); none at the border."""
        outer = np.pad(self.labels, 1)
        own = outer[1:-1, 1:-1]
        core = own > 0
        for beside in (outer[:-2, 1:-1], outer[2:, 1:-1], outer[1:-1, :-2], outer[1:-1, 2:]):
            core &= beside == own
        return np.bincount(own[core], minlength=len(self.cells) + 1)[1:]

    @cached_property
    def nearest_m(self) -> np.ndarray:
        """From each patch to the next of its category, between cell centers, (N,); NaN if alone."""
        nearest = np.full(len(self.cells), np.nan)
        categories, count = np.unique(self.category, return_counts=True)
        lonely = categories[count == 1]
        for n, box in enumerate(self._boxes):
            if self.category[n] not in lonely:
                nearest[n] = _nearest_px(self, n + 1, box) * self.pixel_m
        return nearest

    @cached_property
    def _boxes(self) -> list[tuple[slice, slice]]:
        return ndimage.find_objects(self.labels)

    def neighbors_within(self, patch: int, distance_m: float) -> tuple[np.ndarray, np.ndarray]:
        """Patches of the same category whose cell centers come that near.

        Returns:
            Their numbers, and their distances [m], (K,) each.
        """
        reach = math.floor(distance_m / self.pixel_m)
        window = _grow(self._boxes[patch - 1], reach, self.labels.shape)
        labels, categories = self.labels[window], self.categories[window]
        others = (categories == self.category[patch - 1]) & (labels != patch)
        away_m = ndimage.distance_transform_edt(labels != patch)[others] * self.pixel_m
        found = np.full(len(self.cells) + 1, np.inf)
        np.minimum.at(found, labels[others], away_m)
        near = np.flatnonzero(found <= distance_m)
        return near, found[near]


def cut(categories: np.ndarray, *, pixel_m: float, nodata: int = 0, neighbors: int = 8) -> Patches:
    """Cut a categorical raster into patches.

    Args:
        categories: (H, W) integers.
        pixel_m: Edge of a cell.
        nodata: The category that is no part of the landscape.
        neighbors: 8: cells that touch at a corner hang together; 4: only those that share a side.

    Raises:
        SettingsError: Not a plane of integers, or another number of neighbors.
    """
    categories = np.asarray(categories)
    if categories.ndim != 2 or not np.issubdtype(categories.dtype, np.integer):
        shape = f"{categories.dtype} of shape {categories.shape}"
        raise SettingsError(f"categories: {shape}", "give a plane of integers, (H, W)")
    if neighbors not in NEIGHBORS:
        raise SettingsError(f"neighbors: {neighbors}", "a cell has 4 or 8 of them")
    labels = np.zeros(categories.shape, dtype=np.int64)
    kinds: list[int] = []
    for category in np.unique(categories[categories != nodata]):
        found, count = ndimage.label(categories == category, structure=NEIGHBORS[neighbors])
        labels[found > 0] = _in_reading_order(found, count)[found[found > 0]] + len(kinds)
        kinds += [category] * count
    number = len(kinds) + 1
    return Patches(
        categories,
        nodata,
        pixel_m,
        labels,
        category=np.array(kinds, dtype=categories.dtype),
        cells=np.bincount(labels.ravel(), minlength=number)[1:],
        sides=_sides(labels, number),
    )


def side_pairs(categories: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The two cells of each shared side: down the columns, then along the rows."""
    return [(categories[:-1], categories[1:]), (categories[:, :-1], categories[:, 1:])]


def _in_reading_order(labels: np.ndarray, count: int) -> np.ndarray:
    found, first = np.unique(labels, return_index=True)
    found, first = found[found > 0], first[found > 0]
    order = np.zeros(count + 1, dtype=np.int64)
    order[found[np.argsort(first)]] = np.arange(1, count + 1)
    return order


def _sides(labels: np.ndarray, number: int) -> np.ndarray:
    sides = np.zeros(number, dtype=np.int64)
    for one, other in side_pairs(np.pad(labels, 1)):
        differ = one != other
        sides += np.bincount(one[differ], minlength=number)
        sides += np.bincount(other[differ], minlength=number)
    return sides[1:]


def _grow(box: tuple[slice, slice], reach: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    rows, cols = (
        slice(max(0, side.start - reach), min(size, side.stop + reach))
        for side, size in zip(box, shape, strict=True)
    )
    return rows, cols


def _nearest_px(patches: Patches, patch: int, box: tuple[slice, slice]) -> float:
    # A neighbor found farther away than the window reaches may have a nearer one outside it.
    reach, found = FIRST_REACH_PX, math.inf
    while True:
        window = _grow(box, reach, patches.labels.shape)
        labels = patches.labels[window]
        own = labels == patch
        others = (patches.categories[window] == patches.category[patch - 1]) & ~own
        if others.any():
            found = float(ndimage.distance_transform_edt(~others)[own].min())
        if found <= reach or labels.shape == patches.labels.shape:
            return found
        reach *= 2
