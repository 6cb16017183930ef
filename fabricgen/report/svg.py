"""Drawings as SVG: a plan with its north arrow and scale bar."""

from html import escape

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from fabricgen.layout import Frame
from fabricgen.plan import Plan
from fabricgen.report.draw import (
    Drawing,
    Label,
    Mark,
    Style,
    Surroundings,
    View,
    background,
    draw,
    view_of,
)

FOOT_PX = 34.0  # strip below the drawing, for the scale bar and the arrow
INK = "#4a4440"
BAR_SHARE = 0.3  # the scale bar is at most this share of the sheet's width
ROUND_LENGTHS_M = (5, 10, 20, 50, 100, 200, 500)


def plan_svg(
    plan: Plan,
    *,
    surroundings: Surroundings | None = None,
    frame: Frame | None = None,
    width_px: int = 640,
    title: str = "plan",
) -> str:
    """A planner's drawing of a plan as one SVG element.

    Args:
        plan: What is drawn.
        surroundings: Layers around the site by name: `buildings`, `roads`, `green`, `water`,
            `paved`, in the plan's CRS; any may be missing.
        frame: The sheet is turned like it and stays inside it; None: north is up.
        width_px: Width on screen.
        title: Read out to those who cannot see it.
    """
    view = view_of(plan, frame)
    drawing = draw(plan, view, background(plan, view, surroundings))
    return drawing_svg(drawing, width_px=width_px, title=title)


def drawing_svg(
    drawing: Drawing, *, width_px: int, title: str, image: str = "", foot: bool = True
) -> str:
    """A drawing as one SVG element; `image` is SVG that lies under all marks."""
    view = drawing.view
    px_m = view.width_m / width_px
    height_m = view.height_m + (FOOT_PX * px_m if foot else 0.0)
    box = f"0 0 {_number(view.width_m)} {_number(height_m)}"
    marks = "".join(_mark(mark, px_m) for mark in drawing.marks)
    labels = "".join(_label(label) for label in drawing.labels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" width="{width_px}" '
        f'height="{height_m / px_m:.0f}" role="img" aria-label="{escape(title)}" '
        f'font-family="Helvetica, Arial, sans-serif">'
        f"<title>{escape(title)}</title>{image}{marks}"
        f'<g fill="#ffffff" text-anchor="middle">{labels}</g>'
        f"{_foot(view, px_m) if foot else ''}</svg>"
    )


def _mark(mark: Mark, px_m: float) -> str:
    path = "".join(_path(shape) for shape in mark.shapes)
    if mark.circles is not None:
        path += "".join(_circle(*row) for row in mark.circles)
    return f'<path class="{mark.name}"{_look(mark.style, px_m)} d="{path}"/>' if path else ""


def _look(style: Style, px_m: float) -> str:
    text = f' fill="{style.fill}"'
    if style.line != "none":
        text += f' stroke="{style.line}" stroke-width="{style.line_px * px_m:.3f}"'
        text += ' stroke-linejoin="round"'
    if style.dash_px:
        dashes = " ".join(f"{length * px_m:.2f}" for length in style.dash_px)
        text += f' stroke-dasharray="{dashes}"'
    if style.opacity < 1:
        text += f' opacity="{style.opacity:g}"'
    return text


def _path(shape: BaseGeometry) -> str:
    return "".join(f"M{_points(ring)}Z" for ring in shapely.get_rings(shape))


def _points(ring: BaseGeometry) -> str:
    xy = np.round(shapely.get_coordinates(ring)[:-1], 1)
    return "L".join(f"{_number(x)} {_number(y)}" for x, y in xy)


def _circle(x_m: float, y_m: float, radius_m: float) -> str:
    r = _number(radius_m, 2)
    turn = f"a{r} {r} 0 1 0 "
    across = _number(2 * radius_m, 2)
    return f"M{_number(x_m - radius_m)} {_number(y_m)}{turn}{across} 0{turn}-{across} 0Z"


def _label(label: Label) -> str:
    baseline_m = label.y_m + 0.36 * label.height_m
    return (
        f'<text x="{_number(label.x_m)}" y="{_number(baseline_m)}" '
        f'font-size="{_number(label.height_m)}">{escape(label.text)}</text>'
    )


def _number(value: float, digits: int = 1) -> str:
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}"


def bar_length_m(width_m: float) -> int:
    """The longest round length that takes at most `BAR_SHARE` of a sheet."""
    return max((n for n in ROUND_LENGTHS_M if n <= BAR_SHARE * width_m), default=ROUND_LENGTHS_M[0])


def _foot(view: View, px_m: float) -> str:
    """Scale bar on the left and north arrow on the right, in pixels under the drawing."""
    bar_px = bar_length_m(view.width_m) / px_m
    width_px = view.width_m / px_m
    cells = "".join(_cell(index, bar_px / 4) for index in range(4))
    ends = ((0, "0"), (bar_px / 2, f"{bar_length_m(view.width_m) / 2:g}"))
    numbers = "".join(_tick(x, text) for x, text in ends)
    numbers += _tick(bar_px, f"{bar_length_m(view.width_m)} m")
    return (
        f'<g transform="translate(0 {_number(view.height_m, 2)}) scale({px_m:.5f})" fill="{INK}" '
        f'font-size="10" text-anchor="middle"><g transform="translate(8 12)">{cells}{numbers}</g>'
        f'<g transform="translate({width_px - 18:.1f} 18) rotate({view.north_deg:.1f})">'
        f'<path d="M0-12L5 9L0 5Z"/><path d="M0-12L-5 9L0 5Z" fill="none" stroke="{INK}" '
        f'stroke-width="0.8"/></g><text x="{width_px - 40:.1f}" y="22">N</text></g>'
    )


def _cell(index: int, width_px: float) -> str:
    fill = INK if index % 2 == 0 else "#ffffff"
    x = index * width_px
    return (
        f'<rect x="{x:.1f}" y="0" width="{width_px:.1f}" height="4" fill="{fill}" '
        f'stroke="{INK}" stroke-width="0.7"/>'
    )


def _tick(x_px: float, text: str) -> str:
    anchor = ' text-anchor="start"' if x_px == 0 else ""
    return f'<text x="{x_px:.1f}" y="15"{anchor}>{escape(text)}</text>'
