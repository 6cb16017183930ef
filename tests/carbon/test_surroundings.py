import pytest
import torch

from fabricgen.carbon import evaluate
from fabricgen.carbon.measures import Exposure
from fabricgen.carbon.place import Reader
from fabricgen.carbon.regions import region_names
from fabricgen.carbon.site import make_site
from fabricgen.carbon.surroundings import Sunlight, sky_over_ground, with_surroundings
from fabricgen.errors import SettingsError
from fabricgen.surfaces import BUILDING, GRASS, TREE


def site_of(layout, inside=None):
    return make_site(layout, context=None, inside=inside, usual_height_m=9.0)[0]


@pytest.fixture
def court(hard):
    """Two slabs along the rows, 20 m apart, with a row of trees between."""
    labels = torch.full((1, 64, 64), GRASS)
    labels[:, 20:26, 12:52] = BUILDING
    labels[:, 36:42, 12:52] = BUILDING
    labels[:, 30:32, 12:52] = TREE
    return hard(labels)


@pytest.mark.parametrize("quick", [False, True], ids=["careful", "quick"])
def test_slabs_shade_each_other_most_in_winter(court, place, quick):
    found = with_surroundings(site_of(court), place("cn-sh"), Sunlight(quick=quick))
    summer, winter = found.exposure.summer_sun_share, found.exposure.winter_sun_share
    assert 0.2 < float(winter) < float(summer) < 1
    assert found.sky_view.shape == (1, 64, 64)
    assert float(found.sky_view[0, 30, 30]) < 0.8 < float(found.sky_view[0, 2, 2])


def test_quick_is_near_careful_and_to_the_bright_side(court, place):
    careful, quick = (
        with_surroundings(site_of(court), place("cn-sh"), Sunlight(quick=quick))
        for quick in (False, True)
    )
    for name in ("summer_sun_share", "winter_sun_share"):
        gap = float(getattr(quick.exposure, name) - getattr(careful.exposure, name))
        assert -0.02 < gap < 0.12
    assert float((quick.sky_view - careful.sky_view).abs().mean()) < 0.05


def test_odd_images_are_halved_too(hard, place):
    labels = torch.full((2, 33, 35), GRASS)
    labels[:, 10:20, 10:20] = BUILDING
    found = with_surroundings(site_of(hard(labels)), place("fi"), Sunlight(quick=True))
    assert found.sky_view.shape == (2, 33, 35)


def test_what_lies_outside_the_site_shades_and_is_not_scored(court, place):
    north = torch.zeros(1, 64, 64, dtype=torch.bool)
    north[:, :30] = True
    whole = with_surroundings(site_of(court), place("cn-sh"), Sunlight())
    half = with_surroundings(site_of(court, north), place("cn-sh"), Sunlight())
    # The northern slab stands in the shade of the southern one, which is free.
    assert float(half.exposure.winter_sun_share) < float(whole.exposure.winter_sun_share)


def test_what_the_exposure_held_stays(court, place):
    from dataclasses import replace

    warmer = torch.tensor([0.3])
    site = replace(site_of(court), exposure=Exposure(warmer_k=warmer))
    assert with_surroundings(site, place("fi"), Sunlight(quick=True)).exposure.warmer_k is warmer


def test_every_region_has_a_latitude_on_its_half_of_the_earth(place):
    for name in region_names():
        latitude = float(Reader(place(name))("latitude")[0])
        south = name.split("-")[0] in ("au", "nz", "br")
        assert -45 < latitude < 62 and (latitude < 0) == south


def test_a_latitude_may_be_given(court, place):
    north, south = (
        with_surroundings(site_of(court), place("fi"), Sunlight(at, quick=True)).exposure
        for at in (60.0, -35.0)
    )
    assert float(north.winter_sun_share) < float(south.winter_sun_share)
    with pytest.raises(SettingsError, match="latitude 100"):
        with_surroundings(site_of(court), place("fi"), Sunlight(100.0))


def test_people_see_less_sky_under_trees_and_all_of_it_in_the_open(court, hard, place):
    view = sky_over_ground(site_of(court), place("fi"))
    assert float(view[0, 30, 30]) < float(view[0, 28, 30]) < 1
    flat = sky_over_ground(site_of(hard(torch.full((1, 16, 16), GRASS))), place("fi"))
    assert float((1 - flat).abs().max()) < 1e-6


def test_gradients_of_the_quick_reading_hold(soft, place):
    layout = soft(6, shape=(1, 6, 6))

    def shares(cover, height_m):
        from fabricgen.layout import Layout

        made = Layout(cover, height_m, layout.allowed, layout.height_known)
        found = with_surroundings(site_of(made), place("fi"), Sunlight(quick=True))
        return found.exposure.summer_sun_share, found.exposure.winter_sun_share, found.sky_view

    inputs = layout.cover.requires_grad_(), layout.height_m.requires_grad_()
    assert torch.autograd.gradcheck(
        shares, inputs, eps=1e-7, atol=1e-5, check_undefined_grad=False, fast_mode=True
    )


def test_sun_and_sky_reach_the_ledger(court):
    dark = evaluate(court, region="cn-sh")
    lit = evaluate(court, region="cn-sh", sunlight=Sunlight())
    assert any("shade on walls" in line for line in dark.not_assessed)
    assert not any("shade on walls" in line for line in lit.not_assessed)
    grown = [
        next(float(e.amount) for e in ledger.entries if e.name == "veg.tree.growth")
        for ledger in (dark, lit)
    ]
    assert grown[1] < grown[0]
    assert float(lit.emission_kgco2e_per_year) != float(dark.emission_kgco2e_per_year)
