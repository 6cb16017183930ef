"""What a source maps, in one projected CRS: the common ground of all readers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import shapely
from pyproj import CRS, Transformer
from pyproj.aoi import AreaOfInterest
from pyproj.database import query_utm_crs_info

from ..surfaces import BIT, OPEN, ROAD, SURFACES, WATER


@dataclass(frozen=True, eq=False)
class Buildings:
    """Footprints or parts of buildings; NaN = height or floors unknown. All (N,)."""

    shape: np.ndarray  # polygons and multipolygons
    height_m: np.ndarray  # top above ground
    floors: np.ndarray
    use: np.ndarray  # str, empty = not said

    def take(self, which: np.ndarray) -> Buildings:
        """Some of them."""
        return Buildings(
            self.shape[which], self.height_m[which], self.floors[which], self.use[which]
        )


@dataclass(frozen=True, eq=False)
class Streets:
    """Center lines of streets and paths. All (N,)."""

    shape: np.ndarray  # LineStrings
    kind: np.ndarray  # index in ROAD_KINDS
    width_m: np.ndarray
    lived_in: np.ndarray  # bool: should have houses beside it

    def take(self, which: np.ndarray) -> Streets:
        """Some of them."""
        return Streets(
            self.shape[which], self.kind[which], self.width_m[which], self.lived_in[which]
        )


@dataclass(frozen=True, eq=False)
class Areas:
    """Faces on the ground with the surfaces they may be. All (N,)."""

    shape: np.ndarray  # polygons and multipolygons
    bits: np.ndarray  # uint8, one bit a surface


@dataclass(frozen=True, eq=False)
class Crowns:
    """Single trees and shrubs, and lines of them, as seen from above. All (N,)."""

    shape: np.ndarray  # points and lines
    bits: np.ndarray  # uint8
    width_m: np.ndarray  # diameter of the crown, or width of the row
    height_m: np.ndarray  # NaN = unknown


@dataclass(frozen=True)
class Origin:
    """Where data come from and under which terms."""

    source: str
    license: str
    attribution: str
    date: str = ""


@dataclass(frozen=True, eq=False)
class Mapped:
    """All that a source maps.

    Attributes:
        crs: Projected, in meters, as `EPSG:32635`.
        clip: The area inside which the map is meant to hold.
        layers: Which of `buildings`, `streets`, `green`, `water`, `paved`, `trees` are mapped.
        buildings: Footprints.
        parts: Parts of buildings; they raise heights and add no area.
        streets: Center lines.
        areas: Ground, carriageways drawn as faces among it.
        crowns: Trees, shrubs, hedges and rows.
        lost: Rough places of buildings that are known to be missing.
        dropped: Features left out, by reason.
        origin: Source and license.
    """

    crs: str
    clip: shapely.Geometry
    layers: frozenset[str]
    buildings: Buildings
    parts: Buildings
    streets: Streets
    areas: Areas
    crowns: Crowns
    origin: Origin
    lost: np.ndarray = field(default_factory=lambda: np.zeros(0, object))
    dropped: Counter[str] = field(default_factory=Counter)

    @property
    def open_bits(self) -> int:
        """What ground that no feature covers may be.

        Anything but a building. A source that draws streets draws nearly all of them, and one that
        draws water nearly all of it, so these two are then left out (water comes back far from
        all that is built, where sea and rivers without an outline lie: see `labels.paint`).
        """
        bits = OPEN | (0 if "streets" in self.layers else BIT[ROAD])
        return bits & ~BIT[WATER] if "water" in self.layers else bits


def bits_named(bits: int) -> str:
    """The surfaces of a byte, for messages: `tree, shrub, grass`."""
    return ", ".join(name for name, bit in zip(SURFACES, BIT, strict=True) if bits & bit)


def local_utm(west: float, south: float, east: float, north: float) -> str:
    """The UTM zone of the middle of a box in degrees, as `EPSG:…`."""
    lon, lat = (west + east) / 2, (south + north) / 2
    found = query_utm_crs_info(
        datum_name="WGS 84", area_of_interest=AreaOfInterest(lon, lat, lon, lat)
    )
    return f"EPSG:{found[0].code}"


def reproject(shapes: np.ndarray, from_crs: str, to_crs: str) -> np.ndarray:
    """Geometries (N,) in another CRS, x east and y north."""
    if CRS(from_crs) == CRS(to_crs):
        return shapes
    turn = Transformer.from_crs(from_crs, to_crs, always_xy=True)
    return shapely.transform(shapes, lambda x, y: turn.transform(x, y), interleaved=False)


def polygons_of(shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Repaired polygons with more than a sliver of area.

    Args:
        shapes: Geometries, (N,).

    Returns:
        The repaired shapes, (N,), and which of them are of use, (N,) bool. A ring that crosses
        itself is mended; what has no area left, or never had one, is of no use.
    """
    shapes = np.asarray(shapes, object).copy()
    broken = ~shapely.is_valid(shapes) & ~shapely.is_missing(shapes)
    shapes[broken] = shapely.make_valid(shapes[broken], method="structure")
    area = shapely.area(shapes)  # nan where missing
    flat = np.isin(shapely.get_type_id(shapes), [3, 6])
    return shapes, flat & (area > 0.01)


def array_of(items: list) -> np.ndarray:
    """A list of geometries or texts as an object array, (N,)."""
    array = np.empty(len(items), object)
    array[:] = items
    return array
