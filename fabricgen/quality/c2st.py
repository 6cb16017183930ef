"""Can a classifier tell generated plans from real ones: near one half it cannot.

A two-sample test (Lopez-Paz and Oquab 2017, ICLR). Folds keep sites together: a classifier that
has seen the real plan of a site would know what is not the generated one.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fabricgen.errors import SettingsError, need

FOLDS = 5
TOP = 5
REPEATS = 3  # shuffles of each descriptor


@dataclass(frozen=True)
class Told:
    """What a classifier could tell.

    Attributes:
        accuracy: Share of plans told right, each by a classifier that never saw its site.
        se: Standard error of it over sites.
        auc: Chance that a generated plan looks more generated than a real one.
        top: Descriptors that give them away and what accuracy falls by without each, most first.
        n: Plans a side.
    """

    accuracy: float
    se: float
    auc: float
    top: tuple[tuple[str, float], ...]
    n: int


def c2st(
    real: np.ndarray,
    found: np.ndarray,
    keys: Sequence[str],
    *,
    sites: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
    top: int = TOP,
) -> Told:
    """Trains and asks classifiers.

    Args:
        real: Descriptors (N, K), NaN = missing.
        found: Descriptors (M, K).
        keys: Names of the columns.
        sites: Number of the site of each real and of each found plan.
        rng: Chance; the larger side is thinned to the size of the other.
        top: How many descriptors to name; 0 saves their time.

    Raises:
        SettingsError: Fewer sites than folds.
    """
    need("sklearn", extra="quality")
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold

    size = min(len(real), len(found))
    chosen = [np.sort(rng.choice(len(x), size, replace=False)) for x in (real, found)]
    rows = np.concatenate([real[chosen[0]], found[chosen[1]]])
    group = np.concatenate([np.asarray(s)[c] for s, c in zip(sites, chosen, strict=True)])
    kind = np.repeat([0, 1], size)
    if len(np.unique(group)) < 2 * FOLDS:
        raise SettingsError(f"{len(np.unique(group))} sites", f"give {2 * FOLDS} or more")
    seen = ~np.isnan(rows).all(axis=0)
    rows, names = rows[:, seen], [key for key, yes in zip(keys, seen, strict=True) if yes]

    seed = int(rng.integers(2**31))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    score, drop = np.zeros(len(rows)), np.zeros(len(names))
    for learn, ask in folds.split(rows, kind, group):
        told = ~np.isnan(rows[learn]).all(axis=0)  # nothing can be learned of the others
        model = _model(seed).fit(rows[learn][:, told], kind[learn])
        seen_rows = rows[ask][:, told]
        score[ask] = model.predict_proba(seen_rows)[:, 1]
        if top:
            share = len(ask) / len(rows)
            drop[told] += _importance(model, seen_rows, kind[ask], seed) * share
    right = (score > 0.5) == (kind == 1)
    order = np.argsort(-drop, kind="stable")[:top]
    return Told(
        accuracy=float(right.mean()),
        se=_se(right, group),
        auc=float(roc_auc_score(kind, score)),
        top=tuple((names[n], float(drop[n])) for n in order),
        n=size,
    )


def halves_of(sites: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two random halves of the sites, each site in one of them."""
    names = rng.permutation(np.unique(sites))
    first = np.isin(sites, names[: len(names) // 2])
    return np.flatnonzero(first), np.flatnonzero(~first)


def _model(seed: int):  # noqa: ANN202
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=100, learning_rate=0.1, max_leaf_nodes=15, min_samples_leaf=20,
        early_stopping=False, random_state=seed,
    )  # fmt: skip


def _importance(model: object, rows: np.ndarray, kind: np.ndarray, seed: int) -> np.ndarray:
    """What accuracy on unseen sites falls by when a descriptor is shuffled, (K,)."""
    from sklearn.inspection import permutation_importance

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=RuntimeWarning)
        told = permutation_importance(model, rows, kind, n_repeats=REPEATS, random_state=seed)
    return told.importances_mean


def _se(right: np.ndarray, group: np.ndarray) -> float:
    """Standard error of a mean of plans that come in sites."""
    _, site = np.unique(group, return_inverse=True)
    count = np.bincount(site)
    off = np.bincount(site, right - right.mean())
    return float(np.sqrt((off**2).sum()) / count.sum())
