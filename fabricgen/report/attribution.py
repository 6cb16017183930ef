"""Where on the ground a scheme emits and takes up carbon: net per pixel as a picture."""

import base64
import io

import numpy as np
from matplotlib import colormaps
from PIL import Image

from fabricgen.carbon.ledger import Ledger
from fabricgen.design.scheme import Scheme
from fabricgen.layout import Frame
from fabricgen.plan import Plan, site_mask
from fabricgen.report.draw import Drawing, View, outlines, view_of
from fabricgen.report.svg import drawing_svg

BEND_KGCO2E_PER_M2_YEAR = 0.3  # below this colors run linear, above it logarithmic
MARGIN_M = 3.0  # around the site; its surroundings are not scored
COLORMAP = "BrBG_r"  # brown: emission, green: sink
TICKS_KGCO2E_PER_M2_YEAR = (-10.0, -1.0, 0.0, 1.0, 10.0, 100.0)


def net_map(ledger: Ledger, pixel_m: float) -> np.ndarray:
    """Emission minus sink of each pixel [kgCO2e/m2/yr], (rows, cols)."""
    net = (ledger.map("emission") - ledger.map("sink"))[0]
    return net.detach().cpu().numpy() / pixel_m**2


def bent(kgco2e_per_m2_year: np.ndarray) -> np.ndarray:
    """Linear near zero and logarithmic beyond, odd: a sink shows beside a roof's emission."""
    return np.arcsinh(kgco2e_per_m2_year / BEND_KGCO2E_PER_M2_YEAR)


def reach_of(maps: list[np.ndarray]) -> float:
    """Largest magnitude over all schemes [kgCO2e/m2/yr], so that their colors compare."""
    return max([float(np.abs(net).max()) for net in maps if net.size], default=0.0) or 1.0


def shade(net: np.ndarray, reach: float) -> np.ndarray:
    """Colors of a map, 0…1 (..., 4)."""
    return colormaps[COLORMAP](0.5 + 0.5 * bent(net) / bent(np.array(reach)))


def map_svg(scheme: Scheme, net: np.ndarray, *, reach: float, width_px: int) -> str:
    """A map in the frame of its plan, under the outlines of the buildings."""
    inside = site_mask(scheme.plan.site, scheme.frame).numpy()
    return picture_svg(
        net, inside, scheme.frame, scheme.plan, reach=reach, width_px=width_px, title=scheme.name
    )


def picture_svg(
    net: np.ndarray,
    inside: np.ndarray,
    frame: Frame,
    plan: Plan | None,
    *,
    reach: float,
    width_px: int,
    title: str,
) -> str:
    """A map of any layout, turned like its frame.

    Args:
        net: As from `net_map`.
        inside: The site, (rows, cols) bool.
        frame: Of the map.
        plan: Whose buildings are outlined; None for a raster.
        reach: Magnitude at the end of the colors.
        width_px: Width on screen.
        title: Name of what is shown.
    """
    view = _view(inside, frame) if plan is None else view_of(plan, frame, margin_m=MARGIN_M)
    colors = (255 * shade(net, reach)).astype(np.uint8)
    colors[..., 3] = np.where(inside, 255, 0)
    picture = (
        f'<image x="{-view.left_m:.2f}" y="{-view.top_m:.2f}" '
        f'width="{frame.cols * frame.pixel_m:g}" height="{frame.rows * frame.pixel_m:g}" '
        f'preserveAspectRatio="none" style="image-rendering:pixelated" href="{_data_uri(colors)}"/>'
    )
    drawing = Drawing(view, () if plan is None else outlines(plan, view), ())
    return drawing_svg(
        drawing, width_px=width_px, image=picture, title=f"net carbon by place, {title}", foot=False
    )


def _view(inside: np.ndarray, frame: Frame) -> View:
    """The part of a frame that holds the site, with a margin."""
    rows, cols = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    low = np.array([cols[0], rows[0]]) * frame.pixel_m - MARGIN_M
    high = np.array([cols[-1] + 1, rows[-1] + 1]) * frame.pixel_m + MARGIN_M
    low = np.maximum(low, 0.0)
    high = np.minimum(high, np.array([frame.cols, frame.rows]) * frame.pixel_m)
    return View(frame, *(float(x) for x in (*low, *(high - low))))


def legend_stops(reach: float, count: int = 21) -> list[tuple[float, str]]:
    """Share along the legend and color, from the largest sink to the largest emission."""
    at = np.linspace(-1, 1, count)
    net = np.sinh(at * bent(np.array(reach))) * BEND_KGCO2E_PER_M2_YEAR
    rgb = (255 * shade(net, reach)[:, :3]).astype(int)
    return [
        (float(0.5 + 0.5 * place), f"#{r:02x}{g:02x}{b:02x}")
        for place, (r, g, b) in zip(at, rgb, strict=True)
    ]


def legend_ticks(reach: float) -> list[tuple[float, str]]:
    """Share along the legend and text of the round values on it."""
    shown = [value for value in TICKS_KGCO2E_PER_M2_YEAR if abs(value) <= reach]
    return [
        (float(0.5 + 0.5 * bent(np.array(value)) / bent(np.array(reach))), f"{value:g}")
        for value in shown
    ]


def _data_uri(colors: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(colors).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
