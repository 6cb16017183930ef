"""Stormwater: the energy of treating and pumping what runs off, and what is saved against today.

carbon-model 10.2 to 10.4. The amounts are small; the main worth of less runoff is against floods
and for rivers, outside this ledger.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fabricgen.carbon.factors import table
from fabricgen.carbon.grid import grid_rate
from fabricgen.carbon.ledger import Entry, Part, entry
from fabricgen.carbon.place import Place, Reader, cached
from fabricgen.carbon.site import Site
from fabricgen.carbon.water import annual_runoff_mm
from fabricgen.surfaces import SURFACES

SOIL_GROUP = "c"  # hydrologic group of compacted urban soil, which takes up little
M_PER_MM = 1e-3


@dataclass(frozen=True, eq=False)
class StormRates:
    """Runoff of a place.

    Attributes:
        runoff_m: Per year by surface, (8, 1 + D) [m³/m²/yr].
        per_m3: Emission of what runs off, (1 + D,) [kgCO2e/m³].
        factors: Ids.
    """

    runoff_m: Tensor
    per_m3: Tensor
    factors: tuple[str, ...]


@cached
def storm_rates(place: Place) -> StormRates:
    """Equations 10.10 and 10.12 for a place."""
    read = Reader(place)
    numbers = torch.stack([read(f"cn.{surface}.{SOIL_GROUP}") for surface in SURFACES])
    runoff_m = M_PER_MM * annual_runoff_mm(numbers, read("rain_events"), read("rain_depth"))
    electricity = grid_rate(read)
    direct = f"water.treatment.{place.region.country}"
    treated = read(direct) if direct in table() else read("wwtp_kwh") * electricity
    per_m3 = read("water.share_to_wwtp") * treated + read("water.pump_kwh") * electricity
    return StormRates(runoff_m, per_m3, tuple(read.ids))


def stormwater(site: Site, place: Place) -> tuple[list[Entry], list[str]]:
    """Entries of runoff and of what is saved against today, and what was not assessed.

    Linear in the shares of the ground under crowns (equations 10.11 and 10.12), never by a mean
    curve number, which would run off too little. Rain on water counts as runoff.
    """
    rates = storm_rates(place)
    found = [entry("storm.energy", [_runoff(site, site.design.ground, rates)], rates.factors)]
    if site.base is None or not site.knows(*range(len(SURFACES))):
        return found, ["avoided runoff: today's ground is not known"]
    less = site.base.ground - site.design.ground
    return [*found, entry("storm.avoided", [_runoff(site, less, rates)], rates.factors)], []


def _runoff(site: Site, ground: Tensor, rates: StormRates) -> Part:
    """Emission of what runs off the shares of some ground."""
    areas = torch.einsum("bshw,bhw->bs", ground, site.pixel_area_m2)  # (B, 8)
    return Part(
        (areas @ rates.runoff_m) * rates.per_m3,
        lambda: (
            torch.einsum("bshw,s->bhw", ground, rates.runoff_m[:, 0] * rates.per_m3[0])
            * site.pixel_area_m2
        ),
    )
