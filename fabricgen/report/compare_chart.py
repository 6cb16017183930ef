"""Plans as lines over parallel axes, one axis a quantity; `compare.js` lets readers brush them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from fabricgen.report.charts import ticks
from fabricgen.report.compare import Comparison, Measure, amount
from fabricgen.report.compare_counted import KINDS, NET
from fabricgen.report.marks import INK, line, svg, text
from fabricgen.report.tables import GREEN, NAMES, SHARES, number

WIDTH_PX, TOP_PX, TALL_PX, FOOT_PX = 1064, 58, 300, 22
LEFT_PX, RIGHT_PX, NAME_PX = 46, 24, 130  # room for values of the first axis, and for names
MOST_AXES = 11
NAMED = 12  # lines that have their name at the right end and a color of their own
TITLE_LETTERS = 15
# Told apart with any kind of color vision (Okabe and Ito), the pale ones darkened for white paper.
HUES = ("#0072b2", "#d55e00", "#009e73", "#a8548a", "#7a5c00", "#2f2a26")
DASHES = ("", "7 3", "2 3")
LEAST, MOST = np.array([0x30, 0x3C, 0x8C]), np.array([0xD8, 0x8A, 0x2A])  # of net: low, high

AXES = (
    (NET, "Net"), (KINDS["emission"], "Emission"), (KINDS["sink"], "Sink"),
    (KINDS["avoided"], "Avoided"), (KINDS["stock"], "Stock"), ("far", ""), ("site_coverage", ""),
    ("mean_height_m", ""), ("green_ratio", ""), ("tree_share", ""),
    ("runoff_50mm_share", "Runoff, 50 mm"), ("sky_view_open_share", "Sky, open ground"),
    ("urban_greening_factor", ""), ("road_share", ""),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis.

    Attributes:
        title: What it shows.
        values: Of each plan, (N,); NaN where a plan has none.
        low, high: Ends of the axis.
        is_share: Shown in percent.
    """

    title: str
    values: np.ndarray
    low: float
    high: float
    is_share: bool

    def at(self) -> np.ndarray:
        """Where each plan lies, 0 at the foot, 1 at the top, (N,)."""
        return (self.values - self.low) / (self.high - self.low)


def axes_of(comparison: Comparison) -> tuple[list[Axis], list[str]]:
    """The axes on which plans differ, and words on what is the same for all as it is shown."""
    found, same = [], []
    for name, short in AXES:
        is_carbon = name in (NET, *KINDS.values())
        title = short or {**NAMES, **GREEN}[name]
        values = _values(comparison, name, comparison.measure if is_carbon else None)
        if np.isnan(values).all():
            continue
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        is_share = name in SHARES or name.endswith("_share")
        shown = [f"{end:,.3g}" if is_carbon else number(name, end) for end in (low, high)]
        if shown[0] == shown[1]:
            same.append(f"{title} {shown[0]}")
        else:
            pad = 0.04 * (high - low)
            found.append(Axis(title, values, low - pad, high + pad, is_share))
    return found[:MOST_AXES], same


def _values(comparison: Comparison, name: str, measure: Measure | None) -> np.ndarray:
    plans = comparison.plans
    return np.array([amount(p, name) * (measure.scale(p) if measure else 1.0) for p in plans])


def parallel_svg(comparison: Comparison, axes: Sequence[Axis]) -> str:
    """The chart; each line carries its places on all axes for the script that brushes."""
    right = NAME_PX if len(comparison.plans) <= NAMED else RIGHT_PX
    step = (WIDTH_PX - LEFT_PX - right) / max(len(axes) - 1, 1)
    xs = [LEFT_PX + n * step for n in range(len(axes))]
    foot = TOP_PX + TALL_PX
    parts = [_line(comparison, n, axes, xs) for n in reversed(range(len(comparison.plans)))]
    parts += [_axis(axis, n, x) for n, (axis, x) in enumerate(zip(axes, xs, strict=True))]
    if len(comparison.plans) <= NAMED and axes:
        parts += _names(comparison, axes[-1], xs[-1])
    return svg(WIDTH_PX, foot + FOOT_PX, "plans over parallel axes", "".join(parts))


