import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fabricgen.carbon import evaluate
from fabricgen.carbon.measures import Measures
from fabricgen.carbon.regions import region_names
from fabricgen.carbon.site import make_site
from fabricgen.carbon.travel import (
    ELASTICITIES,
    change_by_form,
    claim_notes,
    park_access,
    travel_rates,
    use_entropy,
    vkt_ratio,
)
from fabricgen.surfaces import BUILDING, GRASS, ROAD, TREE

TABLE = Path(__file__).parents[1] / "golden" / "carbon" / "check-values.csv"
HOMES = {"residential": 1.0}
EWING_CERVERO = torch.tensor([-0.04, -0.09, -0.12], dtype=torch.float64)
CAP = torch.tensor(-0.25, dtype=torch.float64)


def ratio(density=1.0, mix=1.0, junctions=1.0, elasticities=EWING_CERVERO):
    of = torch.tensor([density, mix, junctions], dtype=torch.float64)
    return float(vkt_ratio(of, elasticities, CAP))


def travel_of(ledger):
    found = [entry for entry in ledger.entries if entry.name.startswith("travel.")]
    return sum(float(entry.amount[0]) for entry in found)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("travel.double_density", lambda: ratio(density=2)),
        ("travel.double_three", lambda: ratio(2, 2, 2)),
    ],
)
def test_the_expectation_holds(name, found):
    row = next(r for r in csv.DictReader(TABLE.read_text().splitlines()) if r["id"] == name)
    tolerance = float(row["abs_tol"]) + float(row["rel_tol"]) * float(row["expected"])
    assert abs(found() - float(row["expected"])) <= tolerance


def test_what_is_as_in_the_region_changes_nothing():
    assert ratio() == pytest.approx(1, abs=1e-7)


def test_density_mix_and_streets_each_lower_travel_and_only_to_the_cap():
    for name in ("density", "mix", "junctions"):
        courses = [ratio(**{name: 2.0**step}) for step in range(-2, 3)]
        assert courses == sorted(courses, reverse=True)
    steep = 3 * EWING_CERVERO
    assert ratio(4, 4, 4, elasticities=steep) == pytest.approx(0.75, abs=0.006)
    assert ratio(1e6, 4, 4, elasticities=steep) == ratio(1e3, 4, 4, elasticities=steep)


def test_beyond_four_times_and_a_quarter_nothing_more_changes():
    assert ratio(density=50) == pytest.approx(4**-0.04, rel=1e-6)
    assert ratio(density=0) == pytest.approx(0.25**-0.04, rel=1e-4)


def test_the_second_set_trusts_density_more(place):
    first, second = (
        travel_rates(place("us"), tuple(HOMES.items()), name).elasticities[:, 0]
        for name in ELASTICITIES
    )
    assert torch.allclose(first, EWING_CERVERO)
    assert float(second[0]) == -0.22
    assert ratio(density=2, elasticities=second) < ratio(density=2)


@pytest.mark.parametrize(
    ("mix", "expected"),
    [
        (HOMES, 0.0),
        ({"residential": 0.25, "office": 0.25, "retail": 0.25, "hotel": 0.25}, 1.0),
        ({"residential": 0.5, "office": 0.25, "industrial": 0.25}, 0.5),
        ({"hotel": 0.3, "hospital": 0.7}, 0.0),
    ],
)
def test_mix_is_the_entropy_of_four_groups(mix, expected):
    assert use_entropy(mix) == pytest.approx(expected, abs=1e-6)


def test_private_travel_of_the_reference_tile_is_that_of_the_specification(reference_tile):
    ledger = evaluate(reference_tile, region="cn-sh", use_mix=HOMES)
    assert 500e3 < travel_of(ledger) < 1700e3
    residents = 128 * 128 * 4 * 0.3 * 6 / 37.57
    per_person = 1900 * (0.7 * 0.19 + 0.3 * 0.18 * 0.5737)
    change = 1 + float(ledger.references["travel_change_by_form_share"][0])
    # The specification's 980 t leave form out.
    assert residents * per_person == pytest.approx(980e3, rel=0.01)
    assert travel_of(ledger) == pytest.approx(residents * per_person * change, rel=1e-3)


def test_a_resident_drives_as_much_as_statistics_say(place):
    for name, low, high in (("cn-sh", 200, 600), ("us", 3000, 4500), ("fi", 700, 1500)):
        rates = travel_rates(place(name), tuple(HOMES.items()), ELASTICITIES[0])
        assert low < float(rates.fuel + rates.power) < high


def test_an_electric_car_in_shanghai_emits_half_of_a_petrol_car(place):
    rates = travel_rates(place("cn-sh"), tuple(HOMES.items()), ELASTICITIES[0])
    assert float(rates.power) / (1900 * 0.3) == pytest.approx(0.103, abs=5e-4)
    assert float(rates.fuel) / (1900 * 0.7) == pytest.approx(0.19)


def test_every_region_has_its_travel(place):
    for name in region_names():
        rates = travel_rates(place(name), tuple(HOMES.items()), ELASTICITIES[0])
        assert 50 < float(rates.fuel + rates.power) < 6000


