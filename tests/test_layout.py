"""The contract of layouts: what passes the door, what does not, and what hardening keeps."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fabricgen.errors import LayoutError
from fabricgen.layout import (
    Frame,
    Layout,
    check,
    compose,
    crop,
    from_labels,
    harden,
    stack,
    to_labels,
)
from fabricgen.surfaces import ANY, BIT, BUILDING, GRASS, OPEN, ROAD, TREE


def soft(seed: int = 0, *, rows: int = 5, cols: int = 7) -> Layout:
    """Random shares of all surfaces and of what is unknown."""
    rng = torch.Generator().manual_seed(seed)
    shares = torch.softmax(2 * torch.randn(2, 9, rows, cols, generator=rng), dim=1)
    return Layout(
        shares[:, :8],
        torch.full((2, rows, cols), 12.0),
        torch.full((2, rows, cols), ANY, dtype=torch.uint8),
        torch.ones(2, rows, cols, dtype=torch.bool),
    )


def labels(*values: int) -> Layout:
    """One row of pixels from allowed bytes, buildings 9 m high."""
    allowed = torch.tensor([[list(values)]], dtype=torch.uint8)
    return from_labels(allowed, torch.full(allowed.shape, 9.0), allowed == BIT[BUILDING])


def test_a_sound_layout_passes_and_comes_back_itself():
    layout = soft()
    assert check(layout) is layout


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: {"cover": x.cover[:, :7]}, "cover has shape"),
        (lambda x: {"cover": x.cover.long()}, "cover is torch.int64"),
        (lambda x: {"height_m": x.height_m[:, :2]}, "height_m is"),
        (lambda x: {"allowed": x.allowed.long()}, "allowed is"),
        (lambda x: {"height_known": x.allowed}, "height_known is"),
        (lambda x: {"pixel_m": 0.0}, "pixels of 0.0 m"),
        (lambda x: {"cover": x.cover * math.nan}, "NaN or infinite"),
        (lambda x: {"height_m": x.height_m / 0}, "NaN or infinite"),
        (lambda x: {"cover": x.cover * 2}, "sum up to"),
        (lambda x: {"cover": -x.cover}, "run from -"),
        (lambda x: {"allowed": x.allowed & ~BIT[TREE]}, "not allowed"),
        (lambda x: {"height_m": x.height_m * 100}, "heights run from"),
        (lambda x: {"height_m": -x.height_m}, "heights run from -12"),
        (lambda x: {"height_known": ~x.height_known}, "a height stands where it is not known"),
    ],
)
def test_each_break_of_the_contract_is_named_in_one_line(change, message):
    layout = soft()
    with pytest.raises(LayoutError, match=message) as caught:
        check(replace(layout, **change(layout)))
    assert "\n" not in str(caught.value) and caught.value.fix


def test_a_pixel_with_one_allowed_surface_is_wholly_that_surface():
    layout = labels(BIT[ROAD])
    with pytest.raises(LayoutError, match="not wholly that surface"):
        check(replace(layout, cover=layout.cover * 0.5))


def test_no_height_is_known_where_there_is_no_data():
    layout = labels(0)
    with pytest.raises(LayoutError, match="no data"):
        check(replace(layout, height_known=torch.ones_like(layout.height_known)))


def test_a_complete_layout_is_asked_for_by_share():
    with pytest.raises(LayoutError, match=r"50\.0% of the area has no known surface"):
        check(labels(BIT[GRASS], OPEN), complete=True)
    assert check(labels(BIT[GRASS], BIT[ROAD]), complete=True).is_complete


def test_labels_give_shares_only_where_one_surface_is_allowed():
    layout = labels(BIT[BUILDING], BIT[ROAD], OPEN, 0)
    assert layout.is_hard and not layout.is_complete
    assert layout.unknown[0, 0].tolist() == [0, 0, 1, 1]
    assert layout.height_m[0, 0].tolist() == [9, 0, 0, 0]
    assert layout.area_m2()[0, BUILDING] == 4.0
    assert to_labels(layout)[0, 0].tolist() == [BIT[BUILDING], BIT[ROAD], OPEN, 0]


@pytest.mark.parametrize(
    ("allowed", "nats"),
    [(BIT[GRASS], math.log(8)), (BIT[GRASS] | BIT[TREE] | BIT[ROAD], math.log(8 / 3)), (ANY, 0.0)],
)
def test_a_uniform_guess_costs_log_8_where_known_and_log_8_thirds_where_three_are_open(
    allowed, nats
):
    bits = torch.tensor(BIT, dtype=torch.uint8)
    may = (labels(allowed).allowed[0, 0, 0] & bits) > 0  # (8,)
    assert float(-torch.full((8,), 1 / 8)[may].sum().log()) == pytest.approx(nats, abs=1e-6)


def test_hardening_takes_the_largest_share_and_is_idempotent():
    layout = soft(3)
    hard = check(harden(layout))
    parts = torch.cat([layout.cover, layout.unknown[:, None]], dim=1)
    known = parts.argmax(dim=1) < 8
    assert hard.is_hard
    assert torch.equal(hard.cover.sum(dim=1) == 1, known)
    assert torch.equal(hard.cover.argmax(dim=1)[known], parts.argmax(dim=1)[known])
    again = harden(hard)
    assert torch.equal(again.cover, hard.cover) and torch.equal(again.allowed, hard.allowed)


def test_ties_go_to_the_lower_index():
    layout = soft(rows=1, cols=1)
    even = torch.zeros_like(layout.cover)
    even[:, [TREE, ROAD]] = 0.5
    assert (harden(replace(layout, cover=even)).allowed == BIT[ROAD]).all()


def test_a_hardened_layout_lets_the_gradient_through_when_asked():
    layout = soft(1)
    cover = layout.cover.clone().requires_grad_()
    hard = harden(replace(layout, cover=cover), straight_through=True)
    weight = torch.arange(8.0).reshape(1, 8, 1, 1)
    (hard.cover * weight).sum().backward()
    torch.testing.assert_close(cover.grad, weight.expand_as(cover))
    torch.testing.assert_close(hard.cover.detach(), harden(layout).cover)


def test_composing_cropping_and_stacking_keep_the_contract():
    a, b = soft(0), soft(1)
    mask = torch.zeros(2, 5, 7, dtype=torch.bool)
    mask[:, :2] = True
    both = check(compose(mask, a, b))
    assert torch.equal(crop(both, slice(0, 2), slice(0, 7)).cover, a.cover[:, :, :2])
    assert torch.equal(crop(both, slice(2, 5), slice(0, 7)).cover, b.cover[:, :, 2:])
    assert torch.equal(stack([a, b]).cover[2:], b.cover)
    with pytest.raises(LayoutError, match="different size"):
        stack([a, replace(b, pixel_m=1.0)])


frames = st.builds(
    Frame,
    crs=st.just("EPSG:32635"),
    x_m=st.floats(1e5, 9e5),
    y_m=st.floats(0, 9e6),
    angle_deg=st.floats(-180, 360),
    pixel_m=st.floats(0.1, 100),
    rows=st.just(4),
    cols=st.just(4),
)


@settings(max_examples=60, deadline=None)
@given(frame=frames, row=st.floats(-500, 500), col=st.floats(-500, 500))
def test_world_and_grid_are_each_others_inverse(frame, row, col):
    x_m, y_m = frame.to_world(row, col)
    back = frame.from_world(x_m, y_m)
    assert back == pytest.approx((row, col), abs=1e-6 / frame.pixel_m)


@settings(max_examples=30, deadline=None)
@given(frame=frames)
def test_a_frame_turns_clockwise_from_north_and_keeps_lengths(frame):
    x_m, y_m = frame.to_world(np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, 1.0]))
    turn = math.radians(frame.angle_deg)
    up = (x_m[1] - x_m[0], y_m[1] - y_m[0])
    right = (x_m[2] - x_m[0], y_m[2] - y_m[0])
    size = frame.pixel_m
    assert up == pytest.approx((math.sin(turn) * size, math.cos(turn) * size), abs=1e-6)
    assert right == pytest.approx((math.cos(turn) * size, -math.sin(turn) * size), abs=1e-6)
