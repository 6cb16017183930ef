"""Plans drawn to pixels and traced back: the same buildings, ground and trees, cleanly."""

import numpy as np
import pytest
import shapely
import torch

from fabricgen.errors import LayoutError
from fabricgen.layout import Frame, stack
from fabricgen.plan import Plan, check_plan, layer, rasterize
from fabricgen.surfaces import BARE, BUILDING, GRASS, PAVED, ROAD, SURFACES, TREE, WATER
from fabricgen.vectorize.trace import site_of, trace_layout

CRS = "EPSG:32635"
X, Y = 385_000.0, 6_672_000.0
FRAME = Frame(CRS, X, Y + 128, 0.0, 2.0, 64, 64)


def at(shape):
    """A shape of meters from the lower left corner, in the CRS."""
    return shapely.transform(shape, lambda xy: xy + np.array([X, Y]))


SITE = at(shapely.box(0, 0, 128, 128))


def plan_of():
    """A street with houses, a lawn with a pond, a grove, and a tree by itself."""
    houses = [(shapely.box(20 + k * 14, 76, 32 + k * 14, 86), 6.0 + 3 * (k % 3)) for k in range(6)]
    tables = {
        "buildings": [{"height_m": h, "geometry": at(shape)} for shape, h in houses],
        "roads": [
            {"kind": "local", "width_m": 7.0, "geometry": at(shapely.LineString([(0, 66), (128, 66)]))}
        ],
        "paved": [{"kind": "yard", "geometry": at(shapely.box(20, 92, 60, 110))}],
        "water": [{"kind": "water", "geometry": at(shapely.Point(40, 25).buffer(11))}],
        "green": [
            {"kind": "grass", "geometry": at(shapely.box(4, 4, 84, 54).difference(
                shapely.Point(40, 25).buffer(11)))},
            {"kind": "tree", "geometry": at(shapely.Point(104, 28).buffer(17))},
        ],
        "trees": [{"crown_m": 7.0, "height_m": 9.0, "geometry": at(shapely.Point(100, 108))}],
    }  # fmt: skip
    for rows in tables.values():
        for k, row in enumerate(rows):
            row["id"] = str(k)
    return Plan(SITE, CRS, **{name: layer(name, CRS, rows) for name, rows in tables.items()})


@pytest.fixture(scope="module")
def drawn():
    return rasterize(plan_of(), FRAME)


@pytest.fixture(scope="module")
def traced(drawn):
    return trace_layout(drawn, FRAME, SITE)


def test_a_traced_plan_keeps_the_contract(traced):
    check_plan(traced)
    assert traced.crs == CRS


def test_buildings_come_back_in_number_height_and_place(traced):
    real = plan_of().buildings
    assert len(traced.buildings) == len(real)
    one, other = real.union_all(), traced.buildings.union_all()
    assert one.intersection(other).area / one.union(other).area > 0.99
    assert sorted(traced.buildings["height_m"]) == pytest.approx(sorted(real["height_m"]), abs=0.1)


def test_surfaces_keep_their_area(drawn, traced):
    before = drawn.area_m2()[0]
    after = rasterize(traced, FRAME).area_m2()[0]
    for surface in (BUILDING, ROAD, PAVED, WATER, TREE, GRASS, BARE):
        allowed_m2 = max(0.06 * float(before[surface]), 25)
        assert float(after[surface]) == pytest.approx(float(before[surface]), abs=allowed_m2), (
            SURFACES[surface]
        )


def test_a_tree_by_itself_is_a_stem_and_a_grove_has_room_between_stems(traced):
    stems = traced.trees.geometry
    alone = stems.distance(at(shapely.Point(100, 108)))
    assert alone.min() < 1.0
    assert traced.trees["crown_m"][alone.idxmin()] == pytest.approx(7.0, abs=1.0)
    grove = stems[stems.distance(at(shapely.Point(104, 28))) < 17]
    assert len(grove) >= 6
    points = shapely.get_coordinates(grove.to_numpy())
    apart = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    assert apart[~np.eye(len(points), dtype=bool)].min() > 6.0


def test_the_same_layout_gives_the_same_plan(drawn, traced):
    again = trace_layout(drawn, FRAME, SITE)
    assert again.trees.geometry.equals(traced.trees.geometry)
    assert again.green.geometry.equals(traced.green.geometry)


def test_streets_that_are_given_are_taken_and_cut_at_walls(drawn):
    wall = at(shapely.LineString([(26, 66), (26, 100)]))
    row = {"id": "a", "kind": "service", "width_m": 4.0, "geometry": wall}
    plan = trace_layout(drawn, FRAME, SITE, streets=layer("roads", CRS, [row]))
    check_plan(plan)
    assert 0 < plan.roads.length.sum() < wall.length


def test_a_layout_of_another_size_and_a_batch_are_refused(drawn):
    small = Frame(CRS, X, Y, 0.0, 2.0, 32, 64)
    with pytest.raises(LayoutError, match="64 x 64 pixels in a frame of 32 x 64"):
        trace_layout(drawn, small, SITE)
    with pytest.raises(LayoutError, match="2 in one batch"):
        trace_layout(stack([drawn, drawn]), FRAME, SITE)


def test_the_site_of_a_mask_has_straight_edges():
    whole = site_of(np.ones((64, 64), dtype=bool), FRAME)
    assert whole.equals(SITE)
    rows, cols = np.mgrid[:64, :64] + 0.5
    inside = (2 * rows + cols > 60) & (rows < 55) & (cols < 58)
    site = site_of(inside, FRAME)
    assert site.area == pytest.approx(inside.sum() * 4, rel=0.02)
    assert len(shapely.get_coordinates(site)) <= 8


def test_nothing_on_a_site_is_an_empty_plan(drawn):
    bare = torch.zeros_like(drawn.cover)
    bare[:, BARE] = 1
    layout = type(drawn)(
        bare, torch.zeros_like(drawn.height_m), torch.full_like(drawn.allowed, 1 << BARE),
        torch.zeros_like(drawn.height_known), 2.0,
    )  # fmt: skip
    plan = trace_layout(layout, FRAME, SITE)
    assert [len(getattr(plan, name)) for name in ("buildings", "roads", "green", "trees")] == [
        0
    ] * 4
