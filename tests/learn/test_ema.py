import torch
from torch import nn

from fabricgen.learn import ema


def test_the_average_of_equal_weights_is_those_weights():
    model = nn.Linear(3, 2)
    average = ema.start(model)
    for step in range(5):
        ema.follow(average, model, step=step, decay=0.99)
    torch.testing.assert_close(average["weight"], model.weight.detach())


def test_the_average_follows_the_formula_and_copies_counts():
    model = nn.BatchNorm1d(1)
    average = ema.start(model)
    expected = 1.0
    for step in range(30):
        with torch.no_grad():
            model.weight.fill_(step)
            model.num_batches_tracked.fill_(step)
        ema.follow(average, model, step=step, decay=0.6)
        keep = min(0.6, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * step
    torch.testing.assert_close(average["weight"], torch.tensor([expected]))
    assert int(average["num_batches_tracked"]) == 29
