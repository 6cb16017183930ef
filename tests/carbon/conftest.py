"""Small layouts made by code, and a place to count them in."""

from dataclasses import replace

import pytest
import torch

from fabricgen.carbon.place import place_for
from fabricgen.carbon.regions import region
from fabricgen.layout import Layout
from fabricgen.surfaces import BARE, BUILDING, GRASS, PAVED, ROAD, SHRUB, TREE, WATER


@pytest.fixture
def hard():
    """Makes a hard layout from labels (B, H, W) of surface indices and a height."""

    def make(labels, height_m=18.0, pixel_m=2.0, dtype=torch.float32):
        labels = torch.as_tensor(labels)
        cover = torch.nn.functional.one_hot(labels, 8).movedim(-1, 1).to(dtype)
        height = torch.as_tensor(height_m, dtype=dtype).expand(labels.shape)
        height = torch.where(labels == BUILDING, height, torch.zeros_like(height))
        allowed = (2 ** labels.to(torch.int64)).to(torch.uint8)
        return Layout(cover, height, allowed, torch.ones_like(labels, dtype=torch.bool), pixel_m)

    return make


@pytest.fixture
def soft():
    """Makes a random soft layout; equal seeds give equal layouts."""

    def make(seed=0, shape=(2, 12, 10), dtype=torch.float64, pixel_m=2.0):
        rng = torch.Generator().manual_seed(seed)
        batch, rows, cols = shape
        cover = torch.softmax(torch.randn(batch, 8, rows, cols, generator=rng, dtype=dtype), dim=1)
        height = 4 + 30 * torch.rand(shape, generator=rng, dtype=dtype)
        allowed = torch.full(shape, 255, dtype=torch.uint8)
        return Layout(cover, height, allowed, torch.ones(shape, dtype=torch.bool), pixel_m)

    return make


@pytest.fixture
def place():
    """Makes the place of a preset."""

    def make(name="cn-sh", horizon_years=60, draws=0, dtype=torch.float64):
        return place_for(region(name), horizon_years, None, draws, 0, dtype, torch.device("cpu"))

    return make


@pytest.fixture
def reference_tile(hard):
    """The 256 m tile of the specification: slabs of 12 x 60 m, 18 m high, on 30 % of it."""
    labels = torch.full((128, 128), -1)
    for slab in range(27):
        row, col = divmod(slab, 3)
        labels[row * 14 : row * 14 + 6, 4 + col * 42 : 34 + col * 42] = BUILDING
    labels[126:, 4 : 4 + 28] = BUILDING  # what is missing to 30 %
    free = (labels < 0).flatten().nonzero().flatten()
    shares = {ROAD: 0.15, PAVED: 0.15, TREE: 0.20, SHRUB: 0.05, GRASS: 0.13, WATER: 0.01}
    start = 0
    flat = labels.flatten()
    for surface, share in shares.items():
        count = round(share * 128 * 128)
        flat[free[start : start + count]] = surface
        start += count
    flat[free[start:]] = BARE
    return hard(flat.reshape(1, 128, 128))


@pytest.fixture
def changed():
    """A copy of a layout with some fields replaced."""
    return replace
