"""The numbers of a report as tables; each comes from a score, a ledger or the factor table."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fabricgen.carbon.factors import Factor
from fabricgen.carbon.ledger import Ledger
from fabricgen.design.scheme import Scheme, Unmet
from fabricgen.files import atomic_file
from fabricgen.units import KG_PER_T

FORM = (
    "far", "site_coverage", "green_ratio", "mean_height_m", "road_share", "tree_share",
    "gross_floor_area_m2",
)  # fmt: skip
NAMES = {
    "far": "Floor area ratio",
    "site_coverage": "Site coverage",
    "green_ratio": "Green ratio",
    "mean_height_m": "Mean height",
    "road_share": "Road share",
    "tree_share": "Tree share",
    "gross_floor_area_m2": "Gross floor area",
}
# What a planner reads of green, rain and sky; docs/indicators.md explains each.
GREEN = {
    "shrub_cover_share": "Shrub cover",
    "mixed_planting_share": "Trees and shrubs mixed",
    "ecological_space_share": "Ecological space",
    "net_sink_kgco2e_per_m2_year": "Net sink per site area and year",
    "urban_greening_factor": "Urban Greening Factor",
    "green_plot_ratio": "Green plot ratio",
    "runoff_50mm_share": "Runoff of a rain of 50 mm",
    "sky_view_open_share": "Sky seen from open ground",
    "sky_view_street_share": "Sky seen from streets and paving",
    "green_m2_per_person": "Green per person",
    "largest_patch_share": "Largest green patch, of the site",
    "patches_per_km2": "Green patches per km²",
    "nearest_patch_m": "From patch to patch, mean",
    "connected_50m_share": "Pairs of patches within 50 m",
    "path_m_per_ha": "Paths per hectare",
    "shaded_path_share": "Paving under crowns",
    "within_300m_of_green_share": "Floor area within 300 m of 0.5 ha green",
}
SHARES = ("site_coverage", "green_ratio", "road_share", "tree_share")
UNITS = {
    "mean_height_m": (1, " m"),
    "net_sink_kgco2e_per_m2_year": (2, " kg/m²"),
    "green_m2_per_person": (1, " m²"),
    "patches_per_km2": (0, ""),
    "nearest_patch_m": (0, " m"),
    "path_m_per_ha": (0, " m/ha"),
}  # digits and unit; others: shares in percent, areas in m², numbers with two digits

# Families of flows, in the order in which a bar stacks them: start of the flow's id, words, color.
FAMILIES = (
    ("bldg.heat", "Heat", "#9c4a35"),
    ("bldg.gas", "Gas", "#b96f52"),
    ("bldg.electricity", "Electricity", "#d39b6a"),
    ("bldg.td_loss", "Grid losses", "#e6c79c"),
    ("bldg.embodied", "Building materials", "#6b6460"),
    ("pave.", "Roads and paving", "#a9a39d"),
    ("green.", "Planting and upkeep", "#b5b06a"),
    ("veg.tree.growth", "Tree growth", "#4f7f45"),
    ("veg.shrub.growth", "Shrub growth", "#9dba7d"),
    ("veg.", "Dead wood, open water", "#8a8f5a"),
    ("soil.", "Soil", "#8f7b5c"),
    ("travel.", "Travel", "#7d8fa8"),
    ("storm.", "Stormwater", "#6f9fb3"),
    ("cool.", "Cooling by green", "#86b7a4"),
    ("pv.", "Exported power", "#d8b84a"),
    ("", "Other", "#b8b2c4"),
)


@dataclass(frozen=True)
class Slice:
    """A family of flows within one kind."""

    title: str
    color: str
    kgco2e_per_year: float


def scores_table(schemes: Sequence[Scheme]) -> pd.DataFrame:
    """One row per scheme in the order given; what `scores.csv` and `scores.parquet` hold.

    An amount or indicator that was not assessed is NaN, never zero.
    """
    return pd.DataFrame([_row(scheme) for scheme in schemes])


def write_table(
    table: pd.DataFrame, folder: Path, name: str, *, more: Mapping[str, object] | None = None
) -> None:
    """Writes `NAME.csv` and `NAME.parquet`, each whole or not at all.

    Args:
        table: What both hold.
        folder: Where.
        name: Of the files.
        more: Columns that only the Parquet file holds, such as lists.
    """
    with atomic_file(folder / f"{name}.csv") as part:
        table.to_csv(part, index=False)
    with atomic_file(folder / f"{name}.parquet") as part:
        table.assign(**(more or {})).to_parquet(part, index=False)


def _row(scheme: Scheme) -> dict[str, object]:
    score, ledger = scheme.score, scheme.score.ledger
    p05, p50, p95 = score.net_range_kgco2e_per_year
    form = {name: score.indicators[name] for name in FORM}
    green = {name: score.indicators.get(name, math.nan) for name in GREEN}
    emission, sink = total(ledger, "emission"), total(ledger, "sink")
    net = emission - (0.0 if math.isnan(sink) else sink)
    return {
        "scheme": scheme.name,
        "rank": scheme.rank,
        "tie": scheme.tie,
        "seed": scheme.seed,
        **form,
        **green,
        "emission_kgco2e_per_year": emission,
        "sink_kgco2e_per_year": sink,
        "avoided_kgco2e_per_year": total(ledger, "avoided"),
        "net_kgco2e_per_year": net,
        "net_p05_kgco2e_per_year": p05,
        "net_p50_kgco2e_per_year": p50,
        "net_p95_kgco2e_per_year": p95,
        "net_kgco2e_per_m2_gfa_year": per_floor(scheme, net),
        "origin": scheme.origin,
        "unmet": "; ".join(unmet_text(miss) for miss in scheme.unmet),
    }


def total(ledger: Ledger, kind: str) -> float:
    """Sum of one kind [kgCO2e/yr; kgCO2e for stock]; NaN where no entry of the kind exists."""
    found = [float(e.amount[0].detach()) for e in ledger.entries if e.kind == kind]
    return sum(found) if found else float("nan")


def per_floor(scheme: Scheme, kgco2e_per_year: float) -> float:
    """An amount per gross floor area; NaN where nothing is built."""
    floor_m2 = scheme.score.indicators["gross_floor_area_m2"]
    return kgco2e_per_year / floor_m2 if floor_m2 > 0 else float("nan")


def unmet_text(miss: Unmet) -> str:
    """A missed ask in words."""
    return f"{miss.name}: asked {miss.asked}, nearest {plain(miss.name, miss.nearest)} ({miss.why})"


def plain(name: str, value: float) -> str:
    """An indicator on the scale on which a brief asks for it: shares are 0…1."""
    digits = {"far": 2, "mean_height_m": 1, "gross_floor_area_m2": 0}.get(name, 3)
    return f"{value:.{digits}f}"


def number(name: str, value: float) -> str:
    """An indicator as it is shown."""
    if math.isnan(value):
        return "–"
    if name in SHARES or name.endswith("_share"):
        return f"{100 * value:.1f} %"
    usual = (0, " m²") if name.endswith("_m2") else (2, "")
    digits, unit = UNITS.get(name, usual)
    return f"{value:,.{digits}f}{unit}"


def tonnes(kgco2e: float) -> str:
    """An amount in tonnes to three figures; `not assessed` for NaN."""
    if math.isnan(kgco2e):
        return "not assessed"
    value = kgco2e / KG_PER_T
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def slices(ledger: Ledger, kind: str) -> list[Slice]:
    """The flows of one kind by family, in the order of `FAMILIES`; empty families are left out."""
    sums: dict[int, float] = {}
    for entry in ledger.entries:
        if entry.kind == kind:
            place = next(
                n for n, (start, _, _) in enumerate(FAMILIES) if entry.name.startswith(start)
            )
            sums[place] = sums.get(place, 0.0) + float(entry.amount[0].detach())
    return [Slice(*FAMILIES[place][1:], sums[place]) for place in sorted(sums) if sums[place] != 0]


def factors_used(schemes: Sequence[Scheme]) -> list[Factor]:
    """Every factor that some entry of some scheme rests on, by id."""
    found = {
        name: scheme.score.ledger.factors[name]
        for scheme in schemes
        for entry in scheme.score.ledger.entries
        for name in entry.factors
    }
    return [found[name] for name in sorted(found)]


def ties(schemes: Sequence[Scheme]) -> list[list[Scheme]]:
    """Schemes of each tie group, best group first."""
    groups: dict[int, list[Scheme]] = {}
    for scheme in sorted(schemes, key=lambda s: s.rank):
        groups.setdefault(scheme.tie, []).append(scheme)
    return [groups[tie] for tie in sorted(groups)]
