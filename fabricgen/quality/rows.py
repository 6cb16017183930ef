"""One row of numbers for each plan, kept in a file so that a stopped run goes on where it was."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fabricgen.errors import FormatError
from fabricgen.files import atomic_file
from fabricgen.form.indicators import of_plan
from fabricgen.plan import Plan
from fabricgen.quality.descriptors import describe
from fabricgen.quality.drawn import mended
from fabricgen.quality.layouts import masks_of, pack
from fabricgen.quality.maps import city_map
from fabricgen.quality.places import Place
from fabricgen.quality.reals import surroundings
from fabricgen.quality.seams import seam_measures
from fabricgen.quality.validity import validity_measures

EVERY = 16  # new rows between two writes of the file
GOT = ("far", "site_coverage", "green_ratio", "mean_height_m", "road_share", "tree_share")
MAP = "map"

Row = Mapping[str, float | str]


def measure(plan: Plan, place: Place) -> dict[str, float | str]:
    """Everything that is measured of one plan: descriptors, seams, faults, form, and its map."""
    sound = mended(plan)
    labels = city_map(sound, place)
    form = of_plan(sound)
    return {
        **describe(sound, around=surroundings(place), mapped=place.mapped),
        **seam_measures(sound, place, labels=labels),
        **validity_measures(plan, place, labels=labels),
        **{f"got.{name}": form[name] for name in GOT},
        MAP: pack(masks_of(labels)),
    }


@dataclass
class Rows:
    """Rows by the name of a set and of a place, on disk.

    Attributes:
        path: A JSON file; a new one is begun where none is, or where it is of another run.
        key: What the rows hang on: city, sites, weights, version.
    """

    path: Path
    key: str
    _rows: dict[str, Row] = field(default_factory=dict)
    _new: int = 0

    def __post_init__(self) -> None:
        if not self.path.is_file():
            return
        try:
            told = json.loads(self.path.read_text(encoding="utf-8"))
            known = told["rows"] if told["key"] == self.key else {}
        except (ValueError, KeyError, TypeError) as err:
            raise FormatError(f"{self.path.name}: damaged", "delete it and run again") from err
        self._rows = {
            name: {k: math.nan if v is None else v for k, v in row.items()}
            for name, row in known.items()
        }

    def has(self, kind: str, place: Place) -> bool:
        """Whether a row is there."""
        return f"{kind}/{place.name}" in self._rows

    def get(self, kind: str, place: Place, make: Callable[[], Plan]) -> Row:
        """A row; its plan is made and measured if nobody has done so."""
        name = f"{kind}/{place.name}"
        if name not in self._rows:
            self._rows[name] = measure(make(), place)
            self._new += 1
            if self._new >= EVERY:
                self.flush()
        return self._rows[name]

    def flush(self) -> None:
        """Writes what is new."""
        if not self._new:
            return
        rows = {name: {k: _plain(v) for k, v in row.items()} for name, row in self._rows.items()}
        with atomic_file(self.path) as part:
            document = {"key": self.key, "rows": rows}
            part.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
        self._new = 0


def column(rows: list[Row], key: str) -> np.ndarray:
    """One measure of many rows, (N,) float64."""
    return np.array([row[key] for row in rows], dtype=np.float64)


def _plain(value: float | str) -> float | str | None:
    if isinstance(value, str):
        return value
    return None if math.isnan(value) else float(value)
