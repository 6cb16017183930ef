"""Exact steering of surface shares: the nearest distribution that keeps a promise.

A posterior over surfaces at every pixel is tilted so that the expected shares fall into asked
ranges, at the least Kullback-Leibler distance (generator.md sections 2.3 and 2.4). No network call,
no step size: the dual of K constraints is concave and solved by Newton's method.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MAX_PULL = 20.0  # largest multiplier: a factor e^20 in the odds is as good as certain
MAX_STEP = 3.0  # of a multiplier in one Newton step
STEP_HALVINGS = 8  # of a step that overshoots
ITERATIONS = 30
TOLERANCE = 1e-4  # of a share
ROUNDS, HALVINGS = 6, 24  # of the bisection on hard maps
RIDGE = 1e-7  # keeps the Hessian invertible where every pixel is certain


@dataclass(frozen=True, eq=False)
class Constraint:
    """The share of some surfaces, over the pixels that count, lies between two bounds."""

    surfaces: tuple[int, ...]
    low: float | Tensor = 0.0  # or one per item, (B,)
    high: float | Tensor = 1.0


def kl_tilt(log_p: Tensor, constraints: Sequence[Constraint], *, where: Tensor) -> Tensor:
    """The distribution nearest to `log_p` whose expected shares keep the constraints.

    What cannot be kept is kept as nearly as possible; `distance` tells.

    Args:
        log_p: Log-probabilities, (B, C, H, W).
        constraints: On the mean over the pixels in `where`; sets may overlap.
        where: The pixels that count, (B, H, W) bool; the others stay as they are.

    Returns:
        Log-probabilities, (B, C, H, W), unchanged in items that keep the constraints already.
    """
    if not constraints:
        return log_p
    members, group_of = _groups(constraints, classes=log_p.shape[1], like=log_p)
    low, high = _bounds(constraints, batch=log_p.shape[0], like=log_p)
    grouped = _by_group(log_p, group_of, torch.logsumexp).flatten(2)  # (B, G, N)
    pull = _solve_dual(grouped, members, (low, high), where.flatten(1))  # (B, K)
    shift = (pull @ members)[:, group_of, None, None]  # (B, C, 1, 1)
    tilted = torch.log_softmax(log_p + shift, dim=1)
    moved = where[:, None] & (pull != 0).any(dim=1).reshape(-1, 1, 1, 1)
    return torch.where(moved, tilted, log_p)


def harden(log_p: Tensor, constraints: Sequence[Constraint], *, where: Tensor) -> Tensor:
    """Bias the logits so that the shares of the likeliest surfaces keep the constraints.

    One bias per constraint, found by bisection on the hard map, in turns.

    Args:
        log_p: Log-probabilities, (B, C, H, W).
        constraints: On the shares of `log_p.argmax(1)` over the pixels in `where`.
        where: The pixels that count, (B, H, W) bool; the others stay as they are.

    Returns:
        Log-probabilities, (B, C, H, W), whose argmax is the hard map.
    """
    if not constraints:
        return log_p
    members, group_of = _groups(constraints, classes=log_p.shape[1], like=log_p)
    low, high = _bounds(constraints, batch=log_p.shape[0], like=log_p)
    best = _by_group(log_p, group_of, torch.amax).flatten(2)  # (B, G, N)
    counts = where.flatten(1).to(log_p.dtype)
    bias = torch.zeros_like(low)  # (B, K)
    for _ in range(ROUNDS):
        for k in range(len(constraints)):
            bias[:, k] = _bisect(best, members, bias, (low[:, k], high[:, k]), counts, k=k)
    biased = torch.log_softmax(log_p + (bias @ members)[:, group_of, None, None], dim=1)
    return torch.where(where[:, None], biased, log_p)


def distance(
    log_p: Tensor, constraints: Sequence[Constraint], *, where: Tensor, hard: bool = False
) -> Tensor:
    """How far each share lies outside its range, (B, K); 0 where the constraint is kept.

    Args:
        log_p: Log-probabilities, (B, C, H, W).
        constraints: K of them.
        where: The pixels that count, (B, H, W) bool.
        hard: Judge the likeliest surface instead of the expectation.
    """
    p = log_p.exp()
    if hard:
        p = torch.nn.functional.one_hot(log_p.argmax(1), log_p.shape[1]).movedim(-1, 1).to(p)
    weight = where.to(p.dtype)
    area = weight.sum(dim=(1, 2)).clamp(min=1.0)
    shares = torch.stack(
        [(p[:, list(c.surfaces)].sum(1) * weight).sum(dim=(1, 2)) / area for c in constraints], 1
    )
    low, high = _bounds(constraints, batch=log_p.shape[0], like=log_p)
    return (low - shares).clamp(min=0) + (shares - high).clamp(min=0)


def _groups(
    constraints: Sequence[Constraint], *, classes: int, like: Tensor
) -> tuple[Tensor, Tensor]:
    """Classes that no constraint tells apart, taken together.

    Returns:
        Which constraint counts which group, (K, G) of 0 and 1, and the group of each class, (C,).
    """
    kinds = [tuple(c in constraint.surfaces for constraint in constraints) for c in range(classes)]
    distinct = sorted(set(kinds))
    members = torch.tensor(distinct, dtype=like.dtype, device=like.device).T
    group_of = torch.tensor([distinct.index(kind) for kind in kinds], device=like.device)
    return members, group_of


def _by_group(log_p: Tensor, group_of: Tensor, join) -> Tensor:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Classes of each group joined, (B, G, H, W)."""
    groups = range(int(group_of.max()) + 1)
    return torch.stack([join(log_p[:, group_of == g], dim=1) for g in groups], dim=1)


