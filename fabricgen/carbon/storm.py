"""Stormwater: the energy of treating and pumping what runs off, and what is saved against today.

carbon-model 10.2 to 10.4. The amounts are small; the main worth of less runoff is against floods
and for rivers, outside this ledger.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fabricgen.carbon.factors import table
from fabricgen.carbon.form_fields import weighted
from fabricgen.carbon.grid import grid_rate
from fabricgen.carbon.ledger import Entry, Part, entry
from fabricgen.carbon.place import Place, Reader, cached
from fabricgen.carbon.site import Site, areas_of
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
    runoff = _runoff(site, site.ground_areas_m2, lambda part: part.design.ground, rates)
    found = [entry("storm.energy", [runoff], rates.factors)]
    if site.base is None or not site.knows(*range(len(SURFACES))):
        return found, ["avoided runoff: today's ground is not known"]
    less = _runoff(site, site.sums(_less_ground_m2), _less_ground, rates)
    return [*found, entry("storm.avoided", [less], rates.factors)], []


def _less_ground(site: Site) -> Tensor:
    """Shares of today's ground less those of the design's, (B, 8, H, W)."""
    return site.base.ground - site.design.ground  # type: ignore[union-attr]


def _less_ground_m2(site: Site) -> Tensor:
    """Area of today's ground less that of the design's, (B, 8) [m²]."""
    return areas_of(site.base.ground, site) - site.ground_areas_m2  # type: ignore[union-attr]


def _runoff(
    site: Site, areas_m2: Tensor, ground: Callable[[Site], Tensor], rates: StormRates
) -> Part:
    """Emission of what runs off some ground, (B, 8) in area and (b, 8, H, W) in parts."""
    per_m2 = rates.runoff_m[:, 0] * rates.per_m3[0]
    return Part(
        (areas_m2 @ rates.runoff_m) * rates.per_m3,
        lambda: site.sums(lambda part: weighted(ground(part), per_m2) * part.plane_m2),
    )
