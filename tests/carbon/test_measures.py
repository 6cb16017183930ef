from dataclasses import replace

import pytest
import torch

from fabricgen.carbon import evaluate
from fabricgen.carbon.evaluator import ACCOUNTS
from fabricgen.carbon.factors import factor
from fabricgen.carbon.measures import Exposure, Measures
from fabricgen.carbon.operation import operation
from fabricgen.carbon.site import make_site
from fabricgen.errors import SettingsError
from fabricgen.surfaces import BUILDING, GRASS, TREE

HOMES = {"residential": 1.0}
EVERYTHING = Measures(
    operation="physical", embodied="elements", basement_share=0.2, refurbished_share=0.5,
    pv_share=0.4, green_roof_share=0.3, refrigerants=True,
)  # fmt: skip


def block(rows=6, cols=30, grid=60):
    labels = torch.full((1, grid, grid), GRASS)
    labels[0, 10 : 10 + rows, 10 : 10 + cols] = BUILDING
    return labels


def amounts(ledger):
    return {entry.name: float(entry.amount[0]) for entry in ledger.entries}


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"operation": "magic"}, "measures: operation 'magic'; use one of hybrid, archetype, "),
        ({"embodied": "parts"}, "measures: embodied 'parts'; use one of total, elements"),
        ({"pv_share": 1.2}, "measures: pv_share 1.2; give 0 to 1"),
        ({"basement_share": float("nan")}, "measures: basement_share nan; give 0 to 3"),
    ],
)
def test_a_wrong_choice_is_named(wrong, text):
    with pytest.raises(SettingsError) as caught:
        Measures(**wrong)
    assert str(caught.value).startswith(text)


def test_the_notes_tell_what_is_left_out_and_what_is_not(hard):
    plain = evaluate(hard(block()), region="fi")
    assert any(
        line == "left out: basements, photovoltaics, green roofs, refrigerants"
        for line in plain.notes
    )
    full = evaluate(hard(block()), region="fi", measures=EVERYTHING)
    assert not any(line.startswith("left out") for line in full.notes)
    assert "embodied carbon of buildings by elements" in full.notes


def test_archetype_is_floor_area_times_intensity_whatever_the_form(hard):
    """Appendix A: 40 kWh electricity and 26.4 kWh gas per m2 in Shanghai."""
    for rows, cols in ((6, 30), (30, 30)):
        ledger = evaluate(
            hard(block(rows, cols)), region="cn-sh", use_mix=HOMES,
            measures=Measures(operation="archetype"),
        )  # fmt: skip
        floor_m2 = float(ledger.gross_floor_area_m2)
        found = amounts(ledger)
        assert found["bldg.electricity.residential"] == pytest.approx(40 * 0.5737 * floor_m2)
        assert found["bldg.gas.residential"] == pytest.approx(26.4 * 0.1999 * floor_m2)


def test_archetype_of_the_reference_tile_is_that_of_the_specification(reference_tile):
    ledger = evaluate(
        reference_tile, region="cn-sh", use_mix=HOMES, measures=Measures(operation="archetype")
    )
    found = amounts(ledger)
    energy = found["bldg.electricity.residential"] + found["bldg.gas.residential"]
    assert energy == pytest.approx(3330e3, rel=0.01)


