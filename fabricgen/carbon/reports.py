"""The ledger as inventories see it: GPC, IPCC 2006, EN 15978, city scopes, and what is unconfirmed.

All are sums over the tags of one ledger; nothing is counted here. Emission, sink and avoided stay
apart: a removal is printed beside the emission of its cell, never taken from it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from fabricgen.carbon.factors import Factor, rows_of
from fabricgen.carbon.ledger import Entry, Ledger
from fabricgen.carbon.uncertainty import Swing

NONE = "none"  # in a tag: outside that inventory


@dataclass(frozen=True)
class Cell:
    """One cell of an inventory.

    Attributes:
        code: Sub-sector, category or module.
        scope: 1, 2 or 3 (GPC and city scopes); empty elsewhere.
        title: In words.
        level: BASIC, BASIC+ or other (GPC); empty elsewhere.
        emission_kgco2e_per_year, sink_kgco2e_per_year: None where no flow falls in the cell.
        key: NE, NO, IE or C where there is no amount; empty where there is.
        reason: Why the key stands there.
    """

    code: str
    scope: str
    title: str
    level: str
    emission_kgco2e_per_year: float | None
    sink_kgco2e_per_year: float | None
    key: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Inventory:
    """A GPC table with its totals [kgCO2e/yr].

    Attributes:
        cells: All cells, in the order of the protocol.
        basic: Scope 1 and 2 of stationary energy and transport, scope 1 and 3 of waste.
        basic_plus: BASIC with land, products, grid losses and travel across the boundary.
        removals: Sinks of V.2, beside the totals and in none of them.
        other_scope_3: Below the line.
        partial: Sub-sectors of BASIC that are not estimated; the total is then "partial BASIC".
    """

    cells: tuple[Cell, ...]
    basic: float
    basic_plus: float
    removals: float
    other_scope_3: float
    partial: tuple[str, ...]


def by_gpc(ledger: Ledger, item: int = 0) -> Inventory:
    """One layout as a GPC inventory; carbon-model section 13.1.

    A cell whose flows were counted and came out as nothing says NO, one whose account is missing
    keeps the key of the table.
    """
    sums = _sums(ledger, item, lambda entry: (entry.tags.gpc, entry.tags.gpc_scope))
    cells = []
    for row in _gpc_rows():
        emission, sink = sums.pop((row["subsector"], row["scope"]), (None, None))
        counted = emission is not None or sink is not None
        nothing = counted and not emission and not sink
        key = "" if counted and not nothing else "NO" if nothing else row["key"]
        reason = "" if not key else "counted, and none" if nothing else row["reason"]
        cells.append(
            Cell(
                row["subsector"], row["scope"], row["title"], row["level"],
                None if key else emission, None if key else sink, key, reason,
            )
        )  # fmt: skip
    if sums:  # a tag that the table lacks would fall out of every total
        raise KeyError(f"gpc_cells.csv lacks {sorted(sums)}")
    level = {name: _total(cells, name) for name in ("BASIC", "BASIC+", "other")}
    missing = [cell.code for cell in cells if cell.level == "BASIC" and cell.key == "NE"]
    return Inventory(
        cells=tuple(cells),
        basic=level["BASIC"],
        basic_plus=level["BASIC"] + level["BASIC+"],
        removals=sum(cell.sink_kgco2e_per_year or 0.0 for cell in cells),
        other_scope_3=level["other"],
        partial=tuple(dict.fromkeys(missing)),
    )


@lru_cache(maxsize=1)
def _gpc_rows() -> tuple[dict[str, str], ...]:
    return tuple(rows_of("gpc_cells.csv"))


def _total(cells: Sequence[Cell], level: str) -> float:
    return sum(cell.emission_kgco2e_per_year or 0.0 for cell in cells if cell.level == level)


IPCC_TITLES = {
    "1": "Energy",
    "2": "Industrial processes and product use",
    "3": "Land",
    "4": "Waste",
}
EN_TITLES = {
    "A1-A3": "Product", "A4": "Transport to the site", "A5": "Construction, felling, soil",
    "A1-A5": "Planting", "B1": "Use: vegetation, soil, water", "B2": "Upkeep", "B4": "Replacement",
    "B5": "Refurbishment", "B6": "Operational energy", "B7": "Operational water",
    "B8": "Travel of users", "C1": "Deconstruction", "C1-C4": "End of life of paving",
    "C2-C4": "End of life", "none": "outside the standard",
}  # fmt: skip
SCOPE_TITLES = {"1": "on the site", "2": "grid energy", "3": "elsewhere, because of the site"}


def by_ipcc(ledger: Ledger, item: int = 0) -> tuple[Cell, ...]:
    """One layout by IPCC 2006 category; carbon-model section 13.2."""
    sums = _sums(ledger, item, lambda entry: (entry.tags.ipcc, ""))
    return tuple(
        Cell(code, "", IPCC_TITLES[code[0]], "", *sums[code, ""]) for code, _ in sorted(sums)
    )


def by_en15978(ledger: Ledger, item: int = 0) -> tuple[Cell, ...]:
    """One layout by life-cycle module of EN 15978; carbon-model section 13.4."""
    sums = _sums(ledger, item, lambda entry: (entry.tags.en15978, ""))
    return tuple(Cell(code, "", EN_TITLES[code], "", *sums[code, ""]) for code, _ in sorted(sums))


def by_city_scope(ledger: Ledger, item: int = 0) -> tuple[Cell, ...]:
    """One layout by scope of the GHG Protocol for cities; carbon-model section 13.3."""
    sums = _sums(ledger, item, lambda entry: ("", entry.tags.city_scope))
    return tuple(
        Cell("", scope, SCOPE_TITLES[scope], "", *sums["", scope]) for _, scope in sorted(sums)
    )


def stock(ledger: Ledger, item: int = 0) -> dict[str, float]:
    """What the site holds at the end of the horizon, by pool [kgCO2e]."""
    return {
        entry.name.removeprefix("stock."): float(entry.amount[item].detach())
        for entry in ledger.entries
        if entry.kind == "stock"
    }


def _sums(
    ledger: Ledger, item: int, key: Callable[[Entry], tuple[str, str]]
) -> dict[tuple[str, str], tuple[float | None, float | None]]:
    """Emission and sink of the flows by a key of their tags; None where a cell has none of it."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for entry in ledger.entries:
        if entry.kind in ("emission", "sink"):
            cell = found.setdefault(key(entry), {})
            cell[entry.kind] = cell.get(entry.kind, 0.0) + float(entry.amount[item].detach())
    return {at: (cell.get("emission"), cell.get("sink")) for at, cell in found.items()}


