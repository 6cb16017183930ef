"""What a layout's green saves its neighborhood in cooling, and costs it in heating.

carbon-model 8.3 to 8.5. A site is small against the distance over which air mixes: of the cooling
that it makes nearly all is felt outside. What air carries is neither lost nor made, so the total
is summed where it arises and valued by the energy that a neighborhood spends on a warmer kelvin.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from fabricgen.carbon.degree_days import change_ratio
from fabricgen.carbon.form_fields import weighted
from fabricgen.carbon.ledger import Entry, Part, entry, part
from fabricgen.carbon.measures import Exposure
from fabricgen.carbon.microclimate_park import heat_mitigation, park_rule
from fabricgen.carbon.microclimate_reach import (
    count_around,
    mean_around,
    one_for_all,
    reach,
)
from fabricgen.carbon.operation import operation_rates
from fabricgen.carbon.place import Place, Reader, cached
from fabricgen.carbon.site import Site, State, areas_of
from fabricgen.surfaces import BUILDING, SURFACES

SOFTNESS = 1.0  # of the park rule: it always has a gradient, and is within 0.006 of the hard one
LEAST_RING_M2 = 1e4  # surroundings smaller than this say nothing of the neighborhood
LEAST_M2 = 1e-6


@dataclass(frozen=True, eq=False)
class CoolingRates:
    """What a place makes of heat mitigation.

    Attributes:
        capacity: Cooling capacity by surface, (8, 1 + D).
        green: 1 for surfaces that count for large green areas, (8,).
        uhi_max_k: Warming of a place that nothing cools, (1 + D,).
        background: Heat mitigation of unknown surroundings, (1 + D,).
        floor_density: Floor area per ground area of unknown surroundings, (1 + D,).
        summer, winter: Emission of floor area per kelvin of warmer summers, and of the winter's
            cooler air that comes with a kelvin in summer, (1 + D,) [kgCO2e/m²/K/yr].
        park_distance_m, park_area_m2, mixing_distance_m: Central values; kernels are not drawn.
        factors: Ids.
    """

    capacity: Tensor
    green: Tensor
    uhi_max_k: Tensor
    background: Tensor
    floor_density: Tensor
    summer: Tensor
    winter: Tensor
    park_distance_m: float
    park_area_m2: float
    mixing_distance_m: float
    factors: tuple[str, ...]


@cached
def cooling_rates(place: Place, mix: tuple[tuple[str, float], ...]) -> CoolingRates:
    """Rates of a place for shares of floor area by use; evapotranspiration is even over a site."""
    read = Reader(place)
    weights = torch.stack([read(f"ucm.w_{name}") for name in ("shade", "albedo", "eti")])
    layers = [
        torch.stack([read(f"ucm.{what}.{surface}") for what in ("shade", "albedo", "kc")])
        for surface in SURFACES
    ]
    capacity = (torch.stack(layers) * weights / weights.sum(dim=0)).sum(dim=1)  # (8, 1 + D)
    green = torch.stack([read(f"ucm.green_area.{surface}")[0] for surface in SURFACES])
    summer, winter = _per_kelvin(place, mix, read)
    return CoolingRates(
        capacity, green, read("uhi_max"), read("ucm.hm_background"), read("ucm.far_background"),
        summer, winter,
        park_distance_m=float(read("ucm.d_cool")[0]),
        park_area_m2=1e4 * float(read("ucm.green_area_ha")[0]),
        mixing_distance_m=float(read("ucm.r_air")[0]),
        factors=tuple(read.ids),
    )  # fmt: skip


def _per_kelvin(
    place: Place, mix: tuple[tuple[str, float], ...], read: Reader
) -> tuple[Tensor, Tensor]:
    """Emission per floor area and kelvin, of cooling and of heating (equations 8.21 and 8.22).

    Heating is at the level of statistics; a kelvin moves it as it moves degree days. What a warmer
    kelvin saves is taken, which is never more than all: a cooler one may multiply next to nothing.
    """
    rates = operation_rates(place, mix)
    read.ids.extend(rates.factors)
    spent = [
        kwh
        for part_of in (rates.base, rates.heat, rates.cool)
        for (_, carrier), kwh in part_of.items()
        if carrier == "electricity"
    ]
    electricity = torch.stack(spent).sum(dim=0) * rates.emission["electricity"]
    summer = read("ucm.sens.el_per_k") * read("season") * electricity
    heating = [kwh * rates.emission[carrier] for (_, carrier), kwh in rates.heat.items()]
    ratio = change_ratio(
        mean_c=read("t_mean"), summer_c=read("t_ref_summer"), spread_k=read("clim.sigma_daily"),
        warmer_k=torch.ones_like(summer[:1]), cooling=False,
    )[0]  # fmt: skip
    return summer, read("ucm.winter_ratio") * (1 - ratio) * torch.stack(heating).sum(dim=0)


@dataclass(frozen=True, eq=False)
class Beyond:
    """What lies where nothing is seen, constant; each (B or 1, 1, 1).

    Attributes:
        capacity: Mean cooling capacity of green, the rest counting 0.
        green: Share of green.
    """

    capacity: Tensor
    green: Tensor


def beyond(state: State, rates: CoolingRates) -> Beyond:
    """The unseen is like what is seen of a state."""
    known = state.seen.to(state.cover)
    pixels = known.sum(dim=(1, 2), keepdim=True).clamp(min=1)
    layers = _layers(state, rates)
    capacity, green = (
        (layer * known).sum(dim=(1, 2), keepdim=True) / pixels
        for layer in (layers.of_green, layers.green)
    )
    return Beyond(capacity, green)


class _Layers(NamedTuple):
    """What the surfaces make of each pixel, each (B, H, W)."""

    capacity: Tensor  # for cooling
    of_green: Tensor  # the part of it that is green
    green: Tensor  # share of green


def _layers(state: State, rates: CoolingRates) -> _Layers:
    capacity = rates.capacity[:, 0]
    weights = torch.stack([capacity, capacity * rates.green, rates.green])  # (3, 8)
    planes = weights @ state.cover.flatten(2)  # (B, 3, H W)
    return _Layers(*planes.unflatten(2, state.cover.shape[2:]).unbind(dim=1))


def park_gain(state: State, known: Tensor, outside: Beyond, rates: CoolingRates) -> Tensor:
    """Heat mitigation above the pixel's own capacity, by large green around it, (B, H, W).

    Args:
        state: B items.
        known: Pixels that are seen, (B or 1, H, W) bool.
        outside: What the others are like.
        rates: Of the place.
    """
    rule = park_rule(
        rates.park_distance_m, state.pixel_m, park_area_m2=rates.park_area_m2, softness=SOFTNESS
    )
    layers = _layers(state, rates)
    own = layers.capacity
    around = mean_around(layers.of_green * known, known, rule.near, outside.capacity)
    green_px = count_around(layers.green * known, known, rule.disc, outside.green)
    return (heat_mitigation(own, around, green_px, rule) - own) * known


def microclimate(site: Site, place: Place, mix: dict[str, float]) -> tuple[list[Entry], list[str]]:
    """Entries of avoided cooling and its winter penalty, and what was not assessed.

    Equations 8.20 to 8.22 against today's layout, mapped to the pixels where the mitigation arises.
    The ring around the site gives the floor area of the neighborhood, and what lies beyond it stays
    like today's; no cooling of its own is claimed for places that large green on the site reaches
    outside.
    """
    if site.measures.microclimate == "off":
        return [], ["cooling by green: switched off"]
    if site.measures.microclimate == "operation":
        return [], []  # it is in the energy of the buildings, see `with_local_air`
    if site.base is None or not site.knows(*range(len(SURFACES))):
        return [], ["avoided cooling and its winter penalty: today's ground is not known"]
    rates = cooling_rates(place, tuple(mix.items()))
    by_park = site.field(_more_by_park(site, rates))
    per_mitigation = rates.uhi_max_k * floor_density(site, rates)  # (B, 1 + D)
    return [
        entry(name, [_own_gain(site, rates, rate), part(by_park, rate)], rates.factors)
        for name, rate in (
            ("cool.avoided", per_mitigation * rates.summer),
            ("cool.winter_penalty", -per_mitigation * rates.winter),
        )
    ], []


def _more_by_park(site: Site, rates: CoolingRates) -> Callable[[Site], Tensor]:
    """What large green adds above what it adds today, for a part of the site, (b, H, W)."""
    base = site.base
    if base is None or len(base.cover) > 1 or not bool(base.seen.all()):
        one = None
    else:  # today's is the same for all layouts that are seen all over
        outside = beyond(base, rates)
        one = outside, park_gain(base, base.seen, outside, rates)

    def more(part: Site) -> Tensor:
        before: State = part.base  # type: ignore[assignment]
        known = one_for_all(part.design.seen & before.seen)
        if one is not None and bool(known.all()):
            return park_gain(part.design, known, one[0], rates) - one[1]
        outside = beyond(before, rates)
        return park_gain(part.design, known, outside, rates) - park_gain(
            before, known, outside, rates
        )

    return more


def _own_gain(site: Site, rates: CoolingRates, rate: Tensor) -> Part:
    """More capacity of the pixels themselves, linear in their surfaces and drawn with them."""
    before_m2 = site.sums(lambda part: areas_of(part.base.cover, part))  # type: ignore[union-attr]

    def of(part: Site) -> Tensor:
        change = part.design.cover - part.base.cover  # type: ignore[union-attr]
        return weighted(change, rates.capacity[:, 0]) * part.plane_m2

    return Part(
        ((site.areas_m2 - before_m2) @ rates.capacity) * rate,
        lambda: site.sums(of) * rate[:, :1, None],
    )


def floor_density(site: Site, rates: CoolingRates) -> Tensor:
    """Floor area per ground area of the neighborhood, the ring's if there is one; (B, 1 + D)."""
    ground_m2, floors_m2 = site.sums(_ring).unbind(dim=1)
    density = floors_m2 / ground_m2.clamp(min=LEAST_M2)
    known = (ground_m2 >= LEAST_RING_M2)[:, None]
    return torch.where(known, density[:, None], rates.floor_density[None])


