"""Party walls out of heights, and that houses never overlap."""

import numpy as np
import pytest
import shapely
import torch

from fabricgen.layout import Frame
from fabricgen.plan import paint
from fabricgen.surfaces import BARE, BIT, BUILDING
from fabricgen.vectorize.houses import disjoint, trace_houses
from fabricgen.vectorize.party import House

FRAME = Frame("EPSG:32635", 385_000.0, 6_672_000.0, 0.0, 2.0, 64, 64)
SITE = shapely.box(0, 0, 128, 128)


def layout_of(houses):
    """A layout of houses (polygon in (u, v), height) on bare ground."""
    shapes = [(SITE, BIT[BARE], float("nan"))]
    shapes += [(shape, BIT[BUILDING], height) for shape, height in houses]
    turned = [
        (shapely.transform(s, lambda uv: uv * (1, -1) + (FRAME.x_m, FRAME.y_m)), b, h)
        for s, b, h in shapes
    ]
    return paint(turned, FRAME, ground=0)


def row_of(angle_deg, heights, front_m=13.3):
    fronts = [shapely.box(20 + k * front_m, 50, 20 + (k + 1) * front_m, 62.5) for k in range(6)]
    turned = [shapely.affinity.rotate(front, angle_deg, origin=(60, 56)) for front in fronts]
    return list(zip(turned, heights, strict=False))


@pytest.mark.parametrize("angle_deg", [0, 12, 33])
def test_houses_of_different_height_share_their_party_walls(angle_deg):
    real = row_of(angle_deg, [9.0, 12.0, 9.0, 15.0, 6.0, 12.0])
    found = trace_houses(layout_of(real), SITE)
    shapes = np.array([house.shape for house in found], dtype=object)
    assert len(found) == 6
    assert shapely.coverage_is_valid(shapes)
    for shape, height_m in real:
        best = max(found, key=lambda house: house.shape.intersection(shape).area)
        assert best.height_m == pytest.approx(height_m, abs=0.1)
        assert best.shape.area == pytest.approx(shape.area, rel=0.04)


def test_houses_of_one_height_stay_one_mass():
    (house,) = trace_houses(layout_of(row_of(12, [9.0] * 6)), SITE)
    assert house.height_m == pytest.approx(9.0)


def test_houses_without_a_height_say_so():
    found = trace_houses(layout_of(row_of(12, [float("nan")] * 3 + [9.0] * 3)), SITE)
    assert sorted(np.isnan(house.height_m) for house in found) == [False, True]


def test_footprints_are_clipped_to_the_site():
    found = trace_houses(layout_of(row_of(0, [9.0] * 6)), shapely.box(0, 0, 60, 128))
    assert shapely.total_bounds([house.shape for house in found])[2] <= 60


def test_of_two_that_overlap_the_larger_keeps_the_ground():
    large, small = shapely.box(0, 0, 10, 10), shapely.box(8, 2, 14, 6)
    found = disjoint([House(small, 3.0), House(large, 6.0)])
    areas = {house.height_m: house.shape.area for house in found}
    assert areas == {6.0: pytest.approx(100), 3.0: pytest.approx(16)}
    assert shapely.coverage_is_valid(np.array([house.shape for house in found], dtype=object))


def test_tracing_does_not_change_the_layout():
    layout = layout_of(row_of(5, [9.0] * 6))
    before = layout.cover.clone()
    trace_houses(layout, SITE)
    assert torch.equal(before, layout.cover)
