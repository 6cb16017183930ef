"""The report: one self-contained page with drawings, ledgers, ranges, sources and provenance."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from fabricgen.carbon.uncertainty import SURE
from fabricgen.design.scheme import Scheme
from fabricgen.files import atomic_file
from fabricgen.form.indicators import BRIEF_KEYS
from fabricgen.report.attribution import legend_stops, legend_ticks, map_svg, net_map, reach_of
from fabricgen.report.charts import ledger_svg, pareto_svg
from fabricgen.report.draw import Surroundings, background, draw, view_of
from fabricgen.report.page import render
from fabricgen.report.scene import scene_values
from fabricgen.report.svg import drawing_svg
from fabricgen.report.tables import (
    GREEN,
    NAMES,
    factors_used,
    number,
    per_floor,
    plain,
    scores_table,
    slices,
    ties,
    tonnes,
    total,
)
from fabricgen.surfaces import COLORS, LABELS

ATTRIBUTION = "© OpenStreetMap contributors, ODbL"
PLAN_PX, MAP_PX = 640, 300
SHOWN = 48  # schemes that are drawn and told in full; the rest stand in the ranking


def write_report(
    schemes: Sequence[Scheme],
    out_path: Path,
    *,
    run: Mapping[str, Any],
    surroundings: Surroundings | None = None,
) -> None:
    """Writes `report.html`.

    Args:
        schemes: Ranked schemes of one site.
        out_path: The file to write; its folder must exist.
        run: The run's record, as written to `run.json`.
        surroundings: Layers around the site, as in `plan_svg`.
    """
    page = render(
        "report.html",
        run=run,
        attribution=ATTRIBUTION,
        schemes=schemes,
        shown=schemes[:SHOWN],
        **_head(schemes, run),
        **_numbers(schemes),
        **_pictures(schemes[:SHOWN], surroundings),
        **scene_values(
            [(scheme.name, scheme.plan) for scheme in schemes[:SHOWN]],
            schemes[0].frame,
            surroundings=surroundings,
        ),
    )
    with atomic_file(Path(out_path)) as part:
        part.write_text(page, encoding="utf-8")


def _head(schemes: Sequence[Scheme], run: Mapping[str, Any]) -> dict[str, Any]:
    """Who, where and what was asked."""
    inputs = [item["name"] for item in run.get("inputs", ())]
    sources = [
        " · ".join(str(item[key]) for key in ("name", "attribution", "license") if item.get(key))
        for item in run.get("data", ())
    ]
    ledger = schemes[0].score.ledger
    return {
        "site": Path(inputs[0]).stem.replace("-", " ").replace("_", " ") if inputs else "the site",
        "site_area_ha": schemes[0].score.indicators["site_area_m2"] / 1e4,
        "crs": schemes[0].plan.crs,
        "region": ledger.region,
        "sources": sources,
        "not_assessed": list(
            dict.fromkeys(x for s in schemes for x in s.score.ledger.not_assessed)
        ),
        "notes": list(dict.fromkeys(x for s in schemes for x in s.score.ledger.notes)),
        "stand_ins": list(dict.fromkeys(x for s in schemes for x in s.score.ledger.fall_throughs)),
        "horizon_years": ledger.horizon_years,
    }


def _numbers(schemes: Sequence[Scheme]) -> dict[str, Any]:
    """Tables of the page, as text."""
    table = scores_table(schemes)
    groups = [[scheme.name for scheme in group] for group in ties(schemes)]
    factors = factors_used(schemes)
    return {
        "asked": [_asked(name, schemes[:SHOWN]) for name in BRIEF_KEYS],
        "misses": _misses(schemes),
        "green": _green(schemes[:SHOWN]),
        "ranking": [_ranked(row) for _, row in table.iterrows()],
        "ties": groups,
        "sure": f"{SURE:.0%}".replace("%", " %"),
        "ledgers": [(scheme, _lines(scheme), _sums(scheme)) for scheme in schemes[:SHOWN]],
        "legend": _legend(schemes[:SHOWN]),
        "factors": factors,
        "unconfirmed": sum(not factor.confirmed for factor in factors),
    }


def _asked(name: str, schemes: Sequence[Scheme]) -> dict[str, Any]:
    missed = [any(miss.name == name for miss in scheme.unmet) for scheme in schemes]
    got = [plain(name, scheme.score.indicators[name]) for scheme in schemes]
    asked = schemes[0].asked.get(name, "free")
    return {"title": NAMES[name], "asked": asked, "got": list(zip(got, missed, strict=True))}


def _green(schemes: Sequence[Scheme]) -> list[tuple[str, list[str]]]:
    """Indicators of green, rain and sky as text, those that some scheme has."""
    rows = []
    for name, title in GREEN.items():
        values = [scheme.score.indicators.get(name, math.nan) for scheme in schemes]
        if not all(math.isnan(value) for value in values):
            rows.append((title, [number(name, value) for value in values]))
    return rows


def _misses(schemes: Sequence[Scheme]) -> list[dict[str, Any]]:
    """Missed asks, those of one indicator and reason together."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for scheme in schemes:
        for miss in scheme.unmet:
            key = (NAMES.get(miss.name, miss.name), miss.asked, miss.why)
            groups.setdefault(key, []).append(f"{scheme.name}: {plain(miss.name, miss.nearest)}")
    return [
        {"title": title, "asked": asked, "why": why, "nearest": ", ".join(nearest)}
        for (title, asked, why), nearest in groups.items()
    ]


