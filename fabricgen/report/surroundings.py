"""What stands around a site as layers to be drawn, from the arrays of a city's window."""

import geopandas as gpd
import numpy as np
import shapely
from rasterio import features
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from fabricgen.form.indicators import STOREY_M
from fabricgen.layout import Frame
from fabricgen.plan import layer
from fabricgen.surfaces import BIT, GREEN, PAVED, ROAD_KINDS, WATER
from fabricgen.vectorize.drawing import to_world
from fabricgen.vectorize.rectangles import polygons

SMOOTH_PX = 0.75  # outlines of ground may move by this many pixels
CUTS = 2  # rounds of cutting their corners
CUT_PX = 1.0  # taken off an edge at most
GROUND = {"green": GREEN, "water": (WATER,), "paved": (PAVED,)}


def surroundings_of(
    boxes: np.ndarray, segments: np.ndarray, labels: np.ndarray, frame: Frame
) -> dict[str, gpd.GeoDataFrame]:
    """Layers for the drawings of this room.

    Args:
        boxes: Buildings as store rows in the frame's (u, v), (N, 7).
        segments: Street pieces as store rows, (M, 6).
        labels: Allowed bits per pixel, (rows, cols) uint8; only ground of a known kind is drawn.
        frame: Where the arrays lie.
    """
    roads = [
        {
            "geometry": to_world(shapely.LineString(row[:4].reshape(2, 2)), frame),
            "kind": ROAD_KINDS[int(row[5])],
            "width_m": float(row[4]),
        }
        for row in np.asarray(segments, dtype=np.float64).reshape(-1, 6)
    ]
    shapes = {name: _ground(labels, surfaces, frame) for name, surfaces in GROUND.items()}
    tables = {
        name: layer(name, frame.crs, [{"geometry": to_world(s, frame)} for s in found])
        for name, found in shapes.items()
    }
    houses = _buildings(np.asarray(boxes, dtype=np.float64).reshape(-1, 7))
    tables["buildings"] = layer(
        "buildings",
        frame.crs,
        [
            {"geometry": to_world(shape, frame), "height_m": floors * STOREY_M or np.nan}
            for shape, floors in houses
        ],
    )
    return tables | {"roads": layer("roads", frame.crs, roads)}


def _buildings(boxes: np.ndarray) -> list[tuple[BaseGeometry, float]]:
    """Boxes of one building as one shape, in (u, v), with the floors of its tallest box."""
    shapes = polygons(boxes)
    of = [boxes[:, 6] == number for number in np.unique(boxes[:, 6])]
    return [(shapely.union_all(shapes[box]), float(boxes[box, 5].max())) for box in of]


def _ground(labels: np.ndarray, surfaces: tuple[int, ...], frame: Frame) -> list[BaseGeometry]:
    """Patches of some surfaces with their stairs smoothed, in (u, v)."""
    bits = [BIT[surface] for surface in surfaces]
    mask = np.isin(labels, bits)
    found = features.shapes(mask.astype(np.uint8), mask=mask)
    patches = np.array([shapely.geometry.shape(shape) for shape, _ in found], dtype=object)
    rounded = [_rounded(patch) for patch in shapely.simplify(patches, SMOOTH_PX)]
    return [shapely.transform(patch, lambda xy: xy * frame.pixel_m) for patch in rounded]


def _rounded(patch: Polygon) -> BaseGeometry:
    """A polygon with its corners cut, at a quarter of each edge or a pixel, whichever is less."""
    rings = []
    for ring in shapely.get_rings(patch):
        xy = shapely.get_coordinates(ring)[:-1]
        for _ in range(CUTS):
            edge = np.roll(xy, -1, axis=0) - xy
            length = np.maximum(np.hypot(*edge.T), 1e-9)[:, None]
            step = edge * np.minimum(0.25, CUT_PX / length)
            xy = np.stack([xy + step, xy + edge - step], axis=1).reshape(-1, 2)
        rings.append(xy)
    return shapely.make_valid(Polygon(rings[0], rings[1:]))
