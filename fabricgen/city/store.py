"""The tile store: one folder per city, and windows cut from it at any place and angle.

Read with numpy alone and memory-mapped, so that training needs no geo library. A city holds
`labels.npy` (allowed surfaces, one byte per 1 m pixel, north up), `height_dm.npy`, `boxes.npy` and
`segments.npy` in the city frame's (u, v), `index.npz`, and `city.json`.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ..layout import Frame
from .window import DEPTH_M, WIDTH_M, U, V, Window, centred_frame, cut, flipped

TRAIN, VALIDATION, TEST, BUFFER, LOCAL_ONLY = range(5)
SPLITS = ("train", "validation", "test", "buffer", "local_only")

PLATES = {"labels": np.uint8, "height_dm": np.uint16}
TABLES = {"boxes": 7, "segments": 6}


class City:
    """One city's folder, opened on first use and memory-mapped."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def card(self) -> dict[str, Any]:
        """What city.json says."""
        try:
            return json.loads((self.path / "city.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as err:
            raise FormatError(
                f"{self.path.name}: city.json is missing or damaged", "ingest the city again"
            ) from err

    @cached_property
    def frame(self) -> Frame:
        """Frame of the rasters: north up, pixels of 1 m."""
        return Frame(**self.card["frame"])

    @cached_property
    def plates(self) -> dict[str, np.ndarray]:
        """The rasters, memory-mapped, (H, W)."""
        plates = {name: self._load(name, mmap_mode="r") for name in PLATES}
        for name, dtype in PLATES.items():
            shape = (self.frame.rows, self.frame.cols)
            if plates[name].shape != shape or plates[name].dtype != dtype:
                raise FormatError(
                    f"{self.path.name}: {name}.npy does not fit city.json", "ingest the city again"
                )
        return plates

    @cached_property
    def tables(self) -> dict[str, np.ndarray]:
        """Boxes (N, 7) and segments (M, 6)."""
        tables = {name: self._load(name) for name in TABLES}
        for name, width in TABLES.items():
            if tables[name].ndim != 2 or tables[name].shape[1] != width:
                raise FormatError(
                    f"{self.path.name}: {name}.npy has shape {tables[name].shape}",
                    "ingest the city again",
                )
        return tables

    @cached_property
    def reach(self) -> dict[str, np.ndarray]:
        """Every box and segment sorted by v, to find the near: v, u, radius, number; (4, N)."""
        boxes, segments = self.tables["boxes"], self.tables["segments"]
        box_radius = np.hypot(boxes[:, WIDTH_M], boxes[:, DEPTH_M]) / 2
        along = np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1])
        middle = (segments[:, 0:2] + segments[:, 2:4]) / 2
        return {
            "boxes": _by_v(boxes[:, U], boxes[:, V], box_radius),
            "segments": _by_v(middle[:, 0], middle[:, 1], (along + segments[:, 4]) / 2),
        }

    @cached_property
    def index(self) -> dict[str, np.ndarray]:
        """The lattice of 256 m windows, one array per column."""
        try:
            with np.load(self.path / "index.npz", allow_pickle=False) as columns:
                return {name: columns[name] for name in columns.files}
        except (OSError, ValueError, EOFError) as err:
            raise FormatError(
                f"{self.path.name}: index.npz is missing or damaged", "ingest the city again"
            ) from err

    def _load(self, name: str, *, mmap_mode: Any = None) -> np.ndarray:
        try:
            return np.load(self.path / f"{name}.npy", mmap_mode=mmap_mode, allow_pickle=False)
        except (OSError, ValueError, EOFError) as err:
            raise FormatError(
                f"{self.path.name}: {name}.npy is missing or damaged", "ingest the city again"
            ) from err


def _by_v(u: np.ndarray, v: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """v, u, radius and number, (4, N) float64, sorted by v."""
    order = np.argsort(v, kind="stable")
    return np.stack([v[order], u[order], radius[order], order]).astype(np.float64)


class TileStore:
    """One or several cities, ready to be cut into windows."""

    def __init__(self, cities: dict[str, City]) -> None:
        self._cities = cities

    @classmethod
    def open(cls, path: Path | str) -> TileStore:
        """Opens the store of one city, or a folder of such stores.

        Raises:
            FormatError: No store is there.
        """
        path = Path(path)
        folders = [path] if (path / "city.json").is_file() else []
        if not folders and path.is_dir():
            folders = sorted(
                folder
                for folder in path.iterdir()
                if (folder / "city.json").is_file() and folder.suffix != ".part"
            )
        if not folders:
            raise FormatError(
                f"{path.name or path}: no tile store here", "make one with fabricgen ingest"
            )
        cities = [City(folder) for folder in folders]
        return cls({city.card["name"]: city for city in cities})

    def cities(self) -> list[str]:
        """Names of the cities."""
        return list(self._cities)

    def folder(self, city: str) -> Path:
        """Where a city's files lie."""
        return self._city(city).path

    def card(self, city: str) -> dict[str, Any]:
        """What city.json says about a city."""
        return self._city(city).card

    def index(self, city: str) -> dict[str, np.ndarray]:
        """The lattice of 256 m windows of a city, one array per column; split as in `SPLITS`."""
        return self._city(city).index

    def frame(self, city: str) -> Frame:
        """Frame of a city's rasters, boxes and segments."""
        return self._city(city).frame

    def tables(self, city: str) -> dict[str, np.ndarray]:
        """All boxes (N, 7) and segments (M, 6) of a city, in the city frame's (u, v)."""
        return self._city(city).tables

    def window(
        self,
        city: str,
        x_m: float,
        y_m: float,
        angle_deg: float = 0.0,
        *,
        rows: int = 128,
        cols: int = 128,
        pixel_m: float = 2.0,
        flip: int = 0,
    ) -> Window:
        """Cuts a window on the fly.

        Args:
            city: Name of the city.
            x_m: Easting of the window's centre in the city's CRS.
            y_m: Northing of the window's centre.
            angle_deg: The window's up, clockwise from north, before the flip.
            rows: Rows of the result.
            cols: Columns of the result.
            pixel_m: Edge of a pixel. A coarser pixel takes the majority of its 1 m samples, ties
                to what is higher in `PAINT_ORDER`.
            flip: 0…7: mirrored first (left to right) from 4 on, then `flip % 4` quarter turns
                against the clock, applied to rasters, boxes, segments and north alike.

        Returns:
            The window; ground outside the city's rasters has no data (label 0).
        """
        source = self._city(city)
        cut_rows, cut_cols = (cols, rows) if flip % 2 else (rows, cols)
        frame = centred_frame(
            source.frame.crs, x_m, y_m, angle_deg, rows=cut_rows, cols=cut_cols, pixel_m=pixel_m
        )
        window = cut(frame, source.frame, source.plates, source.tables, source.reach, city=city)
        return flipped(window, flip)

    def _city(self, name: str) -> City:
        if name not in self._cities:
            raise FormatError(
                f"the store has no city '{name}'", f"it holds {', '.join(self._cities)}"
            )
        return self._cities[name]
