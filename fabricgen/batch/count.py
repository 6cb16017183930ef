"""Plans of about one size counted together, with the numbers that each has by itself.

A plan is padded with ground of no data below and to the right of its own grid, where nothing is
counted; its sums differ by rounding alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from fabricgen import carbon
from fabricgen.batch.read import Drawn, Rejected
from fabricgen.carbon.ledger import Ledger
from fabricgen.carbon.regions import Region, with_factors
from fabricgen.carbon.surroundings import Sunlight
from fabricgen.design.candidates import (
    Candidate,
    Heights,
    ScoreSettings,
    fill_heights,
    form_of,
    on_grid,
    region_of,
    sun_over,
    with_height,
)
from fabricgen.design.green_score import green_of_layouts
from fabricgen.errors import InputError
from fabricgen.exchange import Raster
from fabricgen.layout import Layout, stack
from fabricgen.plan import Plan

MOST_PLANS = 64
MOST_PIXELS = 2**19  # of a batch
STEP_PX = 16  # sizes are rounded up to multiples of it


@dataclass(frozen=True, eq=False)
class Context:
    """What all plans of a run are counted with.

    Attributes:
        settings: As of any scoring.
        own: The user's own factors.
        before: What stands today, if it is known.
    """

    settings: ScoreSettings
    own: dict
    before: Plan | Raster | None


@dataclass(frozen=True, eq=False)
class Counted:
    """Plans with their ledger; item n of the ledger is plan n."""

    drawn: tuple[Drawn, ...]
    region: Region
    ledger: Ledger
    form: tuple[dict[str, float], ...]
    green: dict[str, Tensor]
    heights: tuple[Heights | None, ...]


@dataclass(frozen=True, eq=False)
class _Ready:
    """A plan with its heights filled in."""

    drawn: Drawn
    region: str
    layout: Layout
    before: Layout | None
    plausible_m: tuple[float, float, float]
    unknown_share: float
    sun: Sunlight | None

    @property
    def batch(self) -> tuple[str, float, int, int]:
        """What plans that are counted together have in common."""
        rows, cols = self.layout.height_m.shape[-2:]
        return self.region, self.layout.pixel_m, _rounded(rows), _rounded(cols)


def _rounded(size: int) -> int:
    return -(-size // STEP_PX) * STEP_PX


def count_all(drawn: Iterable[Drawn], context: Context) -> Iterator[Counted | Rejected]:
    """Counts plans, those of one region and about one size together.

    Args:
        drawn: On their grids.
        context: What they are counted with.
    """
    regions: dict[str, Region] = {}
    groups: dict[tuple, list[_Ready]] = {}
    for one in drawn:
        name, _ = region_of(one.candidate, context.settings)
        if name not in regions:
            regions[name] = with_factors(carbon.region(name), context.own)
        try:
            ready = _ready(one, name, regions[name], context)
        except InputError as err:
            yield _rejected(one, err)
            continue
        groups.setdefault(ready.batch, []).append(ready)
    for (name, _, rows, cols), group in groups.items():
        most = max(1, min(MOST_PLANS, MOST_PIXELS // (rows * cols)))
        for start in range(0, len(group), most):
            yield from _counted(group[start : start + most], regions[name], context)


def _ready(drawn: Drawn, name: str, region: Region, context: Context) -> _Ready:
    candidate = drawn.candidate
    layout, plausible_m, share = fill_heights(candidate, region)
    before = on_grid(context.before, candidate)
    sun = sun_over(candidate, context.settings)
    return _Ready(drawn, name, layout, before, plausible_m, share, sun)


def _rejected(drawn: Drawn, err: InputError) -> Rejected:
    return Rejected(drawn.label, str(err))


def _counted(
    group: Sequence[_Ready], region: Region, context: Context
) -> Iterator[Counted | Rejected]:
    """A batch; where it cannot be counted, each plan by itself, so that one spoils no other."""
    try:
        yield _count(group, region, context)
    except InputError as err:
        if len(group) == 1:
            yield _rejected(group[0].drawn, err)
            return
        for one in group:
            yield from _counted([one], region, context)


def _count(group: Sequence[_Ready], region: Region, context: Context) -> Counted:
    layouts = [one.layout for one in group]
    inside = _stacked_masks([one.drawn.candidate for one in group])
    batch = _stacked(layouts)
    ledger = _evaluate(group, batch, inside, region=region, context=context, draws=True)
    return Counted(
        drawn=tuple(one.drawn for one in group),
        region=region,
        ledger=ledger,
        form=tuple(
            form_of(one.drawn.candidate, one.layout, unknown_share=one.unknown_share)
            for one in group
        ),
        green=green_of_layouts(
            batch, inside, ledger, region=region, quick=context.settings.sunlight == "quick"
        ),
        heights=_heights(group, inside, region, context),
    )


def _evaluate(
    group: Sequence[_Ready],
    batch: Layout,
    inside: Tensor,
    *,
    region: Region,
    context: Context,
    draws: bool,
) -> Ledger:
    settings = context.settings
    known = [one.before for one in group if one.before is not None]
    suns = [one.sun for one in group if one.sun is not None]
    return carbon.evaluate(
        batch,
        region=region,
        inside=inside,
        context=_stacked(known, like=batch) if known else None,
        use_mix=settings.use_mix,
        measures=settings.measures,
        sunlight=suns or None,
        horizon_years=settings.horizon_years,
        year=settings.year,
        draws=settings.draws if draws else 0,
    )


def _heights(
    group: Sequence[_Ready], inside: Tensor, region: Region, context: Context
) -> tuple[Heights | None, ...]:
    """The range of net over plausible heights, of those plans that do not tell theirs."""
    open_ = [n for n, one in enumerate(group) if one.unknown_share > 0]
    found: list[Heights | None] = [None] * len(group)
    if not open_:
        return tuple(found)
    some = [group[n] for n in open_]
    nets, per_floor = [], []
    for place in (0, 2):
        layouts = [with_height(one.drawn.candidate, one.plausible_m[place]) for one in some]
        batch = _stacked(layouts, rows=inside.shape[1], cols=inside.shape[2])
        ledger = _evaluate(some, batch, inside[open_], region=region, context=context, draws=False)
        nets.append(ledger.net_kgco2e_per_year.tolist())
        floors = ledger.gross_floor_area_m2.tolist()
        per_floor.append([net / max(m2, 1.0) for net, m2 in zip(nets[-1], floors, strict=True)])
    for n, one, net, each in zip(
        open_, some, zip(*nets, strict=True), zip(*per_floor, strict=True), strict=True
    ):
        found[n] = Heights(one.unknown_share, *one.plausible_m, *net, *each)
    return tuple(found)


def device() -> torch.device:
    """Where batches are counted."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _stacked(
    layouts: Sequence[Layout], *, like: Layout | None = None, rows: int = 0, cols: int = 0
) -> Layout:
    """Layouts as one batch, each padded to the same size, (B, 8, rows, cols)."""
    if like is not None:
        rows, cols = like.height_m.shape[-2:]
    rows = rows or max(_rounded(one.height_m.shape[-2]) for one in layouts)
    cols = cols or max(_rounded(one.height_m.shape[-1]) for one in layouts)
    return stack([_padded(one, rows, cols) for one in layouts]).to(device())


def _padded(layout: Layout, rows: int, cols: int) -> Layout:
    down, right = rows - layout.height_m.shape[-2], cols - layout.height_m.shape[-1]
    names = ("cover", "height_m", "allowed", "height_known")
    return replace(
        layout, **{name: pad(getattr(layout, name), (0, right, 0, down)) for name in names}
    )


def _stacked_masks(candidates: Sequence[Candidate]) -> Tensor:
    """What is scored of each, (B, rows, cols) bool."""
    rows = max(_rounded(one.inside.shape[-2]) for one in candidates)
    cols = max(_rounded(one.inside.shape[-1]) for one in candidates)
    masks = [
        pad(one.inside, (0, cols - one.inside.shape[-1], 0, rows - one.inside.shape[-2]))
        for one in candidates
    ]
    return torch.cat(masks).to(device())
