"""Trees, shrubs, grass and water: what grows, dies, is felled and rots (carbon-model section 4).

Trees follow the stock of a managed stand over the horizon. A constant yearly rate would promise
twice the sink of a planting whose stock levels off; it is right only for the snapshot of an
existing city (`inventory`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fabricgen.carbon.cohort import Growth, cohort
from fabricgen.carbon.form_fields import Field
from fabricgen.carbon.ledger import Entry, Part, entry, part
from fabricgen.carbon.place import Place, Reader, cached
from fabricgen.carbon.site import Site
from fabricgen.errors import SettingsError
from fabricgen.surfaces import GRASS, SHRUB, TREE, WATER
from fabricgen.units import CO2_PER_C


@dataclass(frozen=True, eq=False)
class TreeRates:
    """Yearly rates per m² of canopy, means over the horizon, with their course; rates (1 + D,).

    Attributes:
        new_growth, new_release: Of canopy that is planted [kgCO2/m²/yr].
        kept_growth, kept_release: Of canopy that stands and stays [kgCO2/m²/yr].
        new_stock, kept_stock: At the end of the horizon [kgCO2/m²].
        felled: Set free where canopy is felled [kgCO2/m²].
        profiles: Course of each yearly rate over its mean, (T + 1,) by name.
        factors: Ids.
    """

    new_growth: Tensor
    new_release: Tensor
    kept_growth: Tensor
    kept_release: Tensor
    new_stock: Tensor
    kept_stock: Tensor
    felled: Tensor
    profiles: dict[str, Tensor]
    factors: tuple[str, ...]


@cached
def tree_rates(place: Place) -> TreeRates:
    """Equations 4.4 to 4.13 for a place.

    Half of the trees are taken as street trees, half as trees of parks and yards (mortality). A
    stock row of another country is scaled by the ratio of growth rates, so that cold places hold
    and gain less. Canopy that stands today is a stand as old as its time to design size.
    """
    read = Reader(place)
    stock = _stock_kgc_per_m2(read)
    growth = Growth(
        read("veg.tree.grow.k"), read("veg.tree.grow.p"), read("veg.tree.grow.tm"),
        read("veg.tree.grow.c0"), read("veg.tree.allom_exp"), stock,
        read("veg.tree.mort.establish"),
        (read("veg.tree.mort.mature") + read("veg.tree.mort.park")) / 2,
        read("veg.tree.dead_efold"),
    )  # fmt: skip
    horizon = place.horizon_years
    ripe = round(float(growth.years_to_design[0]))
    stand = cohort(growth, ripe + horizon)
    first, later = slice(0, horizon + 1), slice(ripe, ripe + horizon + 1)
    courses = {
        "new_growth": stand.growth[first],
        "new_release": stand.release[first],
        "kept_growth": _from_next_year(stand.growth[later]) / stand.canopy[ripe],
        "kept_release": _from_next_year(stand.release[later]) / stand.canopy[ripe],
    }
    means = {name: course.sum(dim=0) / horizon for name, course in courses.items()}  # 0.2
    profiles = {name: courses[name][:, 0] / means[name][0] for name in courses}
    felled = (1 - read("veg.tree.hwp_share")) * CO2_PER_C * stock
    return TreeRates(
        **means,
        new_stock=stand.stock[horizon],
        kept_stock=stand.stock[ripe + horizon] / stand.canopy[ripe],
        felled=felled,
        profiles=profiles,
        factors=tuple(read.ids),
    )


def _stock_kgc_per_m2(read: Reader) -> Tensor:
    stock = read("tree_stock")
    if read.place.find("tree_stock").region.lower() == read.place.region.country:
        return stock
    return stock * read("tree_rate") / read("veg.tree.seq_gross.us")


def _from_next_year(course: Tensor) -> Tensor:
    """What falls in years 1…T; year 0 belongs to the time before."""
    return torch.cat([torch.zeros_like(course[:1]), course[1:]])


def pulse(place: Place, years: Tensor) -> Tensor:
    """Profile of a one-off amount that is shown spread over some years, (T + 1,)."""
    profile = place.like.new_zeros(place.horizon_years + 1)
    profile[0] = years[0]
    return profile


def vegetation(site: Site, place: Place) -> tuple[list[Entry], list[str]]:
    """Entries of trees, shrubs, grass and water, and what was not assessed."""
    return [
        *_trees(site, place),
        *_shrubs(site, place),
        _grass_stock(site, place),
        *_water(site, place),
    ], ([] if site.knows(TREE, SHRUB) else [
        "felling of existing trees and shrubs: today's green is not known all over the site; "
        "all green counts as new",
    ])  # fmt: skip


def _trees(site: Site, place: Place) -> list[Entry]:
    rates = tree_rates(place)
    trees = site.fates[TREE]
    new_lit, kept_lit, light_ids = _lit(site, place, trees.new, trees.kept)
    ids = (*rates.factors, *light_ids)
    course = rates.profiles
    years = torch.tensor([float(place.horizon_years)])
    found = [
        entry(
            "veg.tree.growth",
            [
                *_grown(new_lit, rates.new_growth, course["new_growth"]),
                *_grown(kept_lit, rates.kept_growth, course["kept_growth"]),
            ],
            ids,
        ),
        entry(
            "veg.mortality",
            [
                *_grown(new_lit, rates.new_release, course["new_release"]),
                *_grown(kept_lit, rates.kept_release, course["kept_release"]),
            ],
            ids,
        ),
        entry(
            "stock.tree",
            [*_grown(new_lit, rates.new_stock), *_grown(kept_lit, rates.kept_stock)],
            ids,
        ),
    ]
    if site.knows(TREE, SHRUB):
        read = Reader(place)
        shrub_rate = CO2_PER_C * read("veg.shrub.stock") / place.horizon_years
        once = pulse(place, years)
        found.append(
            entry(
                "veg.felling",
                [
                    part(trees.lost, rates.felled / place.horizon_years, once),
                    part(site.fates[SHRUB].lost, shrub_rate, once),
                ],
                (*rates.factors, *read.ids),
            )
        )
    return found


Lit = list[tuple[Field, Tensor]]  # canopy, and what share of its usual growth it has


def _lit(site: Site, place: Place, new: Field, kept: Field) -> tuple[Lit, Lit, list[str]]:
    """Canopy with less growth where less sky is seen (section 4.7), and the ids it rests on.

    1 - limit (1 - sky) is linear in sky, so that a canopy is two fields with rates of their own.
    """
    if site.sky_view is None:
        whole = place.like.new_ones(1)
        return [(new, whole)], [(kept, whole)], []
    read = Reader(place)
    limit = read("veg.light_limit")
    new_lit, kept_lit = ([(area, 1 - limit), (_under_sky(area), limit)] for area in (new, kept))
    return new_lit, kept_lit, read.ids


def _under_sky(area: Field) -> Field:
    """The area times the share of the sky that it sees."""
    return Field(area.parts, lambda part: area.of(part) * part.sky_view)


def _grown(canopy: Lit, rate: Tensor, profile: Tensor | None = None) -> list[Part]:
    return [part(area, rate * share, profile) for area, share in canopy]


def _shrubs(site: Site, place: Place) -> list[Entry]:
    """Planted shrubs fill their stock (equation 4.14); standing ones gain what they lose."""
    read = Reader(place)
    full = CO2_PER_C * read("veg.shrub.stock")
    efold = read("veg.shrub.efold")
    years = torch.arange(place.horizon_years + 1, dtype=full.dtype, device=full.device)
    filled = full * (1 - torch.exp(-years[-1] / efold))
    course = 1 - torch.exp(-years / efold[0])
    gained = torch.cat([course[:1], course[1:] - course[:-1]])
    shrubs = site.fates[SHRUB]
    profile = gained * place.horizon_years / course[-1]
    return [
        entry(
            "veg.shrub.growth", [part(shrubs.new, filled / place.horizon_years, profile)], read.ids
        ),
        entry("stock.shrub", [part(shrubs.new, filled), part(shrubs.kept, full)], read.ids),
    ]


def _grass_stock(site: Site, place: Place) -> Entry:
    """Grass holds a little and gains nothing above ground (equation 4.15); its gain is in soil.

    Green roofs stand here with what their plants and substrate hold; it is no yearly sink.
    """
    read = Reader(place)
    parts = [part(site.area(GRASS), CO2_PER_C * read("veg.grass.stock"))]
    if site.measures.green_roof_share > 0:
        held = site.measures.green_roof_share * CO2_PER_C * read("veg.greenroof.stock")
        parts.append(part(site.footprint, held))
    return entry("stock.grass", parts, read.ids)


def _water(site: Site, place: Place) -> list[Entry]:
    """Methane of new ponds (equation 4.16); water that is there today is left as it is."""
    read = Reader(place)
    rate = read("gen.gwp100.ch4.ar6.biogenic") * read("veg.water.ch4")
    return [entry("veg.water_ch4", [part(site.fates[WATER].new, rate)], read.ids)]


def inventory(canopy_m2: Tensor, place: Place) -> dict[str, Tensor]:
    """Snapshot of an existing city (equations 4.1 to 4.3), light not reduced.

    Args:
        canopy_m2: Canopy seen from above, (B,).
        place: Where.

    Returns:
        (B,) central values: `sink` and `mortality` [kgCO2/yr], `stock` [kgCO2].
    """
    read = Reader(place)
    sink = CO2_PER_C * read("tree_rate")[0] * canopy_m2
    return {
        "sink": sink,
        "mortality": sink * (1 - read("veg.tree.net_to_gross")[0]),
        "stock": CO2_PER_C * read("tree_stock")[0] * canopy_m2,
    }


def baseline_sink(site: Site, place: Place) -> Tensor | None:
    """Yearly growth of today's trees if all were kept, (B,) [kgCO2/yr]; None where unknown."""
    if site.base is None or not site.knows(TREE):
        return None
    standing = site.field(lambda part: part.base.shares[TREE])  # type: ignore[union-attr]
    return standing.total * tree_rates(place).kept_growth[0]


