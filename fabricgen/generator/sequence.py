"""A transformer block that reads a sequence, at once or token by token, beside a map."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class SequenceBlock(nn.Module):
    """Causal self-attention, attention to the map if asked, and a two-layer network."""

    def __init__(self, width: int, heads: int, memory: int | None) -> None:
        super().__init__()
        self.heads = heads
        self.norm_self = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.has_memory = memory is not None
        if memory is not None:
            self.norm_cross = nn.LayerNorm(width)
            self.cross_query = nn.Linear(width, width)
            self.cross_kv = nn.Linear(memory, 2 * width)
            self.cross_out = nn.Linear(width, width)
        self.norm_mix = nn.LayerNorm(width)
        self.mix = nn.Sequential(
            nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width)
        )

    def remember(self, coarse: Tensor) -> Tensor | None:
        """Keys and values of the map, (2, B, heads, T, d)."""
        return self._split(self.cross_kv(coarse), 2) if self.has_memory else None

    def forward(
        self, tokens: Tensor, memory: Tensor | None, past: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Tokens (B, T, width) after `past` keys and values; returns tokens and all of them."""
        query, key, value = self._split(self.qkv(self.norm_self(tokens)), 3)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=past is None)
        tokens = tokens + self.out(_merge(seen))
        if memory is not None:
            query = self._split(self.cross_query(self.norm_cross(tokens)), 1)[0]
            seen = functional.scaled_dot_product_attention(query, memory[0], memory[1])
            tokens = tokens + self.cross_out(_merge(seen))
        return tokens + self.mix(self.norm_mix(tokens)), torch.stack([key, value])

    def _split(self, packed: Tensor, parts: int) -> Tensor:
        batch, count, _ = packed.shape
        return packed.view(batch, count, parts, self.heads, -1).permute(2, 0, 3, 1, 4)


def _merge(heads: Tensor) -> Tensor:
    return heads.transpose(1, 2).flatten(2)
