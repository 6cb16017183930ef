"""Streets: a small scorer that grows a network from the streets at the site's edge.

One step asks, in this order: stop, or which kind of street; where on the network it starts; which
way it runs; where it ends. Every answer is a choice among candidates with known geometry
(`streets_moves`), directions and lengths as mixtures of exact snaps and bins in the manner of
pointer networks (Vinyals et al. 2015). The model sees the network only through the candidates'
features and the context through a map, so steps of many sites train side by side.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fabricgen.generator import streets_moves as moves_
from fabricgen.generator.conditions import ASKS, PIXEL_M, SiteSample
from fabricgen.generator.streets_network import Ground, Network, distance, ground_of
from fabricgen.generator.streets_targets import Growth, cut_segments, growth_of, street_area_m2
from fabricgen.generator.streets_targets import grow as grow_
from fabricgen.surfaces import BIT, BUILDING, GREEN, PATH, PAVED, ROAD, WATER

__all__ = ["StreetsModel", "StreetsSettings", "cut_segments", "example", "loss"]

MAPS, MAP_PX = 9, 64
TOLD = 2 * ASKS + 2
STOP = PATH  # kinds 0 to 3 are grown; foot and cycle ways are not
ASK_SCALE = np.array([0.5, 2.0, 1.0, 0.05, 4.0, 2.0], dtype=np.float32)


@dataclass(frozen=True)
class StreetsSettings:
    """Sizes of the street model."""

    channels: int = 48  # of the map
    width: int = 96  # of the scorers
    steps: int = 4  # growth steps drawn from one site in training
    drop_ask: float = 0.25  # chance that an ask is not told
    drop_all_asks: float = 0.1  # chance that none is told


class Scorer(nn.Module):
    """A score for each candidate from its features, the map where it lies, and the step."""

    def __init__(self, features: int, seen: int, told: int, *, width: int) -> None:
        super().__init__()
        self.features = nn.Linear(features, width)
        self.seen = nn.Linear(seen, width, bias=False)
        self.told = nn.Linear(told, width, bias=False)
        self.tail = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.score = nn.Linear(width, 1)

    def hidden(self, features: Tensor, seen: Tensor, told: Tensor) -> Tensor:
        """(N, C, features), (N, C, seen), (N, told) -> (N, C, width)."""
        return self.tail(self.features(features) + self.seen(seen) + self.told(told)[:, None])

    def forward(self, features: Tensor, seen: Tensor, told: Tensor) -> Tensor:
        """Scores (N, C)."""
        return self.score(self.hidden(features, seen, told))[..., 0]


class StreetsModel(nn.Module):
    """Map encoder, step summary and the four choices."""

    def __init__(self, settings: StreetsSettings) -> None:
        super().__init__()
        self.settings = settings
        wide, width = settings.channels, settings.width
        self.fine = nn.Sequential(_conv(MAPS, 24), _conv(24, wide, stride=2))
        self.coarse = nn.Sequential(_conv(wide, 64, stride=2), _conv(64, 64))
        self.fuse = nn.Conv2d(wide + 64, wide, 1)
        self.step = nn.Sequential(
            nn.Linear(128 + TOLD + moves_.STATE_FEATURES, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.kind_code = nn.Embedding(STOP, width)
        self.survey = Scorer(moves_.START_FEATURES, wide, width, width=width)
        self.kind = nn.Sequential(nn.Linear(3 * width, width), nn.SiLU(), nn.Linear(width, STOP + 1))
        self.start = Scorer(width, wide, 2 * width, width=width)
        probes = wide * len(moves_.PROBES_M)
        self.turn = Scorer(moves_.TURN_FEATURES, probes, 3 * width, width=width)
        self.end = Scorer(moves_.END_FEATURES, wide, 3 * width, width=width)

    def encode(self, maps: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """Read the site once: maps (B, MAPS, 64, 64) -> map (B, C, 32, 32), summary (B, 128 + TOLD)."""
        fine = self.fine(maps)
        coarse = self.coarse(fine)  # (B, 64, 16, 16)
        up = F.interpolate(coarse, size=fine.shape[-2:], mode="nearest")
        summary = torch.cat([coarse.mean(dim=(2, 3)), coarse.amax(dim=(2, 3)), told], dim=1)
        return self.fuse(torch.cat([fine, up], dim=1)), summary

    def choose_kind(self, seen: Tensor, summary: Tensor, step: Mapping[str, Tensor]) -> tuple:
        """Log-probabilities of the kinds and stop (N, 5), the step's code, the starts' codes."""
        code = self.step(torch.cat([summary, step["state"]], dim=1))  # (N, width)
        starts = self.survey.hidden(step["start_features"], seen, code)  # (N, S, width)
        valid = step["start_valid"][..., None]
        count = valid.sum(dim=1).clamp_min(1)
        mean = (starts * valid).sum(dim=1) / count
        most = starts.masked_fill(~valid, -10.0).amax(dim=1)
        logits = self.kind(torch.cat([code, mean, most], dim=1))
        cannot = torch.zeros_like(logits, dtype=torch.bool)
        cannot[:, :STOP] = ~step["start_valid"].any(dim=1, keepdim=True)
        return logits.masked_fill(cannot, -1e4).log_softmax(dim=1), code, starts

    def choose_start(
        self, starts: Tensor, seen: Tensor, valid: Tensor, told: Tensor
    ) -> Tensor:
        """Log-probabilities of the starts, (N, S)."""
        return _log_choice(self.start(starts, seen, told), valid)


def told_of(code: Tensor, kind: Tensor, codes: nn.Embedding, start: Tensor | None = None) -> Tensor:
    """What later choices are told: the step, the kind and, when known, the start (N, .)."""
    parts = [code, codes(kind.clamp_max(STOP - 1))]
    return torch.cat(parts if start is None else [*parts, start], dim=1)


def look(maps: Tensor, points: Tensor) -> Tensor:
    """The map at points given as -1..1 of the window: (N, C, h, w), (N, P, 2) -> (N, P, C)."""
    found = F.grid_sample(
        maps, points[:, :, None], mode="bilinear", padding_mode="border", align_corners=False
    )
    return found[..., 0].transpose(1, 2)


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
            network = grow_(network, move.start, move.end, kind=move.kind)
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


def step_log_probs(
    model: StreetsModel, maps: Tensor, summary: Tensor, *, step: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Log-probability of each choice of N steps that share B maps, N a multiple of B; (N,) each."""

    def seen(points: Tensor) -> Tensor:  # (N, P, 2) -> (N, P, C)
        shared = points.reshape(len(maps), -1, 2)
        return look(maps, shared).reshape(len(points), points.shape[1], -1)

    at_starts = seen(step["start_uv"])
    kinds, code, starts = model.choose_kind(at_starts, summary, step)
    told = told_of(code, step["kind"], model.kind_code)
    start = model.choose_start(starts, at_starts, step["start_valid"], told)
    chosen = starts[torch.arange(len(starts)), step["start"]]
    told = torch.cat([told, chosen], dim=1)
    probes = seen(step["turn_uv"].flatten(1, 2)).reshape(*step["turn_uv"].shape[:2], -1)
    turn = _log_choice(model.turn(step["turn_features"], probes, told), step["turn_valid"])
    end = _log_choice(
        model.end(step["end_features"], seen(step["end_uv"]), told), step["end_valid"]
    )
    return {
        "kind": kinds.gather(1, step["kind"][:, None])[:, 0],
        "start": start.gather(1, step["start"][:, None])[:, 0],
        "turn": torch.logsumexp(turn + step["turn_density"], dim=1),
        "end": torch.logsumexp(end + step["end_density"], dim=1),
    }


