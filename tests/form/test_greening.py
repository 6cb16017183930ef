"""Green indicators: by hand, by their laws, and with true gradients."""

import pytest
import torch

from fabricgen import form
from fabricgen.carbon.factors import factor
from fabricgen.errors import SettingsError
from fabricgen.form.greening import (
    LEAF_AREA_FACTORS,
    UGF_FACTORS,
    city_cq,
    green_plot_ratio,
    mixed_planting,
    open_sky,
    runoff_coefficient,
    urban_greening_factor,
)
from fabricgen.layout import Layout
from fabricgen.surfaces import BARE, BUILDING, GRASS, PAVED, ROAD, SHRUB, SURFACES, TREE, WATER

LEAVES = {"tree": 3.0, "shrub": 3.5, "grass": 2.0}
RUNOFF = dict(zip(SURFACES, (0.9, 0.85, 0.8, 1.0, 0.1, 0.12, 0.15, 0.4), strict=True))


@pytest.fixture
def quarters(hard):
    """A tile in four equal columns: building, road, grass, tree, and its middle rows as site."""
    surfaces = torch.tensor([BUILDING, ROAD, GRASS, TREE]).repeat_interleave(10).repeat(40, 1)
    inside = torch.zeros(1, 40, 40, dtype=torch.bool)
    inside[:, 10:30] = True
    return hard(surfaces), inside


def everywhere(layout: Layout) -> torch.Tensor:
    return torch.ones_like(layout.height_m, dtype=torch.bool)


def none(layout: Layout) -> dict[str, torch.Tensor]:
    zero = torch.zeros(len(layout.cover))
    return {"sink_kgco2e_per_year": zero, "mortality_kgco2e_per_year": zero}


def test_the_five_of_the_city_carbon_quotient_by_hand(quarters):
    layout, inside = quarters
    site_m2 = 20 * 40 * 4
    five = city_cq(
        layout,
        inside,
        sink_kgco2e_per_year=torch.tensor([1600.0]),
        mortality_kgco2e_per_year=torch.tensor([320.0]),
    )
    assert float(five["tree_cover_share"]) == pytest.approx(0.25)
    assert float(five["shrub_cover_share"]) == float(five["mixed_planting_share"]) == 0
    assert float(five["ecological_space_share"]) == pytest.approx(0.5)
    assert float(five["net_sink_kgco2e_per_m2_year"]) == pytest.approx(1280 / site_m2)
    assert float(five["sink_kgco2e_per_m2_year"]) == pytest.approx(1600 / site_m2)
    assert float(five["mortality_kgco2e_per_m2_year"]) == pytest.approx(320 / site_m2)


def test_water_is_ecological_space_and_bare_ground_is_not(hard):
    layout = hard(torch.tensor([[WATER, BARE, SHRUB, PAVED]]))
    five = city_cq(layout, everywhere(layout), **none(layout))
    assert float(five["ecological_space_share"]) == pytest.approx(0.5)


def test_canopy_of_thirty_percent_of_a_tile_is_19_700_m2(hard):
    surfaces = torch.full((128, 128), GRASS).flatten()
    surfaces[: round(0.3 * 128 * 128)] = TREE
    layout = hard(surfaces.reshape(128, 128))
    share = city_cq(layout, everywhere(layout), **none(layout))["tree_cover_share"]
    assert float(share) * 256**2 == pytest.approx(19_700, rel=0.005)


def test_an_even_mixture_of_trees_and_shrubs_counts_wholly_whatever_the_site(soft):
    layout = soft()
    cover = torch.zeros_like(layout.cover)
    cover[:, TREE] = cover[:, SHRUB] = 0.5
    inside = torch.rand(layout.height_m.shape, generator=torch.Generator().manual_seed(1)) > 0.4
    mixed = mixed_planting(Layout(cover, layout.height_m, layout.allowed, inside), inside)
    torch.testing.assert_close(mixed, torch.ones_like(mixed))


def test_a_checkerboard_is_mixed_and_two_halves_are_not(hard):
    rows, cols = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    board = hard(torch.where((rows + cols) % 2 == 0, TREE, SHRUB))
    halves = hard(torch.where(cols < 32, TREE, SHRUB))
    assert float(mixed_planting(board, everywhere(board))) > 0.99
    assert float(mixed_planting(halves, everywhere(halves))) < 0.1


@pytest.mark.parametrize("seed", range(3))
def test_mixed_planting_is_at_most_twice_the_smaller_cover(soft, seed):
    layout = soft(seed, shape=(2, 40, 40))
    five = city_cq(layout, everywhere(layout), **none(layout))
    smaller = torch.minimum(five["tree_cover_share"], five["shrub_cover_share"])
    assert bool((five["mixed_planting_share"] <= 2 * smaller + 0.01).all())


