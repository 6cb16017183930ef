import numpy as np

from fabricgen.generator.paths import path_mask
from fabricgen.surfaces import LOCAL, PATH


def test_a_path_covers_its_area_and_roads_do_not_count():
    path = [20.0, 51.0, 220.0, 51.0, 6.0, PATH]
    road = [20.0, 90.0, 220.0, 90.0, 6.0, LOCAL]
    mask = path_mask(np.array([path, road], np.float32), (128, 128), pixel_m=2.0)
    assert abs(mask.sum() * 4 - 6 * 200) < 60  # and round ends
    assert not mask[40:50].any()


def test_a_thin_slanting_path_connects_and_one_outside_leaves_nothing():
    inside = [-10.0, 3.0, 300.0, 221.0, 1.0, PATH]
    outside = [-50.0, -80.0, -10.0, 300.0, 2.0, PATH]
    mask = path_mask(np.array([inside, outside], np.float32), (128, 128), pixel_m=2.0)
    assert mask.any(axis=0).all()
    assert not path_mask(np.array([outside]), (128, 128), pixel_m=2.0).any()
    assert path_mask(np.zeros((0, 6)), (128, 128), pixel_m=2.0).shape == (128, 128)
