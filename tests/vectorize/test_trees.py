"""Laws of stems and crowns."""

import numpy as np
import pytest
import shapely

from fabricgen.vectorize.settings import DrawSettings
from fabricgen.vectorize.trees import Trees, canopy, plant, spaced

SETTINGS = DrawSettings()


def spaced_slowly(points, spacing_m, taken):
    kept = []
    for k, point in enumerate(points):
        others = [*taken, *points[kept]]
        if all(np.hypot(*(point - other)) >= spacing_m for other in others):
            kept.append(k)
    return kept


@pytest.mark.parametrize("seed", range(4))
def test_stems_are_kept_in_turn_if_none_before_is_nearer(seed):
    rng = np.random.default_rng(seed)
    points, taken = rng.uniform(0, 60, (200, 2)), rng.uniform(0, 60, (10, 2))
    assert spaced(points, 6.5, taken).tolist() == spaced_slowly(points, 6.5, taken)
    assert spaced(points, 6.5).tolist() == spaced_slowly(points, 6.5, [])


def test_the_canopy_covers_as_much_as_the_mask():
    v, u = (np.mgrid[:64, :64] + 0.5) * 2.0
    mask = (np.hypot(u - 40, v - 40) < 25) | ((v > 90) & (v < 104))
    trees = plant(
        mask, 2.0, region=shapely.box(0, 0, 128, 128), rng=np.random.default_rng(0),
        settings=SETTINGS,
    )  # fmt: skip
    assert canopy(trees, shapely.box(0, 0, 128, 128)).area == pytest.approx(mask.sum() * 4, rel=0.1)


def test_small_gaps_between_crowns_belong_to_the_canopy():
    place = np.array([(0, 0), (6, 0), (3, 5.2)], dtype=float)
    trees = Trees(place, np.full(3, 6.4))
    whole = canopy(trees, shapely.box(-20, -20, 20, 20))
    assert whole.geom_type in ("Polygon", "MultiPolygon")
    assert all(len(part.interiors) == 0 for part in shapely.get_parts(whole))
