"""Real tiles made worse: the measures must see it, and must not see a mirror."""

import numpy as np
import pytest

from fabricgen.errors import InputError
from fabricgen.files import shipped
from fabricgen.quality.damage import DAMAGES
from fabricgen.quality.descriptors import KEYS
from fabricgen.quality.distances import w1_by_key
from fabricgen.quality.selftest import descriptors_of, real_tiles, table_of

NAMES = list(KEYS)
CITY = shipped("demo") / "helsinki-centre.osm.pbf"


@pytest.fixture(scope="module")
def tiles():
    return real_tiles(CITY, 40)[:16]


@pytest.fixture(scope="module")
def sound(tiles):
    return descriptors_of(tiles)


def damaged(tiles, name) -> np.ndarray:
    return descriptors_of(tiles, DAMAGES[name])


def test_a_mirror_changes_nothing(tiles, sound):
    moved = w1_by_key(damaged(tiles, "mirrored"), sound, NAMES)
    # An outline is simplified from where its ring begins, which clipping changes.
    assert np.mean(list(moved.values())) < 0.02
    assert max(moved.values()) < 0.15


# Against the same tiles, undamaged, so that few of them say enough.
@pytest.mark.parametrize(
    ("name", "broken", "least"),
    [
        ("shifted, sd 6 m", "bld.collinear", 0.5),
        ("rotated by up to 10 deg", "bld.collinear", 0.5),
        ("buildings of another tile", "bld.align_street", 0.5),
        ("rectangles", "bld.convexity", 1.0),
        ("2 m grid and back", "bld.corners", 0.5),
    ],
)
def test_damage_moves_what_it_breaks(tiles, sound, name, broken, least):
    moved = w1_by_key(damaged(tiles, name), sound, NAMES)
    assert moved[broken] > least
    assert np.mean(list(moved.values())) > 0.05


@pytest.mark.slow
def test_a_classifier_tells_damaged_tiles_from_other_real_ones():
    rows = table_of(CITY, tiles=100).splitlines()[4:]
    told = {row.split(" | ")[0].strip("| "): float(row.split(" | ")[3]) for row in rows}
    assert len(told) == 1 + len(DAMAGES)
    assert told["none"] == pytest.approx(0.5, abs=0.15)
    assert told["mirrored"] == pytest.approx(told["none"], abs=0.05)
    for name in (
        "shifted, sd 6 m",
        "rotated by up to 10 deg",
        "buildings of another tile",
        "blurred, sigma 1.5 m",
    ):
        assert told[name] >= 0.75, name


def test_a_city_of_few_tiles_is_refused(monkeypatch):
    monkeypatch.setattr("fabricgen.quality.selftest.LEAST_TILES", 10_000)
    with pytest.raises(InputError, match="built tiles; give 10000 or more"):
        real_tiles(CITY, 20)
