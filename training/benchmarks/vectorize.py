"""How well rasters come back as plans: real windows drawn to pixels, traced, and compared.

Windows of cities are read as mapped, drawn at the resolution of the model, traced, and held against
the mapped polygons and lines. The tracer of buildingregulariser (`pip install 'fabricgen[morph]'`)
has the same pixels. Descriptors of both sides, and a classifier that tries to tell them apart, say
what gives a traced plan away.

A run that is stopped goes on: finished cities stay in the folder of `--work`.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.output import write_json
from benchmarks.roads import RoadMatch
from benchmarks.traced import Match
from benchmarks.traced_rows import EDGE_M, MAPPED, OURS, PLAIN, SEED, WHOLE, Row, city_rows
from fabricgen.errors import SettingsError
from fabricgen.quality.c2st import c2st
from fabricgen.quality.descriptors import KEYS
from fabricgen.quality.distances import w1_by_key

JOINED = ("bld.joined", "bld.count_ha", "bld.corners")  # what party walls decide
MOST_ROWS = 400  # of the classifier, thinned evenly
PAIRS = ((OURS, MAPPED), (OURS, WHOLE), (PLAIN, MAPPED), (PLAIN, WHOLE))


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
    parser.add_argument("--work", type=Path, default=Path("outputs/vectorize"), help="folder")
    parser.add_argument("--json", type=Path, help="where to write the result")


def run(chosen: Namespace) -> str:
    """Traces and compares, writes the JSON, and returns tables for the terminal."""
    if chosen.windows < len(chosen.sources) or min(chosen.pixel) <= 0:
        raise SettingsError("--windows or --pixel too small", "give a window a source, and meters")
    count = -(-chosen.windows // len(chosen.sources))
    jobs = [(path, count, pixel, chosen.work) for pixel in chosen.pixel for path in chosen.sources]
    with ProcessPoolExecutor(chosen.workers) as pool:
        found = [row for rows in pool.map(city_rows, *zip(*jobs, strict=True)) for row in rows]
    result = {
        str(pixel): _summary([r for r in found if r.pixel_m == pixel]) for pixel in chosen.pixel
    }
    write_json(result, chosen.json)
    return "\n\n".join(_tables(pixel, one) for pixel, one in result.items())


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Figures of all windows of one pixel."""
    by_city: dict[str, list[Row]] = {}
    for row in rows:
        by_city.setdefault(row.city, []).append(row)
    return {
        "windows": len(rows),
        "tracers": {
            name: Match.summary([row.matches[name] for row in rows]) for name in rows[0].matches
        },
        "cities": {
            city: Match.summary([row.matches[OURS] for row in own]) for city, own in by_city.items()
        },
        "roads": {"all": RoadMatch.summary([row.roads for row in rows])}
        | {city: RoadMatch.summary([row.roads for row in own]) for city, own in by_city.items()},
        "told": {f"{one} against {other}": _told(rows, one, other) for one, other in PAIRS},
        "means": {
            key: {name: _mean(rows, name, key) for name in (MAPPED, WHOLE, OURS)} for key in JOINED
        },
    }


def _mean(rows: Sequence[Row], name: str, key: str) -> float:
    """Mean of a descriptor over the windows that have it, as it is compared."""
    return float(np.nanmean([row.told[name][list(KEYS).index(key)] for row in rows]))


def _told(rows: Sequence[Row], one: str, other: str) -> dict[str, Any]:
    """Whether descriptors tell one plan of each window from another."""
    rows = [rows[k] for k in np.unique(np.linspace(0, len(rows) - 1, MOST_ROWS).astype(int))]
    found, real = (np.array([row.told[name] for row in rows]) for name in (one, other))
    sites = np.arange(len(rows))
    rng = np.random.default_rng(SEED)
    test = c2st(real, found, list(KEYS), sites=(sites, sites), rng=rng)
    moved = w1_by_key(found, real, list(KEYS))
    return {
        "windows": len(rows),
        "c2st": test.accuracy,
        "c2st_se": test.se,
        "c2st_top": list(test.top),
        "w1_mean": float(np.mean(list(moved.values()))) if moved else float("nan"),
        "w1": dict(sorted(moved.items(), key=lambda item: -item[1])),
    }


def _tables(pixel: str, result: Mapping[str, Any]) -> str:
    lines = [f"{result['windows']} windows of {EDGE_M:.0f} m, pixels of {pixel} m", ""]
    lines += [*_table(result["tracers"] | result["cities"]), "", *_table(result["roads"]), ""]
    lines += ["| descriptors of | C2ST | by | W1/sd | most |", "| --- | --: | --- | --: | --- |"]
    for name, told in result["told"].items():
        top = ", ".join(f"{key} {fall:.3f}" for key, fall in told["c2st_top"])
        worst = ", ".join(f"{key} {value:.2f}" for key, value in list(told["w1"].items())[:6])
        lines.append(
            f"| {name} | {told['c2st']:.3f} ± {told['c2st_se']:.3f} | {top} "
            f"| {told['w1_mean']:.3f} | {worst} |"
        )
    lines += ["", *_table(result["means"])]
    return "\n".join(lines)


def _table(rows: Mapping[str, Mapping[str, float]]) -> list[str]:
    names = list(next(iter(rows.values())))
    lines = ["| | " + " | ".join(names) + " |", "| --- |" + " --: |" * len(names)]
    for name, row in rows.items():
        lines.append(f"| {name} | " + " | ".join(f"{row[n]:.4g}" for n in names) + " |")
    return lines
