"""Where on earth features lie, and whether their coordinate system can be true."""

from collections.abc import Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from pyproj import CRS, Proj, Transformer
from pyproj.aoi import AreaOfInterest
from pyproj.database import query_utm_crs_info
from pyproj.exceptions import CRSError

from fabricgen.errors import InputError

MARGIN_DEG = 3.0  # beyond the area for which a coordinate system is made
LOCAL_M = 20_000.0  # around 0, 0: where drawings in local coordinates lie
DISTORTION = 0.01  # of areas, more than which a projection is not for measuring


def check_place(rows: gpd.GeoDataFrame, ids: np.ndarray, layer: str) -> None:
    """Holds coordinates against the system that they claim.

    Raises:
        InputError: None is stated, or a feature cannot lie in it; says where the axes look
            swapped.
    """
    if rows.crs is None or not (rows.crs.is_geographic or rows.crs.is_projected):
        raise InputError(
            f"{layer} {ids[0]}: no coordinate system", "state it (of a Shapefile, in its .prj)"
        )
    x, y = _middles(rows)
    _check_local(rows.crs, x, y, f"{layer} {ids[0]}")
    known = np.isfinite(x) & np.isfinite(y)  # features without geometry are told later
    wrong = known & ~_fits(rows.crs, x, y)
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    place = f"{layer} {ids[row]}: coordinates {x[row]:.6g}, {y[row]:.6g}"
    if _fits(rows.crs, y[row : row + 1], x[row : row + 1])[0]:
        raise InputError(
            f"{place} have the wrong order of axes for {spoken(rows.crs)}",
            "write x (longitude, easting) before y",
        )
    raise InputError(
        f"{place} lie outside {spoken(rows.crs)}", "state the system in which it was drawn"
    )


def still_valid(turned: Any, before: Any) -> Any:
    """Shapes in another system, mended where only the projection made edges cross.

    A straight edge of one system is bent in another by up to millimeters, so edges that meet
    within that may cross. What was valid before says what is meant: the same areas.

    Args:
        turned: One geometry or an array of them.
        before: The same in the system that they come from.
    """
    crossed = shapely.is_valid(before) & ~shapely.is_valid(turned)
    if not np.any(crossed):
        return turned
    mended = shapely.make_valid(turned, method="structure", keep_collapsed=False)
    return np.where(crossed, mended, turned)[()]


def _check_local(crs: CRS, x: np.ndarray, y: np.ndarray, name: str) -> None:
    """Tells a drawing around a local origin from one in its coordinate system.

    Raises:
        InputError: All lies around 0, 0, which is no place of the system.
    """
    area = crs.area_of_use
    if not crs.is_projected or area is None or not (np.hypot(x, y) < LOCAL_M).all():
        return
    lon, lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(0.0, 0.0)
    aside = (lon - area.west) % 360 <= (area.east - area.west) % 360
    if not (aside and area.south <= lat <= area.north):
        raise InputError(
            f"{name}: coordinates {x[0]:.6g}, {y[0]:.6g} are local, not of {spoken(crs)}",
            "move the drawing to its place",
        )


def _middles(rows: gpd.GeoDataFrame) -> tuple[np.ndarray, np.ndarray]:
    bounds = rows.geometry.bounds.to_numpy()  # (N, 4)
    return (bounds[:, 0] + bounds[:, 2]) / 2, (bounds[:, 1] + bounds[:, 3]) / 2


def _fits(crs: CRS, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether points can lie in a coordinate system, (N,) bool."""
    if crs.is_geographic:
        return (np.abs(x) <= 180) & (np.abs(y) <= 90)
    lon, lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
    inside = np.isfinite(lon) & np.isfinite(lat)
    area = crs.area_of_use
    if area is None:
        return inside
    width = (area.east - area.west) % 360 or 360.0  # the area may lie across the date line
    lon = np.where(inside, lon, 0.0)
    aside = np.abs((lon - area.west - width / 2 + 180) % 360 - 180)
    inside &= (lat >= area.south - MARGIN_DEG) & (lat <= area.north + MARGIN_DEG)
    return inside & (aside <= width / 2 + MARGIN_DEG)


def working_crs(tables: Sequence[gpd.GeoDataFrame], hint: str | None) -> str:
    """The metric system in which a plan is held.

    Args:
        tables: Features, the site first.
        hint: What the file says of it.

    Returns:
        That of the file where it measures in true meters, else the UTM zone of the site.

    Raises:
        InputError: The site is empty, or does not lie where the file's own hint says.
    """
    site = tables[0]
    corners = shapely.get_coordinates(site.geometry.dropna().to_numpy())
    corners = corners[np.isfinite(corners).all(axis=1)]
    if not len(corners):
        raise InputError("its site has no polygon", "draw one in the layer `site`")
    # One of its corners, not its middle: beyond the date line, that lies on the other side.
    to_degrees = Transformer.from_crs(site.crs, 4326, always_xy=True)
    lon, lat = (float(v) for v in to_degrees.transform(*corners[0]))
    if hint is not None:
        if not _is_metric(_named(hint), lon, lat):
            raise InputError(
                f"the site lies at {lon:.4g}, {lat:.4g}, outside {hint} in which it was drawn",
                "the order of the axes, or the coordinate system, is wrong",
            )
        return hint
    metric = next((t.crs for t in tables if _is_metric(t.crs, lon, lat)), None)
    return metric.to_string() if metric else _utm_zone(lon, lat)


def level(rows: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Features in a system without that of heights."""
    if rows.crs is None or not rows.crs.is_compound:
        return rows
    return rows.set_crs(rows.crs.sub_crs_list[0], allow_override=True)


def spoken(crs: CRS) -> str:
    """A system by its code, or by its name where it has none."""
    code = crs.to_authority()
    return ":".join(code) if code else crs.name


def _utm_zone(lon: float, lat: float) -> str:
    """The UTM zone of a place.

    Raises:
        InputError: It lies at a pole, where there is none.
    """
    spot = AreaOfInterest(lon, lat, lon, lat)
    found = query_utm_crs_info(datum_name="WGS 84", area_of_interest=spot)
    if not found:
        raise InputError(
            f"the site lies at {lon:.4g}, {lat:.4g}, where no UTM zone is", "give a metric CRS"
        )
    return f"EPSG:{found[0].code}"


def _named(hint: str) -> CRS:
    try:
        return CRS.from_user_input(hint)
    except CRSError as err:
        raise InputError(f"its CRS '{hint}' is unknown", "write its EPSG code") from err


def _is_metric(crs: CRS, lon: float, lat: float) -> bool:
    """Projected, in meters, and true to area at a place, which Web Mercator is not."""
    if not crs.is_projected or crs.axis_info[0].unit_name not in ("metre", "meter"):
        return False
    point = Transformer.from_crs(4326, crs, always_xy=True).transform(lon, lat)
    if not _fits(crs, *(np.array([v]) for v in point))[0]:
        return False
    scale = Proj(crs).get_factors(lon, lat).areal_scale
    return abs(scale - 1) <= DISTORTION
