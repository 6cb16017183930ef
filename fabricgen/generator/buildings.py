"""Buildings as a sequence of oriented boxes, on given streets: the face of the stage, and its loss.

The item is made in `buildings_example`, the network is in `buildings_network`, the sampler in
`buildings_sample`.
"""

import torch
from torch import Tensor

from fabricgen.generator.buildings_example import example
from fabricgen.generator.buildings_features import (
    END,
    box_cell,
    floors_log_prob,
    gather_near,
    mask_types,
    walk_cells,
)
from fabricgen.generator.buildings_network import BuildingsModel, BuildingsSettings
from fabricgen.generator.buildings_sample import BuildingsSampling, Tilt, sample
from fabricgen.generator.snap import SnapRange, snap_log_prob

__all__ = [
    "PARTS",
    "BuildingsModel",
    "BuildingsSampling",
    "BuildingsSettings",
    "Tilt",
    "example",
    "log_prob",
    "loss",
    "sample",
]

PARTS = ("type", "cell", "angle", "width", "depth", "along", "across", "floors")


def loss(
    model: BuildingsModel, batch: dict[str, Tensor], *, rng: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean negative log-likelihood of a box, the sum of its parts; `rng` has nothing to draw."""
    logs = log_prob(model, batch)
    parts = {name: -_mean(logs[name], logs[f"{name}_counts"]) for name in PARTS}
    return torch.stack(list(parts.values())).sum(), parts


def log_prob(model: BuildingsModel, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Log-probability of each choice of each box under teacher forcing.

    Returns:
        For each of PARTS its values and, under `<part>_counts`, which of them are known. `type` is
        over all steps with a known type, the others over all boxes, item by item.
    """
    count, complete = batch["count"], batch["complete"]
    longest = int(count.max()) + 1
    maps = model.encode(batch["raster"], batch["overall"])
    boxes = batch["boxes"][:, :longest]  # (B, T, 8); row 0 is the start
    state, _ = model.read(maps, batch["overall"], boxes, batch["account"][:, :longest])

    # What kind of step comes next.
    step = torch.arange(longest, device=count.device)
    kind = batch["kind"][:, :longest]
    kind = torch.where(step == count[:, None], END, kind)
    ends = (step < count[:, None]) | ((step == count[:, None]) & complete[:, None])
    type_logits = mask_types(model.type_head(state[ends]), step.expand_as(ends)[ends] == 0)
    type_log = type_logits.log_softmax(-1).gather(1, kind[ends][:, None])[:, 0]
    logs = {"type": type_log, "type_counts": torch.ones_like(type_log)}

    # Where the box goes.
    item, at = (step < count[:, None]).nonzero(as_tuple=True)  # (R,), item by item
    here, which = state[item, at], kind[item, at]
    rows = {name: batch[name][item, at] for name in ("cell", "last", "near", "setbacks", "target")}
    cells = {name: batch[name][item] for name in ("rank", "block", "face", "walk_m", "open")}
    last_box = torch.where(at > 0, box_cell(boxes[item, at]), -1)
    built = batch["built_at"][item] < at[:, None]
    walk = walk_cells(cells=cells, last=rows["last"], last_box=last_box, kind=which, built=built)
    logits = model.cell_logits(maps, here, which, item, walk)
    logs["cell"] = logits.log_softmax(-1).gather(1, rows["cell"][:, None])[:, 0]

    # What it looks like.
    near = gather_near(batch, item, at, rows["near"])
    street = batch["street"][item, rows["cell"]]
    place = model.look(maps, here, which, item, rows["cell"], near, street, rows["setbacks"])
    target = rows["target"]  # (R, 6) angle, log sizes, offsets, floors
    told = {name: target[:, k] for k, name in enumerate(PARTS[2:])}

    def choose(name: str, spec: SnapRange | None, weights: Tensor, values: Tensor) -> Tensor:
        if spec is None:
            logs[name] = floors_log_prob(weights, values, told[name].nan_to_num(1.0))
        else:
            logs[name] = snap_log_prob(weights, values, told[name], spec=spec)
        return told[name]

    model.attributes(place, choose)
    for name in PARTS[1:]:
        logs[f"{name}_counts"] = torch.ones_like(logs[name])
    logs["floors_counts"] = (~told["floors"].isnan()).float()
    return logs


def _mean(values: Tensor, counts: Tensor) -> Tensor:
    return (values * counts).sum() / counts.sum().clamp(min=1.0)
