"""Many cities: each extract into a tile store of its own, by processes or a cluster.

A store is there whole or not at all, and `run.json` in it says of what it was made. A run that is
stopped goes on when the same command is given again: what is made stays.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from fabricgen import provenance
from fabricgen.batch.engines import EngineSettings
from fabricgen.batch.engines import run as run_engine
from fabricgen.batch.journal import DONE
from fabricgen.city.ingest import CARD, CitySettings, ingest
from fabricgen.errors import InputError
from fabricgen.files import atomic_file
from fabricgen.steps import OnStep, quiet

COUNTS = ("area_km2", "buildings", "boxes", "segments")  # that a store tells of itself


@dataclass(frozen=True)
class CitiesSettings:
    """How every city is read, and who works."""

    city: CitySettings = field(default_factory=CitySettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    workers: int | None = None  # processes, or CPUs of the cluster; None: all


@dataclass(frozen=True)
class Task:
    """An extract and where its store goes."""

    extract: Path
    city: str
    folder: Path
    settings: CitySettings
    record: Mapping[str, Any]


def ingest_cities(
    extracts: Sequence[Path],
    out: Path,
    *,
    settings: CitiesSettings,
    record: Mapping[str, Any],
    on_step: OnStep = quiet,
) -> pd.DataFrame:
    """A tile store of each extract, called like its file.

    Args:
        extracts: As of `ingest`. A cluster's nodes must see them and `out` as this machine does.
        out: Folder of the stores; `rejected.csv` in it names the extracts that cannot be read.
        settings: Of all cities.
        record: Provenance of the run; each store has its own inputs and seconds.
        on_step: Hears how many cities are done.

    Returns:
        A row for each city: name, area, buildings, pieces of street, and for those that could not
        be read the problem and its fix.

    Raises:
        InputError: Two extracts have one name, or none can be read.
        StorageError: A store cannot be written.
    """
    names = [city_of(path) for path in extracts]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"two extracts are called {twice[0]}", "rename one of them")
    out, alone = out.absolute(), replace(settings.city, threads=1)  # cities share the processes
    tasks = [
        Task(path.absolute(), name, out / name, alone, record)
        for path, name in zip(extracts, names, strict=True)
    ]
    waiting = [task for task in tasks if not _is_done(task)]
    done, refused = len(tasks) - len(waiting), {}
    on_step(done, len(tasks), "cities")
    answers = run_engine(read_city, waiting, engine=settings.engine, workers=settings.workers)
    for index, problem in answers:
        done += 1
        on_step(done, len(tasks), "cities")
        if problem is not None:
            refused[waiting[index].city] = problem
    return _table(tasks, refused, out)


def city_of(extract: Path) -> str:
    """What a city is called when nobody says: its file's name up to the first dot."""
    return extract.name.split(".")[0]


def read_city(task: Task, on_step: OnStep) -> tuple[str, str] | None:
    """Makes one store with its `run.json`; None, or the problem of its extract and the fix."""
    start = provenance.Start()
    try:
        ingest(
            task.extract, city=task.city, out=task.folder, settings=task.settings, on_step=on_step
        )
    except InputError as err:
        return err.problem, err.fix
    inputs = [provenance.fingerprint(task.extract)]
    seconds = round(time.monotonic() - start.monotonic_s, 3)
    provenance.write({**task.record, "inputs": inputs, "seconds": seconds}, task.folder)
    return None


def _is_done(task: Task) -> bool:
    """Whether the store is there, made of this extract by this version with these settings."""
    path = task.folder / DONE
    if not (path.exists() and (task.folder / CARD).exists() and task.extract.exists()):
        return False
    found = json.loads(path.read_text(encoding="utf-8"))
    made = {**found["settings"]["ingest"], "threads": task.settings.threads}  # changes no store
    return (
        found["fabricgen"] == task.record["fabricgen"]
        and made == asdict(task.settings)
        and found["inputs"] == [provenance.fingerprint(task.extract)]
    )


def _table(
    tasks: Sequence[Task], refused: Mapping[str, tuple[str, str]], out: Path
) -> pd.DataFrame:
    """A row for each city; those that could not be read go into `rejected.csv` too."""
    if len(refused) == len(tasks):
        city, (problem, fix) = next(iter(refused.items()))
        raise InputError(f"none of {len(tasks)} extracts can be read: {city}: {problem}", fix)
    rows = []
    for task in tasks:
        problem, fix = refused.get(task.city, ("", ""))
        row: dict[str, Any] = {"city": task.city, "problem": problem, "fix": fix}
        if not problem:
            card = json.loads((task.folder / CARD).read_text(encoding="utf-8"))
            row |= {name: card[name] for name in COUNTS}
        rows.append(row)
    table = pd.DataFrame(rows, columns=["city", *COUNTS, "problem", "fix"])
    with atomic_file(out / "rejected.csv") as part:
        aside = table.loc[table["problem"] != "", ["city", "problem", "fix"]]
        aside.to_csv(part, index=False)
    return table
