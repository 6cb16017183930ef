"""The whole judgment of a generator on a city: sites, plans, figures beside their floors."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import shapely

from fabricgen import __version__
from fabricgen.city.store import TileStore
from fabricgen.design.drafts import LoopSettings
from fabricgen.design.loop import weights_path
from fabricgen.design.objective import SteeringSettings
from fabricgen.design.site import open_context
from fabricgen.errors import InputError, need
from fabricgen.files import sha256_of
from fabricgen.generator.cascade import SamplerSettings
from fabricgen.generator.checkpoint import load
from fabricgen.plan import Plan
from fabricgen.provenance import commit, device, versions
from fabricgen.quality.descriptors import table
from fabricgen.quality.distances import Scaler, fit_scaler
from fabricgen.quality.layouts import read_pool
from fabricgen.quality.metrics import (
    CHANCE,
    NAMES,
    Figures,
    Set,
    control,
    morphology,
    over_seeds,
    seams,
    told_apart,
    validity,
)
from fabricgen.quality.places import Place, find_places
from fabricgen.quality.proposers import (
    Generator,
    Propose,
    brief_of,
    real,
    retrieval,
    rules,
    shuffled,
)
from fabricgen.quality.reals import Extract, mapped_plan
from fabricgen.quality.rows import Row, Rows
from fabricgen.quality.sweep import sweep
from fabricgen.quality.variety import diversity, memorization
from fabricgen.settings import ranged
from fabricgen.steps import OnStep, quiet

LEAST_SITES = 20  # below, no figure means anything
LEAST_TOLD = 48  # sites, for a classifier to learn anything
REST_S = 0.6  # to draw, measure and compare one plan that is not generated
PICTURES = 8
CITY_WINDOWS = 600

# What the protocol knows and this does not measure, and why.
NOT_MEASURED = {
    "c2st.pixel": "the classifier sees descriptors, not pixels",
    "memorisation.gap": "needs plans on sites of training cities",
    "steering.*": "unsteered plans are judged",
    "judge.*": "unsteered plans are judged",
    "human.error": "needs a reader; the page shows plans side by side",
    "speed.*": "see training/benchmark.py",
    "baselines.unconditional": "no model without surroundings is shipped",
    "baselines.previous": "no earlier weights are shipped",
}


@dataclass(frozen=True)
class EvaluateSettings:
    """What is judged, and how much of it."""

    samples: int = ranged(256, LEAST_SITES, 10_000)  # sites
    seeds: int = ranged(5, 1, 100)  # plans for each site
    max_minutes: float | None = ranged(None, 0.5, 10_000.0)  # None: until all is done
    sweep_sites: int = ranged(0, 0, 1000)  # sites on which asks are swept, 21 plans each
    train: str | None = None  # tile stores of training cities, for memorization and retrieval
    train_windows: int = ranged(2000, 50, 100_000)
    weights: str = "default"  # name in `checkpoints`, or a path
    streets: str = "new"  # keep: the site's own streets stay
    sampler: SamplerSettings = field(default_factory=SamplerSettings)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Figures, and some plans to look at.

    Attributes:
        metrics: What `metrics.json` holds.
        pictures: Place, real plan and generated plan.
        sources: Of the city: name, source, license, attribution.
    """

    metrics: dict[str, object]
    pictures: list[tuple[Place, Plan, Plan]]
    sources: list[dict[str, object]]


@dataclass(frozen=True, eq=False)
class _Job:
    """What one run works on."""

    places: list[Place]
    others: list[Place]
    extract: Extract | None
    propose: Generator
    baselines: dict[str, Propose]
    rows: Rows
    settings: EvaluateSettings
    deadline_s: float
    on_step: OnStep
    done: Counter[str] = field(default_factory=Counter)  # plans measured

    @property
    def total(self) -> int:
        """Plans that are measured if time allows."""
        sets = 2 + self.settings.seeds + len(self.baselines) + (self.extract is not None)
        return sets * len(self.places)

    @property
    def generated_by_s(self) -> float:
        """When to stop generating, so that what must follow is done in time."""
        sets = len(self.baselines) + (self.extract is not None)
        return self.deadline_s - REST_S * sets * len(self.places)

    def some(self, kind: str, places: Sequence[Place], propose: Propose, seed: int = 0) -> Set:
        """Rows of places: of generated plans as far as time allows, of all others every one."""
        found: list[Row] = []
        for place in places:
            late = propose is self.propose and time.monotonic() > self.generated_by_s
            if late and not self.rows.has(kind, place):
                break
            self.on_step(self.done.total(), self.total, kind)
            found.append(self.rows.get(kind, place, lambda p=place: propose(p, seed)))
            self.done[kind] += 1
        self.rows.flush()
        return Set(found, [place.name for place in places[: len(found)]])


