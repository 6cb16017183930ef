"""Box geometry against shapely and against itself under turns."""

import math

import pytest
import torch
from shapely import LineString, Point, Polygon

from fabricgen.generator.boxes import (
    axes,
    canonical,
    corners,
    edge_candidates,
    half_extent,
    overlap_m2,
    penetration,
    point_distance,
    road_strips,
    segment_distance,
    trim,
    wrap_angle,
)


def random_boxes(count: int, seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    low = torch.tensor([0.0, 0.0, 2.0, 2.0, -4.0])
    span = torch.tensor([30.0, 30.0, 20.0, 20.0, 8.0])
    return low + span * torch.rand(count, 5, generator=rng)


def polygons(boxes: torch.Tensor) -> list[Polygon]:
    return [Polygon(ring) for ring in corners(boxes).numpy()]


def test_overlap_is_the_area_of_the_polygons_intersection():
    first, second = random_boxes(200, 0), random_boxes(200, 1)
    pairs = zip(polygons(first), polygons(second), strict=True)
    expected = torch.tensor([a.intersection(b).area for a, b in pairs])
    torch.testing.assert_close(overlap_m2(first, second), expected.float(), atol=1e-3, rtol=1e-4)
    assert (expected > 0).any() and (expected == 0).any()


def test_overlap_does_not_care_which_box_comes_first():
    first, second = random_boxes(50, 2), random_boxes(50, 3)
    torch.testing.assert_close(
        overlap_m2(first, second), overlap_m2(second, first), atol=1e-3, rtol=1e-4
    )


def test_boxes_reach_into_each_other_exactly_when_their_polygons_cross():
    first, second = random_boxes(200, 4), random_boxes(200, 5)
    pairs = zip(polygons(first), polygons(second), strict=True)
    crossing = torch.tensor([a.intersects(b) for a, b in pairs])
    assert torch.equal(penetration(first, second) > 0, crossing)


def test_the_canonical_form_keeps_the_corners_and_turns_little():
    boxes = random_boxes(100, 6)
    same = canonical(boxes)
    assert (same[:, 4] > -math.pi / 4 - 1e-6).all() and (same[:, 4] <= math.pi / 4 + 1e-6).all()
    for before, after in zip(polygons(boxes), polygons(same), strict=True):
        assert before.symmetric_difference(after).area < 1e-2
    torch.testing.assert_close(wrap_angle(boxes[:, 4]), same[:, 4])


def test_an_angle_of_a_quarter_turn_is_no_turn():
    box = torch.tensor([[5.0, 5.0, 8.0, 4.0, math.pi / 2]])
    torch.testing.assert_close(canonical(box), torch.tensor([[5.0, 5.0, 4.0, 8.0, 0.0]]))


def test_distance_to_a_box_is_negative_inside():
    boxes = random_boxes(100, 7)
    points = 30 * torch.rand(100, 2, generator=torch.Generator().manual_seed(8))
    for ours, point, shape in zip(
        point_distance(points, boxes), points, polygons(boxes), strict=True
    ):
        spot = Point(*point.tolist())
        theirs = shape.distance(spot)
        if shape.contains(spot):
            theirs = -shape.exterior.distance(spot)
        assert ours.item() == pytest.approx(theirs, abs=1e-3)


def test_distance_to_a_segment_has_a_side():
    ends = torch.tensor([0.0, 0.0, 10.0, 0.0])
    points = torch.tensor([[5.0, 3.0], [5.0, -3.0], [13.0, 4.0]])
    distance, side = segment_distance(points, ends)
    torch.testing.assert_close(distance, torch.tensor([3.0, 3.0, 5.0]))
    assert side.tolist() == [1.0, -1.0, 1.0]


def test_a_box_reaches_into_a_road_exactly_when_it_crosses_the_strip():
    boxes = random_boxes(100, 9)
    ends = 30 * torch.rand(100, 4, generator=torch.Generator().manual_seed(10))
    depth = penetration(boxes, road_strips(ends, torch.full((100,), 7.0)))
    for one, line, shape in zip(depth, ends.view(-1, 2, 2).numpy(), polygons(boxes), strict=True):
        strip = LineString(line).buffer(3.5, cap_style="flat")
        assert (one > 0).item() == strip.intersects(shape)


def test_a_trimmed_box_lies_within_the_drawn_one_and_off_its_obstacles():
    boxes, obstacles = random_boxes(100, 12), random_boxes(300, 13).view(100, 3, 5)
    kept = trim(boxes, obstacles, torch.full((100, 3), 0.0))
    freed = kept[:, 2] > 0
    assert 30 < freed.sum() <= 100
    assert overlap_m2(kept[freed][:, None], obstacles[freed]).max() < 0.1
    inner, outer = kept[freed], boxes[freed]
    torch.testing.assert_close(
        overlap_m2(inner, outer), inner[:, 2] * inner[:, 3], atol=0.05, rtol=1e-3
    )


def test_a_box_cut_at_a_wall_ends_exactly_there():
    box = torch.tensor([[5.0, 5.0, 10.0, 8.0, 0.0]])
    wall = torch.tensor([[[12.0, 5.0, 6.0, 20.0, 0.0]]])
    torch.testing.assert_close(
        trim(box, wall, torch.zeros(1, 1)), torch.tensor([[4.5, 5.0, 9.0, 8.0, 0.0]])
    )


def test_a_candidate_sets_the_box_flush_with_its_neighbor():
    neighbor = canonical(random_boxes(20, 11))
    angle = neighbor[:, 4]
    along, across = axes(angle)
    mine = torch.stack([torch.full_like(angle, 9.0), torch.full_like(angle, 6.0)], dim=1)
    start = torch.full((20, 2), 12.0)
    for direction, half in ((along, mine[:, 0] / 2), (across, mine[:, 1] / 2)):
        offsets = edge_candidates(neighbor[:, None], start, half, direction)[:, 0]  # (20, 4)
        middle = (neighbor[:, :2] * direction).sum(1)
        reach = half_extent(neighbor, direction)
        placed = (start * direction).sum(1)[:, None] + offsets
        low, high = placed - half[:, None], placed + half[:, None]
        near, far = middle - reach, middle + reach
        close = {"atol": 1e-4, "rtol": 1e-5}
        torch.testing.assert_close(low[:, 0], far, **close)
        torch.testing.assert_close(high[:, 1], near, **close)
        torch.testing.assert_close(low[:, 2], near, **close)
        torch.testing.assert_close(high[:, 3], far, **close)
