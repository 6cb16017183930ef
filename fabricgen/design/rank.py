"""Order of schemes, and which of them cannot be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fabricgen.design.scheme import Scheme
from fabricgen.design.score import net_draws

SURE = 0.95  # a scheme is called better when it is in this share of the draws of the factors


def rank(schemes: Sequence[Scheme]) -> list[Scheme]:
    """Fewest unmet asks first, then least net carbon per floor area.

    A scheme opens a new group of ties when it is worse than the first of the group before it in at
    least `SURE` of the common draws, or misses more asks.

    Returns:
        The schemes in order, with name, rank and tie set.
    """
    ordered = sorted(schemes, key=lambda s: (len(s.unmet), intensity(s), s.seed))
    ranked: list[Scheme] = []
    leader, tie = None, 0
    for place, scheme in enumerate(ordered, start=1):
        if leader is None or len(scheme.unmet) > len(leader.unmet) or surely_worse(scheme, leader):
            leader, tie = scheme, tie + 1
        ranked.append(replace(scheme, rank=place, tie=tie, name=f"s{place:02d}"))
    return ranked


def intensity(scheme: Scheme) -> float:
    """Net carbon per floor area [kgCO2e/m2 GFA/yr]: fewer buildings are no saving."""
    floor_m2 = scheme.score.indicators["gross_floor_area_m2"]
    return scheme.score.net_kgco2e_per_year / max(floor_m2, 1.0)


def surely_worse(scheme: Scheme, other: Scheme) -> bool:
    """Whether a scheme's net per floor area is above another's in nearly every draw."""
    mine = net_draws(scheme.score.ledger) / max(scheme.score.indicators["gross_floor_area_m2"], 1)
    its = net_draws(other.score.ledger) / max(other.score.indicators["gross_floor_area_m2"], 1)
    return float(np.mean((mine > its).numpy())) >= SURE
