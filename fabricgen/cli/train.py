"""`fabricgen train`: weights from tile stores."""

from __future__ import annotations

from pathlib import Path

from . import console
from .options import ConfigDir, Out, Overrides, SettingsFile, read_settings


def train(
    overrides: Overrides = None,
    *,
    out: Out = Path("runs/default"),
    config_dir: ConfigDir = None,
    settings: SettingsFile = None,
) -> None:
    """Train the generator on tile stores.

    A run that was stopped goes on where it was, when called again with the same --out.

    fabricgen train --out runs/first trainer.data=stores trainer.max_minutes=60
    """
    values = read_settings("train", overrides, config_dir=config_dir, settings=settings)

    from ..learn import TrainSettings
    from ..learn import train as run
    from ..settings import fill

    with console.progress("train") as on_step:
        weights = run(
            fill(TrainSettings, values.get("trainer", values), where="trainer"),
            out=out,
            on_step=on_step,
        )
    console.show({"weights": str(weights)}, text=f"weights written to {weights}")
