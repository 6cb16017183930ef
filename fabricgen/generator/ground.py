"""The ground stage: which surface each pixel of open ground has, given buildings and streets.

A categorical flow: noise on the centered one-hot code of six ground surfaces, class logits as
output, trained by the probability of what the sources allow (generator.md sections 2.1 and 2.3).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fabricgen.generator.conditions import PIXEL_M, Conditions, SiteSample
from fabricgen.generator.ground_network import GroundNetwork
from fabricgen.generator.paths import path_mask
from fabricgen.surfaces import BIT, BUILDING, GROUND, OPEN, ROAD, SURFACES

FIXED_LOG_P = -30.0  # log-probability of what a pixel is not
DROP_ASK, DROP_ALL = 0.3, 0.15  # so that the network learns to do without
ASK_SCALE = (1.5, 0.3, 0.4, 12.0, 0.2, 0.2)  # typical size of each ask, in the order of BRIEF_KEYS

Tilt = Callable[[Tensor], Tensor]  # log-probabilities (B, 8, H, W) -> the same, steered


@dataclass(frozen=True)
class GroundSettings:
    """Sizes of the network and the noise it learns on."""

    widths: tuple[int, int, int] = (48, 96, 128)  # at 8, 16 and 32 m
    embedding: int = 128  # of noise level and asks
    fine: int = 16  # channels at full resolution
    noise_mean: float = 1.0  # of ln s in training
    noise_sd: float = 1.3
    # Frequencies of paved, water, tree, shrub, grass, bare: the code is centered on them.
    frequency: tuple[float, ...] = (0.32, 0.03, 0.33, 0.03, 0.26, 0.03)


class GroundModel(nn.Module):
    """Class logits of noisy ground under its conditions."""

    frequency: Tensor  # (6,)
    codes: Tensor  # (256, 6) clean code of each byte of allowed surfaces

    def __init__(self, settings: GroundSettings) -> None:
        super().__init__()
        self.settings = settings
        self.network = GroundNetwork(
            settings.widths, embedding=settings.embedding, fine=settings.fine
        )
        frequency = torch.tensor(settings.frequency)
        self.register_buffer("frequency", frequency / frequency.sum(), persistent=False)
        self.register_buffer("codes", _codes(self.frequency), persistent=False)

    def forward(self, noisy: Tensor, noise: Tensor, scene: "Scene") -> Tensor:
        """Logits of the six ground surfaces, (B, 6, H, W).

        Args:
            noisy: Noised code, (B, 6, H, W); read on open ground of the site only.
            noise: Its standard deviation s, (B,).
            scene: What is known.
        """
        scaled = noisy / (noise.square() + 0.25).sqrt().reshape(-1, 1, 1, 1)
        state = torch.where(scene.free[:, None], scaled, scene.code)
        planes = torch.cat([state, scene.planes], dim=1)
        return self.network(planes, noise.log(), scene.told)


@dataclass(frozen=True, eq=False)
class Scene:
    """What the network sees besides the noise."""

    free: Tensor  # (B, H, W) bool, open ground of the site
    code: Tensor  # (B, 6, H, W) code of the ground around, 0 on buildings and roads
    planes: Tensor  # (B, 5, H, W) site, building, road, path, ground of unknown kind
    told: Tensor  # (B, 12) asks, scaled, 0 where free; and whether each is given


def example(
    sample: SiteSample, rng: np.random.Generator, settings: GroundSettings
) -> dict[str, np.ndarray]:
    """One training item: labels, site, paths, and the asks that survive the dropping."""
    dropped = (rng.random(sample.asks.shape) < DROP_ASK) | (rng.random() < DROP_ALL)
    return {
        "labels": sample.labels,
        "site": sample.editable,
        "path": path_mask(sample.segments, sample.labels.shape, pixel_m=PIXEL_M),
        "asks": np.where(dropped, np.nan, sample.asks).astype(np.float32),
    }


def loss(
    model: GroundModel, batch: dict[str, Tensor], *, rng: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean of -log of the probability of the allowed surfaces, over ground that says something.

    Where several surfaces are allowed, the clean code is their mean, weighted by frequency.

    Returns:
        The loss [nats per pixel], and its parts by noise level.
    """
    labels, site = batch["labels"], batch["site"]
    built, road = labels == BIT[BUILDING], labels == BIT[ROAD]
    scene = make_scene(
        model, labels, site=site, built=built, road=road, path=batch["path"], asks=batch["asks"]
    )
    code = _code_of(model, labels)
    noise = _draw_noise(model.settings, labels.shape[0], rng=rng, like=code)
    eps = torch.randn(code.shape, generator=rng, device=code.device)
    logits = model(code + noise.reshape(-1, 1, 1, 1) * eps, noise, scene)

    allowed = _allowed(labels)  # (B, 6, H, W)
    says = scene.free & allowed.any(dim=1) & ~allowed.all(dim=1)
    log_p = torch.log_softmax(logits.float(), dim=1)
    of_allowed = torch.logsumexp(log_p.masked_fill(~allowed, FIXED_LOG_P), dim=1)
    each = -(of_allowed * says).sum(dim=(1, 2))  # (B,)
    pixels = says.sum(dim=(1, 2))
    return each.sum() / pixels.sum().clamp(min=1), _by_noise(each.detach(), pixels, noise)


