"""The network of the street model: a map encoder and a scorer for each choice of a growth step.

Every answer is a choice among candidates with known geometry (`streets_moves`), in the manner of
pointer networks (Vinyals et al. 2015). The model sees the network so far only through the
candidates' features, and the context through a map, so steps of many sites train side by side.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fabricgen.generator import streets_moves as choices
from fabricgen.generator import streets_starts as origins
from fabricgen.generator.streets_features import MAPS, STOP, TOLD


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
            nn.Linear(128 + TOLD + choices.STATE_FEATURES, width),
            nn.SiLU(),
            nn.Linear(width, width),
        )
        self.kind_code = nn.Embedding(STOP, width)
        self.survey = Scorer(origins.START_FEATURES, wide, width, width=width)
        self.kind = nn.Sequential(
            nn.Linear(3 * width, width), nn.SiLU(), nn.Linear(width, STOP + 1)
        )
        self.start = Scorer(width, wide, 2 * width, width=width)
        probes = wide * len(choices.PROBES_M)
        self.turn = Scorer(choices.TURN_FEATURES, probes, 3 * width, width=width)
        self.end = Scorer(choices.END_FEATURES, wide, 3 * width, width=width)

    def encode(self, maps: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        """Read the site once: (B, MAPS, 64, 64) -> (B, C, 32, 32), summary (B, 128 + TOLD)."""
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

    def choose_start(self, starts: Tensor, seen: Tensor, valid: Tensor, told: Tensor) -> Tensor:
        """Log-probabilities of the starts, (N, S)."""
        return log_choice(self.start(starts, seen, told), valid)


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
    turn = log_choice(model.turn(step["turn_features"], probes, told), step["turn_valid"])
    end = log_choice(model.end(step["end_features"], seen(step["end_uv"]), told), step["end_valid"])
    return {
        "kind": kinds.gather(1, step["kind"][:, None])[:, 0],
        "start": start.gather(1, step["start"][:, None])[:, 0],
        "turn": torch.logsumexp(turn + step["turn_density"], dim=1),
        "end": torch.logsumexp(end + step["end_density"], dim=1),
    }


def log_choice(scores: Tensor, valid: Tensor) -> Tensor:
    """Log-probabilities (N, C) of the valid candidates."""
    return scores.masked_fill(~valid, -1e4).log_softmax(dim=1)


def _conv(before: int, after: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1), nn.GroupNorm(8, after), nn.SiLU()
    )
