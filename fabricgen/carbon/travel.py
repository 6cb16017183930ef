"""Car travel of the residents: how far they drive, and what density, mix and streets change.

carbon-model section 9. Kilometers per resident are those of the region; the form of the site moves
them by elasticities of Ewing and Cervero 2010 (JAPA 76:265-294). A second set, Stevens 2017 (JAPA
83:7-18), gives a reference beside the ledger. What a site does not decide (access to jobs, distance
to downtown and to transit) stays as it is in the region.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fabricgen.carbon.form_fields import Field
from fabricgen.carbon.grid import grid_rate
from fabricgen.carbon.ledger import Entry, entry, part
from fabricgen.carbon.microclimate_reach import reach, weight_sum, weighted_sum
from fabricgen.carbon.operation import smooth_clip
from fabricgen.carbon.place import Place, Reader, cached
from fabricgen.carbon.site import Site, State
from fabricgen.surfaces import GREEN
from fabricgen.units import M2_PER_HA, M2_PER_KM2

# Sets of elasticities: the beginning of their ids. The first one counts.
ELASTICITIES = ("travel.elast", "travel.elast.stevens")
D_VARIABLES = ("density", "mix_entropy", "intersection_density")

# Groups of uses whose mix matters (equation 9.3).
USE_GROUPS: Mapping[str, tuple[str, ...]] = {
    "housing": ("residential",),
    "work": ("office", "industrial"),
    "shops": ("retail",),
    "services": ("hotel", "hospital", "education"),
}

LEAST_RATIO, MOST_RATIO = 0.25, 4.0  # beyond these an elasticity says nothing
CAP_SHARPNESS = 100.0  # of ln VKT; 0.7 % too far at the cap, nothing 5 % above it
PARK_RADIUS_M = math.sqrt(5000 / math.pi)  # of a disc of 0.5 ha
PARK_GREEN_SHARE = 0.8  # of the disc
PARK_SOFTNESS = 0.02
PARK_CORE_M2 = 20.0  # so much ground in a park makes it one
WALK_M = 300.0
CLAIM_SHARE = 0.10  # a block cannot claim to change travel by more


def use_entropy(mix: Mapping[str, float]) -> float:
    """How evenly floor area is shared among four groups of uses, 0…1 (equation 9.3)."""
    shares = [sum(mix.get(use, 0.0) for use in uses) for uses in USE_GROUPS.values()]
    return -sum(share * math.log(share + 1e-9) for share in shares) / math.log(len(shares))


@dataclass(frozen=True, eq=False)
class TravelRates:
    """What a place makes of residents and form, each (1 + D,).

    Attributes:
        residents: Per m² of gross floor area of the mix.
        fuel: From fuel, per resident who drives as far as the region's do [kgCO2e/yr].
        power: From electricity [kgCO2e/yr].
        per_km: From fuel and electricity, of the region's cars [kgCO2e/km].
        in_boundary: Share of travel inside the inventory boundary.
        mix_ratio: Entropy of the mix over that of the region.
        density: Of the region [residents/ha].
        junctions: Of the region [1/km²].
        per_l2: Junctions per squared street density.
        elasticities: Of density, mix and junctions, (3, 1 + D).
        cap: Most that form can change, negative.
        factors: Ids.
    """

    residents: Tensor
    fuel: Tensor
    power: Tensor
    per_km: Tensor
    in_boundary: Tensor
    mix_ratio: Tensor
    density: Tensor
    junctions: Tensor
    per_l2: Tensor
    elasticities: Tensor
    cap: Tensor
    factors: tuple[str, ...]


@cached
def travel_rates(
    place: Place, mix: tuple[tuple[str, float], ...], elasticities: str
) -> TravelRates:
    """Rates of a place for shares of floor area by use and a set of elasticities."""
    read = Reader(place)
    shares = dict(mix)
    driven = read("travel_vkt")
    electric = read("ev_share")
    fuel = (1 - electric) * read("car")
    power = electric * read("travel.ev_kwh") * grid_rate(read)
    found = [read(f"{elasticities}.{name}") for name in D_VARIABLES]
    return TravelRates(
        residents=shares.get("residential", 0.0) / read("living_space"),
        fuel=driven * fuel,
        power=driven * power,
        per_km=fuel + power,
        in_boundary=read("travel.share_in_boundary"),
        mix_ratio=use_entropy(shares) / read("travel.ref.mix"),
        density=read("travel_density"),
        junctions=read("travel_junctions"),
        per_l2=read("travel.junctions_per_l2"),
        elasticities=torch.stack(found),
        cap=read("travel.cap_form"),
        factors=tuple(read.ids),
    )


def vkt_ratio(ratios: Tensor, elasticities: Tensor, cap: Tensor) -> Tensor:
    """Kilometers driven over those of the region (equation 9.1).

    Args:
        ratios: Density, mix and junctions over the region's, (3, ...), not negative.
        elasticities: Of each, broadcast over `ratios`.
        cap: Most that form may lower travel, such as -0.25, broadcast over the rest.

    Returns:
        ratios' shape without its first axis.
    """
    held = smooth_clip(ratios, LEAST_RATIO, MOST_RATIO)
    free = (elasticities * torch.log(held)).sum(dim=0)
    floor = torch.log1p(cap)
    soft = torch.nn.functional.softplus
    return torch.exp(floor + soft(free - floor, beta=CAP_SHARPNESS))


def change_by_form(site: Site, rates: TravelRates) -> Tensor:
    """Kilometers driven over those of the region, (B, 1 + D).

    Residents per hectare of the site, and junctions guessed from the outline of its streets.
    """
    residents = site.floor_area.total[:, None] * rates.residents
    per_ha = residents / site.area_m2[:, None] * M2_PER_HA
    per_km2 = rates.per_l2 * site.street_m_per_m2[:, None] ** 2 * M2_PER_KM2
    density, junctions = per_ha / rates.density, per_km2 / rates.junctions
    ratios = torch.stack([density, rates.mix_ratio.expand_as(density), junctions])
    return vkt_ratio(ratios, rates.elasticities[:, None], rates.cap)


def travel(site: Site, place: Place, mix: Mapping[str, float]) -> tuple[list[Entry], list[str]]:
    """Entries of residents' car travel (equation 9.2), and what was not assessed.

    The map lays travel on the floors where residents live.
    """
    rates = travel_rates(place, tuple(mix.items()), ELASTICITIES[0])
    people = rates.residents * change_by_form(site, rates)  # (B, 1 + D), as they drive
    per_floor = {
        "travel.fuel.in_boundary": people * rates.fuel * rates.in_boundary,
        "travel.fuel.transboundary": people * rates.fuel * (1 - rates.in_boundary),
        "travel.electricity": people * rates.power,
    }
    found = [
        entry(name, [part(site.floor_area, rate)], rates.factors)
        for name, rate in per_floor.items()
    ]
    missing = ["travel of workers and visitors, transit, freight, aviation"]
    if site.measures.park_access:
        saved, unknown = park_access(site, place, rates)
        return found + saved, missing + unknown
    return found, missing


def park_access(site: Site, place: Place, rates: TravelRates) -> tuple[list[Entry], list[str]]:
    """Car trips that a new park near dwellings saves, and what was not assessed; optional.

    A place is in a park where a disc of 0.5 ha around it is green, and served where one lies within
    300 m (carbon-model section 9). Where one lies today, nothing is saved.
    """
    if site.base is None or not site.knows(*GREEN):
        return [], ["car trips saved by parks: today's green is not known all over the site"]
    read = Reader(place)
    today = 1 - _served(site.base) if len(site.base.cover) == 1 else None

    def newly(part: Site) -> Tensor:
        lacking = 1 - _served(part.base) if today is None else today  # type: ignore[arg-type]
        return _served(part.design) * lacking

    km = read("travel.park.trips") * read("travel.park.car_share") * read("travel.park.length")
    floors = Field(site.parts, lambda part: site.floor_area.of(part) * newly(part))
    per_floor = rates.residents * km * rates.per_km
    ids = (*rates.factors, *read.ids)
    return [entry("travel.avoided", [part(floors, per_floor)], ids)], []


def _served(state: State) -> Tensor:
    """How surely a park lies within walking distance, (B, H, W), 0…1."""
    tree, shrub, grass = (state.shares[kind] for kind in GREEN)
    green = tree + shrub + grass
    disc = reach(PARK_RADIUS_M, state.pixel_m, decays=False)
    share = weighted_sum(green, disc) / weight_sum(disc)
    park = torch.sigmoid((share - PARK_GREEN_SHARE) / PARK_SOFTNESS)
    near = weighted_sum(park, reach(WALK_M, state.pixel_m, decays=False)).clamp(min=0)
    return 1 - torch.exp(-near * (state.pixel_m**2 / PARK_CORE_M2))


def travel_references(site: Site, place: Place, mix: Mapping[str, float]) -> dict[str, Tensor]:
    """Figures beside the ledger, each (B,).

    Returns:
        `travel_by_second_elasticities_kgco2e_per_year`, all travel by the second set, and
        `travel_change_by_form_share`, what form alone does by the first.
    """
    first, second = (travel_rates(place, tuple(mix.items()), name) for name in ELASTICITIES)
    people = site.floor_area.total * second.residents[0] * change_by_form(site, second)[:, 0]
    return {
        "travel_by_second_elasticities_kgco2e_per_year": people * (second.fuel + second.power)[0],
        "travel_change_by_form_share": change_by_form(site, first)[:, 0] - 1,
    }


def claim_notes(change_share: Tensor) -> list[str]:
    """A warning where form alone is said to change travel by more than a block can, or nothing."""
    beyond = int((change_share.detach().abs() > CLAIM_SHARE).sum())
    if beyond == 0:
        return []
    return [
        f"form changes car travel by more than {CLAIM_SHARE:.0%} in {beyond} of "
        f"{len(change_share)} layouts: a block alone does not; read it as a bound"
    ]
