"""Laws of the yearly views: one course behind them all, and a grid that only falls."""

import math

import pytest
import torch

from fabricgen.carbon import evaluate
from fabricgen.carbon.factors import factor
from fabricgen.carbon.ledger import flow_tags
from fabricgen.errors import SettingsError
from fabricgen.layout import Layout


@pytest.fixture
def counted(soft):
    return evaluate(soft(0), region="fi", context=soft(1), draws=16)


def test_the_yearly_mean_of_all_flows_is_the_amount_where_the_study_period_is_the_horizon(counted):
    whole = counted.whole_life()
    for entry in counted.entries:
        if entry.kind != "stock":
            assert torch.allclose(whole[entry.name], entry.amount, rtol=1e-9, atol=1e-9), entry.name


def test_flows_timeline_and_whole_life_are_views_of_one_course(counted):
    for declining in (False, True):
        flows = [counted.flows(t, declining_grid=declining) for t in range(61)]
        for kind in ("emission", "sink"):
            names = [e.name for e in counted.entries if e.kind == kind]
            by_year = torch.stack([sum(f[n] for n in names) for f in flows], dim=1)
            line = counted.timeline(kind, declining_grid=declining)[:, 0]
            assert torch.allclose(line, by_year, rtol=1e-9)
        whole = counted.whole_life(declining_grid=declining)
        for name, mean in whole.items():
            assert torch.allclose(mean, sum(f[name] for f in flows) / 60)


def test_net_of_a_year_is_emission_minus_sink(counted):
    net = counted.timeline("net")
    assert torch.equal(net, counted.timeline("emission") - counted.timeline("sink"))


def test_the_declining_grid_lowers_electricity_by_its_rate_and_nothing_else(soft):
    ledger = evaluate(soft(), region="cn-js")
    held, falls = ledger.flows(10), ledger.flows(10, declining_grid=True)
    rate = (1 - factor("grid.decline.cn").value) ** 10
    for name, amount in held.items():
        expected = amount * rate if flow_tags()[name].grid else amount
        assert torch.allclose(falls[name], expected), name
    assert torch.allclose(ledger.flows(0)["veg.tree.growth"], ledger.flows(0, declining_grid=True)["veg.tree.growth"])  # fmt: skip


def test_the_grid_falls_to_its_floor_and_a_cleaner_one_stays_as_it_is(soft):
    floor = factor("grid.floor").value
    path = evaluate(soft(), region="pl", horizon_years=150).grid_path[:, 0]
    start = factor("grid.ember.pl.2024").value
    assert float(path[-1]) * start == pytest.approx(floor)
    assert bool((path.diff() <= 0).all()) and float(path[0]) == 1
    clean = evaluate(soft(), region="no", horizon_years=150).grid_path[:, 0]
    assert float(clean.min()) == pytest.approx(floor / factor("grid.ember.no.2024").value)


def test_a_grove_becomes_carbon_positive_and_a_block_never(hard):
    from fabricgen.surfaces import BUILDING, TREE

    grove = evaluate(hard(torch.full((1, 20, 20), TREE)), region="fi")
    years = float(grove.years_to_carbon_positive())
    assert 0 < years < 60
    net = grove.timeline("net", declining_grid=True)[0, 0].cumsum(0)
    assert float(net[int(years)]) <= 0 < float(net[int(years) - 1])
    block = evaluate(hard(torch.full((1, 20, 20), BUILDING)), region="fi")
    assert math.isinf(float(block.years_to_carbon_positive()))


def test_years_outside_the_horizon_and_odd_kinds_are_refused(counted):
    with pytest.raises(SettingsError, match="year 61; ask for a year from 0 to 60"):
        counted.flows(61)
    with pytest.raises(SettingsError, match="no timeline of 'stock'"):
        counted.timeline("stock")


def test_yearly_views_pass_a_gradient(soft):
    layout = soft()
    cover = layout.cover.clone().requires_grad_()
    of = Layout(cover, layout.height_m, layout.allowed, layout.height_known, layout.pixel_m)
    flows = evaluate(of, region="fi").flows(30, declining_grid=True)
    (slope,) = torch.autograd.grad(sum(f.sum() for f in flows.values()), cover)
    assert bool(torch.isfinite(slope).all()) and float(slope.abs().sum()) > 0


def test_every_factor_of_an_entry_stands_in_the_ledger_as_it_was_counted(counted):
    named = {name for entry in counted.entries for name in entry.factors}
    assert named <= set(counted.factors)
    assert all(counted.factors[name].id == name for name in counted.factors)