def site_maps(bits: np.ndarray, ground: Ground, context: Network) -> np.ndarray:
    """What surrounds the site, (MAPS, 64, 64) float32; surfaces on the site itself are not shown."""
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
    center = (np.arange(MAP_PX) + 0.5) * cell * ground.pixel_m
    away_m = distance(np.stack(np.meshgrid(center, center), axis=-1), context.ends)
    near = np.stack([np.exp(-away_m / 8.0), np.exp(-away_m / 50.0)])
    return np.concatenate([small, near]).astype(np.float32)


def told_features(asks: np.ndarray, north_deg: float) -> np.ndarray:
    """Asks with their known flags, and where north is, (TOLD,) float32."""
    known = np.isfinite(asks)
    north = np.deg2rad(north_deg)
    value = np.where(known, np.nan_to_num(asks) * ASK_SCALE, 0.0)
    return np.concatenate([value, known, [np.sin(north), np.cos(north)]]).astype(np.float32)


def state_features(
    network: Network, ground: Ground, starts: moves_.Starts, *, road_ask: float, area_m2: float
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
            (starts.kind_of == moves_.STUB).sum() / 8.0,
            (starts.kind_of == moves_.OPEN_END).sum() / 8.0,
            np.log(site_m2 / 1e4) / 2.0,
            length_m / site_m2 * 50.0,
            bool((last & (starts.kind_of == moves_.OPEN_END)).any()),
        ]
    )


