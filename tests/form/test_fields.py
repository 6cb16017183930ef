import pytest
import torch

from fabricgen.form.fields import (
    crofton,
    gaussian_blur,
    ground_cover,
    hidden_outline_m,
    variation,
    wall_area_m2,
)
from fabricgen.surfaces import BUILDING, GRASS, PAVED, ROAD, TREE


def block(size=20, grid=64, height=18.0):
    field = torch.zeros(1, grid, grid, dtype=torch.float64)
    start = (grid - size) // 2
    field[0, start : start + size, start : start + size] = height
    return field


def test_walls_of_a_square_block_are_within_three_percent():
    assert float(wall_area_m2(block(), 2.0).sum()) == pytest.approx(2798, rel=2e-3)
    assert float(wall_area_m2(block(), 2.0).sum()) == pytest.approx(2880, rel=0.03)


def test_a_party_wall_does_not_count_and_a_step_counts_its_difference():
    two = torch.zeros(1, 64, 64, dtype=torch.float64)
    two[0, 20:40, 10:30] = 18
    two[0, 20:40, 30:50] = 18
    assert float(wall_area_m2(two, 2.0).sum()) == pytest.approx(4218, rel=2e-3)
    two[0, 20:40, 30:50] = 12
    assert float(wall_area_m2(two, 2.0).sum()) < 4218


@pytest.mark.parametrize("angle_deg", [0, 10, 22.5, 33, 45])
def test_walls_hardly_depend_on_the_angle(angle_deg):
    at = (torch.arange(200, dtype=torch.float64) - 99.5) * 2
    y, x = torch.meshgrid(at, at, indexing="ij")
    turn = torch.deg2rad(torch.tensor(float(angle_deg), dtype=torch.float64))
    u, v = x * torch.cos(turn) + y * torch.sin(turn), y * torch.cos(turn) - x * torch.sin(turn)
    field = 18.0 * ((u.abs() < 120) & (v.abs() < 120)).double()[None]
    assert float(wall_area_m2(field, 2.0).sum()) == pytest.approx(4 * 240 * 18, rel=0.08)


def test_edge_length_of_a_share_is_in_meters():
    assert float(crofton(block(height=1.0), 2.0, smooth=0.0).sum()) == pytest.approx(160, rel=0.08)


def test_doubling_heights_doubles_walls():
    once, twice = wall_area_m2(block(), 2.0).sum(), wall_area_m2(block(height=36.0), 2.0).sum()
    assert float(twice) == pytest.approx(2 * float(once), rel=2e-3)


def test_blur_conserves_away_from_edges_and_equals_the_gaussian():
    spot = torch.zeros(1, 1, 33, 31, dtype=torch.float64)
    spot[0, 0, 16, 15] = 1
    smooth = gaussian_blur(spot, 2.0)
    assert float(smooth.sum()) == pytest.approx(1, abs=1e-6)
    ratio = smooth[0, 0, 16, 17] / smooth[0, 0, 16, 15]
    assert float(ratio) == pytest.approx(float(torch.exp(torch.tensor(-0.5))), rel=1e-6)


def test_ground_under_crowns_keeps_the_sum_of_shares(soft):
    cover = soft().cover
    ground = ground_cover(cover, 2.0)
    assert torch.allclose(ground.sum(dim=1), torch.ones_like(ground[:, 0]))
    assert bool((ground >= 0).all())
    assert torch.equal(ground[:, BUILDING], cover[:, BUILDING])


def test_a_street_tree_hides_road_and_a_wood_stands_on_its_own_floor():
    labels = torch.full((1, 41, 41), ROAD)
    labels[0, 20, 20] = TREE
    cover = torch.nn.functional.one_hot(labels, 8).movedim(-1, 1).double()
    assert float(ground_cover(cover, 2.0)[0, ROAD, 20, 20]) > 0.9
    wood = torch.zeros(1, 8, 41, 41, dtype=torch.float64)
    wood[:, TREE] = 1
    assert torch.equal(ground_cover(wood, 2.0), wood)


def test_the_ground_under_a_crown_follows_its_surroundings():
    labels = torch.full((1, 21, 42), GRASS)
    labels[0, :, 21:] = PAVED
    labels[0, 10, 3] = labels[0, 10, 38] = TREE
    ground = ground_cover(torch.nn.functional.one_hot(labels, 8).movedim(-1, 1).double(), 2.0)
    assert float(ground[0, GRASS, 10, 3]) > 0.9 and float(ground[0, PAVED, 10, 38]) > 0.9


def test_the_variation_is_the_sum_of_its_map():
    rng = torch.Generator().manual_seed(0)
    field = torch.rand(3, 9, 7, generator=rng, dtype=torch.float64)
    inside = torch.rand(3, 9, 7, generator=rng) < 0.8
    for mask in (None, inside):
        mapped = crofton(field, 2.0, inside=mask).sum(dim=(1, 2))
        assert torch.allclose(variation(field, 2.0, inside=mask), mapped, rtol=1e-12)


@pytest.mark.parametrize("shared", [False, True], ids=["both_inside", "shared"])
def test_the_variation_is_the_sum_of_its_map_and_has_its_gradient(shared):
    rng = torch.Generator().manual_seed(1)
    field = 9 * torch.rand(2, 6, 7, generator=rng, dtype=torch.float64)
    inside = torch.rand(2, 6, 7, generator=rng) > 0.3
    mapped = crofton(field, 2.0) * inside if shared else crofton(field, 2.0, inside=inside)
    found = variation(field, 2.0, inside=inside, shared=shared)
    assert torch.allclose(found, mapped.sum(dim=(1, 2)))
    assert torch.autograd.gradcheck(
        lambda x: variation(x, 2.0, inside=inside, shared=shared), (field.requires_grad_(),)
    )


def test_the_ground_has_the_gradient_of_its_shares(soft):
    assert torch.autograd.gradcheck(
        lambda x: ground_cover(x, 2.0), (soft().cover.requires_grad_(),)
    )


def test_hard_shares_hide_no_outline_and_neither_do_straight_soft_edges():
    rng = torch.Generator().manual_seed(5)
    hard = (torch.rand(2, 12, 13, generator=rng) > 0.5).double()
    assert float(hidden_outline_m(hard, 2.0).abs().max()) == 0
    edge = torch.linspace(-3, 3, 14, dtype=torch.float64).clamp(0, 1).expand(1, 12, 14)
    assert float(hidden_outline_m(edge, 2.0).abs().max()) == 0


@pytest.mark.parametrize("gap_m", [0.5, 1.0, 1.5])
def test_a_gap_narrower_than_a_pixel_has_most_of_its_two_edges(gap_m):
    share = torch.ones(1, 40, 21, dtype=torch.float64)
    share[:, :, 10] = 1 - gap_m / 2
    whole = torch.ones_like(share)
    whole[:, :, 10] = 0
    wanted = float(variation(whole, 2.0, smooth=0.0))
    seen = float(variation(share, 2.0, smooth=0.0))
    found = seen + float(hidden_outline_m(share, 2.0).sum())
    assert seen == pytest.approx(gap_m / 2 * wanted)  # so little of it
    # Lines along diagonals end at the image's edge, where no dip can be told.
    dip = gap_m / 2
    assert found == pytest.approx((dip + 0.75 * dip * (1 - dip)) * wanted, rel=0.02)


def test_the_hidden_outline_has_the_gradient_of_its_map():
    rng = torch.Generator().manual_seed(6)
    share = torch.rand(2, 6, 7, generator=rng, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: hidden_outline_m(x, 2.0), (share,))
