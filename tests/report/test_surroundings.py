import numpy as np
import pytest
from report_schemes import FRAME

from fabricgen.report import surroundings_of
from fabricgen.surfaces import BIT, GRASS, OPEN, TREE


def test_boxes_of_one_building_are_one_shape_of_their_area():
    boxes = np.array(
        [(50, 50, 20, 10, 0, 3, 7), (60, 60, 10, 20, 0, 3, 7), (150, 90, 8, 8, 0.4, 2, 9)]
    )
    made = surroundings_of(boxes, np.zeros((0, 6)), np.full((128, 128), OPEN, np.uint8), FRAME)
    assert sorted(made["buildings"].area.round(3)) == pytest.approx([64.0, 200 + 200 - 5 * 5])


def test_only_ground_of_a_known_kind_is_drawn():
    labels = np.full((128, 128), OPEN, np.uint8)
    labels[20:40, 30:60] = BIT[GRASS]
    labels[40:50, 30:60] = BIT[TREE]
    made = surroundings_of(np.zeros((0, 7)), np.zeros((0, 6)), labels, FRAME)
    assert made["green"].area.sum() == pytest.approx(30 * 30 * FRAME.pixel_m**2, rel=0.01)
    assert made["water"].empty and made["paved"].empty and made["buildings"].empty


def test_single_trees_come_out_round():
    labels = np.full((128, 128), OPEN, np.uint8)
    labels[50:53, 50:53] = BIT[TREE]
    crown = surroundings_of(np.zeros((0, 7)), np.zeros((0, 6)), labels, FRAME)["green"].iloc[0]
    area, girth = crown.geometry.area, crown.geometry.length
    assert 4 * np.pi * area / girth**2 > 0.9  # 1: a circle, 0.785: a square
    assert area == pytest.approx((3 * FRAME.pixel_m) ** 2, rel=0.2)


def test_streets_keep_their_length_kind_and_width():
    segments = np.array([(0, 0, 30, 40, 7.0, 2)], dtype=np.float32)
    labels = np.full((128, 128), OPEN, np.uint8)
    road = surroundings_of(np.zeros((0, 7)), segments, labels, FRAME)["roads"].iloc[0]
    assert road.geometry.length == pytest.approx(50)
    assert (road.kind, road.width_m) == ("local", 7.0)