def test_physical_heating_is_the_balance_over_the_efficiency(hard, place):
    """By hand: 0.024 HDD (HT + HV) zeta / eta on the carriers that statistics know."""
    site, _ = make_site(
        hard(block(), dtype=torch.float64), context=None, inside=None, usual_height_m=9.0
    )
    north = place("cn-bj")
    statistics, balance = (
        {entry.name: float(entry.amount) for entry in operation(
            replace(site, measures=Measures(operation=how)), north, HOMES)[0]}
        for how in ("archetype", "physical")
    )  # fmt: skip
    u = {what: factor(f"u.cn.new.cnz-c.{what}").value for what in ("wall", "window", "roof")}
    ground = factor("u.de.tabula.mfh.l.floor").value
    wall_m2, roof_m2 = float(site.wall.total), float(site.footprint.total)
    ht = (
        wall_m2 * (0.7 * u["wall"] + 0.3 * u["window"])
        + roof_m2 * (u["roof"] + 0.5 * ground)
        + 0.1 * (wall_m2 + 2 * roof_m2)
    )
    hv = 0.34 * 0.5 * 0.85 * float(site.volume.total)
    need = 0.024 * factor("clim.cnz-c.hdd18").value * (ht + hv)
    delivered = need * factor("sys.zeta_h.cnz-c").value / factor("sys.eff.district_network").value
    kg_per_kwh = factor("heat.cn.default").value / 277.78
    assert balance["bldg.heat.residential"] == pytest.approx(delivered * kg_per_kwh, rel=1e-3)
    assert statistics["bldg.heat.residential"] > 0


def test_the_physical_form_has_no_floor_below_which_heating_cannot_fall(hard):
    homes = {}
    for how in ("hybrid", "physical"):
        big, small = (
            amounts(evaluate(hard(block(rows, 40)), region="fi", use_mix=HOMES,
                             measures=Measures(operation=how)))["bldg.heat.residential"] / rows
            for rows in (40, 6)
        )  # fmt: skip
        homes[how] = big / small
    assert homes["physical"] < homes["hybrid"] < 1


def test_old_walls_of_what_stays_lose_more(hard):
    layout = hard(block())
    new, kept = (
        amounts(evaluate(layout, region="fi", use_mix=HOMES, context=context,
                         measures=Measures(operation="physical")))["bldg.heat.residential"]
        for context in (None, layout)
    )  # fmt: skip
    assert kept > 1.5 * new


def test_shade_in_summer_lowers_cooling_and_in_winter_raises_heating(hard, place):
    site, _ = make_site(
        hard(block(), dtype=torch.float64), context=None, inside=None, usual_height_m=9.0
    )

    def counted(exposure):
        entries, missing = operation(replace(site, exposure=exposure), place("cn-sh"), HOMES)
        return sum(float(entry.amount) for entry in entries), missing

    open_site, missing = counted(None)
    assert missing == ["shade on walls (energy taken as unshaded)"]
    one = torch.ones(1, dtype=torch.float64)
    same, none_missing = counted(Exposure(one, one, 0 * one))
    assert same == pytest.approx(open_site, rel=1e-9) and none_missing == []
    assert counted(Exposure(summer_sun_share=0.5 * one))[0] < open_site
    assert counted(Exposure(winter_sun_share=0.5 * one))[0] > open_site


def test_a_warmer_place_heats_less_and_cools_more(hard, place):
    site, _ = make_site(
        hard(block(), dtype=torch.float64), context=None, inside=None, usual_height_m=9.0
    )

    def counted(name, flow, warmer):
        exposure = Exposure(warmer_k=torch.tensor([warmer], dtype=torch.float64))
        entries, _ = operation(replace(site, exposure=exposure), place(name), HOMES)
        return sum(float(e.amount) for e in entries if e.name == flow)

    assert counted("fi", "bldg.heat.residential", 1.0) < counted("fi", "bldg.heat.residential", 0.0)
    electricity = "bldg.electricity.residential"
    assert counted("sg", electricity, 1.0) > counted("sg", electricity, 0.0)


def test_power_of_roofs_is_used_or_exported_and_never_netted(hard):
    layout = hard(block())
    without = amounts(evaluate(layout, region="cn-sh", use_mix=HOMES))
    measures = Measures(pv_share=0.5)
    ledger = evaluate(layout, region="cn-sh", use_mix=HOMES, measures=measures)
    found = amounts(ledger)
    roof_m2 = 6 * 30 * 4
    yields = 0.5 * roof_m2 * 0.2 * 1050 * 0.5737
    bought = "bldg.electricity.residential"
    used = without[bought] - found[bought]
    assert used + found["pv.exported"] == pytest.approx(yields, rel=1e-5)
    assert used <= 0.35 * without[bought] * (1 + 1e-6)
    assert float(ledger.avoided_kgco2e_per_year) >= found["pv.exported"] * (1 - 1e-6)
    modules = found["bldg.embodied.product"] - without["bldg.embodied.product"]
    assert modules == pytest.approx(0.5 * roof_m2 * 242 / 50, rel=1e-3)


