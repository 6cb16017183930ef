"""The walk around blocks, on streets where it can be followed by hand."""

import numpy as np

from fabricgen.generator.blocks import (
    CELLS,
    FAR_M,
    GRID,
    grid_points,
    label_blocks,
    rank_cells,
    read_streets,
    through_streets,
    view_streets,
)


def square(low: float, high: float) -> np.ndarray:
    corners = [(low, low), (high, low), (high, high), (low, high)]
    sides = zip(corners, corners[1:] + corners[:1], strict=True)
    return np.array([(*a, *b, 7.0, 2.0) for a, b in sides], np.float32)


def test_the_inside_of_a_ring_of_streets_is_one_face_of_its_own():
    streets = read_streets(square(64, 192))
    view, _ = view_streets(np.array([[128, 80], [80, 128], [128, 176], [30, 30]], float), streets)
    assert len(set(view.face[:3])) == 1
    assert view.face[3] not in view.face[:3]


def test_the_walk_grows_by_the_length_of_the_street():
    streets = read_streets(square(64, 192))
    along = np.array([[u, 72.0] for u in (80, 100, 120, 140)])
    view, _ = view_streets(along, streets)
    np.testing.assert_allclose(np.abs(np.diff(view.walk_m)), 20.0, atol=1e-3)
    assert len(set(np.sign(np.diff(view.walk_m)))) == 1


def test_a_dead_end_is_walked_in_on_one_side_and_out_on_the_other():
    streets = read_streets(np.array([[20, 128, 220, 128, 7, 2]], np.float32))
    sides = np.array([[60, 120], [160, 120], [160, 136], [60, 136]], float)
    view, _ = view_streets(sides, streets)
    assert len(set(view.face)) == 1
    near_in, far_in, far_out, near_out = view.walk_m
    steps = [far_in - near_in, far_out - far_in, near_out - far_out]
    assert np.allclose(np.abs(steps), [100, 120, 100])  # 60 m to the tip and back
    assert len(set(np.sign(steps))) == 1


def test_distance_counts_from_the_road_edge_and_the_normal_points_to_the_plot():
    streets = read_streets(np.array([[0, 100, 256, 100, 8, 2]], np.float32))
    view, turned = view_streets(np.array([[50, 114.0], [50, 86.0], [50, 102.0]]), streets)
    np.testing.assert_allclose(view.edge_m, [10, 10, -2], atol=1e-4)
    np.testing.assert_allclose(view.normal[:, 1], [1, -1, 1], atol=1e-5)
    assert (turned.face == -1).all() and (turned.edge_m == FAR_M).all()


def test_streets_part_the_window_into_blocks_and_paths_do_not():
    cross = np.array([[128, 0, 128, 256, 7, 2], [0, 128, 256, 128, 7, 2]], np.float32)
    assert label_blocks(through_streets(read_streets(cross))).max() == 3
    paths = cross.copy()
    paths[:, 5] = 4
    assert label_blocks(through_streets(read_streets(paths))).max() == 0


def test_a_slanting_lane_leaks_nowhere():
    lane = np.array([[0, 13, 256, 241, 2.0, 2]], np.float32)
    blocks = label_blocks(through_streets(read_streets(lane)))
    assert blocks.max() == 1
    assert blocks[0, GRID - 1] != blocks[GRID - 1, 0]


def test_every_cell_has_its_own_rank_and_blocks_come_one_after_the_other():
    streets = read_streets(np.concatenate([square(64, 192), [[128, 64, 128, 192, 7, 2]]]))
    blocks = label_blocks(through_streets(streets))
    view, _ = view_streets(grid_points(CELLS), streets)
    rank, own = rank_cells(blocks[1::2, 1::2].ravel(), view)
    assert sorted(rank) == list(range(CELLS * CELLS))
    assert (np.diff(own[np.argsort(rank)]) >= 0).all()


def test_no_street_at_all_is_one_block_in_rows():
    streets = read_streets(np.zeros((0, 6), np.float32))
    view, _ = view_streets(grid_points(CELLS), streets)
    assert (view.face == -1).all() and (view.edge_m == FAR_M).all()
    rank, _ = rank_cells(np.zeros(CELLS * CELLS, int), view)
    assert sorted(rank) == list(range(CELLS * CELLS))
