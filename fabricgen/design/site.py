"""A site and what stands around it: the polygon read and checked, the city cut along its walls."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from fabricgen import __version__
from fabricgen.city.ingest import CitySettings, ingest
from fabricgen.city.store import TileStore, Window, centred_frame
from fabricgen.errors import FormatError, InputError
from fabricgen.files import sha256_of
from fabricgen.generator.conditions import PIXEL_M, WINDOW_PX
from fabricgen.layout import Frame
from fabricgen.plan import site_mask
from fabricgen.steps import OnStep, quiet

MAX_SITE_KM2 = 1.0
MIN_SITE_M2 = 400.0
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
    """

    boundary: BaseGeometry
    frame: Frame
    window: Window
    card: dict
    editable: np.ndarray
    lon_lat: tuple[float, float]


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
    shapes = _read_polygons(path, layer)
    store = open_context(context, on_step=on_step)
    return place_site(shapes, store, name=path.name)


def _read_polygons(path: Path, layer: str | None) -> gpd.GeoDataFrame:
    if not path.exists():
        raise FormatError(f"{path.name}: no such file", "give the path of a vector file")
    try:
        kwargs = {} if layer is None else {"layer": layer}
        table = gpd.read_file(path, **kwargs)
    except (RuntimeError, ValueError, OSError, shapely.errors.ShapelyError) as err:
        raise FormatError(
            f"{path.name}: cannot be read as a vector file ({err})",
            "save the site as GeoPackage or GeoJSON",
        ) from err
    if not isinstance(table, gpd.GeoDataFrame) or table.geometry.isna().all() or table.empty:
        raise InputError(f"{path.name}: holds no shape", "draw one polygon")
    if table.crs is None:
        raise InputError(f"{path.name}: no coordinate system", _crs_fix(table.total_bounds))
    if table.crs.is_geographic and not _like_degrees(table.total_bounds):
        raise InputError(
            f"{path.name}: says that it is in degrees, but its numbers are not",
            _crs_fix(table.total_bounds),
        )
    for row, shape in enumerate(table.geometry):
        where = f"{path.name}: feature {row + 1}"
        if shape is None or shape.is_empty:
            raise InputError(f"{where} is empty", "delete it or draw it")
        if shape.geom_type not in ("Polygon", "MultiPolygon"):
            raise InputError(f"{where} is a {shape.geom_type}", "draw the site as a polygon")
        if not shape.is_valid:
            reason = shapely.is_valid_reason(shape)
            raise InputError(f"{where} is not a valid polygon ({reason})", "untie the crossing")
    return table


def _crs_fix(bounds: np.ndarray) -> str:
    if _like_degrees(bounds):
        return "the numbers look like degrees: set EPSG:4326 and save again"
    return "set the CRS it was drawn in, for example EPSG:32635, and save again"


def _like_degrees(bounds: np.ndarray) -> bool:
    """Whether west, south, east, north could be degrees; empty shapes have no say."""
    west, south, east, north = np.nan_to_num(np.abs(bounds))
    return bool(max(west, east) <= 180 and max(south, north) <= 90)


def open_context(context: Path, *, on_step: OnStep = quiet) -> TileStore:
    """Opens a tile store, or ingests an extract once and keeps it in the user's cache.

    The cache lies in `FABRICGEN_CACHE`, else in the user's cache folder; its key is the
    content of the file and our version, so that a changed extract is read again.
    """
    if not context.exists():
        raise FormatError(f"{context.name}: no such file or folder", "give a city extract or store")
    if (context / "city.json").is_file():
        return TileStore.open(context)
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


def place_site(shapes: gpd.GeoDataFrame, store: TileStore, *, name: str) -> Site:
    """A site from its polygons, in the frame of the walls around it.

    Raises:
        InputError: The site is too large, too small, or not inside the context.
    """
    city = store.cities()[0]
    crs = store.frame(city).crs
    boundary = shapely.union_all(shapes.to_crs(crs).geometry.to_numpy())
    boundary = shapely.force_2d(boundary)
    if not shapely.is_valid(boundary) or not np.isfinite(boundary.area):
        raise InputError(f"{name}: lies outside {crs}", "use the extract of the right city")
    if boundary.area > MAX_SITE_KM2 * 1e6:
        raise InputError(
            f"{name}: the site has {boundary.area / 1e6:,.2f} km2",
            f"give at most {MAX_SITE_KM2:g} km2; cut it into parts",
        )
    if boundary.area < MIN_SITE_M2:
        raise InputError(f"{name}: the site has {boundary.area:.1f} m2", "draw it in meters")
    covered = _coverage(store, city, crs)
    missing = 1 - shapely.intersection(boundary, covered).area / boundary.area
    if missing > 0.02:
        raise InputError(
            f"{name}: {missing:.0%} of the site lies outside the context {city}",
            "give the extract that holds it, or move the site",
        )
    frame = _frame_of(boundary, store, city)
    x_m, y_m = frame.to_world(frame.rows / 2, frame.cols / 2)
    size = {"rows": frame.rows, "cols": frame.cols, "pixel_m": PIXEL_M}
    window = store.window(city, float(x_m), float(y_m), frame.angle_deg, **size)
    editable = site_mask(boundary, frame).numpy()
    middle = gpd.GeoSeries([boundary.centroid], crs=crs).to_crs(4326).iloc[0]
    return Site(
        boundary, frame, window, store.card(city), editable, (float(middle.x), float(middle.y))
    )


def _coverage(store: TileStore, city: str, crs: str) -> BaseGeometry:
    return gpd.read_file(store.folder(city) / "coverage.geojson").to_crs(crs).union_all()


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
