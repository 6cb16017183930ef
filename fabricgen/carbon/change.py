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
        new_footprint: Ground under new buildings [m²].
        new_floor: Floor area that is built [m²].
        tall_floor: The same times the storeys above the tenth, softly [m² storeys].
        kept_floor: Floor area that stays [m²].
        lost_floor: Floor area that is demolished [m²]; None where that is not known.
    """

    new_footprint: Field
    new_floor: Field
    tall_floor: Field
    kept_floor: Field
    lost_floor: Field | None


def change_of(site: Site) -> Change:
    """Equation 6.14: a building stays if there was one and its height changes by under 1.5 m.

    `Site.change` remembers it. Without a state before, or on a site that is cleared, all is new.
    """
    known = site.knows(BUILDING)
    return Change(
        new_footprint=site.field(new_built),
        new_floor=site.field(lambda part: new_built(part) * part.design.floors),
        tall_floor=site.field(lambda part: new_built(part) * _tall(part.design.floors)),
        kept_floor=site.field(lambda part: part.kept_built * part.design.floors),
        lost_floor=site.field(_lost_floors) if known else None,
    )


def new_built(site: Site) -> Tensor:
    """Share of each pixel under new buildings, (B, H, W)."""
    return site.design.shares[BUILDING] - site.kept_built


def kept_built(site: Site) -> Tensor:
    """Share of each pixel under buildings that stay, (B, H, W).

    The step is a logistic scaled to 1 at equal height; 3 m off it lets 0.25 % through.
    """
    if site.base is None or not site.knows(BUILDING) or site.measures.cleared:
        return site.none
    same = _same_height(site.design.height_m, site.base.height_m)
    return site.base.shares[BUILDING] * same * site.design.shares[BUILDING]


def _tall(floors: Tensor) -> Tensor:
    """Storeys times those above the tenth, softly. Any shape."""
    return floors * torch.nn.functional.softplus(floors - TALL_STOREYS)


def _lost_floors(site: Site) -> Tensor:
    stood = site.base.shares[BUILDING]  # type: ignore[union-attr]
    return (stood - site.kept_built) * site.base.floors  # type: ignore[union-attr]


def _same_height(height_m: Tensor, before_m: Tensor) -> Tensor:
    apart_m = smooth_abs(height_m - before_m, 0.01)
    at_zero = torch.sigmoid(torch.tensor(KEEP_WITHIN_M / KEEP_SOFTNESS_M))
    return torch.sigmoid((KEEP_WITHIN_M - apart_m) / KEEP_SOFTNESS_M) / at_zero.to(height_m)


def kept_share(site: Site) -> Tensor | None:
    """Share of floor area in buildings that stay, (B,); None where all count as new."""
    if site.base is None or not site.knows(BUILDING):
        return None
    return site.change.kept_floor.total / (site.floor_area.total + LEAST_FLOOR_M2)
