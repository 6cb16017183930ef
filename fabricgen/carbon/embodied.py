"""Embodied carbon of buildings: new, kept and demolished (carbon-model 6.6 to 6.8, 6.11)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fabricgen.carbon.change import Change, new_built
from fabricgen.carbon.form_fields import Field
from fabricgen.carbon.ledger import Entry, entry, part
from fabricgen.carbon.place import Place, Reader
from fabricgen.carbon.site import Site, walls_of
from fabricgen.carbon.vegetation import pulse

RATIO_YEARS = 60.0  # `emb.b4_ratio` is stated over this time


def upfront_kgco2e_per_m2(read: Reader, mix: dict[str, float]) -> Tensor:
    """A1-A5 per m² of floor area up to ten storeys (equation 6.10), (1 + D,)."""
    country = read.place.region.country
    total = torch.zeros((), dtype=read.place.like.dtype, device=read.place.like.device)
    for use, share in mix.items():
        if country == "cn":  # Chinese rows are by use already; the office row is that of all public
            if use == "residential":
                per_m2 = read("emb.cn.residential.a1a5")
            else:
                relative = read(f"emb.use_mult.{use}") / read("emb.use_mult.office")
                per_m2 = read("emb.cn.public.a1a5") * relative
        else:
            per_m2 = read("structure") * read(f"emb.use_mult.{use}")
        total = total + share * per_m2
    return total


@dataclass(frozen=True, eq=False)
class Layer:
    """Something that is built: how much, what it costs to make, and how it is renewed.

    Attributes:
        quantity: Amount per pixel.
        first: First installation [kgCO2e per unit], (1 + D,).
        renewal_per_year: Replacement as a yearly mean [kgCO2e per unit and year], (1 + D,).
    """

    quantity: Field
    first: Tensor
    renewal_per_year: Tensor


def embodied(site: Site, place: Place, mix: dict[str, float]) -> tuple[list[Entry], list[str]]:
    """Entries of the modules A to C of buildings, per year of the study period."""
    read = Reader(place)
    change = site.change
    years = read("study_years")[:1]
    once = pulse(place, years)
    upfront = upfront_kgco2e_per_m2(read, mix)
    if site.measures.embodied == "elements":
        layers = element_layers(site, read, change, mix)
    else:
        layers = total_layers(site, read, change, upfront)
    modules = _modules(site, read, years)
    found = []
    for module, share in module_shares(read).items():
        parts = [part(item.quantity, item.first * share / years, once) for item in layers]
        if module == "product":
            parts += [part(item.quantity, item.first / years, once) for item in modules]
        found.append(entry(f"bldg.embodied.{module}", parts, read.ids))
    renewed = [part(item.quantity, item.renewal_per_year) for item in (*layers, *modules)]
    found.append(entry("bldg.embodied.replacement", renewed, read.ids))
    if site.measures.refurbished_share > 0:
        rate = site.measures.refurbished_share * read("emb.refurb_ratio") * upfront / years
        deep = part(change.kept_floor, rate, once)
        found.append(entry("bldg.embodied.refurbishment", [deep], read.ids))
    found += _ends(place, read, change, years)
    if change.lost_floor is None:
        return found, ["demolition and kept buildings: there is no state before; all counts as new"]
    return found, []


def total_layers(site: Site, read: Reader, change: Change, upfront: Tensor) -> list[Layer]:
    """New floor area by the totals of whole buildings (equations 6.10 to 6.12).

    What rises above ten storeys costs more, and a basement costs more than a floor above ground.
    """
    renewal = read("emb.b4_ratio") / RATIO_YEARS
    rates = [
        (change.new_floor, upfront),
        (change.tall_floor, upfront * read("emb.height_slope")),
    ]
    if site.measures.basement_share > 0:
        below = site.measures.basement_share * read("emb.basement_mult")
        rates.append((change.new_floor, upfront * below))
    return [Layer(quantity, first, first * renewal) for quantity, first in rates]


# Elements of equation 6.13: row of `emb.el.*`, and of `emb.life.*`.
WALL = ("wall.concrete_block", "wall")
WINDOW = ("window.double", "window")
ROOF = ("roof.flat_conv", "roof")
FLOOR = ("floor.concrete_new", "floor")
BASEMENT = ("floor.basement_new_exc", "basement")
PARTITION = ("partition.brick", "partition")
SERVICES = ("services", "services")


def element_layers(site: Site, read: Reader, change: Change, mix: dict[str, float]) -> list[Layer]:
    """New buildings by their parts in the manner of SIA 2032 (equation 6.13).

    Walls of new buildings are those of their own height field, so that a wall against a kept
    building is none. Renewals are smooth in the study period over the service life.
    """
    walls = walls_of(site, new_built)
    ground = change.new_footprint
    glass = read.mean(mix, "wwr.{}")
    floors = change.new_floor
    below = site.measures.basement_share
    partitions = read("emb.el.area_to_floor")
    one = torch.ones_like(glass)
    amounts = [
        (walls, 1 - glass, WALL),
        (walls, glass, WINDOW),
        (ground, one, ROOF),
        # The ground slab is a floor like the others, so that all floors add up to the floor area.
        (floors, one, FLOOR),
        (floors, partitions, PARTITION),
        (floors, one, SERVICES),
    ]
    if below > 0:
        amounts.append((floors, one * below, BASEMENT))
    years = read("study_years")[:1]
    return [
        _layer(read, quantity, share, years, *names) for quantity, share, names in amounts
    ]  # fmt: skip


def _layer(
    read: Reader, quantity: Field, share: Tensor, years: Tensor, element: str, life: str
) -> Layer:
    first = share * read(f"emb.el.{element}")
    return Layer(quantity, first, first * _renewals_per_year(years, read(f"emb.life.{life}")))


def _renewals_per_year(years: Tensor, life: Tensor) -> Tensor:
    """Installations after the first one in the study period, as a yearly mean."""
    return (years / life - 1).clamp(min=0) / years


def _modules(site: Site, read: Reader, years: Tensor) -> list[Layer]:
    """Photovoltaic modules on roofs, new and standing."""
    share = site.measures.pv_share
    if share == 0:
        return []
    first = share * read("pv.embodied")
    renewal = first * _renewals_per_year(years, read("emb.life.pv"))
    return [Layer(site.footprint, first, renewal)]


def module_shares(read: Reader) -> dict[str, Tensor]:
    """Shares of A1-A3 (product), A4 and A5 of A1-A5, made to sum to 1 in every draw."""
    ids = {
        "product": "emb.split.a1a3",
        "transport": "emb.split.a4",
        "construction": "emb.split.a5",
    }
    shares = {module: read(name) for module, name in ids.items()}
    total = torch.stack(list(shares.values())).sum(dim=0)
    return {module: share / total for module, share in shares.items()}


def _ends(place: Place, read: Reader, change: Change, years: Tensor) -> list[Entry]:
    """C modules: of what is demolished now, and of new buildings after the study period."""
    later = place.like.new_zeros(place.horizon_years + 1)
    if round(float(years[0])) <= place.horizon_years:
        later[round(float(years[0]))] = years[0]
    found = []
    for flow, name in (("deconstruction", "emb.c1"), ("end_of_life", "emb.c2c4")):
        rate = read(name) / years
        parts = [part(change.new_floor, rate, later)]
        if change.lost_floor is not None:
            parts.append(part(change.lost_floor, rate, pulse(place, years)))
        found.append(entry(f"bldg.embodied.{flow}", parts, (name,)))
    return found