def _ring(site: Site) -> Tensor:
    """Ground and floor area of what is seen around the site, (B, 2) [m²]."""
    count, pixel_m2 = len(site.pixel_area_m2), site.design.pixel_m**2
    if site.within is None:
        return site.area_m2.new_zeros(count, 2)
    ring = (site.design.seen & ~site.within).to(site.pixel_area_m2) * pixel_m2
    floors_m2 = ring * site.design.shares[BUILDING] * site.design.floors
    return torch.stack([x.sum(dim=(1, 2)).expand(count) for x in (ring, floors_m2)], dim=1)


def with_local_air(site: Site, place: Place, mix: dict[str, float]) -> Site:
    """The site whose buildings feel the air that its green makes, where operation is to follow it.

    `microclimate` then counts nothing: the same cooling is never counted twice.
    """
    if site.measures.microclimate != "operation":
        return site
    exposure = site.exposure or Exposure()
    return replace(site, exposure=replace(exposure, warmer_k=warmer_k(site, place, mix)))


def warmer_k(site: Site, place: Place, mix: dict[str, float]) -> Tensor:
    """Air at the buildings against the neighborhood's, equation 8.19; (B,), below 0 where cooler.

    The climate preset is taken to hold for a neighborhood of usual mitigation; what the site's own
    green adds is small, since air mixes over much more than a site.
    """
    rates = cooling_rates(place, tuple(mix.items()))
    known_today = site.knows(*range(len(SURFACES)))

    def lacking(part: Site) -> Tensor:
        design = part.design
        outside = beyond(part.base or design if known_today else design, rates)
        by_park = park_gain(design, design.seen, outside, rates)
        mitigation = _layers(design, rates).capacity * design.seen + by_park
        mixing = reach(rates.mixing_distance_m, design.pixel_m, decays=True)
        mixed = mean_around(mitigation, design.seen, mixing, rates.background[0])
        return ((rates.background[0] - mixed) * site.footprint.of(part)).sum(dim=(1, 2))

    at_m2 = site.footprint.total.clamp(min=LEAST_M2)
    return rates.uhi_max_k[0] * site.sums(lacking) / at_m2
