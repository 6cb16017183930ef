"""The five groups of green-space measures: by hand, soft against hard, and their gradients."""

import math

import pytest
import torch

from fabricgen.form.green_groups import GROUPS, green_cover, green_patches, green_space
from fabricgen.form.indicators import of_layout
from fabricgen.layout import Layout
from fabricgen.surfaces import BUILDING, GRASS, PAVED, SHRUB, TREE, WATER

LEAVES = {"tree": 3.0, "shrub": 3.5, "grass": 2.0}


def everywhere(layout: Layout) -> torch.Tensor:
    return torch.ones_like(layout.height_m, dtype=torch.bool)


def two_lawns() -> torch.Tensor:
    """Two lawns of 40 m and 20 m on a paved tile of 200 m, 40 m from edge to edge."""
    surfaces = torch.full((100, 100), PAVED)
    surfaces[10:30, 10:30] = GRASS
    surfaces[10:20, 50:60] = GRASS
    return surfaces


def test_every_measure_is_there_once_in_the_order_of_the_groups(hard):
    layout = hard(two_lawns())
    inside = everywhere(layout)
    every = [key for keys in GROUPS.values() for key in keys]
    people = {"residents": torch.tensor([50.0]), "leaf_area_index": LEAVES}
    assert list(green_space(layout, inside, **people)) == every
    fewer = [key for key in every if key not in ("green_m2_per_person", "green_plot_ratio")]
    assert list(green_space(layout, inside)) == fewer


def test_two_lawns_by_hand(hard):
    layout = hard(two_lawns())
    inside = everywhere(layout)
    got = {
        key: float(value)
        for key, value in green_space(layout, inside, residents=torch.tensor([50.0])).items()
    }
    assert got["green_ratio"] == pytest.approx(2000 / 40000)
    assert got["green_m2_per_person"] == pytest.approx(40)
    assert got["largest_patch_share"] == pytest.approx(1600 / 40000)
    assert got["mean_patch_m2"] == pytest.approx(1000)
    assert got["patches_per_km2"] == pytest.approx(2 / 0.04)
    assert got["patch_edge_m_per_ha"] == pytest.approx(240 / 4)
    assert got["nearest_patch_m"] == pytest.approx(42)  # between cell centers
    assert (got["connected_50m_share"], got["connected_100m_share"]) == (1, 1)
    assert got["mean_shape_index"] == pytest.approx(1)
    assert got["mean_fractal_dimension"] == pytest.approx(1)
    assert got["perimeter_area_ratio_per_m"] == pytest.approx((160 / 1600 + 80 / 400) / 2)
    assert got["grass_of_green_share"] == 1 and got["canopy_ratio"] == 0
    assert math.isnan(got["within_300m_of_green_share"])  # nobody lives here


def test_soft_outlines_agree_with_the_counted_ones_where_edges_are_straight(hard):
    layout = hard(two_lawns())
    inside = everywhere(layout)
    soft = float(green_cover(layout, inside)["green_edge_m_per_ha"])
    counted = float(green_patches(layout, inside)["patch_edge_m_per_ha"])
    assert soft == pytest.approx(counted, rel=0.08)


def test_the_edge_of_the_site_is_no_edge_of_its_green(hard):
    layout = hard(torch.full((40, 40), GRASS))
    inside = everywhere(layout)
    inside[:, :, :20] = False
    layout.cover[:, :, :, :20] = 0
    layout.cover[:, PAVED, :, :20] = 1
    assert float(green_cover(layout, inside)["green_edge_m_per_ha"]) == pytest.approx(0, abs=1e-3)
    assert float(green_patches(layout, inside)["patch_edge_m_per_ha"]) == 0


def test_lone_pixels_are_scattered_and_a_lawn_is_a_clump(hard):
    scattered = torch.full((99, 99), PAVED)
    scattered[1::3, 1::3] = GRASS
    lawn = torch.full((99, 99), PAVED)
    lawn[20:80, 20:80] = GRASS
    lone, clump = (
        {k: float(v) for k, v in green_space(hard(s), everywhere(hard(s))).items()}
        for s in (scattered, lawn)
    )
    assert lone["green_clumping_share"] == pytest.approx(0, abs=0.01)
    assert lone["aggregation_share"] == pytest.approx(0)
    assert clump["green_clumping_share"] > 0.95 and clump["aggregation_share"] > 0.95
    assert lone["cohesion_share"] < 0.1 < 0.9 < clump["cohesion_share"]


