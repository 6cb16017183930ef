"""The loop that an analyst writes: geopandas, rasterstats and momepy, one plan after the other.

It computes of each plan what `fabricgen score` tells of form, green and rain, openness along
streets for the view of the sky, and a simple carbon account of areas times factors in as many
draws. Sun on walls, cooling and the growth of trees over the years have no counterpart in these
libraries; the loop leaves them out, which is to its advantage.
"""

from __future__ import annotations

import time
from pathlib import Path

import geopandas as gpd
import momepy
import numpy as np
import pandas as pd
import rasterio.features
import rasterio.transform
import rasterstats
from shapely.geometry.base import BaseGeometry

from fabricgen.carbon.factors import factor
from fabricgen.form.indicators import STOREY_M
from fabricgen.surfaces import SURFACES

CODES = {name: code for code, name in enumerate(SURFACES)}
RUNOFF = {"building": 0.9, "road": 0.9, "paved": 0.8, "water": 1.0, "tree": 0.2, "shrub": 0.2,
          "grass": 0.25, "bare": 0.5}  # fmt: skip
GREENING = {"tree": 0.6, "shrub": 0.5, "grass": 0.4, "water": 0.2}
NEAR_M, WALK_M, PARK_M2 = 50.0, 300.0, 5000.0
SPREAD = 0.2  # of a factor, relative


def plans_per_s(table: Path, *, seconds: float, pixel_m: float, draws: int) -> tuple[float, int]:
    """Rate of the loop over the first plans of a table, and how many it did.

    Args:
        table: The same that is scored. It is read once, before the clock starts.
        seconds: At least so long.
        pixel_m: Of the grid for the statistics of rasters.
        draws: Of the factors.
    """
    rows = gpd.read_parquet(table)
    plans = iter(list(rows.groupby("scheme", sort=False))[: 100 * int(seconds + 1)])
    rates = np.random.default_rng(1).lognormal(0, SPREAD, (draws, 3))
    measure(next(plans)[1], pixel_m=pixel_m, rates=rates)  # loads what is loaded when used
    began, count = time.perf_counter(), 0
    for _, rows_of in plans:
        measure(rows_of, pixel_m=pixel_m, rates=rates)
        count += 1
        if time.perf_counter() - began > seconds:
            break
    return count / (time.perf_counter() - began), count


def measure(rows: gpd.GeoDataFrame, *, pixel_m: float, rates: np.ndarray) -> dict[str, float]:
    """All indicators of one plan.

    Args:
        rows: Its features, with the column `layer`.
        pixel_m: Of the grid.
        rates: Draws of three factors over their means, (D, 3).
    """
    site = rows[rows["layer"] == "site"].geometry.iloc[0]
    houses = rows[rows["layer"] == "buildings"].reset_index(drop=True)
    ground = _ground(rows, site)
    found = _form(houses, ground, site) | _covers(ground, houses, site, pixel_m)
    found |= _green(ground, houses, site) | _streets(rows, ground, houses, site=site)
    return found | _carbon(found, houses, rates)


def _ground(rows: gpd.GeoDataFrame, site: BaseGeometry) -> dict[str, gpd.GeoDataFrame]:
    """Each surface as seen from above, by overlays from the top down."""
    crs = rows.crs
    streets = rows[rows["layer"] == "roads"]
    wide = streets.buffer(streets["width_m"] / 2)
    stems = rows[rows["layer"] == "trees"]
    green = rows[rows["layer"] == "green"]
    shapes = {
        "building": rows[rows["layer"] == "buildings"].geometry,
        "tree": pd.concat(
            [green[green["kind"] == "tree"].geometry, stems.buffer(stems["crown_m"].fillna(6) / 2)]
        ),
        "road": wide[streets["kind"] != "path"],
        "paved": pd.concat(
            [rows[rows["layer"] == "paved"].geometry, wide[streets["kind"] == "path"]]
        ),
        "water": rows[rows["layer"] == "water"].geometry,
        "shrub": green[green["kind"] == "shrub"].geometry,
        "grass": green[green["kind"] == "grass"].geometry,
    }
    above = gpd.GeoDataFrame(geometry=[], crs=crs)
    found = {}
    for name, some in shapes.items():
        layer = gpd.GeoDataFrame(geometry=gpd.GeoSeries(some, crs=crs)).clip(site).dissolve()
        if len(above) and len(layer):
            layer = layer.overlay(above, how="difference", keep_geom_type=True)
        found[name] = layer[~layer.is_empty]
        above = gpd.GeoDataFrame(
            geometry=pd.concat([above.geometry, found[name].geometry]), crs=crs
        ).dissolve()
    whole = gpd.GeoDataFrame(geometry=[site], crs=crs)
    found["bare"] = whole.overlay(above, how="difference", keep_geom_type=True)
    return found


def _form(
    houses: gpd.GeoDataFrame, ground: dict[str, gpd.GeoDataFrame], site: BaseGeometry
) -> dict[str, float]:
    area_m2 = {name: float(table.area.sum()) for name, table in ground.items()}
    floors = np.maximum(1, (houses["height_m"] / STOREY_M).round())
    floor_m2 = float((houses.area * floors).sum())
    walls_m2 = ((houses.length - momepy.shared_walls(houses)) * houses["height_m"]).sum()
    return {
        "site_area_m2": site.area,
        "gross_floor_area_m2": floor_m2,
        "far": floor_m2 / site.area,
        "mean_height_m": float((houses.area * houses["height_m"]).sum() / houses.area.sum()),
        "wall_m2": float(walls_m2),
        "orientation_deg": float(momepy.orientation(houses).mean()),
        "compactness": float(momepy.circular_compactness(houses).mean()),
        "green_ratio": sum(area_m2[name] for name in ("tree", "shrub", "grass")) / site.area,
        **{f"{name}_share": value / site.area for name, value in area_m2.items()},
    }


