"""Do the ways to score one place agree: the plan, and the rasters that are made of it?

Real tiles become plans: buildings, streets and ground of a window of a tile store, drawn as
vectors. Each plan is scored as `fabricgen score` does it, then as GeoTIFFs that are written, read
back and scored, all with the same paved lot as the state before, so that every account has
something to count. Plans out of files can take the tiles' place.
"""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import torch

from benchmarks.output import write_json
from fabricgen.carbon import Ledger, evaluate
from fabricgen.carbon.uncertainty import hardening_gap
from fabricgen.city.store import TileStore
from fabricgen.city.window import Window
from fabricgen.design.candidates import frame_of
from fabricgen.errors import InputError, SettingsError
from fabricgen.exchange import read_drawn, read_geotiff, write_geotiff
from fabricgen.layout import Frame, Layout, harden
from fabricgen.plan import Plan, rasterize
from fabricgen.surfaces import BIT, GRASS, PAVED, SHRUB, TREE
from fabricgen.vectorize import vectorize

WINDOW_PX, PIXEL_M = 128, 2.0
RING_M = 40.0  # of a window around its site
LEAST_BUILT = 0.1  # share of a window under buildings
PATCH_PX = 8  # of what stands in for ground that nobody mapped
UNMAPPED = ((TREE, 0.2), (SHRUB, 0.1), (PAVED, 0.35), (GRASS, 0.35))
WITHIN = 0.03  # what raster and vector may differ in a component
GAP_WITHIN = 0.02  # what hardening may change
LEAST_OF_MEAN = (
    0.05  # a tile with less of a component than that of the mean tile says nothing of it
)


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `benchmark.py agreement`."""
    parser.add_argument("--store", type=Path, help="tile store, or a folder of stores")
    parser.add_argument("--plans", type=Path, nargs="+", help="plans in files, not tiles")
    parser.add_argument("--tiles", type=int, default=50, help="how many tiles of the store")
    parser.add_argument("--region", default="fi", help="carbon region")
    parser.add_argument("--json", type=Path, help="where to write the result")


def run(chosen: Namespace) -> str:
    """Compares, writes the JSON, and returns tables for the terminal."""
    if (chosen.store is None) == (chosen.plans is None):
        raise SettingsError("neither --store nor --plans, or both", "give one of them")
    if chosen.tiles < 1:
        raise SettingsError(f"--tiles {chosen.tiles}", "give 1 or more")
    if chosen.plans is None:
        plans = dict(real_plans(TileStore.open(chosen.store), chosen.tiles))
    else:
        plans = _read(chosen.plans)
    result = compare(plans, chosen.region)
    write_json(result, chosen.json)
    return tables(result)


def _read(paths: Sequence[Path]) -> dict[str, Plan]:
    drawn = {f"{path.stem} {name}": one for path in paths for name, one in read_drawn(path).items()}
    plans = {name: one for name, one in drawn.items() if isinstance(one, Plan)}
    if len(plans) < len(drawn):
        raise InputError("--plans: a raster is no plan", "give GeoPackages")
    return plans


def real_plans(store: TileStore, count: int, *, seed: int = 3) -> Iterator[tuple[str, Plan]]:
    """Windows of real cities as plans, one city after the other, drawn at random in each.

    Raises:
        InputError: No city of the store has a built window.
    """
    rng = np.random.default_rng(seed)
    windows: dict[str, list[int]] = {}
    for city in store.cities():
        built = np.flatnonzero(store.index(city)["surface_share_building"] >= LEAST_BUILT)
        if len(built):
            windows[city] = rng.permutation(built).tolist()
    if not windows:
        raise InputError("no window of the store has buildings", "give another store")
    for turn in range(count):
        city = list(windows)[turn % len(windows)]
        at = windows[city][turn // len(windows) % len(windows[city])]
        index = store.index(city)
        window = store.window(
            city, float(index["x_m"][at]), float(index["y_m"][at]),
            float(index["wall_angle_deg"][at]), rows=WINDOW_PX, cols=WINDOW_PX, pixel_m=PIXEL_M,
        )  # fmt: skip
        yield f"{city} {at}", plan_of(window, rng)


def plan_of(window: Window, rng: np.random.Generator) -> Plan:
    """What stands in the middle of a window as a plan; ground that is open is filled in patches."""
    frame = window.frame
    edge_m = frame.cols * frame.pixel_m - RING_M
    square = shapely.box(RING_M, RING_M, edge_m, edge_m)  # in the window's (u, v)
    u, v = shapely.get_coordinates(square).T
    site = shapely.Polygon(np.column_stack(frame.to_world(v / frame.pixel_m, u / frame.pixel_m)))
    here = shapely.contains_xy(square, window.boxes[:, 0], window.boxes[:, 1])
    return vectorize(
        boxes=window.boxes[here],
        segments=window.segments,
        ground=_ground(window.labels, rng),
        frame=frame,
        site=site,
        context_segments=_beyond(window.segments, square),
    )


def _beyond(segments: np.ndarray, square: shapely.Polygon) -> np.ndarray:
    """The pieces of street that lie outside the site, (N, 6)."""
    found = []
    for row in segments:
        outside = shapely.LineString(row[:4].reshape(2, 2)).difference(square)
        for piece in shapely.get_parts(outside):
            ends = shapely.get_coordinates(piece)
            if len(ends) > 1:
                found.append([*ends[0], *ends[-1], row[4], row[5]])
    return np.array(found).reshape(-1, 6)


def _ground(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One surface per pixel, (rows, cols) uint8."""
    kinds, chances = zip(*UNMAPPED, strict=True)
    patches = rng.choice(kinds, p=chances, size=[ceil(n / PATCH_PX) for n in labels.shape])
    rows, cols = labels.shape
    ground = np.kron(patches, np.ones((PATCH_PX, PATCH_PX), dtype=int))[:rows, :cols]
    for surface, bit in enumerate(BIT):
        ground[labels == bit] = surface
    return ground.astype(np.uint8)