def _ranked(row: pd.Series) -> dict[str, Any]:
    """A row of the ranking: each cell as (value to sort by, text)."""
    low, high = row["net_p05_kgco2e_per_year"], row["net_p95_kgco2e_per_year"]
    cells = [(row[k], str(row[k])) for k in ("rank", "tie", "scheme")]
    cells += [
        (row[k], number(k, row[k]))
        for k in ("far", "site_coverage", "green_ratio", "mean_height_m")
    ]
    cells += [(row["gross_floor_area_m2"], f"{row['gross_floor_area_m2']:,.0f}")]
    for kind in ("emission", "sink", "avoided", "net"):
        amount = row[f"{kind}_kgco2e_per_year"]
        cells += [(amount, "n/a" if pd.isna(amount) else tonnes(amount))]
    cells += [(low, "–" if pd.isna(low) else f"{tonnes(low)} to {tonnes(high)}")]
    per_m2 = row["net_kgco2e_per_m2_gfa_year"]
    cells += [(per_m2, "–" if pd.isna(per_m2) else f"{per_m2:.2f}"), (row["origin"], row["origin"])]
    return {"cells": cells, "tie": row["tie"]}


def _lines(scheme: Scheme) -> list[dict[str, Any]]:
    """Every entry of a ledger, as the evaluator tells it."""
    lines: list[dict[str, Any]] = [dict(line) for line in scheme.score.ledger.table()]
    order = {"emission": 0, "sink": 1, "avoided": 2, "stock": 3}
    lines.sort(key=lambda line: (order[line["kind"]], -abs(line["amount"])))
    for line in lines:
        low, high = line["p05"], line["p95"]
        line["shown"] = f"{line['amount']:,.0f}"
        line["range"] = "–" if low is None else f"{low:,.0f} to {high:,.0f}"
    return lines


def _sums(scheme: Scheme) -> dict[str, str]:
    ledger = scheme.score.ledger
    sums = {kind: tonnes(total(ledger, kind)) for kind in ("emission", "sink", "avoided", "stock")}
    return sums | {"net": tonnes(scheme.score.net_kgco2e_per_year)}


def _legend(schemes: Sequence[Scheme]) -> list[tuple[str, str]]:
    """Families that appear in some bar, with their colors."""
    kinds = ("emission", "sink", "avoided")
    found = [s for scheme in schemes for kind in kinds for s in slices(scheme.score.ledger, kind)]
    return list(dict.fromkeys((piece.title, piece.color) for piece in found))


def _pictures(schemes: Sequence[Scheme], surroundings: Surroundings | None) -> dict[str, Any]:
    """Drawings, maps and charts as markup made by this room."""
    maps = [net_map(s.score.ledger, s.frame.pixel_m) for s in schemes]
    reach = reach_of(maps)
    plans = []
    for scheme in schemes:
        view = view_of(scheme.plan, scheme.frame)
        drawing = draw(scheme.plan, view, background(scheme.plan, view, surroundings))
        plans.append(drawing_svg(drawing, width_px=PLAN_PX, title=f"plan of {scheme.name}"))
    drawn = [
        map_svg(scheme, net, reach=reach, width_px=MAP_PX)
        for scheme, net in zip(schemes, maps, strict=True)
    ]
    return {
        "plans": [
            (scheme, Markup(svg), _caption(scheme))
            for scheme, svg in zip(schemes, plans, strict=True)
        ],
        "maps": [(s.name, Markup(svg)) for s, svg in zip(schemes, drawn, strict=True)],
        "map_stops": legend_stops(reach),
        "map_ticks": legend_ticks(reach),
        "bars": Markup(ledger_svg(schemes)),
        "paretos": [Markup(pareto_svg(schemes, name)) for name in ("far", "green_ratio")],
        "key": [(label, color) for label, color in zip(LABELS, COLORS, strict=True)],
    }


def _caption(scheme: Scheme) -> str:
    form = scheme.score.indicators
    net = scheme.score.net_kgco2e_per_year
    return (
        f"FAR {form['far']:.2f} · coverage {number('site_coverage', form['site_coverage'])} · "
        f"green {number('green_ratio', form['green_ratio'])} · net {tonnes(net)} t CO₂e/yr, "
        f"{per_floor(scheme, net):.1f} kg per m² GFA"
    )
