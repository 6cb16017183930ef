"""Weights on disk: one safetensors file in half precision, and a JSON card beside it.

The card holds the settings that rebuild each stage's network, the SHA-256 of the weights, and what
whoever trained them says about them. Both are data: no pickle, no import paths.
"""

import dataclasses
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fabricgen import settings
from fabricgen.errors import CheckpointError, SettingsError
from fabricgen.files import atomic_file, sha256_of

FORMAT = 1  # of the card; raised when an older reader would misread it

# The stages of the cascade, in their order, and where each one lives.
STAGES = {
    "streets": "fabricgen.generator.streets",
    "buildings": "fabricgen.generator.buildings",
    "ground": "fabricgen.generator.ground",
}


@dataclass(frozen=True, eq=False)
class Models:
    """The trained stages; None where the weights hold no such stage."""

    streets: nn.Module | None
    buildings: nn.Module | None
    ground: nn.Module | None
    card: Mapping[str, Any]  # what the JSON card says
    sha256: str = ""  # of the weights file; empty before it is saved

    def stages(self) -> dict[str, nn.Module]:
        """The stages that are there, by name."""
        found = {name: getattr(self, name) for name in STAGES}
        return {name: model for name, model in found.items() if model is not None}

    def to(self, device: torch.device | str) -> "Models":
        """The same models on another device."""
        for model in self.stages().values():
            model.to(device)
        return self


def stage_module(stage: str) -> ModuleType:
    """The module of a stage, loaded on first use."""
    if stage not in STAGES:
        raise SettingsError(f"no stage is called '{stage}'", settings.suggest(stage, STAGES))
    return importlib.import_module(STAGES[stage])


def build(stage: str, values: Mapping[str, Any] | None = None) -> nn.Module:
    """A stage's network with fresh weights.

    Args:
        stage: A name in `STAGES`.
        values: Its settings, as in `configs/model/`; None takes every default.
    """
    module, name = stage_module(stage), stage.capitalize()
    chosen = settings.fill(getattr(module, f"{name}Settings"), values, where=f"model.{stage}")
    model: nn.Module = getattr(module, f"{name}Model")(chosen)
    return model


def card_path(path: Path) -> Path:
    """The card that belongs to a weights file."""
    return Path(path).with_suffix(".json")


def save(models: Models, path: Path, card: Mapping[str, Any]) -> Path:
    """Write weights and card; earlier ones stay until the new ones are whole.

    Args:
        models: The stages; each must keep its settings as `model.settings`.
        path: The weights file, `NAME.safetensors`.
        card: What to say about them: data, licenses, seconds, losses.

    Returns:
        The weights file.

    Raises:
        CheckpointError: A weight is not finite in half precision.
    """
    path = Path(path)
    tensors = {
        f"{stage}.{name}": _shrink(f"{stage}.{name}", value)
        for stage, model in models.stages().items()
        for name, value in model.state_dict().items()
    }
    with atomic_file(path) as part:
        save_file(tensors, part)
        document = {
            **card,
            "format": FORMAT,
            "sha256": sha256_of(part),
            "stages": {
                stage: dataclasses.asdict(model.settings)  # type: ignore[call-overload]
                for stage, model in models.stages().items()
            },
        }
    with atomic_file(card_path(path)) as part:
        part.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path


def load(path: Path, *, device: torch.device | str = "cpu") -> Models:
    """Read weights after holding them against their card.

    Args:
        path: The weights file, `NAME.safetensors`, with `NAME.json` beside it.
        device: Where the models go, as float32 and in evaluation mode.

    Raises:
        CheckpointError: A file is missing, damaged, or from another version.
    """
    path = Path(path)
    card = _read_card(path)
    found = sha256_of(path)
    if found != card["sha256"]:
        raise CheckpointError(
            f"{path.name}: damaged, its SHA-256 is not the one in {card_path(path).name}",
            "fetch both files again",
        )
    try:
        tensors = load_file(path, device=str(device))
    except (SafetensorError, OSError) as err:
        raise CheckpointError(f"{path.name}: not a safetensors file", "fetch it again") from err
    stages = {
        stage: _rebuild(stage, values, tensors, path=path).to(device)
        for stage, values in card["stages"].items()
    }
    return Models(**{name: stages.get(name) for name in STAGES}, card=card, sha256=found)


def _rebuild(
    stage: str, values: Mapping[str, Any], tensors: Mapping[str, Tensor], *, path: Path
) -> nn.Module:
    prefix = f"{stage}."
    state = {
        name.removeprefix(prefix): value.float() if value.is_floating_point() else value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
    try:
        model = build(stage, values)
        model.load_state_dict(state)
    except (SettingsError, RuntimeError) as err:
        raise CheckpointError(
            f"{path.name}: the stage '{stage}' does not fit this version of fabricgen",
            "use weights made by this version, or train again",
        ) from err
    return model.eval()


def _read_card(path: Path) -> dict[str, Any]:
    card_file = card_path(path)
    for file in (path, card_file):
        if not file.is_file():
            raise CheckpointError(f"{file.name}: no such file", "give weights and card together")
    try:
        card = json.loads(card_file.read_text(encoding="utf-8"))
    except ValueError as err:
        raise CheckpointError(f"{card_file.name}: not JSON", "fetch it again") from err
    if not isinstance(card, dict) or not {"format", "sha256", "stages"} <= card.keys():
        raise CheckpointError(f"{card_file.name}: not a card of weights", "fetch it again")
    if card["format"] != FORMAT:
        raise CheckpointError(
            f"{card_file.name}: format {card['format']}, this version reads {FORMAT}",
            "install the matching version of fabricgen",
        )
    return card


def _shrink(name: str, value: Tensor) -> Tensor:
    """Half precision on the CPU; what is not floating point stays as it is."""
    value = value.detach().cpu().contiguous()
    if not value.is_floating_point():
        return value
    small = value.half()
    if not bool(torch.isfinite(small).all()):
        raise CheckpointError(f"the weight {name} is not finite in half precision", "train again")
    return small
