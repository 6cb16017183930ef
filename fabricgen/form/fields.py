"""Smooth fields on the grid: outlines, walls, Gaussian means, and the ground under trees.

All are differentiable and batched. Indicators and carbon accounts both stand on them.
"""

import math
from typing import Any

import torch
from torch import Tensor

from fabricgen.surfaces import BARE, GRASS, PAVED, ROAD, SHRUB, TREE, WATER

WALL_CORRECTION = 1.04  # makes up for corners; carbon-model 1.2
WALL_SMOOTH_M = 0.01  # e of the smooth |x|
CANOPY_SIGMA_M = 4.0  # how far the ground under a crown resembles its surroundings
LEAST_WEIGHT = 1e-7  # of a Gaussian's middle
LONGEST_WHOLE_PX, BLOCK_PX = 128, 64  # longer lines are blurred in blocks
UNDER = (ROAD, PAVED, SHRUB, GRASS, BARE, WATER)  # what may lie under a crown


def smooth_abs(x: Tensor, width: float) -> Tensor:
    """sqrt(x² + e²) − e: once differentiable |x|, at most e below it. Any shape."""
    return torch.sqrt(x * x + width * width) - width


def crofton(
    field: Tensor, pixel_m: float, *, smooth: float = WALL_SMOOTH_M, inside: Tensor | None = None
) -> Tensor:
    """Total variation of a field by lines in four directions, shared among pixels.

    carbon-model equation 1.7 (Cauchy-Crofton): a quarter of all lines runs along rows, columns and
    both diagonals each. Of a height field this is wall area, of a share it is edge length. Each
    step between two pixels is split evenly between them.

    Args:
        field: (B, H, W); heights in m give m², shares give m.
        pixel_m: Edge of a pixel.
        smooth: e of the smooth absolute value, in the field's unit; 0 is exact.
        inside: Steps count only between two of these pixels, (B, H, W) bool; None: all.

    Returns:
        (B, H, W); its sum is the variation. The image's own edge counts no step.
    """
    pad = torch.nn.functional.pad
    down, right, fall, rise = _half_steps(field, pixel_m, smooth, inside)
    shared = pad(down, (0, 0, 0, 1)) + pad(down, (0, 0, 1, 0))
    shared = shared + pad(right, (0, 1)) + pad(right, (1, 0))
    shared = shared + pad(fall, (0, 1, 0, 1)) + pad(fall, (1, 0, 1, 0))
    return shared + pad(rise, (0, 1, 1, 0)) + pad(rise, (1, 0, 0, 1))


def variation(
    field: Tensor, pixel_m: float, *, smooth: float = WALL_SMOOTH_M, inside: Tensor | None = None
) -> Tensor:
    """The sum of `crofton` without the map, at a third of its time, (B,)."""
    steps = _half_steps(field, pixel_m, smooth, inside)
    return 2 * torch.stack([step.sum(dim=(1, 2)) for step in steps]).sum(dim=0)


def _half_steps(
    field: Tensor, pixel_m: float, smooth: float, inside: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Half of each weighted step down, right and along both diagonals, a row or column less."""
    straight = math.pi / 8 * pixel_m
    diagonal = straight / math.sqrt(2)

    def step(
        ahead: tuple[slice, slice, slice], back: tuple[slice, slice, slice], weight: float
    ) -> Tensor:
        size = smooth_abs(field[ahead] - field[back], smooth) * (weight / 2)
        return size if inside is None else size * (inside[ahead] & inside[back])

    every, later, sooner = slice(None), slice(1, None), slice(None, -1)
    return (
        step((every, later, every), (every, sooner, every), straight),
        step((every, every, later), (every, every, sooner), straight),
        step((every, later, later), (every, sooner, sooner), diagonal),
        step((every, later, sooner), (every, sooner, later), diagonal),
    )


def wall_area_m2(height_field_m: Tensor, pixel_m: float) -> Tensor:
    """Outer wall area per pixel, (B, H, W) [m²]; carbon-model equation 1.8.

    Args:
        height_field_m: Building share times height, (B, H, W). Walls shared by buildings of equal
            height vanish; a step between two heights counts its difference.
        pixel_m: Edge of a pixel.
    """
    return WALL_CORRECTION * crofton(height_field_m, pixel_m)


def gaussian_blur(planes: Tensor, sigma_px: float) -> Tensor:
    """Gaussian of each plane, zero outside; (B, C, H, W) in and out.

    Both passes are products with a banded matrix: for tiles this is several times faster than a
    convolution on one core and works in float64. Of large planes only blocks along the band are
    multiplied, so that time grows with area.
    """
    blurred: Tensor = _Blur.apply(planes, sigma_px)
    return blurred


class _Blur(torch.autograd.Function):
    """The Gaussian is even, so the blur is its own adjoint."""

    @staticmethod
    def forward(ctx: Any, planes: Tensor, sigma_px: float) -> Tensor:
        ctx.sigma_px = sigma_px
        rows, cols = planes.shape[-2:]
        lines = planes.reshape(-1, cols)
        across = [
            lines[:, near] @ _gaussian_matrix(near, part, sigma_px, planes)
            for part, near in _blocks(cols, sigma_px)
        ]
        whole = torch.cat(across, dim=1).view(-1, rows, cols)
        down = [
            _gaussian_matrix(part, near, sigma_px, planes) @ whole[:, near]
            for part, near in _blocks(rows, sigma_px)
        ]
        return torch.cat(down, dim=1).view(planes.shape)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        return gaussian_blur(slopes[0], ctx.sigma_px), None


def _blocks(size: int, sigma_px: float) -> list[tuple[slice, slice]]:
    """Parts of a line, and what lies near enough to each to count."""
    step = size if size <= LONGEST_WHOLE_PX else BLOCK_PX
    reach = math.ceil(sigma_px * math.sqrt(-2 * math.log(LEAST_WEIGHT)))
    return [
        (slice(at, min(at + step, size)), slice(max(0, at - reach), min(at + step + reach, size)))
        for at in range(0, size, step)
    ]


def _gaussian_matrix(to: slice, of: slice, sigma_px: float, like: Tensor) -> Tensor:
    """Weight of each pixel of one part of a line on each of another."""
    rows, cols = (
        torch.arange(part.start, part.stop, dtype=like.dtype, device=like.device)
        for part in (to, of)
    )
    weight = torch.exp(-0.5 * ((rows[:, None] - cols[None, :]) / sigma_px) ** 2)
    # Smaller weights change nothing, but breed denormal numbers, which are 50 times slower.
    weight = torch.where(weight < LEAST_WEIGHT, torch.zeros_like(weight), weight)
    return weight / (sigma_px * math.sqrt(2 * math.pi))


def ground_cover(cover: Tensor, pixel_m: float) -> Tensor:
    """Shares of the ground, with what lies under crowns inferred from around them.

    carbon-model equations 1.13 and 1.14: a tree seen from above hides road or grass. A crown far
    from any open ground keeps its share of woodland floor. Shares still sum to what they summed to.

    Args:
        cover: Shares seen from above, (B, 8, H, W).
        pixel_m: Edge of a pixel.

    Returns:
        (B, 8, H, W).
    """
    near = gaussian_blur(cover[:, list(UNDER)], CANOPY_SIGMA_M / pixel_m)  # (B, 6, H, W)
    tree = cover[:, TREE : TREE + 1]
    shown = near * (tree / (near.sum(dim=1, keepdim=True) + 0.05))
    changed = torch.cat([shown, -shown.sum(dim=1, keepdim=True)], dim=1)
    return cover.index_add(1, torch.tensor([*UNDER, TREE], device=cover.device), changed)
