"""Distances against simulations with known answers, and by hand."""

import json

import numpy as np
import pytest

from fabricgen.errors import FormatError, SettingsError
from fabricgen.quality.distances import (
    density_coverage,
    fit_scaler,
    frechet,
    frechet_inf,
    half_sample_se,
    interval,
    read_scaler,
    w1_by_key,
)

KEYS = [f"k{n}" for n in range(24)]


def normals(count, rng, *, keys=24, shift=0.0, spread=1.0):
    """Correlated normal descriptors: each shares half of its variance with all others."""
    common = rng.normal(size=(count, 1))
    return shift + spread * (common + rng.normal(size=(count, keys))) / np.sqrt(2)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_w1_of_a_shift_is_the_shift_in_standard_deviations():
    real = np.arange(100.0)[:, None]
    assert w1_by_key(real + 10, real, ["a"])["a"] == pytest.approx(10 / real.std())


def test_w1_is_the_area_between_the_two_sorted_sets(rng):
    a, b = rng.normal(size=(50, 1)), rng.exponential(size=(50, 1))
    expected = np.abs(np.sort(a[:, 0]) - np.sort(b[:, 0])).mean() / b.std()
    assert w1_by_key(a, b, ["a"])["a"] == pytest.approx(expected)


@pytest.mark.parametrize(("count", "floor"), [(256, 0.113), (1024, 0.058)])
def test_the_floor_of_w1_falls_with_the_root_of_the_size(rng, count, floor):
    runs = [
        np.mean(list(w1_by_key(normals(count, rng), normals(count, rng), KEYS).values()))
        for _ in range(12)
    ]
    assert np.mean(runs) == pytest.approx(floor, rel=0.2)
    assert np.mean(runs) == pytest.approx(1.8 / np.sqrt(count), rel=0.2)


def test_columns_without_enough_rows_or_spread_are_left_out(rng):
    rows = normals(40, rng, keys=3)
    rows[:, 1] = np.nan
    rows[:, 2] = 7.0
    assert list(w1_by_key(rows, rows, ["a", "b", "c"])) == ["a"]


def test_frechet_equals_the_closed_form_of_diagonal_normals():
    corners = np.array([[-1.0, -1], [-1, 1], [1, -1], [1, 1]]) * np.sqrt(3) / 2
    assert frechet(corners, corners) == pytest.approx(0, abs=1e-12)
    # Equal means: the sum of squared differences of the standard deviations, 2 (2 - 1)².
    assert frechet(corners, 2 * corners) == pytest.approx(2.0)
    assert frechet(corners, corners + np.array([3.0, 4.0])) == pytest.approx(25.0)


def test_frechet_equals_the_matrix_square_root(rng):
    from scipy.linalg import sqrtm

    a, b = normals(60, rng, keys=5), normals(60, rng, keys=5, shift=0.3, spread=1.5)
    c, d = np.cov(a.T), np.cov(b.T)
    slow = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c + d - 2 * np.real(sqrtm(c @ d)))
    assert frechet(a, b) == pytest.approx(slow)


def test_frechet_is_biased_by_size_and_its_limit_is_not(rng):
    null = [(rng.normal(size=(512, 24)), rng.normal(size=(512, 24))) for _ in range(4)]
    # To first order 2 d / n from the means and d (d + 1) / 2 n from the covariances.
    bias = (2 * 24 + 24 * 25 / 2) / 512
    assert np.mean([frechet(a, b) for a, b in null]) == pytest.approx(bias, rel=0.1)
    assert np.mean([frechet_inf(a, b, rng=rng) for a, b in null]) == pytest.approx(0, abs=0.08)
    moved = [(a, b + np.sqrt(1.28 / 24)) for a, b in null]  # |shift|² = 1.28
    assert np.mean([frechet_inf(a, b, rng=rng) for a, b in moved]) == pytest.approx(1.28, abs=0.2)


def test_density_and_coverage_of_equal_sets(rng):
    runs = [
        density_coverage(rng.normal(size=(400, 8)), rng.normal(size=(400, 8))) for _ in range(4)
    ]
    density, coverage = np.mean(runs, axis=0)
    assert density == pytest.approx(1.0, abs=0.08)
    assert coverage == pytest.approx(1 - 2**-5, abs=0.012)


def test_one_plan_repeated_loses_coverage_and_unreal_plans_lose_both(rng):
    real = rng.normal(size=(300, 8))
    density, coverage = density_coverage(real, np.repeat(real[:1], 300, axis=0))
    assert density > 0.5 and coverage < 0.1
    assert density_coverage(real, real + 50) == (0.0, 0.0)
    with pytest.raises(SettingsError, match="5 real plans; give more than 5"):
        density_coverage(real[:5], real)


def test_the_error_of_a_mean_from_halves_is_the_known_one(rng):
    values = rng.normal(size=400)
    se = half_sample_se(lambda chosen: values[chosen].mean(), 400, rng=rng, halves=800)
    assert float(se) == pytest.approx(1 / np.sqrt(400), rel=0.12)
    assert interval(2.0, 0.5) == [2.0 - 0.98, 2.0 + 0.98]


def test_the_scaler_drops_what_is_missing_and_fills_by_the_mean(rng, tmp_path):
    rows = normals(50, rng, keys=4) * 3 + 5
    rows[:20, 1] = np.nan  # 40 % missing
    rows[:5, 2] = np.nan  # 10 %
    rows[:, 3] = 1.0  # never varies
    scaler = fit_scaler(rows, ["a", "b", "c", "d"])
    assert scaler.keys == ("a", "c")
    vectors = scaler(rows)
    assert vectors[:, 0].std() == pytest.approx(1) and (vectors[:5, 1] == 0).all()

    scaler.write(tmp_path / "scaler.json")
    again = read_scaler(tmp_path / "scaler.json", ["x", "a", "b", "c"])
    np.testing.assert_allclose(again(np.column_stack([rows[:, 3], rows[:, :3]])), vectors)
    (tmp_path / "other.json").write_text(json.dumps({"keys": ["z"], "mean": [0], "sd": [1]}))
    with pytest.raises(FormatError, match=r"other\.json: no scaler of these descriptors"):
        read_scaler(tmp_path / "other.json", ["a"])
    with pytest.raises(SettingsError, match="50 reference plans"):
        fit_scaler(rows[:, 3:], ["d"])
