"""Pacing a walk by the coverage to be reached: not too early to the end, not too far at once.

That is the coverage asked; else what floor area and height imply; else that of the surroundings.
"""

import numpy as np

from fabricgen.generator.buildings_features import END, NEW
from fabricgen.generator.buildings_run import Run

BEHIND = 1.1  # times the density asked of the whole site
HASTE = 1.3  # the same, beyond which no ground is skipped
SKIP_SHARE = 0.04  # of the site, that a building may always skip
MARGIN = 0.1  # of the coverage asked, by which the last box may exceed it
SMALL_M2 = 60.0  # a box this small is never too large for the coverage
LITTLE_SHARE = 0.02  # of the site; with less ahead a site may end short of its coverage


def ruled_out(run: Run, index: int, *, short_share: float | None) -> list[int]:
    """Kinds of step that a site may not take: there is no room, or the coverage asked is held.

    Args:
        run: The account.
        index: Of the site.
        short_share: Of the coverage asked, below which it may not end; None does not hold it.
    """
    ahead = _ahead(run, index)
    if not ahead.any():
        return [NEW]
    missing, asked = _missing(run, index)
    if short_share is None or np.isnan(run.goal[index]):
        return []
    if missing <= 0:
        return list(range(END))
    short = missing > (1 - short_share) * asked
    return [END] if short and ahead.sum() > LITTLE_SHARE else []


def is_behind(run: Run, index: int) -> bool:
    """Whether the rest of a site must be built more densely than the whole was asked to be."""
    missing, asked = _missing(run, index)
    return bool(missing > BEHIND * asked * max(float(_ahead(run, index).sum()), LITTLE_SHARE))


def most_m2(run: Run, index: int) -> float:
    """Largest box that keeps a site near its coverage; infinite where none is asked."""
    missing, asked = _missing(run, index)
    if asked == 0:
        return float("inf")
    return max((missing + MARGIN * asked) * run.scenes[index].site_m2, SMALL_M2)


def too_far(run: Run, index: int) -> np.ndarray:
    """Cells that leave too little of the site ahead for the coverage still missing, (C,) bool."""
    scene = run.scenes[index]
    ahead = _ahead(run, index)
    by_rank = np.zeros_like(ahead)
    by_rank[scene.rank] = ahead
    left = by_rank[::-1].cumsum()[::-1][scene.rank]  # share from each cell on
    missing, asked = _missing(run, index)
    return (missing > HASTE * asked * left) & (left < by_rank.sum() - SKIP_SHARE)


def _missing(run: Run, index: int) -> tuple[float, float]:
    """Coverage that is missing, and that new boxes are to reach; both 0 where there is no goal."""
    goal = float(run.goal[index])
    if np.isnan(goal) or goal <= 0:
        return 0.0, 0.0
    return goal - float(run.share[index]), goal


def _ahead(run: Run, index: int) -> np.ndarray:
    """Share of a site in each cell that the order has yet to pass, (C,)."""
    scene = run.scenes[index]
    if run.last[index] < 0:
        return scene.cell_share
    return np.where(scene.rank >= scene.rank[run.last[index]], scene.cell_share, 0.0)
