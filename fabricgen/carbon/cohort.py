"""A stand of trees year by year: growth, death, replacement, and the release from dead wood.

carbon-model section 4.3. Everything is per square meter of design canopy and hangs on factors
alone, so it is computed once per region and multiplied by areas afterwards.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fabricgen.units import CO2_PER_C

ESTABLISH_YEARS = 5


@dataclass(frozen=True, eq=False)
class Growth:
    """Factors of a cohort, each (D,).

    Attributes:
        rate_per_year: Chapman-Richards rate k.
        shape: Chapman-Richards exponent p.
        years_to_design: tm, years until the crown has its design size.
        start_share: c0, crown at planting over design crown.
        stock_exponent: e, exponent of stock on crown area.
        stock_kgc_per_m2: k_t, carbon of a mature tree per m² of canopy.
        young_mortality_per_year: In the first five years.
        mortality_per_year: Afterwards.
        dead_efold_years: td, of the release from dead wood.
    """

    rate_per_year: Tensor
    shape: Tensor
    years_to_design: Tensor
    start_share: Tensor
    stock_exponent: Tensor
    stock_kgc_per_m2: Tensor
    young_mortality_per_year: Tensor
    mortality_per_year: Tensor
    dead_efold_years: Tensor


@dataclass(frozen=True, eq=False)
class Cohort:
    """Trajectories per m² of design canopy, each (years + 1, D).

    Attributes:
        canopy: Canopy over design canopy.
        stock: [kgCO2/m²].
        growth: Gross growth in the year [kgCO2/m²].
        dead: Stock of the trees that die in the year [kgCO2/m²].
        release: CO2 set free from dead wood in the year [kgCO2/m²].
        births: Planted in the year over planted at the start.
        start_stock: Stock of one m² of newly planted design canopy, (D,).
    """

    canopy: Tensor
    stock: Tensor
    growth: Tensor
    dead: Tensor
    release: Tensor
    births: Tensor
    start_stock: Tensor


def cohort(of: Growth, years: int, *, replace: bool = True) -> Cohort:
    """Follows a planting for some years.

    Args:
        of: Its factors.
        years: Number of years.
        replace: Dead trees are planted anew.

    Returns:
        Equations 4.4 to 4.11; stock changes by growth minus death plus what is planted.
    """
    age = torch.arange(years + 1, dtype=of.shape.dtype, device=of.shape.device)[:, None]
    reach = (1 - torch.exp(-of.rate_per_year * age)) / (
        1 - torch.exp(-of.rate_per_year * of.years_to_design)
    )
    crown = (of.start_share + (1 - of.start_share) * reach**of.shape).clamp(max=1.0)  # 4.4
    kappa = CO2_PER_C * of.stock_kgc_per_m2 * crown**of.stock_exponent  # 4.6
    dying = torch.where(age <= ESTABLISH_YEARS, of.young_mortality_per_year, of.mortality_per_year)
    dying = torch.cat([torch.zeros_like(dying[:1]), dying[1:]])  # nobody dies in year 0
    alive = torch.cumprod(1 - dying, dim=0)  # 4.5
    before = torch.cat([alive[:1], alive[:-1]])  # s(n-1) at n
    deaths = before * dying
    births = _births(deaths, replace=replace)
    grown = torch.cat([torch.zeros_like(kappa[:1]), kappa[1:] - kappa[:-1]])
    dead = _follow(births, deaths * kappa)
    wait = torch.exp(-age / of.dead_efold_years)
    return Cohort(
        canopy=_follow(births, alive * crown),
        stock=_follow(births, alive * kappa),  # 4.8
        growth=_follow(births, before * grown),  # 4.9
        dead=dead,  # 4.10
        release=_follow(dead, wait - wait * torch.exp(-1 / of.dead_efold_years)),  # 4.11
        births=births,
        start_stock=kappa[0],
    )


def _births(deaths: Tensor, *, replace: bool) -> Tensor:
    """Plantings by year (equation 4.7): each death is made good in its year."""
    births = [torch.ones_like(deaths[0])]
    for year in range(1, len(deaths)):
        planted = torch.stack([births[year - n] * deaths[n] for n in range(1, year + 1)]).sum(dim=0)
        births.append(planted if replace else torch.zeros_like(planted))
    return torch.stack(births)


def _follow(births: Tensor, by_age: Tensor) -> Tensor:
    """Sum over plantings of an amount by age, (T + 1, D): out[t] = sum_j births[j] by_age[t-j]."""
    years = len(by_age)
    rows = [(births[: year + 1] * by_age[: year + 1].flip(0)).sum(dim=0) for year in range(years)]
    return torch.stack(rows)
