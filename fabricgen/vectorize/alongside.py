"""Masses drawn along their neighbors: where most walls around run one way, so may these.

A small building is a few pixels, and a turned box with a step less may fit it as well as the true
outline. Buildings that stand side by side are mostly parallel, so each mass gets drawings in the
direction of those near it, and these cost a little less than others.
"""

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from fabricgen.vectorize.fitting import ring_area, ring_corners
from fabricgen.vectorize.outlines import Outline, Thrift, fit_ring

THRIFTS_ALONG = (Thrift(0.25, np.inf), Thrift(0.6, np.inf), Thrift(1.5, np.inf))
GAIN = 3.0  # of a drawing along the neighbors, in units of misfit
NEIGHBORS = 4
NEAR_PX = 20.0  # middles of neighbors lie within this
ONE_WAY = 0.8  # of the length of walls around that adds up, for them to run one way


def turns_around(standing: Sequence[Outline]) -> np.ndarray:
    """Direction of the walls around each mass, (M,) [rad]; NaN where they have none in common.

    Args:
        standing: The masses as drawn so far.
    """
    found = np.full(len(standing), np.nan)
    if len(standing) < 2:
        return found
    middle = np.array([ring_corners(outline.rings[0]).mean(axis=0) for outline in standing])
    pull = np.array([_pull(outline) for outline in standing])
    many = min(NEIGHBORS + 1, len(standing))
    away, near = cKDTree(middle).query(middle, k=many)
    seen = away[:, 1:] < NEAR_PX  # a mass is its own nearest
    total = (pull[near[:, 1:]] * seen).sum(axis=1)
    agree = np.abs(total) > ONE_WAY * (np.abs(pull[near[:, 1:]]) * seen).sum(axis=1)
    found[agree] = np.angle(total[agree]) / 4
    return found


def _pull(outline: Outline) -> complex:
    """Length times exp(4 i angle) of the outer walls: those at right angles add up."""
    ring = outline.rings[0]
    corner = ring_corners(ring)
    length = np.hypot(*(np.roll(corner, -1, axis=0) - corner).T)
    return complex((length * np.exp(4j * ring.angle)).sum())


def along(mass: Sequence[np.ndarray], turn: float, thrift: Thrift) -> Outline | None:
    """A mass drawn in one direction; None where that makes no sense.

    Args:
        mass: Points around it and around its courts, (n, 2) each.
        turn: The direction. [rad].
        thrift: How plainly.
    """
    frames = np.array([turn])
    rings = [fit_ring(points, frames, [thrift])[0] for points in mass]
    sound = [ring is not None and (ring_area(ring) > 0) == (k == 0) for k, ring in enumerate(rings)]
    return Outline(frames, tuple(ring for ring in rings if ring)) if all(sound) else None
