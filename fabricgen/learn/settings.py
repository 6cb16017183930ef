"""What a training run is told. Needs neither Hydra nor Lightning to be read."""

from dataclasses import dataclass, field
from typing import Any, Literal

from fabricgen.settings import ranged


@dataclass(frozen=True)
class TrainSettings:
    """A training run. The first group of fields must stay the same when a run is resumed."""

    data: str  # a tile store, or a folder of them
    stages: tuple[str, ...] = ("streets", "buildings", "ground")  # trained side by side
    models: dict[str, dict[str, Any]] = field(default_factory=dict)  # stage -> its settings
    batch_size: int = ranged(16, 1, 4096)  # windows per stage and step
    seed: int = ranged(0, 0)

    max_steps: int | None = ranged(None, 1)  # stop after so many steps
    max_minutes: float | None = ranged(None, 0.01)  # or after so many minutes; one must be given
    lr: float = ranged(1e-3, 1e-7, 1.0)  # peak learning rate
    rates: dict[str, float] = field(default_factory=dict)  # stage -> its own peak rate
    warmup_steps: int = ranged(200, 0)
    weight_decay: float = ranged(0.01, 0.0, 1.0)
    clip_norm: float = ranged(1.0, 0.001)  # of a stage's gradient
    ema_decay: float = ranged(0.999, 0.0, 0.99999)  # of the averaged weights that are shipped

    threads: int = ranged(1, 1, 256)  # CPU threads of torch
    workers: int = ranged(0, 0, 64)  # processes that cut windows ahead
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 on a GPU only
    checkpoint_minutes: float = ranged(5.0, 0.0)  # between saved states, each validated first
    validation_items: int = ranged(64, 0)  # fixed windows of the validation split; 0: none
    log_steps: int = ranged(20, 1)  # steps between lines of log.jsonl
    init_from: str | None = None  # weights to start from; stages that they lack start fresh


FIXED = ("stages", "models", "batch_size", "seed")  # what a resumed run may not change