def compare(plans: Mapping[str, Plan], region: str) -> dict[str, Any]:
    """Every plan as drawn and as rasters, by component.

    Args:
        plans: By name.
        region: Whose factors.

    Returns:
        `by_form`: for each kind of raster, rows of component, number of tiles that have enough of
        it, difference of the sums, median and 90 % point of the tiles' differences, and share of
        tiles within 3 %. `hardening`: of the plan's own raster, by tile.
    """
    amounts: dict[str, list[dict[str, float]]] = defaultdict(list)
    gaps = {}
    for name, plan in plans.items():
        frame = frame_of(plan)
        drawn = rasterize(plan, frame)
        amounts["plan"].append(_components(drawn, region))
        for form, raster in rasters_of(plan, frame).items():
            amounts[form].append(_components(raster, region))
        seen = drawn.allowed > 0
        gap = hardening_gap(drawn, region=region, inside=seen, context=_paved_lot(drawn))[0]
        gaps[name] = gap.net
    exact = amounts.pop("plan")
    return {
        "region": region,
        "plans": list(plans),
        "by_form": {form: _apart(found, exact) for form, found in amounts.items()},
        "hardening": gaps,
    }


def rasters_of(plan: Plan, frame: Frame) -> dict[str, Layout]:
    """GeoTIFFs of a plan, written and read back: ours, and plain labels of two resolutions."""
    coarse = replace(
        frame, pixel_m=PIXEL_M,
        rows=ceil(frame.rows * frame.pixel_m / PIXEL_M),
        cols=ceil(frame.cols * frame.pixel_m / PIXEL_M),
    )  # fmt: skip
    layouts = {
        "GeoTIFF of generate, 2 m": (rasterize(plan, coarse), coarse),
        "labels, 2 m": (harden(rasterize(plan, coarse)), coarse),
        "labels, 1 m": (harden(rasterize(plan, frame)), frame),
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plan.tif"
        found = {}
        for form, (layout, grid) in layouts.items():
            write_geotiff(layout, grid, file)
            found[form] = read_geotiff(file).layout
    return found


def _paved_lot(layout: Layout) -> Layout:
    """The same place, all of it paved."""
    seen = layout.allowed > 0
    cover = torch.zeros_like(layout.cover)
    cover[:, PAVED] = seen.to(cover)
    allowed = torch.where(seen, BIT[PAVED], 0).to(torch.uint8)
    none = torch.zeros_like(layout.height_known)
    return Layout(cover, torch.zeros_like(layout.height_m), allowed, none, layout.pixel_m)


def _components(layout: Layout, region: str) -> dict[str, float]:
    """Amounts of a layout by component, the first two words of a flow's name."""
    with torch.no_grad():
        ledger: Ledger = evaluate(
            layout, region=region, inside=layout.allowed > 0, context=_paved_lot(layout)
        )
    found: dict[str, float] = defaultdict(float)
    for entry in ledger.entries:
        found[".".join(entry.name.split(".")[:2])] += float(entry.amount)
    return found


def _apart(
    found: Sequence[Mapping[str, float]], exact: Sequence[Mapping[str, float]]
) -> list[dict[str, Any]]:
    rows = []
    for component in dict.fromkeys(name for one in exact for name in one):
        a, b = (np.array([one.get(component, 0.0) for one in all_]) for all_ in (exact, found))
        enough = np.abs(a) >= LEAST_OF_MEAN * np.abs(a).mean()
        enough &= a != 0
        if not enough.any():
            continue
        apart = np.abs(b - a)[enough] / np.abs(a)[enough]
        rows.append(
            {
                "component": component,
                "n": int(enough.sum()),
                "of_sums": float(b.sum() / a.sum() - 1),
                "median": float(np.median(apart)),
                "p90": float(np.quantile(apart, 0.9)),
                "within_3_percent": float((apart <= WITHIN).mean()),
            }
        )
    return rows


def tables(result: Mapping[str, Any]) -> str:
    """The result as Markdown, the tables in docs."""
    forms = result["by_form"]
    lines = [
        f"{len(result['plans'])} plans, region {result['region']}: sum over all / median / 90 % "
        "point of a tile's difference to the plan, and share of tiles within 3 %",
        "",
        "| component | n | " + " | ".join(forms) + " |",
        "| --- | ---: |" + " ---: |" * len(forms),
    ]
    by_component = zip(*forms.values(), strict=True)
    for rows in by_component:
        cells = [
            f"{row['of_sums']:+.1%} / {row['median']:.1%} / {row['p90']:.1%}, "
            f"{row['within_3_percent']:.0%}"
            for row in rows
        ]
        lines.append(f"| {rows[0]['component']} | {rows[0]['n']} | " + " | ".join(cells) + " |")
    gaps = np.array(list(result["hardening"].values()))
    lines += [
        "",
        f"hardening changes net by {np.median(gaps):.2%} of gross flows in the median plan, "
        f"{gaps.max():.2%} at most; within 2 %: {(gaps <= GAP_WITHIN).sum()} of {len(gaps)}",
    ]
    return "\n".join(lines)
