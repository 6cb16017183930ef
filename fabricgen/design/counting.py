"""How the carbon of any layout of a site is counted: where it lies, and what stands there today."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fabricgen import carbon
from fabricgen.carbon import Ledger, Region
from fabricgen.carbon.measures import Measures
from fabricgen.carbon.surroundings import Sunlight
from fabricgen.layout import Layout

# New fabric takes the place of the old: a house that is drawn where one stood is no house kept.
CLEARED = Measures(cleared=True)


@dataclass(frozen=True, eq=False)
class Counting:
    """The one way in which a run counts, while it steers and when it judges.

    Attributes:
        region: Carbon region.
        today: What stands on the site and around it, (1, 8, rows, cols); None if nobody knows:
            felling, soil and demolition are then not assessed.
        sunlight: Where the sun stands; None leaves shade out.
        measures: What a plan says of its buildings beside their shape.
    """

    region: str | Region
    today: Layout | None = None
    sunlight: Sunlight | None = None
    measures: Measures = CLEARED

    def ledger(self, layout: Layout, inside: Tensor, *, draws: int = 0) -> Ledger:
        """The carbon of B layouts on their sites.

        Args:
            layout: On the grid of `today`, (B, 8, rows, cols).
            inside: The site, (B or 1, rows, cols) bool.
            draws: Random draws of every factor, for ranges.
        """
        return carbon.evaluate(
            layout,
            region=self.region,
            context=self.today,
            inside=inside,
            draws=draws,
            measures=self.measures,
            sunlight=self.sunlight,
        )