def stock_from_pools(lulc: Tensor, pools_t_per_ha: Mapping[int, Sequence[float]]) -> Tensor:
    """Carbon held per hectare by land cover, as InVEST Carbon Storage sums it (users' guide).

    Args:
        lulc: Codes, whole numbers of any shape.
        pools_t_per_ha: By code: above ground, below ground, soil and dead matter [tC/ha].

    Returns:
        Sum of the four pools, the shape of `lulc`, float64 [tC/ha of carbon, not CO2]; NaN where a
        code has no pools, as it is for nodata.

    Raises:
        SettingsError: There are no pools, or a code has not four of them.
    """
    for code, pools in pools_t_per_ha.items():
        if len(pools) != 4:
            raise SettingsError(
                f"land cover {code} has {len(pools)} carbon pools", "give above, below, soil, dead"
            )
    if not pools_t_per_ha:
        raise SettingsError("there are no carbon pools", "give four numbers for each code")
    codes = sorted(pools_t_per_ha)
    known = torch.tensor(codes, device=lulc.device)
    held = torch.tensor(
        [sum(float(pool) for pool in pools_t_per_ha[code]) for code in codes],
        dtype=torch.float64, device=lulc.device,
    )  # fmt: skip
    at = torch.searchsorted(known, lulc.to(known.dtype).contiguous()).clamp(max=len(codes) - 1)
    return torch.where(known[at] == lulc, held[at], torch.nan)
