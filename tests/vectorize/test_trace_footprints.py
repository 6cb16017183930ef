"""Footprints out of shares: exact shapes in, their shares drawn, the same shapes back."""

from dataclasses import replace

import numpy as np
import pytest
import shapely

from fabricgen.vectorize.coverage import cut, render
from fabricgen.vectorize.fitting import ring_corners, strays
from fabricgen.vectorize.footprints import FitSettings, footprints, polygon_of_outline
from fabricgen.vectorize.outlines import Ring

PIXEL_M = 2.0


def share_of(shapes, size=64):
    """Shares of pixels of 2 m under polygons in meters."""
    total = np.zeros((size, size))
    for shape in shapes:
        shape = shapely.orient_polygons(shape)
        rings = [shapely.get_coordinates(r) / PIXEL_M for r in (shape.exterior, *shape.interiors)]
        starts = np.concatenate([ring[:-1] for ring in rings])
        ends = np.concatenate([ring[1:] for ring in rings])
        total += render(cut(starts, ends), total.shape)
    return total


def traced(share):
    found = footprints(share, PIXEL_M, FitSettings())
    return np.array([polygon_of_outline(one, PIXEL_M) for one in found], dtype=object)


def turned(shape, angle_deg):
    return shapely.affinity.rotate(shape, angle_deg, origin=(64, 64))


def iou(one, other):
    return one.intersection(other).area / one.union(other).area


L_SHAPE = shapely.Polygon([(50, 50), (80, 50), (80, 62), (62, 62), (62, 76), (50, 76)])
COURT = shapely.box(40.5, 41, 84, 80.3).difference(shapely.box(52, 53, 71.4, 68))


@pytest.mark.parametrize("angle_deg", [0, 7, 23, 45, 61])
@pytest.mark.parametrize("shape", [shapely.box(50.7, 51.9, 75.1, 63.2), L_SHAPE, COURT])
def test_orthogonal_buildings_come_back_with_their_corners(shape, angle_deg):
    real = turned(shape, angle_deg)
    (found,) = traced(share_of([real]))
    assert iou(found, real) > 0.995
    assert found.area == pytest.approx(real.area, rel=0.002)
    assert len(shapely.get_coordinates(found)) == len(shapely.get_coordinates(real))


def test_a_wall_that_is_oblique_stays_oblique():
    real = shapely.Polygon([(40, 40), (90, 40), (90, 60), (62, 78), (40, 78)])
    (found,) = traced(share_of([real]))
    assert iou(found, real) > 0.995
    assert len(shapely.get_coordinates(found)) == 6


@pytest.mark.parametrize(("width_m", "depth_m"), [(4, 3.5), (3, 6), (4.5, 5.5)])
def test_sheds_of_three_to_six_pixels_survive_with_their_area(width_m, depth_m):
    real = turned(shapely.box(60, 61.3, 60 + width_m, 61.3 + depth_m), 17)
    (found,) = traced(share_of([real]))
    assert found.area == pytest.approx(real.area, rel=0.01)
    assert iou(found, real) > 0.9


def test_two_houses_with_a_gap_narrower_than_a_pixel_stay_two():
    row = [shapely.box(30, 40, 45.3, 52), shapely.box(46.4, 40, 60, 52)]
    found = traced(share_of(row))
    assert len(found) == 2
    assert 0.7 < found[0].distance(found[1]) < 1.5


def test_hard_labels_are_drawn_straight_too():
    real = turned(shapely.box(40, 44, 84, 60), 14)
    (found,) = traced((share_of([real]) > 0.5).astype(float))
    assert iou(found, real) > 0.93
    assert len(shapely.get_coordinates(found)) <= 7


def test_nothing_built_is_nothing_drawn():
    assert len(traced(np.zeros((16, 16)))) == 0


def test_a_wall_turned_nearly_parallel_to_the_next_does_not_cross_it_far_away():
    square = np.radians([0.0, 90.0, 180.0, 270.0])
    ring = Ring(square, np.array([-10.0, 20.0, 20.0, -10.0]), np.zeros(4, dtype=int))
    corners = ring_corners(ring)
    assert corners.min() == pytest.approx(10) and corners.max() == pytest.approx(20)
    nearly = replace(ring, angle=ring.angle + np.radians([0.0, 88.0, 0.0, 0.0]))
    assert strays(nearly, ring) and not strays(ring, ring)
    moved = replace(ring, offset=ring.offset + 0.7)
    assert not strays(moved, ring)
