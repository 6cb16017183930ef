"""Whatever is proposed, footprints come out clean: tried on random boxes, sites and streets."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon

from fabricgen.surfaces import GRASS, WATER
from fabricgen.vectorize import DrawSettings
from fabricgen.vectorize.buildings import draw_buildings
from fabricgen.vectorize.streets import Street, surface
from fabricgen.vectorize.walls import inner_deg, rings_of

SETTINGS = DrawSettings()
STUB_M = 0.5
SHARP_DEG = 15.0
DUST_M2 = 0.01
EDGE_M = 0.05


@st.composite
def proposals_of_chance(draw):
    """Boxes near and across each other, a site of three to seven corners, a few streets."""
    count = draw(st.integers(1, 14))
    place = st.floats(5, 115)
    angles = st.sampled_from([0.0, 0.02, 0.05, 0.1, 0.15, 0.4, 0.7])
    boxes = [
        (
            draw(place),
            draw(place),
            draw(st.floats(2, 45)),
            draw(st.floats(2, 20)),
            draw(angles) + draw(st.floats(-0.03, 0.03)),
            draw(st.integers(1, 9)),
            draw(st.integers(0, count)),
        )
        for _ in range(count)
    ]
    corners = draw(st.integers(3, 7))
    turn = np.arange(corners) * 2 * np.pi / corners + draw(st.floats(0, 1.5))
    reach = np.array([draw(st.floats(40, 75)) for _ in range(corners)])
    site = Polygon(60 + reach[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1))
    streets = [
        Street(
            shapely.LineString(
                [(draw(place), draw(place)) for _ in range(draw(st.integers(2, 3)))]
            ),
            draw(st.integers(0, 4)),
            draw(st.floats(2, 14)),
        )
        for _ in range(draw(st.integers(0, 3)))
    ]
    return np.array(boxes), site, [street for street in streets if street.line.length > 5]


def footprints_of(boxes, site, streets):
    obstacles = list(surface(streets, margin_m=1.0, square=True)) if streets else []
    runs = [shapely.get_coordinates(street.line) for street in streets]
    pieces = [np.concatenate([run[:-1], run[1:]], axis=1) for run in runs]
    lines = np.concatenate([np.zeros((0, 4)), *pieces])
    drawn = draw_buildings(boxes, obstacles=obstacles, lines=lines, site=site, settings=SETTINGS)
    return np.array([footprint.shape for footprint in drawn], dtype=object), obstacles


def assert_clean(shapes, site, obstacles):
    assert shapely.is_valid(shapes).all()
    assert shapely.covers(site.buffer(EDGE_M), shapes).all()
    assert (shapely.area(shapes) >= SETTINGS.min_building_m2).all()
    for shape in shapes:
        for ring in rings_of(shapely.orient_polygons(shape)):
            assert np.hypot(*(np.roll(ring, -1, axis=0) - ring).T).min() >= STUB_M
            assert inner_deg(ring).min() >= SHARP_DEG
    first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    pair = first < second
    common = shapely.intersection(shapes[first[pair]], shapes[second[pair]])
    assert (shapely.area(common) < DUST_M2).all()
    for obstacle in obstacles:
        assert (shapely.area(shapely.intersection(shapes, obstacle)) < DUST_M2).all()


@given(proposals_of_chance())
@settings(max_examples=60, deadline=None)
def test_footprints_are_clean(proposal):
    boxes, site, streets = proposal
    shapes, obstacles = footprints_of(boxes, site, streets)
    assert_clean(shapes, site, obstacles)


@pytest.mark.slow
@given(proposals_of_chance())
@settings(max_examples=1500, deadline=None)
def test_footprints_are_clean_at_length(proposal):
    boxes, site, streets = proposal
    shapes, obstacles = footprints_of(boxes, site, streets)
    assert_clean(shapes, site, obstacles)


def test_walls_nearly_along_a_street_run_along_it():
    boxes = np.array([(100, 100, 30, 12, 0.10, 4, 0), (140, 98, 20, 12, -0.05, 4, 1)])
    lines = np.array([(40.0, 80.0, 200.0, 84.0)])
    site = shapely.box(20, 20, 230, 230)
    drawn = draw_buildings(boxes, obstacles=[], lines=lines, site=site, settings=SETTINGS)
    for footprint in drawn:
        box = shapely.get_coordinates(shapely.oriented_envelope(footprint.shape))
        step = box[1] - box[0]
        turn = (np.arctan2(step[1], step[0]) - np.arctan2(4, 160)) % (np.pi / 2)
        assert min(turn, np.pi / 2 - turn) < 1e-6


def test_small_water_becomes_grass(proposals):
    v, u = (np.mgrid[:128, :128] + 0.5) * 2.0
    nothing = {"boxes": np.zeros((0, 7)), "segments": np.zeros((0, 6))}
    for radius_m, ponds in ((5, 0), (12, 1)):
        ground = np.where(np.hypot(u - 120, v - 120) < radius_m, WATER, GRASS).astype(np.uint8)
        plan = proposals.draw(ground=ground, **nothing)
        assert len(plan.water) == ponds
        assert (plan.water.area >= SETTINGS.min_pond_m2).all()
