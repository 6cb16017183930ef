"""The ledger: what is emitted, taken up, avoided and held, each with its tags, never netted early.

A positive emission leaves the site, a positive sink is CO2 taken from the air. `net` is emission
minus sink; what is avoided stands beside it and what is held (stock) is no flow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from fabricgen.carbon.factors import Factor, rows_of
from fabricgen.carbon.form_fields import Field
from fabricgen.errors import SettingsError

KINDS = {"E": "emission", "S": "sink", "A": "avoided", "K": "stock"}
PERCENTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Tags:
    """Where a flow stands in the inventories; one row of `flow_tags.csv`.

    `grid`: it is in proportion to the emission factor of electricity.
    """

    name: str
    kind: str
    gpc: str
    gpc_scope: str
    ipcc: str
    en15978: str
    city_scope: str
    timing: str
    carbon: str
    grid: bool


@lru_cache(maxsize=1)
def flow_tags() -> dict[str, Tags]:
    """The tags of every flow by its id."""
    return {
        row["flow_id"]: Tags(
            row["flow_id"], KINDS[row["ledger"]], row["gpc_subsector"], row["gpc_scope"],
            row["ipcc_2006"], row["en_15978"], row["city_scope"], row["kind"], row["carbon"],
            row["grid"] == "yes",
        )
        for row in rows_of("flow_tags.csv")
    }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Part:
    """One product of an amount on the ground and a rate.

    Attributes:
        amounts: Per item and draw, (B, 1 + D); the first column holds the central values.
        draw_map: Makes the central amounts per pixel, (B, H, W); only called when asked for.
        profile: What falls in each of the years 0…T as a multiple of `amounts`, (T + 1,); None
            for the same amount in each of the years 1…T.
    """

    amounts: Tensor
    draw_map: Callable[[], Tensor]
    profile: Tensor | None = None


def part(quantity: Field, rate: Tensor, profile: Tensor | None = None) -> Part:
    """A field times a rate.

    Args:
        quantity: Amount per pixel.
        rate: kgCO2e a year (or kgCO2e for a stock) per unit of the field, (1 + D,) or (B, 1 + D).
        profile: As in `Part`.
    """
    of_items = rate if rate.ndim == 2 else rate[None]
    return Part(
        quantity.total[:, None] * of_items,
        lambda: quantity.per_pixel * of_items[:, :1, None],
        profile,
    )


@dataclass(frozen=True, eq=False)
class Entry:
    """One line of the ledger.

    Attributes:
        tags: Name, kind and inventory tags.
        parts: The products that add up to it.
        factors: Ids of the factors it rests on.
    """

    tags: Tags
    parts: tuple[Part, ...]
    factors: tuple[str, ...]

    @property
    def name(self) -> str:
        """Flow id, such as `bldg.gas.residential`."""
        return self.tags.name

    @property
    def kind(self) -> str:
        """`emission`, `sink`, `avoided` or `stock`."""
        return self.tags.kind

    @property
    def unit(self) -> str:
        """Unit of `amount`."""
        return "kgCO2e" if self.kind == "stock" else "kgCO2e/yr"

    @cached_property
    def amounts(self) -> Tensor:
        """Central amount and draws, (B, 1 + D)."""
        total = self.parts[0].amounts
        for piece in self.parts[1:]:
            total = total + piece.amounts
        return total

    @property
    def amount(self) -> Tensor:
        """Central amount, (B,), in `unit`; one-off flows are spread over the study period."""
        return self.amounts[:, 0]

    @property
    def per_pixel(self) -> Tensor:
        """Central amount by pixel, (B, H, W); sums to `amount`."""
        return torch.stack([piece.draw_map() for piece in self.parts]).sum(dim=0)

    def course(self, horizon_years: int, grid_path: Tensor | None = None) -> Tensor:
        """What falls in each of the years 0…T, (B, 1 + D, T + 1) [kgCO2e]; equation 0.3.

        Args:
            horizon_years: T, as in the ledger.
            grid_path: Emission factor of electricity over that of the start, (T + 1, 1 + D);
                None holds it.
        """
        steady = torch.ones_like(self.amounts[0, :1]).expand(horizon_years + 1).clone()
        steady[0] = 0.0
        pieces = [
            piece.amounts[..., None] * (steady if piece.profile is None else piece.profile)
            for piece in self.parts
        ]
        total = torch.stack(pieces).sum(dim=0)  # (B, 1 + D, T + 1)
        return total * grid_path.mT if grid_path is not None and self.tags.grid else total


@dataclass(frozen=True, eq=False)
class Ledger:
    """All that was counted for a batch of layouts, and what was not.

    Attributes:
        entries: One per flow and stock.
        region: Name of the region preset.
        site_area_m2: Area of the part that was scored, (B,).
        gross_floor_area_m2: (B,).
        horizon_years: Years over which vegetation and soil are averaged.
        not_assessed: What could not be counted, with the reason. Never a silent zero.
        notes: What was assumed.
        fall_throughs: Factors that stand in for missing ones of this region.
        references: Figures shown beside the ledger, never added, each (B,).
        factors: Every factor that an entry or the grid's path rests on, as it was counted with.
        grid_path: Emission factor of electricity in the years 0…T over that of the start,
            (T + 1, 1 + D), where the grid declines as the region expects. Amounts do not use it.
    """

    entries: tuple[Entry, ...]
    region: str
    site_area_m2: Tensor
    gross_floor_area_m2: Tensor
    horizon_years: int
    not_assessed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fall_throughs: tuple[str, ...] = ()
    references: dict[str, Tensor] = field(default_factory=dict)
    factors: dict[str, Factor] = field(default_factory=dict)
    grid_path: Tensor | None = None

    def amounts(self, kind: str) -> Tensor:
        """Central amount and draws of one kind, (B, 1 + D) [kgCO2e/yr; kgCO2e for stock]."""
        if kind not in KINDS.values():
            raise SettingsError(f"ledger kind {kind!r}", f"use one of {', '.join(KINDS.values())}")
        found = [entry.amounts for entry in self.entries if entry.kind == kind]
        if not found:
            return torch.zeros_like(self.entries[0].amounts)
        return torch.stack(found).sum(dim=0)

    @property
    def emission_kgco2e_per_year(self) -> Tensor:
        """(B,)."""
        return self.amounts("emission")[:, 0]

    @property
    def sink_kgco2e_per_year(self) -> Tensor:
        """(B,), gross and positive."""
        return self.amounts("sink")[:, 0]

    @property
    def avoided_kgco2e_per_year(self) -> Tensor:
        """(B,); zero while nothing that avoids is assessed, see `not_assessed`."""
        return self.amounts("avoided")[:, 0]

    @property
    def stock_kgco2e(self) -> Tensor:
        """Carbon held on the site at the end of the horizon, as CO2, (B,)."""
        return self.amounts("stock")[:, 0]

    @property
    def net_kgco2e_per_year(self) -> Tensor:
        """Emission minus sink, (B,); avoided amounts never enter it."""
        return self.emission_kgco2e_per_year - self.sink_kgco2e_per_year

    def spread(self, kind: str) -> Tensor:
        """5, 50 and 95 % points of one kind or of `net`, (B, 3); NaN without draws."""
        if kind == "net":
            drawn = self.amounts("emission") - self.amounts("sink")
        else:
            drawn = self.amounts(kind)
        drawn = drawn[:, 1:].detach()
        if drawn.shape[1] == 0:
            return torch.full((drawn.shape[0], len(PERCENTILES)), torch.nan, dtype=drawn.dtype)
        at = torch.tensor(PERCENTILES, dtype=drawn.dtype, device=drawn.device)
        return torch.quantile(drawn, at, dim=1).T

    def map(self, kind: str) -> Tensor:
        """Amount of one kind by pixel, (B, H, W); its sum is the total."""
        maps = [entry.per_pixel for entry in self.entries if entry.kind == kind]
        if not maps:
            return torch.zeros_like(self.entries[0].per_pixel)
        return torch.stack(maps).sum(dim=0)

    def flows(self, year: int, *, declining_grid: bool = False) -> dict[str, Tensor]:
        """What each flow amounts to in one year after the start, (B,) [kgCO2e] by name.

        Args:
            year: 0…horizon; year 0 holds the one-off flows.
            declining_grid: Electricity follows `grid_path`.

        Raises:
            SettingsError: The year lies outside the horizon.
        """
        if not 0 <= year <= self.horizon_years:
            raise SettingsError(f"year {year}", f"ask for a year from 0 to {self.horizon_years}")
        courses = self._courses(declining_grid=declining_grid)
        return {name: course[:, 0, year] for name, course in courses.items()}

    def timeline(self, kind: str, *, declining_grid: bool = False) -> Tensor:
        """One kind of flow, or `net`, in each of the years 0…T, (B, 1 + D, T + 1) [kgCO2e]."""
        if kind == "net":
            emitted = self.timeline("emission", declining_grid=declining_grid)
            return emitted - self.timeline("sink", declining_grid=declining_grid)
        if kind not in ("emission", "sink", "avoided"):
            raise SettingsError(f"no timeline of {kind!r}", "use emission, sink, avoided or net")
        courses = self._courses(declining_grid=declining_grid, kind=kind)
        if not courses:
            first = self.entries[0].course(self.horizon_years)
            return torch.zeros_like(first)
        return torch.stack(list(courses.values())).sum(dim=0)

    def whole_life(self, *, declining_grid: bool = False) -> dict[str, Tensor]:
        """Each flow as a yearly mean over the horizon, (B,) [kgCO2e/yr]; equation 0.2 of `flows`.

        It equals the entry's `amount` where the grid holds and the study period is the horizon;
        `amount` spreads one-off flows over the region's study period.
        """
        courses = self._courses(declining_grid=declining_grid)
        return {name: c[:, 0].sum(dim=1) / self.horizon_years for name, c in courses.items()}

    def years_to_carbon_positive(self, *, declining_grid: bool = True) -> Tensor:
        """First year by which sinks have made good all emission so far, (B,); inf where never.

        Emission and sink of the years 0…t are summed; avoided amounts do not help.
        """
        net = self.timeline("net", declining_grid=declining_grid)[:, 0].detach()
        paid = net.cumsum(dim=1) <= 0  # (B, T + 1)
        first = paid.to(net.dtype).argmax(dim=1).to(net.dtype)
        return torch.where(paid.any(dim=1), first, torch.full_like(first, torch.inf))

    def _courses(self, *, declining_grid: bool, kind: str = "") -> dict[str, Tensor]:
        """The course of every flow (of one kind) by name; the one source of all yearly views."""
        path = self.grid_path if declining_grid else None
        if declining_grid and path is None:
            raise SettingsError("this ledger has no path of the grid", "evaluate it anew")
        wanted = [e for e in self.entries if e.kind != "stock" and kind in ("", e.kind)]
        return {e.name: e.course(self.horizon_years, path) for e in wanted}

    def table(self, item: int = 0) -> list[dict[str, object]]:
        """The lines of one layout for reports: name, kind, amount, range, unit and tags."""
        return [_line(entry, item) for entry in self.entries]


def _line(entry: Entry, item: int) -> dict[str, object]:
    drawn = entry.amounts[item, 1:].detach()
    low = high = None
    if len(drawn) > 0:
        low, high = (float(torch.quantile(drawn, at)) for at in (PERCENTILES[0], PERCENTILES[-1]))
    return {
        "name": entry.name,
        "kind": entry.kind,
        "amount": float(entry.amount[item].detach()),
        "p05": low,
        "p95": high,
        "unit": entry.unit,
        "gpc": entry.tags.gpc,
        "gpc_scope": entry.tags.gpc_scope,
        "ipcc": entry.tags.ipcc,
        "en15978": entry.tags.en15978,
        "timing": entry.tags.timing,
        "factors": entry.factors,
    }


def entry(name: str, parts: Sequence[Part], factors: Sequence[str]) -> Entry:
    """A line of the ledger with the tags of its flow.

    Args:
        name: Flow id of `flow_tags.csv`.
        parts: At least one.
        factors: Ids that it rests on; repeats are dropped.
    """
    return Entry(flow_tags()[name], tuple(parts), tuple(dict.fromkeys(factors)))
