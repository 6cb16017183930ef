import numpy as np
import pytest
import shapely

from fabricgen.city.mapped import Streets
from fabricgen.city.segments import pieces_of

CLIP = shapely.box(0, 0, 100, 100)
CORNER = (0.0, 100.0)


def streets(*lines, kind=2, width_m=7.0):
    count = len(lines)
    shapes = np.empty(count, object)
    shapes[:] = [shapely.LineString(line) for line in lines]
    return Streets(shapes, np.full(count, kind), np.full(count, width_m), np.ones(count, bool))


def test_streets_are_cut_where_they_share_a_node():
    cross = streets([(10, 50), (50, 50), (90, 50)], [(50, 10), (50, 50), (50, 90)])
    table = pieces_of(cross, CLIP, CORNER)
    assert len(table) == 4
    ends = np.concatenate([table[:, :2], table[:, 2:4]])
    assert (ends == [50, 50]).all(axis=1).sum() == 4  # exactly, not nearly
    assert set(table[:, 4]) == {7.0} and set(table[:, 5]) == {2.0}


def test_v_points_down():
    table = pieces_of(streets([(10, 90), (30, 70)]), CLIP, CORNER)
    assert table[0, :4].tolist() == [10, 10, 30, 30]


def test_small_bends_go_and_junctions_stay():
    bent = streets([(10, 50), (30, 50.4), (50, 50), (70, 49.5), (90, 50)], [(50, 50), (50, 80)])
    table = pieces_of(bent, CLIP, CORNER)
    assert len(table) == 3


def test_lines_are_cut_at_the_edge_of_the_area():
    table = pieces_of(streets([(-50, 50), (150, 50)]), CLIP, CORNER)
    assert table[0, :4].tolist() == [0, 50, 100, 50]
    assert len(pieces_of(streets([(-50, -50), (-10, -50)]), CLIP, CORNER)) == 0


def test_length_is_kept_up_to_the_simplification():
    angle = np.linspace(0, 2 * np.pi, 60)
    ring = np.column_stack([50 + 30 * np.cos(angle), 50 + 30 * np.sin(angle)])
    table = pieces_of(streets(ring), CLIP, CORNER)
    length = np.hypot(table[:, 2] - table[:, 0], table[:, 3] - table[:, 1]).sum()
    assert length == pytest.approx(2 * np.pi * 30, rel=0.03) and len(table) < 30


def test_a_line_that_repeats_a_node_is_no_trouble():
    table = pieces_of(streets([(10, 10), (10, 10), (40, 10)], [(20, 90), (20, 90)]), CLIP, CORNER)
    assert len(table) == 1


def test_no_streets_no_pieces():
    assert pieces_of(streets(), CLIP, CORNER).shape == (0, 6)
