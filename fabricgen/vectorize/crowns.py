"""Crowns of single trees in a map of shares, also where several stand in one group.

A crown seen from above is a disc: one is placed wherever a group is widest, and holds the area
around it. A group that its discs explain well is trees; another one, a wood or a hedge, stays
a patch.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.morphology import h_maxima

NEAR_M = 2.5  # of a group's pixels: shares there are its crowns'
PEAK_M = 0.1  # that the way to the edge shrinks between two crowns
ROUNDS = 8  # of moving each disc to the middle of what is nearest to it
MOSTLY = 0.5
EIGHT = np.ones((3, 3))
MOST_TREES = 60  # of a group


@dataclass(frozen=True)
class CrownSettings:
    """Which groups of pixels are trees."""

    least_m2: float = 9.0  # smallest crown
    most_m2: float = 130.0  # largest one
    alike: float = 0.7  # of a group and its discs: common area over the area of both


@dataclass(frozen=True, eq=False)
class Crowns:
    """Single trees.

    Attributes:
        stem: Middles in frame coordinates, (N, 2).
        width_m: Diameters, (N,).
        pixels: Where they stand, (H, W) bool.
    """

    stem: np.ndarray
    width_m: np.ndarray
    pixels: np.ndarray


def crowns_of(share: np.ndarray, pixel_m: float, settings: CrownSettings) -> Crowns:
    """Single trees of a map.

    Args:
        share: Share of each pixel under crowns, (H, W).
        pixel_m: Their edge.
        settings: What a crown is.
    """
    stems, widths = [np.zeros((0, 2))], [np.zeros(0)]
    canopy = share > MOSTLY
    found = np.zeros(canopy.shape, bool)
    for window, own, near in _groups(canopy, pixel_m):
        place, weight = _points(share[window], near, pixel_m)
        middle = _middles(own, place, weight, pixel_m=pixel_m)
        owner = cKDTree(middle).query(place)[1]
        area_m2 = np.bincount(owner, weight, len(middle)) * pixel_m**2
        round_ = _alike(middle, area_m2, place, weight) >= settings.alike
        if (settings.least_m2 <= area_m2).all() and (area_m2 <= settings.most_m2).all() and round_:
            stems.append(middle + np.array([window[1].start, window[0].start]) * pixel_m)
            widths.append(2 * np.sqrt(area_m2 / np.pi))
            found[window] |= own
    return Crowns(np.concatenate(stems), np.concatenate(widths), found)


def _groups(
    canopy: np.ndarray, pixel_m: float
) -> Iterator[tuple[tuple[slice, slice], np.ndarray, np.ndarray]]:
    """Each group of pixels: a window, its pixels there, and those near it that no other is near."""
    number, _ = ndimage.label(canopy, EIGHT)
    away, (rows, cols) = ndimage.distance_transform_edt(~canopy, return_indices=True)
    reach = np.where(away * pixel_m <= NEAR_M, number[rows, cols], 0)
    for k, window in enumerate(ndimage.find_objects(reach), start=1):
        yield window, number[window] == k, reach[window] == k


def _points(share: np.ndarray, near: np.ndarray, pixel_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Middles of pixels with a share, (n, 2) in meters, and their shares, (n,)."""
    row, col = np.nonzero(near & (share > 0))
    return (np.stack([col, row], axis=1) + 0.5) * pixel_m, share[row, col]


def _middles(
    own: np.ndarray, place: np.ndarray, weight: np.ndarray, *, pixel_m: float
) -> np.ndarray:
    """Middles of crowns, (n, 2): farthest from a group's edge, then of what is nearest to each."""
    depth_m = ndimage.distance_transform_edt(np.pad(own, 2)) * pixel_m
    peak, count = ndimage.label(h_maxima(ndimage.gaussian_filter(depth_m, 1.0), PEAK_M), EIGHT)
    at = np.array(ndimage.center_of_mass(peak > 0, peak, np.arange(1, count + 1))) - 2
    if not 1 < count <= MOST_TREES:
        return np.average(place, axis=0, weights=weight)[None]
    middle = (at[:, ::-1] + 0.5) * pixel_m
    for _ in range(ROUNDS):
        owner = cKDTree(middle).query(place)[1]
        total = np.bincount(owner, weight, len(middle))
        moved = [np.bincount(owner, weight * place[:, k], len(middle)) for k in (0, 1)]
        middle = np.stack(moved, axis=1)[total > 0] / total[total > 0, None]
    return middle


def _alike(middle: np.ndarray, area_m2: np.ndarray, place: np.ndarray, weight: np.ndarray) -> float:
    """Pixels that discs and a group both have over those that either has."""
    away = np.hypot(*(place[:, None] - middle[None]).transpose(2, 0, 1))
    disc = (away <= np.sqrt(area_m2 / np.pi)).any(axis=1)
    own = weight > MOSTLY
    return float((disc & own).sum() / max((disc | own).sum(), 1))
