"""The snap mixture: a number is drawn from bins, or taken exactly from a candidate.

p(x) = sum_bins w_b U_b(x) + sum_candidates w_k N(x; c_k, sigma), one softmax over all weights.
Walls that continue a neighbor's wall do so exactly, since a chosen candidate is taken as it is.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class SnapRange:
    """Range of one number and the width of its candidates."""

    low: float
    high: float
    bins: int
    sigma: float
    period: float | None = None

    @property
    def step(self) -> float:
        """Width of a bin."""
        return (self.high - self.low) / self.bins


# Angles in radians, sizes as log of meters, offsets in meters from the middle of the cell.
ANGLE = SnapRange(-math.pi / 4, math.pi / 4, 36, math.radians(0.5), math.pi / 2)
SIZE = SnapRange(math.log(1.5), math.log(220.0), 100, 0.03)
OFFSET = SnapRange(-6.0, 6.0, 24, 0.22)


def snap_log_prob(logits: Tensor, candidates: Tensor, target: Tensor, *, spec: SnapRange) -> Tensor:
    """Log density of `target` under the mixture.

    Args:
        logits: Weights of bins, then of candidates; -inf where there is none, (R, bins + K).
        candidates: Values, (R, K).
        target: (R,).
        spec: The range.

    Returns:
        (R,), per unit of the number.
    """
    place = ((target - spec.low) / spec.step).long().clamp(0, spec.bins - 1)
    in_bin = logits.gather(1, place[:, None]) - math.log(spec.step)  # (R, 1)
    gap = target[:, None] - candidates
    if spec.period is not None:
        gap = gap - spec.period * torch.round(gap / spec.period)
    normal = -0.5 * (gap / spec.sigma) ** 2 - math.log(spec.sigma * math.sqrt(2 * math.pi))
    parts = torch.cat([in_bin, logits[:, spec.bins :] + normal], dim=1)
    return parts.logsumexp(1) - logits.logsumexp(1)


def snap_draw(
    logits: Tensor, candidates: Tensor, *, spec: SnapRange, nucleus: float, rng: torch.Generator
) -> Tensor:
    """Draw one number per row: uniformly inside a bin, exactly at a candidate, (R,)."""
    chosen = draw_nucleus(logits, nucleus=nucleus, rng=rng)
    within = torch.rand(chosen.shape, generator=rng, device=chosen.device)
    binned = spec.low + (chosen + within) * spec.step
    exact = candidates.gather(1, (chosen - spec.bins).clamp(min=0)[:, None])[:, 0]
    return torch.where(chosen < spec.bins, binned, exact)


def draw_nucleus(logits: Tensor, *, nucleus: float, rng: torch.Generator) -> Tensor:
    """Draw an index per row, (R,), from the likeliest that hold `nucleus` of the probability."""
    share, order = logits.softmax(-1).sort(dim=-1, descending=True)
    before = share.cumsum(-1) - share
    kept = torch.where(before < nucleus, share, torch.zeros_like(share))
    picked = torch.multinomial(kept, 1, generator=rng)
    return order.gather(-1, picked)[:, 0]


class SnapHead(nn.Module):
    """Weights of bins and of candidates, given the state of a place."""

    def __init__(self, state: int, edge: int, *, bins: int, kinds: int, scalars: int) -> None:
        super().__init__()
        self.bins = nn.Sequential(nn.Linear(state, state), nn.SiLU(), nn.Linear(state, bins))
        self.query = nn.Linear(state, edge)
        self.kinds = nn.Parameter(torch.randn(kinds, edge) * 0.1)
        self.scalars = nn.Linear(scalars, edge)
        self.weight = nn.Linear(edge, 1)

    def forward(self, state: Tensor, edges: Tensor, scalars: Tensor, there: Tensor) -> Tensor:
        """Logits (R, bins + K) of states (R, S), edges (R, n, E), scalars (R, K, s).

        K is a multiple of n: kind by kind over the edges; `there` (R, K) marks usable candidates.
        """
        kinds = scalars.shape[1] // edges.shape[1]
        near = (edges + self.query(state)[:, None])[:, None] + self.kinds[:kinds, None]
        near = near.flatten(1, 2) + self.scalars(scalars)  # (R, K, edge)
        weight = self.weight(functional.relu(near))[..., 0]  # (R, K)
        return torch.cat([self.bins(state), weight.masked_fill(~there, -torch.inf)], dim=1)
