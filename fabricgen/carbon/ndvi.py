"""The second way to the carbon that plants hold: from NDVI, a satellite's measure of green.

carbon-model 15.5, equation 15.10: ln C = alpha_g + beta NDVI + e for green type g (park, attached,
protective, roadside), with the types' intercepts partly pooled. Without plots the line goes through
three prior anchors; plots of a city bend it. What comes out stands beside the ledger, which counts
canopy by area, and is never added. NDVI sees green and not wood: it overstates lawns, and from 0.8
on it sees nothing more.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fabricgen.carbon.factors import Z_90
from fabricgen.carbon.place import Place, Reader, cached
from fabricgen.carbon.site import Site
from fabricgen.errors import SettingsError
from fabricgen.surfaces import GREEN, SURFACES
from fabricgen.units import CO2_PER_C

GREEN_TYPES = ("park", "attached", "protective", "roadside")
ANCHORS = (0.2, 0.5, 0.8)  # NDVI of the prior rows `ndvi.stock.*`
BARE_BELOW = 0.2  # no plants
SATURATED = 0.8
PRIOR_PLOTS = 4.0  # how many plots the prior spread of residuals weighs as much as
ROUNDS = 20  # of fitting line and spread in turn; the spread settles to 1e-6 in fewer


@dataclass(frozen=True, eq=False)
class Relation:
    """A line of ln carbon over NDVI with its uncertainty, float64.

    Attributes:
        mean: Intercept, slope and the types' own intercepts, (2 + G,).
        covariance: Of these, (2 + G, 2 + G).
        residual_sd: Of plots around the line, in ln carbon.
        loo_rmse_kgc_per_m2: Root mean square error of plots left out one by one; None without.
    """

    mean: Tensor
    covariance: Tensor
    residual_sd: float
    loo_rmse_kgc_per_m2: float | None = None


@dataclass(frozen=True, eq=False)
class Stock:
    """Carbon of plants [kgC/m²], any shape: mean and 5 to 95 % of a new plot."""

    mean: Tensor
    low: Tensor
    high: Tensor


@cached
def prior_relation(place: Place) -> Relation:
    """The line where no plots exist: through the anchors, each weighted by its range."""
    read = Reader(place)
    rows = [place.find(f"ndvi.stock.{round(100 * ndvi)}") for ndvi in ANCHORS]
    at = torch.tensor(ANCHORS, dtype=torch.float64)
    value, low, high = torch.tensor(
        [[row.value, row.low, row.high] for row in rows], dtype=torch.float64
    ).T.log()
    weight = (Z_90 / (high - low)) ** 2
    design = torch.stack([torch.ones_like(at), at], dim=1)
    line = torch.linalg.inv(design.T @ (weight[:, None] * design))
    size = 2 + len(GREEN_TYPES)
    between = float(read("ndvi.between_types")[0].detach())
    covariance = torch.eye(size, dtype=torch.float64) * between**2
    covariance[:2, :2] = line
    mean = torch.zeros(size, dtype=torch.float64)
    mean[:2] = line @ design.T @ (weight * value)
    return Relation(mean, covariance, float(read("ndvi.residual")[0].detach()))


def fit(prior: Relation, ndvi: Tensor, carbon_kgc_per_m2: Tensor, green_type: Tensor) -> Relation:
    """The line bent by plots of one sensor, season and atmospheric level (equation 15.10).

    Args:
        prior: Of `prior_relation`, or of an earlier fit.
        ndvi: Of each plot, (N,).
        carbon_kgc_per_m2: Measured, above 0, (N,).
        green_type: Index in `GREEN_TYPES`, (N,) whole numbers.

    Returns:
        The posterior, with the error of plots left out one by one.

    Raises:
        SettingsError: There is no plot, lengths differ, or a plot holds no carbon.
    """
    if not len(ndvi) == len(carbon_kgc_per_m2) == len(green_type) > 0:
        raise SettingsError(
            f"{len(ndvi)} NDVI values, {len(carbon_kgc_per_m2)} stocks, {len(green_type)} types",
            "give as many of each, at least one",
        )
    if not bool((carbon_kgc_per_m2 > 0).all()):
        raise SettingsError("a plot without carbon has no logarithm", "leave out bare plots")
    design = _design(ndvi, green_type)  # (N, 2 + G)
    wanted = carbon_kgc_per_m2.double().log()
    prior_precision = torch.linalg.inv(prior.covariance)
    spread = prior.residual_sd**2
    mean, covariance = prior.mean, prior.covariance
    for _ in range(ROUNDS):
        covariance = torch.linalg.inv(prior_precision + design.T @ design / spread)
        mean = covariance @ (prior_precision @ prior.mean + design.T @ wanted / spread)
        squares = float(((wanted - design @ mean) ** 2).sum())
        spread = (PRIOR_PLOTS * prior.residual_sd**2 + squares) / (PRIOR_PLOTS + len(ndvi))
    found = Relation(mean, covariance, spread**0.5)
    # Leaving plot i out of a linear fit divides its residual by one minus its leverage.
    leverage = ((design @ covariance) * design).sum(dim=1) / spread
    left_out = wanted - (wanted - design @ mean) / (1 - leverage)
    error = torch.exp(left_out + spread / 2) - carbon_kgc_per_m2.double()
    return replace(found, loo_rmse_kgc_per_m2=float((error**2).mean().sqrt()))


def stock_at(relation: Relation, ndvi: Tensor, green_type: Tensor | None = None) -> Stock:
    """Carbon of plants at an NDVI; nothing below 0.2, no more above 0.8 than there.

    Args:
        relation: The line.
        ndvi: Any shape.
        green_type: Index in `GREEN_TYPES`, same shape; None for ground of no known type.
    """
    design = _design(ndvi.clamp(max=SATURATED), green_type)
    middle = design @ relation.mean
    of_line = ((design @ relation.covariance) * design).sum(dim=-1)
    if green_type is None:
        of_line = of_line + relation.covariance.diagonal()[2:].mean()  # of a type not known
    half = Z_90 / 2 * torch.sqrt(of_line + relation.residual_sd**2)
    green = ndvi >= BARE_BELOW
    return Stock(*(
        torch.where(green, value.exp(), torch.zeros_like(value))
        for value in (middle + relation.residual_sd**2 / 2, middle - half, middle + half)
    ))  # fmt: skip


def _design(ndvi: Tensor, green_type: Tensor | None) -> Tensor:
    """What the line's parameters are multiplied by, (..., 2 + G) float64."""
    at = ndvi.double()
    if green_type is None:
        own = at.new_zeros(*at.shape, len(GREEN_TYPES))
    else:
        own = torch.nn.functional.one_hot(green_type.long(), len(GREEN_TYPES)).to(at)
    return torch.cat([torch.ones_like(at)[..., None], at[..., None], own], dim=-1)


def ndvi_references(site: Site, place: Place) -> dict[str, Tensor]:
    """Carbon of living plants by the prior line, each (B,) [kgCO2e], beside the ledger's stock.

    A layout has no image: each kind of green has the NDVI of its row, so this is an estimate by
    other numbers of the same areas. With an image, use `stock_at`.
    """
    read = Reader(place)
    seen = torch.stack([read(f"ndvi.surface.{SURFACES[kind]}")[0].detach() for kind in GREEN])
    per_m2 = stock_at(prior_relation(place), seen)
    areas = torch.stack([site.area(kind).total for kind in GREEN], dim=-1)  # (B, 3) [m²]
    named = {"": per_m2.mean, "_low": per_m2.low, "_high": per_m2.high}
    return {
        f"stock_by_ndvi{end}_kgco2e": areas @ (CO2_PER_C * value).to(areas)
        for end, value in named.items()
    }
