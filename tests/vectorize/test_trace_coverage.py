"""Exact coverage of pixels by polygons, held against areas of intersections and against trials."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from fabricgen.vectorize.coverage import cut, render

ROWS, COLS = 9, 11


def covered(shape: shapely.Polygon) -> np.ndarray:
    rings = [
        shapely.get_coordinates(r)
        for r in (
            shapely.orient_polygons(shape).exterior,
            *shapely.orient_polygons(shape).interiors,
        )
    ]
    starts = np.concatenate([ring[:-1] for ring in rings])
    ends = np.concatenate([ring[1:] for ring in rings])
    return render(cut(starts, ends), (ROWS, COLS))


def truth(shape: shapely.Polygon) -> np.ndarray:
    cells = [[shapely.box(c, r, c + 1, r + 1) for c in range(COLS)] for r in range(ROWS)]
    return shapely.area(shapely.intersection(np.array(cells, dtype=object), shape))


corner = st.tuples(st.floats(-4, COLS + 4), st.floats(-4, ROWS + 4))


@given(st.lists(corner, min_size=3, max_size=7))
def test_coverage_is_the_area_of_the_intersection_with_each_pixel(points):
    shape = shapely.MultiPoint(points).convex_hull
    if shape.geom_type == "Polygon" and shape.area > 1e-6:
        assert covered(shape) == pytest.approx(truth(shape), abs=1e-9)


def test_courts_are_left_out():
    shape = shapely.box(1.3, 1.2, 8.6, 7.7).difference(shapely.box(3.25, 2.5, 6.1, 5.9))
    assert covered(shape) == pytest.approx(truth(shape), abs=1e-12)


def test_walls_along_the_grid_cover_whole_pixels():
    assert covered(shapely.box(2, 3, 5, 6)).sum() == pytest.approx(9)
