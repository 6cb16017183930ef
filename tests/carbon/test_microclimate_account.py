"""Avoided cooling: the order of magnitude, what is held fixed, maps, gradients and modes."""

from dataclasses import replace

import pytest
import torch

from fabricgen.carbon.evaluator import evaluate
from fabricgen.carbon.factors import factor
from fabricgen.carbon.measures import Measures
from fabricgen.carbon.microclimate_account import (
    beyond,
    cooling_rates,
    floor_density,
    microclimate,
    park_gain,
    warmer_k,
    with_local_air,
)
from fabricgen.carbon.operation import operation, operation_rates
from fabricgen.carbon.site import make_site
from fabricgen.errors import SettingsError
from fabricgen.surfaces import BUILDING, PAVED, ROAD, TREE

MIX = {"residential": 1.0}


@pytest.fixture
def tile(hard):
    """A 256 m tile of which a share is covered by one surface, in stripes; the rest is road."""

    def make(share=0.0, surface=TREE, built=0.0):
        labels = torch.full((1, 128, 128), ROAD)
        labels[:, :, : round(built * 128)] = BUILDING
        for row in range(round(share * 128)):
            labels[:, round(row / share), round(built * 128) :] = surface
        return hard(labels, dtype=torch.float64)

    return make


def site_of(layout, base=None, inside=None, **measures):
    site, _ = make_site(layout, context=base, inside=inside, usual_height_m=9.0)
    return replace(site, measures=Measures(**measures))


def amounts(site, place, mix=MIX):
    return {entry.name: entry for entry in microclimate(site, place, dict(mix))[0]}


def test_a_fifth_of_a_tile_under_trees_saves_what_the_equation_says(tile, place):
    where = place("cn-sh")
    rates = cooling_rates(where, tuple(MIX.items()))
    found = amounts(site_of(tile(0.2), tile()), where)["cool.avoided"]
    crowns = 26 * 128 * 4.0  # m2
    by_hand = crowns * (0.82 - 0.04) * 3.5 * 1.2 * float(rates.summer[0])
    # Large green adds a little on top: what lies beyond the tile stays as it is today.
    assert float(found.amount) == pytest.approx(by_hand, rel=0.03)
    assert 5_000 < float(found.amount) < 60_000


def test_the_summer_rate_is_built_from_its_factors(place):
    rates = cooling_rates(place("cn-sh"), tuple(MIX.items()))
    electricity = [value for name, value in _electricity(place("cn-sh"))]
    by_hand = 0.03 * 0.38 * sum(electricity)
    assert float(rates.summer[0]) == pytest.approx(by_hand, rel=1e-6)
    assert factor("ucm.sens.el_per_k").value == 0.03


def _electricity(where):
    rates = operation_rates(where, tuple(MIX.items()))
    for kind in (rates.base, rates.heat, rates.cool):
        for (sector, carrier), kwh in kind.items():
            if carrier == "electricity":
                yield sector, float(kwh[0] * rates.emission[carrier][0])


def test_capacity_of_each_surface_is_that_of_the_table(place):
    found = cooling_rates(place("cn-sh"), tuple(MIX.items())).capacity[:, 0]
    expected = [0.05, 0.04, 0.06, 0.146, 0.82, 0.314, 0.21, 0.09]
    assert torch.allclose(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-9)


def test_winter_costs_where_there_is_winter_and_never_more_than_all_heat(tile, place):
    site = site_of(tile(0.2), tile())
    assert float(amounts(site, place("fi"))["cool.winter_penalty"].amount) < -100
    assert abs(float(amounts(site, place("sg"))["cool.winter_penalty"].amount)) < 1.0
    for name in ("fi", "sg", "us", "au"):
        where = place(name)
        rates = cooling_rates(where, tuple(MIX.items()))
        heat = warmth(where)
        assert 0 <= float(rates.winter[0]) <= 0.15 * heat + 1e-9


def warmth(where):
    rates = operation_rates(where, tuple(MIX.items()))
    return sum(float(kwh[0] * rates.emission[c][0]) for (_, c), kwh in rates.heat.items())


def test_nothing_changes_nothing_is_saved(tile, place):
    found = amounts(site_of(tile(0.2), tile(0.2)), place("cn-sh"))
    assert all(abs(float(entry.amount)) < 1e-9 for entry in found.values())


def test_more_crowns_save_more_and_paving_them_over_costs(tile, place):
    where = place("cn-sh")
    saved = [
        float(amounts(site_of(tile(share), tile(0.1)), where)["cool.avoided"].amount)
        for share in (0.0, 0.1, 0.2, 0.4)
    ]
    assert saved == sorted(saved) and saved[0] < 0


def test_without_todays_ground_nothing_is_claimed(tile, place):
    found, missing = microclimate(site_of(tile(0.2)), place("cn-sh"), MIX)
    assert found == [] and "today's ground is not known" in missing[0]


def test_maps_sum_to_amounts(soft, place):
    inside = torch.zeros(2, 12, 10, dtype=torch.bool)
    inside[:, 2:10, 3:9] = True
    site = site_of(soft(1), soft(2), inside)
    for entry in amounts(site, place("fi", draws=3)).values():
        assert entry.per_pixel[~inside].abs().max() == 0
        assert torch.allclose(entry.per_pixel.sum(dim=(1, 2)), entry.amount, rtol=1e-9)
        assert entry.amounts.shape == (2, 4)


