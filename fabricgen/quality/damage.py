"""Real plans made worse on purpose: what a measure of quality must see, it is shown here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import geopandas as gpd
import numpy as np
import shapely
from rasterio import Affine, features
from scipy import ndimage
from shapely.affinity import rotate, translate
from shapely.geometry import shape as to_shape

from fabricgen.plan import LAYERS, Plan

Damage = Callable[[Plan, Plan, np.random.Generator], Plan]

HALF = 0.5  # of a pixel, for it to be built


def mirrored(plan: Plan, _other: Plan, _rng: np.random.Generator) -> Plan:
    """Left to right: no damage at all."""
    middle = plan.site.centroid.x

    def turn(xy: np.ndarray) -> np.ndarray:
        return np.column_stack([2 * middle - xy[:, 0], xy[:, 1]])

    layers = {}
    for name in LAYERS:
        table = getattr(plan, name)
        shapes = shapely.transform(table.geometry.to_numpy(), turn)
        layers[name] = table.set_geometry(gpd.GeoSeries(shapes, index=table.index, crs=plan.crs))
    return Plan(shapely.transform(plan.site, turn), plan.crs, **layers)


def shifted(sd_m: float) -> Damage:
    """Every building somewhere else, by a normal step each way."""

    def damage(plan: Plan, _other: Plan, rng: np.random.Generator) -> Plan:
        return _each(plan, lambda one: translate(one, *rng.normal(0, sd_m, 2)))

    return damage


def rotated(most_deg: float) -> Damage:
    """Every building turned by a uniform angle."""

    def damage(plan: Plan, _other: Plan, rng: np.random.Generator) -> Plan:
        return _each(plan, lambda one: rotate(one, rng.uniform(-most_deg, most_deg)))

    return damage


def dropped(share: float) -> Damage:
    """Some buildings gone."""

    def damage(plan: Plan, _other: Plan, rng: np.random.Generator) -> Plan:
        kept = rng.random(len(plan.buildings)) >= share
        return replace(plan, buildings=plan.buildings[kept].reset_index(drop=True))

    return damage


def swapped(plan: Plan, other: Plan, _rng: np.random.Generator) -> Plan:
    """The buildings of another plan on these streets."""
    step = np.subtract(plan.site.centroid.coords[0], other.site.centroid.coords[0])
    moved = other.buildings.set_geometry(other.buildings.geometry.translate(*step))
    return _clipped(replace(plan, buildings=moved))


def boxed(plan: Plan, _other: Plan, _rng: np.random.Generator) -> Plan:
    """Every building its least rectangle."""
    return _each(plan, shapely.minimum_rotated_rectangle)


def blurred(sigma_m: float) -> Damage:
    """Buildings through a grid of 1 m, melted, and traced plainly."""

    def damage(plan: Plan, _other: Plan, _rng: np.random.Generator) -> Plan:
        built, grid = _grid(plan, 1.0)
        return _traced(plan, ndimage.gaussian_filter(built.astype(float), sigma_m) > HALF, grid)

    return damage


def gridded(pixel_m: float) -> Damage:
    """Buildings through a coarse grid and traced plainly."""

    def damage(plan: Plan, _other: Plan, _rng: np.random.Generator) -> Plan:
        return _traced(plan, *_grid(plan, pixel_m))

    return damage


# The list of a self-test: name, damage.
DAMAGES: dict[str, Damage] = {
    "mirrored": mirrored,
    "shifted, sd 2 m": shifted(2.0),
    "shifted, sd 6 m": shifted(6.0),
    "rotated by up to 5 deg": rotated(5.0),
    "rotated by up to 10 deg": rotated(10.0),
    "rotated by up to 30 deg": rotated(30.0),
    "20 % of buildings dropped": dropped(0.2),
    "buildings of another tile": swapped,
    "blurred, sigma 1.5 m": blurred(1.5),
    "blurred, sigma 4 m": blurred(4.0),
    "rectangles": boxed,
    "2 m grid and back": gridded(2.0),
}


def _each(plan: Plan, change: Callable) -> Plan:
    shapes = gpd.GeoSeries([change(one) for one in plan.buildings.geometry], crs=plan.crs)
    table = plan.buildings.reset_index(drop=True)
    return _clipped(replace(plan, buildings=table.set_geometry(shapes) if len(table) else table))


def _clipped(plan: Plan) -> Plan:
    table = plan.buildings
    inside = table.set_geometry(table.geometry.intersection(plan.site))
    kept = inside[inside.geometry.area > 0].explode(ignore_index=True)
    flat = kept[kept.geometry.geom_type == "Polygon"].reset_index(drop=True)
    return replace(plan, buildings=flat)


def _grid(plan: Plan, pixel_m: float) -> tuple[np.ndarray, Affine]:
    west, south, east, north = plan.site.bounds
    size = (int(np.ceil((north - south) / pixel_m)), int(np.ceil((east - west) / pixel_m)))
    grid = Affine(pixel_m, 0.0, west, 0.0, -pixel_m, north)
    shapes = [(one, 1) for one in plan.buildings.geometry]
    if not shapes:
        return np.zeros(size, bool), grid
    return features.rasterize(shapes, out_shape=size, transform=grid).astype(bool), grid


def _traced(plan: Plan, built: np.ndarray, grid: Affine) -> Plan:
    found = features.shapes(built.astype(np.uint8), mask=built, transform=grid)
    pixel_m = grid.a
    shapes = [shapely.simplify(to_shape(one), pixel_m) for one, _ in found]
    rows = gpd.GeoDataFrame(geometry=gpd.GeoSeries(shapes, crs=plan.crs))
    for column in LAYERS["buildings"]:
        rows[column] = "" if column in ("source", "use") else np.nan
    rows["id"] = [str(n) for n in range(len(rows))]
    return _clipped(replace(plan, buildings=rows))