def pad_starts(
    starts: moves_.Starts, network: Network, ground: Ground
) -> dict[str, np.ndarray]:
    """Features, places and validity of the starts at fixed size."""
    size, count = moves_.STARTS, len(starts.point)
    features = np.zeros((size, moves_.START_FEATURES), dtype=np.float32)
    points = np.zeros((size, 2), dtype=np.float32)
    if count:
        features[:count] = moves_.start_features(starts, network, ground)
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


def pad_choices(choices: moves_.Choices, ground: Ground, name: str) -> dict[str, np.ndarray]:
    """Features, places and validity of a direction or end choice."""
    points = window_share(choices.points, ground)
    return {
        f"{name}_features": choices.features.astype(np.float32),
        f"{name}_uv": points if name == "turn" else points[:, 0],
        f"{name}_valid": choices.valid,
    }


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
    starts, index = moves_.starts_of(network, ground, rng, true=true)
    area_m2 = street_area_m2(growth.moves[:count])
    step = {
        "state": state_features(network, ground, starts, road_ask=asks[4], area_m2=area_m2).astype(
            np.float32
        ),
        "kind": np.array(STOP if move is None else move.kind),
        "start": np.array(max(index, 0)),
        "has_start": np.array(move is not None and index >= 0),
        **pad_starts(starts, network, ground),
    }
    if move is None or index < 0:
        return step | _no_choice()
    axis = move.end - starts.point[index]
    angle = float(np.arctan2(axis[1], axis[0]))
    turns = moves_.turns_of(starts, index, network, ground)
    turn_density = moves_.turn_log_density(turns, angle)
    ends = moves_.ends_of(starts.point[index], angle, network, ground)
    end_density = moves_.end_log_density(ends, float(np.hypot(*axis)))
    return step | {
        **pad_choices(turns, ground, "turn"),
        **pad_choices(ends, ground, "end"),
        "turn_density": turn_density.astype(np.float32),
        "end_density": end_density.astype(np.float32),
        "has_turn": np.array(turn_density.max() > -20.0),
        "has_end": np.array(end_density.max() > -20.0),
    }


def _no_choice() -> dict[str, np.ndarray]:
    turns, ends = moves_.TURNS, moves_.ENDS
    return {
        "turn_features": np.zeros((turns, moves_.TURN_FEATURES), dtype=np.float32),
        "turn_uv": np.zeros((turns, len(moves_.PROBES_M), 2), dtype=np.float32),
        "turn_valid": np.zeros(turns, dtype=bool),
        "end_features": np.zeros((ends, moves_.END_FEATURES), dtype=np.float32),
        "end_uv": np.zeros((ends, 2), dtype=np.float32),
        "end_valid": np.zeros(ends, dtype=bool),
        "turn_density": np.zeros(turns, dtype=np.float32),
        "end_density": np.zeros(ends, dtype=np.float32),
        "has_turn": np.array(False),
        "has_end": np.array(False),
    }


def _log_choice(scores: Tensor, valid: Tensor) -> Tensor:
    return scores.masked_fill(~valid, -1e4).log_softmax(dim=1)


def _conv(before: int, after: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1), nn.GroupNorm(8, after), nn.SiLU()
    )
