"""Sites on which plans are judged: real blocks and squares of a city that never trained."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import geopandas as gpd
import numpy as np
import shapely
from shapely.geometry import Polygon

from fabricgen.city.store import TileStore, Window
from fabricgen.city.window import FLOORS, U, V
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
LOOK_M = 420.0  # of city that is searched for a block
KNOWN_SHARE = 0.9  # of the open ground, for it to count as mapped
HEIGHTS_SHARE = 0.8  # of the boxes
MISSES = 60  # windows in a row without a new site, after which a city is full
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
    index = store.index(city)
    built = np.flatnonzero(index["surface_share_building"] >= BUILT_SHARE)
    if not len(built):
        raise InputError(f"{city}: no window has buildings", "give another city")
    found: list[Place] = []
    taken: list[Polygon] = []
    turn, last = 0, 0
    while len(found) < count and turn - last < MISSES:
        at = int(rng.choice(built))
        middle = (float(index["x_m"][at]), float(index["y_m"][at]))
        middle = tuple(np.add(middle, rng.uniform(-TILE_M / 4, TILE_M / 4, 2)))
        angle_deg = float(index["wall_angle_deg"][at])
        kind = ("block", "square")[turn % 2]
        turn += 1
        cut = _blocks if kind == "block" else _square
        for shape in cut(store, city, middle, angle_deg, rng=rng):
            if any(shapely.area(shapely.intersection(shape, other)) > 1 for other in taken):
                continue
            place = _place(store, city, shape, kind=kind, name=f"{city}-{kind}-{len(found):04d}")
            if place is not None:
                found.append(place)
                taken.append(shape)
                last = turn
                break
    return found


def _square(
    store: TileStore, city: str, middle: tuple, angle_deg: float, *, rng: np.random.Generator
) -> Iterator[Polygon]:
    """A rectangle along the walls around."""
    area_m2 = np.exp(rng.uniform(*np.log([LEAST_HA, MOST_HA]))) * M2_PER_HA
    ratio = rng.uniform(0.6, 1.0)
    size = np.minimum([np.sqrt(area_m2 * ratio), np.sqrt(area_m2 / ratio)], MOST_EDGE_M)
    frame = Frame(store.frame(city).crs, *middle, angle_deg, 1.0, 1, 1)
    yield to_world(Polygon(CORNERS * size), frame)


def _blocks(
    store: TileStore, city: str, middle: tuple, angle_deg: float, *, rng: np.random.Generator
) -> Iterator[Polygon]:
    """Ground between carriageways, the blocks nearest to a place first."""
    cells = int(LOOK_M)
    window = store.window(city, *middle, angle_deg, rows=cells, cols=cells, pixel_m=1.0)
    cars = window.segments[window.segments[:, 5] < PATH]
    lines = shapely.linestrings(cars[:, :4].reshape(-1, 2, 2).astype(np.float64))
    strips = shapely.union_all(shapely.buffer(lines, cars[:, 4] / 2))
    whole = shapely.box(0, 0, LOOK_M, LOOK_M)
    faces = shapely.get_parts(shapely.difference(whole, strips))
    inner = shapely.within(faces, whole.buffer(-0.5))
    faces = [Polygon(shapely.simplify(face, 0.5).exterior) for face in faces[inner]]
    centre = shapely.Point(LOOK_M / 2, LOOK_M / 2)
    for face in sorted(faces, key=lambda shape: shape.distance(centre)):
        # Narrow necks between parallel carriageways are no part of a block.
        solid = shapely.buffer(
            shapely.buffer(face, -4.0, join_style="mitre"), 4.0, join_style="mitre"
        )
        if solid.geom_type == "Polygon" and LEAST_HA <= solid.area / M2_PER_HA <= MOST_HA:
            yield to_world(Polygon(solid.exterior), window.frame)


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
    if not len(boxes) or (labels == BIT[BUILDING]).mean() < BUILT_SHARE or (tile.labels == 0).any():
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
