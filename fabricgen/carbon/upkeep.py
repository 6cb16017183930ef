"""Upkeep of green: mowing, pruning, fertilizer, nitrous oxide, watering (carbon-model 10.1).

Grass is kept in one of three ways; intensive lawn can emit more than its soil takes up. The plan's
measures say how much of it is which.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fabricgen.carbon.factors import table
from fabricgen.carbon.grid import grid_rate
from fabricgen.carbon.ledger import Entry, entry, part
from fabricgen.carbon.measures import Measures
from fabricgen.carbon.place import Place, Reader, cached
from fabricgen.carbon.site import Site
from fabricgen.surfaces import BARE, GRASS, SHRUB, TREE, WATER

UPKEPT = (TREE, SHRUB, GRASS, WATER, BARE)
N2O_PER_N = 44 / 28  # mass of N2O that one mass of nitrogen becomes
FLOWS = (
    "green.fuel", "green.n2o.direct", "green.n2o.indirect", "green.fertiliser_mfr", "green.water"
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class UpkeepRates:
    """Yearly upkeep of a place [kgCO2e/m²/yr], each (1 + D,).

    Attributes:
        by_flow: By flow and surface; what is missing is nothing.
        establishing: Watering of newly planted canopy, in each of its first years.
        establishing_years: How many those are.
        factors: Ids.
    """

    by_flow: dict[str, dict[int, Tensor]]
    establishing: Tensor
    establishing_years: Tensor
    factors: tuple[str, ...]


def lawn_of(mix: Mapping[str, float], measures: Measures) -> dict[str, float]:
    """Share of grass by the way it is kept, summing to 1; ways that are not there are left out.

    Args:
        mix: Share of floor area by use.
        measures: What the plan says of its lawns.
    """
    left = 1 - measures.intensive_lawn_share - measures.meadow_share
    of_hotels = left * mix.get("hotel", 0.0)
    found = {
        "intensive": measures.intensive_lawn_share + of_hotels,
        "standard": left - of_hotels,
        "meadow": measures.meadow_share,
    }
    return {way: share for way, share in found.items() if share > 0}


@cached
def lawn_rates(place: Place, way: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Upkeep of grass kept in one way, by flow [kgCO2e/m²/yr], and the ids that it rests on.

    Intensive lawn is built up from passes, nitrogen and water (equations 10.1 to 10.4); for
    standard lawn the table holds sums, whose nitrous oxide is the direct one.
    """
    read = Reader(place)
    if way == "meadow":
        return {"green.fuel": read("upkeep.meadow.mow")}, tuple(read.ids)
    indirect = read("upkeep.n2o.indirect") / read("upkeep.n2o.ef1")
    if way == "standard":
        direct = read("upkeep.lawn_standard.n2o")
        rates = {
            "green.fuel": read("upkeep.lawn_standard.mow"),
            "green.n2o.direct": direct,
            "green.n2o.indirect": direct * indirect,
            "green.fertiliser_mfr": read("upkeep.lawn_standard.fert_mfr"),
            "green.water": read("upkeep.lawn_standard.irrigation"),
        }
        return rates, tuple(read.ids)
    nitrogen = read("upkeep.n_rate.intensive")
    direct = nitrogen * read("upkeep.n2o.ef1") * N2O_PER_N * read("gen.gwp100.n2o.ar6")
    litres = read("upkeep.mow_passes.intensive") * read("upkeep.mow_litre")
    rates = {
        "green.fuel": litres * read("fuel.diesel.litre"),
        "green.n2o.direct": direct,
        "green.n2o.indirect": direct * indirect,
        "green.fertiliser_mfr": nitrogen * read("upkeep.fert_mfr"),
        "green.water": read("upkeep.irrig_depth.intensive") * water_rate(read),
    }
    return rates, tuple(read.ids)


def water_rate(read: Reader) -> Tensor:
    """Supply of water [kgCO2e/m³], (1 + D,): the country's row, else electricity times the grid."""
    own = f"water.supply.{read.place.region.country}"
    return read(own) if own in table() else read("water.supply_kwh") * grid_rate(read)


@cached
def upkeep_rates(place: Place, lawn: tuple[tuple[str, float], ...]) -> UpkeepRates:
    """Rates of a place for shares of grass by the way it is kept."""
    read = Reader(place)
    by_flow: dict[str, dict[int, Tensor]] = {name: {} for name in FLOWS}
    by_flow["green.fuel"] = {
        TREE: read("upkeep.tree.upkeep"),
        SHRUB: read("upkeep.shrub.upkeep"),
        WATER: read("upkeep.water.upkeep"),
        BARE: read("upkeep.bare.upkeep"),
    }
    by_flow["green.water"] = {SHRUB: read("upkeep.shrub.irrigation")}
    for way, share in lawn:
        rates, ids = lawn_rates(place, way)
        read.ids.extend(ids)
        for name, rate in rates.items():
            by_flow[name][GRASS] = by_flow[name].get(GRASS, torch.zeros_like(rate)) + share * rate
    return UpkeepRates(
        by_flow=by_flow,
        establishing=read("upkeep.tree.establish_depth") * water_rate(read),
        establishing_years=read("upkeep.tree.establish_years"),
        factors=tuple(read.ids),
    )


def upkeep(site: Site, place: Place, mix: Mapping[str, float]) -> tuple[list[Entry], list[str]]:
    """Entries of upkeep (equation 10.5), and what was not assessed.

    Areas are those seen from above; grass under crowns counts with the crown.
    """
    rates = upkeep_rates(place, tuple(lawn_of(mix, site.measures).items()))
    areas = {surface: site.area(surface) for surface in UPKEPT}
    found = []
    for name, per_surface in rates.by_flow.items():
        parts = [part(areas[surface], rate) for surface, rate in per_surface.items()]
        if name == "green.water":
            planted = site.fates[TREE].new
            yearly = rates.establishing * rates.establishing_years / place.horizon_years
            parts.append(part(planted, yearly, _first_years(rates, place)))
        if parts:
            found.append(entry(name, parts, rates.factors))
    return found, []


def _first_years(rates: UpkeepRates, place: Place) -> Tensor:
    """Profile of what falls in the first years and is shown as a mean over all, (T + 1,)."""
    last = min(max(round(float(rates.establishing_years[0])), 1), place.horizon_years)
    profile = place.like.new_zeros(place.horizon_years + 1)
    profile[1 : last + 1] = place.horizon_years / last
    return profile
