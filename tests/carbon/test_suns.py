"""Items of a batch that lie in different places: each as if it were alone."""

import pytest
import torch

from fabricgen.carbon import evaluate
from fabricgen.carbon.surroundings import Sunlight
from fabricgen.carbon.walls import shading_factors
from fabricgen.errors import SettingsError
from fabricgen.surfaces import BUILDING, GRASS, TREE

SUNS = [Sunlight(60.0, 0.0), Sunlight(31.0, 20.0), Sunlight(60.0, 0.0), Sunlight(-34.0, 45.0)]


@pytest.fixture
def four(hard):
    labels = torch.full((4, 30, 34), GRASS)
    for item in range(4):
        labels[item, 4 : 8 + item, 5:25] = BUILDING
        labels[item, 15:20, 5 : 9 + item] = TREE
        labels[item, 22:26, 5:25] = BUILDING
    return hard(labels)


@pytest.mark.parametrize("quick", [False, True])
def test_each_item_is_counted_as_if_it_were_alone(four, quick):
    suns = [Sunlight(sun.latitude_deg, sun.north_deg, quick) for sun in SUNS]
    together = evaluate(four, region="fi", sunlight=suns).net_kgco2e_per_year
    for item, sun in enumerate(suns):
        one = type(four)(
            *(
                getattr(four, name)[item : item + 1]
                for name in ("cover", "height_m", "allowed", "height_known")
            ),
            four.pixel_m,
        )
        alone = evaluate(one, region="fi", sunlight=sun).net_kgco2e_per_year
        assert float(together[item]) == pytest.approx(float(alone), rel=1e-6)
    apart = evaluate(four, region="fi", sunlight=suns[3]).net_kgco2e_per_year
    assert float(apart[0]) != pytest.approx(float(together[0]), rel=1e-5)


def test_as_many_suns_as_items_are_asked_for(four):
    with pytest.raises(SettingsError, match="2 suns for 4 layouts"):
        evaluate(four, region="fi", sunlight=SUNS[:2])


def test_each_item_has_the_gradient_that_it_has_alone(four):
    rng = torch.Generator().manual_seed(5)  # no two roofs alike, or the largest would have ties
    start_m = 9 + 6 * torch.rand(four.height_m.shape, generator=rng, dtype=torch.float64)

    def slope(items, suns):
        height_m = start_m[items].clone().requires_grad_()
        known = four.height_known[items]
        layout = type(four)(
            four.cover[items].double(), height_m * known, four.allowed[items], known, 2.0
        )
        net = evaluate(layout, region="fi", sunlight=suns).net_kgco2e_per_year
        return torch.autograd.grad(net.sum(), height_m)[0]

    suns = [Sunlight(one.latitude_deg, one.north_deg, quick=True) for one in SUNS]
    together = slope(slice(0, 4), suns)
    for item, sun in enumerate(suns):
        alone = slope(slice(item, item + 1), sun)
        assert alone.abs().max() > 0
        assert torch.allclose(together[item : item + 1], alone, rtol=1e-9, atol=1e-9)


def test_a_sun_in_the_zenith_lights_no_wall(four):
    building = four.height_m
    found = shading_factors(
        building, torch.zeros_like(building), 2.0, latitude_deg=0.0, passes=(0.2, 0.6), every_h=6.0
    )
    assert ((found.cooling >= 0) & (found.cooling <= 1)).all()
