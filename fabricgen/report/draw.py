"""A plan as marks on a sheet: what is drawn, in which order and style, whatever the pen.

Sheet coordinates are meters to the right and down of the sheet's top left corner. Marks lie bottom
to top; `svg` and `sheet` put the same marks into a web page and a picture.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import shapely
from shapely.geometry import Point
from shapely.geometry.base import BaseGeometry

from fabricgen.form.indicators import STOREY_M
from fabricgen.layout import Frame
from fabricgen.plan import CROWN_M, Plan, road_polygons
from fabricgen.surfaces import (
    BARE,
    BUILDING,
    COLORS,
    GRASS,
    PATH,
    PAVED,
    ROAD,
    ROAD_KINDS,
    SHRUB,
    TREE,
    WATER,
)

MARGIN_SHARE = 0.2  # of surroundings around the site, of its longer side
MIN_MARGIN_M = 40.0
SHADOW_PER_M = 0.22  # length of a shadow per meter of height; a convention of plans, no sun
FINE_M = 0.15  # detail below this is not drawn
MIN_LABEL_M = 2.2  # radius of the largest circle in a footprint that has room for a number

Surroundings = Mapping[str, gpd.GeoDataFrame]  # by layer: buildings, roads, green, water, paved


@dataclass(frozen=True)
class Style:
    """How a mark is drawn; widths and dashes in pixels of the finished picture."""

    fill: str = "none"
    line: str = "none"
    line_px: float = 0.0
    opacity: float = 1.0
    dash_px: tuple[float, ...] = ()


STYLES = {
    "sheet": Style("#f6f4ef"),
    "around_green": Style("#e6ead9"),
    "around_water": Style("#dbe7ec"),
    "around_paved": Style("#edeae3"),
    "around_roads": Style("#ffffff", "#dedad3", 0.6),
    "around_buildings": Style("#dad5ce", "#c4beb6", 0.6),
    "bare": Style(COLORS[BARE]),
    "grass": Style(COLORS[GRASS]),
    "shrub": Style(COLORS[SHRUB], "#8aa86b", 0.5),
    "paved": Style(COLORS[PAVED], "#d3c9b8", 0.5),
    "water": Style(COLORS[WATER], "#7fa9c1", 0.8),
    "roads": Style(COLORS[ROAD], "#a39d96", 0.8),
    "canopy": Style(COLORS[TREE], "#5a8650", 0.8, 0.82),
    "crowns": Style(COLORS[TREE], "#55804b", 0.7, 0.62),
    "stems": Style("#43693a", opacity=0.8),
    "shadow": Style("#2f2a26", opacity=0.2),
    "buildings": Style(COLORS[BUILDING], "#322d2a", 0.9),
    "site": Style(line="#a8442c", line_px=1.6, dash_px=(9.0, 3.0, 1.6, 3.0)),
    "outline": Style(line="#4a4440", line_px=0.6, opacity=0.7),
}


@dataclass(frozen=True, eq=False)
class Mark:
    """Shapes of one style: polygons and lines, or circles as rows of x, y, radius (N, 3)."""

    name: str
    shapes: tuple[BaseGeometry, ...] = ()
    circles: np.ndarray | None = None

    @property
    def style(self) -> Style:
        """How it is drawn."""
        return STYLES[self.name]


@dataclass(frozen=True)
class Label:
    """A short text around a point, its height in meters."""

    x_m: float
    y_m: float
    text: str
    height_m: float


@dataclass(frozen=True)
class View:
    """The part of the world that a sheet shows, turned like its frame."""

    frame: Frame
    left_m: float
    top_m: float
    width_m: float
    height_m: float

    @property
    def north_deg(self) -> float:
        """Where north points on the sheet, clockwise from up."""
        return -self.frame.angle_deg

    def flat(self, shapes: np.ndarray) -> np.ndarray:
        """Shapes of the world on the sheet."""
        return shapely.transform(shapes, self._place)

    def _place(self, xy: np.ndarray) -> np.ndarray:
        row, col = self.frame.from_world(xy[:, 0], xy[:, 1])
        uv = np.stack([col, row], axis=1) * self.frame.pixel_m
        return uv - np.array([self.left_m, self.top_m])


@dataclass(frozen=True, eq=False)
class Drawing:
    """A finished sheet."""

    view: View
    marks: tuple[Mark, ...]
    labels: tuple[Label, ...]


def view_of(plan: Plan, frame: Frame | None = None, *, margin_m: float | None = None) -> View:
    """The site with a margin; north is up, or the sheet is turned like a frame and stays in it."""
    left, bottom, right, top = plan.site.bounds
    if frame is None:
        frame = Frame(plan.crs, left, top, 0.0, 1.0, 1, 1)
        low, high = np.zeros(2), np.array([right - left, top - bottom])
        least, most = np.full(2, -np.inf), np.full(2, np.inf)
    else:
        xy = shapely.get_coordinates(plan.site)
        row, col = frame.from_world(xy[:, 0], xy[:, 1])
        uv = np.stack([col, row], axis=1) * frame.pixel_m
        low, high = uv.min(axis=0), uv.max(axis=0)
        least, most = np.zeros(2), np.array([frame.cols, frame.rows]) * frame.pixel_m
    if margin_m is None:
        margin_m = max(MIN_MARGIN_M, MARGIN_SHARE * float((high - low).max()))
    low = np.minimum(np.maximum(low - margin_m, least), low)
    high = np.maximum(np.minimum(high + margin_m, most), high)
    width_m, height_m = high - low
    return View(frame, float(low[0]), float(low[1]), float(width_m), float(height_m))


def background(plan: Plan, view: View, surroundings: Surroundings | None) -> list[Mark]:
    """The sheet, and on it what stands around the site, pale."""
    sheet = shapely.box(0, 0, view.width_m, view.height_m)
    marks = [Mark("sheet", (sheet,))]
    site = view.flat(plan.site)
    for name, shapes in _around(surroundings or {}).items():
        marks.append(Mark(f"around_{name}", polygons_of(beside(shapes, view, site))))
    return [mark for mark in marks if mark.shapes]


def beside(shapes: np.ndarray, view: View, site: BaseGeometry) -> np.ndarray:
    """Shapes of the world on the sheet, cut by its edges and by the site, (N,); some empty."""
    flat = shapely.clip_by_rect(view.flat(shapes), 0, 0, view.width_m, view.height_m)
    shapely.prepare(site)
    crossing = shapely.intersects(site, flat)
    flat[crossing] = shapely.difference(flat[crossing], site)
    return flat


def _around(surroundings: Surroundings) -> dict[str, np.ndarray]:
    """Shapes of the surroundings by mark, bottom to top; ways on foot count as paved."""
    empty = np.zeros(0, dtype=object)
    shapes = {
        name: surroundings[name].geometry.to_numpy() if name in surroundings else empty
        for name in ("green", "water", "paved", "roads", "buildings")
    }
    if "roads" in surroundings:
        roads = surroundings["roads"]
        on_path = (roads["kind"] == ROAD_KINDS[PATH]).to_numpy()
        areas = road_polygons(roads)
        shapes["paved"] = np.concatenate([shapes["paved"], areas[on_path]])
        shapes["roads"] = np.array([shapely.union_all(areas[~on_path])], dtype=object)
    return shapes


def draw(plan: Plan, view: View, behind: Iterable[Mark] = ()) -> Drawing:
    """A plan on a sheet, over what lies behind it."""
    walls = view.flat(plan.buildings.geometry.to_numpy())
    shadow = _shadows(walls, plan.buildings["height_m"].to_numpy())
    shadow = shapely.clip_by_rect(shadow, 0, 0, view.width_m, view.height_m)
    marks = [
        *ground(plan, view),
        *_trees(plan, view),
        Mark("shadow", polygons_of([shadow])),
        Mark("buildings", polygons_of(walls)),
        Mark("site", polygons_of([view.flat(plan.site)])),
    ]
    inked = [mark for mark in marks if mark.shapes or mark.circles is not None]
    return Drawing(view, (*behind, *inked), tuple(_floors(plan, walls)))


def ground(plan: Plan, view: View) -> list[Mark]:
    """What lies flat on a plan, bottom to top; each layer over those before it."""
    site = view.flat(plan.site)
    green, roads = plan.green, plan.roads
    kinds = {
        k: view.flat(green.geometry[green["kind"] == k].to_numpy()) for k in ("grass", "shrub")
    }
    on_path = (roads["kind"] == ROAD_KINDS[PATH]).to_numpy()
    streets = view.flat(road_polygons(roads))
    hard = np.concatenate([view.flat(plan.paved.geometry.to_numpy()), streets[on_path]])
    return [
        Mark("bare", polygons_of([site])),
        Mark("grass", polygons_of(kinds["grass"])),
        Mark("shrub", polygons_of(kinds["shrub"])),
        Mark("paved", _joined(hard, site)),
        Mark("water", polygons_of(view.flat(plan.water.geometry.to_numpy()))),
        Mark("roads", _joined(streets[~on_path], site)),
    ]


def outlines(plan: Plan, view: View) -> tuple[Mark, ...]:
    """Walls and the site's edge alone, to lie over a map."""
    walls = view.flat(plan.buildings.geometry.to_numpy())
    site = view.flat(plan.site)
    return Mark("outline", polygons_of(walls)), Mark("site", polygons_of([site]))


