"""From a condition raster to feature maps: a few convolutions and a trunk of attention.

Convolutions run at half the raster's size, attention on squares of 4 x 4 pixels, where a CPU is
quick at both.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class TrunkBlock(nn.Module):
    """Pre-norm self-attention and a two-layer network over tokens (B, T, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_in = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_mid = nn.LayerNorm(width)
        self.mix = nn.Sequential(
            nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T, width) to the same shape."""
        batch, count, width = tokens.shape
        qkv = self.qkv(self.norm_in(tokens)).view(batch, count, 3, self.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (B, heads, T, d)
        seen = functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.out(seen.transpose(1, 2).reshape(batch, count, width))
        return tokens + self.mix(self.norm_mid(tokens))


class RasterEncoder(nn.Module):
    """Encode a square raster and a vector of overall conditions.

    Args of the constructor: raster channels, size of the vector, raster edge in pixels (a multiple
    of 4), channels of the fine map, width, depth and heads of the trunk.
    """

    def __init__(
        self,
        channels: int,
        overall: int,
        *,
        grid: int,
        fine: int = 48,
        width: int = 128,
        layers: int = 2,
        heads: int = 4,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4 * channels, fine, 3, padding=1)
        self.near = nn.Sequential(
            nn.GroupNorm(8, fine),
            nn.SiLU(),
            nn.Conv2d(fine, fine, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(fine, fine, 3, padding=1),
        )
        self.down = nn.Linear(4 * fine, width)
        self.place = nn.Parameter(torch.randn(grid // 4 * grid // 4, width) * 0.02)
        self.overall = nn.Sequential(nn.Linear(overall, width), nn.SiLU(), nn.Linear(width, width))
        self.trunk = nn.ModuleList(TrunkBlock(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * fine)
        self.last = nn.Sequential(
            nn.GroupNorm(8, fine), nn.SiLU(), nn.Conv2d(fine, fine, 3, padding=1)
        )

    def forward(self, raster: Tensor, overall: Tensor) -> tuple[Tensor, Tensor]:
        """Encode.

        Args:
            raster: (B, channels, G, G).
            overall: (B, overall).

        Returns:
            Fine map (B, fine, G / 2, G / 2) and coarse tokens (B, (G / 4) ** 2, width).
        """
        fine = self.stem(functional.pixel_unshuffle(raster, 2))
        fine = fine + self.near(fine)  # (B, fine, G/2, G/2)
        coarse = functional.pixel_unshuffle(fine, 2)  # (B, 4 fine, G/4, G/4)
        edge = coarse.shape[-1]
        tokens = self.down(coarse.flatten(2).transpose(1, 2)) + self.place
        tokens = tokens + self.overall(overall)[:, None]
        for block in self.trunk:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        back = self.up(tokens).transpose(1, 2).unflatten(2, (edge, edge))
        fine = fine + functional.pixel_shuffle(back, 2)
        return fine + self.last(fine), tokens
