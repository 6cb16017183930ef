import pytest
import torch

from fabricgen.carbon import evaluate
from fabricgen.carbon.change import change_of
from fabricgen.carbon.embodied import element_upfront_kgco2e, upfront_kgco2e_per_m2
from fabricgen.carbon.factors import factor
from fabricgen.carbon.place import Reader
from fabricgen.carbon.site import make_site
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


def test_hard_maps_split_into_new_kept_and_demolished(hard):
    before, after = hard(block((5, 15)), 9.0), hard(block((10, 20)), 9.0)
    site, _ = make_site(after, context=before, inside=None, usual_height_m=9.0)
    change = change_of(site)
    floor_m2 = 20 * 5 * 4 * 3.0
    found = [change.new_floor, change.kept_floor, change.lost_floor]
    assert [float(f.total) for f in found] == pytest.approx([floor_m2] * 3, rel=1e-5)


@pytest.mark.parametrize(("height_m", "kept"), [(12.0, 1.0), (15.0, 0.0025), (24.0, 0.0)])
def test_a_building_stays_only_at_its_height(hard, height_m, kept):
    before, after = hard(block((5, 15)), 12.0), hard(block((5, 15)), height_m)
    site, _ = make_site(after, context=before, inside=None, usual_height_m=9.0)
    change = change_of(site)
    share = change.kept_floor.total / site.floor_area.total
    assert float(share) == pytest.approx(kept, abs=1e-3)


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


def test_total_and_element_method_agree_within_a_factor_of_1_6(place):
    names = {
        "wall": "emb.el.wall.concrete_block", "window": "emb.el.window.double",
        "roof": "emb.el.roof.flat_conv", "slab": "emb.el.floor.basement_new_exc",
        "floor": "emb.el.floor.concrete_new", "partition": "emb.el.partition.brick",
        "services": "emb.el.services", "component_ratio": "emb.el.area_to_floor",
    }  # fmt: skip
    elements = element_upfront_kgco2e(
        wall_m2=2592, roof_m2=720, floor_m2=4320, window_share=0.3,
        values={key: factor(name).value for key, name in names.items()},
    )  # fmt: skip
    total = float(upfront_kgco2e_per_m2(Reader(place("fi")), HOMES)) * 4320
    assert 1 / 1.6 < total / elements < 1.6
