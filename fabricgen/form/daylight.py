"""Floor area that daylight does not reach: the core of buildings, away from every outer wall.

Rooms are lit and aired from windows to a depth of about twice the height of a storey; what lies
deeper needs lamps and fans (passive zones: Ratti, Baker and Steemers 2005, Energy and Buildings
37:762-776). Walls alone would praise buildings without end: the deeper, the less of them.
"""

import math

import torch
from torch import Tensor

from fabricgen.form.indicators import MIN_AREA_M2, STOREY_M, floors_of
from fabricgen.layout import Layout
from fabricgen.surfaces import BUILDING

PASSIVE_M = 2 * STOREY_M  # depth of a lit zone
DIRECTIONS = 16  # in which the nearest outer wall is looked for


def core_share(layout: Layout, inside: Tensor) -> Tensor:
    """Share of the floor area farther than `PASSIVE_M` from outer walls, (B,), 0…1.

    A wall between two buildings of any heights counts as no outer wall.

    Args:
        layout: B layouts.
        inside: The pixels that count, (B, H, W) bool; beyond them all is open.
    """
    built = layout.cover[:, BUILDING] * inside  # (B, H, W)
    reach = PASSIVE_M / layout.pixel_m
    rim = math.ceil(reach)
    rows, cols = built.shape[1:]
    around = torch.nn.functional.pad(built, (rim,) * 4)
    core = built
    for turn in range(DIRECTIONS):
        angle = 2 * math.pi * turn / DIRECTIONS
        down = rim + round(reach * math.sin(angle))
        right = rim + round(reach * math.cos(angle))
        core = torch.minimum(core, around[:, down : down + rows, right : right + cols])
    floors = floors_of(layout.height_m)
    whole = (built * floors).sum(dim=(1, 2))
    return (core * floors).sum(dim=(1, 2)) / whole.clamp(min=MIN_AREA_M2)
