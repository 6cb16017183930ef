"""Floor area away from outer walls, against polygons cut back by the depth of a lit zone."""

import pytest
import shapely
import torch
from rasterio.features import rasterize
from shapely.affinity import rotate

from fabricgen.form.daylight import PASSIVE_M, core_share
from fabricgen.layout import Layout
from fabricgen.surfaces import BUILDING, GRASS

SIDE = 160  # pixels of 0.5 m


def layout_of(shapes: list[tuple[shapely.Polygon, float]]) -> Layout:
    """Buildings of some heights [m] on a lawn of 80 m."""
    built, height_m = torch.zeros(SIDE, SIDE), torch.zeros(SIDE, SIDE)
    for shape, height in shapes:
        mask = rasterize([shape], (SIDE, SIDE), transform=(0.5, 0, 0, 0, 0.5, 0))
        built = torch.maximum(built, torch.from_numpy(mask).float())
        height_m = torch.where(torch.from_numpy(mask) > 0, height, height_m)
    cover = torch.zeros(1, 8, SIDE, SIDE)
    cover[0, BUILDING], cover[0, GRASS] = built, 1 - built
    anything = torch.full((1, SIDE, SIDE), 255, dtype=torch.uint8)
    known = torch.ones(1, SIDE, SIDE, dtype=torch.bool)
    return Layout(cover, height_m[None], anything, known, 0.5)


EVERYWHERE = torch.ones(1, SIDE, SIDE, dtype=torch.bool)


@pytest.mark.parametrize("turn_deg", [0.0, 30.0])
@pytest.mark.parametrize(
    "shape",
    [
        shapely.box(10, 10, 22, 60),  # as deep as two lit zones
        shapely.box(20, 20, 60, 60),
        shapely.box(10, 15, 70, 35),
        shapely.box(10, 10, 66, 66).difference(shapely.box(30, 30, 46, 46)),
    ],
)
def test_the_core_is_what_is_left_of_a_building_cut_back_from_its_walls(shape, turn_deg):
    turned = rotate(shape, turn_deg)
    expected = turned.buffer(-PASSIVE_M).area / turned.area
    got = float(core_share(layout_of([(turned, 12.0)]), EVERYWHERE))
    assert got == pytest.approx(expected, abs=0.03)


def test_houses_wall_to_wall_are_one_body():
    left, right = shapely.box(20, 20, 32, 50), shapely.box(32, 20, 44, 50)
    expected = shapely.union(left, right).buffer(-PASSIVE_M).area / (24 * 30)
    assert float(core_share(layout_of([(left, 12.0), (right, 12.0)]), EVERYWHERE)) == (
        pytest.approx(expected, abs=0.03)
    )


def test_a_high_building_counts_by_its_floors():
    deep, slender = shapely.box(5, 5, 35, 35), shapely.box(50, 5, 60, 75)
    low, high = (
        float(core_share(layout_of([(deep, height), (slender, 12.0)]), EVERYWHERE))
        for height in (3.0, 30.0)
    )
    core_m2 = 18**2
    assert low == pytest.approx(core_m2 / (900 + 4 * 700), abs=0.02)
    assert high == pytest.approx(10 * core_m2 / (9000 + 4 * 700), abs=0.02)


def test_nothing_built_is_not_dark_and_the_share_has_a_gradient():
    assert float(core_share(layout_of([]), EVERYWHERE)) == 0
    plain = layout_of([(shapely.box(20, 20, 60, 60), 12.0)])
    cover = plain.cover.requires_grad_()
    soft = Layout(cover, plain.height_m, plain.allowed, plain.height_known, plain.pixel_m)
    core_share(soft, EVERYWHERE).sum().backward()
    assert torch.isfinite(cover.grad).all() and cover.grad.abs().sum() > 0
