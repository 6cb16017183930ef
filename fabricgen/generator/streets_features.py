"""What the street model is shown: the surroundings, the ask, how far the growth has come."""

import numpy as np

from fabricgen.generator import streets_moves as choices
from fabricgen.generator import streets_starts as origins
from fabricgen.generator.conditions import ASKS
from fabricgen.generator.streets_network import Ground, Network, distance
from fabricgen.surfaces import BIT, BUILDING, GREEN, PATH, PAVED, ROAD, WATER

MAPS, MAP_PX = 9, 64
TOLD = 2 * ASKS + 2
STOP = PATH  # kinds 0 to 3 are grown; foot and cycle ways are not
ASK_SCALE = np.array([0.5, 2.0, 1.0, 0.05, 4.0, 2.0], dtype=np.float32)


def site_maps(bits: np.ndarray, ground: Ground, context: Network) -> np.ndarray:
    """What surrounds the site, (MAPS, 64, 64) float32; surfaces on the site are not shown."""
    bits = np.where(ground.editable, 0, bits)
    green = sum(BIT[surface] for surface in GREEN)
    several = (bits & (bits - 1)) != 0
    layers = [
        (bits == BIT[BUILDING]) | ground.blocked,
        bits == BIT[ROAD],
        bits == BIT[PAVED],
        (bits > 0) & ((bits & ~np.uint8(green)) == 0),
        bits == BIT[WATER],
        several | (bits == 0) & ~ground.editable,
        ground.editable,
    ]
    cell = bits.shape[0] // MAP_PX
    small = np.stack(layers).reshape(len(layers), MAP_PX, cell, MAP_PX, cell).mean(axis=(2, 4))
    half = MAP_PX // 2  # distances change slowly: half the pixels will do
    center = ((np.arange(half) + 0.5) * 2 * cell * ground.pixel_m).astype(np.float32)
    away_m = distance(np.stack(np.meshgrid(center, center), axis=-1), context.ends)
    away_m = away_m.repeat(2, axis=0).repeat(2, axis=1)
    near = np.stack([np.exp(-away_m / 8.0), np.exp(-away_m / 50.0)])
    return np.concatenate([small, near]).astype(np.float32)


def told_features(asks: np.ndarray, north_deg: float) -> np.ndarray:
    """Asks with their known flags, and where north is, (TOLD,) float32."""
    known = np.isfinite(asks)
    north = np.deg2rad(north_deg)
    value = np.where(known, np.nan_to_num(asks) * ASK_SCALE, 0.0)
    return np.concatenate([value, known, [np.sin(north), np.cos(north)]]).astype(np.float32)


def state_features(
    network: Network, ground: Ground, starts: origins.Starts, *, road_ask: float, area_m2: float
) -> np.ndarray:
    """How far the network has come, (STATE_FEATURES,).

    Args:
        network: What stands.
        ground: The site.
        starts: Its candidate starts.
        road_ask: Asked road share, NaN where free.
        area_m2: Street area laid so far.
    """
    site_m2 = max(float(ground.editable.sum()), 1.0) * ground.pixel_m**2
    placed = network.ends[network.placed]
    length_m = np.hypot(*(placed[:, 2:] - placed[:, :2]).T).sum()
    known = bool(np.isfinite(road_ask))
    share = area_m2 / site_m2
    last = np.hypot(*(starts.point - network.last_end).T) < 1.0
    return np.array(
        [
            len(placed) / 20.0,
            share * 4.0,
            (road_ask - share) * 4.0 if known else 0.0,
            known,
            (starts.kind_of == origins.STUB).sum() / 8.0,
            (starts.kind_of == origins.OPEN_END).sum() / 8.0,
            np.log(site_m2 / 1e4) / 2.0,
            length_m / site_m2 * 50.0,
            bool((last & (starts.kind_of == origins.OPEN_END)).any()),
        ]
    )


def pad_starts(starts: origins.Starts, network: Network, ground: Ground) -> dict[str, np.ndarray]:
    """Features, places and validity of the starts at fixed size."""
    size, count = origins.STARTS, len(starts.point)
    features = np.zeros((size, origins.START_FEATURES), dtype=np.float32)
    points = np.zeros((size, 2), dtype=np.float32)
    if count:
        features[:count] = origins.start_features(starts, network, ground)
        points[:count] = window_share(starts.point, ground)
    return {
        "start_features": features,
        "start_uv": points,
        "start_valid": np.arange(size) < count,
    }


def window_share(points: np.ndarray, ground: Ground) -> np.ndarray:
    """Points in meters as -1..1 of the window."""
    side_m = ground.editable.shape[0] * ground.pixel_m
    return (points / side_m * 2.0 - 1.0).astype(np.float32)


def pad_choices(found: choices.Choices, ground: Ground, name: str) -> dict[str, np.ndarray]:
    """Features, places and validity of a direction or end choice."""
    points = window_share(found.points, ground)
    return {
        f"{name}_features": found.features.astype(np.float32),
        f"{name}_uv": points if name == "turn" else points[:, 0],
        f"{name}_valid": found.valid,
    }
