"""Speed of the carbon evaluator and of urban cooling, beside InVEST Urban Cooling.

Tiles are made (`tiles`), soft, with heights, and a state before. The whole evaluator is every
account with its optional parts on: what stands today, several uses, sun on walls and sky over
crowns, basements, power and green on roofs, refrigerants, trips to parks. InVEST runs on the first
tile made hard, with the same table, in the same run, and its temperatures are compared.
"""

from __future__ import annotations

import os
import platform
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.invest import Case, Peer, peer
from benchmarks.meter import bandwidth_bytes_per_s, least, peak_mb
from benchmarks.output import write_json
from benchmarks.tiles import made_tiles
from fabricgen.carbon import evaluate
from fabricgen.carbon.factors import factor
from fabricgen.carbon.measures import Measures
from fabricgen.carbon.microclimate import urban_cooling
from fabricgen.carbon.surroundings import Sunlight
from fabricgen.errors import SettingsError
from fabricgen.surfaces import SURFACES

EDGE_PX = 128
BATCHES = (1, 8, 64)
GROWTH_EDGES_PX = (64, 128, 256, 512)
GROWTH_PIXELS = 2**19  # the batches of all sizes hold as many
REGION = "fi"
USES = {"residential": 0.6, "office": 0.2, "retail": 0.15, "education": 0.05}
EVERYTHING = Measures(
    basement_share=0.3, refurbished_share=0.2, pv_share=0.3, green_roof_share=0.2,
    refrigerants=True, intensive_lawn_share=0.1, meadow_share=0.2, park_access=True,
)  # fmt: skip
COOLING, EVALUATOR, PLAIN = "urban cooling", "whole evaluator", "evaluator without sunlight"
FORWARD, BACKWARD = "forward", "forward+backward"
ET0_MM, T_REF_C, UHI_MAX_K = 5.0, 24.0, 3.0
LAYERS = ("shade", "albedo", "kc", "green_area")

# Bytes per pixel that must be moved however little is computed: every input read once, every output
# written once. Cooling: five float32 layers and a mask in, six maps out. Evaluator: eight shares
# and a height, float32, and two bytes of flags, of the design and (one for all) today's; its output
# is a ledger. Backward: a gradient written per float input, inputs read again.
LEAST_BYTES = {
    (COOLING, FORWARD): 5 * 4 + 1 + 6 * 4,
    (COOLING, BACKWARD): 2 * (5 * 4 + 1) + 6 * 4 + 4 * 4,
    (EVALUATOR, FORWARD): 9 * 4 + 2,
    (EVALUATOR, BACKWARD): 2 * (9 * 4 + 2) + 9 * 4,
}
MARK_COOLING, MARK_EVALUATOR, MARK_BACKWARD = 500, 100, 3.0
MARK_GROWTH = 0.1  # power of the pixels above linear x log; caches and neighbors make as much


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `benchmark.py carbon`."""
    parser.add_argument("--json", type=Path, help="where to write the result")
    parser.add_argument(
        "--invest-python", type=Path, help="a Python that has natcap.invest, if this one has not"
    )
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--seconds", type=float, default=4.0, help="per measurement, at least")
    parser.add_argument("--batches", default="1,8,64", help="numbers of tiles at once")


def run(chosen: Namespace) -> str:
    """Measures, writes the JSON, and returns tables for the terminal."""
    if not 1 <= chosen.threads <= (os.cpu_count() or 1):
        raise SettingsError(f"--threads {chosen.threads}", f"give 1 to {os.cpu_count()}")
    try:
        batches = [int(word) for word in chosen.batches.split(",")]
    except ValueError:
        batches = []
    if not batches or min(batches) < 1:
        raise SettingsError(f"--batches {chosen.batches}", "give numbers, such as 1,8,64")
    torch.set_num_threads(chosen.threads)
    result = measure(batches, seconds=chosen.seconds, invest_python=chosen.invest_python)
    write_json(result, chosen.json)
    return tables(result)


def measure(
    batches: list[int], *, seconds: float, invest_python: Path | None = None
) -> dict[str, Any]:
    """All of it; see `tables`.

    Args:
        batches: Numbers of tiles at once; marks are held against the largest.
        seconds: Each measurement takes at least so long.
        invest_python: As `invest.peer`.
    """
    limit = bandwidth_bytes_per_s(seconds=seconds)
    other, apart_k = _beside_invest(invest_python)
    rows = [
        _row(what, way, batch, seconds, limit, other)
        for what, batch, way in product((COOLING, EVALUATOR, PLAIN), batches, (FORWARD, BACKWARD))
    ]
    growth = [
        _growth(what, edge, seconds) for what in (COOLING, EVALUATOR) for edge in GROWTH_EDGES_PX
    ]
    for row in growth:
        first = next(r for r in growth if (r["what"], r["edge_px"]) == (row["what"], EDGE_PX))
        scale = _cost(row["edge_px"]) / _cost(EDGE_PX)
        row["over_n_log_n"] = row["cpu_us_per_tile"] / first["cpu_us_per_tile"] / scale
    return {
        "machine": {
            "cores": os.cpu_count(), "threads": torch.get_num_threads(), "load": os.getloadavg()[0],
            "torch": torch.__version__, "python": platform.python_version(),
            "bandwidth_gb_per_s": limit / 1e9,
        },
        "tile": {"edge_px": EDGE_PX, "pixel_m": 2.0, "region": REGION, **_distances()},
        "peer": {
            "name": other.name, "same_run": other.same_run, "cpu_s": other.cpu_s,
            "wall_s": other.wall_s, "largest_difference_k": apart_k,
        },
        "speed": rows,
        "growth": growth,
        "marks": _marks(rows, growth, max(batches)),
    }  # fmt: skip


def _distances() -> dict[str, float]:
    """Those of the evaluator's own microclimate."""
    return {
        "cooling_distance_m": factor("ucm.d_cool").value,
        "mixing_distance_m": factor("ucm.r_air").value,
    }


