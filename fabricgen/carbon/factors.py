"""The factor table: one row per number, with its unit, range, source and whether it was confirmed.

Three files of one shape lie in the package: `factors.csv`, `factors_ember.csv` (CC BY-SA 4.0, its
notice on top) and `factors_estimates.csv` (our own estimates, none confirmed). An id is unique
over all of them.
"""

import csv
import difflib
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

from fabricgen.carbon.conversions import scale_between
from fabricgen.errors import FormatError, SettingsError

FACTOR_FILES = ("factors.csv", "factors_ember.csv", "factors_estimates.csv")
DISTRIBUTIONS = ("fixed", "tri", "uniform", "normal", "lognormal", "beta")
Z_90 = 3.29  # width of the 5-95 % interval of a normal distribution, in standard deviations
SLICES = 4096  # of equal probability, over which a spread is summed
LIMIT = 1e-9  # keeps draws of a half-open unit interval away from 0 and 1


@dataclass(frozen=True)
class Factor:
    """One number of the table.

    Attributes:
        id: Unique dotted name.
        value: Central value, in `unit`.
        unit: As in the table, such as `kgCO2e/kWh`.
        low: Lower bound (tri, uniform, fixed) or 5 % quantile (normal, lognormal, beta).
        high: Upper bound or 95 % quantile.
        distribution: fixed, tri, uniform, normal, lognormal or beta.
        region: ISO code or group for which the number holds; GLOBAL everywhere.
        year: Year of the number; None where none is stated.
        source: Where it was read.
        confirmed: It was read in a source that could be opened.
        description: What it is.
        note: Remarks, licence.
    """

    id: str
    value: float
    unit: str
    low: float
    high: float
    distribution: str
    region: str
    year: int | None
    source: str
    confirmed: bool
    description: str
    note: str


def rows_of(name: str) -> Iterator[dict[str, str]]:
    """Rows of a table of this package as dicts; lines that begin with # are remarks."""
    text = resources.files("fabricgen.carbon").joinpath(name).read_text(encoding="utf-8")
    yield from csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))


@lru_cache(maxsize=1)
def table() -> Mapping[str, Factor]:
    """All factors by id, read once.

    Raises:
        FormatError: A row has no range, an unordered one, or an id that was there before.
    """
    found: dict[str, Factor] = {}
    for name in FACTOR_FILES:
        for row in rows_of(name):
            factor = read_factor(row, where=name)
            if factor.id in found:
                raise FormatError(f"{name}: factor {factor.id} stands twice", "keep one row")
            found[factor.id] = factor
    return found


def read_factor(row: Mapping[str, str], *, where: str) -> Factor:
    """One row of a factor table, checked.

    Args:
        row: Columns as text.
        where: The table, for messages.

    Raises:
        FormatError: A number is missing or the range does not hold the value.
    """
    name = row.get("id", "?")
    try:
        value, low, high = (float(row[key]) for key in ("value", "low", "high"))
    except (KeyError, TypeError, ValueError):
        raise FormatError(
            f"{where}: factor {name} lacks a value, low or high", "give three numbers"
        ) from None
    if not low <= value <= high:
        raise FormatError(
            f"{where}: factor {name} has {value:g} outside its range {low:g} to {high:g}",
            "order low <= value <= high",
        )
    year = row.get("year", "")
    return Factor(
        id=name, value=value, unit=row.get("unit", "1"), low=low, high=high,
        distribution=row.get("distribution", "tri"), region=row.get("region", "GLOBAL"),
        year=int(year) if year.isdigit() else None, source=row.get("source", ""),
        confirmed=row.get("confirmed", "no") == "yes", description=row.get("description", name),
        note=row.get("note", ""),
    )  # fmt: skip