def color_of(comparison: Comparison, place: int) -> tuple[str, str]:
    """Color and dashes of a plan's line: its own where there are few, else by its net."""
    count = len(comparison.plans)
    if count <= NAMED:
        looks = [(hue, dash) for dash in DASHES for hue in HUES]
        return looks[place % len(looks)]
    share = place / (count - 1)
    red, green, blue = np.round(LEAST + share * (MOST - LEAST)).astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}", ""


def _line(comparison: Comparison, place: int, axes: Sequence[Axis], xs: Sequence[float]) -> str:
    """A plan's line, broken where it has no value."""
    at = [float(axis.at()[place]) for axis in axes]
    runs: list[list[str]] = [[]]
    for x, share in zip(xs, at, strict=True):
        if np.isnan(share):
            runs.append([])
        else:
            runs[-1].append(f"{x:.1f} {TOP_PX + (1 - share) * TALL_PX:.1f}")
    path = "".join(f"M{'L'.join(run)}" for run in runs if run)
    color, dash = color_of(comparison, place)
    name = escape(comparison.plans[place].name)
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    told = " ".join("-" if np.isnan(share) else f"{share:.4f}" for share in at)
    return (
        f'<path class="plan" data-plan="{place}" data-at="{told}" d="{path}" fill="none" '
        f'stroke="{color}"{dashes}><title>{name}</title></path>'
    )


def _axis(axis: Axis, place: int, x: float) -> str:
    """An axis with its values, its title in two lines, and the strip that takes a brush."""
    foot = TOP_PX + TALL_PX
    parts = [line(x, TOP_PX, x, foot, INK, 1.0)]
    for value in ticks(axis.low, axis.high):
        y = foot - (value - axis.low) / (axis.high - axis.low) * TALL_PX
        label = _figure(value, is_share=axis.is_share)
        parts.append(line(x - 4, y, x, y, INK, 0.8))
        parts.append(
            f'<text x="{x - 6:.1f}" y="{y + 3.5:.1f}" class="e halo" font-size="10">{label}</text>'
        )
    for row, words in enumerate(_folded(axis.title)):
        parts.append(text(x, TOP_PX - 30 + 13 * row, words, "t head"))
    hit = (
        f'<rect class="brush" x="{x - 5:.1f}" y="{TOP_PX}" width="10" height="0" '
        f'visibility="hidden"/>'
        f'<rect class="hit" x="{x - 14:.1f}" y="{TOP_PX}" width="28" height="{TALL_PX}" '
        f'fill="transparent"/>'
    )
    return (
        f'<g class="axis" data-axis="{place}" data-low="{axis.low:.9g}" '
        f'data-high="{axis.high:.9g}" data-share="{int(axis.is_share)}" tabindex="0" role="group" '
        f'aria-label="{escape(axis.title)}">{"".join(parts)}{hit}</g>'
    )


def _names(comparison: Comparison, axis: Axis, x: float) -> list[str]:
    """Names at the right ends of lines, pushed apart where they would lie on each other."""
    ends = np.where(np.isnan(axis.at()), 0.5, axis.at())
    heights = TOP_PX + (1 - ends) * TALL_PX
    parts, last = [], -np.inf
    for place in np.argsort(heights, kind="stable"):
        y = max(float(heights[place]), last + 12)
        last = y
        color, _ = color_of(comparison, int(place))
        name = comparison.plans[place].name
        short = name if len(name) <= 20 else f"{name[:9]}…{name[-10:]}"
        parts.append(
            f'<text x="{x + 8:.1f}" y="{y + 3.5:.1f}" fill="{color}" font-weight="600" '
            f'data-name="{place}">{escape(short)}</text>'
        )
    return parts


def _folded(title: str) -> list[str]:
    """A title in at most two lines, the lower one full first."""
    words, lines = title.split(), [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + 1 + len(word) > TITLE_LETTERS and len(lines) < 2:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines if len(lines) == 2 else ["", *lines]


def _figure(value: float, *, is_share: bool) -> str:
    return f"{100 * value:.4g} %" if is_share else f"{value:,.5g}"
