"""Runs InVEST Urban Cooling on one raster, with a Python that has natcap.invest; `invest` calls it.

    python invest_run.py CASE.npz OUT.npz

The case holds the keys of `invest.Case`. What comes back: `t_air` (rows, cols), and for each warm
run its seconds of processor and of clock.
"""

from __future__ import annotations

import csv
import logging
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import natcap.invest
import numpy as np
from natcap.invest import urban_cooling_model
from osgeo import gdal, ogr, osr

EPSG = 32632
ORIGIN_XY = (500_000.0, 5_000_000.0)
WEIGHTS = ("shade", "albedo", "eti")
UNTIMED = 1  # the first run reads libraries and is not counted


def main(case_file: Path, out_file: Path) -> None:
    """Writes the rasters, runs the model several times, reads the temperature back."""
    case = dict(np.load(case_file))
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        arguments = _written(case, Path(folder))
        spent = []
        for _ in range(UNTIMED + int(case["runs"])):
            # A new workspace each time: the model reuses what it finds in an old one.
            work = tempfile.mkdtemp(dir=folder)
            cpu, wall = time.process_time(), time.perf_counter()
            urban_cooling_model.execute({**arguments, "workspace_dir": work})
            spent.append((time.process_time() - cpu, time.perf_counter() - wall))
        found = gdal.Open(str(Path(work) / "T_air.tif")).ReadAsArray()
    cpu_s, wall_s = np.transpose(spent[UNTIMED:])
    np.savez(out_file, t_air=found, cpu_s=cpu_s, wall_s=wall_s, version=natcap.invest.__version__)


def _written(case: dict[str, np.ndarray], folder: Path) -> dict[str, Any]:
    """The model's arguments but its workspace, with their files."""
    lulc, pixel_m = case["lulc"], float(case["pixel_m"])
    _raster(folder / "lulc.tif", lulc.astype(np.int16), gdal.GDT_Int16, pixel_m)
    et0 = np.full(lulc.shape, case["et0_mm"], dtype=np.float32)
    _raster(folder / "et0.tif", et0, gdal.GDT_Float32, pixel_m)
    _area(folder / "area.gpkg", lulc.shape, pixel_m)
    with (folder / "table.csv").open("w", newline="") as target:
        table = csv.writer(target)
        table.writerow(["lucode", "shade", "albedo", "kc", "green_area"])
        columns = (case[name] for name in ("shade", "albedo", "kc", "green_area"))
        table.writerows([k, s, a, c, int(g)] for k, (s, a, c, g) in enumerate(zip(*columns)))  # noqa: B905
    return {
        "lulc_raster_path": str(folder / "lulc.tif"),
        "ref_eto_raster_path": str(folder / "et0.tif"),
        "aoi_vector_path": str(folder / "area.gpkg"),
        "biophysical_table_path": str(folder / "table.csv"),
        "green_area_cooling_distance": float(case["cooling_distance_m"]),
        "t_air_average_radius": float(case["mixing_distance_m"]),
        "t_ref": float(case["t_ref_c"]),
        "uhi_max": float(case["uhi_max_k"]),
        "cc_method": "factors",
        **{f"cc_weight_{name}": float(w) for name, w in zip(WEIGHTS, case["weights"])},  # noqa: B905
        "do_energy_valuation": False,
        "do_productivity_valuation": False,
        "n_workers": -1,
    }


def _raster(path: Path, values: np.ndarray, kind: int, pixel_m: float) -> None:
    rows, cols = values.shape
    target = gdal.GetDriverByName("GTiff").Create(str(path), cols, rows, 1, kind)
    target.SetGeoTransform((ORIGIN_XY[0], pixel_m, 0, ORIGIN_XY[1], 0, -pixel_m))
    target.SetProjection(_crs().ExportToWkt())
    band = target.GetRasterBand(1)
    band.SetNoDataValue(-1)
    band.WriteArray(values)
    target.FlushCache()


def _area(path: Path, shape: tuple[int, int], pixel_m: float) -> None:
    """A polygon over the whole raster."""
    west, north = ORIGIN_XY
    east, south = west + shape[1] * pixel_m, north - shape[0] * pixel_m
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = source.CreateLayer("area", _crs(), ogr.wkbPolygon)
    feature = ogr.Feature(layer.GetLayerDefn())
    corners = ((west, north), (east, north), (east, south), (west, south), (west, north))
    ring = ", ".join(f"{x} {y}" for x, y in corners)
    feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON (({ring}))"))
    layer.CreateFeature(feature)
    source.FlushCache()


def _crs() -> osr.SpatialReference:
    found = osr.SpatialReference()
    found.ImportFromEPSG(EPSG)
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
