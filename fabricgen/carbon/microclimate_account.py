"""What a layout's green saves its neighborhood in cooling, and costs it in heating.

carbon-model 8.3 to 8.5. A site is small against the distance over which air mixes: of the cooling
that it makes nearly all is felt outside. What air carries is neither lost nor made, so the total
is summed where it arises and valued by the energy that a neighborhood spends on a warmer kelvin.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from fabricgen.carbon.degree_days import change_ratio
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
from fabricgen.carbon.site import Site, State
from fabricgen.surfaces import BUILDING, SURFACES

SOFTNESS = 1.0  # of the park rule: it always has a gradient, and is within 0.006 of the hard one
LEAST_RING_M2 = 1e4  # surroundings smaller than this say nothing of the neighborhood
MOSTLY = 0.5  # share of a pixel whose surface is known
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


def seen(state: State) -> Tensor:
    """Pixels whose surface is known, (B or 1, H, W) bool; one item where all are alike."""
    return one_for_all(state.cover.detach().sum(dim=1) > MOSTLY)


def beyond(state: State, rates: CoolingRates) -> Beyond:
    """The unseen is like what is seen of a state."""
    known = seen(state).to(state.cover)
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
    return _Layers(*torch.einsum("cs,bshw->bchw", weights, state.cover).unbind(dim=1))


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
    known = one_for_all(seen(site.design) & seen(site.base))
    outside = beyond(site.base, rates)
    by_park = site.field(
        park_gain(site.design, known, outside, rates) - park_gain(site.base, known, outside, rates)
    )
    change = site.design.cover - site.base.cover
    per_mitigation = rates.uhi_max_k * floor_density(site, rates)  # (B, 1 + D)
    return [
        entry(name, [_own_gain(site, change, rates, rate), part(by_park, rate)], rates.factors)
        for name, rate in (
            ("cool.avoided", per_mitigation * rates.summer),
            ("cool.winter_penalty", -per_mitigation * rates.winter),
        )
    ], []


def _own_gain(site: Site, change: Tensor, rates: CoolingRates, rate: Tensor) -> Part:
    """More capacity of the pixels themselves, linear in their surfaces and drawn with them."""
    area = site.pixel_area_m2
    areas = torch.einsum("bshw,bhw->bs", change, area)
    return Part(
        (areas @ rates.capacity) * rate,
        lambda: (
            torch.einsum("bshw,s->bhw", change, rates.capacity[:, 0]) * area * rate[:, :1, None]
        ),
    )


def floor_density(site: Site, rates: CoolingRates) -> Tensor:
    """Floor area per ground area of the neighborhood, the ring's if there is one; (B, 1 + D)."""
    ring = seen(site.design) & (site.pixel_area_m2 == 0)
    pixel_m2 = site.design.pixel_m**2
    ground_m2 = ring.sum(dim=(1, 2)) * pixel_m2
    floors = site.design.shares[BUILDING] * site.design.floors * ring
    density = floors.sum(dim=(1, 2)) * pixel_m2 / ground_m2.clamp(min=LEAST_M2)
    known = (ground_m2 >= LEAST_RING_M2)[:, None]
    return torch.where(known, density[:, None], rates.floor_density[None])


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
    design = site.design
    known = seen(design)
    today = site.base if site.knows(*range(len(SURFACES))) else None
    outside = beyond(today or design, rates)
    by_park = park_gain(design, known, outside, rates)
    mitigation = _layers(design, rates).capacity * known + by_park
    mixing = reach(rates.mixing_distance_m, design.pixel_m, decays=True)
    mixed = mean_around(mitigation, known, mixing, rates.background[0])
    at = site.footprint.per_pixel
    lacking = ((rates.background[0] - mixed) * at).sum(dim=(1, 2))
    return rates.uhi_max_k[0] * lacking / at.sum(dim=(1, 2)).clamp(min=LEAST_M2)
