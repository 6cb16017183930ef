"""Laws of the whole drawing: clean, inside, nothing twice, and true to the proposal."""

import numpy as np
import pytest
import shapely

from fabricgen.form.indicators import of_plan
from fabricgen.plan import LAYERS, check_plan, rasterize
from fabricgen.surfaces import BARE, BUILDING, GRASS, PAVED, ROAD, TREE, WATER
from fabricgen.vectorize import vectorize
from fabricgen.vectorize.rectangles import polygons

DUST_M2 = 0.01


@pytest.fixture(scope="module")
def plan(proposals):
    return proposals.draw()


def union(plan, name):
    return shapely.union_all(getattr(plan, name).geometry.to_numpy())


def test_a_noisy_proposal_becomes_a_plan_that_keeps_the_contract(plan):
    check_plan(plan)
    assert len(plan.buildings) > 12
    assert len(plan.roads) > 5


@pytest.mark.parametrize("seed", range(6))
def test_no_ground_is_covered_twice(seed, proposals):
    plan = check_plan(proposals.draw(seed))
    whole = [union(plan, name) for name in ("buildings", "paved", "water", "green")]
    whole.append(plan.carriageways)
    summed = (
        sum(
            float(getattr(plan, name).geometry.area.sum())
            for name in ("buildings", "paved", "water", "green")
        )
        + plan.carriageways.area
    )
    assert summed - shapely.union_all(whole).area < DUST_M2 * 10
    assert shapely.union_all(whole).difference(plan.site).area < DUST_M2


@pytest.mark.parametrize("seed", range(6))
def test_walls_stand_off_streets_and_inside_the_site(seed, proposals):
    plan = proposals.draw(seed)
    built = union(plan, "buildings")
    assert built.difference(plan.site).area == 0
    assert shapely.distance(built, plan.carriageways) > 0.5


def test_walls_are_straight_and_courts_stay_open(plan):
    perimeter = max(plan.buildings.geometry, key=lambda shape: shape.area)
    assert shapely.get_num_coordinates(perimeter.exterior) <= 9
    corners = shapely.get_num_coordinates(plan.buildings.geometry.to_numpy()) - 1
    assert np.median(corners) == 4


def test_a_ring_of_wings_keeps_its_court(proposals):
    boxes = np.array([
        (128, 100, 60, 12, 0, 4, 0), (128, 156, 60, 12, 0, 4, 0),
        (104, 128, 12, 60, 0, 4, 0), (152, 128, 12, 60, 0, 4, 0),
    ], dtype=np.float32)  # fmt: skip
    plan = proposals.draw(boxes=boxes, segments=np.zeros((0, 6)))
    assert len(plan.buildings) == 1
    assert len(plan.buildings.geometry.iloc[0].interiors) == 1
    assert plan.buildings.area.iloc[0] == pytest.approx(60 * 68 - 36 * 44, rel=0.02)


def test_terraces_share_walls_without_gap_or_overlap(plan):
    houses = plan.buildings[plan.buildings["floors"] == 3]
    assert len(houses) == 5
    joined = shapely.union_all(houses.geometry.to_numpy())
    assert joined.geom_type == "Polygon"
    assert joined.area == pytest.approx(houses.area.sum(), abs=1e-6)


def test_clean_boxes_come_back_as_they_were(proposals):
    boxes = np.array([(80, 70, 30, 12, 0, 4, 0), (170, 80, 24, 24, 0, 2, 1)], dtype=np.float32)
    plan = proposals.draw(boxes=boxes, segments=np.zeros((0, 6)))
    x, y = proposals.FRAME.to_world(70 / 2, 80 / 2)
    assert plan.buildings.area.tolist() == pytest.approx([576.0, 360.0], rel=1e-6)
    assert plan.buildings.geometry.iloc[1].centroid.distance(shapely.Point(x, y)) < 1e-6
    assert plan.buildings["floors"].tolist() == [2, 4]


def test_the_footprint_agrees_with_the_boxes(plan, proposals):
    # The way back keeps at least nine tenths of what the boxes cover, faults cut off included.
    boxes = shapely.union_all(polygons(proposals.boxes()))
    drawn = rasterize(plan, proposals.FRAME).cover[0, BUILDING].numpy() > 0.5
    v, u = (np.mgrid[:128, :128] + 0.5) * 2.0
    wanted = shapely.contains_xy(boxes, u, v)
    inside = rasterize(plan, proposals.FRAME).allowed[0].numpy() > 0
    both, either = (drawn & wanted & inside).sum(), ((drawn | wanted) & inside).sum()
    assert both / either > 0.85


