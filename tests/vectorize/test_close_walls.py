"""Walls moved outward: the area asked, straight, and on nobody's ground."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from fabricgen.vectorize.close_walls import DEPTHS_M, push_walls

SITE = shapely.box(0, 0, 110, 110)
NOTHING = shapely.Polygon()


def push(shapes, goal_m2, *, inside=SITE, blocked=NOTHING):
    houses = np.array(shapes, dtype=object)
    return push_walls(houses, goal_m2, inside=inside, blocked=blocked, slit_m=3.0)


def test_a_free_house_grows_by_one_straight_wall_to_the_area_asked():
    house = shapely.box(40, 40, 60, 50)
    (grown,) = push([house], 260.0)
    assert grown.area == pytest.approx(260, abs=0.01)
    assert len(shapely.get_coordinates(grown.simplify(0.01).exterior)) == 5  # still a rectangle
    assert grown.contains(house.buffer(-0.01))


def test_what_has_room_already_stays_as_it_is():
    house = shapely.box(40, 40, 60, 50)
    assert push([house], 150.0)[0].equals(house)


def test_a_hemmed_in_house_stays_and_nothing_is_forced():
    house = shapely.box(0, 0, 110, 110)
    assert push([house], 20_000.0)[0].equals(house)


def test_streets_and_neighbors_keep_their_ground():
    house, neighbor = shapely.box(20, 20, 40, 30), shapely.box(20, 34, 40, 44)
    street = shapely.box(0, 10, 100, 18.5)
    grown, same = push([house, neighbor], 2000.0, blocked=street)
    assert shapely.area(shapely.intersection(grown, street)) == 0
    assert grown.distance(same) >= 3.0 - 1e-9
    assert grown.area > house.area  # to the sides there was room


def test_houses_wall_to_wall_stay_so():
    left, right = shapely.box(20, 20, 32, 40), shapely.box(32, 20, 44, 40)
    grown = push([left, right], 700.0)
    assert shapely.area(shapely.intersection(*grown)) < 0.02
    assert shapely.area(grown).sum() == pytest.approx(700, abs=0.05)


@st.composite
def blocks(draw):
    """Houses on a raster, some wall to wall."""
    count = draw(st.integers(1, 6))
    cells = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=count,
                          max_size=count, unique=True))  # fmt: skip
    return [
        shapely.box(
            5 + 24 * col, 5 + 24 * row,
            5 + 24 * col + draw(st.sampled_from([10, 16, 24])),
            5 + 24 * row + draw(st.sampled_from([8, 12, 24])),
        )
        for col, row in cells
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(blocks(), st.floats(1.0, 2.0))
def test_growing_makes_no_overlap_and_no_house_smaller(houses, factor):
    before = np.array(houses, dtype=object)
    goal_m2 = factor * shapely.area(before).sum()
    after = push(houses, goal_m2)
    assert shapely.is_valid(after).all() and shapely.covers(SITE.buffer(1e-6), after).all()
    assert (shapely.area(after) >= shapely.area(before) - 1e-6).all()
    assert shapely.area(after).sum() <= goal_m2 + 0.5
    overlap = shapely.area(after).sum() - shapely.union_all(after).area
    assert overlap < 0.01 * len(after) ** 2
    assert (shapely.hausdorff_distance(after, before) <= 2 * DEPTHS_M[0]).all()
