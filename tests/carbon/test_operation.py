import pytest
import torch

from fabricgen.carbon import evaluate
from fabricgen.carbon.energy import intensity
from fabricgen.carbon.operation import operation_rates, smooth_clip
from fabricgen.surfaces import BUILDING, GRASS, TREE

HOMES = {"residential": 1.0}


def amounts(ledger):
    return {entry.name: float(entry.amount[0]) for entry in ledger.entries}


def operated(ledger):
    parts = ("bldg.electricity", "bldg.gas", "bldg.heat")
    return sum(v for name, v in amounts(ledger).items() if name.startswith(parts))


def block(rows, cols, grid=80):
    labels = torch.full((1, grid, grid), GRASS)
    labels[0, 10 : 10 + rows, 10 : 10 + cols] = BUILDING
    return labels


def test_operation_of_the_reference_tile_is_that_of_the_specification(reference_tile):
    ledger = evaluate(reference_tile, region="cn-sh", use_mix=HOMES)
    assert float(ledger.gross_floor_area_m2) == pytest.approx(118_000, rel=0.01)
    assert 3000e3 < operated(ledger) < 3700e3
    per_m2 = operated(ledger) / float(ledger.gross_floor_area_m2)
    assert 22 < per_m2 < 36
    assert float(ledger.sink_kgco2e_per_year) < 0.02 * float(ledger.emission_kgco2e_per_year)


def test_an_office_in_shanghai_emits_49_kg_per_m2(place):
    energy, _ = intensity(place("cn-sh"), "office")
    kwh = energy.base["electricity"] + energy.heating["electricity"] + energy.cooling
    assert float(kwh) == pytest.approx(85.3)
    assert float(kwh) * 0.5737 == pytest.approx(49, abs=0.1)


def test_carriers_add_up_to_the_total_of_the_row(place):
    energy, _ = intensity(place("fi"), "residential")
    total = sum(float(v) for v in (*energy.base.values(), *energy.heating.values()))
    assert total + float(energy.cooling) == pytest.approx(190)
    assert sum(float(v) for v in energy.heating.values()) == pytest.approx(190 * 0.66)


def test_heating_in_the_north_of_china_is_district_heat(place):
    energy, _ = intensity(place("cn-bj"), "residential")
    assert float(energy.heating["heat"]) == 75 and float(energy.base["heat"]) == 0


def test_the_reference_block_keeps_the_statistics(hard):
    """Its own form ratio is 1, up to the error of the walls."""
    ledger = evaluate(hard(block(6, 30)), region="fi", use_mix=HOMES)
    per_m2 = operated(ledger) / float(ledger.gross_floor_area_m2)
    energy, _ = intensity_at_factors()
    assert per_m2 == pytest.approx(energy, rel=0.03)


def intensity_at_factors():
    return 190 * (0.37 * 0.07225 + 0.03 * 56.1 * 0.0036 + 0.60 * 0.13), None


def test_the_form_ratio_rises_with_walls_per_volume(hard):
    per_m2 = []
    for rows, cols in ((40, 40), (12, 30), (6, 30), (4, 12)):
        ledger = evaluate(hard(block(rows, cols)), region="fi", use_mix=HOMES)
        per_m2.append(operated(ledger) / float(ledger.gross_floor_area_m2))
    assert per_m2 == sorted(per_m2)
    assert per_m2[-1] > 1.1 * per_m2[0]


def test_one_block_needs_less_than_the_same_floor_area_in_pieces(hard):
    pieces = torch.full((1, 80, 80), GRASS)
    for row in range(4):
        for col in range(4):
            pieces[0, 10 + row * 15 : 20 + row * 15, 10 + col * 15 : 20 + col * 15] = BUILDING
    whole = evaluate(hard(block(40, 40)), region="fi")
    parted = evaluate(hard(pieces), region="fi")
    assert float(whole.gross_floor_area_m2) == float(parted.gross_floor_area_m2)
    assert operated(whole) < operated(parted)


def test_without_buildings_nothing_is_operated(hard):
    ledger = evaluate(hard(torch.full((1, 20, 20), TREE)), region="fi")
    assert operated(ledger) == 0 and bool(torch.isfinite(ledger.net_kgco2e_per_year).all())


def test_grid_losses_are_a_share_of_electricity(hard):
    found = amounts(evaluate(hard(block(6, 30)), region="fi", use_mix=HOMES))
    assert found["bldg.td_loss.residential"] == pytest.approx(
        0.06 * found["bldg.electricity.residential"], rel=1e-5
    )


def test_uses_are_tagged_apart(hard):
    ledger = evaluate(hard(block(6, 30)), region="fi", use_mix={"office": 1.0})
    assert "bldg.heat.nonresidential" in amounts(ledger)
    assert "bldg.heat.residential" not in amounts(ledger)


def test_a_later_year_has_a_cleaner_grid_and_heat_stays(hard):
    layout = hard(block(6, 30))
    now, later = (amounts(evaluate(layout, region="fi", year=y)) for y in (None, 2034))
    ratio = later["bldg.electricity.residential"] / now["bldg.electricity.residential"]
    assert ratio == pytest.approx(0.96**10, rel=1e-5)
    assert later["bldg.heat.residential"] == now["bldg.heat.residential"]


def test_the_clip_leaves_the_middle_and_holds_the_ends():
    at = torch.tensor([0.0, 0.1, 1.0, 1.84, 10.0], dtype=torch.float64)
    assert smooth_clip(at).tolist() == pytest.approx([0.4, 0.4, 1.0, 1.84, 3.0], abs=1e-3)


def test_the_map_of_operation_sums_to_it_and_lies_on_buildings(hard):
    labels = block(6, 30)
    ledger = evaluate(hard(labels), region="fi")
    line = next(e for e in ledger.entries if e.name == "bldg.heat.residential")
    assert float(line.per_pixel.sum()) == pytest.approx(float(line.amount), rel=1e-5)
    near = torch.nn.functional.max_pool2d((labels == BUILDING).float()[:, None], 3, 1, 1)[:, 0]
    assert float((line.per_pixel * (1 - near)).abs().max()) == pytest.approx(0, abs=1e-4)


def test_rates_are_those_of_every_use_in_the_mix(place):
    both = operation_rates(place("uk"), (("residential", 0.5), ("office", 0.5)))
    homes = operation_rates(place("uk"), (("residential", 1.0),))
    key = ("residential", "gas")
    assert float(both.base[key]) == pytest.approx(0.5 * float(homes.base[key]))
