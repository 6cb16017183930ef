import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from fabricgen.carbon.shading import (
    STEERING_STEPS,
    obstruction_m,
    quick_shadow_height_m,
    ray,
    shadow_height_m,
    sky_view_factor,
    sunlit,
)
from fabricgen.carbon.walls import shading_factors
from fabricgen.errors import SettingsError

GOLDEN = Path(__file__).parents[1] / "golden"
SHANGHAI = {"latitude_deg": 31.2, "passes": (0.2, 0.6)}


@pytest.fixture(params=[1, 2], ids=["flat", "sloping"])
def golden(request):
    with np.load(GOLDEN / "shadow" / f"case_0{request.param}.npz") as case:
        return dict(case)


@pytest.fixture
def block():
    """A building of 40 x 40 m and 18 m height in the middle of 160 m, pixels of 2 m."""
    height = torch.zeros(1, 80, 80, dtype=torch.float64)
    height[:, 30:50, 30:50] = 18.0
    return height


def test_sunlit_masks_are_those_of_solweig(golden):
    dsm = torch.from_numpy(golden["dsm"])[None]
    suns = zip(golden["sun_azimuth_deg"], golden["sun_altitude_deg"], strict=True)
    for (azimuth, altitude), expected in zip(suns, golden["out_sunlit_building"], strict=True):
        found = sunlit(
            dsm, float(golden["pixel_size_m"]),
            azimuth_deg=float(azimuth), altitude_deg=float(altitude),
        )  # fmt: skip
        assert np.array_equal(found[0].numpy(), expected.astype(bool))


def band_weight(altitude_deg, patches):
    """What one patch of a band adds to the sky view factor; bands are 12 degrees wide."""
    half = 0 if altitude_deg == 90 else 6
    low, high = 90 - altitude_deg - half + 1, 90 - altitude_deg + 6
    rings = sum(math.sin(math.pi * (2 * angle - 1) / 180) for angle in range(low, high + 1))
    return math.sin(math.pi / 180) * rings / patches


def test_marches_to_all_patches_of_sky_give_solweigs_sky_view_factor(golden):
    dsm = torch.from_numpy(golden["dsm"])[None]
    seen = torch.zeros_like(dsm)
    for altitude, patches, first in (
        (6, 31, 0), (18, 30, 4), (30, 28, 2), (42, 24, 5), (54, 19, 8), (66, 13, 0), (78, 7, 10),
        (90, 1, 0),
    ):  # fmt: skip
        for patch in range(patches):
            azimuth = first + 360 / patches * patch
            lit = sunlit(dsm, 2.0, azimuth_deg=azimuth, altitude_deg=float(altitude))
            seen += band_weight(altitude, patches) * lit
    assert float((seen[0] - torch.from_numpy(golden["out_svf"])).abs().max()) < 1e-5


def test_horizons_give_nearly_the_same_sky_as_patches(golden):
    dsm = torch.from_numpy(golden["dsm"])[None]
    found = sky_view_factor(dsm, 2.0, eye_m=dsm, directions=32)[0]
    gap = (found - torch.from_numpy(golden["out_svf"])).abs()
    assert float(gap.mean()) < 0.01 and float(gap.max()) < 0.06


def test_open_ground_sees_the_whole_sky():
    flat = torch.zeros(1, 20, 30)
    assert torch.equal(sky_view_factor(flat, 2.0), torch.ones_like(flat))
    soft = sky_view_factor(flat, 2.0, steps=STEERING_STEPS, sharpness=20.0)
    assert float((1 - soft).abs().max()) < 1e-6


def test_the_middle_of_a_canyon_sees_what_the_analytic_form_says():
    table = (GOLDEN / "carbon" / "check-values.csv").read_text().splitlines()
    row = next(row for row in csv.DictReader(table) if row["id"] == "svf.canyon")
    height = torch.full((1, 129, 129), 44.0, dtype=torch.float64)
    height[:, :, 54:75] = 0.0  # the first pixels of the walls stand 22 m off the middle one
    found = float(sky_view_factor(height, 2.0, eye_m=0.0)[0, 64, 64])
    tolerance = float(row["abs_tol"]) + float(row["rel_tol"]) * float(row["expected"])
    assert abs(found - float(row["expected"])) <= tolerance


def test_facing_an_isolated_block_most_of_the_sky_is_left(block):
    view = sky_view_factor(block, 2.0)
    assert 0.75 < float(view[0, 40, 58]) < 0.9  # 18 m off the wall
    assert float(view[0, 40, 40]) == 1.0  # its roof


