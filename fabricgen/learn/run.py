"""A training run in a folder: start or resume, save, log, stop.

The folder holds the last two states (`learn.resume`), `log.jsonl`, and at the end
`weights.safetensors` with its card.
"""

import dataclasses
import json
import logging
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from fabricgen import settings as doors
from fabricgen._torch import lightning, torch
from fabricgen.city.store import TRAIN, TileStore
from fabricgen.errors import SettingsError
from fabricgen.files import lock, prepare_output, sweep
from fabricgen.generator import checkpoint
from fabricgen.learn import resume
from fabricgen.learn.data import StepBatches, batches, validation_batches
from fabricgen.learn.settings import FIXED, TrainSettings
from fabricgen.learn.task import CascadeTask
from fabricgen.learn.weights import export
from fabricgen.steps import OnStep, quiet

log = logging.getLogger(__name__)

ENDLESS = 2**40  # steps of a run that only the clock stops
CITY_KEYS = ("source", "licence", "attribution")


def train(
    settings: TrainSettings | Mapping[str, Any], *, out: Path, on_step: OnStep = quiet
) -> Path:
    """Train stages on tile stores, or take up an interrupted run where it stopped.

    On a CPU, a run bounded by `max_steps` that is killed and resumed ends with the very weights of
    an unbroken one. Bounded by `max_minutes`, the learning rate follows the clock and the end is
    equal in kind only.

    Args:
        settings: A `TrainSettings`, or a plain mapping of its fields.
        out: The run's folder. Holding a state already, it is resumed.
        on_step: Told each step.

    Returns:
        The averaged weights, `out/weights.safetensors`, with their card beside them.

    Raises:
        SettingsError: The settings contradict themselves or the run in `out`.
        InputError: The tile stores cannot train a stage.
        CheckpointError: Saved states are damaged, or the loss blows up for good.
        KeyboardInterrupt: Ctrl-C or a request to end; the state is saved before.
    """
    if not isinstance(settings, TrainSettings):
        settings = doors.fill(TrainSettings, settings, where="trainer")
    if settings.max_steps is None and settings.max_minutes is None:
        raise SettingsError("neither max_steps nor max_minutes is set", "set one of them")
    out = prepare_output(Path(out), free_mb=200)
    with lock(out), _stop_requests() as stop:
        sweep(out)
        _train(settings, out, on_step=on_step, stop=stop)
        if stop.is_set():
            raise KeyboardInterrupt
    return export(out, out / "weights.safetensors")


def _train(settings: TrainSettings, out: Path, *, on_step: OnStep, stop: threading.Event) -> None:
    torch.set_num_threads(settings.threads)
    task = CascadeTask(settings)
    seconds = _take_up(task, settings, out)
    chosen = {name: stage.model.settings for name, stage in task.stages.items()}
    data = StepBatches(
        Path(settings.data), chosen, batch_size=settings.batch_size, seed=settings.seed
    )
    keeper = _Keeper(settings, out, seconds=seconds, on_step=on_step, stop=stop)
    keeper.cities = _cities(data.store)
    if settings.validation_items:
        keeper.validation = validation_batches(
            Path(settings.data),
            chosen,
            items=settings.validation_items,
            batch_size=min(settings.batch_size, settings.validation_items),
        )
    loader = batches(
        data,
        first=task.steps_done,
        last=settings.max_steps or ENDLESS,
        workers=settings.workers,
    )
    if len(loader) and keeper.progress(task) < 1.0:
        with _quiet_lightning():
            _trainer(settings, keeper).fit(task, loader)


def _trainer(settings: TrainSettings, keeper: "_Keeper") -> Any:
    device = settings.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return lightning.Trainer(
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=1,
        max_epochs=1,
        max_steps=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[keeper],
    )


def _take_up(task: CascadeTask, settings: TrainSettings, out: Path) -> float:
    """Restore the run's last state, or start from other weights; seconds trained before."""
    found = resume.latest(out)
    if found is not None:
        tensors, facts = found
        _check_same(settings, facts["settings"], out)
        task.restore(tensors, facts)
        _write_line(out, {"event": "resumed", "step": facts["step"]})
        return float(facts["seconds"])
    if settings.init_from is not None:
        models = checkpoint.load(Path(settings.init_from)).stages()
        for name, stage in task.stages.items():
            if name in models:
                stage.model.load_state_dict(models[name].state_dict())
                stage.average = {n: v.clone() for n, v in stage.model.state_dict().items()}
    return 0.0


def _check_same(settings: TrainSettings, before: Mapping[str, Any], out: Path) -> None:
    now = json.loads(json.dumps(dataclasses.asdict(settings)))
    for name in FIXED:
        if now[name] != before[name]:
            raise SettingsError(
                f"{out.name}: holds a run with {name}={before[name]}, asked is {now[name]}",
                "resume with the same settings, or choose another folder",
            )