def _table() -> dict[str, np.ndarray]:
    """Columns of the table of Urban Cooling by surface, each (8,) float32."""
    return {
        name: np.array([factor(f"ucm.{name}.{s}").value for s in SURFACES], dtype=np.float32)
        for name in LAYERS
    }


def _weights() -> tuple[float, float, float]:
    shade, albedo, eti = (factor(f"ucm.w_{name}").value for name in ("shade", "albedo", "eti"))
    return shade, albedo, eti


def _beside_invest(python: Path | None) -> tuple[Peer, float | None]:
    """The peer on the first tile made hard, and how far its temperatures are from ours."""
    lulc = made_tiles(1, EDGE_PX).cover.argmax(dim=1)  # (1, rows, cols)
    case = Case(
        lulc=lulc[0].numpy(), **_table(), weights=_weights(), et0_mm=ET0_MM, pixel_m=2.0,
        **_distances(), t_ref_c=T_REF_C, uhi_max_k=UHI_MAX_K, runs=5,
    )  # fmt: skip
    found = peer(case, python)
    if found.t_air_c is None:
        return found, None
    layers = {name: torch.from_numpy(column)[lulc] for name, column in _table().items()}
    ours = _cool(layers, softness=0.0).t_air[0].numpy()
    return found, float(np.abs(ours - found.t_air_c).max())


def _cool(layers: Mapping[str, Tensor], *, softness: float) -> Any:
    plane = layers["shade"]
    return urban_cooling(
        **layers, et0=torch.full_like(plane, ET0_MM), building_intensity=None,
        valid=torch.ones_like(plane, dtype=torch.bool), pixel_m=2.0, t_ref_c=T_REF_C,
        uhi_max_k=UHI_MAX_K, **_distances(), weights=_weights(), softness=softness,
    )  # fmt: skip


def work_of(what: str, way: str, batch: int, edge_px: int) -> Callable[[], Tensor]:
    """One call to measure: what it makes, and with `BACKWARD` its gradients."""
    tiles = made_tiles(batch, edge_px)
    if what == COOLING:
        lulc = tiles.cover.argmax(dim=1)
        inputs = {name: torch.from_numpy(column)[lulc] for name, column in _table().items()}
        softness = 1.0 if way == BACKWARD else 0.0
        return _called(inputs, lambda given: _cool(given, softness=softness).t_air.sum(), way)
    today = made_tiles(1, edge_px, seed=5)
    options = {"region": REGION, "context": today, "use_mix": USES, "measures": EVERYTHING}
    if what == EVALUATOR:
        options["sunlight"] = Sunlight(quick=True)

    def counted(given: Mapping[str, Tensor]) -> Tensor:
        ledger = evaluate(replace(tiles, **given), **options)  # type: ignore[arg-type]
        return (ledger.net_kgco2e_per_year - ledger.avoided_kgco2e_per_year).sum()

    return _called({"cover": tiles.cover, "height_m": tiles.height_m}, counted, way)


def _called(
    inputs: Mapping[str, Tensor], of: Callable[[Mapping[str, Tensor]], Tensor], way: str
) -> Callable[[], Tensor]:
    def forward() -> Tensor:
        with torch.no_grad():
            return of(inputs)

    def both() -> Tensor:
        leaves = {name: layer.detach().requires_grad_() for name, layer in inputs.items()}
        found = of(leaves)
        found.backward()
        return found

    return both if way == BACKWARD else forward


def _row(
    what: str, way: str, batch: int, seconds: float, limit: float, other: Peer
) -> dict[str, Any]:
    work = work_of(what, way, batch, EDGE_PX)
    spent = least(work, seconds=seconds)
    cpu_s, wall_s = spent.cpu_s / batch, spent.wall_s / batch
    per_pixel = LEAST_BYTES[EVALUATOR if what == PLAIN else what, way]
    return {
        "what": what,
        "way": way,
        "batch": batch,
        "tiles_per_s": 1 / wall_s,
        "cpu_ms_per_tile": 1e3 * cpu_s,
        "wall_ms_per_tile": 1e3 * wall_s,
        "peak_mb": peak_mb(work),
        "bandwidth_share": per_pixel * EDGE_PX**2 / wall_s / limit,
        "times_invest_by_cpu": other.cpu_s / cpu_s,
        "times_invest_by_wall": other.wall_s / wall_s,
    }