@torch.no_grad()
def sample(
    model: GroundModel,
    conditions: Conditions,
    built: Tensor,
    road: Tensor,
    *,
    rng: torch.Generator,
    steps: int = 8,
    tilt: Tilt | None = None,
) -> Tensor:
    """Surfaces of the site's open ground.

    Args:
        model: A trained model.
        conditions: Context, site and asks of B items; paths among the segments. What the context
            allows on the site is what may come there; where it allows no ground, all may.
        built: Pixels under new buildings, (B, H, W) bool.
        road: Pixels under new carriageways, (B, H, W) bool.
        rng: Source of the noise, on the model's device.
        steps: Evaluations of the network.
        tilt: Steers the log-probabilities at every step.

    Returns:
        Log-probabilities, (B, 8, H, W). Buildings and roads of the site are certain; around the
        site stands what the context allows.
    """
    around, site = conditions.context.allowed, conditions.editable
    built = torch.where(site, built, around == BIT[BUILDING])
    road = torch.where(site, road & ~built, around == BIT[ROAD])
    arrays = conditions.segments.to_arrays()
    size = (around.shape[1], around.shape[2])
    paths = [path_mask(each, size, pixel_m=conditions.context.pixel_m) for each in arrays]
    path = torch.from_numpy(np.stack(paths)).to(around.device)
    scene = make_scene(
        model, around, site=site, built=built, road=road, path=path, asks=conditions.asks
    )

    may = _allowed(around)  # (B, 6, H, W)
    may |= ~may.any(dim=1, keepdim=True)
    levels = noise_levels(model.settings, steps)
    x = torch.randn(scene.code.shape, generator=rng, device=scene.code.device) * levels[0]
    for now, after in zip(levels, [*levels[1:], 0.0], strict=True):
        noise = torch.full((x.shape[0],), now, device=x.device)
        logits = model(x, noise, scene).float().masked_fill(~may, FIXED_LOG_P)
        log_p = _whole(logits, scene, built, road, model)
        log_p = log_p if tilt is None else tilt(log_p)
        clean = 2.0 * (log_p[:, list(GROUND)].exp() - model.frequency.reshape(1, -1, 1, 1))
        x = clean + (x - clean) * (after / now)
    return log_p


def noise_levels(settings: GroundSettings, steps: int) -> list[float]:
    """Standard deviations of the noise, from most to least.

    Quantiles of the training distribution of ln s, from 0.9995 down to 0.02, equally spaced.
    """
    normal = torch.distributions.Normal(settings.noise_mean, settings.noise_sd)
    return normal.icdf(torch.linspace(0.9995, 0.02, steps)).exp().tolist()


