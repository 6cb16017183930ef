"""Laws of streets beside walls: none on a wall, narrower rather than cut, in one piece."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from fabricgen.plan import layer, road_polygons
from fabricgen.vectorize.road_beside import beside

CRS = "EPSG:32635"


def street(line, width_m=7.0):
    row = {"id": "r1", "source": "drawn", "kind": "local", "width_m": width_m, "geometry": line}
    return layer("roads", CRS, [row])


def test_a_street_far_from_walls_stays_as_it_is():
    roads = beside(street(shapely.LineString([(0, 0), (100, 0)])), shapely.box(0, 10, 100, 20))
    assert roads["width_m"].tolist() == [7.0]
    assert roads.geometry.iloc[0].equals(shapely.LineString([(0, 0), (100, 0)]))


def test_a_street_with_a_little_less_room_is_narrower_all_along():
    roads = beside(street(shapely.LineString([(0, 0), (100, 0)])), shapely.box(40, 3, 60, 20))
    assert roads["width_m"].tolist() == [pytest.approx(5.96)]


def test_a_tight_place_is_passed_in_one_piece():
    walls = shapely.MultiPolygon([shapely.box(40, 1.2, 60, 9), shapely.box(40, -9, 60, -1.2)])
    roads = beside(street(shapely.LineString([(0, 0), (100, 0)])), walls)
    assert roads["width_m"].min() == 2.0
    assert roads["width_m"].max() == 7.0
    assert roads.length.sum() == pytest.approx(100)
    assert shapely.line_merge(shapely.union_all(roads.geometry.to_numpy())).length == (
        pytest.approx(100)
    )
    ends = [xy for line in roads.geometry for xy in (line.coords[0], line.coords[-1])]
    assert len(set(ends)) == len(roads) + 1


def test_a_house_on_the_middle_of_a_street_cuts_it():
    roads = beside(street(shapely.LineString([(0, 0), (100, 0)])), shapely.box(40, -10, 60, 10))
    shapes = road_polygons(roads)
    assert shapely.union_all(shapes).distance(shapely.box(40, -10, 60, 10)) > 0
    assert roads.length.sum() == pytest.approx(80, abs=2 * 4)
    assert roads["id"].is_unique


def test_a_street_in_a_house_goes():
    roads = beside(street(shapely.LineString([(0, 0), (20, 0)])), shapely.box(-9, -9, 60, 10))
    assert len(roads) == 0


def test_short_dead_ends_of_a_cut_go():
    roads = beside(street(shapely.LineString([(0, 0), (100, 0)])), shapely.box(3, -10, 60, 10))
    assert roads.total_bounds[0] > 60


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_no_street_stands_on_a_wall(seed):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 100, (12, 2))
    size = rng.uniform(3, 15, (12, 2))
    built = shapely.union_all(shapely.box(*corner.T, *(corner + size).T))
    line = shapely.LineString(rng.uniform(0, 110, (4, 2)))
    roads = beside(street(line, width_m=float(rng.uniform(1, 15))), built)
    assert shapely.union_all(road_polygons(roads)).intersection(built).area < 1e-6
    assert roads["width_m"].max() <= 15 if len(roads) else True
