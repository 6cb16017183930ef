"""Where the sun stands, and how much of its beam each hour brings. Plain numbers, no tensors.

Solar time, clear sky, carbon-model section 7.2: hourly suns of the solstices and the equinox.
Declination after Cooper (1969), beam after Meinel and Meinel (1976) with the air mass of Kasten and
Young (1989): textbook forms, good to a few per cent, enough to weight hours against each other.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

from fabricgen.errors import SettingsError

TILT_DEG = 23.45  # of the earth's axis
SOLAR_CONSTANT_W_PER_M2 = 1361.0
JUNE, MARCH, DECEMBER = 172, 80, 355  # days of the year
LOWEST_DEG = 3.0  # a lower sun brings next to nothing and its shadows have no end


@dataclass(frozen=True)
class Sun:
    """One position of the sun.

    Attributes:
        azimuth_deg: Clockwise from north, 0…360.
        altitude_deg: Above the horizon.
        weight: Beam on a plane that faces the sun times the days it stands for, relative.
    """

    azimuth_deg: float
    altitude_deg: float
    weight: float


def sun_at(latitude_deg: float, day: int, hour: float) -> tuple[float, float]:
    """Azimuth and altitude [degrees].

    Args:
        latitude_deg: North positive.
        day: Of the year, 1…365.
        hour: Solar time, 12 where the sun is highest.
    """
    tilt = math.radians(TILT_DEG * math.sin(2 * math.pi * (284 + day) / 365))
    place = math.radians(latitude_deg)
    turn = math.radians(15 * (hour - 12))
    up = math.sin(place) * math.sin(tilt) + math.cos(place) * math.cos(tilt) * math.cos(turn)
    east = -math.cos(tilt) * math.sin(turn)
    north = math.cos(place) * math.sin(tilt) - math.sin(place) * math.cos(tilt) * math.cos(turn)
    azimuth = math.degrees(math.atan2(east, north)) % 360
    return azimuth, math.degrees(math.asin(max(-1.0, min(1.0, up))))


def beam_w_per_m2(altitude_deg: float) -> float:
    """Direct beam on a plane that faces the sun under a clear sky; 0 below the horizon."""
    if altitude_deg <= 0:
        return 0.0
    air = 1 / (math.sin(math.radians(altitude_deg)) + 0.50572 * (altitude_deg + 6.07995) ** -1.6364)
    return SOLAR_CONSTANT_W_PER_M2 * 0.7 ** (air**0.678)


@lru_cache(maxsize=1024)  # of many plans most lie on the same sites
def season_suns(latitude_deg: float, season: str, *, every_h: float = 2.0) -> tuple[Sun, ...]:
    """The suns of a season: its solstice, and the equinox at half weight.

    Args:
        latitude_deg: North positive; south of the equator the solstices change places.
        season: `cooling` or `heating`.
        every_h: Step between suns; they stand at noon and at multiples of the step around it.

    Returns:
        Suns above 3 degrees; none in the polar night.

    Raises:
        SettingsError: Latitude, season or step is out of range.
    """
    if not -90 <= latitude_deg <= 90:
        raise SettingsError(f"latitude {latitude_deg:g}", "give -90 to 90 degrees")
    if season not in ("cooling", "heating"):
        raise SettingsError(f"there is no season {season!r}", "use cooling or heating")
    if not 0 < every_h <= 6:
        raise SettingsError(f"suns every {every_h:g} h", "give more than 0, at most 6")
    solstice = JUNE if (season == "cooling") == (latitude_deg >= 0) else DECEMBER
    steps = int(12 // every_h)
    found = []
    for day, share in ((solstice, 1.0), (MARCH, 0.5)):
        for step in range(-steps, steps + 1):
            azimuth, altitude = sun_at(latitude_deg, day, 12 + step * every_h)
            if altitude > LOWEST_DEG and step * every_h < 12:  # midnight counts once
                found.append(Sun(azimuth, altitude, share * beam_w_per_m2(altitude)))
    return tuple(found)
