import math

import numpy as np
import pytest

from fabricgen.city import heights


@pytest.mark.parametrize(
    ("text", "meters"),
    [
        ("12", 12.0),
        ("12.5 m", 12.5),
        ("12,5", 12.5),
        ("12 ft", 3.6576),
        ("12'", 3.6576),
        ("12'6\"", 3.81),
        ("300 cm", 3.0),
        ("~9", 9.0),
    ],
)
def test_lengths_are_read_in_their_unit(text, meters):
    assert heights.length_m(text) == pytest.approx(meters)


@pytest.mark.parametrize("text", [None, "", "tall", "12 floors", "-3", "1e999", "nan"])
def test_what_is_no_length_is_unknown(text):
    assert math.isnan(heights.length_m(text))


def test_of_several_levels_the_highest_counts():
    assert heights.count("3;5") == 5
    assert heights.count("3-4") == 4


def test_roof_levels_lie_on_top_of_known_levels_only():
    assert heights.of_building({"building:levels": "3", "roof:levels": "1"}).floors == 4
    assert math.isnan(heights.of_building({"roof:levels": "1"}).floors)


@pytest.mark.parametrize(
    "words", [{"height": "0"}, {"height": "5000"}, {"height": "6", "min_height": "9"}]
)
def test_a_height_that_cannot_be_is_unknown_and_said(words):
    tall = heights.of_building(words)
    assert math.isnan(tall.height_m) and tall.contradicts


def test_no_height_is_invented():
    height_m, floors = heights.complete(np.array([np.nan]), np.array([np.nan]))
    assert np.isnan(height_m).all() and np.isnan(floors).all()


def test_levels_and_heights_fill_each_other_by_three_meters():
    height_m, floors = heights.complete(
        np.array([np.nan, 11.0, 1.0]), np.array([4.0, np.nan, np.nan])
    )
    assert height_m.tolist() == [12.0, 11.0, 1.0]
    assert floors.tolist() == [4.0, 4.0, 1.0]
