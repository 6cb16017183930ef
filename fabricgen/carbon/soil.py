"""Soil carbon: what the ground holds, and what it gains or loses when its surface changes.

carbon-model section 5, 0-30 cm. Needs the state before; without it nothing is claimed.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fabricgen.carbon.ledger import Entry, Part, entry
from fabricgen.carbon.place import Place, Reader, cached
from fabricgen.carbon.site import Site
from fabricgen.surfaces import BARE, BUILDING, GRASS, PAVED, ROAD, SURFACES
from fabricgen.units import CO2_PER_C

TURF_YEARS = 30.0  # a new lawn gains carbon for this long
LEAST_CHANGE = 1e-6  # share of a pixel; guards a division where nothing changes


@dataclass(frozen=True, eq=False)
class SoilRates:
    """Soil carbon by surface.

    Attributes:
        held: (8, 1 + D) [kgCO2/m²].
        change: From surface (row) to surface (column), (8, 8, 1 + D) [kgCO2/m²].
        years: Transition time.
        factors: Ids.
    """

    held: Tensor
    change: Tensor
    years: float
    factors: tuple[str, ...]


@cached
def soil_rates(place: Place) -> SoilRates:
    """Equations 5.1 and 5.3 by pair of surfaces; a new lawn gains no faster than turf does."""
    read = Reader(place)
    factors = torch.stack([read(f"soil.factor.{name}") for name in SURFACES])
    held = CO2_PER_C * read("soc_ref") * factors
    change = held[None] - held[:, None]
    turf = CO2_PER_C * TURF_YEARS * read("soil.turf_seq")
    lawn = torch.zeros_like(change[..., :1], dtype=torch.bool)
    lawn[[BUILDING, ROAD, PAVED, BARE], GRASS] = True
    change = torch.where(lawn, torch.minimum(change, turf), change)
    years = float(read("soil.transition_yr")[0])
    return SoilRates(held, change, years, tuple(read.ids))


def soil(site: Site, place: Place) -> tuple[list[Entry], list[str]]:
    """Entries of soil, and what was not assessed."""
    rates = soil_rates(place)
    stock = entry("stock.soil", [_stock(site, rates)], rates.factors)
    if site.base is None or not site.knows(*range(len(SURFACES))):
        reason = "there is no state before" if site.base is None else "today's ground is not known"
        return [stock], [f"soil carbon change: {reason} all over the site"]
    lost, gained = _transitions(site.base.ground, site.design.ground, site.pixel_area_m2)
    spread = min(rates.years, place.horizon_years) / rates.years / place.horizon_years  # 0.2, 5.4
    found = [stock]
    for name, change in (("soil.gain", rates.change), ("soil.loss", -rates.change)):
        per_m2 = change.clamp(min=0) * spread
        found.append(entry(name, [_change(place, lost, gained, per_m2)], rates.factors))
    return found, []


def _stock(site: Site, rates: SoilRates) -> Part:
    """Carbon that the soil of the finished site holds."""
    ground = site.design.ground
    areas = torch.einsum("bshw,bhw->bs", ground, site.pixel_area_m2)
    return Part(
        areas @ rates.held,
        lambda: torch.einsum("bshw,s->bhw", ground, rates.held[:, 0]) * site.pixel_area_m2,
    )


def _transitions(before: Tensor, after: Tensor, area_m2: Tensor) -> tuple[Tensor, Tensor]:
    """Area lost and share gained per surface, (B, 8, H, W); their outer product is equation 5.2.

    What is there before and after stays as it is, the rest passes in proportion from what shrinks
    to what grows. On hard maps this is the product of both shares; unlike it, ground that mixes
    surfaces (under crowns) and does not change has no flow.
    """
    difference = after - before
    gained = torch.relu(difference)  # at no change its slope is 0, that of a clamp is not
    lost = gained - difference
    moved = gained.sum(dim=1, keepdim=True).clamp(min=LEAST_CHANGE)
    return lost * (area_m2[:, None] / moved), gained


def _change(place: Place, lost: Tensor, gained: Tensor, per_m2: Tensor) -> Part:
    """A yearly flow of (8, 8, 1 + D) rates over the passages from surface to surface."""
    passed = lost.flatten(2) @ gained.flatten(2).mT  # (B, 8, 8) [m²]
    profile = place.like.new_zeros(place.horizon_years + 1)
    last = min(round(soil_rates(place).years), place.horizon_years)
    profile[1 : last + 1] = place.horizon_years / last
    return Part(
        torch.einsum("bij,ijd->bd", passed, per_m2),
        lambda: torch.einsum("bihw,ij,bjhw->bhw", lost, per_m2[:, :, 0], gained),
        profile,
    )