def test_raising_what_stands_there_never_raises_the_sky(block):
    rng = torch.Generator().manual_seed(0)
    low = 20 * torch.rand(1, 24, 24, generator=rng, dtype=torch.float64)
    eye = torch.full_like(low, 1.5)
    before = sky_view_factor(low, 2.0, eye_m=eye)
    for _ in range(10):
        row, col = torch.randint(24, (2,), generator=rng)
        high = low.clone()
        high[0, row, col] += 7
        for options in ({}, {"steps": STEERING_STEPS, "sharpness": 20.0}):
            before = sky_view_factor(low, 2.0, eye_m=eye, **options)
            after = sky_view_factor(high, 2.0, eye_m=eye, **options)
            assert float((after - before).max()) < 1e-12


def test_the_smooth_horizon_shows_a_little_too_much_sky_within_its_bound(block):
    true = sky_view_factor(block, 2.0, steps=STEERING_STEPS)
    smooth = sky_view_factor(block, 2.0, steps=STEERING_STEPS, sharpness=20.0)
    assert float((true - smooth).max()) < 0.01
    bound = 2 * math.log(7) / 20 * 0.65  # sin² of an angle grows by at most 0.65 per tangent
    assert float((smooth - true).max()) < bound


def test_a_slow_march_pixel_by_pixel_finds_the_same_shadow():
    rng = torch.Generator().manual_seed(1)
    height = 15 * torch.rand(1, 9, 11, generator=rng, dtype=torch.float64)
    for azimuth, altitude in ((10, 20), (130, 35), (200, 50), (315, 15)):
        found = shadow_height_m(height, 2.0, azimuth_deg=azimuth, altitude_deg=altitude)
        rise = 2.0 * math.tan(math.radians(altitude))
        for row in range(9):
            for col in range(11):
                seen = [-1e4]
                for step in ray(azimuth, range(1, 12)):
                    to = row + step.rows, col + step.cols
                    if 0 <= to[0] < 9 and 0 <= to[1] < 11:
                        seen.append(float(height[0, *to]) - rise * step.distance_px)
                lit = max(seen) <= float(height[0, row, col])
                assert (float(found[0, row, col]) <= float(height[0, row, col])) == lit
                if not lit:
                    assert float(found[0, row, col]) == pytest.approx(max(seen))


def test_a_ray_leads_where_the_sun_stands():
    for azimuth in range(0, 360, 7):
        last = ray(azimuth, [40])[0]
        to = math.degrees(math.atan2(last.cols, -last.rows)) % 360
        assert abs((to - azimuth + 180) % 360 - 180) < 1
        assert math.hypot(last.rows, last.cols) == pytest.approx(last.distance_px, abs=0.4)


def test_a_shadow_is_as_long_as_the_sun_is_low(block):
    shade = shadow_height_m(block, 2.0, azimuth_deg=180.0, altitude_deg=45.0)[0]
    assert float(shade[29, 40]) == pytest.approx(16)  # north of the wall, one pixel
    assert float(shade[22, 40]) == pytest.approx(2)
    assert float(shade[20, 40]) < 0 and float(shade[60, 40]) < 0


@pytest.mark.parametrize("azimuth_deg", [0, 45, 90, 200, 307])
def test_a_shadow_by_doubling_steps_is_that_of_every_pixel(azimuth_deg):
    rng = torch.Generator().manual_seed(2)
    tower = torch.rand(2, 40, 37, generator=rng, dtype=torch.float64) > 0.9
    height = 30 * torch.rand(2, 40, 37, generator=rng, dtype=torch.float64) * tower
    sun = {"azimuth_deg": float(azimuth_deg), "altitude_deg": 30.0}
    quick = quick_shadow_height_m(height, 2.0, [tuple(sun.values())])
    careful = shadow_height_m(height, 2.0, steps=range(1, 33), **sun)
    if azimuth_deg % 45 == 0:  # rounded steps add up without an error
        assert torch.allclose(quick, careful)
    shaded = (quick.clamp(min=0).mean() / careful.clamp(min=0).mean()).item()
    assert shaded == pytest.approx(1, abs=0.05)


def test_a_block_that_stands_alone_is_not_shaded(block):
    found = shading_factors(block, torch.zeros_like(block), 2.0, **SHANGHAI)
    assert float(found.cooling) == pytest.approx(1, abs=5e-3)
    assert float(found.heating) == pytest.approx(1, abs=5e-3)


def test_a_tower_to_the_south_takes_winter_sun_and_little_summer_sun(block):
    tower = block.clone()
    tower[:, 62:72, 20:60] = 40.0
    alone = block * 1
    counts = torch.zeros_like(block)
    counts[:, 28:52, 28:52] = 1
    found = shading_factors(tower, torch.zeros_like(block), 2.0, counts=counts, **SHANGHAI)
    free = shading_factors(alone, torch.zeros_like(block), 2.0, counts=counts, **SHANGHAI)
    assert float(found.heating) < 0.6 * float(free.heating)
    assert float(found.heating) < float(found.cooling) < float(free.cooling)


