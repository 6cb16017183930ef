"""Walls pushed outward, one at a time, where groups of buildings are too hemmed in to scale.

In a dense block every group reaches from street to street, and what coverage is missing lies in its
yards. A wall moves as a whole and straight, as an extension would be built on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from fabricgen.vectorize.walls import parts, rings_of, valid

LEAST_WALL_M = 5.0  # shorter walls stay
DEPTHS_M = (6.0, 4.0, 2.5, 1.5)  # tried one after the other
LEAST_DEPTH_M = 1.0
OVERLAP_M = 0.05  # an extension reaches into its house by this, so that both are one
TOUCH_M, TOUCH_M2 = 0.05, 0.01
MOST_PUSHES = 80


@dataclass(frozen=True, eq=False)
class Wall:
    """A wall of one building, its outside on the right."""

    building: int
    start: np.ndarray  # (2,) [m]
    end: np.ndarray

    @property
    def length_m(self) -> float:
        """Along the wall."""
        return float(np.hypot(*(self.end - self.start)))

    def extension(self, depth_m: float) -> Polygon:
        """Ground that the wall sweeps when it moves outward."""
        along = (self.end - self.start) / self.length_m
        out = np.array([along[1], -along[0]])
        inner, outer = -OVERLAP_M * out, depth_m * out
        corners = (self.start + inner, self.end + inner, self.end + outer, self.start + outer)
        return shapely.Polygon(corners)


def push_walls(
    shapes: np.ndarray,
    goal_m2: float,
    *,
    inside: BaseGeometry,
    blocked: BaseGeometry,
    slit_m: float,
) -> np.ndarray:
    """Buildings whose longest free walls are moved outward until a summed area is reached.

    Args:
        shapes: Building polygons, (N,).
        goal_m2: Area that they should have together; what has no room stays missing.
        inside: Where walls may stand.
        blocked: Where none may.
        slit_m: Least gap to buildings that do not touch the one that grows.
    """
    shapes = shapes.copy()
    tree = shapely.STRtree(shapes)
    near = [tree.query(shape.buffer(DEPTHS_M[0] + slit_m)) for shape in shapes]
    todo = sorted(_walls(shapes), key=lambda wall: -wall.length_m)[:MOST_PUSHES]
    for wall in todo:
        missing_m2 = goal_m2 - shapely.area(shapes).sum()
        if missing_m2 < LEAST_DEPTH_M * LEAST_WALL_M:
            break
        mine = shapes[wall.building]
        others = shapes[near[wall.building][near[wall.building] != wall.building]]
        joined = shapely.distance(others, mine) <= TOUCH_M
        exact_m = missing_m2 / wall.length_m
        for depth_m in (exact_m, *DEPTHS_M):
            if not LEAST_DEPTH_M <= depth_m <= min(exact_m, DEPTHS_M[0]):
                continue
            grown = wall.extension(depth_m)
            free = (
                shapely.contains(inside, grown)
                and not shapely.intersects(blocked, grown)
                and (shapely.area(shapely.intersection(others, grown)) < TOUCH_M2).all()
                and (shapely.distance(others[~joined], grown) >= slit_m).all()
            )
            if free and (whole := _one(mine, grown)) is not None:
                shapes[wall.building] = whole
                break
    return shapes


def _walls(shapes: np.ndarray) -> list[Wall]:
    """All outer walls long enough to be moved."""
    found = []
    for index, shape in enumerate(shapely.orient_polygons(shapes)):
        ring = rings_of(shape)[0]
        for start, end in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if np.hypot(*(end - start)) >= LEAST_WALL_M:
                found.append(Wall(index, start, end))
    return found


def _one(mine: Polygon, grown: Polygon) -> Polygon | None:
    """Both as one polygon with no hole that was not there; None where that fails."""
    whole = parts(valid(shapely.union(mine, grown)))
    if len(whole) != 1 or len(whole[0].interiors) != len(mine.interiors):
        return None
    return whole[0]
