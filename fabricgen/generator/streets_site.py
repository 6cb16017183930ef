"""Streets of a whole site of any size: the model in window after window, then the rules.

The model grows one network over the site. Each window holds all of the site that it can see; where
earlier windows have drawn, their streets stand as drawn, and only what is new to the window may
start streets. So an end at the rim of one window is an open end in the midst of the next, as in
training. What the model leaves loose or too large is completed by `streets_complete`.
"""

from dataclasses import replace

import numpy as np
import torch

from fabricgen.generator.conditions import BRIEF_KEYS, WINDOW_PX, Conditions, Segments
from fabricgen.generator.streets_compass import Compass, compass_of
from fabricgen.generator.streets_complete import complete
from fabricgen.generator.streets_model import StreetsModel
from fabricgen.generator.streets_network import Network, chosen, dilate, joined, shifted
from fabricgen.generator.streets_sample import (
    grow_streets,
    new_segments,
    site_ground,
    standing_networks,
)
from fabricgen.generator.windows import Tile, cut, tiles

FRESH_PX = 8  # streets may start this far back in what earlier windows have drawn
ROAD_ASK = BRIEF_KEYS.index("road_share")


def draw(model: StreetsModel, conditions: Conditions, *, rng: torch.Generator) -> Segments:
    """New streets of B sites of one outline, (B, M), split at junctions.

    Args:
        model: Trained.
        conditions: The whole frame; segments end at the site's edge.
        rng: Source of chance.
    """
    site = conditions.editable[0]
    networks = standing_networks(conditions)
    compasses = [compass_of(network) for network in networks]
    done = torch.zeros_like(site)
    for tile in tiles(site):
        rows, cols = slice(tile.row, tile.row + WINDOW_PX), slice(tile.col, tile.col + WINDOW_PX)
        fresh = dilate((site & ~done)[rows, cols].cpu().numpy(), FRESH_PX)
        networks = _grow_in(
            model, conditions, tile, networks, compasses=compasses, fresh=fresh, rng=rng
        )
        done |= tile.core
    dice = np.random.default_rng(int(torch.randint(2**31, (1,), generator=rng, device=rng.device)))
    whole = [
        complete(
            network,
            site_ground(conditions, item),
            compass=compasses[item],
            dice=dice,
            road_share=float(conditions.asks[item, ROAD_ASK]),
        )
        for item, network in enumerate(networks)
    ]
    return new_segments(whole, like=conditions.segments)


def _grow_in(
    model: StreetsModel,
    conditions: Conditions,
    tile: Tile,
    networks: list[Network],
    *,
    compasses: list[Compass],
    fresh: np.ndarray,
    rng: torch.Generator,
) -> list[Network]:
    """The networks of the frame after the model has drawn in one window."""
    pixel_m = conditions.context.pixel_m
    corner_m = np.array([tile.col, tile.row]) * pixel_m
    edge_m = WINDOW_PX * pixel_m
    seen = cut(conditions, replace(tile, core=torch.ones_like(tile.core)))
    near = [_touches(network, corner_m, edge_m) for network in networks]
    before = [
        shifted(chosen(network, mask), -corner_m)
        for network, mask in zip(networks, near, strict=True)
    ]
    turned = [compass.shifted(-corner_m) for compass in compasses]
    after = grow_streets(model, seen, before, rng=rng, fresh=fresh, compasses=turned)
    return [
        joined(chosen(network, ~mask), shifted(grown, corner_m))
        for network, mask, grown in zip(networks, near, after, strict=True)
    ]


def _touches(network: Network, corner_m: np.ndarray, edge_m: float) -> np.ndarray:
    """Which pieces can reach into a square window, (M,) bool."""
    ends = network.ends.reshape(-1, 2, 2) - corner_m
    return ((ends.max(axis=1) > 0) & (ends.min(axis=1) < edge_m)).all(axis=1)
