"""How sure a count is: which plan beats which, what its net hangs on, and what hardening costs.

Draws of factors are common to all layouts of a region (`factors.values`), so that two plans are
compared in the same worlds. A tornado needs no draws: one backward pass gives the slope of net to
every factor at once.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fabricgen.carbon.evaluator import count, evaluate
from fabricgen.carbon.factors import Factor, quantile, sigma
from fabricgen.carbon.ledger import Ledger
from fabricgen.carbon.measures import Measures
from fabricgen.carbon.place import Place
from fabricgen.carbon.regions import Region
from fabricgen.carbon.regions import region as region_named
from fabricgen.carbon.surroundings import Sunlight
from fabricgen.errors import LayoutError, SettingsError
from fabricgen.layout import Layout, harden

DRAWS = 256
SURE = 0.95  # a plan is called better when it is so in this share of the draws
TAILS = (0.05, 0.95)


@dataclass(frozen=True)
class Swing:
    """How far one factor moves net, to first order.

    Attributes:
        factor: The factor as it was counted with.
        slope_kgco2e_per_year: Gradient of net with respect to the factor, per its unit.
        sigma_kgco2e_per_year: The slope times the factor's standard deviation, positive.
        low_kgco2e_per_year, high_kgco2e_per_year: Change of net at the factor's 5 and 95 % points.
        share: Part of gross flows (emission plus sink) that moves in proportion to the factor.
    """

    factor: Factor
    slope_kgco2e_per_year: float
    sigma_kgco2e_per_year: float
    low_kgco2e_per_year: float
    high_kgco2e_per_year: float
    share: float


def tornado(  # noqa: PLR0913
    layout: Layout,
    *,
    region: str | Region,
    context: Layout | None = None,
    use_mix: Mapping[str, float] | None = None,
    year: int | None = None,
    horizon_years: int = 60,
    inside: Tensor | None = None,
    measures: Measures | None = None,
    sunlight: Sunlight | None = None,
) -> list[Swing]:
    """What net hangs on: every factor's swing, the widest first, from one backward pass.

    Whole numbers that a factor sets (years until a tree is grown, length of the study period as a
    year) do not move with it. carbon-model section 0.7.

    Args:
        layout: One layout; a batch has one net per item and no single tornado.
        region: As in `evaluate`, as is the rest.
        context: What stands there today.
        use_mix: Share of floor area by use.
        year: Calendar year of the electricity factor.
        horizon_years: Over which vegetation and soil are averaged.
        inside: The pixels that count.
        measures: What the plan says of its buildings.
        sunlight: Where the sun stands.

    Raises:
        LayoutError: More than one layout, or one that breaks its contract.
    """
    if layout.cover.shape[0] != 1:
        raise LayoutError(f"tornado: {layout.cover.shape[0]} layouts", "give one at a time")
    preset = region_named(region) if isinstance(region, str) else region
    like = torch.zeros((), dtype=torch.float64, device=layout.cover.device)
    leaves: dict[str, Tensor] = {}
    place = Place(preset, horizon_years, year, 0, 0, like, leaves=leaves)
    with torch.inference_mode(mode=False), torch.enable_grad(), warnings.catch_warnings():
        # Accounts read some factors as plain numbers, on purpose; torch warns of the lost gradient.
        warnings.filterwarnings("ignore", "Converting a tensor with requires_grad")
        ledger = count(
            _double(layout), place, inside=inside, use_mix=use_mix, measures=measures,
            context=None if context is None else _double(context), sunlight=sunlight,
        )  # fmt: skip
        net = ledger.net_kgco2e_per_year.sum()
        slopes = torch.autograd.grad(net, list(leaves.values()), allow_unused=True)
    gross = float((ledger.emission_kgco2e_per_year + ledger.sink_kgco2e_per_year).sum().detach())
    found = [
        _swing(place.used[name], 0.0 if slope is None else float(slope.sum()), gross)
        for name, slope in zip(leaves, slopes, strict=True)
    ]
    return sorted(found, key=lambda swing: (-swing.sigma_kgco2e_per_year, swing.factor.id))


def _double(layout: Layout) -> Layout:
    return Layout(
        layout.cover.detach().double(), layout.height_m.detach().double(), layout.allowed,
        layout.height_known, layout.pixel_m,
    )  # fmt: skip


def _swing(of: Factor, slope: float, gross: float) -> Swing:
    low, high = quantile(of, torch.tensor(TAILS, dtype=torch.float64)).tolist()
    return Swing(
        factor=of,
        slope_kgco2e_per_year=slope,
        sigma_kgco2e_per_year=abs(slope) * sigma(of),
        low_kgco2e_per_year=slope * (low - of.value),
        high_kgco2e_per_year=slope * (high - of.value),
        share=abs(slope * of.value) / gross if gross > 0 else 0.0,
    )


def beats(draws: Tensor, others: Tensor) -> float:
    """Share of the draws in which one plan has less than another; ties count half.

    Args:
        draws: Amounts of the plan by draw, (D,), say net per floor area.
        others: Those of the other plan in the same draws, (D,).

    Raises:
        SettingsError: No draws, or not as many of both.
    """
    if draws.shape != others.shape or draws.numel() == 0:
        raise SettingsError(
            f"{draws.numel()} draws against {others.numel()}", "draw both alike, at least once"
        )
    less = (draws < others).double() + 0.5 * (draws == others).double()
    return float(less.mean())


def beat_matrix(draws: Sequence[Tensor]) -> Tensor:
    """P(plan a beats plan b) for all pairs, (N, N); one half on the diagonal."""
    rows = [[beats(a, b) for b in draws] for a in draws]
    return torch.tensor(rows, dtype=torch.float64).reshape(len(draws), len(draws))


def tie_groups(draws: Sequence[Tensor]) -> list[int]:
    """Groups of plans, ordered best first, that cannot be told apart; numbers from 1.

    A plan opens a new group when the first of the group before it is better in at least `SURE` of
    the draws.
    """
    groups: list[int] = []
    leader = None
    for own in draws:
        if leader is None or beats(leader, own) >= SURE:
            leader = own
            groups.append(len(set(groups)) + 1)
        else:
            groups.append(groups[-1])
    return groups


def net_draws(ledger: Ledger, item: int = 0) -> Tensor:
    """Net of one layout in each draw of the factors, (D,) [kgCO2e/yr]."""
    return (ledger.amounts("emission") - ledger.amounts("sink"))[item, 1:].detach()


@dataclass(frozen=True)
class Gap:
    """What hardening a layout changes, relative to gross flows (emission plus sink), one item.

    Attributes:
        net: Of net.
        by_entry: Of each flow, by name.
    """

    net: float
    by_entry: dict[str, float]


def hardening_gap(
    layout: Layout,
    *,
    region: str | Region,
    context: Layout | None = None,
    inside: Tensor | None = None,
    use_mix: Mapping[str, float] | None = None,
    measures: Measures | None = None,
    sunlight: Sunlight | None = None,
) -> list[Gap]:
    """Soft count against the count of the same layout made one-hot, per item.

    carbon-model section 0.5. Shown plans are counted as drawn; the gap says how far the soft image
    that steered may have been off.

    Args:
        layout: B layouts.
        region: As in `evaluate`.
        context: As in `evaluate`.
        inside: As in `evaluate`.
        use_mix: As in `evaluate`.
        measures: As in `evaluate`.
        sunlight: As in `evaluate`.
    """
    with torch.no_grad():
        soft, hard = (
            evaluate(
                one, region=region, context=context, inside=inside, use_mix=use_mix,
                measures=measures, sunlight=sunlight,
            )
            for one in (layout, harden(layout))
        )  # fmt: skip
    gross = (hard.emission_kgco2e_per_year + hard.sink_kgco2e_per_year).clamp(min=1e-9)
    net = (soft.net_kgco2e_per_year - hard.net_kgco2e_per_year).abs() / gross
    before = {e.name: e.amount for e in soft.entries if e.kind != "stock"}
    after = {e.name: e.amount for e in hard.entries if e.kind != "stock"}
    apart = {
        name: (before[name] - after[name]).abs() / gross for name in before if name in after
    }  # fmt: skip
    return [
        Gap(float(net[item]), {name: float(value[item]) for name, value in apart.items()})
        for item in range(len(net))
    ]
