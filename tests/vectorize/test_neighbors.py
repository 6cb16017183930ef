"""Laws of walls between buildings: no alley too narrow, fronts in line, nothing taken from others."""

import pytest
import shapely
from shapely import affinity

from fabricgen.vectorize.neighbors import fit_neighbors
from fabricgen.vectorize.settings import DrawSettings

SETTINGS = DrawSettings()


def fit(*shapes, fixed=()):
    return fit_neighbors(list(shapes), shapely.STRtree(list(fixed)), SETTINGS)


def test_a_narrow_alley_becomes_a_party_wall():
    first, second = fit(shapely.box(0, 0, 10, 12), shapely.box(10.5, 2, 20, 14))
    assert first.intersection(second).length == pytest.approx(10)
    assert first.intersection(second).area == pytest.approx(0, abs=1e-9)
    assert shapely.get_num_coordinates([first, second]).tolist() == [5, 5]


def test_a_wedge_between_walls_that_are_not_parallel_closes_too():
    turned = affinity.rotate(shapely.box(10.4, 0, 20, 12), -2.0, origin=(10.4, 0))
    first, second = fit(shapely.box(0, 0, 10, 12), turned)
    assert first.distance(second) == pytest.approx(0, abs=1e-9)
    assert first.intersection(second).length > 11


def test_an_alley_with_something_in_it_opens():
    path = shapely.box(10.1, -5, 10.4, 20)
    first, second = fit(shapely.box(0, 0, 10, 12), shapely.box(10.5, 0, 20, 12), fixed=[path])
    assert first.distance(second) == pytest.approx(SETTINGS.alley_open_m)
    assert shapely.union(first, second).intersection(path).area == 0


def test_a_wide_alley_stays():
    given = [shapely.box(0, 0, 10, 12), shapely.box(11, 0, 20, 12)]
    assert fit(*given) == [shapely.orient_polygons(shape) for shape in given]


@pytest.mark.parametrize("step_m", [-1.0, -0.3, 0.3, 1.0])
def test_the_shorter_front_moves_to_the_line_of_the_longer(step_m):
    long, short = shapely.box(0, 0, 16, 12), shapely.box(16, step_m, 24, 12)
    first, second = fit(long, short)
    assert first.equals(shapely.orient_polygons(long))
    assert second.bounds == pytest.approx((16, 0, 24, 12))


def test_deep_steps_between_fronts_stay():
    given = [shapely.box(0, 0, 16, 12), shapely.box(16, 2.5, 24, 12)]
    assert fit(*given) == [shapely.orient_polygons(shape) for shape in given]


def test_a_front_does_not_move_onto_a_street():
    street = shapely.box(-10, -6, 40, -0.2)
    first, second = fit(shapely.box(0, 0.5, 9, 12), shapely.box(9, 0.0, 24, 12), fixed=[street])
    assert first.bounds[1] == second.bounds[1] == pytest.approx(0)
    taken = shapely.box(0, 0.1, 9, 0.4)
    first, second = fit(shapely.box(0, 0.5, 9, 12), shapely.box(9, 0.0, 24, 12), fixed=[taken])
    assert first.intersection(taken).area == 0


def test_a_jog_in_one_wall_goes():
    shape = shapely.union(shapely.box(0, 0, 14, 12), shapely.box(14, 1.1, 20, 12))
    (straight,) = fit(shape)
    assert straight.equals_exact(shapely.box(0, 0, 20, 12), 1e-9, normalize=True)


def test_neighbors_on_all_sides_stay_disjoint():
    given = [
        shapely.box(12.4 * i + 0.3 * (j % 2), 12.3 * j, 12.4 * i + 12 + 0.2 * j, 12.3 * j + 12)
        for i in range(4)
        for j in range(4)
    ]
    drawn = fit(*given)
    assert shapely.area(drawn).sum() == pytest.approx(shapely.union_all(drawn).area, abs=1e-3)
