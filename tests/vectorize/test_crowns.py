"""Laws of crowns: discs come back as trees, alone and in groups; what is no tree stays."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from fabricgen.layout import Frame
from fabricgen.plan import BIT, paint
from fabricgen.surfaces import BARE, TREE
from fabricgen.vectorize.crowns import CrownSettings, crowns_of

FRAME = Frame("EPSG:32635", 0.0, 60.0, 0.0, 1.0, 60, 60)


def crowns(*shapes):
    """Crowns of shapes, with rows upward as in the shapes."""
    drawn = paint([(s, BIT[TREE], float("nan")) for s in shapes], FRAME, ground=BIT[BARE])
    share = drawn.cover[0, TREE].numpy().astype(float)
    found = crowns_of(share, FRAME.pixel_m, CrownSettings())
    return found.stem * [1, -1] + [0, 60], found.width_m, found.pixels


def disc(x, y, width_m):
    return shapely.Point(x, y).buffer(width_m / 2, quad_segs=32)


@settings(max_examples=30, deadline=None)
@given(x=st.floats(10, 50), y=st.floats(10, 50), width_m=st.floats(4, 12))
def test_a_crown_comes_back_where_and_as_wide_as_it_was(x, y, width_m):
    stem, found_m, _ = crowns(disc(x, y, width_m))
    assert stem == pytest.approx(np.array([[x, y]]), abs=0.3)
    assert found_m == pytest.approx([width_m], rel=0.06)


def test_crowns_that_touch_come_back_one_by_one():
    places = np.array([[15, 30], [21, 31], [27, 30], [30, 35]])
    stem, width_m, _ = crowns(*(disc(*place, 6) for place in places))
    assert np.hypot(*(stem[:, None] - places).transpose(2, 0, 1)).min(axis=0).max() < 1.0
    assert width_m == pytest.approx([6] * 4, rel=0.2)


@pytest.mark.parametrize(
    "shape",
    [
        shapely.box(10, 10, 50, 12.2),  # a hedge
        shapely.box(5, 5, 55, 55),  # a wood
        shapely.box(20, 20, 22, 23),  # too small
    ],
)
def test_what_is_no_tree_stays_a_patch(shape):
    stem, _, pixels = crowns(shape)
    assert len(stem) == 0
    assert not pixels.any()


def test_no_canopy_has_no_crowns():
    stem, width_m, pixels = crowns()
    assert stem.shape == (0, 2)
    assert width_m.shape == (0,)
    assert not pixels.any()