@pytest.mark.parametrize("surface", [GRASS, PAVED, TREE, WATER, BARE])
def test_areas_follow_the_map(surface, proposals):
    ground = proposals.ground(speckle=0.0)
    plan = proposals.draw(ground=ground)
    layout = rasterize(plan, proposals.FRAME)
    inside = layout.allowed[0].numpy() > 0
    cover = layout.cover[0].numpy()
    free = inside & (cover[[BUILDING, ROAD]].sum(axis=0) < 0.01)
    wanted = (ground[free] == surface).mean()
    got = cover[surface][free].mean()
    assert got == pytest.approx(wanted, abs=0.03)


def test_stems_stand_inside_tree_polygons(plan):
    canopy = shapely.union_all(plan.green.geometry[plan.green["kind"] == "tree"].to_numpy())
    assert shapely.covers(canopy, plan.trees.geometry.to_numpy()).all()
    assert plan.trees["crown_m"].between(4, 10).all()


def test_the_same_seed_draws_the_same_plan(proposals):
    first, second = proposals.draw(seed=3), proposals.draw(seed=3)
    for name in LAYERS:
        assert getattr(first, name).equals(getattr(second, name))


def test_log_probabilities_and_their_strongest_surface_draw_the_same(proposals):
    ground = proposals.ground()
    ground[np.isin(ground, (BUILDING, ROAD))] = GRASS
    scores = np.full((8, *ground.shape), -9.0, np.float32)
    np.put_along_axis(scores, ground[None].astype(int), 0.0, axis=0)
    first, second = proposals.draw(ground=ground), proposals.draw(ground=scores)
    assert first.green.equals(second.green)


def test_nothing_proposed_is_an_empty_plan(proposals):
    plan = vectorize(
        boxes=np.zeros((0, 7)), segments=np.zeros((0, 6)),
        ground=np.full((128, 128), BARE, np.uint8), frame=proposals.FRAME,
        site=proposals.site(),
    )  # fmt: skip
    check_plan(plan)
    assert all(len(getattr(plan, name)) == 0 for name in LAYERS)


def test_a_site_in_parts_with_a_hole_is_filled_part_by_part(proposals):
    site = proposals.site()
    hole = site.centroid.buffer(25)
    strip = shapely.box(*site.bounds)
    middle = (strip.bounds[0] + strip.bounds[2]) / 2
    cut = shapely.box(middle - 8, strip.bounds[1], middle - 2, strip.bounds[3])
    parts = site.difference(hole).difference(cut)
    plan = check_plan(proposals.draw(site=parts))
    assert union(plan, "buildings").intersection(hole).area == 0
    assert of_plan(plan)["site_coverage"] > 0.05


def test_a_context_street_that_stops_at_the_edge_takes_no_ground(proposals):
    stops = np.array([(100.0, 0.0, 100.0, 35.1, 7.0, 2.0)])
    beside = np.array([(0.0, 222.0, 256.0, 222.0, 7.0, 2.0)])
    nothing = {"boxes": np.zeros((0, 7)), "segments": np.zeros((0, 6))}
    for context, least_m2, most_m2 in ((stops, 0, 15), (beside, 500, 1400)):
        plan = proposals.draw(context_segments=context, **nothing)
        taken = plan.paved[plan.paved["kind"] == "carriageway"].area.sum()
        assert least_m2 <= taken <= most_m2


def test_an_annex_becomes_a_wing_and_a_shed_stays_low(proposals):
    boxes = np.array([(100, 70, 30, 14, 0, 6, 0), (100, 80, 7, 6, 0, 9, 1),
                      (60, 160, 6, 6, 0, 30, 2)], dtype=np.float32)  # fmt: skip
    plan = proposals.draw(boxes=boxes, segments=np.zeros((0, 6)))
    assert len(plan.buildings) == 2
    assert plan.buildings.area.tolist() == pytest.approx([462, 36], abs=0.1)
    assert plan.buildings["floors"].tolist() == [6, 10]
