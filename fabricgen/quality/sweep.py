"""Does a plan follow what is asked: one ask after the other moved through its usual range."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import spearmanr

from fabricgen.design.brief import LIMITS, Brief
from fabricgen.errors import BriefError
from fabricgen.plan import Plan
from fabricgen.quality.metrics import Figures, Set, figure, mean_figure
from fabricgen.quality.places import Place
from fabricgen.quality.proposers import brief_of
from fabricgen.quality.rows import Rows, column

LEVELS = tuple(np.linspace(0.05, 0.95, 7))  # quantiles of what real plans have
SWEPT = {"far": "control.spearman.far", "site_coverage": "control.spearman.coverage"}
SWEPT |= {"green_ratio": "control.spearman.green"}

Under = Callable[[Place, Brief, int], Plan]


def sweep(under: Under, places: Sequence[Place], usual: Set, rows: Rows) -> Figures:
    """Rank correlation of asked and got at each site, averaged; asks beyond physics are counted.

    Args:
        under: Draws a plan for a place under a brief, with the number of a seed.
        places: Where.
        usual: Real plans, whose values say what is asked.
        rows: Keeps what is measured.

    Returns:
        `control.spearman.*`, and `control.refused`, the share of asks that cannot be.
    """
    followed: dict[str, list[float]] = {key: [] for key in SWEPT.values()}
    asked, refused = 0, 0
    for place in places:
        own = {name: low for name, (low, _) in brief_of(place).asks.items()}
        for name, key in SWEPT.items():
            values = np.quantile(column(usual.rows, f"got.{name}"), LEVELS)
            pairs = []
            for level, value in enumerate(np.clip(values, *LIMITS[name])):
                asked += 1
                try:
                    brief = Brief.read(own | {name: float(value)})
                except BriefError:
                    refused += 1
                    continue
                kind = f"sweep-{name}-{level}"
                row = rows.get(kind, place, lambda p=place, b=brief: under(p, b, 0))
                pairs.append((float(value), float(row[f"got.{name}"])))
            followed[key] += _rank(pairs)
        rows.flush()
    found = {key: mean_figure(np.array(values)) for key, values in followed.items() if values}
    return found | {"control.refused": figure(refused / asked, np.nan, asked)}


def _rank(pairs: list[tuple[float, float]]) -> list[float]:
    """Spearman's rank correlation; none where nothing was asked apart or nothing differs."""
    want, got = np.array(pairs).reshape(-1, 2).T
    if len(np.unique(want)) < 3:
        return []
    if len(np.unique(got)) < 2:
        return [0.0]
    return [float(spearmanr(want, got).statistic)]
