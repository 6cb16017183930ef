"""How well rasters come back as plans: real windows drawn to pixels, traced, and compared.

Windows of cities are read as mapped, drawn at the resolution of the model, traced, and held against
the mapped polygons. The tracer of buildingregulariser (`pip install 'fabricgen[morph]'`) has the
same pixels. Descriptors of both sides, and a classifier that tries to tell them apart, say what
gives a traced plan away.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from benchmarks.output import write_json
from benchmarks.traced import TRACERS, Match, match
from fabricgen.errors import InputError, SettingsError
from fabricgen.layout import Frame
from fabricgen.plan import Plan, layer, rasterize
from fabricgen.quality.c2st import c2st
from fabricgen.quality.descriptors import ALL, KEYS, describe, table
from fabricgen.quality.distances import w1_by_key
from fabricgen.quality.reals import Extract, mapped_plan
from fabricgen.vectorize.trace import trace_layout

EDGE_M = 256.0
LEAST_BUILT = 0.05  # share of a window under buildings
TRIES = 200  # places tried for each window that is found
HEIGHTS_KNOWN = 0.6  # share of a city's buildings, for descriptors of heights to count
SEED = 20260101


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `benchmark.py vectorize`."""
    parser.add_argument(
        "--sources", type=Path, nargs="+", required=True,
        help="city extracts: .osm.pbf, .gpkg, folders of GeoParquet layers",
    )  # fmt: skip
    parser.add_argument("--windows", type=int, default=500, help="of all sources together")
    parser.add_argument(
        "--pixel", type=float, nargs="+", default=[2.0, 1.0], help="edges in meters"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--json", type=Path, help="where to write the result")


def run(chosen: Namespace) -> str:
    """Traces and compares, writes the JSON, and returns tables for the terminal."""
    if chosen.windows < len(chosen.sources) or min(chosen.pixel) <= 0:
        raise SettingsError("--windows or --pixel too small", "give a window a source, and meters")
    count = -(-chosen.windows // len(chosen.sources))
    jobs = [(path, count, pixel) for pixel in chosen.pixel for path in chosen.sources]
    with ProcessPoolExecutor(chosen.workers) as pool:
        found = [row for rows in pool.map(_city, jobs) for row in rows]
    result = {
        str(pixel): _summary([r for r in found if r.pixel_m == pixel]) for pixel in chosen.pixel
    }
    write_json(result, chosen.json)
    return "\n\n".join(_tables(pixel, one) for pixel, one in result.items())


@dataclass(frozen=True, eq=False)
class Row:
    """One window at one pixel."""

    city: str
    pixel_m: float
    matches: dict[str, Match]  # by tracer
    mapped: np.ndarray  # descriptors as mapped
    whole: np.ndarray  # the same with party walls that pixels cannot show taken out
    traced: np.ndarray


def windows(extract: Extract, count: int, rng: np.random.Generator) -> Iterator[Plan]:
    """Squares of a city at random places, with north up, that are built.

    Raises:
        InputError: There are too few.
    """
    m = extract.mapped
    shapely.prepare(m.clip)
    west, south, east, north = m.clip.bounds
    found = 0
    for _ in range(TRIES * count):
        x, y = rng.uniform((west, south), (east - EDGE_M, north - EDGE_M))
        site = shapely.box(x, y, x + EDGE_M, y + EDGE_M)
        if not shapely.covers(m.clip, site):
            continue
        plan = mapped_plan(extract, site)
        if shapely.union_all(plan.buildings.geometry).area < LEAST_BUILT * site.area:
            continue
        yield plan
        found += 1
        if found == count:
            return
    raise InputError(f"{found} of {count} windows are built", "give fewer, or a larger extract")


def _city(job: tuple[Path, int, float]) -> list[Row]:
    path, count, pixel_m = job
    extract = Extract.open(path)
    heights = extract.mapped.buildings
    known = np.isfinite(heights.height_m) | np.isfinite(heights.floors)
    mapped = ALL if known.mean() >= HEIGHTS_KNOWN else ALL - {"heights"}
    rng = np.random.default_rng(SEED)
    name = path.name.split(".")[0]
    return [_row(name, plan, pixel_m, mapped) for plan in windows(extract, count, rng)]


def _row(city: str, plan: Plan, pixel_m: float, mapped: frozenset[str]) -> Row:
    west, _, _, north = plan.site.bounds
    pixels = round(EDGE_M / pixel_m)
    frame = Frame(plan.crs, west, north, 0.0, pixel_m, pixels, pixels)
    layout = rasterize(plan, frame)
    whole = replace(plan, buildings=_without_party_walls(plan))
    began = time.perf_counter()
    ours = trace_layout(layout, frame, plan.site)
    seconds = {"fabricgen": time.perf_counter() - began}
    shapes = {"fabricgen": ours.buildings.geometry.to_numpy()}
    for tracer, draw in TRACERS.items():
        began = time.perf_counter()
        shapes[tracer] = draw(layout, frame)
        seconds[tracer] = time.perf_counter() - began
    real = whole.buildings.geometry.to_numpy()
    matches = {
        name: match(real, found, layout, frame, seconds=seconds[name])
        for name, found in shapes.items()
    }
    told = (describe(one, mapped=mapped) for one in (plan, whole, ours))
    return Row(city, pixel_m, matches, *(table([one])[0] for one in told))


def _without_party_walls(plan: Plan) -> Any:
    """Buildings with those joined that touch and have one height: pixels show no wall there."""
    height_m = plan.buildings["height_m"].to_numpy()
    group = np.where(np.isnan(height_m), -1.0, np.round(height_m, 1))
    shapes = plan.buildings.geometry.to_numpy()
    rows: list[dict] = []
    for value in np.unique(group):
        joined = shapely.union_all(shapes[group == value], grid_size=0.01)
        for part in shapely.get_parts(joined):
            if part.geom_type == "Polygon":
                known = value if value > 0 else np.nan
                rows.append({"id": f"b{len(rows)}", "height_m": known, "geometry": part})
    return layer("buildings", plan.crs, rows)


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Figures of all windows of one pixel."""
    tracers = {name: Match.summary([row.matches[name] for row in rows]) for name in rows[0].matches}
    by_city = {
        city: Match.summary([row.matches["fabricgen"] for row in rows if row.city == city])
        for city in dict.fromkeys(row.city for row in rows)
    }
    told = {
        "as mapped": _told(np.array([row.mapped for row in rows]), rows),
        "party walls that pixels do not show taken out": _told(
            np.array([row.whole for row in rows]), rows
        ),
    }
    return {"windows": len(rows), "tracers": tracers, "cities": by_city, "told": told}


def _told(real: np.ndarray, rows: Sequence[Row]) -> dict[str, Any]:
    found = np.array([row.traced for row in rows])
    sites = np.arange(len(rows))
    rng = np.random.default_rng(SEED)
    test = c2st(real, found, list(KEYS), sites=(sites, sites), rng=rng)
    moved = w1_by_key(found, real, list(KEYS))
    worst = sorted(moved.items(), key=lambda item: -item[1])
    return {
        "c2st": test.accuracy,
        "c2st_se": test.se,
        "c2st_top": list(test.top),
        "w1_mean": float(np.mean(list(moved.values()))),
        "w1": dict(worst),
    }


def _tables(pixel: str, result: Mapping[str, Any]) -> str:
    names = list(next(iter(result["tracers"].values())))
    lines = [f"{result['windows']} windows of {EDGE_M:.0f} m, pixels of {pixel} m", ""]
    lines.append("| | " + " | ".join(names) + " |")
    lines.append("| --- |" + " --: |" * len(names))
    for group in ("tracers", "cities"):
        for name, row in result[group].items():
            lines.append(f"| {name} | " + " | ".join(f"{row[n]:.4g}" for n in names) + " |")
    for name, told in result["told"].items():
        top = ", ".join(f"{key} {fall:.3f}" for key, fall in told["c2st_top"])
        worst = ", ".join(f"{key} {value:.2f}" for key, value in list(told["w1"].items())[:6])
        lines += [
            "",
            f"Against plans {name}: C2ST {told['c2st']:.3f} ± {told['c2st_se']:.3f} ({top}); "
            f"W1/sd {told['w1_mean']:.3f} ({worst})",
        ]
    return "\n".join(lines)
