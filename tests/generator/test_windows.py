"""Windows over a large site: each pixel is drawn once, and coordinates come back."""

import numpy as np
import pytest
import torch

from fabricgen.generator.conditions import Boxes, Conditions, Segments
from fabricgen.generator.windows import (
    STEP_PX,
    cut,
    near_boxes,
    near_segments,
    shift_boxes,
    shift_segments,
    tiles,
)
from fabricgen.layout import from_labels
from fabricgen.surfaces import OPEN


@pytest.mark.parametrize("size", [(128, 128), (128, 200), (136, 328), (305, 257), (512, 512)])
def test_every_editable_pixel_is_drawn_exactly_once(size):
    rng = torch.Generator().manual_seed(0)
    editable = torch.rand(size, generator=rng) > 0.4
    found = tiles(editable)
    assert torch.equal(sum(tile.core.int() for tile in found), editable.int())
    for tile in found:
        rows, cols = tile.core.nonzero(as_tuple=True)
        assert 0 <= tile.row <= rows.min() and rows.max() < tile.row + 128 <= size[0]
        assert 0 <= tile.col <= cols.min() and cols.max() < tile.col + 128 <= size[1]


def test_windows_overlap_by_half_at_least_and_touch_both_ends():
    found = tiles(torch.ones(300, 128, dtype=torch.bool))
    starts = [tile.row for tile in found]
    assert starts[0] == 0 and starts[-1] == 300 - 128
    assert max(np.diff(starts)) <= STEP_PX


def test_windows_without_a_pixel_of_the_site_are_left_out():
    editable = torch.zeros(400, 400, dtype=torch.bool)
    editable[:20, :20] = True
    assert [(tile.row, tile.col) for tile in tiles(editable)] == [(0, 0)]
    assert tiles(torch.zeros(400, 400, dtype=torch.bool)) == []


BOXES = np.array(
    [[300, 200, 20, 12, 0.2, 4, 0], [255, 250, 30, 10, 0.0, 2, 1], [40, 40, 9, 9, 0.0, 1, 2]],
    dtype=np.float32,
)
STREETS = np.array([[250, 100, 520, 100, 8, 2], [10, 10, 60, 10, 5, 3]], dtype=np.float32)


@pytest.fixture
def conditions() -> Conditions:
    labels = torch.full((1, 260, 280), OPEN, dtype=torch.uint8)
    nothing = torch.zeros(labels.shape)
    editable = torch.ones(labels.shape, dtype=torch.bool)
    return Conditions(
        from_labels(labels, nothing, nothing > 0),
        editable,
        torch.full((1, 6), float("nan")),
        torch.zeros(1),
        Boxes.from_arrays([BOXES]),
        Segments.from_arrays([STREETS]),
    )


def test_what_a_window_sees_comes_back_to_its_place(conditions):
    for tile in tiles(conditions.editable[0]):
        seen = cut(conditions, tile)
        assert seen.context.height_m.shape == seen.editable.shape == (1, 128, 128)
        du_m, dv_m = tile.col * 2.0, tile.row * 2.0
        boxes = shift_boxes(seen.boxes, du_m, dv_m)
        torch.testing.assert_close(boxes.geometry, conditions.boxes.geometry)
        segments = shift_segments(seen.segments, du_m, dv_m)
        torch.testing.assert_close(segments.ends, conditions.segments.ends)


def test_a_window_sees_exactly_what_reaches_into_it(conditions):
    tile = next(t for t in tiles(conditions.editable[0]) if t.row == 88 and t.col == 152)
    seen = cut(conditions, tile)  # u 304 to 560, v 176 to 432
    # The first box reaches over the left edge; the second is 34 m short of it.
    assert seen.boxes.valid[0].tolist() == [True, False, False]
    assert seen.segments.valid[0].tolist() == [False, False]  # the street runs 72 m above
    corner = cut(conditions, tiles(conditions.editable[0])[0])
    assert corner.segments.valid[0].tolist() == [True, True]
    assert torch.equal(corner.editable[0].nonzero().amax(dim=0) < 128, torch.ones(2).bool())


def test_nothing_that_touches_a_window_is_lost():
    edge_m = 100.0
    boxes = Boxes.from_arrays([np.array([[-4, 50, 10, 10, 0, 1, 0], [120, 50, 10, 10, 0, 1, 1]])])
    assert near_boxes(boxes, edge_m).valid[0].tolist() == [True, False]
    rows = np.array([[-50, 50, 150, 50, 8, 2], [-50, -3, 150, -3, 8, 2], [-50, -9, 150, -9, 8, 2]])
    segments = Segments.from_arrays([rows])
    assert near_segments(segments, edge_m).valid[0].tolist() == [True, True, False]
