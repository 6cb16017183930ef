"""A site and what stands around it: the polygon read and checked, the city cut along its walls."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import shapely
from shapely.geometry.base import BaseGeometry

from fabricgen import __version__
from fabricgen.city.ingest import CitySettings, ingest
from fabricgen.city.store import TileStore, Window, centred_frame
from fabricgen.errors import FormatError, InputError, one_line
from fabricgen.files import sha256_of
from fabricgen.generator.conditions import PIXEL_M, WINDOW_PX
from fabricgen.layout import Frame
from fabricgen.plan import areas_of, site_mask
from fabricgen.steps import OnStep, quiet

MAX_SITE_KM2 = 1.0
MIN_SITE_M2 = 400.0
SITE_LAYER = "site"  # taken where a file has several
ZONE_LAYER = "no_build"  # of the same file: where no house may stand
MIN_BUILDABLE_M2 = 200.0
MAX_UNCOVERED_SHARE = 0.02  # of a site, outside the mapped area
FAR_OFF_M = 100_000.0  # a site so far from its city is rather misplaced than mistaken
RING_M = 48.0  # of surroundings around the site's box
WALLS_M = 150.0  # walls within this distance say how the frame is turned


@dataclass(frozen=True, eq=False)
class Site:
    """A place to design.

    Attributes:
        boundary: Polygon or MultiPolygon in the context's CRS.
        frame: Grid along the walls of the surroundings; holds the site and a ring around it.
        window: Surroundings cut in that frame: labels, heights, boxes, segments.
        card: The city's own record: name, source, license, attribution.
        editable: Pixels of the site, (rows, cols) bool.
        lon_lat: Place on earth, of the middle.
        no_build: Ground of the site on which no house may stand, in the context's CRS.
    """

    boundary: BaseGeometry
    frame: Frame
    window: Window
    card: dict
    editable: np.ndarray
    lon_lat: tuple[float, float]
    no_build: BaseGeometry = field(default_factory=shapely.Polygon)


def read_site(
    path: Path, *, context: Path, layer: str | None = None, on_step: OnStep = quiet
) -> Site:
    """Reads the polygons of a site and the city around them.

    Args:
        path: Any vector file with one or more polygons and a coordinate system.
        context: A city extract (`.osm.pbf`, GeoPackage, folder of GeoParquet) or a tile store.
        layer: Layer of the site's file, if it has several.
        on_step: Hears about the ingest of an extract.

    Raises:
        InputError: The file, its coordinate system or its shapes cannot be used.
    """
    shapes, zones = read_polygons(path, layer), read_zones(path)
    store = open_context(context, on_step=on_step)
    return place_site(shapes, store, name=path.name, zones=zones)


def read_zones(path: Path) -> gpd.GeoDataFrame | None:
    """The polygons of the layer `no_build` of a file that can be read; None where it has none.

    Raises:
        InputError: Their coordinate system or shapes cannot be used.
    """
    if ZONE_LAYER not in _layers_of(path):
        return None
    table = read_features(path, ZONE_LAYER)
    check_crs(table, f"{path.name}: layer {ZONE_LAYER}")
    for row, shape in enumerate(table.geometry):
        check_shape(shape, f"{path.name}: layer {ZONE_LAYER}: feature {row + 1}", what="zone")
    return table


def read_polygons(path: Path, layer: str | None = None) -> gpd.GeoDataFrame:
    """The polygons of a vector file, each of them sound.

    Args:
        path: The file.
        layer: Its layer; the only one, or the one called `site`, if not given.

    Raises:
        InputError: The file, its coordinate system or its shapes cannot be used.
    """
    table = read_features(path, layer)
    check_crs(table, path.name)
    for row, shape in enumerate(table.geometry):
        check_shape(shape, f"{path.name}: feature {row + 1}")
    return table


def read_features(path: Path, layer: str | None = None) -> gpd.GeoDataFrame:
    """The features of a vector file as they stand in it.

    Raises:
        InputError: The file cannot be read, or holds no shape.
    """
    if not path.exists():
        raise FormatError(f"{path.name}: no such file", "give the path of a vector file")
    try:
        layer = layer or _layer_of(path)
        table = gpd.read_file(path, layer=layer)
    except (RuntimeError, ValueError, OSError, shapely.errors.ShapelyError) as err:
        raise FormatError(
            f"{path.name}: cannot be read as a vector file ({one_line(str(err)).split(';')[0]})",
            "save the site as GeoPackage, GeoJSON or shapefile",
        ) from err
    if not isinstance(table, gpd.GeoDataFrame) or table.geometry.isna().all() or table.empty:
        raise InputError(f"{path.name}: holds no shape", "draw one polygon")
    return table


def check_crs(table: gpd.GeoDataFrame, name: str) -> None:
    """Holds a file's coordinate system against its numbers.

    Raises:
        InputError: There is none, or the numbers are of another.
    """
    if table.crs is None:
        raise InputError(f"{name}: no coordinate system", _crs_fix(table.total_bounds))
    if table.crs.is_geographic and not _like_degrees(table.total_bounds):
        raise InputError(
            f"{name}: says that it is in degrees, but its numbers are not",
            _crs_fix(table.total_bounds),
        )
    if table.crs.is_projected and _like_degrees(table.total_bounds, span=1.0):
        raise InputError(
            f"{name}: says that it is in {table.crs.name}, but its numbers are not",
            _crs_fix(table.total_bounds),
        )


def check_shape(shape: BaseGeometry | None, where: str, *, what: str = "site") -> None:
    """Holds a feature against what a site must be.

    Args:
        shape: The feature's geometry.
        where: File and feature, for the message.
        what: It stands for.

    Raises:
        InputError: It is no sound polygon.
    """
    if shape is None or shape.is_empty:
        raise InputError(f"{where} is empty", "delete it or draw it")
    if shape.geom_type not in ("Polygon", "MultiPolygon"):
        raise InputError(f"{where} is a {shape.geom_type}", f"draw the {what} as a polygon")
    if not shape.is_valid:
        raise InputError(f"{where} is not a valid polygon ({_reason(shape)})", "untie the crossing")


def _layer_of(path: Path) -> str:
    """The layer that holds the site: none may be taken for it by chance."""
    names = [name for name in _layers_of(path) if name != ZONE_LAYER]
    if not names:
        raise InputError(f"{path.name}: holds no shape", "draw one polygon")
    if len(names) == 1 or SITE_LAYER in names:
        return SITE_LAYER if SITE_LAYER in names else names[0]
    raise InputError(
        f"{path.name}: has {len(names)} layers ({', '.join(names[:6])})",
        f"save the site alone, or call its layer '{SITE_LAYER}'",
    )


def _layers_of(path: Path) -> list[str]:
    """Layers with shapes."""
    # Tables without shapes do not count, such as the styles that QGIS saves beside its layers.
    return [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]


def _reason(shape: BaseGeometry) -> str:
    """Why a polygon is not sound, with a place that can be found on a map."""
    reason = str(shapely.is_valid_reason(shape))
    return re.sub(r"-?\d+\.\d+", lambda number: f"{float(number.group()):.7g}", reason)


def _crs_fix(bounds: np.ndarray) -> str:
    if _like_degrees(bounds):
        return "the numbers look like degrees: set EPSG:4326 and save again"
    return "set the CRS it was drawn in, for example EPSG:32635, and save again"


def _like_degrees(bounds: np.ndarray, span: float = 360.0) -> bool:
    """Whether west, south, east, north could be degrees, no farther apart than `span`.

    Empty shapes have no say.
    """
    west, south, east, north = np.nan_to_num(bounds)
    near = max(east - west, north - south) <= span
    return bool(near and max(-west, east) <= 180 and max(-south, north) <= 90)


def open_context(context: Path, *, on_step: OnStep = quiet) -> TileStore:
    """Opens a tile store, or ingests an extract once and keeps it in the user's cache.

    The cache lies in `FABRICGEN_CACHE`, else in the user's cache folder; its key is the
    content of the file and our version, so that a changed extract is read again.
    """
    if not context.exists():
        raise FormatError(f"{context.name}: no such file or folder", "give a city extract or store")
    if (context / "city.json").is_file():
        return TileStore.open(context)
    stores = [path.parent.name for path in sorted(context.glob("*/city.json"))]
    if stores:
        raise InputError(
            f"{context.name}: holds tile stores ({', '.join(stores[:6])})",
            f"give one of them, such as {context / stores[0]}",
        )
    base = os.environ.get("FABRICGEN_CACHE") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    name = context.name.split(".")[0]
    store = Path(base).expanduser() / "fabricgen" / f"{name}-{__version__}-{_key(context)}"
    if not (store / "city.json").is_file():
        plain = CitySettings(mask_gaps=False)  # a site may well lie on unmapped ground
        ingest(context, city=name, out=store, settings=plain, on_step=on_step)
    return TileStore.open(store)


def _key(context: Path) -> str:
    if context.is_file():
        return sha256_of(context)[:16]
    parts = [sha256_of(part)[:8] for part in sorted(context.glob("*.parquet"))]
    return "-".join(parts)[:60] or "empty"


def place_site(
    shapes: gpd.GeoDataFrame,
    store: TileStore,
    *,
    name: str,
    zones: gpd.GeoDataFrame | None = None,
) -> Site:
    """A site from its polygons, in the frame of the walls around it.

    Args:
        shapes: The polygons.
        store: Of the city around.
        name: Of the file, for messages.
        zones: Where no house may stand.

    Raises:
        InputError: The site is too large, too small, or not inside the context.
    """
    city = store.cities()[0]
    crs = store.frame(city).crs
    boundary = shapely.union_all(shapes.to_crs(crs).geometry.to_numpy())
    boundary = shapely.force_2d(boundary)
    zones = None if zones is None else zones.to_crs(crs)
    if not shapely.is_valid(boundary) or not np.isfinite(boundary.area):
        raise InputError(f"{name}: lies outside {crs}", "use the extract of the right city")
    if boundary.area > MAX_SITE_KM2 * 1e6:
        raise InputError(
            f"{name}: the site has {boundary.area / 1e6:,.2f} km2",
            f"give at most {MAX_SITE_KM2:g} km2; cut it into parts",
        )
    if boundary.area < MIN_SITE_M2:
        raise InputError(
            f"{name}: the site has {boundary.area:.1f} m2",
            f"give at least {MIN_SITE_M2:g} m2",
        )
    check_covered(boundary, _coverage(store, city, crs), name=name, city=city)
    frame = _frame_of(boundary, store, city)
    x_m, y_m = frame.to_world(frame.rows / 2, frame.cols / 2)
    size = {"rows": frame.rows, "cols": frame.cols, "pixel_m": PIXEL_M}
    window = store.window(city, float(x_m), float(y_m), frame.angle_deg, **size)
    editable = site_mask(boundary, frame).numpy()
    middle = gpd.GeoSeries([boundary.centroid], crs=crs).to_crs(4326).iloc[0]
    return Site(
        boundary,
        frame,
        window,
        store.card(city),
        editable,
        (float(middle.x), float(middle.y)),
        _no_build(boundary, zones, name),
    )


def _no_build(boundary: BaseGeometry, zones: gpd.GeoDataFrame | None, name: str) -> BaseGeometry:
    """Zones on the site, in its CRS.

    Raises:
        InputError: They leave no ground for houses.
    """
    if zones is None:
        return shapely.Polygon()
    shapes = shapely.force_2d(zones.geometry.to_numpy())
    found = areas_of(shapely.intersection(shapely.union_all(shapes), boundary))
    left_m2 = boundary.area - found.area
    if left_m2 < MIN_BUILDABLE_M2:
        raise InputError(
            f"{name}: layer {ZONE_LAYER} leaves {left_m2:.0f} m2 for houses",
            f"leave {MIN_BUILDABLE_M2:g} m2 at least",
        )
    return found


def _coverage(store: TileStore, city: str, crs: str) -> BaseGeometry:
    return gpd.read_file(store.folder(city) / "coverage.geojson").to_crs(crs).union_all()


def check_covered(boundary: BaseGeometry, covered: BaseGeometry, *, name: str, city: str) -> None:
    """Holds a site against the mapped area of its city.

    Raises:
        InputError: Part of it lies outside; the fix depends on where.
    """
    missing = 1 - shapely.intersection(boundary, covered).area / boundary.area
    if missing <= MAX_UNCOVERED_SHARE:
        return
    away_m = shapely.distance(boundary, covered)
    far = f", {away_m / 1000:,.1f} km away from it" if away_m > 0 else ""
    fix = "give the extract that holds it, or move the site"
    if away_m > FAR_OFF_M:
        fix = "check its coordinate system and that longitude stands before latitude"
    elif shapely.contains(shapely.convex_hull(covered), boundary):
        # A store for training leaves out what nobody mapped; a site may well lie there.
        fix = "give the extract itself as --context, or ingest it with ingest.mask_gaps=false"
    raise InputError(f"{name}: {missing:.0%} of the site lies outside the context {city}{far}", fix)


def _frame_of(boundary: BaseGeometry, store: TileStore, city: str) -> Frame:
    """Rows and columns along the walls around, with a ring of surroundings."""
    angle_deg = wall_angle_deg(boundary, store, city)
    # A frame around the origin turns world into rows and columns; its bounds are the site's box.
    compass = Frame(store.frame(city).crs, 0.0, 0.0, angle_deg, 1.0, 1, 1)
    xy = shapely.get_coordinates(boundary)
    row, col = compass.from_world(xy[:, 0], xy[:, 1])
    x_m, y_m = compass.to_world((row.min() + row.max()) / 2, (col.min() + col.max()) / 2)
    least = WINDOW_PX
    rows = max(least, int(np.ceil((np.ptp(row) + 2 * RING_M) / PIXEL_M / 8)) * 8)
    cols = max(least, int(np.ceil((np.ptp(col) + 2 * RING_M) / PIXEL_M / 8)) * 8)
    crs = store.frame(city).crs
    return centred_frame(
        crs, float(x_m), float(y_m), angle_deg, rows=rows, cols=cols, pixel_m=PIXEL_M
    )


def wall_angle_deg(boundary: BaseGeometry, store: TileStore, city: str) -> float:
    """Bearing of the dominant wall direction around a site, -45…45 degrees from north.

    The resultant of four times the angle over box edges, weighted by length (generator.md 2.2);
    where nothing stands, the outline of the site takes the place of walls.
    """
    frame = store.frame(city)
    boxes = np.asarray(store.tables(city)["boxes"])
    x_m, y_m = frame.to_world(boxes[:, 1] / frame.pixel_m, boxes[:, 0] / frame.pixel_m)
    near = shapely.distance(boundary, shapely.points(x_m, y_m)) <= WALLS_M
    if near.any():
        length = boxes[near, 2] + boxes[near, 3]
        turn = boxes[near, 4]  # clockwise on screen, as bearings are
        z = (length * np.exp(4j * turn)).sum()
        return float(np.degrees(np.angle(z) / 4)) + frame.angle_deg
    return edge_angle_deg(boundary)


def edge_angle_deg(shapes: BaseGeometry | np.ndarray) -> float:
    """Bearing of the dominant direction of polygons' edges, -45…45 degrees from north."""
    rings = shapely.get_rings(shapes)
    step = np.concatenate([np.diff(shapely.get_coordinates(ring), axis=0) for ring in rings])
    turn = -np.arctan2(step[:, 1], step[:, 0])
    z = (np.hypot(*step.T) * np.exp(4j * turn)).sum()
    return float(np.degrees(np.angle(z) / 4))
