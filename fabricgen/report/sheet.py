"""The contact sheet: every scheme's plan beside the others in one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Polygon
from matplotlib.path import Path as Outline

from fabricgen.design.scheme import Scheme
from fabricgen.files import atomic_file
from fabricgen.plan import Plan
from fabricgen.report.draw import (
    Drawing,
    Mark,
    Style,
    Surroundings,
    View,
    background,
    draw,
    view_of,
)
from fabricgen.report.svg import INK, bar_length_m
from fabricgen.report.tables import number, per_floor, tonnes

DPI = 150
PANEL_IN = 3.4  # width of one panel
CAPTION_IN = 0.72  # strip under each plan
POINTS_PER_PX = 0.6  # a stroke of the page on the smaller picture
LEAST_POINTS = 2.6  # of a number that is still read
COLUMNS = 4
SHOWN = 48  # panels at most; a picture has its limits


def contact_sheet(
    schemes: Sequence[Scheme], path: Path, surroundings: Surroundings | None = None
) -> None:
    """Writes one PNG with a panel per scheme.

    Args:
        schemes: Of one site, in the order in which they appear; the first `SHOWN` are drawn.
        path: The PNG to write.
        surroundings: Layers around the site, as in `plan_svg`.
    """
    schemes = schemes[:SHOWN]
    columns = min(COLUMNS, max(1, len(schemes)))
    rows = math.ceil(len(schemes) / columns)
    views = [view_of(scheme.plan, scheme.frame) for scheme in schemes]
    plan_in = PANEL_IN * max((v.height_m / v.width_m for v in views), default=1.0)
    size = (columns * PANEL_IN, rows * (plan_in + CAPTION_IN))
    figure = Figure(figsize=size, dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    behind: list[Mark] = []
    for index, (scheme, view) in enumerate(zip(schemes, views, strict=True)):
        if not behind or scheme.plan.site != schemes[0].plan.site:
            behind = background(scheme.plan, view, surroundings)
        left, top = (index % columns) * PANEL_IN, (index // columns) * (plan_in + CAPTION_IN)
        pad = 0.09
        place = (
            (left + pad) / size[0],
            1 - (top + plan_in) / size[1],
            (PANEL_IN - 2 * pad) / size[0],
            (plan_in - pad) / size[1],
        )
        axes = figure.add_axes(place)
        paint(draw(scheme.plan, view, behind), axes)
        _caption(axes, scheme)
    with atomic_file(Path(path)) as part:
        figure.savefig(part, dpi=DPI)


def plan_png(plan: Plan, path: Path) -> None:
    """Writes one picture of a plan of any size, north up."""
    view = view_of(plan)
    longer_in = PANEL_IN * COLUMNS
    scale = longer_in / max(view.width_m, view.height_m)
    size = (view.width_m * scale, view.height_m * scale)
    figure = Figure(figsize=size, dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    paint(draw(plan, view, background(plan, view, None)), figure.add_axes((0, 0, 1, 1)))
    with atomic_file(Path(path)) as part:
        figure.savefig(part, dpi=DPI)


def paint(drawing: Drawing, axes: Axes) -> None:
    """Puts a drawing on axes, with its scale bar and arrow."""
    view = drawing.view
    axes.set_xlim(0, view.width_m)
    axes.set_ylim(view.height_m, 0)
    axes.set_aspect("equal", anchor="S")
    axes.axis("off")
    for mark in drawing.marks:
        if mark.shapes:
            outline = Outline.make_compound_path(*(_outline(shape) for shape in mark.shapes))
            axes.add_artist(PathPatch(outline, **_look(mark.style)))  # limits stand already
        if mark.circles is not None:
            discs = [_disc(*row) for row in mark.circles]
            axes.add_collection(PathCollection(discs, **_look(mark.style)), autolim=False)
    inch_m = view.width_m / (axes.get_position().width * axes.figure.get_figwidth())
    for label in drawing.labels:
        points = 72 * label.height_m / inch_m
        if points >= LEAST_POINTS:
            axes.text(
                label.x_m, label.y_m, label.text, color="white", ha="center",
                va="center_baseline", fontsize=points,
            )  # fmt: skip
    _scale(axes, view)


def _look(style: Style) -> dict[str, Any]:
    look: dict[str, Any] = {
        "facecolor": style.fill,
        "edgecolor": style.line,
        "linewidth": style.line_px * POINTS_PER_PX,
        "alpha": style.opacity,
    }
    if style.dash_px:
        look["linestyle"] = (0, tuple(length * 0.7 for length in style.dash_px))
    return look


def _outline(shape: shapely.Polygon) -> Outline:
    rings = [shapely.get_coordinates(ring) for ring in shapely.get_rings(shape)]
    codes = [
        code
        for ring in rings
        for code in (Outline.MOVETO, *[Outline.LINETO] * (len(ring) - 2), Outline.CLOSEPOLY)
    ]
    return Outline(np.concatenate(rings), codes)


def _disc(x_m: float, y_m: float, radius_m: float) -> Outline:
    return Outline.circle((x_m, y_m), radius_m)


def _scale(axes: Axes, view: View) -> None:
    length_m = bar_length_m(view.width_m)
    x, y = 0.03 * view.width_m, 0.965 * view.height_m
    axes.plot([x, x + length_m], [y, y], color=INK, linewidth=1.6, solid_capstyle="butt")
    axes.text(x + length_m + 0.015 * view.width_m, y, f"{length_m} m", color=INK, fontsize=5.5,
              va="center")  # fmt: skip
    turn = math.radians(view.north_deg)
    right = np.array([math.cos(turn), math.sin(turn)])
    down = np.array([-math.sin(turn), math.cos(turn)])
    size = 0.022 * view.width_m
    middle = np.array([0.955 * view.width_m, 0.95 * view.height_m])
    tip, foot, notch = -1.3 * down, 0.55 * right + down, 0.5 * down
    other = -0.55 * right + down
    half = middle + size * np.stack([tip, foot, notch])
    whole = middle + size * np.stack([tip, foot, notch, other])
    axes.add_patch(Polygon(whole, facecolor="white", edgecolor=INK, linewidth=0.5))
    axes.add_patch(Polygon(half, facecolor=INK, edgecolor=INK, linewidth=0.5))


def _caption(axes: Axes, scheme: Scheme) -> None:
    form = scheme.score.indicators
    low, _, high = scheme.score.net_range_kgco2e_per_year
    head = f"{scheme.rank} · scheme {scheme.name}"
    shape = (
        f"FAR {form['far']:.2f}   coverage {number('site_coverage', form['site_coverage'])}   "
        f"green {number('green_ratio', form['green_ratio'])}"
    )
    kgco2e_per_year = scheme.score.net_kgco2e_per_year
    net = f"net {tonnes(kgco2e_per_year)} t CO₂e/yr"
    net += "" if math.isnan(low) else f"  ({tonnes(low)} to {tonnes(high)})"
    net += f"   {per_floor(scheme, kgco2e_per_year):.1f} kg/m² GFA"
    lines = ((head, 8.0, "bold", -6), (shape, 6.4, "normal", -18), (net, 6.4, "normal", -28))
    for text, points, weight, down in lines:
        axes.annotate(
            text, (0, 0), (0, down), xycoords="axes fraction", textcoords="offset points",
            va="top", fontsize=points, fontweight=weight, color=INK, annotation_clip=False,
        )  # fmt: skip
