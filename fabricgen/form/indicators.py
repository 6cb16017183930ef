"""Indicators of a layout, differentiable: what a brief asks and what a score shows.

Each key is defined once here and once on geometry in `of_plan`; tests hold the two together.
Areas are plan areas of the part marked `inside`; what lies outside never counts.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fabricgen.layout import Layout
from fabricgen.surfaces import BUILDING, GREEN, PAVED, ROAD, TREE, WATER

# The indicators that a brief may ask for, in the order of `Conditions.asks`.
BRIEF_KEYS = (
    "far",
    "site_coverage",
    "green_ratio",
    "mean_height_m",
    "road_share",
    "tree_share",
)

STOREY_M = 3.0  # height of one storey; factor `geom.storey.residential`
MIN_AREA_M2 = 1e-6  # guards a mean over nothing

if TYPE_CHECKING:  # training needs no geo library
    from fabricgen.plan import Plan


def floors_of(height_m: Tensor) -> Tensor:
    """Storeys of a height, at least one; whole going forward, smooth going backward.

    carbon-model equation 1.1. Same shape as `height_m`.
    """
    smooth = (height_m / STOREY_M).clamp(min=1.0)
    return smooth + (smooth.round() - smooth).detach()


def surface_areas(layout: Layout, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Area of each surface inside, (B, 8), and of the inside, (B,), at least `MIN_AREA_M2` [m²]."""
    weight = inside.to(layout.cover.dtype) * layout.pixel_m**2  # (B, H, W)
    area_m2 = (layout.cover * weight[:, None]).sum(dim=(2, 3))  # (B, 8)
    return area_m2, weight.sum(dim=(1, 2)).clamp(min=MIN_AREA_M2)


def of_layout(layout: Layout, inside: Tensor) -> dict[str, Tensor]:
    """Indicators of each layout of a batch.

    Args:
        layout: B layouts.
        inside: The pixels that count, (B, H, W) bool.

    Returns:
        A tensor (B,) per key. Shares 0…1 of the inside area, areas in m², heights in m.
    """
    area_m2, site_m2 = surface_areas(layout, inside)
    built = layout.cover[:, BUILDING] * inside * layout.pixel_m**2  # (B, H, W)
    footprint_m2 = area_m2[:, BUILDING]
    floor_m2 = (built * floors_of(layout.height_m)).sum(dim=(1, 2))
    volume_m3 = (built * layout.height_m).sum(dim=(1, 2))
    return {
        "far": floor_m2 / site_m2,
        "site_coverage": footprint_m2 / site_m2,
        "green_ratio": area_m2[:, list(GREEN)].sum(dim=1) / site_m2,
        "mean_height_m": volume_m3 / footprint_m2.clamp(min=MIN_AREA_M2),
        "road_share": area_m2[:, ROAD] / site_m2,
        "tree_share": area_m2[:, TREE] / site_m2,
        "paved_share": area_m2[:, PAVED] / site_m2,
        "water_share": area_m2[:, WATER] / site_m2,
        "gross_floor_area_m2": floor_m2,
        "footprint_m2": footprint_m2,
        "site_area_m2": site_m2,
    }


def asks_of(indicators: dict[str, Tensor]) -> Tensor:
    """The brief's indicators in their order, (B, K)."""
    return torch.stack([indicators[key] for key in BRIEF_KEYS], dim=1)


def of_plan(plan: "Plan") -> dict[str, float]:
    """The same keys from geometry: exact areas, floors as drawn.

    Args:
        plan: A plan whose layers pass `check_plan`.
    """
    import numpy as np
    import shapely

    from fabricgen.plan import areas_of, canopy, union_of

    site_m2 = plan.site.area
    footprint_m2 = plan.buildings.geometry.area.to_numpy()
    floors = plan.buildings["floors"].to_numpy()
    heights = plan.buildings["height_m"].to_numpy()
    floors = np.where(np.isnan(floors), np.maximum(1.0, np.round(heights / STOREY_M)), floors)
    built_m2 = union_of(plan.buildings.geometry.to_numpy()).area
    crowns = union_of(np.array([shape for shape, _, _ in canopy(plan)], dtype=object))
    crowns = areas_of(shapely.intersection(crowns, plan.site))
    patches = plan.green.geometry.to_numpy()[plan.green["kind"].to_numpy() != "tree"]
    low = union_of(patches)
    roads = shapely.difference(plan.carriageways, crowns)
    paved = shapely.union_all([plan.paved.union_all(), plan.ways])
    paved = shapely.difference(paved, shapely.union_all([crowns, plan.carriageways]))
    floor_m2 = float((footprint_m2 * floors).sum())
    volume_m3 = float((footprint_m2 * heights).sum())
    return {
        "far": floor_m2 / site_m2,
        "site_coverage": built_m2 / site_m2,
        "green_ratio": shapely.union(crowns, low).area / site_m2,
        "mean_height_m": volume_m3 / max(float(footprint_m2.sum()), MIN_AREA_M2),
        "road_share": roads.area / site_m2,
        "tree_share": crowns.area / site_m2,
        "paved_share": paved.area / site_m2,
        "water_share": plan.water.union_all().area / site_m2,
        "gross_floor_area_m2": floor_m2,
        "footprint_m2": float(footprint_m2.sum()),
        "site_area_m2": site_m2,
    }