def test_work_alone_makes_no_residents_and_homes_do_by_their_share(hard):
    layout = hard(torch.full((1, 12, 12), BUILDING))
    assert travel_of(evaluate(layout, region="fi", use_mix={"office": 1.0})) == 0
    half = evaluate(layout, region="fi", use_mix={"residential": 0.5, "office": 0.5})
    change = 1 + float(half.references["travel_change_by_form_share"][0])
    residents = 144 * 4 * 6 * 0.5 / 42
    per_person = 6500 * (0.96 * 0.16725 + 0.04 * 0.18 * float(grid("fi")))
    assert travel_of(half) == pytest.approx(residents * per_person * change, rel=1e-4)


def grid(name):
    from fabricgen.carbon.factors import factor
    from fabricgen.carbon.regions import region

    return factor(region(name).electricity).value


def crossing(every):
    labels = torch.full((1, 128, 128), GRASS)
    for at in range(every // 2, 128, every):
        labels[:, at - 2 : at + 2] = ROAD
        labels[:, :, at - 2 : at + 2] = ROAD
    labels[:, ::16, ::16] = BUILDING
    return labels


def site_of(layout):
    return make_site(layout, context=None, inside=None, usual_height_m=9.0)[0]


def test_junctions_of_a_grid_are_told_from_the_outline_of_its_streets(hard):
    labels = crossing(32)
    labels[labels == BUILDING] = GRASS
    site = site_of(hard(labels))
    # The outline leaves junctions out: streets of 8 m every 64 m lose an eighth of their length.
    assert float(site.street_m_per_m2[0]) == pytest.approx(2 / 64 * 7 / 8, rel=0.05)
    guessed = 0.25 * float(site.street_m_per_m2[0]) ** 2 * float(site.area_m2[0])
    assert guessed == pytest.approx(16, rel=0.25)


def test_a_denser_grid_of_streets_lowers_travel(hard, place):
    rates = travel_rates(place("fi"), tuple(HOMES.items()), ELASTICITIES[0])
    coarse, fine = (
        float(change_by_form(site_of(hard(crossing(every))), rates)[0, 0]) for every in (64, 32)
    )
    assert fine < coarse


def test_street_trees_hide_no_street(hard):
    bare = crossing(32)
    planted = bare.clone()
    planted[:, ::6, ::6] = TREE
    first, second = (float(site_of(hard(x)).street_m_per_m2[0]) for x in (bare, planted))
    assert second == pytest.approx(first, rel=0.1)


def test_form_that_claims_too_much_is_said(hard, soft):
    assert claim_notes(torch.tensor([0.05, -0.09])) == []
    (note,) = claim_notes(torch.tensor([0.05, -0.2, 0.11]))
    assert note.startswith("form changes car travel by more than 10% in 2 of 3 layouts")
    tall = hard(torch.full((1, 12, 12), BUILDING), 90.0)
    ledger = evaluate(
        tall, region="us", use_mix={"residential": 0.55, "office": 0.25, "retail": 0.2}
    )
    change = float(ledger.references["travel_change_by_form_share"][0])
    assert any("car travel" in note for note in ledger.notes) == (abs(change) > 0.1)


def test_the_second_set_stands_beside_and_is_not_added(soft):
    ledger = evaluate(soft(), region="fi")
    beside = ledger.references["travel_by_second_elasticities_kgco2e_per_year"]
    assert beside.shape == (2,) and bool((beside > 0).all())
    emitted = sum(e.amount for e in ledger.entries if e.kind == "emission")
    assert torch.allclose(ledger.emission_kgco2e_per_year, emitted)


def park_and_homes(with_park):
    labels = torch.full((1, 128, 128), ROAD)
    labels[:, 8:20, 8:60] = BUILDING
    if with_park:
        labels[:, 60:110, 20:80] = GRASS
    return labels


def saved(layout, context, *, park_access=True):
    ledger = evaluate(
        layout, region="cn-sh", use_mix=HOMES, context=context,
        measures=Measures(park_access=park_access),
    )  # fmt: skip
    return next((float(e.amount) for e in ledger.entries if e.name == "travel.avoided"), None)


def test_a_new_park_saves_car_trips_of_those_who_had_none(hard):
    with_park, without = hard(park_and_homes(True)), hard(park_and_homes(False))
    found = saved(with_park, without)
    residents = 12 * 52 * 4 * 6 / 37.57
    per_km = 0.7 * 0.19 + 0.3 * 0.18 * 0.5737
    assert found == pytest.approx(residents * 40 * 0.1 * 4 * per_km, rel=0.01)
    assert saved(with_park, with_park) == pytest.approx(0, abs=1e-3 * found)
    assert saved(without, without) == pytest.approx(0, abs=1e-3 * found)
    assert saved(with_park, without, park_access=False) is None


def test_trips_saved_are_not_assessed_without_todays_green(hard):
    ledger = evaluate(
        hard(park_and_homes(True)), region="cn-sh", measures=Measures(park_access=True)
    )
    assert any(line.startswith("car trips saved by parks") for line in ledger.not_assessed)


def test_gradients_of_trips_saved_hold(soft, place):
    layout, base = soft(3, shape=(1, 4, 4), pixel_m=20.0), soft(4, shape=(1, 4, 4), pixel_m=20.0)
    rates = travel_rates(place("fi"), tuple(HOMES.items()), ELASTICITIES[0])

    def amount(cover):
        made = replace(layout, cover=cover)
        site = make_site(made, context=base, inside=None, usual_height_m=9.0)[0]
        entries, _ = park_access(site, place("fi"), rates)
        return entries[0].amount

    assert torch.autograd.gradcheck(amount, (layout.cover.requires_grad_(),), eps=1e-6, atol=1e-5)
