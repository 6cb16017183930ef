import pytest
import torch

from fabricgen.layout import Layout, from_labels
from fabricgen.surfaces import BIT


@pytest.fixture
def soft():
    """Makes a random soft layout; equal seeds give equal layouts."""

    def make(seed=0, shape=(2, 12, 10), pixel_m=2.0):
        rng = torch.Generator().manual_seed(seed)
        batch, rows, cols = shape
        shares = torch.randn(batch, 8, rows, cols, generator=rng, dtype=torch.float64)
        height = 4 + 30 * torch.rand(shape, generator=rng, dtype=torch.float64)
        allowed = torch.full(shape, 255, dtype=torch.uint8)
        known = torch.ones(shape, dtype=torch.bool)
        return Layout(torch.softmax(shares, dim=1), height, allowed, known, pixel_m)

    return make


@pytest.fixture
def hard():
    """Makes a hard layout of surfaces, (H, W) or (B, H, W); every building is 9 m high."""

    def make(surfaces, pixel_m=2.0):
        surfaces = torch.as_tensor(surfaces)
        surfaces = surfaces if surfaces.ndim == 3 else surfaces[None]
        bits = torch.tensor(BIT, dtype=torch.uint8)[surfaces.long()]
        height = 9.0 * (surfaces == 0)
        return from_labels(bits, height, surfaces == 0, pixel_m)

    return make
