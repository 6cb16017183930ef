"""Where on earth features lie, and whether their coordinate system can be true."""

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
from pyproj import CRS, Proj, Transformer
from pyproj.exceptions import CRSError

from fabricgen.errors import InputError

MARGIN_DEG = 3.0  # beyond the area for which a coordinate system is made
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
    known = np.isfinite(x) & np.isfinite(y)  # features without geometry are told later
    wrong = known & ~_fits(rows.crs, x, y)
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    place = f"{layer} {ids[row]}: coordinates {x[row]:.6g}, {y[row]:.6g}"
    if _fits(rows.crs, y[row : row + 1], x[row : row + 1])[0]:
        raise InputError(
            f"{place} have the wrong order of axes for {rows.crs.to_string()}",
            "write x (longitude, easting) before y",
        )
    raise InputError(
        f"{place} lie outside {rows.crs.to_string()}", "state the system in which it was drawn"
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
    known = site[~(site.geometry.isna() | site.geometry.is_empty)]
    if known.empty:
        raise InputError("its site has no polygon", "draw one in the layer `site`")
    to_degrees = Transformer.from_crs(site.crs, 4326, always_xy=True)
    lon, lat = to_degrees.transform(*(float(v[0]) for v in _middles(known)))
    if hint is not None:
        if not _is_metric(_named(hint), lon, lat):
            raise InputError(
                f"the site lies at {lon:.4g}, {lat:.4g}, outside {hint} in which it was drawn",
                "the order of the axes, or the coordinate system, is wrong",
            )
        return hint
    metric = next((table.crs for table in tables if _is_metric(table.crs, lon, lat)), None)
    return (metric or known.estimate_utm_crs()).to_string()


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
