"""Windows of real cities, drawn to pixels and traced: what is measured of each, kept on disk.

A city's rows are computed once: a run that is stopped goes on with the next city. Rows that another
version of the tracer left behind do not count.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

import fabricgen.vectorize
from benchmarks.roads import RoadMatch, match_roads
from benchmarks.traced import TRACERS, Match, match, stairs
from fabricgen.errors import InputError
from fabricgen.files import atomic_file
from fabricgen.layout import Frame, Layout
from fabricgen.plan import Plan, layer, rasterize
from fabricgen.quality.descriptors import ALL, describe, table
from fabricgen.quality.reals import Extract, mapped_plan
from fabricgen.vectorize.trace import trace_layout

EDGE_M = 256.0
LEAST_BUILT = 0.05  # share of a window under buildings
TRIES = 200  # places tried for each window that is found
HEIGHTS_KNOWN = 0.6  # share of a city's buildings, for descriptors of heights to count
SEED = 20260101
MEASURES = ("traced", "traced_rows", "roads")  # files whose text says what is measured
OURS = "fabricgen"
MAPPED, WHOLE, PLAIN = "as mapped", "party walls that pixels do not show taken out", "stairs"


def _version() -> str:
    """Of the tracer and of these measures: of the text of their files."""
    folders = (Path(fabricgen.vectorize.__file__).parent, Path(__file__).parent)
    files = [*sorted(folders[0].glob("*.py")), *(folders[1] / f"{n}.py" for n in MEASURES)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:8]


VERSION = _version()  # of what is loaded: files may change while it runs


@dataclass(frozen=True, eq=False)
class Row:
    """One window at one pixel.

    Attributes:
        city: Its source.
        pixel_m: Edge of a pixel.
        matches: Footprints, by tracer.
        roads: Streets.
        told: Descriptors (40,) of the plan as mapped, of the same with party walls that pixels do
            not show taken out, of ours, and of ours with stairs of pixels for footprints.
    """

    city: str
    pixel_m: float
    matches: dict[str, Match]
    roads: RoadMatch
    told: dict[str, np.ndarray]


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


def city_rows(path: Path, count: int, pixel_m: float, work: Path) -> list[Row]:
    """What is measured of a city's windows, or what an earlier run found."""
    name = path.name.split(".")[0]
    kept = work / f"{name}-{count}-{pixel_m:g}-{VERSION}.json"
    if not kept.exists():
        extract = Extract.open(path)
        heights = extract.mapped.buildings
        known = np.isfinite(heights.height_m) | np.isfinite(heights.floors)
        mapped = ALL if known.mean() >= HEIGHTS_KNOWN else ALL - {"heights"}
        plans = windows(extract, count, np.random.default_rng(SEED))
        rows = [_row(name, plan, pixel_m, mapped) for plan in plans]
        work.mkdir(parents=True, exist_ok=True)
        with atomic_file(kept) as part:
            part.write_text(json.dumps([asdict(row) for row in rows], default=_plain), "utf-8")
    return [_read(row) for row in json.loads(kept.read_text(encoding="utf-8"))]


def _plain(value: Any) -> Any:
    return value.tolist()


def _read(row: dict[str, Any]) -> Row:
    told = {name: np.array(values, dtype=np.float64) for name, values in row["told"].items()}
    return Row(
        row["city"], row["pixel_m"],
        {name: Match(**_arrays(one)) for name, one in row["matches"].items()},
        RoadMatch(**row["roads"]), told,
    )  # fmt: skip


def _arrays(match: dict[str, Any]) -> dict[str, Any]:
    arrays = {field.name for field in fields(Match) if "ndarray" in str(field.type)}
    return {name: np.array(v) if name in arrays else v for name, v in match.items()}


def _row(city: str, plan: Plan, pixel_m: float, mapped: frozenset[str]) -> Row:
    west, _, _, north = plan.site.bounds
    pixels = round(EDGE_M / pixel_m)
    frame = Frame(plan.crs, west, north, 0.0, pixel_m, pixels, pixels)
    layout = rasterize(plan, frame)
    whole = replace(plan, buildings=_without_party_walls(plan))
    began = time.perf_counter()
    ours = trace_layout(layout, frame, plan.site)
    seconds = {OURS: time.perf_counter() - began}
    shapes = {OURS: ours.buildings.geometry.to_numpy()}
    for tracer, draw in TRACERS.items():
        began = time.perf_counter()
        shapes[tracer] = draw(layout, frame)
        seconds[tracer] = time.perf_counter() - began
    real = whole.buildings.geometry.to_numpy()
    matches = {
        name: match(real, found, layout, frame, seconds=seconds[name])
        for name, found in shapes.items()
    }
    plain = replace(ours, buildings=_stairs(layout, frame))
    plans = {MAPPED: plan, WHOLE: whole, OURS: ours, PLAIN: plain}
    told = {name: table([describe(one, mapped=mapped)])[0] for name, one in plans.items()}
    return Row(city, pixel_m, matches, match_roads(plan, ours), told)


def _stairs(layout: Layout, frame: Frame) -> gpd.GeoDataFrame:
    """Buildings as the plainest tracer has them, each with the mean height of its pixels."""
    rows = []
    row, col = np.mgrid[: frame.rows, : frame.cols] + 0.5
    place = shapely.points(*frame.to_world(row.ravel(), col.ravel()))
    known = layout.height_known[0].numpy().ravel()
    height_m = layout.height_m[0].numpy().ravel()
    tree = shapely.STRtree(place)
    for shape in stairs(layout, frame):
        own = tree.query(shape, predicate="contains")
        own = own[known[own]]
        told = float(height_m[own].mean()) if len(own) else np.nan
        rows.append({"id": f"b{len(rows)}", "height_m": told, "geometry": shape})
    return layer("buildings", frame.crs, rows)


def _without_party_walls(plan: Plan) -> gpd.GeoDataFrame:
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
