"""Measures of green space in five groups: scale, pattern, shape, planting, use.

carbon-model 14.3. Those of `green_cover` are differentiable in the shares; those of `green_patches`
count whole pixels (a soft layout is hardened first) and have no gradient.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from fabricgen.form.access import walk_m
from fabricgen.form.fields import WALL_CORRECTION, crofton, ground_cover
from fabricgen.form.greening import (
    MIX_SIGMA_M,
    green_plot_ratio,
    mixed_planting,
    near_share,
)
from fabricgen.form.indicators import MIN_AREA_M2, floors_of, surface_areas
from fabricgen.form.landscape import class_metrics, connectance_shares, patch_metrics
from fabricgen.form.patches import Patches, cut
from fabricgen.layout import Layout, harden
from fabricgen.surfaces import BUILDING, GRASS, GREEN, PAVED, SHRUB, TREE, WATER
from fabricgen.units import M2_PER_HA

GROUPS: dict[str, tuple[str, ...]] = {
    "scale": (
        "green_ratio",
        "canopy_ratio",
        "green_m2_per_person",
        "largest_patch_share",
        "mean_patch_m2",
    ),
    "pattern": (
        "green_edge_m_per_ha",
        "green_clumping_share",
        "patches_per_km2",
        "patch_edge_m_per_ha",
        "cohesion_share",
        "aggregation_share",
        "nearest_patch_m",
        "connected_50m_share",
        "connected_100m_share",
    ),
    "shape": ("mean_shape_index", "mean_fractal_dimension", "perimeter_area_ratio_per_m"),
    "planting": (
        "tree_of_green_share",
        "shrub_of_green_share",
        "grass_of_green_share",
        "mixed_planting_share",
        "green_plot_ratio",
    ),
    "use": (
        "path_m_per_ha",
        "shaded_path_share",
        "hard_in_green_share",
        "within_300m_of_green_share",
    ),
}
OTHER_GROUND, GREEN_GROUND = 1, 2  # categories of the patches; 0 lies outside
PARK_M2 = 5000.0  # the least green space that a walk leads to; carbon-model 14.3
WALK_M = 300.0
NEAR_M = (50, 100)
SQUARE_SHAPE = 0.25  # makes the shape index of a square 1
SIZES = (
    "largest_patch_share",
    "mean_patch_m2",
    "patches_per_km2",
    "patch_edge_m_per_ha",
    "cohesion_share",
    "aggregation_share",
    "nearest_patch_m",
    "mean_shape_index",
    "mean_fractal_dimension",
    "perimeter_area_ratio_per_m",
)
OUTLINE_SMOOTH = 1e-3  # e of the smooth |x| between two shares: an outline is 0.1 % short
# Outline by `crofton` of lone pixels per pixel area × pixel edge: zero on the clumping scale.
SCATTERED = WALL_CORRECTION * math.pi / 8 * (4 + 4 / math.sqrt(2))


def green_space(
    layout: Layout,
    inside: Tensor,
    *,
    residents: Tensor | None = None,
    leaf_area_index: Mapping[str, Tensor | float] | None = None,
    ground: Tensor | None = None,
) -> dict[str, Tensor]:
    """Every measure of `GROUPS`, in their order.

    Args:
        layout: B layouts; what stands outside the site is walked through and walked to, and
            counts for nothing else.
        inside: The site, (B, H, W) bool.
        residents: People who live on the site, (B,); without them there is no area per person.
        leaf_area_index: m² of leaves per m² of tree, shrub, grass, as for `green_plot_ratio`;
            without it there is no green plot ratio.
        ground: `ground_cover` of the layouts, where it is known already.

    Returns:
        Tensors (B,). Shares are 0…1. A measure without meaning is NaN: the distance between
        patches where there is one, green per person where nobody lives. One whose input was not
        given is left out.
    """
    values = green_cover(layout, inside, ground=ground) | green_patches(layout, inside)
    area_m2, _ = surface_areas(layout, inside)
    if residents is not None:
        green_m2 = area_m2[:, list(GREEN)].sum(dim=1)
        per_person = green_m2 / torch.where(residents > 0, residents, 1.0)
        values["green_m2_per_person"] = torch.where(residents > 0, per_person, math.nan)
    if leaf_area_index is not None:
        values["green_plot_ratio"] = green_plot_ratio(
            layout, inside, leaf_area_index=leaf_area_index
        )
    return {key: values[key] for keys in GROUPS.values() for key in keys if key in values}


def green_cover(
    layout: Layout, inside: Tensor, *, ground: Tensor | None = None
) -> dict[str, Tensor]:
    """The differentiable measures, tensors (B,); a share of nothing is zero.

    Outlines are by lines in four directions (carbon-model equations 1.7 and 1.9) and count only
    between two pixels of the site.

    Args:
        layout: B layouts.
        inside: The site, (B, H, W) bool.
        ground: `ground_cover` of the layouts, where it is known already.
    """
    area_m2, site_m2 = surface_areas(layout, inside)
    if ground is None:
        ground = ground_cover(layout.cover, layout.pixel_m)
    green = layout.cover[:, list(GREEN)].sum(dim=1)  # (B, H, W)
    green_m2 = area_m2[:, list(GREEN)].sum(dim=1)
    some_green_m2 = green_m2.clamp(min=MIN_AREA_M2)
    edge_m = _outline_m(green, layout.pixel_m, inside)
    paved = layout.cover[:, PAVED]
    paths = ground[:, PAVED]  # under crowns too
    amid = near_share(green[:, None], inside, MIX_SIGMA_M / layout.pixel_m)[:, 0] * inside
    return {
        "green_ratio": green_m2 / site_m2,
        "canopy_ratio": area_m2[:, TREE] / site_m2,
        "green_edge_m_per_ha": edge_m / site_m2 * M2_PER_HA,
        "green_clumping_share": 1 - edge_m * layout.pixel_m / (SCATTERED * some_green_m2),
        "tree_of_green_share": area_m2[:, TREE] / some_green_m2,
        "shrub_of_green_share": area_m2[:, SHRUB] / some_green_m2,
        "grass_of_green_share": area_m2[:, GRASS] / some_green_m2,
        "mixed_planting_share": mixed_planting(layout, inside),
        # A long thin strip has an outline of twice its length.
        "path_m_per_ha": _outline_m(paths, layout.pixel_m, inside) / 2 / site_m2 * M2_PER_HA,
        "shaded_path_share": _share(paths - paved, paths, inside),
        "hard_in_green_share": _share(paved, paved + green, amid),
    }


def green_patches(layout: Layout, inside: Tensor) -> dict[str, Tensor]:
    """The measures of whole patches, tensors (B,) of float64 without a gradient.

    Patches are trees, shrubs and grass together, joined at sides and corners.

    Args:
        layout: B layouts; soft ones are hardened.
        inside: The site, (B, H, W) bool.
    """
    hard = harden(layout)
    rows = [_patches_of(hard, n, inside[n].cpu().numpy()) for n in range(len(inside))]
    device = layout.cover.device
    return {
        key: torch.tensor([row[key] for row in rows], dtype=torch.float64, device=device)
        for key in rows[0]
    }


def _outline_m(share: Tensor, pixel_m: float, inside: Tensor) -> Tensor:
    outline = crofton(share, pixel_m, smooth=OUTLINE_SMOOTH, inside=inside)
    return WALL_CORRECTION * outline.sum(dim=(1, 2))


def _share(part: Tensor, whole: Tensor, weight: Tensor) -> Tensor:
    """Sum of a map over that of another, both weighted, (B,)."""
    total = (whole * weight).sum(dim=(1, 2))
    return (part * weight).sum(dim=(1, 2)) / total.clamp(min=MIN_AREA_M2)


def _patches_of(hard: Layout, n: int, inside: np.ndarray) -> dict[str, float]:
    green = hard.cover[n, list(GREEN)].sum(dim=0).cpu().numpy() > 0
    kinds = np.where(green, GREEN_GROUND, OTHER_GROUND)
    patches = cut(np.where(inside, kinds, 0), pixel_m=hard.pixel_m)
    shares = connectance_shares(patches, GREEN_GROUND, distances_m=NEAR_M)
    near = {f"connected_{m}m_share": share for m, share in zip(NEAR_M, shares, strict=True)}
    parks = cut(np.where(green, GREEN_GROUND, 0), pixel_m=hard.pixel_m)
    return _sizes(patches) | near | {"within_300m_of_green_share": _served(hard, n, inside, parks)}


def _sizes(patches: Patches) -> dict[str, float]:
    classes = class_metrics(patches)
    place = np.flatnonzero(classes["category"] == GREEN_GROUND)
    if not len(place):
        none = dict.fromkeys(SIZES, math.nan)
        return none | {
            "largest_patch_share": 0.0,
            "patches_per_km2": 0.0,
            "patch_edge_m_per_ha": 0.0,
        }
    green = {key: float(values[place[0]]) for key, values in classes.items()}
    ratio = patch_metrics(patches)["perimeter_area_ratio_m_per_ha"]
    own = patches.category == GREEN_GROUND
    shape = SQUARE_SHAPE * patches.perimeter_m[own] / np.sqrt(patches.area_m2[own])
    values = (
        green["largest_patch_index_percent"] / 100,
        green["area_mn_ha"] * M2_PER_HA,
        green["patch_density_per_100ha"],  # 100 ha are one square kilometer
        green["edge_density_m_per_ha"],
        green["cohesion_percent"] / 100,
        green["aggregation_index_percent"] / 100,
        green["euclidean_nearest_neighbor_mn_m"],
        float(shape.mean()),
        green["fractal_dimension_mn"],
        float(ratio[own].mean()) / M2_PER_HA,
    )
    return dict(zip(SIZES, values, strict=True))


def _served(hard: Layout, n: int, inside: np.ndarray, parks: Patches) -> float:
    """Share of the site's floor area within a walk of a large green space; NaN without floors.

    Floor area stands for residents, of whom a layout knows nothing.
    """
    large = (parks.category == GREEN_GROUND) & (parks.area_m2 >= PARK_M2)
    goal = np.isin(parks.labels, np.flatnonzero(large) + 1)
    cover = hard.cover[n].cpu().numpy()
    built = cover[BUILDING] > 0
    walkable = ~built & (cover[WATER] == 0) & (hard.allowed[n] > 0).cpu().numpy()
    away_m = walk_m(goal, walkable=walkable, indoors=built, pixel_m=hard.pixel_m, limit_m=WALK_M)
    floors = floors_of(hard.height_m[n]).cpu().numpy() * (built & inside)
    total = floors.sum()
    return float(floors[away_m <= WALK_M].sum() / total) if total > 0 else math.nan
