"""Made tiles to measure speed on: blocks of surfaces with soft edges, and what stands before."""

from __future__ import annotations

import torch
from torch import Tensor

from fabricgen.layout import Layout
from fabricgen.surfaces import SURFACES

PIXEL_M = 2.0
PATCH_PX = 8  # edge of a patch of one surface
SHARPNESS = 4.0  # of the surfaces of a patch: one takes nearly all
HIGHEST_M = 30.0
SEED = 11


def made_tiles(count: int, edge_px: int, *, seed: int = SEED) -> Layout:
    """Soft layouts of patches, (count, 8, edge, edge); every surface may stand everywhere."""
    rng = torch.Generator().manual_seed(seed)
    patches = edge_px // PATCH_PX
    chance = torch.randn(count, len(SURFACES), patches, patches, generator=rng)
    height = torch.rand(count, 1, patches, patches, generator=rng) * HIGHEST_M
    plane = (count, edge_px, edge_px)
    return Layout(
        torch.softmax(SHARPNESS * _grown(chance), dim=1),
        _grown(height)[:, 0],
        torch.full(plane, 2 ** len(SURFACES) - 1, dtype=torch.uint8),
        torch.ones(plane, dtype=torch.bool),
        PIXEL_M,
    )


def _grown(patches: Tensor) -> Tensor:
    return torch.nn.functional.interpolate(patches, scale_factor=PATCH_PX)