def evaluate(
    city: Path,
    *,
    rows: Path,
    settings: EvaluateSettings | None = None,
    on_step: OnStep = quiet,
) -> Evaluation:
    """Judges the generator on a city that it never saw.

    Args:
        city: An extract, or a tile store (then nothing is compared with true footprints).
        rows: File that keeps every plan's numbers; a run that was stopped goes on from it.
        settings: How much.
        on_step: Hears about progress.

    Raises:
        InputError: The city has too few sites.
        MissingDependencyError: The extra `quality` is not installed.
    """
    settings = settings or EvaluateSettings()
    need("sklearn", extra="quality")  # not after an hour of work
    began = time.monotonic()
    on_step(0, None, "reading the city")
    store = open_context(city, on_step=on_step)
    places, others = _sites(store, settings)
    weights = weights_path(settings.weights)
    loop = LoopSettings(
        sampler=settings.sampler,
        steering=SteeringSettings(guided=False),
        streets=settings.streets,  # type: ignore[arg-type]
    )
    train = None
    if settings.train is not None:
        rng = np.random.default_rng(CHANCE)
        train = read_pool(TileStore.open(settings.train), settings.train_windows, rng=rng)
    told = {"sites": _sites_hash([*places, *others]), "weights": sha256_of(weights)}
    told |= {"loop": repr(loop), "version": __version__, "commit": commit() or ""}
    baselines: dict[str, Propose] = {"shuffled": shuffled(others), "rules": rules}
    if train is not None:
        baselines["retrieval"] = retrieval(train)
    minutes = settings.max_minutes
    job = _Job(
        places, others,
        None if (city / "city.json").is_file() else Extract.open(city),
        Generator(load(weights), loop), baselines,
        Rows(rows, key=hashlib.sha256(repr(told).encode()).hexdigest()[:16]), settings,
        float("inf") if minutes is None else began + 60 * minutes, on_step,
    )  # fmt: skip
    metrics, skipped = _measured(job, store=store, train=train)
    known = np.isfinite(table(job.some("real", places, real).rows)).sum(axis=0)
    meta = {
        "checkpoint": told["weights"], "code": told["commit"], "sites": told["sites"],
        "n_sites": len(places), "cities": store.cities(), "split": "the given city",
        "settings": asdict(settings), **device(), "seconds": round(time.monotonic() - began, 1),
        "descriptors": {k: int(n) for k, n in zip(NAMES, known, strict=True)},
        "versions": versions(), "skipped": skipped,
    }  # fmt: skip
    pictures = [(p, real(p, 0), job.propose(p, 0)) for p in places[:PICTURES]]
    card = store.card(store.cities()[0])
    sources = [{key: card[key] for key in ("name", "source", "licence", "attribution", "date")}]
    return Evaluation({"meta": meta} | metrics, pictures, sources)


def _sites(store: TileStore, settings: EvaluateSettings) -> tuple[list[Place], list[Place]]:
    """Sites for plans, and as many others whose real plans say what is only noise."""
    rng = np.random.default_rng(CHANCE)
    found = find_places(store, 2 * settings.samples, rng=rng)
    if len(found) < 2 * LEAST_SITES:
        raise InputError(
            f"{store.cities()[0]}: {len(found)} sites that do not overlap",
            f"give a city with room for {2 * LEAST_SITES}",
        )
    # Two in turn are a block and a square: both sets get their share of each.
    order = np.arange(len(found)) // 2 % 2
    both = [[p for p, side in zip(found, order, strict=True) if side == s] for s in (0, 1)]
    size = min(len(both[0]), len(both[1]))
    return both[0][:size], both[1][:size]


