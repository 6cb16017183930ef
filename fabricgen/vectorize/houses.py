"""Buildings of a layout: masses drawn from its shares, cut into houses where its heights step."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from fabricgen.layout import Layout
from fabricgen.surfaces import BUILDING
from fabricgen.vectorize.footprints import FitSettings, footprints, polygon_of_outline
from fabricgen.vectorize.party import BUILT, UNKNOWN, House, plateaus, split
from fabricgen.vectorize.walls import parts, valid

STEP_M = 0.3  # heights that differ by less are one house's
LEAST_HOUSE_M2 = 12.0  # of one height, to be a house
DUST_M2 = 1e-4  # overlaps below this are rounding


@dataclass(frozen=True)
class HouseSettings:
    """How masses become houses."""

    fit: FitSettings = field(default_factory=FitSettings)
    step_m: float = STEP_M  # heights that differ by less are one house's
    least_m2: float = LEAST_HOUSE_M2  # of one height, to be a house of its own


def trace_houses(
    layout: Layout, site: BaseGeometry, settings: HouseSettings | None = None
) -> list[House]:
    """Footprints with heights, in frame coordinates.

    Args:
        layout: Surface shares and heights, (1, 8, H, W).
        site: The site in frame coordinates; footprints are clipped to it.
        settings: How.

    Returns:
        Disjoint footprints; houses wall to wall share their corners exactly.
    """
    settings = settings or HouseSettings()
    pixel_m = layout.pixel_m
    share = layout.cover[0, BUILDING].numpy().astype(np.float64)
    known = layout.height_known[0].numpy()
    height_m = np.where(known, layout.height_m[0].numpy(), UNKNOWN)
    number = plateaus(
        height_m, share > BUILT, step_m=settings.step_m, least_px=settings.least_m2 / pixel_m**2
    )
    houses: list[House] = []
    for outline in footprints(share, pixel_m, settings.fit):
        for mass in parts(valid(polygon_of_outline(outline))):
            houses += split(mass, outline.frames, number, height_m)
    scaled = [
        replace(house, shape=shapely.transform(house.shape, lambda xy: xy * pixel_m))
        for house in houses
    ]
    return [
        house
        for house in disjoint(_clipped(scaled, site))
        if house.shape.area >= settings.fit.smallest_m2
    ]


def _clipped(houses: Sequence[House], site: BaseGeometry) -> list[House]:
    if not houses:
        return []
    inside = site.covers(shapely.box(*shapely.total_bounds([h.shape for h in houses])))
    if inside:
        return list(houses)
    shapely.prepare(site)
    found = []
    for house in houses:
        if shapely.contains_properly(site, house.shape):
            found.append(house)
        else:
            found += [replace(house, shape=part) for part in parts(house.shape.intersection(site))]
    return found


def disjoint(houses: Sequence[House]) -> list[House]:
    """Houses without overlaps, with equal corners along the walls they share.

    Where two overlap the larger one keeps the ground.
    """
    shapes = np.array([house.shape for house in houses], dtype=object)
    if len(shapes) < 2 or shapely.coverage_is_valid(shapes):
        return list(houses)
    order = np.argsort(-shapely.area(shapes), kind="stable")
    shapes = shapes[order]
    faces = shapely.get_parts(shapely.polygonize([shapely.union_all(shapely.boundary(shapes))]))
    point, owner = shapely.STRtree(shapes).query(
        shapely.point_on_surface(faces), predicate="within"
    )
    first = np.full(len(faces), len(shapes))
    np.minimum.at(first, point, owner)
    found = []
    for k in range(len(shapes)):
        own = faces[first == k]
        if len(own):
            house = houses[order[k]]
            found += [replace(house, shape=part) for part in parts(shapely.coverage_union_all(own))]
    return found
