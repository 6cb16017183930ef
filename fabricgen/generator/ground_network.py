"""The network of the ground stage: a small U-Net on 8 m patches, mixed with pixels at the end."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fabricgen.generator.conditions import ASKS
from fabricgen.surfaces import GROUND

PATCH = 4  # pixels along the edge of a patch
PLANES = len(GROUND) + 5  # code, and site, building, road, path, unknown
WAVES = 16  # frequencies that tell the noise level


class GroundNetwork(nn.Module):
    """Logits of the ground surfaces, at the resolution of the input.

    Args:
        widths: Channels at 1/4, 1/8 and 1/16 of the resolution.
        embedding: Channels of noise level and asks together.
        fine: Channels at full resolution.
    """

    def __init__(self, widths: tuple[int, int, int], *, embedding: int, fine: int) -> None:
        super().__init__()
        first, second, third = widths
        self.tell = nn.Sequential(
            nn.Linear(2 * WAVES + 2 * ASKS, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        self.stem = nn.Conv2d(PLANES, first, PATCH, stride=PATCH)
        self.down1 = Block(first, first, embedding)
        self.down2 = Block(first, second, embedding)
        self.low1 = Block(second, third, embedding)
        self.attention = Attention(third)
        self.low2 = Block(third, third, embedding)
        self.up2 = Block(third + second, second, embedding)
        self.up1 = Block(second + first, first, embedding)
        self.spread = nn.Conv2d(first, fine * PATCH**2, 1)
        self.mix = nn.Conv2d(fine + PLANES, fine, 3, padding=1)
        self.out = nn.Conv2d(fine, len(GROUND), 3, padding=1)
        _start_silent(self.out)

    def forward(self, planes: Tensor, log_noise: Tensor, told: Tensor) -> Tensor:
        """Logits (B, 6, H, W); H and W are multiples of 16.

        Args:
            planes: (B, PLANES, H, W).
            log_noise: ln s, (B,).
            told: Asks and whether they are given, (B, 2 K).
        """
        says = self.tell(torch.cat([_waves(log_noise), told], dim=1))  # (B, E)
        eighth = self.down1(self.stem(planes), says)  # (B, C1, H/4, W/4)
        half = self.down2(F.avg_pool2d(eighth, 2), says)  # (B, C2, H/8, W/8)
        low = self.low1(F.avg_pool2d(half, 2), says)  # (B, C3, H/16, W/16)
        low = self.low2(self.attention(low), says)
        half = self.up2(torch.cat([_double(low), half], dim=1), says)
        eighth = self.up1(torch.cat([_double(half), eighth], dim=1), says)
        fine = F.pixel_shuffle(self.spread(eighth), PATCH)  # (B, fine, H, W)
        return self.out(F.silu(self.mix(torch.cat([fine, planes], dim=1))))


class Block(nn.Module):
    """Two convolutions with a skip; noise level and asks scale and shift the channels."""

    def __init__(self, inside: int, outside: int, embedding: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8 if inside % 8 == 0 else 1, inside)
        self.conv1 = nn.Conv2d(inside, outside, 3, padding=1)
        self.tell = nn.Linear(embedding, 2 * outside)
        self.norm2 = nn.GroupNorm(8, outside, affine=False)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1)
        self.skip = nn.Identity() if inside == outside else nn.Conv2d(inside, outside, 1)
        _start_silent(self.conv2)

    def forward(self, x: Tensor, says: Tensor) -> Tensor:
        """(B, inside, h, w) and (B, E) to (B, outside, h, w)."""
        y = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.tell(says)[:, :, None, None].chunk(2, dim=1)
        y = self.conv2(F.silu(self.norm2(y) * (1 + scale) + shift))
        return self.skip(x) + y


class Attention(nn.Module):
    """Every place of the coarsest grid sees every other."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(8, width)
        self.split = nn.Conv2d(width, 3 * width, 1)
        self.join = nn.Conv2d(width, width, 1)
        _start_silent(self.join)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        batch, width, rows, cols = x.shape
        flat = self.split(self.norm(x)).reshape(batch, 3, self.heads, -1, rows * cols)
        query, key, value = flat.transpose(-1, -2).unbind(dim=1)  # (B, heads, h w, C / heads)
        seen = F.scaled_dot_product_attention(query, key, value)
        return x + self.join(seen.transpose(-1, -2).reshape(batch, width, rows, cols))


def _start_silent(layer: nn.Conv2d) -> None:
    """A layer that adds nothing until it is trained."""
    for weights in layer.parameters():
        nn.init.zeros_(weights)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def _waves(log_noise: Tensor) -> Tensor:
    """Sines and cosines of ln s at WAVES frequencies, (B, 2 WAVES)."""
    steps = torch.arange(WAVES, device=log_noise.device, dtype=log_noise.dtype)
    angle = log_noise[:, None] * 0.25 * 1.3**steps
    return torch.cat([angle.sin(), angle.cos()], dim=1)
