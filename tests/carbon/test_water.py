"""Curve numbers: known depths, laws, and the year against plain integration."""

import pytest
import torch

from fabricgen.carbon.water import annual_runoff_mm, retention_mm, runoff_mm
from fabricgen.errors import SettingsError

NUMBERS = torch.tensor([98.0, 89.0, 79.0, 74.0, 61.0, 39.0], dtype=torch.float64)


def double(value):
    return torch.tensor(value, dtype=torch.float64)


def test_fifty_millimeters_run_off_as_the_handbook_says():
    expected = double([44.3, 25.5, 12.8, 8.5, 1.7, 0.0])
    assert torch.allclose(runoff_mm(NUMBERS, 50.0), expected, rtol=0, atol=0.06)


def test_nothing_runs_off_below_the_initial_abstraction():
    edge = 0.2 * retention_mm(NUMBERS)
    assert bool((runoff_mm(NUMBERS, edge) == 0).all())
    assert bool((runoff_mm(NUMBERS, edge + 0.1) > 0).all())


def test_sealed_ground_loses_all_and_bottomless_ground_nothing():
    assert float(runoff_mm(double(100.0), 37.0)) == 37.0
    assert float(runoff_mm(double(0.0), 500.0)) == 0.0
    assert float(runoff_mm(double(100.0), 0.0)) == 0.0


def test_more_rain_and_a_higher_number_never_run_off_less():
    rain = torch.linspace(0, 200, 81, dtype=torch.float64)[:, None]
    number = torch.linspace(1, 100, 100, dtype=torch.float64)
    found = runoff_mm(number, rain)
    assert bool((found.diff(dim=0) >= 0).all()) and bool((found.diff(dim=1) >= -1e-12).all())
    assert bool((found <= rain + 1e-12).all())


def test_what_is_not_known_stays_unknown_and_whole_numbers_do():
    found = runoff_mm(torch.tensor([[float("nan"), 98.0]]), 50.0)
    assert bool(found[0, 0].isnan()) and found.dtype == torch.float32
    assert torch.allclose(runoff_mm(torch.tensor([98]), 50), found[0, 1:])


def test_the_gradient_is_that_of_the_depth():
    number = double([[98.0, 80.0], [61.0, 0.0]]).requires_grad_()
    rain = double([[50.0, 20.0], [90.0, 40.0]]).requires_grad_()
    assert torch.autograd.gradcheck(runoff_mm, (number[:, :1], rain[:, :1]))
    runoff_mm(number, rain).sum().backward()
    assert bool(torch.isfinite(number.grad).all())


@pytest.mark.parametrize("number", [-1.0, 100.5])
def test_a_number_outside_the_scale_is_refused(number):
    with pytest.raises(SettingsError, match="curve number lies outside 0 to 100"):
        runoff_mm(torch.tensor([number]), 10.0)


def test_negative_rain_is_refused():
    with pytest.raises(SettingsError, match="a depth of rain is negative"):
        runoff_mm(NUMBERS, -1.0)


def test_the_year_is_the_sum_over_its_events():
    depth = torch.linspace(0, 800, 800_001, dtype=torch.float64)
    density = torch.exp(-depth / 11) / 11
    for number in (99.9, 98.0, 89.0, 79.0, 61.0):
        plain = 95 * torch.trapezoid(runoff_mm(double(number), depth) * density, depth)
        assert torch.allclose(
            annual_runoff_mm(double(number), double(95.0), double(11.0)), plain, rtol=1e-4
        )


def test_the_year_of_a_humid_town_runs_off_as_expected():
    found = annual_runoff_mm(NUMBERS[:5], double(95.0), double(11.0))
    assert torch.allclose(found, double([700.0, 215.0, 68.0, 37.0, 6.0]), rtol=0.04)
    assert float(annual_runoff_mm(double(100.0), double(95.0), double(11.0))) == pytest.approx(1045)
