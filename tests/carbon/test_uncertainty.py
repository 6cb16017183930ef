"""Draws, tornado and hardening: against finite differences, sums of squares and plain counting."""

import math
import statistics
from dataclasses import replace

import pytest
import torch

from fabricgen.carbon import evaluate
from fabricgen.carbon.factors import Factor, quantile, read_factor, sigma
from fabricgen.carbon.regions import region, with_factors
from fabricgen.carbon.uncertainty import (
    beat_matrix,
    beats,
    hardening_gap,
    net_draws,
    tie_groups,
    tornado,
)  # fmt: skip
from fabricgen.errors import LayoutError, SettingsError
from fabricgen.layout import harden


def net_of(layout, preset, before):
    return float(evaluate(layout, region=preset, context=before).net_kgco2e_per_year)


@pytest.mark.parametrize("with_before", [False, True], ids=["new", "on_base"])
@pytest.mark.parametrize("name", ["cn-js", "fi"])
def test_the_tornado_is_the_slope_of_net_to_each_factor(name, with_before, soft):
    layout, preset = soft(2, shape=(1, 10, 10)), region(name)
    before = soft(3, shape=(1, 10, 10)) if with_before else None
    net = net_of(layout, preset, before)
    swings = tornado(layout, region=preset, context=before)
    assert len(swings) > 40
    checked = 0
    for swing in swings[:25]:
        of: Factor = swing.factor
        step = 1e-5 * abs(of.value)
        if not step or of.id in WHOLE:
            continue
        moved = [
            net_of(layout, with_factors(preset, {of.id: _at(of, of.value + sign * step)}), before)
            for sign in (1, -1)
        ]
        slope = (moved[0] - moved[1]) / (2 * step)
        assert swing.slope_kgco2e_per_year == pytest.approx(slope, rel=2e-4, abs=1e-6 * net), of.id
        checked += 1
    assert checked > 20


# Read as plain numbers, so that whole years come out.
WHOLE = {"gen.rsp.default", "gen.rsp.cn", "veg.tree.grow.tm", "veg.shrub.efold"}


def _at(of, value):
    return replace(of, value=value, low=min(of.low, value), high=max(of.high, value))


def test_swings_add_up_to_the_spread_of_the_draws_to_first_order(soft):
    layout = soft(2, shape=(1, 16, 16))
    linear = math.sqrt(sum(s.sigma_kgco2e_per_year**2 for s in tornado(layout, region="cn-js")))
    drawn = float(net_draws(evaluate(layout, region="cn-js", draws=2048)).std())
    assert linear == pytest.approx(drawn, rel=0.25)


def test_the_widest_swing_comes_first_and_an_own_factor_narrows_it(soft):
    layout = soft(2, shape=(1, 8, 8))
    swings = tornado(layout, region="fi")
    widths = [s.sigma_kgco2e_per_year for s in swings]
    assert widths == sorted(widths, reverse=True)
    of = swings[0].factor
    sharp = with_factors(region("fi"), {of.id: replace(of, low=of.value, high=of.value)})
    after = {s.factor.id: s.sigma_kgco2e_per_year for s in tornado(layout, region=sharp)}
    assert after[of.id] == 0


def test_a_tornado_is_of_one_layout(soft):
    with pytest.raises(LayoutError, match="tornado: 2 layouts; give one at a time"):
        tornado(soft(shape=(2, 4, 4)), region="fi")


@pytest.mark.parametrize("kind", ["tri", "uniform", "normal", "lognormal", "beta", "fixed"])
def test_sigma_is_the_spread_of_the_draws(kind):
    row = {"id": "x", "value": "0.4", "low": "0.2", "high": "0.7", "distribution": kind}
    of = read_factor(row, where="test")
    u = torch.rand(40_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = statistics.pstdev(quantile(of, u.clamp(1e-9, 1 - 1e-9)).tolist())
    assert sigma(of) == pytest.approx(drawn, rel=0.02, abs=1e-12)


def test_a_plan_beats_another_in_the_share_of_draws_in_which_it_has_less():
    a = torch.tensor([1.0, 2.0, 3.0, 4.0])
    b = torch.tensor([2.0, 2.0, 1.0, 9.0])
    assert beats(a, b) == 0.625 and beats(b, a) == 0.375
    matrix = beat_matrix([a, b])
    assert torch.allclose(matrix + matrix.T, torch.ones(2, 2, dtype=torch.float64))


def test_common_draws_tell_plans_apart_whose_ranges_overlap(soft):
    one = soft(3, shape=(1, 16, 16))
    cover = one.cover.clone()
    cover[:, 0] *= 0.9
    cover[:, 6] += one.cover[:, 0] * 0.1
    less = replace(one, cover=cover)
    a, b = (net_draws(evaluate(x, region="fi", draws=256)) for x in (less, one))
    assert beats(a, b) >= 0.99
    assert float(a.quantile(0.95)) > float(b.quantile(0.05))


def test_groups_open_where_the_leader_is_surely_better():
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(256, generator=rng)
    other = torch.randn(256, generator=rng)
    assert tie_groups([noise, noise + 0.01, other + 0.02, noise + 9]) == [1, 2, 2, 3]
    assert tie_groups([]) == []


def test_nothing_is_said_without_draws():
    with pytest.raises(SettingsError, match="draw both alike"):
        beats(torch.zeros(0), torch.zeros(0))


def test_a_hard_layout_has_no_gap_and_a_soft_one_has_its_own(soft):
    layout = soft(1, shape=(2, 16, 16))
    assert [gap.net for gap in hardening_gap(harden(layout), region="fi")] == [0.0, 0.0]
    gap = hardening_gap(layout, region="fi")[0]
    assert gap.net > 0 and max(gap.by_entry.values()) > 0
    soft_net = evaluate(layout, region="fi").net_kgco2e_per_year[0]
    hard = evaluate(harden(layout), region="fi")
    gross = hard.emission_kgco2e_per_year[0] + hard.sink_kgco2e_per_year[0]
    assert gap.net == pytest.approx(float((soft_net - hard.net_kgco2e_per_year[0]).abs() / gross))