def test_north_turns_with_the_frame(block):
    south = block.clone()
    south[:, 62:72, 20:60] = 40.0
    west = torch.rot90(south, -1, (1, 2))  # what lay below now lies left
    none = torch.zeros_like(block)
    upright = shading_factors(south, none, 2.0, **SHANGHAI)
    turned = shading_factors(west, none, 2.0, north_deg=-90.0, **SHANGHAI)
    assert float(turned.heating) == pytest.approx(float(upright.heating), abs=2e-3)
    assert float(turned.cooling) == pytest.approx(float(upright.cooling), abs=2e-3)


def test_the_south_of_one_half_of_the_earth_is_the_north_of_the_other(block):
    south = block.clone()
    south[:, 62:72, 20:60] = 40.0
    none = torch.zeros_like(block)
    here = shading_factors(south, none, 2.0, latitude_deg=40.0, passes=(0.2, 0.6))
    there = shading_factors(south.flip(1), none, 2.0, latitude_deg=-40.0, passes=(0.2, 0.6))
    assert float(there.heating) == pytest.approx(float(here.heating), abs=0.02)


def test_a_row_of_trees_shades_more_in_leaf_than_without(block):
    canopy = torch.zeros_like(block)
    canopy[:, 53:57, 26:54] = 12.0
    found = shading_factors(block, canopy, 2.0, **SHANGHAI)
    bare = shading_factors(block, canopy, 2.0, latitude_deg=31.2, passes=(1.0, 1.0))
    dense = shading_factors(block, canopy, 2.0, latitude_deg=31.2, passes=(0.0, 0.0))
    assert 0.8 < float(found.cooling) < 0.98  # within what cooling falls by: 3 to 20 %
    assert 0.8 < float(found.heating) < 0.98
    assert float(bare.cooling) == pytest.approx(1, abs=5e-3)
    mean = 0.8 * float(dense.cooling) + 0.2 * float(bare.cooling)
    assert float(found.cooling) == pytest.approx(mean, abs=1e-9)


def test_ground_without_walls_is_unshaded():
    flat = torch.zeros(2, 16, 16)
    found = shading_factors(flat, flat, 2.0, **SHANGHAI)
    assert found.cooling.tolist() == [1, 1] and found.heating.tolist() == [1, 1]


def test_the_obstruction_is_the_higher_of_building_and_crown():
    building, canopy = torch.tensor([[[18.0, 0.0, 0.0]]]), torch.tensor([[[0.0, 10.0, 0.0]]])
    found = obstruction_m(building, canopy, opacity=0.8)[0, 0]
    assert found.tolist() == pytest.approx([18, 8, 0], abs=math.log(2) / 5 + 1e-6)
    assert float(found[2]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("sharpness", [None, 20.0], ids=["true", "smooth"])
def test_gradients_of_sky_and_shade_hold(sharpness):
    rng = torch.Generator().manual_seed(3)
    height = 12 * torch.rand(2, 6, 7, generator=rng, dtype=torch.float64)
    canopy = 8 * torch.rand(2, 6, 7, generator=rng, dtype=torch.float64)

    def sky(height_m):
        return sky_view_factor(
            height_m, 2.0, directions=8, steps=(1, 2, 4), sharpness=sharpness, eye_m=height_m / 2
        )

    def walls(building_m, canopy_m):
        found = shading_factors(
            building_m, canopy_m, 2.0, every_h=4.0, steps=(1, 2, 4), sharpness=sharpness, **SHANGHAI
        )
        return found.cooling, found.heating

    def quick_walls(building_m, canopy_m, leaf_on):
        found = shading_factors(
            building_m, canopy_m, 2.0, every_h=4.0, quick=True, counts=canopy.detach() > 2,
            latitude_deg=50.0, passes=(leaf_on, 0.6),
        )  # fmt: skip
        return found.cooling, found.heating

    inputs = height.requires_grad_(), canopy.requires_grad_()
    passes = torch.tensor(0.2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(quick_walls, (*inputs, passes), eps=1e-6, atol=1e-5)
    assert torch.autograd.gradcheck(sky, inputs[:1], eps=1e-6, atol=1e-5)
    assert torch.autograd.gradcheck(walls, inputs, eps=1e-6, atol=1e-5)


def test_maximum_with_and_without_a_graph_agree():
    rng = torch.Generator().manual_seed(4)
    height = 30 * torch.rand(2, 20, 20, generator=rng)
    followed = sky_view_factor(height.clone().requires_grad_(), 2.0)
    assert torch.allclose(followed.detach(), sky_view_factor(height, 2.0), atol=1e-6)


def test_settings_out_of_range_are_refused(block):
    with pytest.raises(SettingsError, match="3 directions of sky"):
        sky_view_factor(block, 2.0, directions=3)
    with pytest.raises(SettingsError, match="the sun at -2 degrees"):
        sunlit(block, 2.0, azimuth_deg=0.0, altitude_deg=-2.0)
    with pytest.raises(SettingsError, match="latitude 95"):
        shading_factors(block, block, 2.0, latitude_deg=95.0, passes=(0.2, 0.6))
