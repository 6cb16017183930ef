import pytest
import torch

from fabricgen.carbon import evaluate
from fabricgen.surfaces import BARE, BUILDING, GRASS, PAVED, ROAD, TREE, WATER


def amounts(ledger):
    return {entry.name: float(entry.amount[0]) for entry in ledger.entries}


def upfront(ledger):
    return sum(
        amounts(ledger)[f"pave.embodied.{module}"]
        for module in ("product", "transport", "construction")
    )


def rows(first, count, rest=BARE, size=128):
    labels = torch.full((1, size, size), rest)
    labels[0, :count] = first
    return labels


def test_roads_on_a_fifth_of_a_tile_are_a_pulse_of_430_to_790_t(hard):
    ledger = evaluate(hard(rows(ROAD, 26)), region="fi")
    pulse = sum(float(v) for k, v in ledger.flows(0).items() if k.startswith("pave.embodied."))
    assert 400e3 < pulse < 790e3
    assert pulse == pytest.approx(26 * 128 * 4 * 32.8, rel=1e-4)
    assert upfront(ledger) * 60 == pytest.approx(pulse, rel=1e-5)


def test_paving_of_the_reference_tile_is_that_of_the_specification(reference_tile):
    ledger = evaluate(reference_tile, region="cn-sh")
    assert 400e3 < upfront(ledger) * 50 < 1600e3


def test_a_street_tree_does_not_remove_the_road_below(hard):
    bare, planted = rows(ROAD, 128), rows(ROAD, 128)
    planted[0, ::9, ::9] = TREE
    road, trees = (upfront(evaluate(hard(x), region="fi")) for x in (bare, planted))
    assert trees == pytest.approx(road, rel=0.01)


def test_renewals_follow_both_courses(hard):
    found = amounts(evaluate(hard(rows(ROAD, 128)), region="fi"))
    area = 128 * 128 * 4
    yearly = 32.8 * (0.45 * (60 / 15 - 1) + 0.55 * (60 / 40 - 1)) / 60
    assert found["pave.embodied.replacement"] == pytest.approx(area * yearly, rel=1e-4)
    same = hard(rows(ROAD, 128))
    kept = amounts(evaluate(same, region="fi", context=same))
    yearly = 32.8 * (0.45 / 15 + 0.55 / 40)
    assert kept["pave.embodied.replacement"] == pytest.approx(area * yearly, rel=1e-4)
    assert kept["pave.embodied.product"] == 0


def test_sealed_ground_that_goes_is_broken_out(hard):
    for after in (GRASS, BUILDING):
        ledger = evaluate(hard(rows(after, 128)), region="fi", context=hard(rows(PAVED, 128)))
        pulse = float(ledger.flows(0)["pave.embodied.end_of_life"])
        assert pulse == pytest.approx(128 * 128 * 4 * 3.5, rel=1e-5)
    alone = evaluate(hard(rows(GRASS, 128)), region="fi")
    assert "pave.embodied.end_of_life" not in amounts(alone)


def test_planting_counts_new_green_only(hard):
    new = evaluate(hard(rows(TREE, 128)), region="fi", context=hard(rows(GRASS, 128)))
    assert amounts(new)["green.planting"] == pytest.approx(128 * 128 * 4 * 0.8 / 60, rel=1e-5)
    same = hard(rows(TREE, 128))
    assert amounts(evaluate(same, region="fi", context=same))["green.planting"] == 0


def test_a_new_pond_has_a_bed_where_what_stood_there_is_known(hard):
    pond = hard(rows(WATER, 128))
    known = evaluate(pond, region="fi", context=hard(rows(GRASS, 128)))
    assert amounts(known)["green.planting"] == pytest.approx(128 * 128 * 4 * 8 / 60, rel=1e-5)
    assert amounts(evaluate(pond, region="fi"))["green.planting"] == 0
