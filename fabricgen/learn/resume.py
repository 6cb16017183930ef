"""The state of a training run on disk: whole, verified, the last two kept.

A saved state is `state-STEP.safetensors` and, written last, `state-STEP.json` with its SHA-256.
A state without its manifest, or with other bytes than the manifest says, does not count.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from fabricgen.errors import CheckpointError
from fabricgen.files import atomic_file, sha256_of

log = logging.getLogger(__name__)

KEEP = 2


def save(
    folder: Path, *, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> Path:
    """Write the state after `step` steps, then forget all but the last two.

    Args:
        folder: The run's folder.
        step: Steps done.
        tensors: Weights, averages, optimizer moments; all must be finite.
        facts: Small things that JSON holds.

    Raises:
        CheckpointError: A tensor is not finite; earlier states stay.
    """
    broken = [name for name, value in tensors.items() if not _is_finite(value)]
    if broken:
        raise CheckpointError(
            f"step {step}: {broken[0]} is not finite, the state is not saved",
            "lower the learning rate",
        )
    target = Path(folder) / f"state-{step:08d}.safetensors"
    with atomic_file(target) as part:
        save_file({name: value.detach().cpu().clone() for name, value in tensors.items()}, part)
        sha256 = sha256_of(part)
    with atomic_file(target.with_suffix(".json")) as part:
        part.write_text(json.dumps({"step": step, "sha256": sha256, **facts}), encoding="utf-8")
    for manifest in _manifests(folder)[KEEP:]:
        manifest.unlink()
        manifest.with_suffix(".safetensors").unlink(missing_ok=True)
    return target


def latest(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The newest state that verifies, or None when there is none at all.

    A damaged state is passed over with a warning in the log.

    Raises:
        CheckpointError: There are states, and none of them verifies.
    """
    manifests = _manifests(folder)
    for manifest in manifests:
        found = _read(manifest)
        if found is not None:
            return found
        log.warning("%s: damaged, falling back to the state before it", manifest.stem)
    if manifests:
        raise CheckpointError(
            f"{Path(folder).name}: none of its {len(manifests)} saved states is intact",
            "start again in another folder",
        )
    return None


def _manifests(folder: Path) -> list[Path]:
    """Newest first; the step in the name decides, not the clock."""
    return sorted(Path(folder).glob("state-*.json"), reverse=True)


def _read(manifest: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    weights = manifest.with_suffix(".safetensors")
    try:
        facts = json.loads(manifest.read_text(encoding="utf-8"))
        if sha256_of(weights) != facts["sha256"]:
            return None
        return load_file(weights), facts
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None


def _is_finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(torch.isfinite(value).all())
