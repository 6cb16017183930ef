"""Urban cooling, runoff and carbon stock against the outputs of InVEST 3.20.2."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from fabricgen.carbon.microclimate import energy_saving_kwh, urban_cooling, wet_bulb_globe_c
from fabricgen.carbon.vegetation import stock_from_pools
from fabricgen.carbon.water import runoff_mm

FOLDER = Path(__file__).parent / "golden"
COOLING = sorted((FOLDER / "cooling").glob("*.npz"))
FLOOD = sorted((FOLDER / "flood").glob("*.npz"))
CARBON = sorted((FOLDER / "carbon").glob("*.npz"))
LAYERS = ("shade", "kc", "albedo", "green_area", "building_intensity")
NEEDLESS = {"factors": ("building_intensity",), "intensity": ("shade", "kc", "albedo", "et0")}

each = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["single", "double"])


def name_of(path):
    return path.stem


def by_code(case, column, dtype=np.float64):
    """A column of the case's table as a raster; whatever stands first where there is no code."""
    valid = case["lulc"] != case["lulc_nodata"]
    row = np.searchsorted(case["lucode"], np.where(valid, case["lulc"], case["lucode"][0]))
    return case[column][row].astype(dtype)


def cooled(case, dtype, *, repeat=1, needless=True):
    method = str(case["cc_method"])

    def raster(values):
        return torch.tensor(values).to(dtype).expand(repeat, *values.shape)

    layers = {name: raster(by_code(case, f"table_{name}")) for name in LAYERS}
    layers["et0"] = raster(case["et0"])
    if not needless:
        layers |= dict.fromkeys(NEEDLESS[method])
    valid = torch.tensor(case["lulc"] != case["lulc_nodata"])
    return urban_cooling(
        **layers,
        valid=valid.expand(repeat, *valid.shape),
        pixel_m=float(case["pixel_size_m"]),
        t_ref_c=float(case["t_ref"]),
        uhi_max_k=float(case["uhi_max"]),
        cooling_distance_m=float(case["green_area_cooling_distance"]),
        mixing_distance_m=float(case["t_air_average_radius"]),
        method=method,
        weights=tuple(float(weight) for weight in case["cc_weight_raw"]),
    )


def deviation(found, case, key):
    """Largest difference; what is nodata must be so in both."""
    wanted = case[f"out_{key}"]
    found = np.asarray(found, dtype=np.float64)
    assert np.array_equal(np.isnan(found), np.isnan(wanted))
    return np.nanmax(np.abs(found - wanted))


@each
@pytest.mark.parametrize("path", COOLING, ids=name_of)
def test_air_temperature_is_that_of_the_tool(path, dtype):
    case = np.load(path)
    found = cooled(case, dtype)
    assert found.t_air.dtype == dtype
    for key in ("cc", "cc_park", "hm"):
        assert deviation(getattr(found, key)[0], case, key) < 2e-6
    for key in ("t_air_nomix", "t_air"):
        assert deviation(getattr(found, key)[0], case, key) < 2e-5
    greenest = np.nanmax(case["out_green_area_sum"])
    assert deviation(found.green_area_sum[0], case, "green_area_sum") < 1e-6 * greenest


@pytest.mark.parametrize("path", COOLING, ids=name_of)
def test_what_the_method_does_not_use_may_be_missing(path):
    case = np.load(path)
    found = cooled(case, torch.float64, repeat=2, needless=False)
    whole = cooled(case, torch.float64)
    assert torch.allclose(found.t_air, whole.t_air, rtol=0, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("path", COOLING, ids=name_of)
def test_wet_bulb_globe_temperature_is_that_of_the_tool(path):
    case = np.load(path)
    t_air = cooled(case, torch.float32).t_air
    found = wet_bulb_globe_c(t_air, float(case["avg_rel_humidity"]))
    assert deviation(found[0], case, "wbgt") < 5e-5


def masks_of(case):
    """Pixels of each building, and its footprint by the shoelace formula."""
    starts, pixels = case["bld_pixel_offset"], case["bld_pixel"]
    masks = np.zeros((len(case["bld_type"]), case["lulc"].size), dtype=bool)
    areas = []
    for building, (first, last) in enumerate(itertools.pairwise(starts)):
        masks[building, pixels[first:last]] = True
        ring = case["bld_xy"][case["bld_offset"][building] : case["bld_offset"][building + 1]]
        x, y = ring.T
        areas.append(abs((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) / 2)
    return torch.tensor(masks.reshape(-1, *case["lulc"].shape)), torch.tensor(areas)


@each
@pytest.mark.parametrize("path", COOLING, ids=name_of)
def test_energy_saving_is_that_of_the_tool(path, dtype):
    case = np.load(path)
    masks, areas = masks_of(case)
    row = np.searchsorted(case["energy_type"], case["bld_type"])
    per_k = torch.tensor((case["energy_consumption"] * case["energy_cost"])[row])
    found = energy_saving_kwh(
        cooled(case, dtype).t_air,
        masks,
        footprint_m2=areas,
        consumption_kwh_per_k_m2=per_k,
        t_ref_c=float(case["t_ref"]),
        uhi_max_k=float(case["uhi_max"]),
    )
    wanted = case["out_bld_energy_sav"]
    assert np.array_equal(np.isnan(found.numpy()), np.isnan(wanted))
    assert np.nanmax(np.abs(found.numpy() - wanted) / np.abs(wanted)) < 1e-5


@each
@pytest.mark.parametrize("path", FLOOD, ids=name_of)
def test_runoff_is_that_of_the_tool(path, dtype):
    case = np.load(path)
    valid = (case["lulc"] != case["lulc_nodata"]) & (case["soil_group"] != case["soil_nodata"])
    group = np.where(valid, case["soil_group"], 1) - 1
    code = np.where(valid, case["lulc"], case["lucode"][0])
    number = case["table_cn"][np.searchsorted(case["lucode"], code), group]
    number = torch.tensor(np.where(valid, number, np.nan)).to(dtype)
    found = runoff_mm(number, float(case["rainfall_mm"]))
    assert deviation(found, case, "q_mm") < 5e-5


@pytest.mark.parametrize("path", CARBON, ids=name_of)
def test_carbon_stock_is_that_of_the_tool(path):
    case = np.load(path)
    columns = [case[f"table_c_{pool}"] for pool in ("above", "below", "soil", "dead")]
    pools = {
        int(code): tuple(float(column[row]) for column in columns)
        for row, code in enumerate(case["lucode"])
    }
    pixel_ha = float(case["pixel_size_m"]) ** 2 / 1e4
    totals = dict(zip(case["out_summary_file"].tolist(), case["out_summary_total"], strict=True))
    for state in ("bas", "alt"):
        found = stock_from_pools(torch.tensor(case[f"lulc_{state}"]), pools)
        assert deviation(found, case, f"c_storage_{state}") < 1e-5 * float(found.nan_to_num().max())
        total = float(found.nansum()) * pixel_ha
        assert any(abs(total - float(value)) < 1e-5 * total for value in totals.values())


def test_all_cases_are_there():
    assert (len(COOLING), len(FLOOD), len(CARBON)) == (8, 4, 2)
