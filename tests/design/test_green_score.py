"""Green indicators of a plan as drawn: from its layout, its ledger and the region's factors."""

import math

import pytest
import torch

from fabricgen import carbon
from fabricgen.carbon.factors import factor
from fabricgen.carbon.regions import region
from fabricgen.design.green_score import green_indicators
from fabricgen.form.green_groups import GROUPS
from fabricgen.layout import from_labels
from fabricgen.surfaces import BIT, BUILDING, GRASS, PAVED, ROAD, SHRUB, TREE, WATER


def drawn(surfaces: torch.Tensor, *, height_m: float = 18.0):
    built = (surfaces == BUILDING)[None]
    bits = torch.tensor(BIT, dtype=torch.uint8)[surfaces][None]
    layout = from_labels(bits, height_m * built, built)
    return layout, torch.ones_like(built)


def indicators_of(surfaces: torch.Tensor, name: str = "cn-sh", **height):
    layout, inside = drawn(surfaces, **height)
    ledger = carbon.evaluate(layout, region=name, inside=inside)
    return green_indicators(layout, inside, ledger, region=name), ledger


@pytest.fixture
def block() -> torch.Tensor:
    surfaces = torch.full((64, 64), GRASS)
    surfaces[:, :8] = ROAD
    surfaces[10:30, 20:50] = BUILDING
    surfaces[40:50, 20:40] = TREE
    surfaces[40:50, 40:46] = SHRUB
    surfaces[54:60, 50:60] = WATER
    return surfaces


def test_every_group_is_there_and_shares_are_shares(block):
    got, _ = indicators_of(block)
    assert {key for keys in GROUPS.values() for key in keys} <= set(got)
    assert all(0 <= got[key] <= 1 for key in got if key.endswith("_share") and got[key] == got[key])
    assert not [key for key, value in got.items() if math.isnan(value) and key != "nearest_patch_m"
                and not key.startswith("connected")]  # fmt: skip


def test_the_sink_is_the_ledger_s_own(block):
    got, ledger = indicators_of(block)
    area_m2 = float(ledger.site_area_m2)
    sink = float(ledger.amounts("sink")[0, 0])
    lost = sum(float(e.amount[0]) for e in ledger.entries if e.name == "veg.mortality")
    assert lost > 0
    assert got["sink_kgco2e_per_m2_year"] == pytest.approx(sink / area_m2)
    assert got["net_sink_kgco2e_per_m2_year"] == pytest.approx((sink - lost) / area_m2)


def test_weights_come_from_the_factor_table(block):
    got, _ = indicators_of(block)
    count = block.numel()
    share = {s: int((block == s).sum()) / count for s in (TREE, SHRUB, GRASS, WATER)}
    ugf = {
        TREE: "standard_tree_small_pit",
        SHRUB: "groundcover",
        GRASS: "amenity_grass",
        WATER: "water_chlorinated",
    }
    expected = sum(share[s] * factor(f"target.ugf.factor.{row}").value for s, row in ugf.items())
    assert got["urban_greening_factor"] == pytest.approx(expected, rel=1e-5)
    leaves = {TREE: "tree_intermediate", SHRUB: "shrub_monocot", GRASS: "turf"}
    expected = sum(share[s] * factor(f"veg.lai.{row}").value for s, row in leaves.items())
    assert got["green_plot_ratio"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("surface", "share"), [(PAVED, 44.3 / 50), (GRASS, 8.5 / 50)])
def test_runoff_is_that_of_the_curve_number_in_a_rain_of_50_mm(surface, share):
    got, _ = indicators_of(torch.full((16, 16), surface))
    assert got["runoff_50mm_share"] == pytest.approx(share, abs=0.002)


def test_people_are_those_whom_the_floor_area_would_hold(block):
    got, ledger = indicators_of(block)
    people = float(ledger.gross_floor_area_m2) * region("cn-sh").use_mix.get("residential", 0)
    people /= factor("geom.area_per_person.cn.sh").value
    green_m2 = 4 * int(sum((block == s).sum() for s in (TREE, SHRUB, GRASS)))
    assert got["green_m2_per_person"] == pytest.approx(green_m2 / people, rel=1e-5)


def test_higher_walls_leave_less_sky(block):
    low, _ = indicators_of(block, height_m=6.0)
    high, _ = indicators_of(block, height_m=40.0)
    for key in ("sky_view_open_share", "sky_view_street_share"):
        assert high[key] < low[key] < 1
