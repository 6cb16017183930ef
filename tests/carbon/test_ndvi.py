import math

import pytest
import torch

from fabricgen.carbon import evaluate
from fabricgen.carbon.ndvi import GREEN_TYPES, fit, prior_relation, stock_at
from fabricgen.errors import SettingsError
from fabricgen.surfaces import BUILDING, GRASS, TREE


def ndvi(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.fixture
def prior(place):
    return prior_relation(place("cn-sh"))


def plots(count, seed=0, slope=4.0, intercepts=(-1.0, -0.6, -0.2, 0.2), spread=0.3):
    rng = torch.Generator().manual_seed(seed)
    at = 0.25 + 0.5 * torch.rand(count, generator=rng, dtype=torch.float64)
    kind = torch.randint(len(GREEN_TYPES), (count,), generator=rng)
    noise = spread * torch.randn(count, generator=rng, dtype=torch.float64)
    carbon = torch.exp(ndvi(*intercepts)[kind] + slope * at + noise)
    return at, carbon, kind


def test_without_plots_the_line_passes_within_the_ranges_of_its_anchors(prior):
    found = stock_at(prior, ndvi(0.2, 0.5, 0.8))
    middle = found.mean / math.exp(prior.residual_sd**2 / 2)
    for value, anchor, low, high in zip(
        middle.tolist(), (0.3, 2.0, 6.0), (0.05, 0.7, 2.5), (1, 5, 12), strict=True
    ):
        assert low < value < high
        assert value == pytest.approx(anchor, rel=0.35)
    assert bool((found.low < found.mean).all()) and bool((found.mean < found.high).all())


def test_bare_ground_holds_nothing_and_green_saturates(prior):
    found = stock_at(prior, ndvi(-0.2, 0.1, 0.19, 0.8, 0.9, 1.0))
    assert found.mean[:3].tolist() == [0, 0, 0]
    assert found.mean[3] == found.mean[4] == found.mean[5]
    course = stock_at(prior, torch.linspace(0.2, 0.8, 30)).mean
    assert bool((course.diff() > 0).all())


def test_many_plots_outweigh_the_prior(prior):
    at, carbon, kind = plots(4000)
    found = fit(prior, at, carbon, kind)
    assert float(found.mean[1]) == pytest.approx(4.0, abs=0.15)
    own = found.mean[0] + found.mean[2:]
    assert own.tolist() == pytest.approx([-1.0, -0.6, -0.2, 0.2], abs=0.1)
    assert found.residual_sd == pytest.approx(0.3, abs=0.02)


def test_one_plot_of_a_type_is_believed_in_part_and_many_in_full(prior):
    at, carbon, kind = plots(300)
    others = torch.nonzero(kind != 0).flatten()
    trust = []
    for count in (1, 60):
        used = torch.cat([others, torch.nonzero(kind == 0).flatten()[:count]])
        line = fit(prior, at[used], carbon[used], kind[used]).mean
        own = used[len(others) :]
        apart = (carbon[own].log() - line[0] - line[1] * at[own]).mean()
        trust.append(float(line[2] / apart))
    assert 0.4 < trust[0] < 0.75 and 0.97 < trust[1] < 1


def test_leaving_plots_out_agrees_with_doing_so_one_by_one(prior):
    at, carbon, kind = plots(12, seed=2)
    fitted = fit(prior, at, carbon, kind)
    spread = fitted.residual_sd**2
    errors = []
    precision = torch.linalg.inv(prior.covariance)
    for out in range(12):
        rest = torch.arange(12) != out
        own = torch.nn.functional.one_hot(kind, 4).double()
        design = torch.cat([torch.ones(12, 1).double(), at[:, None], own], dim=1)
        inner = precision + design[rest].T @ design[rest] / spread
        right = precision @ prior.mean + design[rest].T @ carbon[rest].log() / spread
        guess = torch.exp(design[out] @ torch.linalg.solve(inner, right) + spread / 2)
        errors.append(float(guess - carbon[out]))
    by_hand = math.sqrt(sum(error**2 for error in errors) / 12)
    assert fitted.loo_rmse_kgc_per_m2 == pytest.approx(by_hand, rel=1e-9)


def test_intervals_cover_what_they_promise(prior):
    hits = total = 0
    for seed in range(20):
        at, carbon, kind = plots(80, seed=seed)
        found = stock_at(fit(prior, at[:60], carbon[:60], kind[:60]), at[60:], kind[60:])
        hits += int(((found.low <= carbon[60:]) & (carbon[60:] <= found.high)).sum())
        total += 20
    assert 0.84 < hits / total < 0.96


def test_more_plots_narrow_the_interval(prior):
    widths = []
    for count in (5, 50, 500):
        found = stock_at(
            fit(prior, *plots(count, seed=1, spread=0.5)), ndvi(0.5), torch.tensor([1])
        )
        widths.append(float((found.high / found.low).log()))
    assert widths == sorted(widths, reverse=True)


def test_ndvi_stands_beside_the_ledger_and_is_not_added(hard):
    ledger = evaluate(hard(torch.full((1, 16, 16), TREE)), region="cn-sh")
    beside = {name: float(v) for name, v in ledger.references.items() if "ndvi" in name}
    low, mean, high = (beside[f"stock_by_ndvi{end}_kgco2e"] for end in ("_low", "", "_high"))
    assert low < mean < high
    wood = next(float(e.amount) for e in ledger.entries if e.name == "stock.tree")
    assert low < wood < high  # two ways to one amount
    assert float(ledger.stock_kgco2e) == pytest.approx(
        sum(float(e.amount) for e in ledger.entries if e.kind == "stock")
    )
    built = evaluate(hard(torch.full((1, 16, 16), BUILDING)), region="cn-sh")
    assert float(built.references["stock_by_ndvi_kgco2e"]) == 0
    lawn = evaluate(hard(torch.full((1, 16, 16), GRASS)), region="cn-sh")
    assert 0 < float(lawn.references["stock_by_ndvi_kgco2e"]) < mean


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], [], []), "0 NDVI values, 0 stocks, 0 types"),
        (([0.5, 0.6], [2.0], [0, 0]), "2 NDVI values, 1 stocks, 2 types"),
        (([0.5], [0.0], [0]), "a plot without carbon has no logarithm"),
    ],
)
def test_plots_that_do_not_fit_are_refused(prior, arguments, message):
    at, carbon, kind = arguments
    with pytest.raises(SettingsError, match=message):
        fit(prior, ndvi(*at), ndvi(*carbon), torch.tensor(kind))
