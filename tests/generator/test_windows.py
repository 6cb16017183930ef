"""Windows over a large site: each pixel is drawn once, and coordinates come back."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from fabricgen.generator.conditions import Boxes, Conditions, Segments
from fabricgen.generator.windows import (
    RING_PX,
    cut,
    near_boxes,
    near_segments,
    shift_boxes,
    shift_segments,
    tiles,
    whole_blocks,
    without_known,
)
from fabricgen.layout import check, from_labels
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


def test_windows_are_few_and_each_sees_a_ring_around_its_core():
    editable = torch.zeros(352, 352, dtype=torch.bool)
    editable[24:328, 24:328] = True  # 608 m, 48 m of surroundings
    found = tiles(editable)
    assert len(found) == 9
    for tile in found:
        for place, start in zip(
            tile.core.nonzero(as_tuple=True), (tile.row, tile.col), strict=True
        ):
            assert place.min() - start >= RING_PX
            assert start + 128 - 1 - place.max() >= RING_PX


def test_a_site_that_stands_askew_needs_no_windows_for_its_empty_corners():
    v, u = torch.meshgrid(torch.arange(400), torch.arange(400), indexing="ij")
    lozenge = (u - 200).abs() + (v - 200).abs() < 150
    assert len(tiles(lozenge)) <= 7  # three by three around its square


def test_ground_that_is_drawn_later_is_unknown_not_empty(conditions):
    later = torch.zeros(260, 280, dtype=torch.bool)
    later[:, 140:] = True
    told = without_known(conditions, later)
    assert (told.context.allowed[:, :, 140:] == 0).all()
    assert torch.equal(told.context.allowed[:, :, :140], conditions.context.allowed[:, :, :140])
    check(told.context)


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
    tile = next(t for t in tiles(conditions.editable[0]) if t.row == 66 and t.col == 152)
    seen = cut(conditions, tile)  # u 304 to 560, v 132 to 388
    # The first box reaches over the left edge; the second is 34 m short of it.
    assert seen.boxes.valid[0].tolist() == [True, False, False]
    assert seen.segments.valid[0].tolist() == [False, False]  # the street runs 32 m above
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


def test_a_block_that_fits_into_a_window_is_not_parted():
    editable = torch.zeros(348, 348, dtype=torch.bool)
    editable[24:324, 24:324] = True
    streets = np.zeros((348, 348), bool)
    streets[[60, 150, 250, 300], :] = True
    streets[:, [40, 100, 170, 310]] = True
    labels = ndimage.label(~streets)[0]
    todo = tiles(editable)
    moved = whole_blocks(todo, np.stack([labels, np.zeros_like(labels)]))
    assert torch.equal(sum(t.core.int() for t in moved), editable.int().expand(2, -1, -1))
    owner = sum((n + 1) * t.core[0].int() for n, t in enumerate(moved)).numpy()
    fitting = 0
    for block in range(1, labels.max() + 1):
        place = np.argwhere((labels == block) & editable.numpy())
        if not len(place):
            continue
        low, high = place.min(axis=0), place.max(axis=0)
        fits = any(
            (low >= (t.row + 4, t.col + 4)).all() and (high < (t.row + 124, t.col + 124)).all()
            for t in todo
        )
        fitting += fits
        assert not fits or len(np.unique(owner[tuple(place.T)])) == 1
    assert fitting > 4
    for tile, was in zip(moved, todo, strict=True):
        assert torch.equal(tile.core[1], was.core)  # without blocks nothing moves
        rows, cols = tile.core[0].nonzero(as_tuple=True)
        assert tile.row <= rows.min() and rows.max() < tile.row + 128
        assert tile.col <= cols.min() and cols.max() < tile.col + 128
