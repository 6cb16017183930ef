import math

import pytest
import torch

from fabricgen.carbon.degree_days import change_ratio, degree_days


def number(*values):
    return torch.tensor(values, dtype=torch.float64)


def year(warmer, *, cooling=False, base=18.0, spread=3.5):
    return degree_days(
        base_c=base, mean_c=number(11.0), summer_c=number(22.0), spread_k=number(spread),
        warmer_k=number(*warmer), cooling=cooling,
    )  # fmt: skip


def test_they_are_the_mean_over_random_days_around_the_season():
    """An independent count: many days drawn, those below the base summed."""
    rng = torch.Generator().manual_seed(1)
    total = 0.0
    for day in range(1, 366):
        usual = 11 + 11 * math.cos(2 * math.pi * (day - 200) / 365)
        drawn = usual + 3.5 * torch.randn(4000, generator=rng, dtype=torch.float64)
        total += float((18 - drawn).clamp(min=0).mean())
    assert float(year([0.0])) == pytest.approx(total, rel=2e-3)


def test_without_spread_they_are_those_of_the_seasonal_curve():
    days = torch.arange(1, 366, dtype=torch.float64)
    usual = 11 + 11 * torch.cos(2 * math.pi * (days - 200) / 365)
    expected = float((18 - usual).clamp(min=0).sum())
    assert float(year([0.0], spread=1e-6)) == pytest.approx(expected, rel=1e-6)


def test_warmth_lowers_heating_and_raises_cooling_day_by_day():
    heating, cooling = year([0.0, 1.0, 2.0])[:, 0], year([0.0, 1.0, 2.0], cooling=True, base=26.0)
    assert heating.tolist() == sorted(heating.tolist(), reverse=True)
    assert cooling[:, 0].tolist() == sorted(cooling[:, 0].tolist())
    # Every day is at most one degree day away for one degree.
    assert float(heating[0] - heating[1]) < 365


def test_nothing_changes_without_a_change_and_the_slope_is_right():
    given = {"mean_c": number(11.0), "summer_c": number(22.0), "spread_k": number(3.5)}
    for cooling in (False, True):
        at_zero = change_ratio(**given, warmer_k=number(0.0), cooling=cooling)
        assert float(at_zero) == pytest.approx(1.0, abs=1e-12)

    def ratios(warmer):
        return torch.cat(
            [change_ratio(**given, warmer_k=warmer, cooling=cooling) for cooling in (False, True)]
        )

    assert torch.autograd.gradcheck(ratios, number(0.3, -0.5).requires_grad_())


def test_a_place_without_winter_keeps_a_finite_ratio():
    ratio = change_ratio(
        mean_c=number(27.0), summer_c=number(28.0), spread_k=number(1.5),
        warmer_k=number(-1.0), cooling=False,
    )  # fmt: skip
    assert float(ratio) == pytest.approx(1.0, abs=0.05)