def _bounds(
    constraints: Sequence[Constraint], *, batch: int, like: Tensor
) -> tuple[Tensor, Tensor]:
    def column(value: float | Tensor) -> Tensor:
        return torch.as_tensor(value, dtype=like.dtype, device=like.device).expand(batch)

    low = torch.stack([column(c.low) for c in constraints], dim=1)
    high = torch.stack([column(c.high) for c in constraints], dim=1)
    return low, high


def _solve_dual(
    grouped: Tensor, members: Tensor, bounds: tuple[Tensor, Tensor], where: Tensor
) -> Tensor:
    """Multipliers of the constraints, (B, K).

    A multiplier above zero holds its share at the lower bound, one below zero at the upper bound;
    a share inside its range has none. The dual is concave with a kink at zero: Newton's steps stay
    on one side of it (Andrew and Gao 2007) and are halved until the dual grows.

    Args:
        grouped: Log-probabilities of groups, (B, G, N).
        members: (K, G) of 0 and 1.
        bounds: Lowest and highest share, each (B, K).
        where: (B, N) bool.
    """
    low, high = bounds
    grouped, weight = _compact(grouped, where)
    pull = torch.zeros_like(low)
    value = _dual(grouped, members, bounds, weight, pull)
    for _ in range(ITERATIONS):
        q = torch.softmax(grouped + (pull @ members)[:, :, None], dim=1)  # (B, G, P)
        mass = q * weight[:, None]
        share = mass.sum(2) @ members.T  # (B, K)
        aim = torch.where(pull > 0, low, torch.where(pull < 0, high, share.clamp(low, high)))
        gap = aim - share
        open_ = (gap.abs() > TOLERANCE) & ~_stuck(pull, gap)
        if not bool(open_.any()):
            break
        hessian = _covariance(q, mass, members)
        step = _newton_step(hessian, gap, pull, open_)
        pull, moved = _climb(grouped, members, bounds, weight, pull=pull, step=step, value=value)
        if not bool((moved > value).any()):
            break
        value = moved
    return pull