def _cities(store: TileStore) -> dict[str, Any]:
    """Source and license of each city that trains, for the card."""
    return {
        city: {key: store.card(city).get(key, "not stated") for key in CITY_KEYS}
        for city in store.cities()
        if (store.index(city)["split"] == TRAIN).any()
    }


class _Keeper(lightning.Callback):  # type: ignore[name-defined]  # loads on first use
    """Sets rates, writes the log, saves and validates by the clock, stops the run."""

    def __init__(
        self,
        settings: TrainSettings,
        out: Path,
        *,
        seconds: float,
        on_step: OnStep,
        stop: threading.Event,
    ) -> None:
        self.settings, self.out, self.on_step, self.stop = settings, out, on_step, stop
        self.validation: list = []
        self.cities: dict[str, Any] = {}
        self.scores: dict[str, dict[str, float]] = {}
        self.before = seconds
        self.started = self.saved = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds trained, earlier parts of the run included."""
        return self.before + time.monotonic() - self.started

    def progress(self, task: CascadeTask) -> float:
        """How much of the run is done, 0…1, by steps or by the clock, whichever is further."""
        by_steps = task.steps_done / self.settings.max_steps if self.settings.max_steps else 0.0
        by_clock = self.seconds / 60.0 / (self.settings.max_minutes or float("inf"))
        return max(by_steps, by_clock)

    def on_train_start(self, trainer: Any, pl_module: CascadeTask) -> None:
        pl_module.train()
        self.started = self.saved = time.monotonic()
        _listen(self.stop)  # Lightning has put its own handler of SIGTERM in place by now

    def on_train_batch_start(
        self, trainer: Any, pl_module: CascadeTask, batch: Any, batch_idx: int
    ) -> None:
        pl_module.set_rates(self.progress(pl_module))

    def on_train_batch_end(
        self, trainer: Any, pl_module: CascadeTask, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        task = pl_module
        if task.blown_up():
            self._back_off(task)
        if task.steps_done % self.settings.log_steps == 0:
            self._log_losses(task)
        if time.monotonic() - self.saved >= self.settings.checkpoint_minutes * 60.0:
            self.save(task)
        if self.stop.is_set() or self.progress(task) >= 1.0:
            trainer.should_stop = True

    def on_train_end(self, trainer: Any, pl_module: CascadeTask) -> None:
        self.save(pl_module)

    def save(self, task: CascadeTask) -> None:
        """Validate, unless the run is asked to end, and write the state."""
        seconds = self.seconds
        if self.validation and not self.stop.is_set():
            task.eval()
            self.scores = task.validate(self.validation)
            task.train()
            line = {"event": "validation", "step": task.steps_done, "seconds": round(seconds, 1)}
            _write_line(self.out, {**line, "losses": self.scores})
        resume.save(
            self.out, step=task.steps_done, tensors=task.tensors(), facts=self._facts(task, seconds)
        )
        self.saved = time.monotonic()

    def _facts(self, task: CascadeTask, seconds: float) -> dict[str, Any]:
        parameters = {
            name: sum(p.numel() for p in stage.model.parameters())
            for name, stage in task.stages.items()
        }
        return {
            "seconds": seconds,
            "skipped": task.skipped,
            "rate_scale": task.rate_scale,
            "settings": dataclasses.asdict(self.settings),
            "validation": self.scores,
            "parameters": parameters,
            "device": str(task.device),
            "cities": self.cities,
        }

    def _back_off(self, task: CascadeTask) -> None:
        found = resume.latest(self.out)
        task.back_off(found[0] if found else None)
        line = {"event": "backed off", "step": task.steps_done, "rate_scale": task.rate_scale}
        _write_line(self.out, line)

    def _log_losses(self, task: CascadeTask) -> None:
        losses = task.mean_losses()
        line = {
            "step": task.steps_done,
            "seconds": round(self.seconds, 1),
            "rate": task.rate_share(self.progress(task)),
            "losses": losses,
        }
        _write_line(self.out, line)
        note = " ".join(f"{n.split('.')[0]} {v:.3f}" for n, v in losses.items() if "loss" in n)
        self.on_step(task.steps_done, self.settings.max_steps, note)


def _write_line(out: Path, line: Mapping[str, Any]) -> None:
    with (out / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets; the second one ends the process at once."""
    event = threading.Event()
    before = _listen(event)
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(event: threading.Event) -> dict[int, Any]:
    """Let signals set an event; gives the handlers that were there. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        return {}

    def request(number: int, frame: FrameType | None) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()

    return {n: signal.signal(n, request) for n in (signal.SIGINT, signal.SIGTERM)}


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's tips off the screen; its warnings of few workers do not apply."""
    names = ("lightning.pytorch", "lightning.fabric")
    levels = [logging.getLogger(name).level for name in names]
    for name in names:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # inside Lightning itself
            yield
    finally:
        for name, level in zip(names, levels, strict=True):
            logging.getLogger(name).setLevel(level)
