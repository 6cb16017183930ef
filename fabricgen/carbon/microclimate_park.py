"""Large green areas cool the places around them: the rule of InVEST Urban Cooling, hard or soft.

Users' guide and source of natcap.invest 3.20; carbon-model equations 8.8, 8.17 and 8.18.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fabricgen.carbon.microclimate_reach import Reach, reach

AREA_WIDTH_M2 = 1000.0  # of the step at the park's area, at softness 1; equation 8.17
CAPACITY_WIDTH = 0.02  # of the step where the park cools more than the place itself


@dataclass(frozen=True)
class ParkRule:
    """When green around a place cools it more than the place itself does.

    Attributes:
        near: Kernel of the mean capacity of green.
        disc: Kernel of its area.
        enough_px: Pixels of green that are a large area.
        pixel_m: Edge of a pixel.
        softness: Width of the two steps; 0 for hard ones.
    """

    near: Reach
    disc: Reach
    enough_px: float
    pixel_m: float
    softness: float


def park_rule(
    cooling_distance_m: float, pixel_m: float, *, park_area_m2: float, softness: float
) -> ParkRule:
    """The rule for a distance and an area."""
    return ParkRule(
        near=reach(cooling_distance_m, pixel_m, decays=True),
        disc=reach(cooling_distance_m, pixel_m, decays=False),
        enough_px=park_area_m2 / pixel_m**2,
        pixel_m=pixel_m,
        softness=softness,
    )


def heat_mitigation(cc: Tensor, cc_park: Tensor, green_px: Tensor, rule: ParkRule) -> Tensor:
    """Cooling capacity, or that of large green around where it is higher; (B, H, W).

    Args:
        cc: Capacity of each pixel.
        cc_park: Mean capacity of green around it.
        green_px: Pixels of green around it.
        rule: Hard (equation 8.8) or soft (8.17 and 8.18; within 0.006 of the hard one away from
            the step of the area, at softness 1).
    """
    if rule.softness == 0:
        return torch.where(green_px >= rule.enough_px, torch.maximum(cc, cc_park), cc)
    area_px = AREA_WIDTH_M2 * rule.softness / rule.pixel_m**2
    large = torch.sigmoid((green_px - rule.enough_px) / area_px)
    cooler = torch.sigmoid((cc_park - cc) / (CAPACITY_WIDTH * rule.softness))
    return cc + large * cooler * (cc_park - cc)
