"""Laws of single outlines: walls move as wholes, and what is cleaned only loses ground."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon

from fabricgen.vectorize.walls import (
    SHARP_DEG,
    STUB_M,
    clean_ring,
    has_fault,
    inner_deg,
    lay_wall,
    notches,
    patches_of,
    rings_of,
    tidy,
    valid,
)

SQUARE = np.array([(0, 0), (10, 0), (10, 8), (0, 8)], dtype=float)


def lengths(shape):
    rings = rings_of(shape)
    return np.concatenate([np.hypot(*(np.roll(ring, -1, axis=0) - ring).T) for ring in rings])


def test_angles_are_measured_on_the_inside():
    corner = np.array([(0, 0), (10, 0), (10, 10), (5, 10), (5, 5), (0, 5)], dtype=float)
    assert inner_deg(corner) == pytest.approx([90, 90, 90, 90, 270, 90])


def test_a_wall_laid_on_a_line_takes_its_neighbors_along():
    moved = lay_wall(SQUARE, 1, np.array([12.0, 3.0]), np.array([0.0, 1.0]))
    assert moved.tolist() == [[0, 0], [12, 0], [12, 8], [0, 8]]


def test_a_wall_is_not_laid_where_its_neighbors_would_turn_around():
    assert lay_wall(SQUARE, 1, np.array([-2.0, 3.0]), np.array([0.0, 1.0])) is None
    assert lay_wall(SQUARE, 1, np.array([12.0, 3.0]), np.array([1.0, 0.0])) is None


def test_points_on_a_wall_and_hairs_are_no_corners():
    ring = np.array([(0, 0), (5, 0), (10, 0), (10, 4), (15, 4), (10, 4 + 1e-6), (10, 8), (0, 8)])
    assert clean_ring(ring) == pytest.approx(SQUARE, abs=1e-5)


def test_a_clean_outline_stays_as_it_is():
    shape = Polygon(SQUARE).difference(shapely.box(3, 3, 6, 6))
    assert tidy(shape).equals(shape)


def test_a_jog_goes_by_moving_one_wall():
    shape = shapely.union(shapely.box(0, 0, 10, 8), shapely.box(10, 0.4, 16, 8))
    assert tidy(shape).equals_exact(shapely.box(0, 0.4, 16, 8), 1e-9, normalize=True)


def test_a_sharp_corner_gets_a_short_wall():
    shape = Polygon([(0, 0), (40, 0), (40, 8)])
    cut = tidy(shape)
    assert shapely.get_num_coordinates(cut) == 5
    assert shape.area - cut.area == pytest.approx(2 * 2 / np.tan(np.arctan(0.2) / 2) / 4, rel=1e-6)


def test_sharp_notches_are_found_with_their_ground():
    wedge = Polygon([(10, 3), (10, 5), (4, 4)])
    (found,) = notches(Polygon(SQUARE).difference(wedge))
    assert found.symmetric_difference(wedge).area < 1e-9


def test_ground_has_no_hairs():
    lawn = shapely.box(0, 0, 30, 20)
    hair, dust = shapely.box(30, 5, 50, 5.004), shapely.box(60, 0, 60.1, 0.1)
    got = patches_of(shapely.union_all([lawn, hair, dust]), 0.05)
    assert len(got) == 1
    assert shapely.hausdorff_distance(got[0], lawn) < 1e-3
    path = shapely.box(0, 0, 40, 0.3)  # narrow, but there
    assert shapely.hausdorff_distance(patches_of(path, 0.05)[0], path) < 1e-6
    assert patches_of(shapely.LineString([(0, 0), (1, 1)]), 0.05) == []


def test_a_ring_that_crosses_itself_is_repaired_within_itself():
    crossed = Polygon([(0, 0), (10, 0), (10, 10), (5, -1e-7), (0, 10)])
    repaired = valid(crossed)
    assert not crossed.is_valid and repaired.is_valid
    assert repaired.difference(shapely.box(0, -1e-6, 10, 10)).area == 0


@st.composite
def rough_outlines(draw):
    """Unions of turned rectangles with holes and bites of any thinness, (1 to 4 parts)."""
    size = st.floats(0.05, 25)
    place = st.floats(-12, 12)
    angle = st.sampled_from([0.0, 0.01, 0.1, 0.5, np.pi / 4])

    def rectangle():
        box = shapely.box(0, 0, draw(size), draw(size))
        turned = shapely.affinity.rotate(box, draw(angle), use_radians=True)
        return shapely.affinity.translate(turned, draw(place), draw(place))

    whole = shapely.union_all([rectangle() for _ in range(draw(st.integers(1, 4)))])
    cut = shapely.union_all([rectangle() for _ in range(draw(st.integers(0, 3)))])
    return [
        part for part in shapely.get_parts(whole.difference(cut)) if part.geom_type == "Polygon"
    ]


@given(rough_outlines())
@settings(max_examples=80, deadline=None)
def test_what_is_tidied_has_no_fault_and_no_new_ground(outlines):
    for shape in outlines:
        if shape.area < 20:
            continue
        clean = tidy(shape)
        if clean is None:
            continue
        assert clean.is_valid
        assert clean.difference(shape).area < 0.01
        assert lengths(clean).min() >= STUB_M - 1e-9
        oriented = shapely.orient_polygons(clean)
        assert min(inner_deg(ring).min() for ring in rings_of(oriented)) >= SHARP_DEG - 1e-9
        assert not has_fault(clean) or notches(clean)
        assert tidy(clean).equals_exact(clean, 1e-6, normalize=True)
