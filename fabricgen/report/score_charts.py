"""Charts of one scored plan: its bars, its course over the years, and what net hangs on."""

import itertools
import math
from collections.abc import Sequence
from html import escape

import torch
from torch import Tensor

from fabricgen.carbon.ledger import Ledger
from fabricgen.carbon.uncertainty import Swing
from fabricgen.report.charts import ACCENT, ticks
from fabricgen.report.marks import PALE, line, svg, text
from fabricgen.report.tables import tonnes
from fabricgen.units import KG_PER_T

WIDTH_PX, HEIGHT_PX = 960, 330
LEFT_PX, RIGHT_PX, TOP_PX, FOOT_PX = 78, 150, 12, 34
BAND = (0.05, 0.95)
STATIC, DECLINING, SINK = "#7a726b", ACCENT, "#4f7f45"
SHOWN = 16  # factors of a tornado
ROW_PX, NAME_PX, SIDE_PX = 19, 330, 96


def timeline_svg(ledger: Ledger, item: int = 0) -> str:
    """Emission minus sink summed up over the years, with the grid held and declining.

    The band holds 90 % of the draws of all factors with the declining grid; the green line is what
    sinks have taken up so far.
    """
    held = _summed(ledger.timeline("net")[item])
    falls = _summed(ledger.timeline("net", declining_grid=True)[item])
    sinks = _summed(ledger.timeline("sink")[item])[:1]
    edges = [falls[:1]]
    if falls.shape[0] > 1:
        at = torch.tensor(BAND, dtype=falls.dtype)
        edges = list(torch.quantile(falls[1:], at, dim=0)[:, None])
    everything = torch.cat([held[:1], falls[:1], sinks, *edges])
    low, high = min(0.0, float(everything.min())), max(1.0, float(everything.max()))
    years = held.shape[1] - 1
    right, foot = WIDTH_PX - RIGHT_PX, HEIGHT_PX - FOOT_PX

    def place(year: float, kgco2e: float) -> tuple[float, float]:
        x = LEFT_PX + (right - LEFT_PX) * year / years
        return x, foot - (foot - TOP_PX) * (kgco2e - low) / (high - low)

    parts = []
    for value in ticks(low, high):
        y = place(0, value)[1]
        parts.append(line(LEFT_PX, y, right, y, PALE) + text(LEFT_PX - 7, y + 4, _t(value), "e"))
    for year in ticks(0, years):
        x = place(year, low)[0]
        parts.append(line(x, foot, x, foot + 4, PALE) + text(x, foot + 16, f"{year:g}", "t"))
    parts.append(text((LEFT_PX + right) / 2, HEIGHT_PX - 4, "years after the start", "t"))
    if len(edges) > 1:
        corners = [place(t, float(v)) for t, v in enumerate(edges[1][0])]
        corners += [place(t, float(v)) for t, v in reversed(list(enumerate(edges[0][0])))]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        parts.append(f'<polygon points="{points}" fill="{DECLINING}" opacity="0.13"/>')
    ends = []
    for course, color, words in (
        (held[0], STATIC, "grid held"),
        (falls[0], DECLINING, "grid declining"),
        (sinks[0], SINK, "sinks so far"),
    ):
        spots = [place(t, float(value)) for t, value in enumerate(course)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        ends.append([spots[-1][1], f"{words}: {_t(float(course[-1]))}"])
    ends.sort(key=lambda end: end[0])
    for before, after in itertools.pairwise(ends):
        after[0] = max(after[0], before[0] + 13)  # names do not lie on one another
    parts += [text(right + 8, y + 4, words) for y, words in ends]
    return svg(WIDTH_PX, HEIGHT_PX, "emission minus sink summed over the years", "".join(parts))


def _summed(course: Tensor) -> Tensor:
    """Sums up to each year, (1 + D, T + 1)."""
    return course.detach().double().cumsum(dim=1)


def _t(kgco2e: float) -> str:
    return f"{kgco2e / KG_PER_T:,.0f} t"


def tornado_svg(swings: Sequence[Swing]) -> str:
    """Change of net at the 5 and 95 % points of each factor, the widest on top; names are links."""
    shown = [swing for swing in swings if swing.sigma_kgco2e_per_year > 0][:SHOWN]
    ends = [
        value / KG_PER_T
        for swing in shown
        for value in (swing.low_kgco2e_per_year, swing.high_kgco2e_per_year)
    ]
    reach = max([abs(end) for end in ends], default=1.0) or 1.0
    middle = NAME_PX + (WIDTH_PX - NAME_PX - SIDE_PX) / 2
    per_t = (WIDTH_PX - NAME_PX - SIDE_PX) / 2 / reach
    height = ROW_PX * len(shown) + 30
    parts = [
        line(middle + value * per_t, 0, middle + value * per_t, height - 24, PALE)
        + text(middle + value * per_t, height - 8, f"{value:+g} t", "t")
        for value in ticks(-reach, reach)
    ]
    parts += [_bar(swing, row, middle, per_t) for row, swing in enumerate(shown)]
    return svg(WIDTH_PX, height, "what net hangs on", "".join(parts))


def _bar(swing: Swing, row: int, middle: float, per_t: float) -> str:
    y = row * ROW_PX + 3
    of = swing.factor
    parts = [f'<a href="#{anchor(of.id)}">{text(NAME_PX - 10, y + 11, short(of.id, 50), "e")}</a>']
    sides = ((swing.low_kgco2e_per_year, of.low), (swing.high_kgco2e_per_year, of.high))
    for (change, end), color in zip(sides, ("#8fa3ad", ACCENT), strict=True):
        x = change / KG_PER_T * per_t
        tip = f"{of.id} near {end:g} {of.unit}: net {change / KG_PER_T:+,.1f} t a year"
        parts.append(
            f'<rect x="{middle + min(x, 0):.1f}" y="{y}" width="{abs(x):.1f}" '
            f'height="{ROW_PX - 5}" fill="{color}"><title>{escape(tip)}</title></rect>'
        )
    sigma = tonnes(swing.sigma_kgco2e_per_year)
    return "".join(parts) + text(WIDTH_PX - SIDE_PX + 10, y + 11, f"± {sigma} t")


def anchor(name: str) -> str:
    """Where a factor stands on the page."""
    return f"f-{name}"


def short(name: str, most: int) -> str:
    """A name that fits, its end kept."""
    return name if len(name) <= most else f"…{name[1 - most :]}"


def positive_text(years: float, horizon_years: int) -> str:
    """Years until sinks have made good all emission, in words."""
    return f"not within {horizon_years} years" if math.isinf(years) else f"{years:.0f} years"
