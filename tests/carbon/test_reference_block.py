"""Appendix A of the specification: the reference tile in Shanghai, this file's part of it."""

import pytest
import torch

from fabricgen.carbon import evaluate
from fabricgen.carbon.measures import OPERATION, Measures
from fabricgen.carbon.vegetation import inventory

HOMES = {"residential": 1.0}
STUDY_YEARS = 50  # of China
MODULES = ("product", "transport", "construction")


def counted(tile, **measures):
    ledger = evaluate(tile, region="cn-sh", use_mix=HOMES, measures=Measures(**measures))
    return ledger, {entry.name: float(entry.amount[0]) for entry in ledger.entries}


def operated(found):
    flows = ("bldg.electricity.", "bldg.gas.", "bldg.heat.")
    return sum(amount for name, amount in found.items() if name.startswith(flows))


def test_footprint_and_floor_area(reference_tile):
    ledger, _ = counted(reference_tile)
    footprint_m2 = float(reference_tile.cover[:, 0].sum()) * 4
    assert footprint_m2 == pytest.approx(19_660, rel=0.01)
    assert float(ledger.gross_floor_area_m2) == pytest.approx(118_000, rel=0.01)


@pytest.mark.parametrize("how", OPERATION)
def test_operation_in_each_of_the_three_ways(how, reference_tile):
    """Slabs of the reference block: statistics, balance and both of them tell nearly the same."""
    ledger, found = counted(reference_tile, operation=how)
    assert 3000e3 < operated(found) < 3700e3
    if how == "archetype":
        assert operated(found) == pytest.approx(3330e3, rel=0.01)
    assert 22 < operated(found) / float(ledger.gross_floor_area_m2) < 36


@pytest.mark.parametrize("how", ["total", "elements"])
def test_embodied_of_the_new_buildings(how, reference_tile):
    _, found = counted(reference_tile, embodied=how)
    pulse = sum(found[f"bldg.embodied.{module}"] for module in MODULES) * STUDY_YEARS
    assert 35_000e3 < pulse < 73_000e3
    if how == "total":
        assert pulse == pytest.approx(50_700e3, rel=0.01)


def test_roads_and_paving(reference_tile):
    _, found = counted(reference_tile)
    pulse = sum(found[f"pave.embodied.{module}"] for module in MODULES) * STUDY_YEARS
    assert 400e3 < pulse < 1600e3
    assert pulse == pytest.approx(640e3, rel=0.05)


def test_gross_sink_of_the_trees_in_a_snapshot(reference_tile, place):
    canopy_m2 = reference_tile.cover[:, 4].sum(dim=(1, 2)).double() * 4
    found = inventory(canopy_m2, place("cn-sh"))
    assert float(found["sink"]) == pytest.approx(13_500, rel=0.01)
    assert 140e3 < float(found["stock"]) < 580e3


def test_the_sink_is_under_two_percent_of_what_is_emitted(reference_tile):
    ledger, _ = counted(reference_tile)
    share = ledger.sink_kgco2e_per_year / ledger.emission_kgco2e_per_year
    assert bool(torch.all((share > 0) & (share < 0.02)))
