"""From rows of plans to figures, each with its interval and its number of plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fabricgen.quality.c2st import c2st
from fabricgen.quality.descriptors import KEYS, table
from fabricgen.quality.distances import (
    LEAST_ROWS,
    Scaler,
    density_coverage,
    frechet,
    frechet_inf,
    half_sample_se,
    interval,
    spread_of,
    w1_by_key,
)
from fabricgen.quality.rows import Row, column

NAMES = tuple(KEYS)
CHANCE = 20260101  # of all that an evaluation leaves to chance
CONTROL = {
    "control.far_mape": ("far", 0.2),
    "control.coverage_mape": ("site_coverage", 0.05),
    "control.green_mae": ("green_ratio", None),
}
SEAM_MEANS = ("seam.recall", "seam.precision", "seam.offset", "seam.cut_buildings")
UNITS = {"seam.offset": "m", "morphology.w1_mean": "sd", "morphology.w1_worst": "sd"}

Figures = dict[str, dict[str, object]]


@dataclass(frozen=True, eq=False)
class Set:
    """Plans that are compared: one row for each site.

    Attributes:
        rows: Of the plans.
        sites: Name of the site of each.
    """

    rows: list[Row]
    sites: Sequence[str]

    def __len__(self) -> int:
        return len(self.rows)


def figure(value: float, se: float, n: int, unit: str = "") -> dict[str, object]:
    """One record of `metrics.json`."""
    told: dict[str, object] = {"value": float(value)}
    if np.isfinite(se):
        told["ci95"] = [float(x) for x in interval(value, se)]
    return told | {"n": int(n), "unit": unit}


def morphology(found: Set, real: Set, scaler: Scaler) -> Figures:
    """How far the descriptors of two sets of equal size lie apart."""
    rng = np.random.default_rng(CHANCE)
    a, b = table(found.rows), table(real.rows)
    n = min(len(a), len(b))
    sd = spread_of(b)
    moved = w1_by_key(a, b, NAMES, sd=sd)
    if not moved:
        return {}
    worst = max(moved, key=moved.__getitem__)
    u, v = scaler(a), scaler(b)
    density, coverage = density_coverage(v, u) if n > LEAST_ROWS else (np.nan, np.nan)

    def halves(chosen: np.ndarray) -> np.ndarray:
        part = w1_by_key(a[chosen], b[chosen], NAMES, sd=sd)
        spread = density_coverage(v[chosen], u[chosen]) if len(chosen) > LEAST_ROWS else (0, 0)
        mean = np.mean(list(part.values())) if part else np.nan
        return np.array([mean, frechet(u[chosen], v[chosen]), *spread])

    se = half_sample_se(halves, n, rng=rng)
    figures = {
        "morphology.w1_mean": figure(np.mean(list(moved.values())), se[0], n, "sd"),
        "morphology.w1_worst": figure(moved[worst], np.nan, n, "sd") | {"name": worst},
        "morphology.fd": figure(frechet(u, v), se[1], n),
        "morphology.fd_inf": figure(frechet_inf(u, v, rng=rng), np.nan, n),
        "morphology.density": figure(density, se[2], n),
        "morphology.coverage": figure(coverage, se[3], n),
    }
    known = (~np.isnan(a)).sum(axis=0)
    by_key = {
        f"morphology.w1.{key}": figure(moved[key], np.nan, known[NAMES.index(key)], "sd")
        | {"mean": _mean(found, key), "mean_real": _mean(real, key)}
        for key in NAMES
        if key in moved
    }
    return {k: v for k, v in figures.items() if np.isfinite(v["value"])} | by_key


def _mean(plans: Set, key: str) -> float:
    return float(np.nanmean(column(plans.rows, key)))


def told_apart(found: Set, real: Set) -> Figures:
    """What a classifier can tell, and by what."""
    rng = np.random.default_rng(CHANCE)
    told = c2st(
        table(real.rows), table(found.rows), NAMES,
        sites=(np.asarray(real.sites), np.asarray(found.sites)), rng=rng,
    )  # fmt: skip
    top = [{"name": name, "drop": drop} for name, drop in told.top]
    return {
        "c2st.accuracy": figure(told.accuracy, told.se, told.n) | {"top": top},
        "c2st.auc": figure(told.auc, np.nan, told.n),
    }


def control(found: Set, asked: Mapping[str, Mapping[str, float]]) -> Figures:
    """How far plans miss what they were asked, by site."""
    figures = {}
    for key, (name, floor) in CONTROL.items():
        pairs = [
            (float(row[f"got.{name}"]), asked[site][name])
            for row, site in zip(found.rows, found.sites, strict=True)
            if name in asked[site]
        ]
        if pairs:
            got, want = np.array(pairs).T
            off = np.abs(got - want) / (1.0 if floor is None else np.maximum(want, floor))
            figures[key] = mean_figure(off)
    return figures


def seams(found: Set) -> Figures:
    """Means over the sites that have something to judge; the contrast is one of sums."""
    figures = {}
    for key in SEAM_MEANS:
        values = column(found.rows, key)
        if np.isfinite(values).any():
            figures[key] = mean_figure(values, UNITS.get(key, ""))
    across, inner = (column(found.rows, key) for key in ("seam.across", "seam.inner"))
    known = np.isfinite(across) & np.isfinite(inner)
    across, inner = across[known], inner[known]
    if len(across) > 1 and inner.sum() > 0:
        se = half_sample_se(
            lambda chosen: (
                across[chosen].sum() / inner[chosen].sum() if inner[chosen].any() else np.nan
            ),
            len(across),
            rng=np.random.default_rng(CHANCE),
        )
        figures["seam.contrast"] = figure(across.sum() / inner.sum(), se, len(across))
    return figures


def validity(found: Set) -> Figures:
    """Means of all faults over sites."""
    keys = [key for key in found.rows[0] if key.startswith("validity.")]
    values = {key: column(found.rows, key) for key in keys}
    return {key: mean_figure(v) for key, v in values.items() if np.isfinite(v).any()}


def mean_figure(values: np.ndarray, unit: str = "") -> dict[str, object]:
    """A mean over sites with its standard error; what is missing does not count."""
    known = values[np.isfinite(values)]
    se = known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else np.nan
    return figure(known.mean(), se, len(known), unit)


def over_seeds(runs: Sequence[Figures]) -> Figures:
    """Means of several seeds' figures; the interval is that of the first, which is over sites."""
    merged: Figures = {}
    for key, first in runs[0].items():
        values = [float(run[key]["value"]) for run in runs if key in run]  # type: ignore[arg-type]
        mean = float(np.mean(values))
        told = dict(first) | {"value": mean}
        if "ci95" in first:
            low, high = first["ci95"]  # type: ignore[misc]
            told["ci95"] = interval(mean, (high - low) / 2 / 1.96)
        if len(values) > 1:
            told["by_seed"] = values
        merged[key] = told
    return merged
