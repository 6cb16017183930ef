"""Soil carbon: what the ground holds, and what it gains or loses when its surface changes.

carbon-model section 5, 0-30 cm. Needs the state before; without it nothing is claimed.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fabricgen.carbon.form_fields import weighted
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
    passed = site.sums(_passed)
    spread = min(rates.years, place.horizon_years) / rates.years / place.horizon_years  # 0.2, 5.4
    found = [stock]
    for name, change in (("soil.gain", rates.change), ("soil.loss", -rates.change)):
        per_m2 = change.clamp(min=0) * spread
        found.append(entry(name, [_change(site, place, passed, per_m2)], rates.factors))
    return found, []


def _stock(site: Site, rates: SoilRates) -> Part:
    """Carbon that the soil of the finished site holds."""
    return Part(
        site.ground_areas_m2 @ rates.held,
        lambda: site.sums(
            lambda part: weighted(part.design.ground, rates.held[:, 0]) * part.plane_m2
        ),
    )


def _passed(site: Site) -> Tensor:
    """Area that passes from each surface (row) to each (column), (B, 8, 8) [m²]; equation 5.2.

    What is there before and after stays as it is, the rest passes in proportion from what shrinks
    to what grows. On hard maps this is the product of both shares; unlike it, ground that mixes
    surfaces (under crowns) and does not change has no flow.
    """
    base = site.base.ground  # type: ignore[union-attr]
    found: Tensor = _Passed.apply(base, site.design.ground, site.plane_m2)
    return found


def _moves(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Share lost and gained per surface, (B, 8, H, W), and all that is gained, (B, 1, H, W)."""
    difference = after - before
    gained = torch.relu(difference)  # at no change its slope is 0, that of a clamp is not
    lost = torch.sub(gained, difference, out=difference)
    return lost, gained, gained.sum(dim=1, keepdim=True).clamp_(min=LEAST_CHANGE)


class _Passed(torch.autograd.Function):
    """What is lost and gained is made anew going backward, an item at a time, in cache."""

    @staticmethod
    def forward(ctx: Any, before: Tensor, after: Tensor, area_m2: Tensor) -> Tensor:
        ctx.save_for_backward(before, after, area_m2)
        found = []
        for own in _items(before, after, area_m2):
            lost, gained, moved = _moves(own[0], own[1])
            lost *= own[2][:, None] / moved
            found.append(lost.flatten(2) @ gained.flatten(2).mT)
        return torch.cat(found)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, Tensor, None]:
        before, after, area_m2 = ctx.saved_tensors
        found = torch.empty_like(after)
        items = zip(_items(before, after, area_m2), slopes[0].split(1), found.split(1), strict=True)
        for own, slope, of_after in items:
            of_after.copy_(_passed_slope(own, slope))
        of_before = -found.sum_to_size(before.shape) if ctx.needs_input_grad[0] else None
        return of_before, found, None


def _items(*batches: Tensor) -> list[tuple[Tensor, ...]]:
    """The items of batches, of which some have one for all."""
    count = max(len(batch) for batch in batches)
    return list(
        zip(*(batch.expand(count, *batch.shape[1:]).split(1) for batch in batches), strict=True)
    )


def _passed_slope(own: tuple[Tensor, ...], slope: Tensor) -> Tensor:
    """Slope of the surfaces after, from that of what passes, (1, 8, 8)."""
    before, after, area_m2 = own
    lost, gained, moved = _moves(before, after)
    of_lost = (slope @ gained.flatten(2)).view_as(gained)
    of_gained = (slope.mT @ lost.flatten(2)).view_as(lost)
    of_moved = (lost * of_lost).sum(dim=1, keepdim=True) / moved
    of_gained -= of_moved.mul_(moved > LEAST_CHANGE)
    grows = torch.gt(gained, 0, out=torch.empty_like(gained))
    return torch.lerp(of_lost.neg_(), of_gained, grows).mul_(area_m2[:, None] / moved)


def _change(site: Site, place: Place, passed: Tensor, per_m2: Tensor) -> Part:
    """A yearly flow of (8, 8, 1 + D) rates over the passages from surface to surface."""
    profile = place.like.new_zeros(place.horizon_years + 1)
    last = min(round(soil_rates(place).years), place.horizon_years)
    profile[1 : last + 1] = place.horizon_years / last

    def of(part: Site) -> Tensor:
        lost, gained, moved = _moves(part.base.ground, part.design.ground)  # type: ignore[union-attr]
        carried = torch.einsum("bihw,ij,bjhw->bhw", lost, per_m2[:, :, 0], gained)
        return carried * (part.plane_m2 / moved[:, 0])

    return Part(passed.flatten(1) @ per_m2.flatten(0, 1), lambda: site.sums(of), profile)
