"""An amount per pixel with its sum, the form in which every account reads the site.

Every account multiplies such sums by rates, so that factors (and hundreds of draws of them) never
touch a pixel. A field is a recipe: its sum is made from a few items of a batch at a time, whose
planes a processor's cache holds, and its map only when somebody asks for it. The planes themselves
(walls, outlines, ground under crowns) come from `form.fields`, which the indicators share.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from fabricgen.form.fields import crofton, gaussian_blur, ground_cover, smooth_abs, wall_area_m2

__all__ = [
    "Field",
    "crofton",
    "gaussian_blur",
    "ground_cover",
    "smooth_abs",
    "wall_area_m2",
    "weighted",
]


def weighted(cover: Tensor, per_share: Tensor) -> Tensor:
    """A sum over surfaces with a weight each, (B, 8, H, W) and (8,) to (B, H, W)."""
    return torch.einsum("bshw,s->bhw", cover, per_share)


@dataclass(frozen=True, eq=False)
class Field:
    """An amount per pixel inside the site, of a batch that comes in parts.

    Attributes:
        parts: Sites that hold a few items each, in order.
        of: The amount in a part, (b, H, W), zero outside the site; in the unit that its maker
            states.
        sum_of: Its sums, (b,), where there is a cheaper way to them than by `of`.
    """

    parts: Sequence[Any]
    of: Callable[[Any], Tensor]
    sum_of: Callable[[Any], Tensor] | None = None

    @cached_property
    def per_pixel(self) -> Tensor:
        """The map, (B, H, W)."""
        return torch.cat([self.of(part) for part in self.parts])

    @cached_property
    def total(self) -> Tensor:
        """Sum over the site, (B,)."""
        of = self.sum_of or (lambda part: self.of(part).sum(dim=(1, 2)))
        return torch.cat([of(part) for part in self.parts])
