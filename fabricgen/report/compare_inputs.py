"""What `compare` sets side by side: plans counted now, or folders that `score` counted before."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fabricgen import __version__, provenance
from fabricgen.carbon.ledger import flow_tags
from fabricgen.carbon.uncertainty import net_draws
from fabricgen.design.candidates import Scored, ScoreSettings, score_files
from fabricgen.errors import FormatError, InputError
from fabricgen.layout import Frame
from fabricgen.plan import Plan
from fabricgen.report.score_page import DRAWS, score_row
from fabricgen.steps import OnStep, quiet

MARK = "run.json"
SCHEMES, SCORES = "schemes.gpkg", "scores.parquet"
MOST = 400  # plans; every one is held against every other
NET = "net_kgco2e_per_year"
KINDS = {
    "emission": "emission_kgco2e_per_year",
    "sink": "sink_kgco2e_per_year",
    "avoided": "avoided_kgco2e_per_year",
    "stock": "stock_kgco2e",
}
NOT_COUNTING = ("region",)  # settings that hold for a plan and are compared plan by plan


@dataclass(frozen=True, eq=False)
class Counted:
    """One plan with its count.

    Attributes:
        name: Unique in a comparison.
        source: Name of the file or folder that it came from.
        region: Carbon region.
        values: Indicators, totals and flows, by column of `scores.csv`.
        draws: Amounts in each of the common draws, (D,), by the same columns; net always.
        plan, frame: The plan and the grid it was counted on, where it was counted now.
        not_assessed, notes, stand_ins: What the ledger says of itself.
    """

    name: str
    source: str
    region: str
    values: Mapping[str, float]
    draws: Mapping[str, np.ndarray]
    plan: Plan | None = None
    frame: Frame | None = None
    not_assessed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stand_ins: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Way:
    """How some plans were counted, so that none are compared that were counted otherwise.

    `version` is that of fabricgen; None where it ran without being installed.
    """

    where: str
    version: str
    settings: Mapping[str, Any]


def gather(
    paths: Sequence[Path], *, settings: ScoreSettings, on_step: OnStep = quiet
) -> list[Counted]:
    """Every plan of some inputs, each with a name of its own.

    Args:
        paths: Plan files, rasters, result folders of `generate` (whose plans are counted anew, each
            by itself) or of `score` (taken as counted). `FOLDER/NAME` or `FILE/NAME` is one of
            their plans.
        settings: How plans are counted here.
        on_step: Hears about progress.

    Raises:
        InputError: Fewer than two plans, too many, or some that cannot be compared.
    """
    inputs = [_picked(Path(path)) for path in paths]
    _check_ways([_way(path, settings) for path, _ in inputs])
    found: list[Counted] = []
    for path, picked in inputs:
        plans = _read(path, settings=settings, on_step=on_step)
        found += _one(plans, picked, path) if picked else plans
    if len(found) < 2:
        raise InputError(
            f"one plan only, {found[0].name}" if found else "no plan to compare",
            "give at least two plans, or a folder that holds several",
        )
    if len(found) > MOST:
        raise InputError(f"{len(found)} plans", f"compare at most {MOST}; rank more with score")
    _check_regions(found)
    return _named_apart(found)


def _picked(path: Path) -> tuple[Path, str]:
    """An input and the one plan in it that is meant; all where none is named."""
    holder = path.parent
    if path.exists() or not (holder.is_file() or (holder / MARK).exists()):
        return path, ""
    return holder, path.name


def _one(plans: Sequence[Counted], name: str, path: Path) -> list[Counted]:
    chosen = [
        one for one in plans if one.name.endswith((f"/{name}", f"-{name}")) or one.name == name
    ]
    if not chosen:
        raise InputError(f"{path.name}: holds no plan {name}", f"it holds {_few(plans)}")
    return chosen[:1]


def _few(plans: Sequence[Counted]) -> str:
    names = [one.name.rpartition("/")[2] for one in plans]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _way(path: Path, settings: ScoreSettings) -> _Way:
    """How the plans of an input are or were counted."""
    record = _record(path) if _is_result(path) else {}
    if record.get("verb") != "score":
        return _Way("this run", __version__, asdict(settings))
    version = record.get("fabricgen", {}).get("version")
    return _Way(path.name, version, record.get("settings", {}))


def _read(path: Path, *, settings: ScoreSettings, on_step: OnStep) -> list[Counted]:
    if not _is_result(path):
        return [_counted(one, one.name) for one in _scored(path, settings, on_step)]
    record = _record(path)
    if record.get("verb") == "score":
        return list(_from_table(path, record))
    if not (path / SCHEMES).exists():
        raise InputError(
            f"{path.name}: holds no plans", "give a folder of generate or score, or plan files"
        )
    scored = _scored(path / SCHEMES, settings, on_step)
    stem = f"{Path(SCHEMES).stem}-"
    names = [f"{path.name}/{one.name.removeprefix(stem)}" for one in scored]
    return [_counted(one, name) for one, name in zip(scored, names, strict=True)]


def _is_result(path: Path) -> bool:
    return path.is_dir() and (path / MARK).exists()


def _scored(path: Path, settings: ScoreSettings, on_step: OnStep) -> list[Scored]:
    return score_files([path], settings=settings, on_step=on_step)


def _record(folder: Path) -> Mapping[str, Any]:
    try:
        record = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise FormatError(f"{folder.name}/{MARK}: cannot be read", "make the folder anew") from err
    if not isinstance(record, dict):
        raise FormatError(f"{folder.name}/{MARK}: is no record of a run", "make the folder anew")
    return record


def _counted(one: Scored, name: str) -> Counted:
    """A plan as it was counted now, with the draws of every flow."""
    ledger = one.score.ledger
    draws = {NET: net_draws(ledger).double().numpy()}
    kinds = {entry.kind for entry in ledger.entries}
    for kind in kinds:
        draws[KINDS[kind]] = ledger.amounts(kind)[0, 1:].detach().double().numpy()
    for entry in ledger.entries:
        draws[entry.name] = entry.amounts[0, 1:].detach().double().numpy()
    return Counted(
        name=name, source=one.candidate.file, region=one.region.name,
        values=_numbers(score_row(one)), draws=draws,
        plan=one.candidate.plan, frame=one.candidate.frame,
        not_assessed=ledger.not_assessed, notes=ledger.notes, stand_ins=ledger.fall_throughs,
    )  # fmt: skip


def _from_table(folder: Path, record: Mapping[str, Any]) -> Iterable[Counted]:
    """Plans as an earlier `score` counted them; of these the draws of net alone are kept."""
    try:
        table = pd.read_parquet(folder / SCORES)
    except (OSError, ValueError) as err:
        raise FormatError(
            f"{folder.name}/{SCORES}: cannot be read", "score the plans anew"
        ) from err
    if DRAWS not in table.columns:
        raise FormatError(f"{folder.name}/{SCORES}: holds no common draws", "score the plans anew")
    said = tuple(str(text) for text in record.get("not_assessed", ()))
    for row in table.to_dict("records"):
        yield Counted(
            name=f"{folder.name}/{row['plan']}", source=folder.name, region=str(row["region"]),
            values=_numbers(row), draws={NET: np.asarray(row[DRAWS], dtype=np.float64)},
            not_assessed=said,
        )  # fmt: skip


def _numbers(row: Mapping[Any, Any]) -> dict[str, float]:
    """The numbers of a row of scores; its place in an order holds for that run alone."""
    return {
        str(name): float(value)
        for name, value in row.items()
        if isinstance(value, int | float | np.number) and name not in ("rank", "tie")
    }


def flows_of(plans: Sequence[Counted]) -> list[tuple[str, str]]:
    """Names of all flows and stocks of some plans with their kinds, in the order of kinds."""
    tags = flow_tags()
    names = dict.fromkeys(name for one in plans for name in one.values if name in tags)
    order = list(KINDS)
    return sorted(((n, tags[n].kind) for n in names), key=lambda pair: order.index(pair[1]))


def _check_regions(plans: Sequence[Counted]) -> None:
    by_region: dict[str, str] = {}
    for one in plans:
        by_region.setdefault(one.region, one.name)
    if len(by_region) > 1:
        where = ", ".join(f"{name} in {region}" for region, name in list(by_region.items())[:3])
        raise InputError(
            f"plans of different carbon regions: {where}", "count all in one with --region NAME"
        )


def _check_ways(ways: Sequence[_Way]) -> None:
    """Refuses plans whose draws are not common because they were counted differently."""
    first = ways[0]
    for way in ways[1:]:
        if None not in (way.version, first.version) and way.version != first.version:
            raise InputError(
                f"{way.where}: counted by version {way.version}, {first.where} by {first.version}",
                "score the plans anew",
            )
        shared = set(asdict(ScoreSettings())) & set(way.settings) & set(first.settings)
        for key in sorted(shared - set(NOT_COUNTING)):
            ours, theirs = _plain(first.settings[key]), _plain(way.settings[key])
            if ours != theirs:
                raise InputError(
                    f"{way.where}: counted with {key}={theirs}, {first.where} with {key}={ours}",
                    "count all plans alike",
                )


def _plain(value: Any) -> Any:
    """A setting as it stands in a record: paths by their last name, numbers as numbers."""
    return json.loads(json.dumps(provenance.scrub(value), default=str))


def _named_apart(plans: Sequence[Counted]) -> list[Counted]:
    taken: set[str] = set()
    apart = []
    for one in plans:
        name, number = one.name, 2
        while name in taken:
            name, number = f"{one.name} ({number})", number + 1
        taken.add(name)
        apart.append(replace(one, name=name))
    return apart
