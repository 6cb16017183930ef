"""Laws of turning and snapping boxes."""

import numpy as np
import pytest
import shapely

from fabricgen.vectorize.rectangles import canonical, polygons, settle_angles, snap_edges
from fabricgen.vectorize.settings import DrawSettings

SETTINGS = DrawSettings()


def rows(*boxes):
    return np.array([(*box, 3, number) for number, box in enumerate(boxes)], dtype=float)


def test_canonical_boxes_are_the_same_rectangles():
    rng = np.random.default_rng(0)
    boxes = rows(*[(50, 50, *rng.uniform(5, 30, 2), rng.uniform(-7, 7)) for _ in range(50)])
    turned = canonical(boxes)
    assert np.all((turned[:, 4] > -np.pi / 4 - 1e-9) & (turned[:, 4] <= np.pi / 4 + 1e-9))
    same = shapely.area(shapely.intersection(polygons(boxes), polygons(turned)))
    assert same == pytest.approx(boxes[:, 2] * boxes[:, 3])


def test_nearly_parallel_neighbors_become_parallel():
    boxes = canonical(rows((0, 0, 20, 12, 0.40), (30, 0, 20, 12, 0.45), (60, 0, 20, 12, 0.42)))
    angles = settle_angles(boxes, SETTINGS)[:, 4]
    assert np.ptp(angles) < 1e-12


def test_far_and_oblique_boxes_keep_their_angle():
    boxes = canonical(rows((0, 0, 20, 12, 0.40), (30, 0, 20, 12, 0.60), (300, 0, 20, 12, 0.45)))
    assert settle_angles(boxes, SETTINGS)[:, 4] == pytest.approx(boxes[:, 4])


def test_walls_almost_along_the_frame_follow_it():
    assert settle_angles(canonical(rows((0, 0, 20, 12, 0.015))), SETTINGS)[0, 4] == 0


def test_joined_boxes_turn_as_one_body():
    boxes = canonical(
        rows((0, 0, 20, 10, 0.02), (15 * np.cos(0.02), 15 * np.sin(0.02), 10, 10, 0.02))
    )
    turned = settle_angles(boxes, SETTINGS)
    shapes = polygons(turned)
    assert shapely.union_all(shapes).buffer(1e-6).geom_type == "Polygon"
    assert shapely.intersection(*shapes).area < 1e-6


def test_slits_and_small_overlaps_close():
    boxes = rows((0, 0, 10, 12, 0), (10.9, 0.3, 10, 12.2, 0), (20.2, 0, 10, 12, 0))
    shapes = polygons(snap_edges(boxes, SETTINGS))
    joined = shapely.union_all(shapes, grid_size=0.001)
    assert joined.geom_type == "Polygon"
    assert shapely.get_num_coordinates(joined.simplify(1e-9)) == 5
    assert shapely.area(shapes).sum() == pytest.approx(joined.area, abs=0.02)


def test_wide_gaps_stay():
    boxes = rows((0, 0, 10, 12, 0), (13, 0, 10, 12, 0))
    shapes = polygons(snap_edges(boxes, SETTINGS))
    assert shapely.distance(*shapes) == pytest.approx(3.0)


def test_fronts_in_a_row_become_flush():
    boxes = rows((0, 0, 10, 12, 0), (18, 0.5, 10, 12, 0), (36, -0.3, 10, 12, 0))
    tops = shapely.bounds(polygons(snap_edges(boxes, SETTINGS)))[:, 1]
    assert np.ptp(tops) < 1e-9
