"""Indicators on rasters and on geometry are the same thing, and have a true gradient."""

from dataclasses import replace

import pytest
import shapely
import torch
from shapely.geometry import LineString, Point, box

from fabricgen.city.window import centred_frame
from fabricgen.form.indicators import (
    BRIEF_KEYS,
    asks_of,
    floors_of,
    of_layout,
    of_plan,
)
from fabricgen.layout import Layout
from fabricgen.plan import LAYERS, Plan, check_plan, layer, rasterize, site_mask

CRS = "EPSG:32635"
SITE = shapely.affinity.translate(box(0, 0, 120, 100), 385000, 6672000)


def here(shape):
    return shapely.affinity.translate(shape, 385000, 6672000)


ROWS = {
    "buildings": [
        {"id": "a", "height_m": 12.0, "floors": 4, "geometry": here(box(10.5, 60, 50, 80.5))},
        {"id": "b", "height_m": 24.0, "floors": 8, "geometry": here(box(70, 60.5, 110, 75))},
    ],
    "roads": [
        {"id": "r", "kind": "local", "width_m": 7, "geometry": here(LineString([(0, 45), (120, 45)]))},
        {"id": "f", "kind": "path", "width_m": 3, "geometry": here(LineString([(60, 50), (60, 90)]))},
    ],
    "paved": [{"id": "p", "kind": "yard", "geometry": here(box(70, 80, 100, 95))}],
    "water": [{"id": "w", "kind": "pond", "geometry": here(box(90, 5, 110, 20))}],
    "green": [
        {"id": "g", "kind": "grass", "geometry": here(box(5, 5, 40, 35))},
        {"id": "s", "kind": "shrub", "geometry": here(box(40, 5, 50, 35))},
        {"id": "c", "kind": "tree", "geometry": here(box(50, 5, 80, 35))},
    ],
    "trees": [
        {"id": "t", "crown_m": 8, "height_m": 9, "geometry": here(Point(20, 46))},  # over the road
        {"id": "u", "crown_m": 8, "height_m": 9, "geometry": here(Point(20, 20))},  # over the lawn
        {"id": "v", "crown_m": 8, "height_m": 9, "geometry": here(Point(85, 88))},  # over the yard
    ],
}  # fmt: skip


@pytest.fixture
def plan() -> Plan:
    return check_plan(Plan(SITE, CRS, **{name: layer(name, CRS, ROWS[name]) for name in LAYERS}))


@pytest.mark.parametrize("angle_deg", [0.0, 30.0])
def test_a_plan_and_its_drawing_have_the_same_indicators(plan, angle_deg):
    size = {"rows": 100, "cols": 100, "pixel_m": 2.0}
    frame = centred_frame(CRS, 385060, 6672050, angle_deg, **size)
    inside = site_mask(SITE, frame)[None]
    # Samples of 0.2 m: the plan's edges are at half meters along the grid.
    drawn, exact = of_layout(rasterize(plan, frame, subpixels=10), inside), of_plan(plan)
    assert set(drawn) == set(exact)
    for name, value in exact.items():
        assert float(drawn[name][0]) == pytest.approx(value, rel=0.02, abs=1e-6), name


def test_indicators_of_geometry_by_hand(plan):
    got = of_plan(plan)
    a, b = 39.5 * 20.5, 40 * 14.5
    assert got["far"] == pytest.approx((4 * a + 8 * b) / 12000)
    assert got["site_coverage"] == pytest.approx((a + b) / 12000)
    assert got["mean_height_m"] == pytest.approx((12 * a + 24 * b) / (a + b))
    crown = Point(0, 0).buffer(4).area
    assert got["tree_share"] == pytest.approx((900 + 3 * crown) / 12000, rel=1e-6)
    assert got["green_ratio"] == pytest.approx((35 * 30 + 300 + 900 + 2 * crown) / 12000, rel=1e-6)
    assert got["water_share"] == pytest.approx(300 / 12000)


def test_floors_are_those_drawn_and_else_by_height(plan):
    unknown = plan.buildings.assign(floors=float("nan"), height_m=[1.0, 13.6])
    shown = replace(plan, buildings=unknown)
    a, b = 39.5 * 20.5, 40 * 14.5
    assert of_plan(shown)["gross_floor_area_m2"] == pytest.approx(1 * a + 5 * b)


def soft(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    cover = torch.softmax(torch.randn(2, 8, 4, 5, generator=rng, dtype=torch.float64), dim=1)
    height_m = 6 + 20 * torch.rand(2, 4, 5, generator=rng, dtype=torch.float64)
    return cover, height_m, torch.rand(2, 4, 5, generator=rng) > 0.3


def layout_of(cover: torch.Tensor, height_m: torch.Tensor) -> Layout:
    shape = height_m.shape
    everything = torch.full(shape, 255, dtype=torch.uint8)
    return Layout(cover, height_m, everything, torch.ones(shape, dtype=torch.bool))


SMOOTH = ("site_coverage", "green_ratio", "mean_height_m", "road_share", "tree_share")


@pytest.mark.parametrize("name", SMOOTH)
def test_the_gradient_is_the_true_one_in_all_that_rounds_no_floors(name):
    cover, height_m, inside = soft()

    def value(cover, height_m):
        return of_layout(layout_of(cover, height_m), inside)[name]

    assert torch.autograd.gradcheck(value, (cover.requires_grad_(), height_m.requires_grad_()))


def test_floor_area_has_a_true_gradient_in_shares_and_a_smooth_one_in_height():
    cover, height_m, inside = soft(1)
    fixed = height_m.clone()

    def far(cover):
        return of_layout(layout_of(cover, fixed), inside)["far"]

    assert torch.autograd.gradcheck(far, (cover.requires_grad_(),))
    height_m.requires_grad_()
    floors = floors_of(height_m)
    assert torch.equal(floors.detach(), (height_m.detach() / 3).round())
    floors.sum().backward()
    torch.testing.assert_close(height_m.grad, torch.full_like(height_m, 1 / 3))


def test_what_lies_outside_never_counts_and_nothing_built_is_no_division_by_zero():
    cover, height_m, inside = soft(2)
    first = asks_of(of_layout(layout_of(cover, height_m), inside))
    other = torch.where(inside[:, None], cover, cover.flip(1))
    assert first.shape == (2, len(BRIEF_KEYS))
    torch.testing.assert_close(asks_of(of_layout(layout_of(other, height_m), inside)), first)
    bare = torch.zeros_like(cover)
    bare[:, 7] = 1
    assert asks_of(of_layout(layout_of(bare, 0 * height_m), inside)).abs().sum() == 0
