"""Order of schemes, and which of them cannot be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from fabricgen.carbon.uncertainty import SURE, beats, net_draws
from fabricgen.design.scheme import Scheme, Score


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
    return scheme.score.net_kgco2e_per_year / _floor_m2(scheme.score)


def surely_worse(scheme: Scheme, other: Scheme) -> bool:
    """Whether a scheme's net per floor area is above another's in nearly every draw."""
    return beats(intensity_draws(other.score), intensity_draws(scheme.score)) >= SURE


def intensity_draws(score: Score) -> Tensor:
    """Net per floor area in each draw of the factors, (D,) [kgCO2e/m2 GFA/yr]."""
    return net_draws(score.ledger) / _floor_m2(score)


def _floor_m2(score: Score) -> float:
    return max(score.indicators["gross_floor_area_m2"], 1.0)
