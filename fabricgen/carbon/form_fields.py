"""An amount per pixel with its sum, the form in which every account reads the site.

Every account multiplies such sums by rates, so that factors (and hundreds of draws of them) never
touch a pixel. The fields themselves (walls, outlines, ground under crowns) come from
`form.fields`, which the indicators share.
"""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from fabricgen.form.fields import crofton, gaussian_blur, ground_cover, smooth_abs, wall_area_m2

__all__ = ["Field", "crofton", "gaussian_blur", "ground_cover", "smooth_abs", "wall_area_m2"]


@dataclass(frozen=True, eq=False)
class Field:
    """An amount per pixel inside the site.

    Attributes:
        per_pixel: (B, H, W), zero outside the site; in the unit that its maker states.
    """

    per_pixel: Tensor

    @cached_property
    def total(self) -> Tensor:
        """Sum over the site, (B,)."""
        return self.per_pixel.sum(dim=(1, 2))
