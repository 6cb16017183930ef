"""In which country, province or state a point lies: outlines, a ray and a count, no geo library."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from fabricgen.carbon.factors import rows_of

MILLI = 1000.0  # outlines are kept in thousandths of a degree
COAST_KM = 20.0  # a point at sea belongs to the coast that is this near
BORDER_KM = 10.0  # nearer than this, the neighbor is named
KM_PER_DEG = 111.2
csv.field_size_limit(1 << 20)  # one outline is one field


@dataclass(frozen=True)
class Outline:
    """One outer ring of a country, longitude and latitude in degrees."""

    preset: str
    country: str
    lon: tuple[float, ...]
    lat: tuple[float, ...]
    box: tuple[float, float, float, float]  # west, south, east, north


@dataclass(frozen=True)
class Found:
    """The country of a point, its preset, and the countries close by."""

    preset: str
    country: str
    others: tuple[str, ...]


@lru_cache(maxsize=1)
def outlines() -> tuple[Outline, ...]:
    """All rings, read once, small countries before large ones (an enclave wins)."""
    rings = [_outline(row) for row in rows_of("countries.csv")]
    return tuple(sorted(rings, key=lambda o: (o.box[2] - o.box[0]) * (o.box[3] - o.box[1])))


@lru_cache(maxsize=1)
def subdivisions() -> tuple[Outline, ...]:
    """Rings of the provinces and states that have presets, read once, small before large."""
    rings = [_outline(row) for row in rows_of("subdivisions.csv")]
    return tuple(sorted(rings, key=lambda o: (o.box[2] - o.box[0]) * (o.box[3] - o.box[1])))


def _outline(row: dict[str, str]) -> Outline:
    corners = [tuple(map(int, pair.split(","))) for pair in row["ring"].split()]
    lon = tuple(x / MILLI for x, _ in corners)
    lat = tuple(y / MILLI for _, y in corners)
    return Outline(
        row["preset"], row["country"], lon, lat, (min(lon), min(lat), max(lon), max(lat))
    )


def country_at(lon: float, lat: float) -> Found | None:
    """The country at a point [degrees]; on the sea the nearest coast within 20 km, else None."""
    return _found(lon, lat, outlines())


def subdivision_at(lon: float, lat: float, *, country: str) -> Found | None:
    """The province or state of a country at a point; None where the country has no presets of any.

    The country is known already, so a point between two coarse outlines goes to the nearest.
    """
    return _found(lon, lat, [o for o in subdivisions() if o.preset.startswith(f"{country}-")])


def _found(lon: float, lat: float, rings: Sequence[Outline]) -> Found | None:
    near = _near(lon, lat, rings)
    inside = [ring for ring in near if _holds(ring, lon, lat)]
    if inside:
        home = inside[0]
    else:
        coast = sorted(
            ((_distance_km(ring, lon, lat), ring) for ring in near), key=lambda pair: pair[0]
        )
        if not coast or coast[0][0] > COAST_KM:
            return None
        home = coast[0][1]
    others = {
        ring.country
        for ring in near
        if ring.preset != home.preset and _distance_km(ring, lon, lat) < BORDER_KM
    }
    return Found(home.preset, home.country, tuple(sorted(others)))


def _near(lon: float, lat: float, rings: Sequence[Outline]) -> list[Outline]:
    """Rings whose box, widened by the coast's reach, holds the point."""
    dy = COAST_KM / KM_PER_DEG
    dx = dy / max(math.cos(math.radians(lat)), 0.05)
    return [
        ring
        for ring in rings
        if ring.box[0] - dx <= lon <= ring.box[2] + dx
        and ring.box[1] - dy <= lat <= ring.box[3] + dy
    ]


def _holds(ring: Outline, lon: float, lat: float) -> bool:
    """Whether a ray to the east crosses the ring an odd number of times."""
    odd = False
    x0, y0 = ring.lon[-1], ring.lat[-1]
    for x1, y1 in zip(ring.lon, ring.lat, strict=True):
        if (y0 > lat) != (y1 > lat) and lon < x0 + (lat - y0) / (y1 - y0) * (x1 - x0):
            odd = not odd
        x0, y0 = x1, y1
    return odd


def _distance_km(ring: Outline, lon: float, lat: float) -> float:
    """Shortest distance to the ring's edges, on a plane around the point."""
    squeeze = math.cos(math.radians(lat))
    best = math.inf
    x0, y0 = (ring.lon[-1] - lon) * squeeze, ring.lat[-1] - lat
    for x, y in zip(ring.lon, ring.lat, strict=True):
        x1, y1 = (x - lon) * squeeze, y - lat
        length = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along = 0.0 if length == 0 else -(x0 * (x1 - x0) + y0 * (y1 - y0)) / length
        along = min(max(along, 0.0), 1.0)
        best = min(best, math.hypot(x0 + along * (x1 - x0), y0 + along * (y1 - y0)))
        x0, y0 = x1, y1
    return best * KM_PER_DEG