def _trees(plan: Plan, view: View) -> list[Mark]:
    """Canopy, crowns over it, and a dot for each stem."""
    patches = view.flat(plan.green.geometry[plan.green["kind"] == "tree"].to_numpy())
    marks = [Mark("canopy", polygons_of(patches))]
    if len(plan.trees):
        xy = shapely.get_coordinates(view.flat(plan.trees.geometry.to_numpy()))
        radius_m = plan.trees["crown_m"].fillna(CROWN_M).to_numpy() / 2
        marks.append(Mark("crowns", circles=np.column_stack([xy, radius_m])))
        marks.append(Mark("stems", circles=np.column_stack([xy, np.full(len(xy), 0.35)])))
    return marks


def _shadows(walls: np.ndarray, heights_m: np.ndarray) -> BaseGeometry:
    """Ground in the shadow of buildings, toward the upper right of the sheet."""
    pieces = []
    for wall, height_m in zip(walls, np.nan_to_num(heights_m, nan=STOREY_M), strict=True):
        throw = np.array([1.0, -1.0]) * height_m * SHADOW_PER_M
        for ring in shapely.get_rings(wall):
            edge = shapely.get_coordinates(ring)
            start, end = edge[:-1], edge[1:]
            corners = np.stack([start, end, end + throw, start + throw], axis=1)  # (N, 4, 2)
            swept = shapely.polygons(corners)
            pieces.append(shapely.union_all(swept[shapely.area(swept) > 0.01]))  # dust
    return shapely.difference(shapely.union_all(pieces), shapely.union_all(walls))


