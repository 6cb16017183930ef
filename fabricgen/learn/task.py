"""One Lightning module that trains any of the stages side by side, each with its own optimizer.

Randomness is a function of the seed and the step alone, so that a resumed run repeats an unbroken
one: noise comes from a generator made for the step, dropout from torch's own, reseeded each step.
"""

import contextlib
import copy
import logging
import math
import zlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
from torch import Tensor, nn

from fabricgen._torch import lightning, torch
from fabricgen.errors import CheckpointError
from fabricgen.generator.checkpoint import build, stage_module
from fabricgen.learn import ema
from fabricgen.learn.data import Batch
from fabricgen.learn.settings import TrainSettings

log = logging.getLogger(__name__)

FINAL_RATE = 0.02  # the cosine ends at this share of the peak rate
MAX_SKIPS = 8  # steps in a row without a finite gradient before the last good state returns


class Stage:
    """A stage in training: network, average, optimizer."""

    def __init__(self, name: str, *, settings: TrainSettings) -> None:
        self.name = name
        self.module: ModuleType = stage_module(name)
        self.model: nn.Module = build(name, settings.models.get(name))
        self.average = ema.start(self.model)
        self.peak_rate = settings.rates.get(name, settings.lr)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=self.peak_rate,
            betas=(0.9, 0.99),
            weight_decay=settings.weight_decay,
        )
        self.skips = 0  # in a row

    def to(self, device: torch.device) -> None:
        """Move the average and the optimizer's moments to where the network went."""
        self.average = {name: value.to(device) for name, value in self.average.items()}
        for moments in self.optimizer.state.values():
            for key, value in moments.items():
                moments[key] = value if key == "step" else value.to(device)

    def tensors(self) -> dict[str, Tensor]:
        """All that must be saved, by name."""
        found = {f"model.{self.name}.{n}": v for n, v in self.model.state_dict().items()}
        found |= {f"average.{self.name}.{n}": v for n, v in self.average.items()}
        for number, moments in self.optimizer.state_dict()["state"].items():
            found |= {f"optimizer.{self.name}.{number}.{k}": v for k, v in moments.items()}
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `tensors` gave."""
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
        for name, value in tensors.items():
            part, stage, rest = name.split(".", 2)
            if stage == self.name:
                parts[part][rest] = value
        self.model.load_state_dict(parts["model"])
        for name, value in parts["average"].items():
            self.average[name].copy_(value)
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in parts["optimizer"].items():
            number, key = name.split(".")
            state.setdefault(int(number), {})[key] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


class CascadeTask(lightning.LightningModule):  # type: ignore[name-defined]  # loads on first use
    """Trains stages on the batches of `learn.data`; `learn.run` saves, logs and stops it."""

    def __init__(self, settings: TrainSettings) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.settings = settings
        torch.manual_seed(seed_of(settings.seed, "start"))
        self.stages = {name: Stage(name, settings=settings) for name in settings.stages}
        self.networks = nn.ModuleDict({name: s.model for name, s in self.stages.items()})
        self.steps_done = 0
        self.skipped = 0
        self.rate_scale = 1.0  # halved each time training blows up
        self.totals: dict[str, list[Tensor]] = {}  # loss parts since the last line of the log

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One optimizer per stage."""
        return [stage.optimizer for stage in self.stages.values()]

    def on_fit_start(self) -> None:
        """Bring averages and moments to the device of the networks."""
        for stage in self.stages.values():
            stage.to(self.device)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One step of each stage."""
        for name, stage in self.stages.items():
            self._train(stage, batch[name])
        self.steps_done += 1

    def rate_share(self, progress: float) -> float:
        """Share of the peak learning rate: linear warm-up, then cosine over the whole run.

        Args:
            progress: How much of the run is done, 0…1.
        """
        warm = min(1.0, (self.steps_done + 1) / max(1, self.settings.warmup_steps))
        cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
        return warm * (FINAL_RATE + (1.0 - FINAL_RATE) * cosine) * self.rate_scale

    def set_rates(self, progress: float) -> None:
        """Set each optimizer's rate for the coming step."""
        for stage in self.stages.values():
            for group in stage.optimizer.param_groups:
                group["lr"] = stage.peak_rate * self.rate_share(progress)

    def _train(self, stage: Stage, batch: dict[str, Tensor]) -> None:
        seed = seed_of(self.settings.seed, stage.name, self.steps_done)
        torch.manual_seed(seed)
        rng = torch.Generator(self.device).manual_seed(seed)
        with self._autocast():
            loss, parts = stage.module.loss(stage.model, batch, rng=rng)
        stage.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(stage.model.parameters(), self.settings.clip_norm)
        if not math.isfinite(float(loss.detach()) + float(norm)):
            self._skip(stage)
            return

        stage.skips = 0
        stage.optimizer.step()
        ema.follow(stage.average, stage.model, step=self.steps_done, decay=self.settings.ema_decay)
        for part, value in {"loss": loss, "gradient": norm, **parts}.items():
            self.totals.setdefault(f"{stage.name}.{part}", []).append(value.detach())

    def _skip(self, stage: Stage) -> None:
        stage.skips += 1
        self.skipped += 1
        log.warning("step %d: %s has no finite gradient, skipped", self.steps_done, stage.name)

    def blown_up(self) -> bool:
        """Whether a stage has had no finite gradient for too long."""
        return any(stage.skips >= MAX_SKIPS for stage in self.stages.values())

    def back_off(self, tensors: Mapping[str, Tensor] | None) -> None:
        """Return to the last good weights, at half the rate.

        Raises:
            CheckpointError: There is no good state, or it has been tried three times.
        """
        if tensors is None or self.rate_scale <= 0.125:
            raise CheckpointError(
                f"step {self.steps_done}: the loss is not finite and stays so",
                "lower the learning rate",
            )
        self.rate_scale /= 2.0
        for stage in self.stages.values():
            stage.restore(tensors)
            stage.skips = 0

    def mean_losses(self) -> dict[str, float]:
        """Means of the loss parts since the last call."""
        means = {name: float(torch.stack(vs).float().mean()) for name, vs in self.totals.items()}
        self.totals.clear()
        return means

    @torch.no_grad()
    def validate(self, batches: list[Batch]) -> dict[str, dict[str, float]]:
        """Loss parts of the averaged weights on fixed batches with fixed noise, per stage."""
        found = {}
        for name, stage in self.stages.items():
            model = copy.deepcopy(stage.model).eval()
            model.load_state_dict(stage.average)
            values: dict[str, list[float]] = {}
            for number, batch in enumerate(batches):
                rng = torch.Generator(self.device).manual_seed(seed_of(0, name, number))
                here = {key: value.to(self.device) for key, value in batch[name].items()}
                with self._autocast():
                    loss, parts = stage.module.loss(model, here, rng=rng)
                for part, value in {"loss": loss, **parts}.items():
                    values.setdefault(part, []).append(float(value))
            found[name] = {part: float(np.mean(each)) for part, each in values.items()}
        return found

    def tensors(self) -> dict[str, Tensor]:
        """All stages' weights, averages and moments."""
        return {n: v for stage in self.stages.values() for n, v in stage.tensors().items()}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Take up a saved state."""
        for stage in self.stages.values():
            stage.restore(tensors)
        self.steps_done, self.skipped = facts["step"], facts["skipped"]
        self.rate_scale = facts["rate_scale"]

    def _autocast(self) -> contextlib.AbstractContextManager:
        chosen = self.settings.precision
        lower = chosen == "bfloat16" or (chosen == "auto" and self.device.type == "cuda")
        return torch.autocast(self.device.type, torch.bfloat16, enabled=lower)


def seed_of(*parts: int | str) -> int:
    """A seed from a few words and numbers, the same everywhere and always."""
    numbers = [p if isinstance(p, int) else zlib.crc32(p.encode()) for p in parts]
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
