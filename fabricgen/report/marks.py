"""Lines and words of a chart as SVG."""

from html import escape

INK, PALE = "#4a4440", "#d8d2c9"


def line(x0: float, y0: float, x1: float, y1: float, color: str, width: float = 0.8) -> str:
    """A straight line; coordinates and width in pixels."""
    return (
        f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{color}" '
        f'stroke-width="{width}"/>'
    )


def text(x: float, y: float, words: str, look: str = "") -> str:
    """Words at a point; `look` is a class of the page, such as t (middle) or e (end)."""
    kind = f' class="{look}"' if look else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{kind}>{escape(words)}</text>'


def svg(width: int, height: int, title: str, inside: str) -> str:
    """A chart of some pixels around its marks."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{escape(title)}" class="chart" fill="{INK}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="11">{inside}</svg>'
    )
