"""Charts of a report as SVG: the ledger's bars and the trade-off of carbon against form."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from fabricgen.carbon.uncertainty import net_draws
from fabricgen.design.candidates import Scored
from fabricgen.design.scheme import Scheme
from fabricgen.report.marks import PALE
from fabricgen.report.marks import line as _line
from fabricgen.report.marks import svg as _svg
from fabricgen.report.marks import text as _text
from fabricgen.report.tables import NAMES, SHARES, number, per_floor, slices, tonnes, total
from fabricgen.units import KG_PER_T

ACCENT = "#a8442c"
WIDTH_PX = 960
LEFT_PX, RIGHT_PX = 132, 118  # room for names and for totals
BAR_PX, GAP_PX, ROW_PX = 15, 3, 78
PLOT_PX = 440  # edge of a trade-off plot
LABEL_PX = (26, 11)  # room that the name of a point takes
KINDS = ("emission", "sink", "avoided")
GUIDES = 5  # about this many lines of a scale


def ledger_svg(schemes: Sequence[Scheme | Scored]) -> str:
    """Emission, sink and avoided of each scheme as bars apart, on one scale, with net's range."""
    reach = [value for scheme in schemes for value in _reach(scheme)]
    low, high = min(reach), max([*reach, 1.0])
    per_kg = (WIDTH_PX - LEFT_PX - RIGHT_PX) / (high - low)
    zero_px = LEFT_PX - low * per_kg

    def at(kgco2e: float) -> float:
        return zero_px + kgco2e * per_kg

    height = ROW_PX * len(schemes) + 26
    parts = []
    for value in ticks(low, high):
        parts.append(_line(at(value), 0, at(value), height - 22, PALE))
        parts.append(_text(at(value), height - 7, f"{value / KG_PER_T:,g} t", "t"))
    named = len(schemes) > 1
    parts += [_row(scheme, n * ROW_PX + 6, at, named=named) for n, scheme in enumerate(schemes)]
    return _svg(WIDTH_PX, height, "emission, sink and avoided of each scheme", "".join(parts))


def _reach(scheme: Scheme | Scored) -> list[float]:
    """All amounts that a scheme's bars must have room for, zero among them."""
    kinds = [abs(total(scheme.score.ledger, kind)) for kind in KINDS]
    net = [scheme.score.net_kgco2e_per_year, *scheme.score.net_range_kgco2e_per_year]
    return [0.0, *(value for value in (*kinds, *net) if not math.isnan(value))]


def _row(scheme: Scheme | Scored, top: float, at: Callable[[float], float], *, named: bool) -> str:
    """The bars of one scheme; `at` gives the pixel of an amount."""
    ledger = scheme.score.ledger
    parts = [_text(0, top + 12, scheme.name, "b")] if named else []
    for place, kind in enumerate(KINDS):
        y = top + place * (BAR_PX + GAP_PX)
        parts.append(_text(LEFT_PX - 8, y + 11.5, kind, "e"))
        so_far = 0.0
        for piece in slices(ledger, kind):
            amount = abs(piece.kgco2e_per_year)
            tip = f"{piece.title}: {tonnes(piece.kgco2e_per_year)} t CO₂e a year"
            parts.append(
                f'<rect x="{at(so_far):.2f}" y="{y}" width="{at(amount) - at(0):.2f}" '
                f'height="{BAR_PX}" fill="{piece.color}"><title>{escape(tip)}</title></rect>'
            )
            so_far += amount
        words = tonnes(total(ledger, kind))
        unit = "" if words == "not assessed" else " t"
        parts.append(_text(at(so_far) + 7, y + 11.5, words + unit))
    parts.append(_net(scheme, top + len(KINDS) * (BAR_PX + GAP_PX) + 5, at))
    return "".join(parts)


def _net(scheme: Scheme | Scored, y: float, at: Callable[[float], float]) -> str:
    """Net as a dot with its 5 to 95 % range as a line."""
    net = scheme.score.net_kgco2e_per_year
    low, _, high = scheme.score.net_range_kgco2e_per_year
    mark = f'<circle cx="{at(net):.1f}" cy="{y:.1f}" r="3.6" fill="{ACCENT}"/>'
    if not math.isnan(low):
        mark = _line(at(low), y, at(high), y, ACCENT, 1.6) + mark
    end = net if math.isnan(high) else max(net, high)
    name = _text(LEFT_PX - 8, y + 4, "net = emission − sink", "e")
    return name + mark + _text(at(end) + 7, y + 4, f"{tonnes(net)} t")