def _compact(grouped: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """Only the pixels that count, (B, G, P), and their weights (B, P), zero where there are less.

    A site covers a small part of its window, and all the work of the solver is over pixels.
    """
    count = where.sum(dim=1, keepdim=True)
    most = max(int(count.max()), 1)
    order = (~where).to(torch.uint8).argsort(dim=1, stable=True)[:, :most]  # (B, P)
    kept = grouped.gather(2, order[:, None].expand(-1, grouped.shape[1], -1))
    there = torch.arange(most, device=where.device) < count
    return kept, there.to(grouped.dtype) / count.clamp(min=1)


def _dual(
    grouped: Tensor,
    members: Tensor,
    bounds: tuple[Tensor, Tensor],
    weight: Tensor,
    pull: Tensor,
) -> Tensor:
    """What the multipliers maximize, (B,)."""
    low, high = bounds
    log_sum = torch.logsumexp(grouped + (pull @ members)[:, :, None], dim=1)  # (B, P)
    held = pull.clamp(min=0) * low + pull.clamp(max=0) * high
    return held.sum(1) - (log_sum * weight).sum(1)


def _stuck(pull: Tensor, gap: Tensor) -> Tensor:
    """Multipliers at their cap that would have to go further."""
    return (pull.abs() >= MAX_PULL) & (pull * gap > 0)


def _covariance(q: Tensor, mass: Tensor, members: Tensor) -> Tensor:
    """Mean covariance over pixels of belonging to the constraints' sets, (B, K, K).

    Args:
        q: Probabilities of groups, (B, G, P).
        mass: The same times the pixels' weights.
        members: (K, G) of 0 and 1.
    """
    both = torch.diag_embed(mass.sum(2)) - mass @ q.transpose(1, 2)  # (B, G, G)
    return members @ both @ members.T


def _newton_step(hessian: Tensor, gap: Tensor, pull: Tensor, open_: Tensor) -> Tensor:
    """Newton's step of the dual on the live constraints, none longer than MAX_STEP, (B, K).

    A multiplier at zero may only leave it to the side that its gap asks for; one that would go to
    the other side rests, and the others' step is taken anew.
    """
    eye = torch.eye(gap.shape[1], dtype=gap.dtype, device=gap.device)
    live = open_ | (pull != 0)
    step = torch.zeros_like(gap)
    for _ in range(gap.shape[1]):
        pair = live[:, :, None] & live[:, None, :]
        own = torch.where(pair, hessian, 0.0) + eye * torch.where(live, RIDGE, 1.0)[:, None, :]
        step = torch.linalg.solve(own, gap * live)
        wrong = live & (pull == 0) & (step * gap < 0)
        if not bool(wrong.any()):
            break
        live = live & ~wrong
    longest = step.abs().amax(dim=1, keepdim=True).clamp(min=MAX_STEP)
    return step * live * (MAX_STEP / longest)


def _climb(
    grouped: Tensor,
    members: Tensor,
    bounds: tuple[Tensor, Tensor],
    weight: Tensor,
    *,
    pull: Tensor,
    step: Tensor,
    value: Tensor,
) -> tuple[Tensor, Tensor]:
    """The multipliers after the longest share of a step that makes the dual grow, and its value.

    Items in which no share of it does stay where they are.
    """
    best, best_value = pull, value
    waiting = (step != 0).any(dim=1)
    for halving in range(STEP_HALVINGS):
        moved = (pull + step / 2**halving).clamp(-MAX_PULL, MAX_PULL)
        moved = torch.where(pull * moved < 0, 0.0, moved)  # let go at zero, then look
        trial = _dual(grouped, members, bounds, weight, moved)
        grown = waiting & (trial > value)
        best = torch.where(grown[:, None], moved, best)
        best_value = torch.where(grown, trial, best_value)
        waiting = waiting & ~grown
        if not bool(waiting.any()):
            break
    return best, best_value


def _bisect(
    best: Tensor,
    members: Tensor,
    bias: Tensor,
    bounds: tuple[Tensor, Tensor],
    counts: Tensor,
    *,
    k: int,
) -> Tensor:
    """The bias of constraint k nearest to 0 that brings its hard share into range, (B,)."""
    others = bias.clone()
    others[:, k] = 0.0
    scores = best + (others @ members)[:, :, None]  # (B, G, N)
    inside = members[k] > 0
    if bool(inside.all()) or not bool(inside.any()):
        return torch.zeros_like(bias[:, k])
    # A pixel falls into the set as soon as the bias exceeds its margin.
    margin = scores[:, ~inside].amax(1) - scores[:, inside].amax(1)  # (B, N)
    area = counts.sum(dim=1).clamp(min=1.0)

    def share(at: Tensor) -> Tensor:
        return ((margin < at[:, None]) * counts).sum(dim=1) / area

    low, high = bounds
    start = torch.zeros_like(low)
    aim = share(start).clamp(low, high)
    lower, upper = start - 2 * MAX_PULL, start + 2 * MAX_PULL
    for _ in range(HALVINGS):
        middle = (lower + upper) / 2
        enough = share(middle) >= aim
        upper, lower = torch.where(enough, middle, upper), torch.where(enough, lower, middle)
    return torch.where(share(start) == aim, start, upper)