def _growth(what: str, edge_px: int, seconds: float) -> dict[str, Any]:
    batch = max(1, GROWTH_PIXELS // edge_px**2)
    spent = least(work_of(what, FORWARD, batch, edge_px), seconds=seconds)
    return {"what": what, "edge_px": edge_px, "cpu_us_per_tile": 1e6 * spent.cpu_s / batch}


def _cost(edge_px: int) -> float:
    """Linear x log of the pixels."""
    return edge_px**2 * log2(edge_px**2)


def _marks(
    rows: list[dict[str, Any]], growth: list[dict[str, Any]], batch: int
) -> dict[str, dict[str, Any]]:
    """What was asked, found and held, at the largest batch; beside InVEST in tiles a second."""
    at = {(r["what"], r["way"]): r for r in rows if r["batch"] == batch}
    backward = {
        what: at[what, BACKWARD]["cpu_ms_per_tile"] / at[what, FORWARD]["cpu_ms_per_tile"]
        for what in (COOLING, EVALUATOR)
    }
    found = {
        "urban cooling over InVEST": (at[COOLING, FORWARD], MARK_COOLING),
        "whole evaluator over InVEST": (at[EVALUATOR, FORWARD], MARK_EVALUATOR),
    }
    marks = {
        name: {
            "asked": f">= {mark}", "by_wall": row["times_invest_by_wall"],
            "by_cpu": row["times_invest_by_cpu"], "held": row["times_invest_by_wall"] >= mark,
        }
        for name, (row, mark) in found.items()
    }  # fmt: skip
    for what, ratio in backward.items():
        marks[f"{what}, forward+backward over forward"] = {
            "asked": f"<= {MARK_BACKWARD:g}", "by_cpu": ratio, "held": ratio <= MARK_BACKWARD,
        }  # fmt: skip
        power = _power([row for row in growth if row["what"] == what])
        marks[f"{what}, power of the area above linear x log"] = {
            "asked": f"<= {MARK_GROWTH:g}", "by_cpu": power, "held": power <= MARK_GROWTH,
        }  # fmt: skip
    return marks


def _power(rows: list[dict[str, Any]]) -> float:
    """Slope of what is above linear x log in doubly logarithmic paper, over the pixels."""
    pixels = np.log([row["edge_px"] ** 2 for row in rows])
    return float(np.polyfit(pixels, np.log([row["over_n_log_n"] for row in rows]), 1)[0])


def tables(result: Mapping[str, Any]) -> str:
    """The result as Markdown, the tables in docs."""
    machine, other = result["machine"], result["peer"]
    apart = other["largest_difference_k"]
    same = "in this run" if other["same_run"] else "not in this run"
    lines = [
        f"{machine['threads']} threads of {machine['cores']} cores, load {machine['load']:.1f}; "
        f"a copy moves {machine['bandwidth_gb_per_s']:.1f} GB/s",
        f"{other['name']}: {other['cpu_s']:.3f} s of processor, {other['wall_s']:.3f} s of clock a "
        f"tile, {same}" + ("" if apart is None else f"; temperatures within {apart:.1e} K"),
        "",
        "| what | way | tiles at once | tiles/s | CPU ms/tile | wall ms/tile | peak MB "
        "| of bandwidth | times InVEST, CPU | wall |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in result["speed"]:
        peak = "" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}"
        lines.append(
            f"| {row['what']} | {row['way']} | {row['batch']} | {row['tiles_per_s']:.0f} "
            f"| {row['cpu_ms_per_tile']:.2f} | {row['wall_ms_per_tile']:.2f} | {peak} "
            f"| {row['bandwidth_share']:.2%} | {row['times_invest_by_cpu']:.0f} "
            f"| {row['times_invest_by_wall']:.0f} |"
        )
    lines += [
        "",
        "| what | edge px | CPU ms/tile | over linear x log |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['what']} | {row['edge_px']} | {row['cpu_us_per_tile'] / 1e3:.2f} "
        f"| {row['over_n_log_n']:.2f} |"
        for row in result["growth"]
    ]
    lines += ["", "| mark | asked | by CPU | by wall | held |", "| --- | --- | ---: | ---: | --- |"]
    for name, mark in result["marks"].items():
        by_wall = f"{mark['by_wall']:.0f}" if "by_wall" in mark else ""
        found = f"{mark['by_cpu']:.3g}"
        held = "yes" if mark["held"] else "no"
        lines.append(f"| {name} | {mark['asked']} | {found} | {by_wall} | {held} |")
    return "\n".join(lines)
