"""A plan made ready to be measured: everything clipped to the site, as arrays of geometries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import geopandas as gpd
import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from fabricgen.form.indicators import STOREY_M
from fabricgen.plan import LAYERS, Plan, areas_of, canopy, road_polygons
from fabricgen.surfaces import PATH, ROAD_KINDS
from fabricgen.units import M2_PER_HA

MIN_BUILDING_M2 = 12.0  # smaller footprints count on neither side
FACADE_STEP_M = 2.0  # between two points along an outline
PARTY_M = 0.5  # an outline this near to another building is no facade
POLYGON = 3  # shapely's type id


@dataclass(frozen=True, eq=False)
class Facades:
    """Points every 2 m along the outlines of buildings, party walls left out.

    Attributes:
        point: (N,) points.
        owner: (N,) number of the building.
    """

    point: np.ndarray
    owner: np.ndarray


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a plan draws on its site.

    Attributes:
        site: The site.
        building: Footprints of 12 m² and more, (N,) polygons.
        height_m: (N,), NaN = unknown.
        floors: (N,) storeys as drawn, else from the height, NaN = unknown.
        street: Center lines of carriageways inside the site, (M,).
        street_width_m: (M,).
        carriageway: Ground under carriageways, also beside the site, (K,) polygons.
        hard: The same with paths and paved ground, (L,) polygons.
        plan: Where it comes from.
    """

    site: BaseGeometry
    building: np.ndarray
    height_m: np.ndarray
    floors: np.ndarray
    street: np.ndarray
    street_width_m: np.ndarray
    carriageway: np.ndarray
    hard: np.ndarray
    plan: Plan

    @property
    def area_ha(self) -> float:
        """Of the site."""
        return self.site.area / M2_PER_HA

    @cached_property
    def built(self) -> BaseGeometry:
        """All footprints as one."""
        return shapely.union_all(self.building)

    @cached_property
    def facades(self) -> Facades:
        """Points along outlines."""
        rings, owner = shapely.get_parts(shapely.boundary(self.building), return_index=True)
        lines = shapely.segmentize(rings, FACADE_STEP_M)
        xy, ring = shapely.get_coordinates(lines, return_index=True)
        # A ring ends where it began.
        keep = np.diff(ring, append=-1) == 0
        point, owner = shapely.points(xy[keep]), owner[ring[keep]]
        near, building = shapely.STRtree(self.building).query(
            point, predicate="dwithin", distance=PARTY_M
        )
        party = np.zeros(len(point), bool)
        party[near[building != owner[near]]] = True
        return Facades(point[~party], owner[~party])

    @cached_property
    def ground(self) -> dict[str, BaseGeometry]:
        """Surfaces inside the site as seen from above, by name, without overlaps but crowns."""
        plan = self.plan
        roads = plan.roads["kind"] != ROAD_KINDS[PATH]
        road = _inside(road_polygons(plan.roads[roads]), self.site)
        paved = _inside([*plan.paved.geometry, *road_polygons(plan.roads[~roads])], self.site)
        water = _inside(plan.water.geometry.to_numpy(), self.site)
        tree = _inside([shape for shape, _, _ in canopy(plan)], self.site)
        low = _inside(plan.green.geometry[plan.green["kind"] != "tree"].to_numpy(), self.site)
        road = _without(road, self.built)
        paved = _without(paved, self.built, road)
        water = _without(water, self.built, road, paved)
        tree = _without(tree, self.built)
        low = _without(low, self.built, road, paved, water, tree)
        return {"road": road, "paved": paved, "water": water, "tree": tree, "low": low}


def drawn_of(plan: Plan, *, around: Plan | None = None, paved: bool = True) -> Drawn:
    """Clips a plan to its site.

    Args:
        plan: The plan.
        around: Surroundings, whose streets count when a distance to a street is measured.
        paved: Whether paved ground is mapped; if not, only streets and paths count as hard.
    """
    inside = shapely.intersection(plan.buildings.geometry.to_numpy(), plan.site)
    shape, owner = shapely.get_parts(inside, return_index=True)
    kept = (shapely.get_type_id(shape) == POLYGON) & (shapely.area(shape) >= MIN_BUILDING_M2)
    shape, owner = shape[kept], owner[kept]
    height_m = plan.buildings["height_m"].to_numpy(np.float64)
    floors = plan.buildings["floors"].to_numpy(np.float64)
    floors = np.where(np.isnan(floors), np.maximum(1.0, np.round(height_m / STOREY_M)), floors)

    cars = plan.roads[plan.roads["kind"] != ROAD_KINDS[PATH]]
    line, street = shapely.get_parts(
        shapely.intersection(cars.geometry.to_numpy(), plan.site), return_index=True
    )
    long = (shapely.get_dimensions(line) == 1) & (shapely.length(line) > 0)
    plans = [plan] if around is None else [plan, around]
    carriageway = [road_polygons(p.roads[p.roads["kind"] != ROAD_KINDS[PATH]]) for p in plans]
    hard = [road_polygons(p.roads) for p in plans]
    if paved:
        hard += [shapely.get_parts(p.paved.geometry.to_numpy()) for p in plans]
    return Drawn(
        site=plan.site,
        building=shape,
        height_m=height_m[owner],
        floors=floors[owner],
        street=line[long],
        street_width_m=cars["width_m"].to_numpy(np.float64)[street[long]],
        carriageway=np.concatenate(carriageway),
        hard=np.concatenate(hard),
        plan=plan,
    )


def broken(shapes: np.ndarray) -> np.ndarray:
    """Which shapes are no sound geometry, (N,) bool."""
    return shapely.is_empty(shapes) | ~shapely.is_valid(shapes)


def mended(plan: Plan) -> Plan:
    """A plan whose broken shapes are mended, or gone where nothing is left of them."""
    layers = {}
    for name in LAYERS:
        table = getattr(plan, name)
        shapes = table.geometry.to_numpy()
        if not broken(shapes).any():
            continue
        shapes = shapely.make_valid(shapes, method="structure")
        table = table.set_geometry(gpd.GeoSeries(shapes, index=table.index, crs=plan.crs))
        layers[name] = table[~shapely.is_empty(shapes)].reset_index(drop=True)
    return replace(plan, **layers)


def nearest_m(points: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """Distance from each point to the nearest of some shapes, (N,); NaN where there is none."""
    away = np.full(len(points), np.nan)
    if len(shapes) and len(points):
        (owner, _), found = shapely.STRtree(shapes).query_nearest(
            points, return_distance=True, all_matches=False
        )
        away[owner] = found
    return away


def _inside(shapes: np.ndarray | list[BaseGeometry], site: BaseGeometry) -> BaseGeometry:
    return areas_of(shapely.intersection(shapely.union_all(shapes), site))


def _without(shape: BaseGeometry, *others: BaseGeometry) -> BaseGeometry:
    return areas_of(shapely.difference(shape, shapely.union_all(others)))
