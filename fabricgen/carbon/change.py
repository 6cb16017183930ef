"""What becomes of buildings: new, kept and demolished (carbon-model 6.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fabricgen.carbon.form_fields import Field, smooth_abs
from fabricgen.surfaces import BUILDING

if TYPE_CHECKING:  # a site remembers its change
    from fabricgen.carbon.site import Site

TALL_STOREYS = 10.0  # above this a storey costs more
KEEP_WITHIN_M, KEEP_SOFTNESS_M = 1.5, 0.25  # a building stays if its height hardly changes
LEAST_FLOOR_M2 = 1.0  # guards a share of no floor area


@dataclass(frozen=True, eq=False)
class Change:
    """What becomes of buildings, as amounts per pixel.

    Attributes:
        new_share: Share of each pixel under new buildings, (B, H, W).
        new_floor: Floor area that is built [m²].
        tall_floor: The same times the storeys above the tenth, softly [m² storeys].
        kept_floor: Floor area that stays [m²].
        lost_floor: Floor area that is demolished [m²]; None where that is not known.
    """

    new_share: Tensor
    new_floor: Field
    tall_floor: Field
    kept_floor: Field
    lost_floor: Field | None


def change_of(site: Site) -> Change:
    """Equation 6.14: a building stays if there was one and its height changes by under 1.5 m.

    `Site.change` remembers it. The step is a logistic scaled to 1 at equal height; 3 m off it lets
    0.25 % through. Without a state before, or on a site that is cleared, all is new.
    """
    share = site.design.shares[BUILDING]
    floors = site.design.floors
    kept, lost = torch.zeros_like(share), None
    if site.base is not None and site.knows(BUILDING):
        stood = site.base.shares[BUILDING]
        if not site.measures.cleared:
            kept = stood * share * _same_height(site.design.height_m, site.base.height_m)
        lost = site.field((stood - kept) * site.base.floors)
    fresh = share - kept
    new = fresh * floors
    tall = new * torch.nn.functional.softplus(floors - TALL_STOREYS)
    return Change(fresh, site.field(new), site.field(tall), site.field(kept * floors), lost)


def _same_height(height_m: Tensor, before_m: Tensor) -> Tensor:
    apart_m = smooth_abs(height_m - before_m, 0.01)
    at_zero = torch.sigmoid(torch.tensor(KEEP_WITHIN_M / KEEP_SOFTNESS_M))
    return torch.sigmoid((KEEP_WITHIN_M - apart_m) / KEEP_SOFTNESS_M) / at_zero.to(height_m)


def kept_share(site: Site) -> Tensor | None:
    """Share of floor area in buildings that stay, (B,); None where all count as new."""
    if site.base is None or not site.knows(BUILDING):
        return None
    return site.change.kept_floor.total / (site.floor_area.total + LEAST_FLOOR_M2)
