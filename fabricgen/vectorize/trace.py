"""A layout drawn as a plan: buildings, streets, ground and trees, each from its own shares.

The way back of `plan.rasterize`, for generated maps and for rasters that users bring. Buildings go
first, because their walls are the most exact; streets give way to them, and the ground takes what
is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import geopandas as gpd
import numpy as np
import shapely
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from fabricgen.errors import LayoutError
from fabricgen.form.indicators import STOREY_M
from fabricgen.layout import Frame, Layout
from fabricgen.plan import Plan, areas_of, layer, paint, road_polygons
from fabricgen.surfaces import BARE, BIT, GRASS, PATH, PAVED, ROAD, ROAD_KINDS, SHRUB, TREE, WATER
from fabricgen.vectorize.crowns import CrownSettings, crowns_of
from fabricgen.vectorize.drawing import SOURCE, patch_layer, to_frame, to_world, tree_layer
from fabricgen.vectorize.footprints import FitSettings, footprints, polygon_of_outline
from fabricgen.vectorize.ground_trace import Ground, ground_of, patches_of
from fabricgen.vectorize.houses import HouseSettings, trace_houses
from fabricgen.vectorize.party import House
from fabricgen.vectorize.road_beside import beside
from fabricgen.vectorize.road_trace import trace_roads
from fabricgen.vectorize.settings import DrawSettings
from fabricgen.vectorize.trees import Trees, spaced
from fabricgen.vectorize.walls import parts, valid

NO_ROWS = np.zeros((0, 6))
SITE_PX = 4.0  # fewer pixels are no part of a site, nor a hole in it
FILL_KINDS = {GRASS: "grass", SHRUB: "shrub", TREE: "tree"}


@dataclass(frozen=True)
class TraceSettings:
    """How a layout is drawn."""

    houses: HouseSettings = field(default_factory=HouseSettings)
    # Patches of ground: a raster says more of them than a proposal does.
    ground: DrawSettings = field(
        default_factory=lambda: DrawSettings(min_patch_m2=6.0, min_strip_m=0.8, min_pond_m2=16.0)
    )
    crowns: CrownSettings = field(default_factory=CrownSettings)
    seed: int = 0  # of the places of stems in larger groves


def trace_layout(
    layout: Layout,
    frame: Frame,
    site: BaseGeometry,
    *,
    streets: gpd.GeoDataFrame | None = None,
    context: np.ndarray = NO_ROWS,
    settings: TraceSettings | None = None,
) -> Plan:
    """Draws a layout clean.

    Args:
        layout: Surface shares and heights, soft or hard, (1, 8, H, W). Shares of pixels on walls
            say where in the pixel the wall is; hard labels work, less exactly.
        frame: Where it lies; the plan takes its CRS.
        site: The site in the frame's CRS; what lies outside is not drawn.
        streets: The plan's road layer where it is known; None: traced from the layout.
        context: Street pieces around the site as store rows (K, 6) in frame coordinates.
        settings: How.

    Returns:
        A plan inside the site without overlaps. What the layout does not know is bare.

    Raises:
        LayoutError: Several layouts, or another grid than the frame's.
    """
    settings = settings or TraceSettings()
    _check(layout, frame)
    flat = to_frame(site, frame)
    houses = trace_houses(layout, flat, settings.houses)
    built = shapely.union_all([house.shape for house in houses])

    roads = trace_roads(layout, frame, site, context=context) if streets is None else streets
    roads = beside(roads, to_world(built, frame))
    surface = to_frame(road_polygons(roads), frame)
    on_path = (roads["kind"] == ROAD_KINDS[PATH]).to_numpy()
    carriageway = areas_of(shapely.union_all(surface[~on_path]).intersection(flat))
    paths = areas_of(shapely.union_all(surface[on_path]).intersection(flat))
    paths = paths.difference(shapely.union_all([built, carriageway]))

    free = flat.difference(shapely.union_all([built, carriageway, paths]))
    ground = ground_of(layout, _street_share(roads[~on_path], frame))
    green, paved, water, trees = _draw_ground(ground, areas_of(free), settings)
    paved += [(part, "path") for part in parts(paths)]
    return Plan(
        site,
        frame.crs,
        buildings=_building_layer(houses, frame),
        roads=roads,
        paved=patch_layer("paved", paved, frame),
        water=patch_layer("water", water, frame),
        green=patch_layer("green", green, frame),
        trees=tree_layer(trees, frame),
    )


def site_of(inside: np.ndarray, frame: Frame) -> BaseGeometry:
    """The outline of marked pixels in the frame's CRS, straight where stairs of them are.

    Args:
        inside: Pixels of the site, (rows, cols) bool.
        frame: Where they lie.
    """
    pixel_m = frame.pixel_m
    if inside.all():
        outline = shapely.box(0, 0, frame.cols * pixel_m, frame.rows * pixel_m)
        return to_world(outline, frame)
    least_m2 = SITE_PX * pixel_m**2
    plain = FitSettings(pixel_m, smallest_m2=least_m2, least_court_m2=least_m2)
    found = footprints(inside.astype(np.float64), pixel_m, plain)
    shapes = [part for one in found for part in parts(valid(polygon_of_outline(one, pixel_m)))]
    return to_world(shapely.union_all(shapes), frame)


def _check(layout: Layout, frame: Frame) -> None:
    count, rows, cols = layout.height_m.shape
    if count != 1:
        raise LayoutError(f"layout: {count} in one batch", "trace them one by one")
    if (rows, cols) != (frame.rows, frame.cols):
        raise LayoutError(
            f"layout: {rows} x {cols} pixels in a frame of {frame.rows} x {frame.cols}",
            "give the frame of this layout",
        )


def _street_share(roads: gpd.GeoDataFrame, frame: Frame) -> np.ndarray:
    """Share of each pixel under carriageways, (rows, cols)."""
    strips = [(strip, BIT[ROAD], float("nan")) for strip in road_polygons(roads)]
    return paint(strips, frame, ground=BIT[BARE]).cover[0, ROAD].numpy().astype(np.float64)


def _draw_ground(
    ground: Ground, free: BaseGeometry, settings: TraceSettings
) -> tuple[list, list, list, Trees]:
    """Patches of green, paved ground and water with their kinds, and trees."""
    labels = ground.labels
    single = crowns_of(ground.canopy, ground.pixel_m, settings.crowns)
    if not single.pixels.all():
        rows, cols = ndimage.distance_transform_edt(
            single.pixels, return_distances=False, return_indices=True
        )
        labels = labels[rows, cols]
    found = patches_of(ground, labels, free, settings.ground)
    green = [(part, name) for s, name in FILL_KINDS.items() for part in found.get(s, [])]
    paved = [(part, "yard") for part in found.get(PAVED, [])]
    water = [(part, "water") for part in found.get(WATER, [])]
    inner, inner_m = _stand(found.get(TREE, []), settings)
    trees = Trees(np.concatenate([single.stem, inner]), np.concatenate([single.width_m, inner_m]))
    return green, paved, water, trees


def _stand(
    groves: Sequence[BaseGeometry], settings: TraceSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Stems (N, 2) in groves with room between them, and their crowns (N,) in meters."""
    draw = settings.ground
    rng = np.random.default_rng(settings.seed)
    found = [np.zeros((0, 2))]
    for grove in groves:
        left, top, right, bottom = grove.bounds
        count = max(1, int((right - left) * (bottom - top) / draw.tree_spacing_m**2 * 2))
        points = rng.uniform((left, top), (right, bottom), (count, 2))
        points = points[shapely.contains_xy(grove, points)]
        points = np.concatenate([shapely.get_coordinates(grove.representative_point()), points])
        found.append(points[spaced(points, draw.tree_spacing_m)])
    stems = np.concatenate(found)
    return stems, rng.uniform(draw.crown_min_m, draw.crown_max_m, len(stems))


def _building_layer(houses: Sequence[House], frame: Frame) -> gpd.GeoDataFrame:
    rows = []
    for house in houses:
        for part in parts(valid(to_world(house.shape, frame))):
            floors = max(1.0, round(house.height_m / STOREY_M)) if house.height_m > 0 else np.nan
            rows.append(
                {
                    "id": f"b{len(rows) + 1}",
                    "source": SOURCE,
                    "height_m": house.height_m,
                    "floors": floors,
                    "footprint_m2": part.area,
                    "geometry": part,
                }
            )
    return layer("buildings", frame.crs, rows)
