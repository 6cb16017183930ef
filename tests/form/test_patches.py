"""Patches are what hangs together, and the search for neighbors is exact."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from fabricgen.errors import SettingsError
from fabricgen.form.patches import cut


def test_cells_that_touch_at_a_corner_hang_together_by_eight_but_not_by_four():
    raster = np.array([[1, 2], [2, 1]])
    assert cut(raster, pixel_m=1.0, neighbors=8).cells.tolist() == [2, 2]
    assert cut(raster, pixel_m=1.0, neighbors=4).cells.tolist() == [1, 1, 1, 1]


def test_patches_count_by_category_and_then_in_reading_order():
    raster = np.array([[2, 1, 2, 0], [0, 1, 0, 1], [2, 0, 1, 1]])
    patches = cut(raster, pixel_m=1.0, neighbors=4)
    assert patches.labels.tolist() == [[3, 1, 4, 0], [0, 1, 0, 2], [5, 0, 2, 2]]
    assert patches.category.tolist() == [1, 1, 2, 2, 2]
    assert patches.sides.tolist() == [6, 8, 4, 4, 4]


@pytest.mark.parametrize("seed", range(4))
def test_the_nearest_neighbor_is_the_nearest_of_all_cells(seed):
    rng = np.random.default_rng(seed)
    raster = (rng.random((60, 50)) < 0.01 + 0.1 * seed).astype(int)  # sparse: far neighbors
    patches = cut(raster, pixel_m=3.0)
    for number in range(1, len(patches.cells) + 1):
        own, others = patches.labels == number, (patches.labels != number) & (raster == 1)
        away = cKDTree(np.argwhere(others)).query(np.argwhere(own))[0].min()
        assert patches.nearest_m[number - 1] == pytest.approx(3 * away)


def test_core_is_what_has_all_four_sides_inside_its_patch():
    raster = np.ones((5, 6), dtype=int)
    raster[2, 3] = 0
    assert cut(raster, pixel_m=2.0).core_cells.tolist() == [3 * 4 - 5]


def test_what_is_no_plane_of_integers_is_refused():
    with pytest.raises(SettingsError, match=r"float64 of shape \(2, 2\); give a plane of integers"):
        cut(np.ones((2, 2)), pixel_m=2.0)
    with pytest.raises(SettingsError, match="neighbors: 6; a cell has 4 or 8"):
        cut(np.ones((2, 2), dtype=int), pixel_m=2.0, neighbors=6)
