import pytest
import torch

from fabricgen.carbon import evaluate
from fabricgen.carbon.factors import factor
from fabricgen.carbon.measures import Measures
from fabricgen.surfaces import BUILDING, GRASS

HOMES = {"residential": 1.0}
UPFRONT = ("product", "transport", "construction")


def amounts(ledger):
    return {entry.name: float(entry.amount[0]) for entry in ledger.entries}


def upfront(ledger):
    return sum(amounts(ledger)[f"bldg.embodied.{module}"] for module in UPFRONT)


def block(*spans, grid=40):
    labels = torch.full((1, grid, grid), GRASS)
    for start, stop in spans:
        labels[0, 10:30, start:stop] = BUILDING
    return labels


def test_embodied_of_the_reference_tile_is_that_of_the_specification(reference_tile):
    ledger = evaluate(reference_tile, region="cn-sh", use_mix=HOMES)
    assert 35_000e3 < upfront(ledger) * 50 < 73_000e3
    assert upfront(ledger) * 50 == pytest.approx(50_700e3, rel=0.03)
    whole = sum(v for name, v in amounts(ledger).items() if name.startswith("bldg.embodied"))
    assert 700e3 < whole < 1900e3
    per_m2 = upfront(ledger) / float(ledger.gross_floor_area_m2)
    assert 6 < per_m2 < 12 and 300 < per_m2 * 50 < 620


def test_what_is_kept_has_no_upfront_carbon_and_no_demolition(hard):
    same = hard(block((5, 15)))
    ledger = evaluate(same, region="fi", context=same)
    assert upfront(ledger) == pytest.approx(0, abs=1e-3)
    assert amounts(ledger)["bldg.embodied.end_of_life"] == pytest.approx(0, abs=1e-3)


def test_demolition_is_a_pulse_now_and_is_not_assessed_without_a_state_before(hard):
    gone = evaluate(hard(block()), region="fi", context=hard(block((5, 15)), 9.0))
    pulse = float(gone.flows(0)["bldg.embodied.end_of_life"])
    assert pulse == pytest.approx(20 * 10 * 4 * 3 * 20.0, rel=1e-5)
    alone = evaluate(hard(block((5, 15))), region="fi")
    assert any("demolition" in line for line in alone.not_assessed)


def test_every_storey_more_costs_more_and_tall_ones_more_each(hard):
    per_m2 = []
    for floors in (4, 10, 30):
        ledger = evaluate(hard(block((5, 15)), 3.0 * floors), region="fi")
        per_m2.append(upfront(ledger) / float(ledger.gross_floor_area_m2))
    assert per_m2 == sorted(per_m2)
    assert per_m2[2] / per_m2[0] == pytest.approx(1 + 0.004 * 20, rel=1e-3)


def test_modules_split_the_whole(hard):
    found = amounts(evaluate(hard(block((5, 15)), 12.0), region="fi", use_mix=HOMES))
    floor_m2 = 20 * 10 * 4 * 4
    product = found["bldg.embodied.product"]
    assert product == pytest.approx(0.9 * 480 * floor_m2 / 60, rel=1e-3)
    assert found["bldg.embodied.replacement"] == pytest.approx(product / 0.9 * 0.45, rel=1e-4)


@pytest.mark.parametrize("basement", [0.0, 0.3])
def test_total_and_element_method_agree_within_a_factor_of_1_6(hard, basement):
    """On the reference block, 12 x 60 m and six storeys."""
    layout = hard(reference_block())
    whole, parts = (
        upfront(evaluate(layout, region="fi", use_mix=HOMES,
                         measures=Measures(embodied=how, basement_share=basement)))
        for how in ("total", "elements")
    )  # fmt: skip
    assert 1 / 1.6 < whole / parts < 1.6


def reference_block():
    labels = torch.full((1, 40, 60), GRASS)
    labels[0, 10:16, 10:40] = BUILDING
    return labels


def test_elements_are_counted_by_their_own_areas(hard):
    """Walls, windows, roof, floors, partitions and services of the block, added up by hand."""
    ledger = evaluate(
        hard(reference_block()), region="fi", use_mix=HOMES, measures=Measures(embodied="elements")
    )
    wall_m2, roof_m2, floor_m2 = 2592, 720, 4320
    e = {name: factor(f"emb.el.{name}").value for name in (
        "wall.concrete_block", "window.double", "roof.flat_conv", "floor.concrete_new",
        "partition.brick", "services",
    )}  # fmt: skip
    expected = (
        wall_m2 * (0.7 * e["wall.concrete_block"] + 0.3 * e["window.double"])
        + roof_m2 * e["roof.flat_conv"]
        + floor_m2 * (e["floor.concrete_new"] + 1.5 * e["partition.brick"] + e["services"])
    )
    assert upfront(ledger) * 60 == pytest.approx(expected, rel=0.02)  # the walls' own error


def test_elements_are_renewed_after_their_service_life(hard):
    layout = hard(reference_block())
    found = amounts(
        evaluate(layout, region="fi", use_mix=HOMES, measures=Measures(embodied="elements"))
    )
    services = 4320 * factor("emb.el.services").value * (60 / 25 - 1) / 60
    halves = 4320 * 1.5 * factor("emb.el.partition.brick").value / 60  # once more in 60 years
    walls = 2592 * (0.7 * 112 + 0.3 * 62) / 60
    assert found["bldg.embodied.replacement"] == pytest.approx(services + halves + walls, rel=0.02)


def test_a_basement_adds_its_share_of_dearer_floors(hard):
    layout = hard(reference_block())
    without = upfront(evaluate(layout, region="fi", use_mix=HOMES))
    with_one = evaluate(layout, region="fi", use_mix=HOMES, measures=Measures(basement_share=0.2))
    assert upfront(with_one) / without == pytest.approx(1 + 0.2 * 1.5, rel=1e-4)


def test_refurbishing_what_stays_is_a_pulse_of_its_own(hard):
    layout = hard(block((5, 15)), 12.0)
    ledger = evaluate(
        layout, region="fi", use_mix=HOMES, context=layout, measures=Measures(refurbished_share=0.5)
    )
    floor_m2 = 20 * 10 * 4 * 4
    pulse = float(ledger.flows(0)["bldg.embodied.refurbishment"])
    assert pulse == pytest.approx(0.5 * 0.35 * 480 * floor_m2, rel=1e-4)
    assert upfront(ledger) == pytest.approx(0, abs=1e-3)
