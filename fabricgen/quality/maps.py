"""A plan on its site inside the city around it, on one grid of 1 m."""

from __future__ import annotations

import numpy as np
import shapely
from scipy import ndimage

from fabricgen.plan import Plan, rasterize
from fabricgen.quality.places import Place
from fabricgen.surfaces import BIT, BUILDING, ROAD
from fabricgen.vectorize.drawing import to_frame

EIGHT = np.ones((3, 3), bool)
FOUR = ndimage.generate_binary_structure(2, 1)
OTHER = 255  # neither building nor carriageway


def city_map(plan: Plan, place: Place) -> np.ndarray:
    """Allowed surfaces of the tile with the plan in place of what stood there, (256, 256) uint8."""
    drawn = rasterize(plan, place.tile.frame, subpixels=1).allowed[0].numpy()
    return np.where(place.inside, drawn, place.tile.labels)


def kinds_of(labels: np.ndarray) -> np.ndarray:
    """Building, carriageway or other: what every city maps, (H, W) uint8."""
    kinds = np.full(labels.shape, OTHER, np.uint8)
    kinds[labels == BIT[BUILDING]] = BUILDING
    kinds[labels == BIT[ROAD]] = ROAD
    return kinds


def ring_lines(place: Place, *, inward_m: float) -> list[np.ndarray]:
    """Points every meter along the outline, or along a line inside it, with outward normals.

    Returns:
        For each ring (N, 4): column and row on the tile, and the normal.
    """
    flat = to_frame(place.site.boundary, place.tile.frame)
    inner = shapely.buffer(flat, -inward_m, join_style="mitre") if inward_m else flat
    rings = shapely.get_parts(shapely.boundary(shapely.orient_polygons(inner)))
    found = []
    for ring in rings:
        count = int(ring.length)
        if count < 4:
            continue
        at = (np.arange(count) + 0.5) * ring.length / count
        here, there = (
            shapely.get_coordinates(shapely.line_interpolate_point(ring, (at + d) % ring.length))
            for d in (-0.25, 0.25)
        )
        way = (there - here) / np.maximum(np.hypot(*(there - here).T), 1e-9)[:, None]
        # Counterclockwise outer rings have the outside on their right.
        found.append(np.column_stack([(here + there) / 2, way[:, 1], -way[:, 0]]))
    return found


def sample(grid: np.ndarray, line: np.ndarray, *, outward_m: float) -> np.ndarray:
    """Values of a grid beside a line of `ring_lines`, (N,)."""
    spot = np.floor(line[:, :2] + outward_m * line[:, 2:]).astype(int)
    col, row = np.clip(spot, 0, len(grid) - 1).T
    return grid[row, col]
