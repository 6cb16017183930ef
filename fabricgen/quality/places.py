"""Sites on which plans are judged: real blocks and squares of a city that never trained."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import geopandas as gpd
import numpy as np
import shapely
from shapely.geometry import Polygon

from fabricgen.city.store import TileStore, Window
from fabricgen.city.window import DEPTH_M, FLOORS, WIDTH_M, U, V
from fabricgen.design.site import Site, place_site
from fabricgen.errors import InputError
from fabricgen.generator.conditions import PIXEL_M
from fabricgen.layout import Frame
from fabricgen.quality.descriptors import ALL
from fabricgen.surfaces import BIT, BUILDING, PATH, ROAD
from fabricgen.units import M2_PER_HA
from fabricgen.vectorize.drawing import to_frame, to_world

TILE_M = 256.0
LEAST_HA, MOST_HA = 0.5, 4.0
MOST_EDGE_M = 210.0  # of a site's box, so that a ring of surroundings stays in its tile
BUILT_SHARE = 0.08  # of a site, at least
SHIFT_M = 64.0  # of a square off the lattice of the store
CELL_M, BEYOND_M = 1000.0, 250.0  # pieces of city that are searched for blocks, and around them
NECK_M = 8.0
KNOWN_SHARE = 0.9  # of the open ground, for it to count as mapped
HEIGHTS_SHARE = 0.8  # of the boxes
MISSES = 300  # shapes in a row that are no site, after which a city is full
CORNERS = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])


@dataclass(frozen=True, eq=False)
class Place:
    """A site with what really stands on it.

    Attributes:
        name: Unique in its city.
        kind: `block` or `square`.
        site: The site, as for `generate`.
        tile: 256 m around its middle in pixels of 1 m: labels, boxes, segments.
        coarse: The same in the model's pixels of 2 m.
        mapped: Layers of `descriptors.NEEDS` that are known here.
    """

    name: str
    kind: str
    site: Site
    tile: Window
    coarse: Window
    mapped: frozenset[str]

    @property
    def inside(self) -> np.ndarray:
        """Pixels of the tile whose middle lies in the site, (256, 256) bool."""
        cells = np.arange(self.tile.frame.rows) + 0.5
        col, row = np.meshgrid(cells, cells)
        flat = to_frame(self.site.boundary, self.tile.frame)
        return shapely.contains_xy(flat, col, row)

    def seed(self, number: int) -> int:
        """Of the place's plans: hangs on its name alone, so that fewer sites give equal plans."""
        digest = hashlib.sha256(f"{self.name}/{number}".encode()).digest()
        return int.from_bytes(digest[:4], "big")


def find_places(store: TileStore, count: int, *, rng: np.random.Generator) -> list[Place]:
    """Sites of a city that do not overlap, half real blocks and half squares, in random order.

    Args:
        store: Of one city; all of it is judged.
        count: How many, at most: a small city has fewer.
        rng: Chance.

    Raises:
        InputError: The city has no built window.
    """
    city = store.cities()[0]
    if not (store.index(city)["surface_share_building"] >= BUILT_SHARE).any():
        raise InputError(f"{city}: no window has buildings", "give another city")
    sources = {"block": _blocks(store, city, rng), "square": _squares(store, city, rng)}
    found: list[Place] = []
    while len(found) < count and sources:
        for kind in list(sources):
            taken = np.array([place.site.boundary for place in found], object)
            free = _free(sources[kind], taken)
            name = f"{city}-{kind}-{len(found):04d}"
            made = (_place(store, city, shape, kind=kind, name=name) for shape in free)
            place = next((one for one in made if one is not None), None)
            if place is None:
                del sources[kind]
            else:
                found.append(place)
    return found[:count]


def _free(shapes: Iterator[Polygon], taken: np.ndarray) -> Iterator[Polygon]:
    """Shapes that overlap no site, until so many do that the city must be full."""
    for shape in islice(shapes, MISSES):
        if not (shapely.area(shapely.intersection(shape, taken)) > 1).any():
            yield shape


def _squares(store: TileStore, city: str, rng: np.random.Generator) -> Iterator[Polygon]:
    """Rectangles along the walls around, without end."""
    index = store.index(city)
    built = np.flatnonzero(index["surface_share_building"] >= BUILT_SHARE)
    while True:
        at = int(rng.choice(built))
        x_m, y_m = (
            float(index[name][at]) + rng.uniform(-SHIFT_M, SHIFT_M) for name in ("x_m", "y_m")
        )
        area_m2 = np.exp(rng.uniform(*np.log([LEAST_HA, MOST_HA]))) * M2_PER_HA
        ratio = rng.uniform(0.6, 1.0)
        size = np.minimum([np.sqrt(area_m2 * ratio), np.sqrt(area_m2 / ratio)], MOST_EDGE_M)
        angle_deg = float(index["wall_angle_deg"][at])
        frame = Frame(store.frame(city).crs, x_m, y_m, angle_deg, 1.0, 1, 1)
        yield to_world(Polygon(CORNERS * size), frame)