@dataclass(frozen=True)
class Unconfirmed:
    """A factor that was not read in a source, and how much rests on it.

    Attributes:
        factor: The factor as it was counted with.
        share: Part of gross flows (emission plus sink) in entries that use it.
        pull: Part of gross flows that moves in proportion to it; None without a tornado.
    """

    factor: Factor
    share: float
    pull: float | None


def unconfirmed(
    ledger: Ledger, item: int = 0, *, swings: Sequence[Swing] = ()
) -> list[Unconfirmed]:
    """The unconfirmed factors that a total rests on, those with the largest share first.

    Args:
        ledger: What was counted.
        item: Which layout.
        swings: Its tornado, for the part that moves with each factor; it then sets the order.
    """
    flows = [e for e in ledger.entries if e.kind in ("emission", "sink")]
    gross = sum(float(e.amount[item].detach()) for e in flows)
    pulls = {swing.factor.id: swing.share for swing in swings}
    found = []
    for name, factor in ledger.factors.items():
        if factor.confirmed:
            continue
        resting = sum(float(e.amount[item].detach()) for e in flows if name in e.factors)
        share = resting / gross if gross > 0 else 0.0
        found.append(Unconfirmed(factor, share, pulls.get(name) if swings else None))
    return sorted(found, key=lambda one: (-(one.pull or 0.0), -one.share, one.factor.id))
