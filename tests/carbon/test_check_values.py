"""Every computed expectation for form, vegetation and buildings, from one table."""

import csv
from pathlib import Path

import pytest
import torch

from fabricgen.carbon import envelope
from fabricgen.carbon.cohort import Growth, cohort
from fabricgen.form.fields import crofton

TABLE = Path(__file__).parents[1] / "golden" / "carbon" / "check-values.csv"
ROWS = [
    row
    for row in csv.DictReader(TABLE.read_text().splitlines())
    if row["section"] in ("1", "4", "5", "6")
]


def number(value):
    return torch.tensor([value], dtype=torch.float64)


def stand(years):
    growth = Growth(*(number(v) for v in (0.06, 1.3, 30, 0.1, 1.25, 7.69, 0.05, 0.025, 8)))
    return cohort(growth, years)


def loss(wall=1.0, window=2.5, roof=0.4, ground=1.0, air=0.5):
    return envelope.heat_loss(
        envelope.Envelope(*(number(v) for v in (wall, window, roof, ground, 0.5, 0.1, 0.3, air)))
    )


def reference(of, *, volume=True):
    areas = (envelope.REFERENCE_WALL_M2, envelope.REFERENCE_ROOF_M2)
    cubic = envelope.REFERENCE_VOLUME_M3 if volume else 0.0
    return float(of.over(envelope.Blocks(*(number(v) for v in (*areas, cubic, 4320.0)))))


def heating_kwh_per_m2(of, degree_days):
    need = envelope.heating_need_kwh(of.of_reference(), number(degree_days), number(1.0))
    return float(need)


def house_ratio():
    form = envelope.Blocks(*(number(v) for v in (240.0, 100.0, 600.0, 200.0)))
    house = loss().over(form)
    return float(house / 200 / loss().of_reference())


def wall(block):
    field = torch.zeros(1, 128, 128, dtype=torch.float64)
    field[0][block] = 18.0
    return float(crofton(field, 2.0, smooth=0.0).sum())


def band():
    at = torch.arange(128) - 63.5
    return (at[:, None] + at[None, :]).abs() <= 20


def square(width):
    block = torch.zeros(128, 128, dtype=torch.bool)
    block[40:60, 40 : 40 + width] = True
    return block


def computed(name):
    if name.startswith("veg.cohort.netmean"):
        years = int(name.rsplit(".", 1)[1])
        return float((stand(years).stock[-1] - stand(years).stock[0]) / years)
    if name.startswith("veg.cohort"):
        _, _, what, year = name.split(".")
        course = {"K": stand(60).stock, "C": stand(60).canopy}[what]
        return float(course[int(year[1:])])
    harbin = loss(wall=0.35, window=1.8, roof=0.2, ground=0.5)
    return {
        "bldg.ref.HT": lambda: reference(loss(), volume=False),
        "bldg.ref.HV": lambda: reference(loss()) - reference(loss(), volume=False),
        "bldg.ref.QH": lambda: heating_kwh_per_m2(loss(), 1500.0),
        "bldg.harbin.QH": lambda: heating_kwh_per_m2(harbin, 4900.0),
        "bldg.house.rH": house_ratio,
        "bldg.ref.SV": lambda: (
            (envelope.REFERENCE_WALL_M2 + envelope.REFERENCE_ROOF_M2) / envelope.REFERENCE_VOLUME_M3
        ),
        "geom.wall.square40": lambda: wall(square(20)),
        "geom.wall.pair": lambda: wall(square(40)),
        "geom.wall.diamond": lambda: wall(band()),
    }[name]()


@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_the_expectation_holds(row):
    tolerance = float(row["abs_tol"]) + float(row["rel_tol"]) * abs(float(row["expected"]))
    assert abs(computed(row["id"]) - float(row["expected"])) <= tolerance


def test_the_table_has_all_its_rows():
    assert len(ROWS) == 24