def make_scene(
    model: GroundModel,
    labels: Tensor,
    *,
    site: Tensor,
    built: Tensor,
    road: Tensor,
    path: Tensor,
    asks: Tensor,
) -> Scene:
    """What the network may know: on the site everything but the ground.

    Args:
        model: Knows the code.
        labels: Allowed surfaces, (B, H, W) uint8; read around the site only.
        site: (B, H, W) bool.
        built: (B, H, W) bool, on the site and around.
        road: Carriageways, (B, H, W) bool, on the site and around.
        path: Foot and cycle ways, (B, H, W) bool, on the site and around.
        asks: (B, 6), NaN = free.
    """
    ground = ~built & ~road
    free = site & ground
    code = torch.where((ground & ~site)[:, None], _code_of(model, labels), 0.0)
    unknown = ~free & ground & (_allowed(labels).sum(dim=1) != 1)
    planes = torch.stack([site, built, road, path, unknown], dim=1).to(code.dtype)
    given = torch.isfinite(asks)
    scaled = torch.nan_to_num(asks) / asks.new_tensor(ASK_SCALE)
    told = torch.cat([torch.where(given, scaled - 1.0, 0.0), given.to(asks.dtype)], dim=1)
    return Scene(free, code, planes, told)


def _whole(logits: Tensor, scene: Scene, built: Tensor, road: Tensor, model: GroundModel) -> Tensor:
    """Log-probabilities of all eight surfaces, (B, 8, H, W), with what is fixed put in."""
    around = (scene.code / 2.0 + model.frequency.reshape(1, -1, 1, 1)).clamp(min=1e-9).log()
    ground = torch.where(scene.free[:, None], torch.log_softmax(logits, dim=1), around)
    batch, _, rows, cols = logits.shape
    log_p = torch.full((batch, len(SURFACES), rows, cols), FIXED_LOG_P, device=logits.device)
    log_p[:, list(GROUND)] = ground
    taken = built | road
    log_p = torch.where(taken[:, None], torch.full_like(log_p, FIXED_LOG_P), log_p)
    log_p[:, BUILDING] = torch.where(built, 0.0, log_p[:, BUILDING])
    log_p[:, ROAD] = torch.where(road & ~built, 0.0, log_p[:, ROAD])
    return log_p


def _codes(frequency: Tensor) -> Tensor:
    """Centered code of each allowed byte: 2 (q - frequency), (256, 6).

    q spreads over the allowed surfaces by their frequency; a byte that allows none knows nothing.
    """
    allowed = _allowed(torch.arange(256, dtype=torch.uint8).reshape(-1, 1, 1))[:, :, 0, 0]
    spread = (allowed | ~allowed.any(dim=1, keepdim=True)) * frequency
    return 2.0 * (spread / spread.sum(dim=1, keepdim=True) - frequency)


def _code_of(model: GroundModel, labels: Tensor) -> Tensor:
    """Clean code of every pixel, (B, 6, H, W)."""
    return model.codes[labels.long()].movedim(-1, 1).contiguous()


def _allowed(labels: Tensor) -> Tensor:
    """Which ground surfaces a byte allows, (B, 6, H, W) bool."""
    bits = torch.tensor([BIT[s] for s in GROUND], dtype=torch.uint8, device=labels.device)
    return (labels[:, None] & OPEN & bits.reshape(1, -1, 1, 1)) > 0


def _draw_noise(
    settings: GroundSettings, batch: int, *, rng: torch.Generator, like: Tensor
) -> Tensor:
    """Standard deviations of a batch, (B,): one from each of B equally likely slices."""
    place = torch.rand(batch, generator=rng, device=like.device)
    slices = torch.randperm(batch, generator=rng, device=like.device)
    quantile = ((slices + place) / batch).clamp(1e-4, 1 - 1e-4)
    normal = math.sqrt(2.0) * torch.erfinv(2.0 * quantile - 1.0)
    return (settings.noise_mean + settings.noise_sd * normal).exp()


def _by_noise(each: Tensor, pixels: Tensor, noise: Tensor) -> dict[str, Tensor]:
    """Loss of items with little (s < 2) and with much noise."""
    parts = {}
    for name, chosen in (("fine", noise < 2.0), ("coarse", noise >= 2.0)):
        parts[name] = (each * chosen).sum() / (pixels * chosen).sum().clamp(min=1)
    return parts
