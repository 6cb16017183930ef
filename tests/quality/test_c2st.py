"""The classifier test against simulations: null, shifts, and leakage between sites."""

import numpy as np
import pytest

from fabricgen.errors import SettingsError
from fabricgen.quality.c2st import c2st, halves_of

KEYS = [f"k{n}" for n in range(24)]


def normals(count, rng, keys=24):
    return (rng.normal(size=(count, 1)) + rng.normal(size=(count, keys))) / np.sqrt(2)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def asked(real, found, rng, sites=None, **options):
    one = np.arange(len(real))
    sites = sites or (one, len(real) + np.arange(len(found)))
    return c2st(real, found, KEYS, sites=sites, rng=rng, **options)


def test_equal_sets_cannot_be_told_apart(rng):
    told = asked(normals(200, rng), normals(200, rng), rng, top=0)
    assert told.accuracy == pytest.approx(0.5, abs=0.08) and told.n == 200
    assert told.se == pytest.approx(0.5 / np.sqrt(400), rel=0.1)
    assert told.auc == pytest.approx(0.5, abs=0.1)


def test_a_shift_is_told_and_named(rng):
    real, found = normals(120, rng), normals(120, rng)
    found[:, 7] += 2.0
    told = asked(real, found, rng)
    assert told.accuracy > 0.8 and told.auc > 0.85
    assert told.top[0][0] == "k7" and told.top[0][1] > 0.1 and len(told.top) == 5


def test_almost_equal_plans_of_the_same_sites_leak_only_without_groups(rng):
    real = normals(256, rng)
    near = real + 0.05 * rng.normal(size=real.shape)
    same = np.arange(256)
    grouped = asked(real, near, rng, sites=(same, same), top=0)
    assert grouped.accuracy == pytest.approx(0.5, abs=0.08)
    leaking = asked(real, near, rng, top=0)  # as if they were different sites
    assert leaking.accuracy < 0.42  # better than perfect: that is the leak


def test_what_is_missing_is_seen_as_such(rng):
    real, found = normals(100, rng), normals(100, rng)
    found[:75, 3] = np.nan
    real[:, 5] = found[:, 5] = np.nan  # missing everywhere: no axis
    told = asked(real, found, rng)
    assert told.accuracy > 0.75 and told.top[0][0] == "k3"


def test_what_one_site_alone_has_is_no_obstacle(rng):
    real, found = normals(40, rng), normals(40, rng)
    real[1:, 3], found[:, 3] = np.nan, np.nan  # the folds without that site know nothing of it
    assert 0.2 < asked(real, found, rng).accuracy < 0.8


def test_the_larger_side_is_thinned(rng):
    assert asked(normals(300, rng), normals(100, rng), rng, top=0).n == 100


def test_equal_chance_gives_equal_answers():
    runs = [
        asked(normals(50, np.random.default_rng(1)), normals(50, np.random.default_rng(2)),
              np.random.default_rng(3), top=1)
        for _ in range(2)
    ]  # fmt: skip
    assert runs[0] == runs[1]


def test_few_sites_are_refused(rng):
    rows = normals(40, rng)
    with pytest.raises(SettingsError, match="4 sites; give 10 or more"):
        asked(rows, rows, rng, sites=(np.arange(40) % 4, np.arange(40) % 4))


def test_halves_keep_sites_whole(rng):
    sites = np.repeat(np.arange(10), 3)
    first, second = halves_of(sites, rng)
    assert len(first) == len(second) == 15
    assert not set(sites[first]) & set(sites[second])
