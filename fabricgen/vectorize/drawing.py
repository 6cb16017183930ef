"""The whole drawing: boxes, street pieces and a map of the ground become a plan.

Everything is drawn in the frame's own coordinates, where most walls are level, and turned into the
world at the end; streets go first, because what is under them must be known exactly.
"""

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import shapely
from rasterio import features
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from fabricgen.layout import Frame
from fabricgen.plan import Plan, areas_of, layer, road_polygons
from fabricgen.surfaces import BARE, GRASS, PATH, PAVED, ROAD_KINDS, SHRUB, WATER
from fabricgen.vectorize.buildings import Footprint, draw_buildings
from fabricgen.vectorize.ground import calm, patches, surface_labels
from fabricgen.vectorize.settings import DrawSettings
from fabricgen.vectorize.streets import Street, draw_streets, surface
from fabricgen.vectorize.trees import Trees, canopy, plant
from fabricgen.vectorize.walls import parts, patches_of, valid

SOURCE = "fabricgen"
GREEN_NAMES = {GRASS: "grass", SHRUB: "shrub"}
SPECK_M2 = 2.0  # bits of ground left between crowns and walls below this stay with the crowns
DUST_M2 = 0.01  # bits of patches below this are rounding
NOWHERE = Polygon()
NO_ROWS = np.zeros((0, 6))


def vectorize(  # noqa: PLR0913  # a site, what was proposed for it, and what bounds it
    *,
    boxes: np.ndarray,
    segments: np.ndarray,
    ground: np.ndarray,
    frame: Frame,
    site: BaseGeometry,
    context_segments: np.ndarray = NO_ROWS,
    no_build: BaseGeometry = NOWHERE,
    seed: int = 0,
    settings: DrawSettings | None = None,
) -> Plan:
    """Draw a proposal clean.

    Args:
        boxes: Buildings as store rows (N, 7) in frame coordinates.
        segments: Street pieces on the site as store rows (M, 6) in frame coordinates.
        ground: Surfaces (rows, cols), or log-probabilities of the eight surfaces (8, rows, cols).
        frame: Where the frame lies; the plan takes its CRS.
        site: The site in the frame's CRS.
        context_segments: Street pieces around the site (K, 6): streets join them at the site's
            edge, and ground of theirs that reaches into the site is paved.
        no_build: Ground on which no wall may stand, in the frame's CRS.
        seed: Of the places of trees.
        settings: Lengths and areas of the drawing.

    Returns:
        A plan inside the site without overlaps; ground that is left is bare.
    """
    settings = settings or DrawSettings()
    flat = to_frame(site, frame)
    context_segments = np.asarray(context_segments, dtype=np.float64).reshape(-1, 6)

    # Streets, and the ground they take: exactly what the plan's own road layer says it is.
    streets = draw_streets(
        segments, site=flat, context_segments=context_segments, settings=settings
    )
    roads = road_layer(streets, frame)
    taken = shapely.transform(road_polygons(roads), lambda xy: _uv(xy, frame))
    on_path = (roads["kind"] == ROAD_KINDS[PATH]).to_numpy()
    carriageway = shapely.union_all(taken[~on_path]).intersection(flat)
    beside = [
        Street(shapely.LineString(row[:4].reshape(2, 2)), int(row[5]), float(row[4]))
        for row in context_segments
    ]
    verge = _context_strip(beside, flat).difference(carriageway)

    # Walls stand off streets of the site and of the context.
    around = [*streets, *beside]
    footprints = draw_buildings(
        boxes,
        obstacles=[*_no_walls(around, settings), *parts(to_frame(no_build, frame))],
        lines=_straight_pieces(around),
        site=flat,
        settings=settings,
    )
    built = shapely.union_all([footprint.shape for footprint in footprints])
    paths = shapely.union_all(taken[on_path]).intersection(flat)
    paths = paths.difference(shapely.union_all([carriageway, built, verge]))

    # The ground takes what is left; crowns lie over it.
    free = flat.difference(shapely.union_all([built, carriageway, verge, paths]))
    pieces, trees, crown = _draw_ground(ground, frame, free, seed, settings)
    paved = [(part, "path") for part in parts(paths)]
    paved += [(part, "carriageway") for part in parts(verge)]
    paved += [(part, "yard") for part in pieces.get(PAVED, [])]
    green = [(part, name) for s, name in GREEN_NAMES.items() for part in pieces.get(s, [])]
    green += [(part, "tree") for part in parts(crown)]
    water = [(part, "water") for part in pieces.get(WATER, [])]
    return Plan(
        site,
        frame.crs,
        buildings=_building_layer(footprints, frame, settings),
        roads=roads,
        paved=patch_layer("paved", paved, frame),
        water=patch_layer("water", water, frame),
        green=patch_layer("green", green, frame),
        trees=tree_layer(trees, frame),
    )


def to_frame(shape: BaseGeometry, frame: Frame) -> BaseGeometry:
    """A geometry in frame coordinates (u, v)."""
    return shapely.transform(shape, lambda xy: _uv(xy, frame))


def to_world(shape: BaseGeometry, frame: Frame) -> BaseGeometry:
    """A geometry of frame coordinates in the frame's CRS, rings wound counterclockwise."""
    turned = shapely.transform(shape, lambda uv: _xy(uv, frame))
    return shapely.orient_polygons(turned)


def _uv(xy: np.ndarray, frame: Frame) -> np.ndarray:
    row, col = frame.from_world(xy[:, 0], xy[:, 1])
    return np.stack([col, row], axis=1) * frame.pixel_m


def _xy(uv: np.ndarray, frame: Frame) -> np.ndarray:
    x, y = frame.to_world(uv[:, 1] / frame.pixel_m, uv[:, 0] / frame.pixel_m)
    return np.stack([x, y], axis=1)


