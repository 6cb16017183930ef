"""From training runs to weights that can be shipped: averaged, halved, with a card."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fabricgen.errors import CheckpointError
from fabricgen.generator.checkpoint import Models, build, save
from fabricgen.learn import resume


def export(
    runs: Path | Sequence[Path], path: Path, *, card: Mapping[str, Any] | None = None
) -> Path:
    """Write the averaged weights of one or several runs as one file with its card.

    Args:
        runs: Folders of runs. A stage that several hold is taken from the last one.
        path: The weights file, `NAME.safetensors`; its card goes beside it.
        card: More to say on the card.

    Returns:
        The weights file.

    Raises:
        CheckpointError: A folder holds no saved state.
    """
    stages: dict[str, Any] = {}
    training: dict[str, Any] = {}
    cities: dict[str, Any] = {}
    for run in [runs] if isinstance(runs, str | Path) else runs:
        found = resume.latest(Path(run))
        if found is None:
            raise CheckpointError(f"{Path(run).name}: no saved state", "train there first")
        tensors, facts = found
        cities.update(facts["cities"])
        for stage in facts["settings"]["stages"]:
            model = build(stage, facts["settings"]["models"].get(stage))
            prefix = f"average.{stage}."
            average = {
                n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)
            }
            model.load_state_dict(average)
            stages[stage] = model
            training[stage] = _told(facts, stage)
    document = {"training": training, "cities": cities, **(card or {})}
    models = Models(
        stages.get("streets"), stages.get("buildings"), stages.get("ground"), card=document
    )
    return save(models, Path(path), document)


def _told(facts: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """What the card says of a stage's training."""
    settings = {
        name: value
        for name, value in facts["settings"].items()
        if name not in ("data", "init_from")
    }
    return {
        "steps": facts["step"],
        "windows_seen": facts["step"] * facts["settings"]["batch_size"],
        "seconds": round(facts["seconds"], 1),
        "device": facts["device"],
        "parameters": facts["parameters"][stage],
        "skipped_steps": facts["skipped"],
        "validation": facts["validation"].get(stage, {}),
        "settings": settings,
    }