def _measured(
    job: _Job, *, store: TileStore, train: object
) -> tuple[dict[str, object], dict[str, str]]:
    """All figures, and what was left out and why."""
    skipped = dict(NOT_MEASURED)
    true = job.some("real", job.places, real)
    other = job.some("real", job.others, real)
    asked = {p.name: _asks(p) for p in job.places}
    scaler = fit_scaler(table(other.rows), NAMES)

    runs = _runs(job, skipped)
    n = len(runs[0])
    true, other = _first(true, n), _first(other, n)

    job.on_step(job.done.total(), job.total, "figures")
    found = over_seeds([_compared(run, true, scaler, asked) for run in runs])
    floor = _compared(other, true, scaler, {}) | seams(true) | validity(true)
    if "c2st.accuracy" in floor:
        found["c2st.real_vs_real"] = floor["c2st.accuracy"]
    else:
        skipped["c2st.*"] = f"a classifier needs {LEAST_TOLD} sites, not {n}"
    places = {p.name: p for p in job.places + job.others}
    found |= _variety(runs, places, store, skipped)
    if train is not None:
        found |= memorization(runs[0], true, places, train)  # type: ignore[arg-type]
        floor |= memorization(other, true, places, train)  # type: ignore[arg-type]
    else:
        skipped["memorisation.*"] = skipped["baselines.retrieval"] = "no --train stores"
    if job.extract is not None:
        found |= _against_the_map(
            job, job.extract, made=runs[0], true=true, scaler=scaler, floor=floor
        )
    else:
        skipped["morphology.exporter_w1"] = "a tile store has no footprints"
    if job.settings.sweep_sites:
        found |= sweep(job.propose.under, job.places[: job.settings.sweep_sites], other, job.rows)
    else:
        skipped["control.spearman.*"] = "sweep_sites is 0"
    by_name = {}
    for name, propose in job.baselines.items():
        by_name[name] = _compared(job.some(name, job.places[:n], propose), true, scaler, asked)
    return found | {"floor": floor, "baselines": by_name}, skipped


def _runs(job: _Job, skipped: dict[str, str]) -> list[Set]:
    """Plans of each seed; the first may stop short when time is up, the others count whole."""
    runs: list[Set] = []
    for seed in range(job.settings.seeds):
        places = job.places[: len(runs[0])] if runs else job.places
        made = job.some(f"made{seed}", places, job.propose, seed)
        if len(made) < (len(runs[0]) if runs else LEAST_SITES):
            skipped[f"seed {seed + 1}"] = f"time was up after {len(made)} sites"
            break
        runs.append(made)
    if not runs:
        raise InputError(
            f"too little time for {LEAST_SITES} sites", "raise --max-minutes; what is done is kept"
        )
    return runs


def _compared(
    found: Set, true: Set, scaler: Scaler, asked: Mapping[str, Mapping[str, float]]
) -> Figures:
    """All figures of one set of plans that need nothing but rows."""
    figures = morphology(found, true, scaler)
    if len(true) >= LEAST_TOLD:
        figures |= told_apart(found, true)
    figures |= seams(found) | validity(found)
    return figures | (control(found, asked) if asked else {})


def _against_the_map(
    job: _Job, extract: Extract, *, made: Set, true: Set, scaler: Scaler, floor: Figures
) -> Figures:
    """What drawing alone changes, and plans against footprints as mapped."""
    mapped = job.some(
        "mapped", job.places[: len(true)], lambda p, _: mapped_plan(extract, p.site.boundary)
    )
    drawing = morphology(true, mapped, scaler)
    raw = morphology(made, mapped, scaler)
    asks = {
        site: {name.removeprefix("got."): float(row[name]) for name in row if name[:4] == "got."}
        for site, row in zip(mapped.sites, mapped.rows, strict=True)
    }
    exact = {site: {k: v for k, v in row.items() if np.isfinite(v)} for site, row in asks.items()}
    floor |= control(true, exact)
    found = {
        "morphology.exporter_w1": drawing["morphology.w1_mean"],
        "morphology.w1_mean_raw": raw["morphology.w1_mean"],
    }
    if len(true) >= LEAST_TOLD:
        floor["c2st.accuracy_raw"] = told_apart(true, mapped)["c2st.accuracy"]
        found["c2st.accuracy_raw"] = told_apart(made, mapped)["c2st.accuracy"]
    return found


def _variety(
    runs: list[Set], places: dict[str, Place], store: TileStore, skipped: dict[str, str]
) -> Figures:
    if len(runs) < 2:
        skipped["diversity.ratio"] = "one plan for each site"
        return {}
    pool = read_pool(store, CITY_WINDOWS, rng=np.random.default_rng(CHANCE), test=True)
    return diversity(runs, places, pool)


def _asks(place: Place) -> dict[str, float]:
    return {name: low for name, (low, _) in brief_of(place).asks.items()}


def _first(some: Set, n: int) -> Set:
    return Set(some.rows[:n], some.sites[:n])


def _sites_hash(places: Sequence[Place]) -> str:
    shapes = [shapely.to_wkt(p.site.boundary, rounding_precision=2) for p in places]
    return hashlib.sha256(json.dumps(shapes).encode()).hexdigest()
