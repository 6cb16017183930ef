"""Stormwater: what a hectare of paving costs, maps, and what needs a state before."""

import pytest
import torch

from fabricgen.carbon.site import make_site
from fabricgen.carbon.storm import storm_rates, stormwater
from fabricgen.surfaces import BUILDING, GRASS, PAVED, SURFACES, TREE, WATER


def entries(layout, place, base=None, inside=None):
    site, _ = make_site(layout, context=base, inside=inside, usual_height_m=9.0)
    found, missing = stormwater(site, place)
    return {entry.name: entry for entry in found}, missing


def test_a_hectare_of_grass_for_paving_saves_as_expected(hard, place):
    paving, grass = (
        hard(torch.full((1, 50, 50), surface), dtype=torch.float64) for surface in (PAVED, GRASS)
    )
    where = place("cn-sh")
    rates = storm_rates(where)
    less_m3 = 1e4 * float(rates.runoff_m[PAVED, 0] - rates.runoff_m[GRASS, 0])
    assert 5_000 < less_m3 < 9_000
    found, missing = entries(grass, where, paving)
    assert missing == []
    assert float(found["storm.avoided"].amount) == pytest.approx(less_m3 * float(rates.per_m3[0]))
    # All of it treated costs 0.4 to 1.5 t; three tenths of it are, and a little is pumped.
    assert 0.3 * 400 < float(found["storm.avoided"].amount) < 0.4 * 1500 + 200


def test_runoff_is_the_sum_of_its_surfaces(hard, place):
    labels = torch.randint(0, 8, (2, 9, 7), generator=torch.Generator().manual_seed(1))
    labels[labels == TREE] = WATER  # no crowns, so that the ground is what is seen
    found, _ = entries(hard(labels, dtype=torch.float64), place("fi"))
    rates = storm_rates(place("fi"))
    plain = rates.runoff_m[labels, 0].sum(dim=(1, 2)) * 4.0 * rates.per_m3[0]
    assert torch.allclose(found["storm.energy"].amount, plain)


def test_crowns_over_paving_do_not_stop_the_rain(hard, place):
    paved = torch.full((1, 40, 40), PAVED)
    shaded = paved.clone()
    shaded[:, ::2, ::2] = TREE
    where = place("cn-sh")
    bare, under = (
        float(entries(hard(labels, dtype=torch.float64), where)[0]["storm.energy"].amount)
        for labels in (paved, shaded)
    )
    assert 0.9 * bare < under < bare


def test_roofs_run_off_more_than_lawn_and_woodland_least(place):
    runoff = storm_rates(place("cn-sh")).runoff_m[:, 0]
    assert float(runoff[BUILDING]) > 10 * float(runoff[GRASS])
    assert runoff.argmin() == SURFACES.index("shrub")
    assert float(runoff.max()) <= 125 * 9.5e-3 + 1e-9


def test_maps_sum_to_amounts_and_draws_are_batched(soft, place):
    inside = torch.zeros(2, 12, 10, dtype=torch.bool)
    inside[:, 3:, :8] = True
    found, _ = entries(soft(1), place("uk", draws=5), soft(2), inside)
    for entry in found.values():
        assert entry.amounts.shape == (2, 6) and bool(torch.isfinite(entry.amounts).all())
        assert torch.allclose(entry.per_pixel.sum(dim=(1, 2)), entry.amount, rtol=1e-9)
        assert float(entry.per_pixel[~inside].abs().max()) == 0


def test_without_todays_ground_only_runoff_is_counted(soft, place):
    found, missing = entries(soft(1), place("cn-sh"))
    assert list(found) == ["storm.energy"] and "today's ground is not known" in missing[0]


def test_a_country_with_its_own_treatment_factor_uses_it(place):
    assert "water.treatment.uk" in storm_rates(place("uk")).factors
    assert "water.wwtp_kwh.cn_south" in storm_rates(place("cn-sh")).factors
    assert "water.wwtp_kwh.default" in storm_rates(place("us")).factors
