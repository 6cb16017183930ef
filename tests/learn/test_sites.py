import numpy as np
import pytest
import torch

from fabricgen.city.store import TileStore
from fabricgen.form.indicators import BRIEF_KEYS, asks_of, of_layout
from fabricgen.generator.conditions import PIXEL_M, WINDOW_PX
from fabricgen.layout import from_labels
from fabricgen.learn.sites import BLOCK_M2, draw_site, measure_asks
from fabricgen.surfaces import BIT, BUILDING, GRASS, OPEN, PAVED, ROAD, TREE

SIZE = (WINDOW_PX, WINDOW_PX)


@pytest.fixture
def window(stores):
    return TileStore.open(stores).window("gridton", 5e5 + 512, 6e6 - 512)


def test_asks_of_a_mapped_site_are_the_indicators_of_its_layout(window):
    rng = np.random.default_rng(3)
    height = window.height_dm.astype(np.float32) / 10
    for _ in range(20):
        site = draw_site(window.labels, rng)
        tensors = [torch.from_numpy(a.copy())[None] for a in (window.labels, height, height > 0)]
        expected = asks_of(of_layout(from_labels(*tensors), torch.from_numpy(site)[None]))[0]
        np.testing.assert_allclose(measure_asks(window.labels, height, site), expected, rtol=1e-4)


def test_sites_keep_their_promised_sizes_and_all_three_shapes_come(window):
    rng = np.random.default_rng(0)
    areas = []
    for _ in range(200):
        site = draw_site(window.labels, rng)
        areas.append(site.sum() * PIXEL_M**2)
        assert site.shape == SIZE
        assert min(96**2 * 0.9, BLOCK_M2[0]) <= areas[-1] <= 240**2
    whole = np.isclose(areas, 224**2).mean()
    block = (np.array(areas) < 90**2).mean()  # the blocks of this city are 70 m wide
    assert 0.05 < whole < 0.3
    assert 0.1 < block < 0.4


def test_unmapped_ground_gives_no_green_ask_but_keeps_the_others():
    labels = np.full(SIZE, OPEN, np.uint8)
    labels[:20] = BIT[ROAD]
    labels[40:60, 40:60] = BIT[BUILDING]
    height = np.where(labels == BIT[BUILDING], 9.0, 0.0)
    asks = dict(zip(BRIEF_KEYS, measure_asks(labels, height, np.ones(SIZE, bool)), strict=True))
    assert np.isnan(asks["green_ratio"]) and np.isnan(asks["tree_share"])
    assert asks["road_share"] == pytest.approx(20 / 128)
    assert asks["site_coverage"] == pytest.approx(400 / 128**2)
    assert asks["far"] == pytest.approx(3 * 400 / 128**2)


def test_ground_open_between_tree_and_grass_is_green_but_no_known_tree():
    labels = np.full(SIZE, BIT[TREE] | BIT[GRASS], np.uint8)
    labels[:, :64] = BIT[PAVED]
    asks = dict(
        zip(BRIEF_KEYS, measure_asks(labels, np.zeros(SIZE), np.ones(SIZE, bool)), strict=True)
    )
    assert asks["green_ratio"] == pytest.approx(0.5)
    assert np.isnan(asks["tree_share"])
    assert asks["far"] == 0 and np.isnan(asks["mean_height_m"])


def test_too_few_known_heights_give_neither_floor_area_nor_height():
    labels = np.full(SIZE, BIT[BUILDING], np.uint8)
    height = np.zeros(SIZE)
    height[:90] = 12.0  # 70 % known
    asks = dict(zip(BRIEF_KEYS, measure_asks(labels, height, np.ones(SIZE, bool)), strict=True))
    assert np.isnan(asks["far"]) and np.isnan(asks["mean_height_m"])
    height[:105] = 12.0  # 82 %
    asks = dict(zip(BRIEF_KEYS, measure_asks(labels, height, np.ones(SIZE, bool)), strict=True))
    assert asks["far"] == pytest.approx(4.0) and asks["mean_height_m"] == pytest.approx(12.0)


def test_a_site_without_data_asks_nothing():
    asks = measure_asks(np.zeros(SIZE, np.uint8), np.zeros(SIZE), np.ones(SIZE, bool))
    assert np.isnan(asks).all()
