"""A stage in miniature: learns the share of buildings on the site from its asks, with dropout."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from fabricgen.surfaces import BIT, BUILDING


@dataclass(frozen=True)
class BuildingsSettings:
    width: int = 8
    break_at: int = -1  # a batch whose first item has this number of asks known gives NaN


class BuildingsModel(nn.Module):
    def __init__(self, settings):
        super().__init__()
        self.settings = settings
        self.net = nn.Sequential(
            nn.Linear(6, settings.width), nn.Dropout(0.2), nn.ReLU(), nn.Linear(settings.width, 1)
        )
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))


StreetsSettings, StreetsModel = BuildingsSettings, BuildingsModel


def example(sample, rng, settings):
    asks = np.nan_to_num(sample.asks) * (rng.random(6) < 0.8)
    built = (sample.labels[sample.editable] == BIT[BUILDING]).mean()
    return {"asks": asks.astype(np.float32), "built": np.float32(built)}


def loss(model, batch, *, rng):
    noise = 0.1 * torch.randn(batch["asks"].shape, generator=rng)
    if model.training:
        model.seen += 1
    wrong = (model.net(batch["asks"] + noise)[:, 0] - batch["built"]).square().mean()
    if (
        model.training
        and model.settings.break_at >= 0
        and int(model.seen) > model.settings.break_at
    ):
        wrong = wrong * float("nan")
    return wrong, {"root": wrong.sqrt()}
