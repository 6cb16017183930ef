"""Conversions between units, and lengths as people write them."""

import math
import re

CO2_PER_C = 44 / 12  # mass of CO2 that one mass of carbon becomes

M2_PER_HA = 10_000.0
M2_PER_KM2 = 1_000_000.0
KG_PER_T = 1_000.0
KWH_PER_MJ = 1 / 3.6

M_PER_FOOT = 0.3048
M_PER_INCH = 0.0254
DM_PER_M = 10.0

HOURS_PER_YEAR = 8_760.0

_NUMBER = re.compile(r"^\s*[~<>]?\s*([0-9]+(?:[.,][0-9]+)?)\s*([a-zA-Z\"'′″]*)\.?\s*$")
_FEET_INCHES = re.compile(
    r"^\s*([0-9]+(?:\.[0-9]+)?)\s*['′]\s*(?:([0-9]+(?:\.[0-9]+)?)\s*[\"″])?\s*$"
)
UNIT_M = {"": 1.0, "m": 1.0, "meter": 1.0, "meters": 1.0, "metre": 1.0, "metres": 1.0}
UNIT_M |= {"ft": M_PER_FOOT, "feet": M_PER_FOOT, "foot": M_PER_FOOT, "cm": 0.01, "km": 1000.0}
UNIT_M |= {"mm": 0.001, "usft": 1200 / 3937, "ftus": 1200 / 3937}


def length_m(text: str | None) -> float:
    """A length with or without unit: `12`, `12 m`, `12,5`, `12 ft`, `12'`, `12'6"`. NaN if not."""
    if not text:
        return math.nan
    found = _FEET_INCHES.match(text)
    if found:
        return (float(found[1]) + float(found[2] or 0) / 12) * M_PER_FOOT
    found = _NUMBER.match(text)
    if not found or found[2].lower() not in UNIT_M:
        return math.nan
    return float(found[1].replace(",", ".")) * UNIT_M[found[2].lower()]


def count(text: str | None) -> float:
    """A plain number such as `4` or `4.5`; of a list or a range (`3;4`, `3-4`) the highest."""
    if not text:
        return math.nan
    parts = re.split(r"[;/]|(?<=\d)\s*[-–]\s*(?=\d)", text)
    numbers = [length_m(part) for part in parts]
    known = [number for number in numbers if not math.isnan(number)]
    return max(known) if known else math.nan
