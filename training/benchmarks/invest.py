"""The peer: InVEST Urban Cooling on the same raster, in a process of its own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fabricgen.errors import ResourceError

SCRIPT = Path(__file__).with_name("invest_run.py")
PATIENCE_S = 600

# Seconds of processor and of clock of natcap.invest 3.20.2 on a tile of 128 x 128 pixels of 2 m,
# distances 450 and 500 m, in a warm process on two busy cores (measured once, by its makers' own
# sources). They stand in where the package is not there.
REFERENCE_CPU_S, REFERENCE_WALL_S = 0.94, 3.9


@dataclass(frozen=True, eq=False)
class Case:
    """What Urban Cooling is run on.

    Attributes:
        lulc: Row of the table of each pixel, (rows, cols).
        shade, albedo, kc, green_area: Its columns, (8,).
        weights: Of shade, albedo and evapotranspiration.
        et0_mm: Reference evapotranspiration, even over the raster.
        pixel_m: Edge of a pixel.
        cooling_distance_m, mixing_distance_m: Of large green, and of air.
        t_ref_c, uhi_max_k: Of the countryside, and what nothing cools.
        runs: How often it is run and timed.
    """

    lulc: np.ndarray
    shade: np.ndarray
    albedo: np.ndarray
    kc: np.ndarray
    green_area: np.ndarray
    weights: tuple[float, float, float]
    et0_mm: float
    pixel_m: float
    cooling_distance_m: float
    mixing_distance_m: float
    t_ref_c: float
    uhi_max_k: float
    runs: int


@dataclass(frozen=True, eq=False)
class Peer:
    """What Urban Cooling took for one tile.

    Attributes:
        name: Program and version, or where the seconds are from.
        same_run: Measured here and now.
        cpu_s, wall_s: The least of its runs.
        t_air_c: Its result, (rows, cols); None where it was not run.
    """

    name: str
    same_run: bool
    cpu_s: float
    wall_s: float
    t_air_c: np.ndarray | None


def peer(case: Case, python: Path | None) -> Peer:
    """Runs the case where natcap.invest is to be had, else the seconds of the reference run.

    Args:
        case: The raster.
        python: A Python that has natcap.invest; None for the one that runs.

    Raises:
        ResourceError: The Python given has no natcap.invest, or the run failed.
    """
    if python is None and importlib.util.find_spec("natcap") is None:
        name = "natcap.invest 3.20.2, reference run on another machine (not installed here)"
        return Peer(
            name, same_run=False, cpu_s=REFERENCE_CPU_S, wall_s=REFERENCE_WALL_S, t_air_c=None
        )
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "case.npz", Path(folder) / "out.npz"
        np.savez(given, **asdict(case))
        command = [str(python or sys.executable), str(SCRIPT), str(given), str(made)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
        except (OSError, subprocess.TimeoutExpired) as err:
            raise ResourceError(
                f"--invest-python {python}: {err}", "give a Python with natcap.invest"
            ) from err
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ResourceError(
                f"InVEST Urban Cooling failed: {last}", "give a Python with natcap.invest"
            )
        found = dict(np.load(made))
    return Peer(
        f"natcap.invest {found['version']}", same_run=True,
        cpu_s=float(found["cpu_s"].min()), wall_s=float(found["wall_s"].min()),
        t_air_c=found["t_air"],
    )  # fmt: skip
