"""Degree days of a year that is warmer or cooler than usual (carbon-model 6.5)."""

import math

import torch
from torch import Tensor

DAYS = 365
WARMEST_DAY = 200  # of the north; the sum over a year does not depend on it
HEATING_BASE_C, COOLING_BASE_C = 18.0, 26.0
LEAST_DEGREE_DAYS = 0.1  # guards a ratio where there is no season at all [K day/yr]


def degree_days(
    *,
    base_c: float,
    mean_c: Tensor,
    summer_c: Tensor,
    spread_k: Tensor,
    warmer_k: Tensor,
    cooling: bool,
) -> Tensor:
    """Degree days of a sinusoidal year with normal days around it (equation 6.9).

    Thom (1954) and Erbs et al. (1983): the mean of max(base − T, 0) over a normal distribution is
    smooth, so that a local change of temperature has a gradient.

    Args:
        base_c: Below it there is heating, or above it cooling.
        mean_c: Mean temperature of the year, (1 + D,).
        summer_c: Mean of the warmest time, (1 + D,).
        spread_k: Standard deviation of daily means around the season, (1 + D,).
        warmer_k: By how much the place is warmer than that, (B,) or (1,).
        cooling: Count what lies above the base instead of below.

    Returns:
        (B, 1 + D) [K day/yr].
    """
    day = torch.arange(1, DAYS + 1, dtype=mean_c.dtype, device=mean_c.device)[:, None, None]
    season = torch.cos(2 * math.pi * (day - WARMEST_DAY) / DAYS)  # (365, 1, 1)
    usual = mean_c + (summer_c - mean_c) * season  # (365, 1, 1 + D)
    below_k = base_c - usual - warmer_k[:, None]  # (365, B, 1 + D)
    if cooling:
        below_k = -below_k
    z = below_k / spread_k
    density = torch.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return (below_k * torch.special.ndtr(z) + spread_k * density).sum(dim=0)


def change_ratio(
    *,
    mean_c: Tensor,
    summer_c: Tensor,
    spread_k: Tensor,
    warmer_k: Tensor,
    cooling: bool,
) -> Tensor:
    """Degree days of a changed year over those of the usual one, (B, 1 + D).

    Multiplies a preset's degree days, which are thereby met exactly where nothing changes.
    """
    base_c = COOLING_BASE_C if cooling else HEATING_BASE_C
    changed, usual = (
        degree_days(
            base_c=base_c, mean_c=mean_c, summer_c=summer_c, spread_k=spread_k,
            warmer_k=warmer, cooling=cooling,
        )
        for warmer in (warmer_k, torch.zeros_like(warmer_k[:1]))
    )  # fmt: skip
    return (changed + LEAST_DEGREE_DAYS) / (usual + LEAST_DEGREE_DAYS)