def test_more_modules_than_the_buildings_can_use_are_exported(hard):
    layout = hard(block(30, 30), 3.0)
    found = amounts(
        evaluate(layout, region="cn-sh", use_mix=HOMES, measures=Measures(pv_share=1.0))
    )
    bought = amounts(evaluate(layout, region="cn-sh", use_mix=HOMES))[
        "bldg.electricity.residential"
    ]
    used = bought - found["bldg.electricity.residential"]
    assert used == pytest.approx(0.35 * bought, rel=1e-3)
    assert found["pv.exported"] > used


def test_green_roofs_hold_carbon_and_cost_their_build_up(hard):
    layout = hard(block())
    plain = evaluate(layout, region="cn-sh")
    green = evaluate(layout, region="cn-sh", measures=Measures(green_roof_share=1.0))
    roof_m2 = 6 * 30 * 4
    held = amounts(green)["stock.grass"] - amounts(plain)["stock.grass"]
    assert held == pytest.approx(roof_m2 * 0.375 * 44 / 12, rel=1e-4)
    planted = amounts(green)["green.planting"] - amounts(plain)["green.planting"]
    assert planted == pytest.approx(roof_m2 * 30 / 50, rel=1e-3)
    assert float(green.sink_kgco2e_per_year) == float(plain.sink_kgco2e_per_year)


def test_refrigerants_leak_per_floor_area(hard):
    ledger = evaluate(hard(block()), region="cn-sh", measures=Measures(refrigerants=True))
    assert amounts(ledger)["bldg.refrigerant"] == pytest.approx(
        2 * float(ledger.gross_floor_area_m2), rel=1e-5
    )


def test_trees_in_the_dark_grow_less(hard, place):
    site, _ = make_site(
        hard(torch.full((1, 10, 10), TREE), dtype=torch.float64),
        context=None, inside=None, usual_height_m=9.0,
    )  # fmt: skip
    vegetation = ACCOUNTS["vegetation"]

    def growth(sky):
        entries, _ = vegetation(replace(site, sky_view=sky), place("fi"), HOMES)
        return {entry.name: entry for entry in entries}

    ones = torch.ones(1, 10, 10, dtype=torch.float64)
    usual, open_sky, half = growth(None), growth(ones), growth(0.4 * ones)
    name = "veg.tree.growth"
    assert float(open_sky[name].amount) == pytest.approx(float(usual[name].amount))
    assert float(half[name].amount) == pytest.approx(0.7 * float(usual[name].amount))
    assert float(half[name].per_pixel.sum()) == pytest.approx(float(half[name].amount))


@pytest.mark.parametrize("how", ["hybrid", "archetype", "physical"])
def test_maps_sum_to_amounts_with_every_measure_on(how, soft):
    measures = replace(EVERYTHING, operation=how)
    ledger = evaluate(soft(1), region="cn-sh", context=soft(2), measures=measures)
    for entry in ledger.entries:
        whole, mapped = entry.amount, entry.per_pixel.sum(dim=(1, 2))
        assert torch.allclose(mapped, whole, rtol=1e-9, atol=1e-6), entry.name


def test_draws_come_with_every_measure_on(soft):
    ledger = evaluate(soft(1), region="uk", context=soft(2), measures=EVERYTHING, draws=16)
    low, middle, high = ledger.spread("emission")[0].tolist()
    assert low < middle < high


@pytest.mark.parametrize("name", ["jp", "us-wa", "in", "br", "sg", "nz", "world"])
def test_every_region_can_be_counted_physically(name, hard):
    ledger = evaluate(hard(block()), region=name, measures=EVERYTHING)
    assert bool(torch.isfinite(ledger.net_kgco2e_per_year).all())
