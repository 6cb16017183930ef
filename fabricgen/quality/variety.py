"""Are plans copies of training cities, and do the plans of one site differ."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from fabricgen.quality.layouts import Pool, alike, apart, nearest, unpack
from fabricgen.quality.metrics import Figures, Set, figure, mean_figure
from fabricgen.quality.places import Place
from fabricgen.quality.proposers import inside_px
from fabricgen.quality.rows import MAP

NEAR_PERCENT = 1.0  # of real plans' distances to training: nearer is a copy
FAR_AWAY_M = 256.0


def memorization(found: Set, real: Set, places: dict[str, Place], train: Pool) -> Figures:
    """Distances of generated plans to training windows, against those of held-out real ones.

    `near_share` sees single copies, `nn_ratio` does not; `authenticity` is the share of plans that
    lie farther from their nearest window than that window lies from its own nearest one.
    """
    own, near = _to_train(found, places, train)
    true, _ = _to_train(real, places, train)
    limit = np.percentile(true, NEAR_PERCENT)
    other = np.array(
        [
            nearest(train.masks[n], inside_px(places[site]), train, leave=int(n))[0]
            for n, site in zip(near, found.sites, strict=True)
        ]
    )
    return {
        "memorisation.nn_ratio": figure(np.median(own) / np.median(true), np.nan, len(own)),
        "memorisation.near_share": mean_figure((own < limit).astype(float)),
        "memorisation.authenticity": mean_figure((own > other).astype(float)),
    }


def _to_train(plans: Set, places: dict[str, Place], train: Pool) -> tuple[np.ndarray, np.ndarray]:
    found = [
        nearest(unpack(str(row[MAP])), inside_px(places[site]), train)
        for row, site in zip(plans.rows, plans.sites, strict=True)
    ]
    away, number = zip(*found, strict=True)
    return np.array(away), np.array(number)


def diversity(seeds: list[Set], places: dict[str, Place], city: Pool) -> Figures:
    """How much the plans of one site differ, over how much as many alike real windows differ.

    Real windows differ in their surroundings too, so the ratio is rather too low.
    """
    by_site: dict[str, list[np.ndarray]] = {}
    for one in seeds:
        for row, site in zip(one.rows, one.sites, strict=True):
            by_site.setdefault(site, []).append(unpack(str(row[MAP])))
    ratios = []
    for site, plans in by_site.items():
        if len(plans) < 2:
            continue
        inside = inside_px(places[site])
        wanted = (plans[0] & inside).sum(axis=(1, 2)) / inside.sum()
        elsewhere = _elsewhere(places[site], city)
        some = alike(wanted, inside, elsewhere, len(plans))
        real = _spread([elsewhere.masks[n] for n in some], inside)
        if real > 0:
            ratios.append(_spread(plans, inside) / real)
    return {"diversity.ratio": mean_figure(np.array(ratios))} if ratios else {}


def _elsewhere(place: Place, city: Pool) -> Pool:
    """The windows of a pool that do not show a place."""
    middle = place.site.boundary.centroid
    at = np.array([[spot.x_m, spot.y_m] for spot in city.spots])
    far = np.abs(at - [middle.x, middle.y]).max(axis=1) >= FAR_AWAY_M
    spots = tuple(spot for spot, yes in zip(city.spots, far, strict=True) if yes)
    return Pool(city.store, spots, city.masks[far], city.shares[far])


def _spread(plans: list[np.ndarray], inside: np.ndarray) -> float:
    return float(np.mean([apart(a, b, inside) for a, b in combinations(plans, 2)] or [0.0]))