def _no_walls(streets: Sequence[Street], settings: DrawSettings) -> list[Polygon]:
    """Ground on which no wall may stand, one polygon per street."""
    cars = [street for street in streets if street.kind != PATH]
    feet = [street for street in streets if street.kind == PATH]
    shapes = list(surface(cars, margin_m=settings.setback_m, square=True)) if cars else []
    if feet:
        shapes += list(surface(feet, margin_m=settings.path_setback_m, square=True))
    return shapes


def _straight_pieces(streets: Sequence[Street]) -> np.ndarray:
    """Center lines of carriageways as straight pieces (K, 4)."""
    runs = [shapely.get_coordinates(street.line) for street in streets if street.kind != PATH]
    pieces = [np.concatenate([run[:-1], run[1:]], axis=1) for run in runs]
    return np.concatenate([np.zeros((0, 4)), *pieces])


def _context_strip(streets: Sequence[Street], site: BaseGeometry) -> BaseGeometry:
    """Ground of the context's carriageways that reaches into the site."""
    cars = [street for street in streets if street.kind != PATH]
    if not cars:
        return Polygon()
    # Square-cut ends: a street that stops at the edge of the site takes none of it.
    strips = []
    for width_m in sorted({street.width_m for street in cars}):
        lines = [street.line for street in cars if street.width_m == width_m]
        run = shapely.line_merge(shapely.union_all(lines))
        strips.append(run.buffer(width_m / 2, cap_style="flat", quad_segs=4))
    return areas_of(shapely.union_all(strips).intersection(site))


def _draw_ground(
    ground: np.ndarray, frame: Frame, free: BaseGeometry, seed: int, settings: DrawSettings
) -> tuple[dict[int, list[Polygon]], Trees, BaseGeometry]:
    """Patches per surface under open sky, trees, and their canopy."""
    labels = surface_labels(ground)
    open_px = _burn(free, frame)
    calmed, mask = calm(labels, open_px, frame.pixel_m, settings)
    bases = patches(calmed, frame.pixel_m, free, settings)
    water = shapely.union_all(bases.get(WATER, []))
    region = free.difference(water)
    rng = np.random.default_rng(seed)
    trees = plant(mask, frame.pixel_m, region=region, rng=rng, settings=settings)
    crown = canopy(trees, region)
    left: dict[int, list[Polygon]] = {}
    specks: list[Polygon] = []
    for surface_index, shapes in bases.items():
        pieces = shapely.union_all(shapes).difference(crown)
        left[surface_index] = [part for part in parts(pieces) if part.area >= SPECK_M2]
        specks += [part for part in parts(pieces) if part.area < SPECK_M2]
    touching = [speck for speck in specks if speck.intersects(crown)]
    left.pop(BARE, None)
    return left, trees, shapely.union_all([crown, *touching])


def _burn(shape: BaseGeometry, frame: Frame) -> np.ndarray:
    """Pixels whose middle lies in a shape of frame coordinates, (rows, cols) bool."""
    if shape.is_empty:
        return np.zeros((frame.rows, frame.cols), dtype=bool)
    cells = shapely.transform(shape, lambda uv: uv / frame.pixel_m)
    size = (frame.rows, frame.cols)
    return features.rasterize([(cells, 1)], out_shape=size, dtype=np.uint8).astype(bool)


def road_layer(streets: Sequence[Street], frame: Frame) -> gpd.GeoDataFrame:
    """Streets of frame coordinates as the plan layer `roads`."""
    rows: list[dict] = []
    for street in streets:
        line = shapely.transform(street.line, lambda uv: _xy(uv, frame))
        rows.append(
            {
                "id": f"r{len(rows) + 1}",
                "source": SOURCE,
                "kind": street.kind_name,
                "width_m": street.width_m,
                "geometry": line,
            }
        )
    return layer("roads", frame.crs, rows)


def _building_layer(
    footprints: Sequence[Footprint], frame: Frame, settings: DrawSettings
) -> gpd.GeoDataFrame:
    turned = [
        (part, footprint.floors)
        for footprint in footprints
        for part in parts(valid(to_world(footprint.shape, frame)))
        if part.area >= settings.min_building_m2
    ]
    rows = [
        {
            "id": f"b{number}",
            "source": SOURCE,
            "height_m": floors * settings.storey_m,
            "floors": floors,
            "use": "residential",
            "footprint_m2": shape.area,
            "geometry": shape,
        }
        for number, (shape, floors) in enumerate(turned, start=1)
    ]
    return layer("buildings", frame.crs, rows)


def patch_layer(name: str, shapes: Sequence[tuple[Polygon, str]], frame: Frame) -> gpd.GeoDataFrame:
    """Patches of frame coordinates with their kinds as a layer of the plan."""
    turned = [
        (part, kind)
        for shape, kind in shapes
        for part in patches_of(to_world(shape, frame), DUST_M2)
    ]
    rows = [
        {"id": f"{name[0]}{number}", "source": SOURCE, "kind": kind, "geometry": part}
        for number, (part, kind) in enumerate(turned, start=1)
    ]
    return layer(name, frame.crs, rows)


def tree_layer(trees: Trees, frame: Frame) -> gpd.GeoDataFrame:
    """Trees of frame coordinates as the plan layer `trees`."""
    places = _xy(trees.place, frame) if len(trees.place) else np.zeros((0, 2))
    rows = [
        {
            "id": f"t{number}",
            "source": SOURCE,
            "crown_m": float(crown),
            "height_m": float(height),
            "geometry": shapely.Point(place),
        }
        for number, (place, crown, height) in enumerate(
            zip(places, trees.crown_m, trees.height_m, strict=True), start=1
        )
    ]
    return layer("trees", frame.crs, rows)
