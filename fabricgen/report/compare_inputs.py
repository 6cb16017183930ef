"""What `compare` sets side by side: plans counted now, or folders that `score` counted before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fabricgen import __version__, provenance
from fabricgen.design.candidates import (
    Candidate,
    ScoreSettings,
    read_candidates,
    score_candidates,
)
from fabricgen.errors import FormatError, InputError
from fabricgen.report.compare_counted import MOST, Counted, counted_before, counted_now, few
from fabricgen.steps import OnStep, quiet

MARK = "run.json"
SCHEMES = "schemes.gpkg"
NOT_COUNTING = ("region",)  # settings that are compared plan by plan instead


@dataclass(frozen=True)
class _Way:
    """How some plans were counted, so that none are compared that were counted otherwise.

    `version` is that of fabricgen; None where it ran without being installed.
    """

    where: str
    version: str | None
    settings: Mapping[str, Any]


def gather(
    paths: Sequence[Path],
    *,
    settings: ScoreSettings,
    best: int | None = None,
    on_step: OnStep = quiet,
) -> list[Counted]:
    """Every plan of some inputs, each with a name of its own.

    Args:
        paths: Plan files, rasters, result folders of `generate` (whose plans are counted anew, each
            by itself) or of `score` (taken as counted). `FOLDER/NAME` or `FILE/NAME` is one of
            their plans.
        settings: How plans are counted here.
        best: Of a folder of `score`, only so many plans, by rank.
        on_step: Hears about progress.

    Raises:
        InputError: Fewer than two plans, too many, or some that cannot be compared.
    """
    inputs = [_picked(Path(path)) for path in paths]
    _check_ways([_way(path, settings) for path, _ in inputs])
    found: list[Counted | Candidate] = []
    for path, name in inputs:
        found += _read(path, name, pixel_m=settings.pixel_m, best=best)
    if len(found) < 2:
        raise InputError(
            f"one plan only, {found[0].name}" if found else "no plan to compare",
            "give at least two plans, or a folder that holds several",
        )
    if len(found) > MOST:
        raise InputError(f"{len(found)} plans", f"compare at most {MOST}; rank more with score")
    drawn = [one for one in found if isinstance(one, Candidate)]
    scored = iter(score_candidates(drawn, settings=settings, on_step=on_step))
    plans = [one if isinstance(one, Counted) else counted_now(next(scored)) for one in found]
    _check_regions(plans)
    return _named_apart(plans)


def _picked(path: Path) -> tuple[Path, str]:
    """An input and the one plan in it that is meant; all where none is named."""
    holder = path.parent
    if path.exists() or not (holder.is_file() or _is_result(holder)):
        return path, ""
    return holder, path.name


def _is_result(path: Path) -> bool:
    return path.is_dir() and (path / MARK).exists()


def _record(folder: Path) -> Mapping[str, Any]:
    try:
        record = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise FormatError(f"{folder.name}/{MARK}: cannot be read", "make the folder anew") from err
    if not isinstance(record, dict):
        raise FormatError(f"{folder.name}/{MARK}: is no record of a run", "make the folder anew")
    return record


def _way(path: Path, settings: ScoreSettings) -> _Way:
    """How the plans of an input are or were counted."""
    record = _record(path) if _is_result(path) else {}
    if record.get("verb") != "score":
        return _Way("this run", __version__, asdict(settings))
    version = record.get("fabricgen", {}).get("version")
    return _Way(path.name, version, record.get("settings", {}))


def _read(
    path: Path, name: str, *, pixel_m: float, best: int | None
) -> Sequence[Counted | Candidate]:
    """The plans of one input, or the one of a name; what must be counted yet is a candidate."""
    if not _is_result(path):
        return _chosen(path, read_candidates([path], pixel_m=pixel_m), name)
    record = _record(path)
    if record.get("verb") == "score":
        return counted_before(path, record, name=name, best=best)
    if not (path / SCHEMES).exists():
        raise InputError(
            f"{path.name}: holds no plans", "give a folder of generate or score, or plan files"
        )
    drawn = read_candidates([path / SCHEMES], pixel_m=pixel_m)
    stem = f"{Path(SCHEMES).stem}-"
    named = [replace(one, name=f"{path.name}/{one.name.removeprefix(stem)}") for one in drawn]
    return _chosen(path, named, name)


def _chosen(path: Path, drawn: Sequence[Candidate], name: str) -> Sequence[Candidate]:
    if not name:
        return drawn
    ends = (f"/{name}", f"-{name}")
    found = [one for one in drawn if one.name == name or one.name.endswith(ends)]
    if not found:
        known = few([one.name.rpartition("/")[2] for one in drawn])
        raise InputError(f"{path.name}: holds no plan {name}", f"it holds {known}")
    return found[:1]


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
    """A setting as it stands in a record: paths by their last name."""
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
