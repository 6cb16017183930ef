"""The page of an evaluation: every figure beside its floor, and plans to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from fabricgen.plan import Plan
from fabricgen.quality.descriptors import KEYS
from fabricgen.quality.places import Place
from fabricgen.quality.protocol import Evaluation
from fabricgen.report.surroundings import surroundings_of
from fabricgen.report.svg import plan_svg

PICTURE_PX = 260
# What the page leads with: key, words, how it reads.
FIGURES = {
    "c2st.accuracy": "plans told from real ones by a classifier; 0.5 = cannot tell",
    "c2st.accuracy_raw": "the same against footprints as mapped",
    "c2st.auc": "chance that a generated plan looks more generated than a real one",
    "morphology.w1_mean": "mean distance of descriptors [sd]",
    "morphology.w1_mean_raw": "the same against footprints as mapped [sd]",
    "morphology.exporter_w1": "what drawing real plans clean changes [sd]",
    "morphology.fd": "Fréchet distance of descriptors at this number of sites",
    "morphology.fd_inf": "the same for sets without end",
    "morphology.density": "plans lie where real ones lie",
    "morphology.coverage": "real plans that have a generated one near",
    "control.far_mape": "floor area missed, share of the ask",
    "control.coverage_mape": "coverage missed, share of the ask",
    "control.green_mae": "green missed, share of the site",
    "control.spearman.far": "floor area follows a sweep of the ask, rank correlation",
    "control.spearman.coverage": "coverage follows",
    "control.spearman.green": "green follows",
    "control.refused": "asks of the sweep that cannot be",
    "seam.recall": "streets around that go on inside",
    "seam.precision": "streets inside that go on around",
    "seam.offset": "distance of the two ends [m]",
    "seam.contrast": "changes across the outline over those inside; 1 = invisible",
    "seam.cut_buildings": "buildings at the rim that end on the outline",
    "validity.clean": "plans without faults",
    "validity.overlap": "building area that overlaps",
    "validity.on_road": "building area on streets",
    "validity.out_of_site": "area out of the site",
    "validity.partition": "area drawn twice",
    "validity.invalid": "broken shapes in a plan",
    "validity.unreachable": "buildings out of reach of streets",
    "validity.sliver": "slivers among buildings",
    "validity.road_islands": "street area that no street outside leads to",
    "validity.pinch": "gaps of 0.5 to 3 m for each building",
    "memorisation.nn_ratio": "distance to training over that of real plans; 1 = no copies",
    "memorisation.near_share": "plans nearer to training than 99 % of real ones",
    "memorisation.authenticity": "plans farther from training than training from itself",
    "diversity.ratio": "variety of a site's plans over that of alike real ones",
}


def page(evaluation: Evaluation, record: Mapping[str, Any]) -> str:
    """One self-contained page."""
    texts = {
        "evaluate.html": _text("fabricgen.quality", "evaluate.html"),
        "report.css": _text("fabricgen.report", "report.css"),
    }
    environment = Environment(
        loader=DictLoader(texts), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    metrics = evaluation.metrics
    baselines: Mapping[str, Any] = metrics["baselines"]  # type: ignore[assignment]
    return environment.get_template("evaluate.html").render(
        css=Markup(texts["report.css"]),  # our own file
        meta=metrics["meta"],
        run=record,
        names=list(baselines),
        figures=figure_rows(metrics),
        descriptors=descriptor_rows(metrics),
        top=top_of(metrics),
        pictures=[_pictures(*one) for one in evaluation.pictures],
    )


def figure_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The figures that were measured, as text, each with floor and baselines."""
    return [_row(metrics, key, words) for key, words in FIGURES.items() if key in metrics]


def descriptor_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How far each descriptor moved, the farthest over its floor first."""
    keys = [f"morphology.w1.{key}" for key in KEYS if f"morphology.w1.{key}" in metrics]
    rows = [
        _row(metrics, key, key.removeprefix("morphology.w1."))
        | {name: f"{metrics[key][name]:.3g}" for name in ("mean", "mean_real")}
        for key in keys
    ]
    return sorted(rows, key=lambda row: row["over"], reverse=True)


def top_of(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The descriptors that give plans away, most first."""
    return list(metrics.get("c2st.accuracy", {}).get("top", []))


def _row(metrics: Mapping[str, Any], key: str, words: str) -> dict[str, Any]:
    own, floor = metrics[key], metrics["floor"].get(key)
    low_high = own.get("ci95")
    return {
        "key": key,
        "words": words,
        "value": _text_of(own),
        "interval": f"{low_high[0]:.3g} to {low_high[1]:.3g}" if low_high else "",
        "floor": _text_of(floor),
        "over": own["value"] - (floor["value"] if floor else 0.0),
        "n": own["n"],
        "baselines": [_text_of(some.get(key)) for some in metrics["baselines"].values()],
    }


def _text_of(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return "–"
    value = figure["value"]
    return f"{value:.3g}" if abs(value) >= 1e-4 or value == 0 else "< 0.0001"


def _pictures(place: Place, true: Plan, made: Plan) -> dict[str, Any]:
    tile = place.coarse
    around = surroundings_of(tile.boxes, tile.segments, tile.labels, tile.frame)

    def svg(plan: Plan, title: str) -> Markup:
        return Markup(
            plan_svg(plan, surroundings=around, frame=tile.frame, width_px=PICTURE_PX, title=title)
        )

    return {"name": place.name, "real": svg(true, "real"), "made": svg(made, "generated")}


def _text(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def missed(metrics: Mapping[str, Any], bounds: Mapping[str, Sequence[float]]) -> list[str]:
    """Figures outside of their bounds, one line each; one that is missing is outside.

    Args:
        metrics: As in `metrics.json`.
        bounds: Least and most by key.
    """
    lines = []
    for key, (low, high) in bounds.items():
        if key not in metrics:
            lines.append(f"{key}: not measured")
        elif not low <= metrics[key]["value"] <= high:
            lines.append(f"{key}: {metrics[key]['value']:.4g}, not in {low:g} to {high:g}")
    return lines
