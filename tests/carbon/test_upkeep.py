from dataclasses import replace

import pytest
import torch

from fabricgen.carbon import evaluate
from fabricgen.carbon.measures import Measures
from fabricgen.carbon.place import Reader
from fabricgen.carbon.site import make_site
from fabricgen.carbon.upkeep import FLOWS, lawn_of, lawn_rates, upkeep, water_rate
from fabricgen.errors import SettingsError
from fabricgen.surfaces import BUILDING, GRASS, TREE
from fabricgen.units import CO2_PER_C

HOMES = {"residential": 1.0}


def amounts(entries):
    return {entry.name: float(entry.amount[0]) for entry in entries}


def grass_of(place, way):
    rates, _ = lawn_rates(place, way)
    return {name: float(rate[0]) for name, rate in rates.items()}


def counted(layout, place, **measures):
    site, _ = make_site(layout, context=None, inside=None, usual_height_m=9.0)
    return amounts(upkeep(replace(site, measures=Measures(**measures)), place, HOMES)[0])


def test_upkeep_of_the_reference_tile_is_that_of_the_specification(reference_tile):
    ledger = evaluate(reference_tile, region="cn-sh", use_mix=HOMES)
    found = {name: value for name, value in amounts(ledger.entries).items() if name in FLOWS}
    assert set(found) == set(FLOWS)
    total = sum(found.values())
    assert 0.8e3 < total < 8e3
    assert total == pytest.approx(2.0e3, rel=0.1)
    by_hand = 0.2 * 0.03 + 0.05 * 0.09 + 0.13 * (0.06 + 0.03 * 1.35 + 0.03 + 0.04) + 0.01 * 0.05
    watering = 0.2 * 0.08 * 0.168 * 3 / 60
    assert total == pytest.approx(256**2 * (by_hand + watering), rel=2e-3)


def test_intensive_lawn_emits_more_than_its_soil_takes_up(place):
    upkept = sum(grass_of(place("cn-sh"), "intensive").values())
    gain = CO2_PER_C * float(Reader(place("cn-sh"))("soil.turf_seq")[0])
    assert 0.3 < upkept < 0.6
    assert gain <= 0.184 < upkept


def test_a_meadow_takes_up_more_than_its_upkeep(place):
    upkept = sum(grass_of(place("cn-sh"), "meadow").values())
    gain = CO2_PER_C * float(Reader(place("cn-sh"))("soil.meadow_seq")[0])
    assert 0.01 <= upkept <= 0.03 < gain


def test_nitrous_oxide_of_180_kg_nitrogen_a_hectare(place):
    found = grass_of(place("cn-sh"), "intensive")
    assert found["green.n2o.direct"] == pytest.approx(0.08, abs=0.005)
    both = found["green.n2o.direct"] + found["green.n2o.indirect"]
    assert both == pytest.approx(0.10, abs=0.006)
    assert both == pytest.approx(0.018 * (0.01 + 0.0035) * 44 / 28 * 273)


def test_intensive_lawn_is_built_up_from_passes_nitrogen_and_water(place):
    found = grass_of(place("cn-sh"), "intensive")
    assert found["green.fuel"] == pytest.approx(28 * 0.0009 * 2.6)
    assert found["green.fertiliser_mfr"] == pytest.approx(0.018 * 6)
    assert found["green.water"] == pytest.approx(0.4 * 0.168)


def test_water_follows_the_grid_where_a_country_has_no_factor_of_its_own(place):
    for name, expected in (("uk", 0.1913), ("cn-sh", 0.168)):
        assert float(water_rate(Reader(place(name)))[0]) == pytest.approx(expected)
    from fabricgen.carbon.grid import grid_rate

    read = Reader(place("no"))
    assert float(water_rate(read)[0]) == pytest.approx(0.6 * float(grid_rate(read)[0]))


def test_lawn_ways_mix_by_their_shares(hard, place):
    layout = hard(torch.full((1, 10, 10), GRASS))
    alone = {
        way: sum(counted(layout, place(), **shares).values())
        for way, shares in (
            ("intensive", {"intensive_lawn_share": 1.0}), ("standard", {}),
            ("meadow", {"meadow_share": 1.0}),
        )
    }  # fmt: skip
    assert alone["meadow"] < alone["standard"] < alone["intensive"]
    mixed = counted(layout, place(), intensive_lawn_share=0.25, meadow_share=0.75)
    expected = 0.25 * alone["intensive"] + 0.75 * alone["meadow"]
    assert sum(mixed.values()) == pytest.approx(expected)


def test_what_belongs_to_hotels_is_kept_intensively():
    assert lawn_of(HOMES, Measures()) == {"standard": 1.0}
    hotels = {"office": 0.6, "hotel": 0.4}
    assert lawn_of(hotels, Measures()) == {"intensive": 0.4, "standard": 0.6}
    found = lawn_of(hotels, Measures(intensive_lawn_share=0.1, meadow_share=0.4))
    assert found == pytest.approx({"intensive": 0.3, "standard": 0.3, "meadow": 0.4})


def test_young_trees_are_watered_in_their_first_years_only(hard):
    layout = hard(torch.full((1, 8, 8), TREE))
    ledger = evaluate(layout, region="cn-sh")
    water = [float(ledger.flows(year)["green.water"]) for year in (0, 1, 3, 4, 60)]
    yearly = 64 * 4 * 0.08 * 0.168
    assert water == pytest.approx([0, yearly, yearly, 0, 0], rel=1e-5)
    kept = evaluate(layout, region="cn-sh", context=layout)
    assert float(kept.flows(1)["green.water"]) == 0


def test_buildings_need_no_gardener(hard, place):
    assert sum(counted(hard(torch.full((1, 8, 8), BUILDING)), place()).values()) == 0


def test_a_tile_of_trees_alone_has_emission_and_sink(hard):
    ledger = evaluate(hard(torch.full((1, 16, 16), TREE)), region="fi")
    assert amounts(ledger.entries)["green.fuel"] > 0
    assert float(ledger.emission_kgco2e_per_year) > 0 and float(ledger.sink_kgco2e_per_year) > 0


def test_lawns_out_of_range_are_refused():
    with pytest.raises(SettingsError, match=r"meadow_share 1\.5; give 0 to 1"):
        Measures(meadow_share=1.5)
    with pytest.raises(SettingsError, match=r"0\.7 intensive lawn, 0\.5 meadow"):
        Measures(intensive_lawn_share=0.7, meadow_share=0.5)
