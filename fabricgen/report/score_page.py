"""The folder of a scoring: a table of all plans, and one self-contained page for each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from fabricgen import provenance
from fabricgen.carbon import reports
from fabricgen.carbon.factors import FACTOR_FILES
from fabricgen.carbon.uncertainty import SURE, net_draws
from fabricgen.design.candidates import Scored
from fabricgen.files import atomic_file, atomic_folder
from fabricgen.report.attribution import legend_stops, legend_ticks, net_map, picture_svg, reach_of
from fabricgen.report.charts import ledger_svg
from fabricgen.report.page import render
from fabricgen.report.scene import scene_values
from fabricgen.report.score_charts import anchor, positive_text, timeline_svg, tornado_svg
from fabricgen.report.tables import FORM, GREEN, NAMES, number, slices, tonnes, total, write_table

MARK = "run.json"  # written last; a folder that holds it is complete, and ours to replace
DRAWS = "net_draws_kgco2e_per_year"  # column of net in each of the common draws; Parquet alone
MAP_PX = 640
KINDS = ("emission", "sink", "avoided", "stock")


def write_scores(scored: Sequence[Scored], out: Path, *, record: Mapping[str, Any]) -> Path:
    """Writes `scores.csv`, `scores.parquet`, a page per plan and `run.json`, all or nothing.

    Args:
        scored: Ranked plans.
        out: The folder; an earlier result stays until the new one is whole.
        record: Provenance.

    Raises:
        InputError: Another kind of folder stands there.
        StorageError: It cannot be written.
    """
    drawn = [net_draws(one.score.ledger).double().numpy() for one in scored]
    with atomic_folder(Path(out), mark=MARK) as folder:
        write_table(score_table(scored), folder, "scores", more={DRAWS: drawn})
        for one in scored:
            with atomic_file(folder / f"{one.name}.html") as part:
                part.write_text(score_page(one, scored, record=record), encoding="utf-8")
        provenance.write(record, folder)
    return Path(out)


def score_table(scored: Sequence[Scored]) -> pd.DataFrame:
    """One row per plan, best first; what was not assessed or cannot be is NaN, never zero."""
    return pd.DataFrame([score_row(one) for one in scored])


def score_row(one: Scored) -> dict[str, object]:
    """What the table says of one plan, by column."""
    ledger, form = one.score.ledger, one.score.indicators
    low, middle, high = one.score.net_range_kgco2e_per_year
    gpc = reports.by_gpc(ledger)
    floor_m2 = form["gross_floor_area_m2"]
    net = one.score.net_kgco2e_per_year
    heights = one.heights
    return {
        "plan": one.name,
        "file": one.candidate.file,
        "rank": one.rank,
        "tie": one.tie,
        "region": one.region.name,
        "site_area_m2": form["site_area_m2"],
        **{name: form[name] for name in (*FORM, *GREEN)},
        **{f"{kind}_kgco2e_per_year": total(ledger, kind) for kind in KINDS[:3]},
        "stock_kgco2e": total(ledger, "stock"),
        "net_kgco2e_per_year": net,
        "net_p05_kgco2e_per_year": low,
        "net_p50_kgco2e_per_year": middle,
        "net_p95_kgco2e_per_year": high,
        "net_kgco2e_per_m2_gfa_year": net / floor_m2 if floor_m2 > 0 else float("nan"),
        "net_kgco2e_per_m2_site_year": net / form["site_area_m2"],
        "whole_life_net_declining_grid_kgco2e": float(
            ledger.timeline("net", declining_grid=True)[0, 0].sum()
        ),
        "years_to_carbon_positive": float(ledger.years_to_carbon_positive()),
        "gpc_basic_kgco2e_per_year": gpc.basic,
        "gpc_basic_plus_kgco2e_per_year": gpc.basic_plus,
        "gpc_removals_kgco2e_per_year": gpc.removals,
        "hardening_gap_share": one.gap.net,
        "height_unknown_share": 0.0 if heights is None else heights.unknown_share,
        "net_at_low_heights_kgco2e_per_year": float("nan") if heights is None else heights.net_low,
        "net_at_high_heights_kgco2e_per_year": (
            float("nan") if heights is None else heights.net_high
        ),
        **{f"{entry.name}": float(entry.amount[0]) for entry in ledger.entries},
    }


def score_page(one: Scored, scored: Sequence[Scored], *, record: Mapping[str, Any]) -> str:
    """The page of one plan, in full and by itself.

    Args:
        one: The plan.
        scored: All plans of the run, for the comparison.
        record: Provenance.
    """
    return render(
        "score.html",
        run=record,
        anchor=anchor,
        one=one,
        **_facts(one),
        **_lines(one),
        **_inventories(one),
        **_pictures(one),
        **_scene(one),
        **_doubts(one, scored),
    )


def _scene(one: Scored) -> dict[str, Any]:
    """The plan in three dimensions; nothing for a raster."""
    plan = one.candidate.plan
    if plan is None:
        return {"scene_names": []}
    unknown_m = {} if one.heights is None else {one.name: one.heights.central_m}
    return scene_values([(one.name, plan)], one.candidate.frame, unknown_heights_m=unknown_m)


def _facts(one: Scored) -> dict[str, Any]:
    ledger, form = one.score.ledger, one.score.indicators
    net = one.score.net_kgco2e_per_year
    low, _, high = one.score.net_range_kgco2e_per_year
    floor_m2 = form["gross_floor_area_m2"]
    return {
        "form": [(NAMES[name], number(name, form[name])) for name in FORM],
        "green": [(words, number(name, form[name])) for name, words in GREEN.items()],
        "site_area_ha": form["site_area_m2"] / 1e4,
        "net": tonnes(net),
        "net_range": f"{tonnes(low)} to {tonnes(high)}",
        "per_floor": f"{net / floor_m2:.1f}" if floor_m2 > 0 else "no floor area",
        "positive": positive_text(float(ledger.years_to_carbon_positive()), ledger.horizon_years),
        "whole_life": [
            (words, tonnes(float(ledger.timeline("net", declining_grid=declines)[0, 0].sum())))
            for words, declines in (("grid held", False), ("grid declining", True))
        ],
        "sums": {kind: tonnes(total(ledger, kind)) for kind in KINDS},
        "references": [
            (name.removesuffix("_kgco2e_per_year").replace("_", " "), tonnes(float(value[0])))
            for name, value in ledger.references.items()
        ],
    }


def _lines(one: Scored) -> dict[str, Any]:
    """Every entry of the ledger with its factors, and every factor with its source."""
    ledger = one.score.ledger
    lines: list[dict[str, Any]] = [dict(line) for line in ledger.table()]
    lines.sort(key=lambda line: (KINDS.index(line["kind"]), -abs(line["amount"])))
    for line in lines:
        low, high = line["p05"], line["p95"]
        line["shown"] = f"{line['amount']:,.0f}"
        line["range"] = "–" if low is None else f"{low:,.0f} to {high:,.0f}"
    pulls = {swing.factor.id: swing.share for swing in one.swings}
    return {
        "lines": lines,
        "factors": [(factor, pulls.get(name)) for name, factor in sorted(ledger.factors.items())],
        "unconfirmed": reports.unconfirmed(ledger, swings=one.swings),
        "tables": FACTOR_FILES,
    }


def _inventories(one: Scored) -> dict[str, Any]:
    ledger = one.score.ledger
    gpc = reports.by_gpc(ledger)
    return {
        "gpc": gpc,
        "gpc_sums": [
            ("partial BASIC" if gpc.partial else "BASIC", tonnes(gpc.basic)),
            ("BASIC+", tonnes(gpc.basic_plus)),
            ("removals (V.2), in neither", tonnes(gpc.removals)),
            ("other scope 3, below the line", tonnes(gpc.other_scope_3)),
        ],
        "views": [
            ("IPCC 2006", reports.by_ipcc(ledger)),
            ("EN 15978", reports.by_en15978(ledger)),
            ("City scopes", reports.by_city_scope(ledger)),
        ],
        "stock": [(name, tonnes(value)) for name, value in reports.stock(ledger).items()],
        "tonnes": lambda value: "–" if value is None else tonnes(value),
    }


def _pictures(one: Scored) -> dict[str, Any]:
    """Charts and the map as markup made by this room."""
    candidate, ledger = one.candidate, one.score.ledger
    net = net_map(ledger, candidate.frame.pixel_m)
    reach = reach_of([net])
    inside = candidate.inside[0].numpy()
    picture = picture_svg(
        net, inside, candidate.frame, candidate.plan, reach=reach, width_px=MAP_PX, title=one.name
    )
    legend = [(s.title, s.color) for kind in KINDS[:3] for s in slices(ledger, kind)]
    return {
        "bars": Markup(ledger_svg([one])),
        "legend": list(dict.fromkeys(legend)),
        "timeline": Markup(timeline_svg(ledger)),
        "map": Markup(picture),
        "map_stops": legend_stops(reach),
        "map_ticks": legend_ticks(reach),
        "tornado": Markup(tornado_svg(one.swings)),
    }


def _doubts(one: Scored, scored: Sequence[Scored]) -> dict[str, Any]:
    """What is unsure: order among the plans, heights, what was not assessed or assumed."""
    ledger = one.score.ledger
    others = [
        (other.name, other.rank, one.beats.get(other.name)) for other in scored if other is not one
    ]
    return {
        "others": others,
        "sure": SURE,
        "gap": [
            (name, share)
            for name, share in sorted(one.gap.by_entry.items(), key=lambda pair: -pair[1])
            if share >= 1e-4
        ],
        "not_assessed": ledger.not_assessed,
        "notes": ledger.notes,
        "stand_ins": ledger.fall_throughs,
    }
