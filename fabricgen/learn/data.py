"""Training items from tile stores, each a pure function of (seed, step, place in the batch).

Because nothing is kept between items, a resumed run draws exactly what an unbroken one would.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fabricgen.city.store import TRAIN, VALIDATION, TileStore
from fabricgen.errors import InputError
from fabricgen.generator.checkpoint import stage_module
from fabricgen.generator.conditions import PIXEL_M, WINDOW_PX, SiteSample
from fabricgen.learn.sites import draw_site, to_sample

MIN_COMPLETENESS = 0.9  # of the mapped buildings around
MIN_BUILDING_SHARE = 0.04
MAX_WATER_SHARE = 0.3
MAX_JITTER_M = 64.0  # half the lattice's stride, so that windows stay clear of other splits
MAX_OPEN_GROUND_SHARE = 0.8  # above it a window teaches the ground stage nothing
BUILT_UP_SHARE = 0.15  # of buildings; the ground stage draws sparser windows less often
MAX_NO_DATA_SHARE = 0.05
TRIES = 8  # draws of a site before one is taken as it is

Batch = dict[str, dict[str, Tensor]]  # stage -> name -> (B, ...)

_SALT = {"streets": 1, "buildings": 2, "ground": 3}  # so that stages draw independent windows


@dataclass(frozen=True, eq=False)
class Lattice:
    """The usable windows of one split of a store, and how often each is drawn."""

    city: np.ndarray  # (N,) number of the city
    x_m: np.ndarray  # (N,) centre
    y_m: np.ndarray  # (N,)
    angle_deg: np.ndarray  # (N,) wall angle
    chance: np.ndarray  # (N,) sums to 1
    names: list[str]  # cities by number


def usable_windows(store: TileStore, *, split: int, stage: str) -> Lattice:
    """The windows that can teach a stage.

    A city is drawn by the square root of its usable windows, so that large cities do not drown
    small ones. The ground stage prefers built-up windows whose ground is mapped.

    Args:
        store: One or more cities.
        split: `city.store.TRAIN` or `VALIDATION`.
        stage: A name in `STAGES`.

    Raises:
        InputError: No window of the store is usable.
    """
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("city", "x", "y", "angle", "w")}
    for number, name in enumerate(store.cities()):
        index = store.index(name)
        weight = _weights(index, split=split, stage=stage)
        use = np.flatnonzero(weight > 0)
        if not use.size:
            continue
        columns["city"].append(np.full(use.size, number))
        columns["x"].append(index["x_m"][use])
        columns["y"].append(index["y_m"][use])
        columns["angle"].append(index["wall_angle_deg"][use])
        columns["w"].append(weight[use] / np.sqrt(weight[use].sum()))
    if not columns["w"]:
        raise InputError(
            f"no window of the tile stores can train the {stage} stage",
            "give cities whose buildings are mapped, with windows in the split 'train'",
        )
    city, x_m, y_m, angle, weight = (np.concatenate(columns[name]) for name in columns)
    return Lattice(city, x_m, y_m, np.nan_to_num(angle), weight / weight.sum(), store.cities())


def _weights(index: Mapping[str, np.ndarray], *, split: int, stage: str) -> np.ndarray:
    building, road = index["surface_share_building"], index["surface_share_road"]
    usable = (
        (index["split"] == split)
        & (index["completeness"] >= MIN_COMPLETENESS)
        & (building >= MIN_BUILDING_SHARE)
        & (index["surface_share_water"] <= MAX_WATER_SHARE)
    )
    if stage != "ground":
        return usable.astype(np.float64)
    open_share = index["unknown_share"] / np.maximum(1.0 - building - road, 0.05)
    built_up = np.minimum(1.0, building / BUILT_UP_SHARE)  # or forests at the fringe would rule
    mapped = np.where(usable & (open_share <= MAX_OPEN_GROUND_SHARE), 1.0 - open_share, 0.0)
    return mapped**2 * built_up


def draw_sample(store: TileStore, lattice: Lattice, rng: np.random.Generator) -> SiteSample:
    """A window at a random place near the lattice, in the frame of its walls, with a site in it."""
    for _ in range(TRIES):
        row = int(rng.choice(len(lattice.chance), p=lattice.chance))
        shift = rng.uniform(-MAX_JITTER_M, MAX_JITTER_M, 2)
        window = store.window(
            lattice.names[lattice.city[row]],
            float(lattice.x_m[row] + shift[0]),
            float(lattice.y_m[row] + shift[1]),
            float(lattice.angle_deg[row]),
            rows=WINDOW_PX,
            cols=WINDOW_PX,
            pixel_m=PIXEL_M,
            flip=int(rng.integers(8)),
        )
        site = draw_site(window.labels, rng)
        if (window.labels[site] == 0).mean() <= MAX_NO_DATA_SHARE:
            break
    return to_sample(window, site)


class StepBatches(Dataset):
    """Item k is the batch of training step k, for each stage.

    Args:
        root: A tile store, or a folder of them.
        stages: Stage -> its settings.
        batch_size: Items per stage and step.
        seed: Of the run.
        split: `city.store.TRAIN` or `VALIDATION`.
    """

    def __init__(
        self,
        root: Path,
        stages: Mapping[str, Any],
        *,
        batch_size: int,
        seed: int,
        split: int = TRAIN,
    ) -> None:
        self.stages, self.batch_size, self.seed = dict(stages), batch_size, seed
        self.store = TileStore.open(root)
        self.lattices = {
            stage: usable_windows(self.store, split=split, stage=stage) for stage in stages
        }

    def item(self, stage: str, step: int, place: int) -> dict[str, np.ndarray]:
        """One training item, the same whenever it is asked for."""
        rng = np.random.default_rng([self.seed, _SALT[stage], step, place])
        sample = draw_sample(self.store, self.lattices[stage], rng)
        item: dict[str, np.ndarray] = stage_module(stage).example(sample, rng, self.stages[stage])
        return item

    def __getitem__(self, step: int) -> Batch:
        return {
            stage: collate([self.item(stage, step, place) for place in range(self.batch_size)])
            for stage in self.stages
        }


class _StepsFrom(Sampler):
    """Step numbers first, first + 1, … up to last."""

    def __init__(self, first: int, last: int) -> None:
        self.steps = range(first, last)

    def __iter__(self) -> Iterator[int]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)


def collate(items: list[dict[str, np.ndarray]]) -> dict[str, Tensor]:
    """Items of equal shapes as one batch of tensors."""
    return {name: torch.from_numpy(np.stack([item[name] for item in items])) for name in items[0]}


def batches(data: StepBatches, *, first: int, last: int, workers: int) -> DataLoader:
    """The batches of steps first … last - 1 in order; `workers` processes prepare them ahead."""
    return DataLoader(
        data,
        batch_size=None,
        sampler=_StepsFrom(first, last),
        num_workers=workers,
        timeout=300 if workers else 0,
        generator=torch.Generator(),  # the loader must not draw from the global one
    )


def validation_batches(
    root: Path, stages: Mapping[str, Any], *, items: int, batch_size: int
) -> list[Batch]:
    """Fixed batches of the validation split, the same in every run."""
    data = StepBatches(root, stages, batch_size=batch_size, seed=0, split=VALIDATION)
    return [data[step] for step in range(max(1, items // batch_size))]
