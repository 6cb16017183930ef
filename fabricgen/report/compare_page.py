"""The folder of a comparison: a page with brushable axes, tables, pairs and the run's record."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from fabricgen import provenance
from fabricgen.carbon.uncertainty import SURE
from fabricgen.files import atomic_file, atomic_folder
from fabricgen.report.compare import (
    Comparison,
    Difference,
    amount,
    between,
    comparison_table,
    finding,
    pairs_table,
    percent,
    quantities,
    quantity,
)
from fabricgen.report.compare_chart import TALL_PX, TOP_PX, axes_of, parallel_svg
from fabricgen.report.compare_inputs import MARK
from fabricgen.report.page import render, shipped
from fabricgen.report.scene import scene_values
from fabricgen.report.tables import number, write_table

SIDE = 8  # plans that stand side by side in a table of a page
MATRIX = 24  # plans whose pairs are shown as a matrix
MODELS = 12  # plans that are shown in three dimensions
SAME_SITE = 0.5  # of the first plan's site: plans that share less are not one place
GROUPS = (
    ("form", "Form"), ("green", "Green, rain and sky"), ("total", "Carbon"),
    ("emission", "Emission, by flow"), ("sink", "Sink, by flow"), ("avoided", "Avoided, by flow"),
    ("stock", "Held on the site"),
)  # fmt: skip


def write_comparison(comparison: Comparison, out: Path, *, record: Mapping[str, Any]) -> Path:
    """Writes `compare.html`, `comparison.csv`, `comparison.parquet`, `pairs.csv` and `run.json`.

    Args:
        comparison: Ranked plans.
        out: The folder; an earlier result stays until the new one is whole.
        record: Provenance.

    Raises:
        InputError: Another kind of folder stands there.
        StorageError: It cannot be written.
    """
    table, pairs = comparison_table(comparison), pairs_table(comparison)
    with atomic_folder(Path(out), mark=MARK) as folder:
        write_table(table, folder, "comparison")
        with atomic_file(folder / "pairs.csv") as part:
            pairs.to_csv(part, index=False)
        with atomic_file(folder / "compare.html") as part:
            part.write_text(compare_page(comparison, record=record), encoding="utf-8")
        provenance.write(record, folder)
    return Path(out)


def compare_page(comparison: Comparison, *, record: Mapping[str, Any]) -> str:
    """The page of a comparison, in full and by itself."""
    plans = comparison.plans
    axes, same = axes_of(comparison)
    return render(
        "compare.html",
        run=record,
        plans=plans,
        against=plans[comparison.reference],
        unit=comparison.measure.unit,
        sure=f"{SURE:.0%}".replace("%", " %"),
        draws=comparison.draws.shape[1],
        ranking=[_ranked(comparison, n) for n in range(len(plans))],
        ties=_ties(comparison),
        matrix=_matrix(comparison),
        chart=Markup(parallel_svg(comparison, axes)),
        chart_top=TOP_PX,
        chart_tall=TALL_PX,
        same=same,
        script=Markup(shipped("compare.js")),
        **_side_by_side(comparison),
        **_scene(comparison),
        not_assessed=_said(plans, "not_assessed"),
        notes=_said(plans, "notes"),
        stand_ins=_said(plans, "stand_ins"),
    )


def _said(plans: Sequence[Any], what: str) -> list[str]:
    return list(dict.fromkeys(text for one in plans for text in getattr(one, what)))


def _ranked(comparison: Comparison, place: int) -> dict[str, Any]:
    """A row of the ranking: each cell as (value to sort by, text)."""
    one, at = comparison.plans[place], comparison.reference
    low, high = np.quantile(comparison.draws[place], (0.05, 0.95))
    gap = between(comparison, place, at)
    far = one.values["far"]
    cells = [
        (place + 1, str(place + 1)), (comparison.ties[place], str(comparison.ties[place])),
        (one.name, one.name), (far, f"{far:.2f}"),
        (comparison.net[place], figure(comparison.net[place])),
        (low, f"{figure(low)} to {figure(high)}"),
    ]  # fmt: skip
    if place == at:
        cells += [(0.0, "–"), (0.0, "–"), (0.5, "–"), ("", "the reference")]
    else:
        cells += [
            (gap.central, signed(gap.central)),
            (gap.low, f"{signed(gap.low)} to {signed(gap.high)}"),
            (gap.p_less, percent(gap.p_less)),
            (gap.p_less, finding(comparison, place, at)),
        ]
    return {"place": place, "cells": cells, "tie": comparison.ties[place], "sure": gap.is_sure}


def _ties(comparison: Comparison) -> list[list[str]]:
    groups: dict[int, list[str]] = {}
    for one, tie in zip(comparison.plans, comparison.ties, strict=True):
        groups.setdefault(tie, []).append(one.name)
    return list(groups.values())


def _matrix(comparison: Comparison) -> list[dict[str, Any]]:
    """P(row is better than column) as text with a shade; nothing for very many plans."""
    if len(comparison.plans) > MATRIX:
        return []
    return [
        {
            "name": one.name,
            "cells": [
                {"text": "" if a == b else percent(p), "better": p > 0.5, "shade": abs(p - 0.5),
                 "sure": a != b and (p >= SURE or p <= 1 - SURE)}
                for b, p in enumerate(comparison.beats[a])
            ],
        }
        for a, one in enumerate(comparison.plans)
    ]  # fmt: skip


def _side_by_side(comparison: Comparison) -> dict[str, Any]:
    """Indicators and lines of the ledger, a column a plan, with the difference to the reference."""
    at = comparison.reference
    columns = [at, *(n for n in range(len(comparison.plans)) if n != at)][:SIDE]
    groups = []
    told = quantities(comparison)
    for kind, title in GROUPS:
        rows = [
            {"title": words, "cells": [_cell(comparison, n, name, kind) for n in columns]}
            for name, words, of in told
            if of == kind
        ]
        if rows:
            unit = "" if kind in ("form", "green") else comparison.measure.unit
            groups.append(
                {
                    "title": title,
                    "unit": comparison.measure.stock_unit if kind == "stock" else unit,
                    "rows": rows,
                }
            )
    return {"columns": [comparison.plans[n].name for n in columns], "groups": groups}


def _cell(comparison: Comparison, place: int, name: str, kind: str) -> dict[str, Any]:
    one, against = comparison.plans[place], comparison.plans[comparison.reference]
    is_form = kind in ("form", "green")
    measure = None if is_form else comparison.measure
    value = amount(one, name)
    shown = number(name, value) if measure is None else figure(value * measure.scale(one))
    cell = {"text": shown, "gap": "", "sure": False, "p": ""}
    if one is against:
        return cell
    gap = quantity(one, against, name, measure=measure)
    return cell | {"gap": _gap(name, gap, is_form=is_form), "sure": gap.is_sure, "p": _tip(gap)}


def _gap(name: str, gap: Difference, *, is_form: bool) -> str:
    if math.isnan(gap.central):
        return ""
    text = number(name, abs(gap.central)) if is_form else figure(abs(gap.central))
    if not re.search("[1-9]", text):
        return "±0"
    return f"{'−' if gap.central < 0 else '+'}{text}"


def _tip(gap: Difference) -> str:
    if math.isnan(gap.p_less):
        return ""
    return f"{signed(gap.low)} to {signed(gap.high)}; less in {percent(gap.p_less)} of the draws"


def _scene(comparison: Comparison) -> dict[str, Any]:
    """The plans in three dimensions, where they are vector plans of one site."""
    plans = [one for one in comparison.plans if one.plan is not None and one.frame is not None]
    if not 0 < len(plans) == len(comparison.plans) <= MODELS:
        return {"scene_names": []}
    site = plans[0].plan.site
    for one in plans[1:]:
        is_near = one.plan.crs == plans[0].plan.crs
        if not is_near or one.plan.site.intersection(site).area < SAME_SITE * site.area:
            return {"scene_names": []}
    unknown_m = {one.name: one.unknown_height_m for one in plans}
    named = [(one.name, one.plan) for one in plans]
    return scene_values(named, plans[0].frame, unknown_heights_m=unknown_m)


def figure(value: float) -> str:
    """An amount to three figures or whole; – for NaN."""
    if math.isnan(value):
        return "–"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}".replace("-", "−")


def signed(value: float) -> str:
    """A difference with its sign."""
    text = figure(value)
    return text if value < 0 or text == "–" else f"+{text}"
