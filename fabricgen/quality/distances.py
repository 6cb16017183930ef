"""How far two sets of descriptor vectors lie apart, and how sure that is.

Rows are plans, columns the descriptors of `descriptors.table`, NaN where one is missing. Every
distance has a floor that falls with the size of the sets: compare it with the same distance of two
sets of real plans, of the same size.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance

from fabricgen.errors import FormatError, SettingsError
from fabricgen.files import atomic_file

LEAST_ROWS = 16  # of a descriptor on either side
MOST_MISSING = 0.2  # a column with more missing is no axis of a vector
NEAREST = 5
HALVES = 200
Z95 = 1.96
PARTS = (1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1)  # sizes at which a bias is looked at
SUBSETS = 5


def w1_by_key(
    found: np.ndarray, real: np.ndarray, keys: Sequence[str], *, sd: np.ndarray | None = None
) -> dict[str, float]:
    """How far each descriptor moved, in standard deviations of the real plans.

    The Wasserstein-1 distance of the two distributions over the spread of the real one; about
    1.8 / sqrt(n) between two equal sets of n.

    Args:
        found: (N, K).
        real: (M, K).
        keys: Names of the columns.
        sd: Spread of each column, (K,), where it is not that of `real`.

    Returns:
        By key, without those of which fewer than 16 rows are known on a side, or that do not vary.
    """
    moved = {}
    for n, key in enumerate(keys):
        a, b = (rows[~np.isnan(rows[:, n]), n] for rows in (found, real))
        if min(len(a), len(b)) < LEAST_ROWS:
            continue
        spread = float(b.std() if sd is None else sd[n])
        if spread > 0:
            moved[key] = float(wasserstein_distance(a, b)) / spread
    return moved


def spread_of(rows: np.ndarray) -> np.ndarray:
    """Standard deviation of each column, (K,); NaN where fewer than two rows are known."""
    return np.array([x[~np.isnan(x)].std() if (~np.isnan(x)).sum() > 1 else np.nan for x in rows.T])


@dataclass(frozen=True, eq=False)
class Scaler:
    """Turns descriptor rows into standardized vectors.

    Attributes:
        keys: Columns that are used.
        mean: (K,).
        sd: (K,).
        columns: Where they stand in a row, (K,) int.
    """

    keys: tuple[str, ...]
    mean: np.ndarray
    sd: np.ndarray
    columns: np.ndarray

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Vectors (N, K) of rows; what is missing lies at the mean."""
        return np.nan_to_num((rows[:, self.columns] - self.mean) / self.sd)

    def write(self, path: Path) -> None:
        """Keeps it as JSON."""
        told = {"keys": list(self.keys), "mean": self.mean.tolist(), "sd": self.sd.tolist()}
        with atomic_file(path) as part:
            part.write_text(json.dumps(told, indent=1), encoding="utf-8")


def fit_scaler(reference: np.ndarray, keys: Sequence[str]) -> Scaler:
    """A scaler from real plans that are not judged.

    Raises:
        SettingsError: No descriptor varies, or all are missing too often.
    """
    missing = np.isnan(reference).mean(axis=0)
    kept = np.flatnonzero(missing <= MOST_MISSING)
    kept = kept[spread_of(reference[:, kept]) > 0]
    if not len(kept):
        raise SettingsError(f"{len(reference)} reference plans", "give more of them")
    return Scaler(
        tuple(keys[n] for n in kept),
        np.nanmean(reference[:, kept], axis=0),
        spread_of(reference[:, kept]),
        kept,
    )


def read_scaler(path: Path, keys: Sequence[str]) -> Scaler:
    """A scaler that was kept.

    Raises:
        FormatError: It is no scaler, or of other descriptors.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        names = tuple(told["keys"])
        columns = np.array([list(keys).index(name) for name in names])
        return Scaler(names, np.array(told["mean"]), np.array(told["sd"]), columns)
    except (ValueError, KeyError, TypeError) as err:
        raise FormatError(f"{path.name}: no scaler of these descriptors", "fit it again") from err


def frechet(one: np.ndarray, other: np.ndarray) -> float:
    """Fréchet distance of two sets of vectors taken as normal, (N, K) and (M, K).

    |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½) (Dowson and Landau 1982, J. Multivariate Analysis 12).
    It is never below zero and too large in small sets.
    """
    apart = one.mean(axis=0) - other.mean(axis=0)
    first, second = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (one, other))
    value, vector = np.linalg.eigh(first)
    root = (vector * np.sqrt(np.clip(value, 0, None))) @ vector.T
    both = np.linalg.eigvalsh(root @ second @ root)
    overlap = np.sqrt(np.clip(both, 0, None)).sum()
    return float(apart @ apart + np.trace(first) + np.trace(second) - 2 * overlap)


def frechet_inf(one: np.ndarray, other: np.ndarray, *, rng: np.random.Generator) -> float:
    """The Fréchet distance that sets without end would have.

    Intercept of a line through the distances of subsets against 1 / n, since the bias falls with
    it (Chong and Forsyth 2020, CVPR). Around zero it may be a little negative.
    """
    size = min(len(one), len(other))
    inverse, found = [], []
    for part in PARTS:
        n = max(2, round(size * part))
        for _ in range(SUBSETS):
            a, b = (x[rng.choice(len(x), n, replace=False)] for x in (one, other))
            inverse.append(1 / n)
            found.append(frechet(a, b))
    return float(np.polyfit(inverse, found, 1)[1])


def density_coverage(real: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """Whether plans lie where real ones do, and whether they reach all of them.

    Naeem et al. 2020 (ICML), k = 5. Of equal distributions density is about 1 and coverage
    1 - 2^-5 = 0.969; repeated plans lower coverage, unreal ones both.
    """
    if len(real) <= NEAREST:
        raise SettingsError(f"{len(real)} real plans", f"give more than {NEAREST}")
    radius = np.sort(cdist(real, real), axis=1)[:, NEAREST]  # itself first
    inside = cdist(real, found) <= radius[:, None]  # (N, M)
    return float(inside.sum() / (NEAREST * len(found))), float(inside.any(axis=1).mean())


def half_sample_se(
    statistic: Callable[[np.ndarray], np.ndarray | float],
    sites: int,
    *,
    rng: np.random.Generator,
    halves: int = HALVES,
) -> np.ndarray:
    """Standard error of statistics of sites, from random halves of them.

    A half drawn without replacement varies around the whole as the whole varies around the truth.
    Bootstrap samples hold sites twice, which these distances would count as difference.

    Args:
        statistic: Of the chosen sites' numbers, both sets drawn alike.
        sites: How many there are.
        rng: Chance.
        halves: How many halves.

    Returns:
        The shape of the statistic.
    """
    found = [
        np.asarray(statistic(rng.choice(sites, sites // 2, replace=False))) for _ in range(halves)
    ]
    many = np.stack(found)
    return spread_of(many.reshape(halves, -1)).reshape(many.shape[1:])


def interval(value: float, se: float) -> list[float]:
    """The 95 % interval."""
    return [value - Z95 * se, value + Z95 * se]
