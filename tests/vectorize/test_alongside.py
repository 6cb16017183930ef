"""Laws of masses beside others: parallel where the map leaves it open, turned where it does not."""

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import affinity

from fabricgen.layout import Frame
from fabricgen.plan import paint
from fabricgen.surfaces import BARE, BIT, BUILDING
from fabricgen.vectorize.alongside import turns_around
from fabricgen.vectorize.footprints import FitSettings, footprints, polygon_of_outline

FRAME = Frame("EPSG:32635", 0.0, 128.0, 0.0, 2.0, 64, 64)


def outlines_of(shapes):
    drawn = paint([(s, BIT[BUILDING], float("nan")) for s in shapes], FRAME, ground=BIT[BARE])
    share = drawn.cover[0, BUILDING].numpy().astype(float)
    return footprints(share, FRAME.pixel_m, FitSettings())


def turn_deg(shape):
    """Direction of a footprint's walls, 0…90, rows downward."""
    way = np.diff(shapely.get_coordinates(shape.exterior), axis=0)
    z = np.hypot(*way.T) * np.exp(4j * np.arctan2(way[:, 1], way[:, 0]))
    return float(np.degrees(np.angle(z.sum()) / 4) % 90)


def off_deg(shape, turn):
    """How far a footprint's walls run from a direction given with rows upward."""
    return abs((turn_deg(shape) + turn + 45) % 90 - 45)


def house(k, row):
    """A small house with a step in it."""
    plain = shapely.box(18 + 22 * k, 30 + 26 * row, 27 + 22 * k, 39 + 26 * row)
    return plain.union(shapely.box(27 + 22 * k, 31 + 26 * row, 28.5 + 22 * k, 35 + 26 * row))


@settings(max_examples=12, deadline=None)
@given(turn=st.floats(0, 90))
def test_small_houses_of_one_street_come_back_parallel(turn):
    block = shapely.MultiPolygon([house(k, row) for k in range(4) for row in range(3)])
    turned = affinity.rotate(block, turn, origin=(64, 64))
    found = [polygon_of_outline(outline, 2.0) for outline in outlines_of(turned.geoms)]
    assert len(found) == 12
    off = [off_deg(shape, turn) for shape in found]
    assert np.median(off) < 2.0
    assert max(off) < 5.0


def test_a_house_that_stands_turned_among_others_stays_turned():
    others = [shapely.box(20 + 30 * k, 20, 36 + 30 * k, 32) for k in range(3)]
    turned = affinity.rotate(shapely.box(48, 60, 72, 74), 25)
    found = [polygon_of_outline(outline, 2.0) for outline in outlines_of([*others, turned])]
    best = max(found, key=lambda shape: shape.centroid.y * -1)
    assert off_deg(best, 25) < 1.0
    assert sorted(round(off_deg(shape, 0)) for shape in found)[:3] == [0, 0, 0]


def test_one_mass_alone_has_no_neighbors():
    outlines = outlines_of([shapely.box(20, 20, 50, 40)])
    assert np.isnan(turns_around(outlines)).all()
    assert turns_around([]).shape == (0,)


def test_neighbors_that_do_not_agree_have_no_direction():
    crossed = [
        affinity.rotate(shapely.box(20 + 30 * k, 50, 36 + 30 * k, 62), turn)
        for k, turn in enumerate((0, 20, 45))
    ]
    outlines = sorted(outlines_of(crossed), key=lambda o: polygon_of_outline(o).centroid.x)
    assert np.isnan(turns_around(outlines)).tolist() == [False, True, False]