def test_a_site_without_green_has_none_and_no_neighbors(hard):
    layout = hard(torch.full((10, 10), PAVED))
    got = {k: float(v) for k, v in green_space(layout, everywhere(layout)).items()}
    for key in ("green_ratio", "largest_patch_share", "patches_per_km2", "tree_of_green_share"):
        assert got[key] == 0
    assert math.isnan(got["nearest_patch_m"]) and math.isnan(got["mean_patch_m2"])
    nobody = green_space(layout, everywhere(layout), residents=torch.zeros(1))
    assert math.isnan(float(nobody["green_m2_per_person"]))


def test_paths_are_measured_along_and_their_shade_across(hard):
    surfaces = torch.full((100, 100), GRASS)
    surfaces[49:51] = PAVED  # a path of 4 m, 200 m long, on 4 ha
    layout = hard(surfaces)
    got = green_cover(layout, everywhere(layout))
    assert float(got["path_m_per_ha"]) == pytest.approx(200 / 4, rel=0.06)
    assert float(got["shaded_path_share"]) == 0
    assert float(got["hard_in_green_share"]) > 0.015
    surfaces[49:51, ::2] = TREE
    planted = hard(surfaces)
    assert 0.1 < float(green_cover(planted, everywhere(planted))["shaded_path_share"]) < 0.9


def test_who_lives_beyond_a_walk_or_behind_water_is_not_served(hard):
    surfaces = torch.full((50, 300), PAVED)  # 100 m by 600 m
    surfaces[:, :26] = GRASS  # 5 200 m2
    surfaces[20:30, 40:50] = BUILDING  # 28 m away
    surfaces[20:30, 280:290] = BUILDING  # 508 m away
    near_and_far = hard(surfaces)
    served = green_patches(near_and_far, everywhere(near_and_far))["within_300m_of_green_share"]
    assert float(served) == pytest.approx(0.5)
    surfaces[:, 30] = WATER
    cut_off = hard(surfaces)
    assert float(green_patches(cut_off, everywhere(cut_off))["within_300m_of_green_share"]) == 0
    small = torch.where(surfaces == GRASS, PAVED, surfaces)
    small[:, :20] = GRASS  # 4 000 m2 is no park
    tiny = hard(small)
    assert float(green_patches(tiny, everywhere(tiny))["within_300m_of_green_share"]) == 0


def test_a_park_across_the_street_serves_and_counts_for_nothing_else(hard):
    surfaces = torch.full((60, 120), PAVED)
    surfaces[:, :60] = SHRUB
    surfaces[20:40, 80:100] = BUILDING
    layout = hard(surfaces)
    inside = everywhere(layout)
    inside[:, :, :70] = False
    got = green_space(layout, inside)
    assert float(got["within_300m_of_green_share"]) == 1
    assert float(got["green_ratio"]) == float(got["largest_patch_share"]) == 0


def test_soft_measures_have_true_gradients(soft):
    layout = soft(shape=(1, 5, 4))
    inside = everywhere(layout)
    inside[0, 0, :2] = False

    def value(cover):
        made = Layout(cover, layout.height_m, layout.allowed, inside)
        return torch.stack(list(green_cover(made, inside).values()))

    assert torch.autograd.gradcheck(value, (layout.cover.clone().requires_grad_(),))


def test_ratios_are_those_of_the_brief_and_shares_stay_in_range(soft):
    layout = soft(3, shape=(2, 30, 30))
    inside = everywhere(layout)
    got, brief = green_space(layout, inside), of_layout(layout, inside)
    torch.testing.assert_close(got["green_ratio"], brief["green_ratio"])
    torch.testing.assert_close(got["canopy_ratio"], brief["tree_share"])
    for key, value in got.items():
        if key.endswith(("_share", "_ratio")):
            known = value[~value.isnan()]
            assert bool(((known >= 0) & (known <= 1)).all()), key
    kinds = [got[f"{kind}_of_green_share"] for kind in ("tree", "shrub", "grass")]
    torch.testing.assert_close(sum(kinds), torch.ones_like(kinds[0]))
