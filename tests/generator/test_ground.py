import math

import numpy as np
import pytest
import torch

from fabricgen.generator import ground
from fabricgen.generator.conditions import Boxes, Conditions, Segments, SiteSample
from fabricgen.generator.ground import FIXED_LOG_P, GroundModel, GroundSettings
from fabricgen.generator.steering import Constraint, kl_tilt
from fabricgen.layout import from_labels
from fabricgen.surfaces import (
    BIT,
    BUILDING,
    GRASS,
    GREEN,
    GROUND,
    OPEN,
    PATH,
    PAVED,
    ROAD,
    TREE,
    WATER,
)  # fmt: skip

TINY = GroundSettings(widths=(8, 16, 16), embedding=16, fine=8)
SIZE = 64


@pytest.fixture(autouse=True)
def one_seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def city(batch=2, *, open_share=0.0, seed=0):
    """Grass to the left, paved to the right, a road, a house, trees along the road."""
    rng = np.random.default_rng(seed)
    labels = np.full((batch, SIZE, SIZE), BIT[GRASS], np.uint8)
    labels[:, :, SIZE // 2 :] = BIT[PAVED]
    labels[:, 30:34] = BIT[ROAD]
    labels[:, 34:36] = BIT[TREE]
    labels[:, 40:50, 10:20] = BIT[BUILDING]
    labels[rng.random(labels.shape) < open_share] = OPEN
    return torch.from_numpy(labels)


def site_mask(batch=2):
    site = torch.zeros(batch, SIZE, SIZE, dtype=torch.bool)
    site[:, 8:-8, 8:-8] = True
    return site


def batch_of(labels, **more):
    count = labels.shape[0]
    base = dict(
        labels=labels,
        site=site_mask(count),
        path=torch.zeros(labels.shape, dtype=torch.bool),
        asks=torch.full((count, 6), math.nan),
    )
    return {**base, **more}


def conditions_of(labels, asks=None):
    zero = torch.zeros(labels.shape)
    count = labels.shape[0]
    asks = torch.full((count, 6), math.nan) if asks is None else asks
    return Conditions(
        from_labels(labels, zero, zero > 1),
        site_mask(count),
        asks,
        torch.zeros(count),
        Boxes.empty(count),
        Segments.empty(count),
    )


def masks(labels):
    return labels == BIT[BUILDING], labels == BIT[ROAD]


def test_the_loss_of_an_even_guess_is_the_log_of_the_allowed_share():
    model = GroundModel(TINY)  # its last layer starts at zero: every surface equally likely
    rng = torch.Generator().manual_seed(1)
    value, parts = ground.loss(model, batch_of(city()), rng=rng)
    assert float(value.detach()) == pytest.approx(math.log(6))
    two = torch.where(city() == BIT[GRASS], BIT[GRASS] | BIT[TREE] | BIT[PAVED], city())
    only = batch_of(two)
    only["labels"][:, :, SIZE // 2 :] = OPEN  # says nothing
    only["labels"][:, 34:36] = OPEN
    value, _ = ground.loss(model, only, rng=rng)
    assert float(value.detach()) == pytest.approx(math.log(2))
    assert set(parts) == {"fine", "coarse"}


def test_ground_that_nobody_mapped_gives_no_loss_and_a_finite_gradient():
    model = GroundModel(TINY)
    labels = torch.full((2, SIZE, SIZE), OPEN, dtype=torch.uint8)
    labels[1] = 0
    value, _ = ground.loss(model, batch_of(labels), rng=torch.Generator().manual_seed(0))
    value.backward()
    assert float(value.detach()) == 0
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_the_network_does_not_see_the_answer_on_the_site():
    model = GroundModel(TINY)
    labels = city()
    other = torch.where(site_mask() & (labels == BIT[GRASS]), BIT[PAVED], labels)
    one, two = (
        ground.make_scene(
            model,
            each,
            site=site_mask(),
            built=masks(labels)[0],
            road=masks(labels)[1],
            path=labels == 0,
            asks=torch.zeros(2, 6),
        )
        for each in (labels, other)
    )
    assert one.code.equal(two.code) and one.planes.equal(two.planes)


def test_codes_are_centered_and_an_open_pixel_is_the_mean_of_its_surfaces():
    model = GroundModel(TINY)
    frequency = model.frequency
    singles = torch.stack([model.codes[BIT[s]] for s in GROUND])
    torch.testing.assert_close(frequency @ singles, torch.zeros(6), atol=1e-6, rtol=0)
    torch.testing.assert_close(model.codes[OPEN], torch.zeros(6), atol=1e-6, rtol=0)
    pair = model.codes[BIT[TREE] | BIT[GRASS]]
    weight = frequency[2] / (frequency[2] + frequency[4])
    torch.testing.assert_close(pair, weight * singles[2] + (1 - weight) * singles[4])


def test_sampling_fixes_buildings_and_roads_and_repeats_with_its_seed():
    model = GroundModel(TINY).eval()
    labels = city()
    built, road = masks(labels)
    draws = [
        ground.sample(
            model,
            conditions_of(labels),
            built,
            road,
            rng=torch.Generator().manual_seed(seed),
            steps=4,
        )
        for seed in (3, 3, 4)
    ]
    log_p = draws[0]
    assert log_p.equal(draws[1])
    torch.testing.assert_close(log_p.exp().sum(1), torch.ones(2, SIZE, SIZE))
    assert (log_p.argmax(1)[built] == BUILDING).all() and (log_p.argmax(1)[road] == ROAD).all()
    free = site_mask() & ~built & ~road
    assert (log_p[:, BUILDING][free] == FIXED_LOG_P).all()
    around = ~site_mask() & ~built & ~road
    bits = torch.tensor(BIT, dtype=torch.uint8)[log_p.argmax(1)]
    assert bits[around].equal(labels[around])


def test_what_the_context_rules_out_on_the_site_does_not_come_there():
    model = GroundModel(TINY).eval()
    labels = city()
    built, road = masks(labels)
    free = site_mask() & ~built & ~road
    left = free & (torch.arange(SIZE) < SIZE // 2)
    allowed = torch.where(left, BIT[WATER], OPEN & ~BIT[WATER]).to(torch.uint8)
    conditions = conditions_of(torch.where(site_mask(), allowed, labels))
    log_p = ground.sample(
        model, conditions, built, road, rng=torch.Generator().manual_seed(0), steps=3
    )
    assert left.any() and (log_p.argmax(1)[left] == WATER).all()
    assert float(log_p[:, WATER][free & ~left].exp().max()) < 1e-6


def test_a_tilt_at_every_step_brings_the_asked_green():
    model = GroundModel(TINY).eval()
    labels = city()
    built, road = masks(labels)
    free = site_mask() & ~built & ~road
    calls = []

    def tilt(log_p):
        calls.append(1)
        return kl_tilt(log_p, [Constraint(GREEN, 0.37, 0.37)], where=free)

    log_p = ground.sample(
        model,
        conditions_of(torch.where(site_mask(), OPEN, labels)),
        built,
        road,
        rng=torch.Generator().manual_seed(0),
        steps=5,
        tilt=tilt,
    )
    green = (log_p.exp()[:, list(GREEN)].sum(1) * free).sum((1, 2)) / free.sum((1, 2))
    assert len(calls) == 5
    torch.testing.assert_close(green, torch.full((2,), 0.37), atol=3e-4, rtol=0)


def test_an_example_has_fixed_shapes_and_drops_asks_at_random():
    labels = city(1)[0].numpy()
    segments = np.array([[0, 20, 128, 20, 4, PATH]], np.float32)
    item = SiteSample(
        labels,
        np.zeros(labels.shape, np.float32),
        np.zeros(labels.shape, bool),
        np.zeros((0, 7), np.float32),
        segments,
        site_mask(1)[0].numpy(),
        np.arange(6, dtype=np.float32),
        0.0,
    )
    given = np.array(
        [
            np.isfinite(ground.example(item, np.random.default_rng(k), TINY)["asks"])
            for k in range(300)
        ]
    )
    assert 0.5 < given.mean() < 0.7
    assert 0.1 < (~given.any(axis=1)).mean() < 0.25
    assert ground.example(item, np.random.default_rng(0), TINY)["path"].sum() == 128 // 2 * 2


def test_noise_levels_fall_by_the_quantiles_of_training():
    levels = ground.noise_levels(TINY, 8)
    assert levels == sorted(levels, reverse=True)
    assert math.log(levels[0]) == pytest.approx(1.0 + 1.3 * 3.2905, abs=1e-3)
    assert math.log(levels[-1]) == pytest.approx(1.0 - 1.3 * 2.0537, abs=1e-3)


def test_a_few_steps_of_training_learn_the_pattern():
    model = GroundModel(TINY)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    rng = torch.Generator().manual_seed(0)
    values = []
    for _ in range(40):
        value, _ = ground.loss(model, batch_of(city(4, open_share=0.2)), rng=rng)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    assert values[-1] < 0.35 * values[0]