def test_greening_factor_and_plot_ratio_by_hand(quarters):
    layout, inside = quarters
    weights = {name: factor(row).value for name, row in UGF_FACTORS.items()}
    assert float(urban_greening_factor(layout, inside, weights=weights)) == pytest.approx(
        0.25 * 0.6 + 0.25 * 0.4
    )
    leaves = {name: factor(row).value for name, row in LEAF_AREA_FACTORS.items()}
    assert float(green_plot_ratio(layout, inside, leaf_area_index=leaves)) == pytest.approx(
        0.25 * 3 + 0.25 * 2
    )


def test_a_sealed_site_has_no_greening_and_a_wood_of_weight_one_is_all_green(hard):
    sealed, wood = hard(torch.full((4, 4), PAVED)), hard(torch.full((4, 4), TREE))
    weights = {"tree": 1.0, "grass": 0.4}
    assert float(urban_greening_factor(sealed, everywhere(sealed), weights=weights)) == 0
    assert float(urban_greening_factor(wood, everywhere(wood), weights=weights)) == pytest.approx(1)


def test_a_street_tree_does_not_unseal_its_street(hard):
    surfaces = torch.full((41, 41), ROAD)
    bare = hard(surfaces.clone())
    surfaces[::8, ::8] = TREE
    planted = hard(surfaces)
    inside = everywhere(bare)
    without = float(runoff_coefficient(bare, inside, coefficients=RUNOFF))
    with_trees = float(runoff_coefficient(planted, inside, coefficients=RUNOFF))
    assert without == pytest.approx(0.85)
    assert with_trees == pytest.approx(0.85, abs=0.01)


def test_runoff_of_the_whole_is_the_mean_of_its_surfaces_without_trees(hard):
    layout = hard(torch.tensor([[BUILDING, ROAD, GRASS, BARE]]))
    got = float(runoff_coefficient(layout, everywhere(layout), coefficients=RUNOFF))
    assert got == pytest.approx((0.9 + 0.85 + 0.15 + 0.4) / 4)


def test_sky_is_averaged_over_open_ground_and_over_streets(quarters):
    layout, inside = quarters
    sky = torch.zeros_like(layout.height_m)
    sky[..., 10:20], sky[..., 20:] = 0.4, 0.7  # road; grass and trees
    seen = open_sky(layout, inside, sky_view_share=sky)
    assert float(seen["sky_view_street_share"]) == pytest.approx(0.4)
    assert float(seen["sky_view_open_share"]) == pytest.approx((0.4 + 0.7 + 0.7) / 3)


def all_of(layout: Layout, inside: torch.Tensor) -> torch.Tensor:
    sink = layout.cover[:, TREE].sum(dim=(1, 2))
    five = city_cq(layout, inside, sink_kgco2e_per_year=sink, mortality_kgco2e_per_year=0.2 * sink)
    more = (
        urban_greening_factor(layout, inside, weights={"tree": 0.6, "grass": 0.4}),
        green_plot_ratio(layout, inside, leaf_area_index=LEAVES),
        runoff_coefficient(layout, inside, coefficients=RUNOFF),
        *open_sky(layout, inside, sky_view_share=0.3 + 0 * layout.height_m).values(),
    )
    return torch.stack([*five.values(), *more])


def test_every_gradient_is_the_true_one(soft):
    layout = soft(shape=(2, 5, 4))
    inside = everywhere(layout)
    inside[0, 0] = False

    def value(cover):
        return all_of(Layout(cover, layout.height_m, layout.allowed, inside), inside)

    assert torch.autograd.gradcheck(value, (layout.cover.clone().requires_grad_(),))


def test_a_batch_is_its_members_one_by_one(soft):
    layout = soft(4)
    inside = everywhere(layout)
    inside[1, :, :3] = False
    together = all_of(layout, inside)
    for n in range(2):
        parts = (layout.cover, layout.height_m, layout.allowed, layout.height_known)
        alone = Layout(*(part[n : n + 1] for part in parts))
        torch.testing.assert_close(all_of(alone, inside[n : n + 1]), together[:, n : n + 1])


def test_what_is_no_surface_or_lacks_one_is_told(quarters):
    with pytest.raises(SettingsError, match="no surface 'hedge'; one of building, road"):
        urban_greening_factor(*quarters, weights={"hedge": 0.6})
    with pytest.raises(SettingsError, match="none for paved, bare; give all eight"):
        fewer = {k: v for k, v in RUNOFF.items() if k not in ("paved", "bare")}
        runoff_coefficient(*quarters, coefficients=fewer)


def test_the_room_offers_its_functions_by_name():
    assert form.city_cq is city_cq
    assert all(callable(getattr(form, name)) for name in form.__all__)
    with pytest.raises(AttributeError, match="no attribute 'gray_space'"):
        _ = form.gray_space