def pareto_svg(schemes: Sequence[Scheme], name: str) -> str:
    """Net carbon per floor area against an indicator of which more is better.

    Filled dots are schemes that no other beats in both. A line is the 5 to 95 % range of the
    difference to the first scheme over the common draws, set on that scheme's net.
    """
    xs = [scheme.score.indicators[name] for scheme in schemes]
    nets = [per_floor(scheme, scheme.score.net_kgco2e_per_year) for scheme in schemes]
    spans = [_difference(scheme, schemes[0]) for scheme in schemes]
    sheet = _Plot(_padded(xs, 0.12), _padded([*nets, *(y for span in spans for y in span)], 0.1))
    parts = [sheet.grid(name)]
    best = front(list(zip(xs, nets, strict=True)))
    spots = [sheet.place(x, y) for x, y in zip(xs, nets, strict=True)]
    words = zip(schemes, xs, nets, spans, best, spots, _apart(spots), strict=True)
    for scheme, x, net, span, first, spot, label_y in words:
        foot, head = (sheet.place(x, y)[1] for y in span)
        fill = ACCENT if first else "#ffffff"
        tip = f"{scheme.name}: {net:.1f} kg CO₂e/m² GFA/yr, {NAMES[name]} {number(name, x)}"
        parts.append(
            f"{_line(spot[0], foot, spot[0], head, '#c99a8c', 1.2)}"
            f'<circle cx="{spot[0]:.1f}" cy="{spot[1]:.1f}" r="4.6" fill="{fill}" '
            f'stroke="{ACCENT}"><title>{escape(tip)}</title></circle>'
            f"{_text(spot[0] + 8, label_y + 4, scheme.name)}"
        )
    return _svg(PLOT_PX, PLOT_PX, f"net carbon against {NAMES[name]}", "".join(parts))


def _difference(scheme: Scheme, first: Scheme) -> tuple[float, float]:
    """Net of the first scheme plus the 5 and 95 % points of the difference to it, per area."""
    drawn = net_draws(scheme.score.ledger).double().numpy()
    drawn = per_floor(scheme, 1.0) * drawn
    if drawn.size == 0:
        net = per_floor(scheme, scheme.score.net_kgco2e_per_year)
        return net, net
    other = per_floor(first, 1.0) * net_draws(first.score.ledger).double().numpy()
    low, high = np.quantile(drawn - other, (0.05, 0.95))
    base = per_floor(first, first.score.net_kgco2e_per_year)
    return base + float(low), base + float(high)


@dataclass(frozen=True)
class _Plot:
    """A square plot: the range of either axis, and where on the picture a value lies."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    left: int = 58
    right: int = PLOT_PX - 24
    top: int = 12
    bottom: int = PLOT_PX - 46

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Pixel position of a value."""
        across = (x - self.x_range[0]) / (self.x_range[1] - self.x_range[0])
        up = (y - self.y_range[0]) / (self.y_range[1] - self.y_range[0])
        return (
            self.left + across * (self.right - self.left),
            self.bottom - up * (self.bottom - self.top),
        )

    def grid(self, name: str) -> str:
        """Guides, their values and the names of the axes."""
        parts = []
        for value in ticks(*self.x_range):
            x, _ = self.place(value, self.y_range[0])
            text = f"{100 * value:g} %" if name in SHARES else f"{value:g}"
            parts.append(_line(x, self.top, x, self.bottom, PALE))
            parts.append(_text(x, self.bottom + 16, text, "t"))
        for value in ticks(*self.y_range):
            _, y = self.place(self.x_range[0], value)
            parts.append(_line(self.left, y, self.right, y, PALE))
            parts.append(_text(self.left - 7, y + 4, f"{value:g}", "e"))
        parts.append(_text((self.left + self.right) / 2, PLOT_PX - 8, NAMES[name], "t"))
        turn = f"translate(13 {(self.top + self.bottom) / 2:.0f}) rotate(-90)"
        words = "Net, kg CO₂e per m² GFA and year"
        return "".join(parts) + f'<text transform="{turn}" class="t">{words}</text>'


def _apart(spots: Sequence[tuple[float, float]]) -> list[float]:
    """Heights of labels, pushed down where one would lie on another."""
    heights = [y for _, y in spots]
    order = sorted(range(len(spots)), key=lambda n: spots[n][1])
    for place, n in enumerate(order):
        for m in order[:place]:
            beside = abs(spots[n][0] - spots[m][0]) < LABEL_PX[0]
            if beside and heights[n] - heights[m] < LABEL_PX[1]:
                heights[n] = heights[m] + LABEL_PX[1]
    return heights


def front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Which points no other beats: at least as much x, at most as much y, and better in one."""
    return [not any(x >= a and y <= b and (x, y) != (a, b) for x, y in points) for a, b in points]


def ticks(low: float, high: float) -> list[float]:
    """Round values from low to high."""
    span = max(high - low, 1e-9)
    power = 10.0 ** math.floor(math.log10(span / GUIDES))
    step = next(m * power for m in (1, 2, 5, 10) if span / (m * power) <= GUIDES + 1)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _padded(values: Sequence[float], share: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = share * (high - low) or 0.1 * abs(high) or 1.0
    return low - pad, high + pad
