"""One plan judged as drawn: the plan itself drawn back to a raster, never the soft image."""

from __future__ import annotations

from fabricgen.design.counting import Counting
from fabricgen.design.green_score import green_indicators
from fabricgen.design.scheme import Score
from fabricgen.form.indicators import of_plan
from fabricgen.layout import Frame, Layout, compose
from fabricgen.plan import Plan, rasterize

DRAWS = 256  # of every factor; the same draws for every plan, so that plans can be compared


def score(
    plan: Plan,
    frame: Frame,
    counting: Counting,
    *,
    surroundings: Layout | None = None,
    draws: int = DRAWS,
) -> tuple[Score, Layout]:
    """Indicators from geometry and carbon from the raster of the same plan.

    Args:
        plan: What is judged.
        frame: A grid that holds the site.
        counting: How carbon is counted.
        surroundings: What stands around, (1, 8, rows, cols), so that walls at the site's edge
            are seen as they are; None: nothing does.
        draws: Random draws of every factor for the range of net.

    Returns:
        The score, and the plan in its surroundings (1, 8, rows, cols).
    """
    drawn = rasterize(plan, frame)
    inside = drawn.allowed > 0  # (1, rows, cols)
    layout = drawn if surroundings is None else compose(inside, drawn, surroundings)
    ledger = counting.ledger(layout, inside, draws=draws)
    low, middle, high = (float(x) for x in ledger.spread("net")[0])
    green = green_indicators(layout, inside, ledger, region=counting.region)
    return Score(of_plan(plan) | green, ledger, (low, middle, high)), layout
