"""Every computed expectation for air temperature and for runoff, from the table of expectations."""

import csv
from functools import lru_cache
from pathlib import Path

import pytest
import torch

from fabricgen.carbon.factors import factor
from fabricgen.carbon.microclimate import urban_cooling, wet_bulb_globe_c
from fabricgen.carbon.microclimate_reach import Reach, weight_sum, weighted_sum
from fabricgen.carbon.water import runoff_mm
from fabricgen.surfaces import BUILDING, ROAD, SURFACES, TREE

TABLE = Path(__file__).parents[1] / "golden" / "carbon" / "check-values.csv"
ROWS = [
    row for row in csv.DictReader(TABLE.read_text().splitlines()) if row["section"] in ("8", "10")
]


def cooled(labels, **numbers):
    """Urban cooling of surface labels with the central factors and even evapotranspiration."""
    layers = {
        what: torch.tensor(
            [factor(f"ucm.{what}.{surface}").value for surface in SURFACES], dtype=torch.float64
        )[labels]
        for what in ("shade", "kc", "albedo", "green_area")
    }
    return urban_cooling(
        **layers,
        building_intensity=None,
        et0=torch.ones_like(layers["kc"]),
        valid=torch.ones_like(labels, dtype=torch.bool),
        **numbers,
    )


@lru_cache(maxsize=1)
def case60():
    row, col = torch.meshgrid(torch.arange(60), torch.arange(60), indexing="ij")
    labels = torch.where((row + col) % 2 == 0, BUILDING, ROAD)
    labels[20:40, 20:40] = TREE
    return cooled(
        labels[None],
        pixel_m=30.0,
        t_ref_c=28.5,
        uhi_max_k=3.5,
        cooling_distance_m=450.0,
        mixing_distance_m=550.0,
    )


def capacity(surface):
    labels = torch.full((1, 1, 1), SURFACES.index(surface))
    numbers = dict.fromkeys(
        ("pixel_m", "t_ref_c", "uhi_max_k", "cooling_distance_m", "mixing_distance_m"), 1.0
    )
    return cooled(labels, **numbers).cc


def central_mass(distance_m):
    of = Reach(distance_m // 10, decays=True)
    ones = torch.ones(1, 27, 27, dtype=torch.float64)
    return weighted_sum(ones, of)[0, 13, 13] / weight_sum(of)


def computed(name):
    head, *rest = name.split(".")
    if head == "scs":
        rain, number = (float(text.lstrip("pcn")) for text in rest[1:])
        return runoff_mm(torch.tensor(number, dtype=torch.float64), rain)
    if rest[0] == "wbgt":
        warm, wet = (float(text.lstrip("trh")) for text in rest[1:])
        return wet_bulb_globe_c(torch.tensor(warm, dtype=torch.float64), wet)
    if rest[0] == "cc":
        return capacity(rest[1])
    if rest[0] == "kernel_mass":
        return central_mass(int(rest[1].lstrip("r")))
    field, which = rest[1].rsplit("_", 1)
    found = getattr(
        case60(), {"park": "cc_park", "ga": "green_area_sum", "t_nomix": "t_air_nomix"}.get(field, field)
    )  # fmt: skip
    return {
        "mean": found.mean, "max": found.max, "min": found.min, "corner": lambda: found[0, 0, 0]
    }[which]()  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_the_expectation_holds(row):
    tolerance = float(row["abs_tol"]) + float(row["rel_tol"]) * abs(float(row["expected"]))
    assert abs(float(computed(row["id"])) - float(row["expected"])) <= tolerance


def test_the_table_has_all_its_rows():
    assert len(ROWS) == 42
