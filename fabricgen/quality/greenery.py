"""Descriptors of greenery: shares, patches on a 1 m grid, and green within reach of facades."""

from __future__ import annotations

import math

import numpy as np
import shapely
from rasterio import Affine, features
from shapely.geometry.base import BaseGeometry

from fabricgen.form.landscape import class_metrics
from fabricgen.form.patches import Patches, cut
from fabricgen.quality.drawn import Drawn, nearest_m

PIXEL_M = 1.0
PATCH_M2 = 16.0  # smaller patches are none
REACH_M2 = 200.0  # green that people walk to
FACADE_M = 5.0
GREEN, OTHER = 1, 2
NAN = float("nan")


def green_descriptors(drawn: Drawn) -> dict[str, float]:
    """The descriptors of greenery; of a site without green the shapes are NaN."""
    ground, site = drawn.ground, drawn.site
    green = shapely.union(ground["tree"], ground["low"])
    used_m2 = drawn.built.area + sum(ground[name].area for name in ("paved", "water"))
    used_m2 += green.area + shapely.difference(ground["road"], ground["tree"]).area
    return {
        "tree.share": ground["tree"].area / site.area,
        "green.share": green.area / site.area,
        "water.share": ground["water"].area / site.area,
        "bare.share": max(0.0, 1 - used_m2 / site.area),
        **_patch_descriptors(_patches(green, site), drawn),
        "tree.spacing": _spacing_m(ground["tree"]),
        **_reach(green, drawn),
    }


def _patches(green: BaseGeometry, site: BaseGeometry) -> Patches:
    """The site as green and other ground on a grid of 1 m along the compass."""
    west, south, east, north = site.bounds
    shape = (math.ceil((north - south) / PIXEL_M), math.ceil((east - west) / PIXEL_M))
    turn = Affine(PIXEL_M, 0.0, west, 0.0, -PIXEL_M, north)
    burnt = [(site, OTHER)] + ([] if green.is_empty else [(green, GREEN)])
    grid = features.rasterize(burnt, out_shape=shape, transform=turn, dtype=np.uint8)
    labels = cut(grid, pixel_m=PIXEL_M)
    # Specks of green are other ground.
    speck = (labels.category == GREEN) & (labels.area_m2 < PATCH_M2)
    if speck.any():
        grid[np.isin(labels.labels, np.flatnonzero(speck) + 1)] = OTHER
        labels = cut(grid, pixel_m=PIXEL_M)
    return labels


def _patch_descriptors(patches: Patches, drawn: Drawn) -> dict[str, float]:
    own = patches.category == GREEN
    area_m2 = patches.area_m2[own]
    edge_m = 0.0
    shape = NAN
    if own.any():
        measured = class_metrics(patches)
        edge_m = float(measured["total_edge_m"][measured["category"] == GREEN][0])
        shape = float(
            np.average(0.25 * patches.perimeter_m[own] / np.sqrt(area_m2), weights=area_m2)
        )
    return {
        "green.patches_ha": len(area_m2) / drawn.area_ha,
        "green.largest": float(area_m2.max(initial=0.0)) / drawn.site.area,
        "green.edge_ha": edge_m / drawn.area_ha,
        "green.mesh": float((area_m2**2).sum()) / drawn.site.area,
        "green.shape": shape,
    }


def _spacing_m(tree: BaseGeometry) -> float:
    """Mean distance from a patch of canopy to the next."""
    parts = shapely.get_parts(tree)
    parts = parts[shapely.area(parts) > 0]
    if len(parts) < 2:
        return NAN
    _, found = shapely.STRtree(parts).query_nearest(
        parts, exclusive=True, return_distance=True, all_matches=False
    )
    return float(found.mean())


def _reach(green: BaseGeometry, drawn: Drawn) -> dict[str, float]:
    parts = shapely.get_parts(green)
    points = drawn.facades.point
    large = nearest_m(points, parts[shapely.area(parts) >= REACH_M2])
    near = nearest_m(points, parts[shapely.area(parts) >= PATCH_M2])
    if not len(points):
        return {"green.reach": NAN, "green.facade": NAN}
    return {
        "green.reach": float(np.median(large)),
        "green.facade": float((near <= FACADE_M).mean()),
    }
