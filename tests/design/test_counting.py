"""One way of counting for steering and judging: what stands today is taken down, the sun is seen."""

import pytest
import torch

from fabricgen.carbon.surroundings import Sunlight
from fabricgen.design.counting import Counting
from fabricgen.layout import from_labels
from fabricgen.surfaces import BIT, BUILDING, GRASS

INSIDE = torch.ones(1, 24, 24, dtype=torch.bool)


def houses(height_m):
    labels = torch.full((1, 24, 24), BIT[GRASS], dtype=torch.uint8)
    labels[:, 8:16, 6:18] = BIT[BUILDING]
    height = torch.full((1, 24, 24), height_m)
    return from_labels(labels, height, torch.ones_like(INSIDE), 2.0)


def amounts(counting):
    ledger = counting.ledger(houses(12.0), INSIDE)
    return {entry.name: float(entry.amount) for entry in ledger.entries}


def test_a_house_like_the_one_that_stood_there_is_built_anew():
    alone = amounts(Counting("fi"))
    after = amounts(Counting("fi", today=houses(12.0)))
    name = "bldg.embodied.product"
    assert after[name] == pytest.approx(alone[name])
    assert after["bldg.embodied.deconstruction"] > alone["bldg.embodied.deconstruction"]


def test_shade_is_assessed_where_the_sun_is_known():
    dark = Counting("fi").ledger(houses(12.0), INSIDE).not_assessed
    lit = Counting("fi", sunlight=Sunlight(60.0, 0.0, quick=True)).ledger(houses(12.0), INSIDE)
    assert any("shade" in line for line in dark)
    assert not any("shade" in line for line in lit.not_assessed)
