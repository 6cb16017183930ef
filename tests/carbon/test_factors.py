import pytest
import torch

from fabricgen.carbon import factors
from fabricgen.errors import FormatError, SettingsError

ROW = {"id": "a.b", "value": "2", "low": "1", "high": "4", "distribution": "tri", "unit": "kg"}


def drawn(**changes):
    return factors.quantile(
        factors.read_factor(ROW | changes, where="test"),
        torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64),
    )


def test_the_table_holds_every_row_once_with_an_ordered_range():
    table = factors.table()
    assert len(table) > 1200
    assert all(row.low <= row.value <= row.high for row in table.values())
    assert all(row.source for row in table.values())


def test_share_alike_rows_stand_in_a_file_of_their_own_with_their_notice():
    shared = [row["id"] for row in factors.rows_of("factors_ember.csv")]
    others = [row["id"] for name in factors.FACTOR_FILES[::2] for row in factors.rows_of(name)]
    assert shared and all(name.startswith("grid.ember.") for name in shared)
    assert not any(name.startswith("grid.ember.") for name in others)


def test_our_own_estimates_never_pass_as_confirmed():
    assert all(row["confirmed"] == "no" for row in factors.rows_of("factors_estimates.csv"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"low": ""}, "test: factor a.b lacks a value, low or high; give three numbers"),
        ({"low": "3"}, "test: factor a.b has 2 outside its range 3 to 4; order low"),
    ],
)
def test_a_broken_row_is_refused(changes, message):
    with pytest.raises(FormatError, match=message):
        factors.read_factor(ROW | changes, where="test")


def test_a_misspelt_id_names_the_nearest():
    with pytest.raises(SettingsError, match=r"did you mean veg\.tree\.grow\.tm"):
        factors.factor("veg.tree.grow.tn")


def test_normal_lognormal_and_beta_have_the_range_as_5_to_95_percent():
    assert drawn(distribution="normal", low="1", high="3").tolist() == pytest.approx(
        [1, 2, 3], rel=1e-3
    )
    assert drawn(distribution="lognormal").tolist() == pytest.approx([1, 2, 4], rel=1e-3)
    assert drawn(distribution="beta", value="0.5", low="0.2", high="0.8").tolist() == pytest.approx(
        [0.2, 0.5, 0.8], rel=1e-3
    )


def test_triangular_uniform_and_fixed_stay_within_their_bounds():
    p = torch.linspace(1e-6, 1 - 1e-6, 1001, dtype=torch.float64)
    for kind in ("tri", "uniform"):
        of = factors.read_factor(ROW | {"distribution": kind}, where="test")
        values = factors.quantile(of, p)
        assert values.min() >= 1 and values.max() <= 4
        assert bool((values.diff() > 0).all())
    # independent: the share of a triangle below its mode is (mode - low) / (high - low)
    of = factors.read_factor(ROW, where="test")
    assert float(factors.quantile(of, torch.tensor([1 / 3]))) == pytest.approx(2.0)
    assert drawn(distribution="fixed").tolist() == [2, 2, 2]


def test_draws_hang_on_the_id_and_the_seed_alone():
    of = factors.factor("veg.tree.grow.tm")
    first = factors.values(of, draws=8, seed=1)
    assert first[0] == of.value
    assert torch.equal(first, factors.values(of, draws=8, seed=1))
    assert not torch.equal(first, factors.values(of, draws=8, seed=2))
    other = factors.values(factors.factor("veg.tree.agp"), draws=8, seed=1)
    assert not torch.allclose(first[1:].argsort().double(), other[1:].argsort().double())
