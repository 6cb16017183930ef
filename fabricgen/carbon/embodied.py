"""Embodied carbon of buildings: new, kept and demolished (carbon-model 6.6 and 6.8)."""

import torch
from torch import Tensor

from fabricgen.carbon.change import Change, change_of
from fabricgen.carbon.ledger import Entry, entry, part
from fabricgen.carbon.place import Place, Reader
from fabricgen.carbon.site import Site
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


def embodied(site: Site, place: Place, mix: dict[str, float]) -> tuple[list[Entry], list[str]]:
    """Entries of the modules A to C of buildings, per year of the study period."""
    read = Reader(place)
    change = change_of(site)
    upfront = upfront_kgco2e_per_m2(read, mix)
    slope = read("emb.height_slope")
    years = read("study_years")[:1]
    once = pulse(place, years)
    floors = ((change.new_floor, upfront), (change.tall_floor, upfront * slope))
    found = []
    for module, share in module_shares(read).items():
        parts = [part(area, rate * share / years, once) for area, rate in floors]
        found.append(entry(f"bldg.embodied.{module}", parts, read.ids))
    renewal = read("emb.b4_ratio") / RATIO_YEARS
    found.append(
        entry("bldg.embodied.replacement", [part(a, r * renewal) for a, r in floors], read.ids)
    )
    found += _ends(place, read, change, years)
    if change.lost_floor is None:
        return found, ["demolition and kept buildings: there is no state before; all counts as new"]
    return found, []


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


def element_upfront_kgco2e(
    *,
    wall_m2: float,
    roof_m2: float,
    floor_m2: float,
    window_share: float,
    values: dict[str, float],
) -> float:
    """First installation by elements (equation 6.13), a check of the total method [kgCO2e].

    Args:
        wall_m2: Outer walls with windows.
        roof_m2: Footprint.
        floor_m2: Gross floor area.
        window_share: Of walls.
        values: kgCO2e per m² by `wall, window, roof, slab, floor, partition, services`, and
            `component_ratio`, component area over floor area.
    """
    return (
        wall_m2 * (1 - window_share) * values["wall"]
        + wall_m2 * window_share * values["window"]
        + roof_m2 * (values["roof"] + values["slab"])
        + (floor_m2 - roof_m2) * values["floor"]
        + floor_m2 * values["component_ratio"] * values["partition"]
        + floor_m2 * values["services"]
    )
