"""Streets: a small model that grows a network from the streets at the site's edge.

One step asks, in this order: stop, or which kind of street; where on the network it starts; which
way it runs; where it ends. Directions and lengths are mixtures of exact snaps and bins. This file
is the stage's face; the network is in `streets_model`, the order of growth in `streets_targets`,
the candidates in `streets_starts` and `streets_moves`, the drawing in `streets_sample`. Whole
sites, with the rules that complete what the model leaves, are drawn by `streets_site`.
"""

import numpy as np
import torch
from torch import Tensor

from fabricgen.generator import streets_moves as choices
from fabricgen.generator import streets_starts as origins
from fabricgen.generator.conditions import ASKS, BRIEF_KEYS, PIXEL_M, SiteSample
from fabricgen.generator.streets_features import (
    STOP,
    pad_choices,
    pad_starts,
    site_maps,
    state_features,
    told_features,
)
from fabricgen.generator.streets_model import StreetsModel, StreetsSettings, step_log_probs
from fabricgen.generator.streets_network import Ground, Network, ground_of, grow
from fabricgen.generator.streets_sample import sample
from fabricgen.generator.streets_targets import Growth, cut_segments, growth_of, street_area_m2
from fabricgen.surfaces import BIT, BUILDING

__all__ = ["StreetsModel", "StreetsSettings", "cut_segments", "example", "loss", "sample"]

ROAD_ASK = BRIEF_KEYS.index("road_share")


def example(
    sample: SiteSample, rng: np.random.Generator, settings: StreetsSettings
) -> dict[str, np.ndarray]:
    """A few random growth steps of one site, K = settings.steps; fixed shapes."""
    growth = growth_of(sample.segments, sample.editable, pixel_m=PIXEL_M, rng=rng)
    ground = ground_of(sample.editable, sample.labels == BIT[BUILDING], PIXEL_M)
    asks = np.where(rng.random(ASKS) < settings.drop_ask, np.nan, sample.asks)
    asks = np.full(ASKS, np.nan) if rng.random() < settings.drop_all_asks else asks
    counts = np.sort(rng.integers(0, len(growth.moves) + 1, settings.steps))
    network, done, steps = growth.context, 0, []
    for count in counts:
        for move in growth.moves[done:count]:
            network = grow(network, move.start, move.end, kind=move.kind)
        done = int(count)
        steps.append(_training_step(network, growth, done, ground=ground, asks=asks, rng=rng))
    item = {name: np.stack([step[name] for step in steps]) for name in steps[0]}
    item["maps"] = site_maps(sample.labels, ground, growth.context)
    item["told"] = told_features(asks, sample.north_deg)
    item["dropped"] = np.array([growth.dropped, len(growth.moves)], dtype=np.float32)
    return item


def loss(
    model: StreetsModel, batch: dict[str, Tensor], *, rng: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Negative log-likelihood of a growth step, in nats, and its parts.

    `turn` counts per radian, `end` per meter. Steps whose real start or direction no candidate can
    give (streets at less than 30 degrees, say) count only as far as they can be given.
    """
    count, steps = batch["state"].shape[:2]
    maps, summary = model.encode(batch["maps"], batch["told"])
    step = {
        name: value.flatten(0, 1)
        for name, value in batch.items()
        if name not in ("maps", "told", "dropped")
    }
    parts = step_log_probs(model, maps, summary.repeat_interleave(steps, dim=0), step=step)
    have = {
        "kind": torch.ones(count * steps, dtype=torch.bool, device=maps.device),
        "start": step["has_start"],
        "turn": step["has_turn"],
        "end": step["has_end"],
    }
    named = {
        name: -(value.where(have[name], 0.0)).sum() / have[name].sum().clamp_min(1)
        for name, value in parts.items()
    }
    total = sum(-(value.where(have[name], 0.0)).mean() for name, value in parts.items())
    return total, {name: value.detach() for name, value in named.items()}


def _training_step(
    network: Network,
    growth: Growth,
    count: int,
    *,
    ground: Ground,
    asks: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    move = growth.moves[count] if count < len(growth.moves) else None
    true = None if move is None else move.start
    starts, index = origins.starts_of(network, ground, rng, true=true)
    area_m2 = street_area_m2(growth.moves[:count])
    step = {
        "state": state_features(
            network, ground, starts, road_ask=asks[ROAD_ASK], area_m2=area_m2
        ).astype(np.float32),
        "kind": np.array(STOP if move is None else move.kind),
        "start": np.array(max(index, 0)),
        "has_start": np.array(move is not None and index >= 0),
        **pad_starts(starts, network, ground),
    }
    if move is None or index < 0:
        return step | _no_choice()
    axis = move.end - starts.point[index]
    angle = float(np.arctan2(axis[1], axis[0]))
    turns = choices.turns_of(starts, index, network, ground)
    turn_density = choices.turn_log_density(turns, angle)
    ends = choices.ends_of(starts.point[index], angle, network, ground)
    end_density = choices.end_log_density(ends, float(np.hypot(*axis)))
    return step | {
        **pad_choices(turns, ground, "turn"),
        **pad_choices(ends, ground, "end"),
        "turn_density": turn_density.astype(np.float32),
        "end_density": end_density.astype(np.float32),
        "has_turn": np.array(turn_density.max() > -20.0),
        "has_end": np.array(end_density.max() > -20.0),
    }


def _no_choice() -> dict[str, np.ndarray]:
    turns, ends = choices.TURNS, choices.ENDS
    return {
        "turn_features": np.zeros((turns, choices.TURN_FEATURES), dtype=np.float32),
        "turn_uv": np.zeros((turns, len(choices.PROBES_M), 2), dtype=np.float32),
        "turn_valid": np.zeros(turns, dtype=bool),
        "end_features": np.zeros((ends, choices.END_FEATURES), dtype=np.float32),
        "end_uv": np.zeros((ends, 2), dtype=np.float32),
        "end_valid": np.zeros(ends, dtype=bool),
        "turn_density": np.zeros(turns, dtype=np.float32),
        "end_density": np.zeros(ends, dtype=np.float32),
        "has_turn": np.zeros((), dtype=bool),
        "has_end": np.zeros((), dtype=bool),
    }
