"""What the loop hands over: a plan, its score, and what was asked of it."""

from dataclasses import dataclass

from fabricgen.carbon import Ledger
from fabricgen.layout import Frame, Layout
from fabricgen.plan import Plan


@dataclass(frozen=True, eq=False)
class Score:
    """One plan, judged as drawn.

    Attributes:
        indicators: Form of the plan from its geometry, keys of `form.indicators`.
        ledger: Carbon of the plan drawn back to a raster, a batch of one.
        net_range_kgco2e_per_year: 5 %, 50 % and 95 % of net over draws of every factor.
    """

    indicators: dict[str, float]
    ledger: Ledger
    net_range_kgco2e_per_year: tuple[float, float, float]

    @property
    def net_kgco2e_per_year(self) -> float:
        """Emission minus sink; avoided amounts stand beside it."""
        return float(self.ledger.net_kgco2e_per_year[0])


@dataclass(frozen=True)
class Unmet:
    """An ask that the plan misses, with the nearest that was reached."""

    name: str
    asked: str
    nearest: float
    why: str


@dataclass(frozen=True, eq=False)
class Scheme:
    """One ranked proposal for a site.

    Attributes:
        name: Short name, "s01" and up in the order of the rank.
        plan: The vector plan, what is handed over and scored.
        frame: The grid of `layout`.
        layout: The plan drawn on the frame with its surroundings, (1, 8, rows, cols).
        score: Its judgment.
        seed: Seed of this candidate.
        rank: 1 is best; schemes that do not differ significantly share a tie group.
        tie: Number of the group of schemes whose net cannot be told apart.
        asked: The brief by name, as written.
        unmet: Asks that could not be met.
        origin: "guided" or "unguided".
    """

    name: str
    plan: Plan
    frame: Frame
    layout: Layout
    score: Score
    seed: int
    rank: int
    tie: int
    asked: dict[str, str]
    unmet: tuple[Unmet, ...]
    origin: str
