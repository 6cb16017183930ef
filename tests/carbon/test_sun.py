import math

import pytest

from fabricgen.carbon.sun import DECEMBER, JUNE, MARCH, beam_w_per_m2, season_suns, sun_at
from fabricgen.errors import SettingsError


@pytest.mark.parametrize("latitude", [60.2, 31.2, 1.35, -33.9])
def test_noon_stands_as_high_as_the_latitude_says(latitude):
    for day, tilt in ((JUNE, 23.45), (DECEMBER, -23.45), (MARCH, 0.0)):
        azimuth, altitude = sun_at(latitude, day, 12)
        assert altitude == pytest.approx(90 - abs(latitude - tilt), abs=0.5)
        north = latitude < tilt
        assert math.cos(math.radians(azimuth)) == pytest.approx(1 if north else -1, abs=1e-6)


def test_the_equinox_sun_rises_in_the_east_and_sets_in_the_west():
    for latitude in (-35, 0, 50):
        assert sun_at(latitude, MARCH, 6)[0] == pytest.approx(90, abs=0.5)
        assert sun_at(latitude, MARCH, 6)[1] == pytest.approx(0, abs=0.5)
        assert sun_at(latitude, MARCH, 18)[0] == pytest.approx(270, abs=0.5)


def test_a_day_is_as_long_as_almanacs_say():
    up = sum(sun_at(60.2, JUNE, hour / 20)[1] > 0 for hour in range(480)) / 20
    assert up == pytest.approx(18.6, abs=0.3)  # Helsinki without refraction


def test_morning_mirrors_afternoon():
    morning, evening = sun_at(48, 200, 9), sun_at(48, 200, 15)
    assert morning[1] == pytest.approx(evening[1])
    assert morning[0] == pytest.approx(360 - evening[0])


def test_beam_grows_with_altitude_and_stays_below_the_solar_constant():
    beams = [beam_w_per_m2(altitude) for altitude in (0, 5, 20, 50, 90)]
    assert beams[0] == 0 and beams == sorted(beams)
    assert 850 < beams[-1] < 1000


def test_the_season_of_cooling_has_the_higher_sun_on_both_halves_of_the_earth():
    for latitude in (45, -45):
        warm, cold = (season_suns(latitude, season) for season in ("cooling", "heating"))
        assert max(s.altitude_deg for s in warm) == pytest.approx(68.45, abs=0.5)
        assert len(warm) > len(cold)
        assert all(sun.weight > 0 and sun.altitude_deg > 3 for sun in (*warm, *cold))


def test_suns_lie_even_around_noon_and_polar_night_keeps_the_equinox():
    east = sum(math.sin(math.radians(s.azimuth_deg)) * s.weight for s in season_suns(31, "heating"))
    assert east == pytest.approx(0, abs=1e-6)
    polar = season_suns(75, "heating")
    assert polar and all(sun.altitude_deg < 16 for sun in polar)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latitude_deg": 91.0, "season": "heating"}, "latitude 91"),
        ({"latitude_deg": 50.0, "season": "winter"}, "there is no season 'winter'"),
        ({"latitude_deg": 50.0, "season": "heating", "every_h": 0.0}, "suns every 0 h"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(SettingsError, match=message):
        season_suns(**options)
