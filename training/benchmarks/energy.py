"""The metered check: modelled energy and emissions of buildings against their meters.

Each record becomes a block of its floor area and storeys, the model gets its use and the region,
and nothing else; no factor is fitted to the records.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.meters import Meters, read_meters
from benchmarks.output import write_json
from fabricgen.carbon.envelope import Blocks
from fabricgen.carbon.factors import factor
from fabricgen.carbon.operation import energy_of, operation_rates
from fabricgen.carbon.place import Place, place_for
from fabricgen.carbon.regions import region
from fabricgen.errors import SettingsError

PLAN_PROPORTION = 2.0  # long over short side of a block, for records do not tell their plan
WITHIN = 0.25  # how far a median may be off
TRUSTED = 20  # fewer records than this make a median that says little
SPLITS, SPLIT_SEED = 200, 20160101


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `benchmark.py energy`."""
    parser.add_argument("--records", type=Path, required=True, help="benchmarking table, CSV")
    parser.add_argument("--region", required=True, help="carbon region, such as US-WA")
    parser.add_argument("--json", type=Path, help="where to write the result")
    parser.add_argument("--how", default="hybrid", help="hybrid, archetype or physical")


def run(chosen: Namespace) -> str:
    """Runs the check, writes the JSON, and returns a table for the terminal."""
    result = check(read_meters(chosen.records), chosen.region, how=chosen.how)
    write_json(result, chosen.json)
    return table(result)


def check(meters: Meters, region_name: str, *, how: str = "hybrid") -> dict[str, Any]:
    """Medians by use, metered and modelled.

    Args:
        meters: The records.
        region_name: Whose factors; also turns the metered carriers into emissions.
        how: As `Measures.operation`.

    Raises:
        SettingsError: The region is unknown, or `how`.
    """
    if how not in ("hybrid", "archetype", "physical"):
        raise SettingsError(f"--how {how}", "use hybrid, archetype or physical")
    preset = region(region_name)
    place = place_for(preset, 60, None, 0, 0, torch.float64, torch.device("cpu"))
    uses = [use for use in dict.fromkeys(meters.use.tolist()) if use in preset.eui]
    rows = [_by_use(meters, use, place, how) for use in uses]
    rows.sort(key=lambda row: -row["n"])
    return {
        "region": preset.name,
        "electricity_kgco2e_per_kwh": factor(preset.electricity).value,
        "how": how,
        "records": len(meters),
        "left_out": dict(meters.left_out),
        "by_use": [row for row in rows if row["n"] >= TRUSTED],
        "too_few": [row for row in rows if row["n"] < TRUSTED],
        "unserved_uses": sorted(set(meters.use.tolist()) - set(uses)),
    }


def _by_use(meters: Meters, use: str, place: Place, how: str) -> dict[str, Any]:
    chosen = meters.use == use
    storey_m = factor(f"geom.storey.{use}").value
    blocks = blocks_of(meters.floor_m2[chosen], meters.floors[chosen], storey_m=storey_m)
    mix = {use: 1.0}
    emission = operation_rates(place, tuple(mix.items())).emission
    kwh = {
        carrier: (amount[:, 0] / blocks.floor_m2).numpy()
        for (_, carrier), amount in energy_of(blocks, place, mix, how=how).kwh(blocks).items()
    }
    model = sum(kwh.values())
    model_kg = sum(amount * float(emission[carrier][0]) for carrier, amount in kwh.items())
    metered = meters.site_kwh_per_m2[chosen]
    metered_kg = metered * sum(
        meters.share[carrier][chosen] * float(emission[carrier][0]) for carrier in kwh
    )
    ratio = float(np.median(model) / np.median(metered))
    return {
        "use": use,
        "n": int(chosen.sum()),
        "median_metered_kwh_per_m2": _rounded(np.median(metered)),
        "median_model_kwh_per_m2": _rounded(np.median(model)),
        "median_ratio": _rounded(ratio, 3),
        "within_25_percent": abs(ratio - 1) <= WITHIN,
        "median_metered_kgco2e_per_m2": _rounded(np.median(metered_kg)),
        "median_model_kgco2e_per_m2": _rounded(np.median(model_kg)),
        "median_emission_ratio": _rounded(np.median(model_kg) / np.median(metered_kg), 3),
        "median_reported_kgco2e_per_m2": _rounded(np.median(meters.reported_kgco2e_per_m2[chosen])),
        "ratio_in_random_halves": halves(model, metered),
        "metered_quartiles_kwh_per_m2": [_rounded(q) for q in np.quantile(metered, (0.25, 0.75))],
    }


def blocks_of(floor_m2: np.ndarray, floors: np.ndarray, *, storey_m: float) -> Blocks:
    """A free-standing rectangle for each record, (N,)."""
    footprint = floor_m2 / floors
    short = np.sqrt(footprint / PLAN_PROPORTION)
    height = floors * storey_m
    wall = 2 * (1 + PLAN_PROPORTION) * short * height
    arrays = (wall, footprint, footprint * height, floor_m2)
    return Blocks(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))


def halves(model: np.ndarray, metered: np.ndarray) -> list[float]:
    """5 and 95 % points of the ratio of medians over random halves of the records."""
    rng = np.random.default_rng(SPLIT_SEED)
    count = max(1, len(model) // 2)
    found = []
    for _ in range(SPLITS):
        half = rng.permutation(len(model))[:count]
        found.append(np.median(model[half]) / np.median(metered[half]))
    return [_rounded(point, 3) for point in np.quantile(found, (0.05, 0.95))]


def _rounded(value: Any, digits: int = 1) -> float:
    return round(float(value), digits)


def table(result: Mapping[str, Any]) -> str:
    """The result as a Markdown table, the one in docs."""
    head = (
        "| use | n | metered kWh/m2 | model kWh/m2 | ratio | in random halves "
        "| metered kgCO2e/m2 | model kgCO2e/m2 | ratio |\n"
        "| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: |"
    )
    lines = [
        f"| {row['use']} | {row['n']} | {row['median_metered_kwh_per_m2']} "
        f"| {row['median_model_kwh_per_m2']} | {row['median_ratio']:.2f} "
        f"| {row['ratio_in_random_halves'][0]:.2f} to {row['ratio_in_random_halves'][1]:.2f} "
        f"| {row['median_metered_kgco2e_per_m2']} | {row['median_model_kgco2e_per_m2']} "
        f"| {row['median_emission_ratio']:.2f} |"
        for row in (*result["by_use"], *result["too_few"])
    ]
    return "\n".join([head, *lines])