def _floors(plan: Plan, walls: np.ndarray) -> Iterable[Label]:
    """Number of floors in the middle of the widest part of each building."""
    for wall, floors in zip(walls, plan.buildings["floors"].to_numpy(), strict=True):
        if np.isnan(floors):
            continue
        place, radius_m = _widest(wall)
        if radius_m >= MIN_LABEL_M:
            yield Label(place.x, place.y, f"{floors:.0f}", min(1.05 * radius_m, 5.6))


def _widest(wall: BaseGeometry) -> tuple[Point, float]:
    """A point in a footprint and its distance to the walls: the middle, if that has room."""
    spoke = shapely.maximum_inscribed_circle(wall, tolerance=0.5)
    middle, radius_m = wall.centroid, float(spoke.length)
    if wall.contains(middle) and wall.boundary.distance(middle) > 0.9 * radius_m:
        return middle, radius_m
    return Point(spoke.coords[0]), radius_m


def _joined(shapes: np.ndarray, within: BaseGeometry) -> tuple[BaseGeometry, ...]:
    return polygons_of([shapely.intersection(shapely.union_all(shapes), within)])


def polygons_of(shapes: Iterable[BaseGeometry]) -> tuple[BaseGeometry, ...]:
    """The polygons in shapes, outer rings one way round and holes the other."""
    parts = shapely.get_parts(np.array(list(shapes), dtype=object), return_index=False)
    parts = shapely.get_parts(parts)
    parts = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    fine = shapely.simplify(parts, FINE_M)
    return tuple(shapely.orient_polygons(fine[~shapely.is_empty(fine)]))