def _blocks(store: TileStore, city: str, rng: np.random.Generator) -> Iterator[Polygon]:
    """Ground between carriageways: every block of the city once, kilometer by kilometer."""
    frame = store.frame(city)
    segments = np.asarray(store.tables(city)["segments"], dtype=np.float64)
    cars = segments[segments[:, 5] < PATH]
    middle = (cars[:, :2] + cars[:, 2:4]) / 2
    across, down = (math.ceil(n * frame.pixel_m / CELL_M) for n in (frame.cols, frame.rows))
    for cell in rng.permutation(across * down):
        corner = np.array([cell % across, cell // across]) * CELL_M
        reach = np.abs(middle - (corner + CELL_M / 2)).max(axis=1) <= CELL_M / 2 + 2 * BEYOND_M
        faces = _faces_between(
            cars[reach], shapely.box(*(corner - BEYOND_M), *(corner + CELL_M + BEYOND_M))
        )
        at = shapely.get_coordinates(shapely.centroid(faces)).reshape(-1, 2)
        own = faces[((at >= corner) & (at < corner + CELL_M)).all(axis=1)]
        for face in rng.permutation(own):
            yield to_world(face, frame)


def _faces_between(cars: np.ndarray, whole: Polygon) -> np.ndarray:
    """Ground between carriageways that lies wholly in a square, (N,) polygons of a site's size."""
    lines = shapely.linestrings(cars[:, :4].reshape(-1, 2, 2))
    strips = shapely.union_all(shapely.buffer(lines, cars[:, 4] / 2))
    faces = shapely.get_parts(shapely.difference(whole, strips))
    faces = faces[shapely.within(faces, whole.buffer(-0.5))]
    faces = shapely.polygons(shapely.get_exterior_ring(shapely.simplify(faces, 0.5)))
    # Narrow necks between parallel carriageways are no part of a block.
    for step_m in (-NECK_M / 2, NECK_M / 2):
        faces = shapely.buffer(faces, step_m, join_style="mitre")
    faces = faces[shapely.get_type_id(faces) == 3]
    solid = shapely.polygons(shapely.get_exterior_ring(faces))
    area_ha = shapely.area(solid) / M2_PER_HA
    return solid[(area_ha >= LEAST_HA) & (area_ha <= MOST_HA)]


def _place(store: TileStore, city: str, shape: Polygon, *, kind: str, name: str) -> Place | None:
    """A site with its tile; None where it is too wide, hardly built or badly covered."""
    table = gpd.GeoDataFrame(geometry=[shape], crs=store.frame(city).crs)
    try:
        site = place_site(table, store, name=name)
    except InputError:
        return None
    uv = shapely.get_coordinates(to_frame(shape, site.frame))
    if np.ptp(uv, axis=0).max() > MOST_EDGE_M:
        return None
    x_m, y_m = site.frame.to_world(site.frame.rows / 2, site.frame.cols / 2)
    tile, coarse = (
        store.window(
            city, float(x_m), float(y_m), site.frame.angle_deg,
            rows=int(TILE_M / pixel_m), cols=int(TILE_M / pixel_m), pixel_m=pixel_m,
        )
        for pixel_m in (1.0, PIXEL_M)
    )  # fmt: skip
    place = Place(name, kind, site, tile, coarse, ALL)
    labels = tile.labels[place.inside]
    boxes = boxes_inside(place, tile)
    # A building counts by its middle, and so may lie on a site and not be part of it.
    taken = (boxes[:, WIDTH_M] * boxes[:, DEPTH_M]).sum() / shape.area
    if min(taken, (labels == BIT[BUILDING]).mean()) < BUILT_SHARE or (tile.labels == 0).any():
        return None
    return replace(place, mapped=_mapped(labels, boxes))


def boxes_inside(place: Place, tile: Window) -> np.ndarray:
    """Boxes of a tile whose middle would lie in the site, (N, 7)."""
    flat = to_frame(place.site.boundary, place.tile.frame)
    return tile.boxes[shapely.contains_xy(flat, tile.boxes[:, U], tile.boxes[:, V])]


def _mapped(labels: np.ndarray, boxes: np.ndarray) -> frozenset[str]:
    ground = labels[(labels != BIT[BUILDING]) & (labels != BIT[ROAD])]
    known = np.isin(ground, BIT).mean() if len(ground) else 0.0
    layers = {"greenery", "paved"} if known >= KNOWN_SHARE else set()
    floors = np.isfinite(boxes[:, FLOORS]).mean()
    return frozenset(layers | ({"heights"} if floors >= HEIGHTS_SHARE else set()))
