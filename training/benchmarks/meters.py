"""Metered energy of buildings, read from a city's benchmarking file.

The columns are those of Seattle's Building Energy Benchmarking (data set 2bpz-gwpy), which other
cities of the United States share in the main: areas in square feet, energy in kBtu a year.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fabricgen.errors import FormatError

M2_PER_SQFT = 0.09290304
KWH_PER_KBTU = 0.29307107
KWH_PER_M2 = KWH_PER_KBTU / M2_PER_SQFT  # of kBtu per square foot
KG_PER_T = 1000.0

# The evaluator's use of each property type. A type stands here only where the evaluator's row of
# that use is of buildings of that very kind: colleges are no schools, malls and supermarkets no
# retail stores. All others are left out and counted.
USE_OF = {
    "Multifamily Housing": "residential",
    "Office": "office",
    "Financial Office": "office",
    "Retail Store": "retail",
    "Hotel": "hotel",
    "Hospital (General Medical & Surgical)": "hospital",
    "K-12 School": "education",
    "Pre-school/Daycare": "education",
    "Non-Refrigerated Warehouse": "industrial",
    "Distribution Center": "industrial",
    "Self-Storage Facility": "industrial",
}
NUMBERS = {
    "floors": "NumberofFloors",
    "floor_sqft": "PropertyGFABuilding(s)",
    "site_kbtu_per_sqft": "SiteEUI(kBtu/sf)",
    "site_kbtu": "SiteEnergyUse(kBtu)",
    "electricity_kbtu": "Electricity(kBtu)",
    "gas_kbtu": "NaturalGas(kBtu)",
    "heat_kbtu": "SteamUse(kBtu)",
    "reported_tco2e": "TotalGHGEmissions",
}
TEXTS = ("LargestPropertyUseType", "ComplianceStatus", "Outlier")


@dataclass(frozen=True)
class Meters:
    """Buildings with a year of metered energy, arrays (N,).

    Attributes:
        use: Use of the evaluator.
        floor_m2: Gross floor area without parking.
        floors: Storeys.
        site_kwh_per_m2: All energy that the building bought, per floor area as the city counts it.
        share: By carrier (electricity, gas, heat), its share in that energy.
        reported_kgco2e_per_m2: Emissions as the city states them, with its own factors.
        left_out: Number of rows left out, by reason.
    """

    use: np.ndarray
    floor_m2: np.ndarray
    floors: np.ndarray
    site_kwh_per_m2: np.ndarray
    share: Mapping[str, np.ndarray]
    reported_kgco2e_per_m2: np.ndarray
    left_out: Mapping[str, int]

    def __len__(self) -> int:
        """Number of buildings."""
        return len(self.use)


def read_meters(path: Path) -> Meters:
    """Reads a benchmarking file; rows that the city itself doubts are left out and counted.

    Raises:
        FormatError: The file cannot be read, lacks a column, or holds no usable row.
    """
    left_out: Counter[str] = Counter()
    rows: list[tuple[str, dict[str, float]]] = []
    for line, row in enumerate(_rows(path), start=2):
        reason = _doubt(row)
        numbers = {} if reason else {k: _number(row[c], path, line, c) for k, c in NUMBERS.items()}
        reason = reason or _gap(numbers)
        if reason:
            left_out[reason] += 1
        else:
            rows.append((USE_OF[row["LargestPropertyUseType"].strip()], numbers))
    if not rows:
        raise FormatError(f"{path.name}: no row can be used", "see docs/metered-check.md for why")
    column = {key: np.array([numbers[key] for _, numbers in rows]) for key in NUMBERS}
    intensity = column["site_kbtu_per_sqft"] * KWH_PER_M2
    # The city divides by an area of its own; the shares of carriers hang on no area.
    area_m2 = column["site_kbtu"] * KWH_PER_KBTU / intensity
    known = {name: column[f"{name}_kbtu"] for name in ("electricity", "gas", "heat")}
    return Meters(
        use=np.array([use for use, _ in rows]),
        floor_m2=column["floor_sqft"] * M2_PER_SQFT,
        floors=column["floors"],
        site_kwh_per_m2=intensity,
        share={name: kbtu / column["site_kbtu"] for name, kbtu in known.items()},
        reported_kgco2e_per_m2=column["reported_tco2e"] * KG_PER_T / area_m2,
        left_out=dict(left_out.most_common()),
    )


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            missing = [name for name in (*TEXTS, *NUMBERS.values()) if name not in columns]
            if missing:
                raise FormatError(
                    f"{path.name}: the columns {', '.join(missing)} are missing",
                    "give a building energy benchmarking table as CSV",
                )
            return [{key: text or "" for key, text in row.items() if key} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        reason = getattr(err, "strerror", None) or str(err)
        raise FormatError(f"{path}: cannot be read ({reason})", "give a CSV file") from None


def _doubt(row: Mapping[str, str]) -> str:
    """Why a row is not used; empty if it is."""
    kind = row["LargestPropertyUseType"].strip()
    if row["ComplianceStatus"].strip() != "Compliant":
        return "not compliant"
    if row["Outlier"].strip():
        return "an outlier, says the city"
    return "" if kind in USE_OF else f"use {kind or 'not stated'}"


def _number(text: str, path: Path, line: int, column: str) -> float:
    """A cell as a number; an empty cell is NaN."""
    try:
        return float(text.replace(",", "") or "nan")
    except ValueError:
        raise FormatError(
            f"{path.name}, line {line}: {column} is {text!r}", "give a number or leave it empty"
        ) from None


def _gap(numbers: Mapping[str, float]) -> str:
    needed = ("site_kbtu_per_sqft", "site_kbtu", "floor_sqft", "floors")
    if any(not numbers[key] > 0 for key in needed):
        return "no energy, area or floors"
    if any(value != value for value in numbers.values()):
        return "a carrier is not metered"
    carriers = ("electricity_kbtu", "gas_kbtu", "heat_kbtu")
    return "more fed in than bought" if any(numbers[key] < 0 for key in carriers) else ""
