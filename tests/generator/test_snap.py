"""The snap mixture as a probability."""

import math

import numpy as np
import pytest
import torch

from fabricgen.generator.snap import ANGLE, OFFSET, SIZE, draw_nucleus, snap_draw, snap_log_prob


@pytest.mark.parametrize("spec", [ANGLE, SIZE, OFFSET])
def test_the_mixture_integrates_to_one(spec):
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(1, spec.bins + 3, generator=rng)
    middle = torch.linspace(spec.low + spec.step, spec.high - spec.step, 3)[None]
    points = torch.linspace(spec.low, spec.high, 40001)[:-1]
    points = points + (spec.high - spec.low) / 80000
    count = len(points)
    logs = snap_log_prob(logits.expand(count, -1), middle.expand(count, -1), points, spec=spec)
    total = logs.exp().double().sum() * (spec.high - spec.low) / count
    assert total.item() == pytest.approx(1.0, abs=2e-3)


def test_an_absent_candidate_weighs_nothing():
    logits = torch.zeros(1, OFFSET.bins + 1)
    logits[0, -1] = -math.inf
    log = snap_log_prob(logits, torch.tensor([[1.0]]), torch.tensor([1.0]), spec=OFFSET)
    assert log.item() == pytest.approx(-math.log(OFFSET.high - OFFSET.low), abs=1e-5)


def test_walls_a_quarter_turn_apart_are_one_direction():
    logits = torch.zeros(1, ANGLE.bins + 1)
    logits[0, -1] = 5.0
    near = torch.tensor([math.pi / 4 - 0.001])
    wrapped = torch.tensor([[-math.pi / 4 + 0.001]])
    same = torch.tensor([[math.pi / 4 - 0.003]])
    first = snap_log_prob(logits, wrapped, near, spec=ANGLE)
    torch.testing.assert_close(first, snap_log_prob(logits, same, near, spec=ANGLE))


def test_a_drawn_candidate_is_taken_exactly():
    logits = torch.full((500, OFFSET.bins + 1), -20.0)
    logits[:, -1] = 5.0
    drawn = snap_draw(
        logits,
        torch.full((500, 1), 1.2345),
        spec=OFFSET,
        nucleus=1.0,
        rng=torch.Generator().manual_seed(0),
    )
    assert (drawn == torch.tensor(1.2345)).all()


def test_draws_follow_the_weights_and_the_nucleus_cuts_the_tail():
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().expand(20000, -1)
    rng = torch.Generator().manual_seed(0)
    shares = np.bincount(draw_nucleus(logits, nucleus=1.0, rng=rng), minlength=4) / 20000
    np.testing.assert_allclose(shares, [0.5, 0.3, 0.15, 0.05], atol=0.015)
    cut = draw_nucleus(logits, nucleus=0.9, rng=rng)
    assert cut.max() == 2