def read_own(path: Path) -> dict[str, Factor]:
    """A user's factors, in the columns of our table; each replaces ours of the same id.

    Numbers are brought into the unit of our row. Columns beyond id, value, low and high may be left
    out: unit and distribution are then those of our row.

    Raises:
        FormatError: The file cannot be read, a row has no range, or a unit does not convert.
        SettingsError: An id that our table does not have.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise FormatError(
            f"{path.name}: cannot be read as a table", "save it as CSV, UTF-8"
        ) from err
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    rows = list(csv.DictReader(lines))
    if not rows or "id" not in rows[0]:
        raise FormatError(
            f"{path.name}: no column id", "use the columns id, value, low, high, unit"
        )
    found: dict[str, Factor] = {}
    for row in rows:
        given = {key: value.strip() for key, value in row.items() if key and value}
        mine = _own(given, where=path.name)
        if mine.id in found:
            raise FormatError(f"{path.name}: factor {mine.id} stands twice", "keep one row")
        found[mine.id] = mine
    return found


def _own(row: Mapping[str, str], *, where: str) -> Factor:
    ours = factor(row.get("id", "?"))
    filled = {"unit": ours.unit, "distribution": ours.distribution, "source": where, **row}
    mine = read_factor(filled, where=where)
    if mine.distribution not in DISTRIBUTIONS:
        raise FormatError(
            f"{where}: factor {mine.id} has the distribution {mine.distribution!r}",
            f"use one of {', '.join(DISTRIBUTIONS)}",
        )
    if not all(math.isfinite(x) for x in (mine.value, mine.low, mine.high)):
        raise FormatError(f"{where}: factor {mine.id} is not finite", "give three numbers")
    scale = scale_between(mine.unit, ours.unit, where=f"{where}: factor {mine.id}")
    return replace(
        mine, value=mine.value * scale, low=mine.low * scale, high=mine.high * scale,
        unit=ours.unit, description=row.get("description", ours.description),
        region=row.get("region", ours.region),
    )  # fmt: skip


def factor(name: str) -> Factor:
    """The factor of an id.

    Raises:
        SettingsError: There is none; the nearest id is named.
    """
    known = table()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "see fabricgen/carbon/factors.csv"
        raise SettingsError(f"there is no carbon factor {name}", hint)
    return known[name]


def values(of: Factor, *, draws: int, seed: int) -> Tensor:
    """The central value, then `draws` random ones; (1 + draws,) float64.

    The random numbers hang on the id and the seed alone: layouts and regions that share a factor
    share its draws, so that their differences are not blurred by it.
    """
    centre = torch.tensor([of.value], dtype=torch.float64)
    if draws == 0:
        return centre
    rng = torch.Generator().manual_seed(zlib.crc32(of.id.encode()) ^ seed)
    uniform = torch.rand(draws, generator=rng, dtype=torch.float64).clamp(LIMIT, 1 - LIMIT)
    return torch.cat([centre, quantile(of, uniform)])


def quantile(of: Factor, p: Tensor) -> Tensor:
    """The factor's value at probabilities p, same shape as p.

    A beta is drawn as the logit-normal with the same 5, 50 and 95 % points (median = value), a
    lognormal as the one through its 5 and 95 % points with median = value.
    """
    if of.distribution == "fixed" or of.low == of.high:
        return torch.full_like(p, of.value)
    if of.distribution == "uniform":
        return of.low + (of.high - of.low) * p
    z = torch.special.ndtri(p)
    if of.distribution == "normal":
        return of.value + z * (of.high - of.low) / Z_90
    if of.distribution == "lognormal" and of.low > 0:
        return of.value * torch.exp(z * math.log(of.high / of.low) / Z_90)
    if of.distribution == "beta" and of.low > 0 and of.high < 1:
        spread = (_logit(of.high) - _logit(of.low)) / Z_90
        return torch.sigmoid(_logit(of.value) + z * spread)
    return _triangular(of, p)


@lru_cache(maxsize=2048)
def sigma(of: Factor) -> float:
    """Standard deviation of a factor's draws, in its unit."""
    if of.distribution == "fixed" or of.low == of.high:
        return 0.0  # rounding would leave a little
    middles = (torch.arange(SLICES, dtype=torch.float64) + 0.5) / SLICES
    return float(quantile(of, middles).std(correction=0))


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def _triangular(of: Factor, p: Tensor) -> Tensor:
    """Inverse of the triangular distribution's cumulated probability."""
    width = of.high - of.low
    mode = (of.value - of.low) / width  # probability below the mode
    rising = of.low + torch.sqrt(p * width * (of.value - of.low))
    falling = of.high - torch.sqrt((1 - p) * width * (of.high - of.value))
    return torch.where(p < mode, rising, falling)