def test_one_state_before_serves_a_batch(soft, place):
    both = site_of(soft(1), soft(2, shape=(1, 12, 10)))
    twice = soft(2, shape=(1, 12, 10))
    repeated = replace(twice, **{
        name: getattr(twice, name).expand(2, *getattr(twice, name).shape[1:])
        for name in ("cover", "height_m", "allowed", "height_known")
    })  # fmt: skip
    alike = site_of(soft(1), repeated)
    for name, entry in amounts(both, place("fi")).items():
        assert torch.allclose(entry.amount, amounts(alike, place("fi"))[name].amount, rtol=1e-9)


def test_the_ring_gives_the_neighborhood_its_floor_area(tile, place):
    rates = cooling_rates(place("cn-sh"), tuple(MIX.items()))
    inside = torch.zeros(1, 128, 128, dtype=torch.bool)
    inside[:, 32:96, 32:96] = True
    built = tile(built=0.25)
    ring = float(floor_density(site_of(built, tile(), inside), rates)[0, 0])
    assert ring == pytest.approx(32 * 128 * 6 / (128 * 128 - 64 * 64), rel=1e-6)
    alone = float(floor_density(site_of(built, tile()), rates)[0, 0])
    assert alone == factor("ucm.far_background").value


def test_what_lies_beyond_is_fixed_so_that_a_tile_does_not_become_a_park(tile, place):
    rates = cooling_rates(place("cn-sh"), tuple(MIX.items()))
    site = site_of(tile(0.5), tile())
    gain = park_gain(site.design, site.design.seen, beyond(site.base, rates), rates)
    assert float(gain.max()) < 0.03
    like_itself = park_gain(site.design, site.design.seen, beyond(site.design, rates), rates)
    assert float(like_itself.max()) > 0.3


def test_green_of_one_tile_hardly_cools_its_own_air(tile, place):
    where = place("cn-sh")
    built = [site_of(tile(share, built=0.3), microclimate="operation") for share in (0.1, 0.2)]
    warm = [float(warmer_k(site, where, MIX)[0]) for site in built]
    assert 0 < warm[0] - warm[1] < 0.03


def test_operation_follows_local_air_and_nothing_is_avoided_then(tile, place):
    where = place("cn-sh")
    plain, local = (
        site_of(tile(0.4, built=0.3), tile(built=0.3), microclimate=mode)
        for mode in ("avoided", "operation")
    )
    assert with_local_air(plain, where, MIX) is plain
    feels = with_local_air(local, where, MIX)
    assert microclimate(feels, where, MIX) == ([], [])
    assert float(feels.exposure.warmer_k) != 0
    energy = [
        sum(float(e.amount) for e in operation(site, where, MIX)[0]) for site in (plain, feels)
    ]
    assert energy[0] != energy[1] and energy[1] == pytest.approx(energy[0], rel=0.01)


def test_switched_off_it_says_so(tile, place):
    site = site_of(tile(0.2), tile(), microclimate="off")
    found, missing = microclimate(site, place("cn-sh"), MIX)
    assert found == [] and missing == ["cooling by green: switched off"]
    with pytest.raises(SettingsError, match="microclimate 'both'"):
        Measures(microclimate="both")


def test_unknown_ring_has_no_weight(tile, place, changed):
    """Half of the ring unknown in both states gives what its known half says."""
    inside = torch.zeros(1, 128, 128, dtype=torch.bool)
    inside[:, 40:88, 40:88] = True
    design, base = tile(0.3), tile(0.1, surface=PAVED)
    hidden = torch.zeros(1, 128, 128, dtype=torch.bool)
    hidden[:, :30] = True
    blank = [
        changed(
            layout,
            cover=torch.where(hidden[:, None], 0.0, layout.cover),
            allowed=torch.where(hidden, 0, layout.allowed).to(torch.uint8),
            height_known=layout.height_known & ~hidden,
        )
        for layout in (design, base)
    ]
    found = [
        float(amounts(site_of(d, b, inside), place("cn-sh"))["cool.avoided"].amount)
        for d, b in ((design, base), blank)
    ]
    assert found[1] == pytest.approx(found[0], rel=0.05)


def test_the_mode_moves_nothing_in_the_net_but_the_energy_of_the_site(soft):
    ledgers = {
        mode: evaluate(
            soft(1), region="cn-sh", context=soft(2), measures=Measures(microclimate=mode)
        )
        for mode in ("avoided", "operation", "off")
    }
    net = {mode: ledger.net_kgco2e_per_year for mode, ledger in ledgers.items()}
    assert torch.equal(net["avoided"], net["off"])
    assert not torch.equal(net["operation"], net["off"])
    names = {mode: {e.name for e in ledger.entries} for mode, ledger in ledgers.items()}
    assert names["avoided"] - names["off"] == {"cool.avoided", "cool.winter_penalty"}
    assert names["operation"] == names["off"]


def test_the_reference_tile_saves_some_tens_of_tonnes(reference_tile, hard):
    sealed = hard(torch.where(reference_tile.cover.argmax(dim=1) == BUILDING, BUILDING, ROAD))
    ledger = evaluate(reference_tile, region="cn-sh", context=sealed)
    saved = next(e for e in ledger.entries if e.name == "cool.avoided")
    assert 5_000 < float(saved.amount) < 60_000