def _covers(
    ground: dict[str, gpd.GeoDataFrame],
    houses: gpd.GeoDataFrame,
    site: BaseGeometry,
    pixel_m: float,
) -> dict[str, float]:
    """Statistics of a raster of surfaces on the site and around each house."""
    west, south, east, north = site.bounds
    size = int(np.ceil((north - south) / pixel_m)), int(np.ceil((east - west) / pixel_m))
    transform = rasterio.transform.from_origin(west, north, pixel_m, pixel_m)
    shapes = [(s, CODES[name]) for name, table in ground.items() for s in table.geometry]
    grid = rasterio.features.rasterize(
        shapes, out_shape=size, transform=transform, fill=255, dtype="uint8"
    )
    options = {"affine": transform, "nodata": 255}
    (counts,) = rasterstats.zonal_stats([site], grid, categorical=True, **options)
    total = sum(counts.values())
    share = {name: counts.get(code, 0) / total for name, code in CODES.items()}
    near = rasterstats.zonal_stats(
        houses.buffer(10), np.isin(grid, [4, 5, 6]).astype("uint8"), stats=["mean"],
        affine=transform, nodata=255,
    )  # fmt: skip
    return {
        "urban_greening_factor": sum(GREENING[name] * share[name] for name in GREENING),
        "runoff_50mm_share": sum(RUNOFF[name] * share[name] for name in RUNOFF),
        "ecological_space_share": share["tree"] + share["shrub"] + share["grass"] + share["water"],
        "green_around_houses_share": float(np.mean([one["mean"] or 0.0 for one in near])),
    }


def _green(
    ground: dict[str, gpd.GeoDataFrame], houses: gpd.GeoDataFrame, site: BaseGeometry
) -> dict[str, float]:
    """Patches of green: sizes, distances, and who lives near a large one."""
    green = pd.concat([ground[name].geometry for name in ("tree", "shrub", "grass")])
    patches = gpd.GeoDataFrame(geometry=green, crs=houses.crs).dissolve().explode(ignore_index=True)
    patches = patches[patches.geom_type == "Polygon"].reset_index(drop=True)
    if patches.empty:
        return {"patches_per_km2": 0.0, "largest_patch_share": 0.0}
    apart = np.array([patches.distance(shape) for shape in patches.geometry])
    pairs = apart[np.triu_indices(len(patches), 1)]
    nearest = np.where(np.eye(len(patches), dtype=bool), np.inf, apart).min(axis=1)
    large = patches[patches.area >= PARK_M2].union_all()
    near = houses.distance(large) <= WALK_M
    return {
        "patches_per_km2": len(patches) / site.area * 1e6,
        "largest_patch_share": float(patches.area.max() / site.area),
        "nearest_patch_m": float(nearest[np.isfinite(nearest)].mean()) if len(patches) > 1 else 0,
        "connected_50m_share": float((pairs <= NEAR_M).mean()) if len(pairs) else 1.0,
        "within_300m_of_green_share": float(houses.area[near].sum() / houses.area.sum()),
        "mean_shape_index": float((0.25 * patches.length / np.sqrt(patches.area)).mean()),
    }


def _streets(
    rows: gpd.GeoDataFrame,
    ground: dict[str, gpd.GeoDataFrame],
    houses: gpd.GeoDataFrame,
    *,
    site: BaseGeometry,
) -> dict[str, float]:
    streets = rows[rows["layer"] == "roads"]
    paths = streets[streets["kind"] == "path"].clip(site)
    crowns = ground["tree"].union_all()
    paved = streets.buffer(streets["width_m"] / 2).union_all()
    lines = streets.clip(site).explode(ignore_index=True)
    lines = lines[lines.length > 1].reset_index(drop=True)
    profile = momepy.street_profile(lines, houses, height=houses["height_m"])
    return {
        "openness_share": float(profile["openness"].mean()),
        "height_over_width": float(profile["hw_ratio"].mean()),
        "path_m_per_ha": float(paths.length.sum()) / site.area * 1e4,
        "shaded_path_share": paved.intersection(crowns).area / max(paved.area, 1e-6),
    }


def _carbon(
    found: dict[str, float], houses: gpd.GeoDataFrame, rates: np.ndarray
) -> dict[str, float]:
    """Operation, embodied carbon and trees: areas times factors, in all draws."""
    embodied = factor("emb.a1a5.rc_frame").value / 50
    amounts = np.array(
        [
            60.0 * factor("grid.ember.fi.2024").value * found["gross_floor_area_m2"],
            embodied * found["gross_floor_area_m2"],
            -1.0 * found["tree_share"] * found["site_area_m2"],
        ]
    )
    net = (rates * amounts).sum(axis=1)
    low, middle, high = np.quantile(net, (0.05, 0.5, 0.95))
    return {"net": float(amounts.sum()), "p05": low, "p50": middle, "p95": high, "n": len(houses)}
