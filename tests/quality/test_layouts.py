"""Distances of layouts, and the search for copies."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabricgen.quality.layouts import (
    Pool,
    Spot,
    alike,
    apart,
    masks_of,
    nearest,
    pack,
    shares_of,
    unpack,
)
from fabricgen.quality.metrics import Set
from fabricgen.quality.rows import MAP
from fabricgen.quality.variety import diversity, memorization
from fabricgen.surfaces import BARE, BIT, BUILDING, ROAD

PX = 128
INSIDE = np.zeros((PX, PX), bool)
INSIDE[32:96, 32:96] = True


def layout(seed, houses=40):
    """Random houses and one street."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((2, PX, PX), bool)
    for _ in range(houses):
        row, col = rng.integers(0, PX - 12, 2)
        high, wide = rng.integers(4, 12, 2)
        masks[0, row : row + high, col : col + wide] = True
    masks[1, :, rng.integers(20, 100) :][:, :4] = True
    masks[0] &= ~masks[1]
    return masks


def pool_of(layouts):
    masks = np.stack(layouts)
    spots = tuple(Spot("c", 1000.0 * n, 0.0, 0.0) for n in range(len(masks)))
    return Pool(None, spots, masks, shares_of(masks))


def test_masks_come_from_the_majority_of_a_pixel():
    labels = np.full((256, 256), BIT[BARE], np.uint8)
    labels[0, 0:2] = labels[2, 2] = BIT[BUILDING]
    labels[4:6, 4:6] = BIT[ROAD]
    masks = masks_of(labels)
    assert masks[0, 0, 0] and not masks[0, 1, 1] and masks[1, 2, 2] and masks.sum() == 2


def test_masks_survive_as_text():
    masks = layout(3)
    assert (unpack(pack(masks)) == masks).all()


def test_a_layout_is_no_distance_from_itself_and_all_from_its_opposite():
    one = layout(1)
    assert apart(one, one, INSIDE) == 0
    full, empty = np.zeros((2, 2, PX, PX), bool)
    full[0] = True
    assert apart(full, empty, INSIDE) == pytest.approx(1 + 0.5 * 2)


def test_distance_by_hand():
    one, other = np.zeros((2, 2, PX, PX), bool)
    one[0, 32:64, 32:96] = True  # the upper half of the site
    other[0, 32:96, 32:96] = True  # all of it
    # IoU one half; in half of the cells the share of buildings differs by 1, and so does the rest.
    assert apart(one, other, INSIDE) == pytest.approx(0.5 + 0.5 * 1.0)


@settings(max_examples=15, deadline=None)
@given(a=st.integers(0, 99), b=st.integers(0, 99))
def test_distance_has_no_direction_and_sees_the_site_alone(a, b):
    one, other = layout(a), layout(b)
    assert apart(one, other, INSIDE) == pytest.approx(apart(other, one, INSIDE))
    changed = other.copy()
    changed[:, ~INSIDE] = False
    assert apart(one, changed, INSIDE) == pytest.approx(apart(one, other, INSIDE))


@pytest.mark.parametrize("flip", range(8))
@pytest.mark.parametrize("shift", [(0, 0), (2, -2)])
def test_a_copy_is_found_in_any_view_and_a_little_aside(flip, shift):
    pool = pool_of([layout(n) for n in range(6)])
    copy = np.roll(pool.masks[4], shift, axis=(1, 2))
    copy = np.rot90(copy[..., ::-1] if flip >= 4 else copy, flip % 4, axes=(1, 2))
    away, number = nearest(copy, INSIDE, pool)
    assert away == pytest.approx(0, abs=1e-9) and number == 4
    assert nearest(copy, INSIDE, pool, leave=4)[0] > 0.3


def test_alike_windows_have_alike_shares():
    pool = pool_of([layout(n, houses=10 * n) for n in range(6)])
    wanted = (pool.masks[3] & INSIDE).sum(axis=(1, 2)) / INSIDE.sum()
    assert alike(wanted, INSIDE, pool, 2)[0] == 3


@pytest.fixture
def place(make_place):
    return make_place(name="p")


def rows_of(layouts, places):
    return Set([{MAP: pack(one)} for one in layouts], list(places))


def test_copies_of_training_windows_are_told_and_new_ones_not(make_place):
    train = pool_of([layout(n) for n in range(6)])
    places = {f"p{n}": make_place(name=f"p{n}") for n in range(4)}
    real = rows_of([layout(100 + n) for n in range(4)], places)
    new = memorization(rows_of([layout(200 + n) for n in range(4)], places), real, places, train)
    copies = [np.rot90(train.masks[n], 1, axes=(1, 2)) for n in range(4)]
    copied = memorization(rows_of(copies, places), real, places, train)
    assert new["memorisation.nn_ratio"]["value"] == pytest.approx(1, abs=0.2)
    assert new["memorisation.near_share"]["value"] < 0.5
    assert copied["memorisation.nn_ratio"]["value"] < 0.1
    assert copied["memorisation.near_share"]["value"] == 1
    assert copied["memorisation.authenticity"]["value"] == 0


def test_one_plan_repeated_has_no_diversity_and_as_many_reals_have_one(make_place):
    site = {"p": make_place(name="p")}
    at = site["p"].site.boundary.centroid
    far = tuple(Spot("c", at.x + 5000, at.y, 0.0) for _ in range(30))
    masks = np.stack([layout(n) for n in range(30)])
    city = Pool(SimpleNamespace(), far, masks, shares_of(masks))
    same = [rows_of([layout(50)], ["p"]) for _ in range(4)]
    assert diversity(same, site, city)["diversity.ratio"]["value"] == 0
    other = [rows_of([layout(60 + n)], ["p"]) for n in range(4)]
    assert diversity(other, site, city)["diversity.ratio"]["value"] == pytest.approx(1, abs=0.2)
    assert diversity(same[:1], site, city) == {}
