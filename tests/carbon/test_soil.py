import pytest
import torch

from fabricgen.carbon import evaluate
from fabricgen.carbon.soil import soil_rates
from fabricgen.surfaces import BARE, BUILDING, GRASS, PAVED, SHRUB, TREE, WATER
from fabricgen.units import CO2_PER_C


def amounts(ledger):
    return {entry.name: float(entry.amount[0]) for entry in ledger.entries}


def whole(surface, size=50):
    return torch.full((1, size, size), surface)


def test_paving_a_hectare_of_cool_grassland_is_74_t_over_20_years(hard):
    ledger = evaluate(hard(whole(PAVED)), region="de", context=hard(whole(GRASS)), horizon_years=20)
    assert amounts(ledger)["soil.loss"] / 1000 == pytest.approx(3.7, abs=0.03)
    assert amounts(ledger)["soil.loss"] * 20 / 1000 == pytest.approx(74.25, abs=0.1)
    assert amounts(ledger)["soil.gain"] == 0
    yearly = [float(ledger.flows(year)["soil.loss"]) for year in (0, 1, 20)]
    assert yearly == pytest.approx([0, 3712.5, 3712.5], rel=1e-3)


def test_no_change_of_surface_has_no_flow_even_under_crowns(hard):
    labels = torch.randint(0, 8, (1, 40, 40), generator=torch.Generator().manual_seed(1))
    same = hard(labels)
    found = amounts(evaluate(same, region="fi", context=same))
    assert found["soil.gain"] == found["soil.loss"] == 0


def test_hard_maps_agree_with_a_count_of_every_change(hard, place):
    rng = torch.Generator().manual_seed(2)
    kinds = torch.tensor([BUILDING, PAVED, WATER, SHRUB, GRASS, BARE])  # no crowns
    before, after = (kinds[torch.randint(0, 6, (1, 30, 30), generator=rng)] for _ in range(2))
    factor = {BUILDING: 0.7, PAVED: 0.8, WATER: 1.0, SHRUB: 1.03, GRASS: 1.05, BARE: 0.85}
    loss = gain = 0.0
    for old, new in zip(before.flatten().tolist(), after.flatten().tolist(), strict=True):
        change = 8.1 * (factor[new] - factor[old])
        if new == GRASS and old in (BUILDING, PAVED, BARE):
            change = min(change, 30 * 0.05)
        loss, gain = loss + max(-change, 0), gain + max(change, 0)
    found = amounts(evaluate(hard(after), region="fi", context=hard(before)))
    assert found["soil.loss"] == pytest.approx(loss * 4 * CO2_PER_C / 60, rel=1e-5)
    assert found["soil.gain"] == pytest.approx(gain * 4 * CO2_PER_C / 60, rel=1e-5)


def test_a_new_lawn_gains_no_faster_than_turf(place):
    rates = soil_rates(place("de"))
    assert float(rates.change[BARE, GRASS]) == pytest.approx(30 * 0.05 * CO2_PER_C)
    assert float(rates.change[PAVED, TREE]) == pytest.approx(8.1 * 0.2 * CO2_PER_C)


def test_without_a_state_before_soil_change_is_not_assessed(hard):
    ledger = evaluate(hard(whole(GRASS)), region="fi")
    assert not {"soil.gain", "soil.loss"} & set(amounts(ledger))
    assert any("soil carbon change" in line for line in ledger.not_assessed)


def test_soil_of_a_tile_lies_between_2_and_9_kgc_per_m2(reference_tile):
    for name in ("cn-sh", "fi", "de"):
        held = amounts(evaluate(reference_tile, region=name))["stock.soil"] / CO2_PER_C / 65536
        assert 2 < held < 9


def test_maps_sum_to_totals_where_ground_is_soft(soft):
    ledger = evaluate(soft(0), region="fi", context=soft(1))
    for entry in ledger.entries:
        if entry.name.startswith(("soil", "stock.soil")):
            assert torch.allclose(entry.per_pixel.sum(dim=(1, 2)), entry.amount, rtol=1e-9)
