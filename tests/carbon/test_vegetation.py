import math

import pytest
import torch

from fabricgen.carbon import evaluate
from fabricgen.carbon.cohort import Growth, cohort
from fabricgen.carbon.site import make_site
from fabricgen.carbon.vegetation import inventory, tree_rates
from fabricgen.surfaces import BARE, GRASS, SHRUB, TREE, WATER
from fabricgen.units import CO2_PER_C


def stand(years, *, replace=True, mortality=0.025):
    numbers = (0.06, 1.3, 30, 0.1, 1.25, 7.69, 0.05, mortality, 8)
    growth = Growth(*(torch.tensor([v], dtype=torch.float64) for v in numbers))
    return cohort(growth, years, replace=replace)


def amounts(ledger):
    return {entry.name: float(entry.amount[0]) for entry in ledger.entries}


def whole(surface, size=20):
    return torch.full((1, size, size), surface)


def test_stock_changes_by_growth_less_death_plus_planting():
    course = stand(60)
    change = course.stock[1:] - course.stock[:-1]
    balance = course.growth[1:] - course.dead[1:] + course.births[1:] * course.start_stock
    assert torch.allclose(change, balance, atol=1e-10)


def test_the_cohort_agrees_with_a_count_of_every_planting():
    """A second way: follow each planting apart, year by year."""
    years, course = 40, stand(40)

    def crown(age):
        reach = (1 - math.exp(-0.06 * age)) / (1 - math.exp(-0.06 * 30))
        return min(1, 0.1 + 0.9 * reach**1.3)

    plantings, stock = [(0, 1.0)], []
    for year in range(years + 1):
        died = 0.0
        if year > 0:
            aged = []
            for start, alive in plantings:
                rate = 0.05 if year - start <= 5 else 0.025
                died += alive * rate
                aged.append((start, alive * (1 - rate)))
            plantings = [*aged, (year, died)]
        stock.append(sum(a * CO2_PER_C * 7.69 * crown(year - s) ** 1.25 for s, a in plantings))
    assert torch.allclose(course.stock[:, 0], torch.tensor(stock, dtype=torch.float64), rtol=1e-9)


def test_dead_wood_gives_back_all_its_carbon_in_the_end():
    course = stand(400, replace=False)
    assert float(course.release.sum()) == pytest.approx(float(course.dead.sum()), rel=1e-3)


def test_without_replacement_stock_peaks_near_year_25_to_30_and_falls():
    course = stand(60, replace=False)
    assert 25 <= int(course.stock.argmax()) <= 31
    assert float(course.stock[60]) < float(course.stock.max())


def test_a_managed_canopy_levels_off_at_three_quarters_of_the_design():
    assert float(stand(90).canopy[-1]) == pytest.approx(0.756, abs=0.002)


def test_more_mortality_leaves_less_stock():
    assert float(stand(60, mortality=0.05).stock[-1]) < float(stand(60).stock[-1])


def test_inventory_of_a_fifth_of_a_tile_is_that_of_the_specification(place):
    canopy = torch.tensor([0.2 * 65536], dtype=torch.float64)
    found = inventory(canopy, place("cn-sh"))
    assert float(found["sink"]) / 1000 == pytest.approx(13.5, abs=0.1)
    net = float(found["sink"] - found["mortality"]) / 1000
    assert 8 < net < 13.5
    american = float(inventory(canopy, place("us"))["stock"]) / 1000
    assert american == pytest.approx(370, abs=1)


def test_felling_a_thousand_square_meters_is_a_pulse_of_28_t_scaled_by_growth(place):
    growth = 0.23 / 0.28  # of the preset's climate over that of the row
    assert float(tree_rates(place("us")).felled) == pytest.approx(28.2, abs=0.1)
    assert float(tree_rates(place("de")).felled) == pytest.approx(28.2 * growth, abs=0.1)


def test_a_cold_place_grows_less(place):
    assert float(tree_rates(place("fi")).new_growth) < float(tree_rates(place("de")).new_growth)


def test_kept_felled_and_new_are_exact_on_hard_maps(hard):
    before, after = whole(GRASS), whole(GRASS)
    before[0, :10], after[0, 5:15] = TREE, TREE
    kept = new = lost = 5 * 20 * 4.0  # rows, columns, m² a pixel
    site, _ = make_site(hard(after), context=hard(before), inside=None, usual_height_m=9.0)
    fate = site.fates[TREE]
    assert [float(f.total) for f in (fate.new, fate.kept, fate.lost)] == [new, kept, lost]


def test_felling_is_assessed_only_where_the_green_before_is_known(hard, changed):
    before = hard(whole(TREE))
    open_ground = changed(
        before,
        cover=torch.zeros_like(before.cover),
        allowed=torch.full_like(before.allowed, 252),
        height_known=torch.zeros_like(before.height_known),
    )
    known = evaluate(hard(whole(GRASS)), region="fi", context=before)
    unknown = evaluate(hard(whole(GRASS)), region="fi", context=open_ground)
    assert amounts(known)["veg.felling"] > 0
    assert "veg.felling" not in amounts(unknown)
    assert any("felling" in line for line in unknown.not_assessed)


def test_what_stays_is_never_felled(hard):
    trees = hard(whole(TREE))
    assert amounts(evaluate(trees, region="fi", context=trees))["veg.felling"] == 0


def test_the_pulse_of_felling_falls_in_year_0(hard):
    ledger = evaluate(hard(whole(BARE)), region="us", context=hard(whole(TREE)))
    pulse = float(ledger.flows(0)["veg.felling"])
    assert pulse == pytest.approx(60 * amounts(ledger)["veg.felling"], rel=1e-5)
    assert float(ledger.flows(1)["veg.felling"]) == 0


def test_a_wood_has_both_sink_and_emission(hard):
    ledger = evaluate(hard(whole(TREE)), region="fi")
    assert float(ledger.sink_kgco2e_per_year) > float(ledger.emission_kgco2e_per_year) > 0


def test_yearly_flows_average_to_the_ledger(hard):
    ledger = evaluate(hard(whole(TREE)), region="fi", horizon_years=40)
    yearly = sum(float(ledger.flows(year)["veg.tree.growth"]) for year in range(41)) / 40
    assert yearly == pytest.approx(amounts(ledger)["veg.tree.growth"], rel=1e-5)


def test_shrubs_fill_their_stock_and_grass_gains_nothing_above_ground(hard):
    shrubs = amounts(evaluate(hard(whole(SHRUB)), region="fi"))
    assert shrubs["veg.shrub.growth"] * 60 == pytest.approx(1600 * 2.0 * CO2_PER_C, rel=1e-3)
    grass = evaluate(hard(whole(GRASS)), region="fi")
    assert float(grass.sink_kgco2e_per_year) == 0


def test_only_new_water_emits_methane(hard):
    pond = amounts(evaluate(hard(whole(WATER)), region="fi", context=hard(whole(GRASS))))
    sea = amounts(evaluate(hard(whole(WATER)), region="fi", context=hard(whole(WATER))))
    assert pond["veg.water_ch4"] == pytest.approx(1600 * 27 * 0.0183, rel=1e-4)
    assert sea["veg.water_ch4"] == 0


def test_more_canopy_is_more_sink(hard):
    sinks = []
    for rows in (0, 5, 10, 20):
        labels = whole(GRASS)
        labels[0, :rows] = TREE
        sinks.append(float(evaluate(hard(labels), region="fi").sink_kgco2e_per_year))
    assert sinks == sorted(sinks) and sinks[0] < sinks[-1]
