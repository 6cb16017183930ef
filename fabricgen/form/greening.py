"""How green a layout is, differentiable: the City CQ five, greening factors, runoff, open sky.

Everything is plan area as seen from above, over the part marked `inside`; what lies outside never
counts. Weights of surfaces come from the caller (the carbon room's factor table holds those of
London and Singapore), because this room knows no factors. `docs/indicators.md` explains each.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from fabricgen.errors import SettingsError
from fabricgen.form.fields import gaussian_blur, ground_cover
from fabricgen.form.indicators import MIN_AREA_M2, surface_areas
from fabricgen.layout import Layout
from fabricgen.surfaces import BUILDING, GREEN, PAVED, ROAD, SHRUB, SURFACES, TREE, WATER

MIX_SIGMA_M = 6.0  # how near a tree and a shrub stand in one planting; carbon-model 14.2
LEAST_REACH = 1e-6  # guards a Gaussian mean far from the site

# Rows of the factor table that fit what a plan says of a surface. A plan does not tell how large a
# tree pit is, what grows in a bed or on a bank, so each is the plain kind, not the best.
UGF_FACTORS = {
    "tree": "target.ugf.factor.standard_tree_small_pit",
    "shrub": "target.ugf.factor.groundcover",
    "grass": "target.ugf.factor.amenity_grass",
    "water": "target.ugf.factor.water_chlorinated",
}
LEAF_AREA_FACTORS = {
    "tree": "veg.lai.tree_intermediate",
    "shrub": "veg.lai.shrub_monocot",
    "grass": "veg.lai.turf",
}


def city_cq(
    layout: Layout,
    inside: Tensor,
    *,
    sink_kgco2e_per_year: Tensor,
    mortality_kgco2e_per_year: Tensor,
) -> dict[str, Tensor]:
    """The five green indicators of the City Carbon Quotient.

    carbon-model equations 14.2. The published formulas could not be read; these definitions are
    this project's.

    Args:
        layout: B layouts.
        inside: The site, (B, H, W) bool.
        sink_kgco2e_per_year: What plants and soil of the site take up, (B,), positive.
        mortality_kgco2e_per_year: What dying plants give off again, (B,), positive.

    Returns:
        Tensors (B,): four shares of the site, 0…1, then sinks per site area; `net` is the sink
        less mortality, which is the fifth indicator.
    """
    area_m2, site_m2 = surface_areas(layout, inside)
    ecological_m2 = area_m2[:, [*GREEN, WATER]].sum(dim=1)
    sink, lost = sink_kgco2e_per_year / site_m2, mortality_kgco2e_per_year / site_m2
    return {
        "tree_cover_share": area_m2[:, TREE] / site_m2,
        "mixed_planting_share": mixed_planting(layout, inside),
        "shrub_cover_share": area_m2[:, SHRUB] / site_m2,
        "ecological_space_share": ecological_m2 / site_m2,
        "net_sink_kgco2e_per_m2_year": sink - lost,
        "sink_kgco2e_per_m2_year": sink,
        "mortality_kgco2e_per_m2_year": lost,
    }


def mixed_planting(layout: Layout, inside: Tensor) -> Tensor:
    """Share of the site where trees and shrubs stand together, (B,); carbon-model equation 14.2.

    Twice the smaller of the Gaussian means of both, so that an even mixture counts wholly.
    """
    near = near_share(layout.cover[:, [TREE, SHRUB]], inside, MIX_SIGMA_M / layout.pixel_m)
    both = 2 * torch.minimum(near[:, 0], near[:, 1]) * inside
    return both.sum(dim=(1, 2)) / inside.sum(dim=(1, 2)).clamp(min=1)


def near_share(shares: Tensor, inside: Tensor, sigma_px: float) -> Tensor:
    """Gaussian means of shares over the pixels inside alone, (B, C, H, W)."""
    weight = inside[:, None].to(shares.dtype)
    reach = gaussian_blur(weight, sigma_px).clamp(min=LEAST_REACH)
    return gaussian_blur(shares * weight, sigma_px) / reach


def weighted_cover(
    layout: Layout, inside: Tensor, *, weights: Mapping[str, Tensor | float]
) -> Tensor:
    """Mean of a weight per surface over the site, (B,): Σ area × weight / site area.

    Args:
        layout: B layouts.
        inside: The site, (B, H, W) bool.
        weights: By name of the surface, a number or (B,); surfaces left out weigh nothing.

    Raises:
        SettingsError: A name that is no surface.
    """
    for name in weights:
        if name not in SURFACES:
            raise SettingsError(f"weights: no surface {name!r}", f"one of {', '.join(SURFACES)}")
    area_m2, site_m2 = surface_areas(layout, inside)
    weighed_m2 = torch.zeros_like(site_m2)
    for name, weight in weights.items():
        weighed_m2 = weighed_m2 + area_m2[:, SURFACES.index(name)] * weight
    return weighed_m2 / site_m2


def urban_greening_factor(
    layout: Layout, inside: Tensor, *, weights: Mapping[str, Tensor | float]
) -> Tensor:
    """Urban Greening Factor of a site, (B,), 0…1.

    London Plan 2021, policy G5 and table 8.2: Σ area × factor of its cover / site area. Green
    roofs and walls are unknown to a layout, and what grows under a crown is not counted twice.

    Args:
        layout: B layouts.
        inside: The site, (B, H, W) bool.
        weights: Factor per surface, those of `UGF_FACTORS`; surfaces left out count as sealed.
    """
    return weighted_cover(layout, inside, weights=weights)


def green_plot_ratio(
    layout: Layout, inside: Tensor, *, leaf_area_index: Mapping[str, Tensor | float]
) -> Tensor:
    """Leaf area over site area, (B,) [m²/m²].

    Ong 2003 (Landscape and Urban Planning 63, 197-211): Σ canopy or bed area × its leaf area
    index / site area. Plants under a crown are not seen and not counted.

    Args:
        layout: B layouts.
        inside: The site, (B, H, W) bool.
        leaf_area_index: m² of leaves per m², those of `LEAF_AREA_FACTORS`.
    """
    return weighted_cover(layout, inside, weights=leaf_area_index)


def runoff_coefficient(
    layout: Layout,
    inside: Tensor,
    *,
    coefficients: Mapping[str, Tensor | float],
    ground: Tensor | None = None,
) -> Tensor:
    """Share of the rain that runs off the site, (B,), 0…1: Σ ground area × coefficient / area.

    The ground under crowns is inferred from around them (carbon-model equations 1.13 and 1.14), so
    that a street tree does not unseal its street. Runoff per surface is averaged, never the curve
    number, which would hide the runoff of the sealed part (carbon-model 10.3).

    Args:
        layout: B layouts.
        inside: The site, (B, H, W) bool.
        coefficients: Share of the rain that runs off each of the eight surfaces.
        ground: `ground_cover` of the layouts, where it is known already.

    Raises:
        SettingsError: A surface without a coefficient, or a name that is no surface.
    """
    missing = [name for name in SURFACES if name not in coefficients]
    if missing:
        raise SettingsError(f"coefficients: none for {', '.join(missing)}", "give all eight")
    if ground is None:
        ground = ground_cover(layout.cover, layout.pixel_m)
    return weighted_cover(replace(layout, cover=ground), inside, weights=coefficients)


def open_sky(layout: Layout, inside: Tensor, *, sky_view_share: Tensor) -> dict[str, Tensor]:
    """How much sky is seen from the open ground, and from streets and squares.

    Args:
        layout: B layouts.
        inside: The site, (B, H, W) bool.
        sky_view_share: Sky view factor of each pixel, (B, H, W), 0…1.

    Returns:
        Means weighted by area, (B,), 0…1; zero where there is no such ground.
    """
    grounds = {
        "sky_view_open_share": 1 - layout.cover[:, BUILDING],
        "sky_view_street_share": layout.cover[:, ROAD] + layout.cover[:, PAVED],
    }
    return {name: weighted_mean(sky_view_share, w * inside) for name, w in grounds.items()}


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean of maps (B, H, W) by weights of the same shape, (B,); zero without weight."""
    total = weights.sum(dim=(1, 2)).clamp(min=MIN_AREA_M2)
    return (values * weights).sum(dim=(1, 2)) / total
