"""A city of square blocks made by code, as a tile store."""

import json
from pathlib import Path

import numpy as np

from fabricgen.surfaces import BIT, BUILDING, GRASS, OPEN, ROAD, TREE

BLOCK_M, STREET_M, HOUSE_M = 80, 10, 20


def write_city(folder: Path, *, name: str, size_m: int = 1024, mapped: bool = True, seed: int = 0):
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    labels = np.full((size_m, size_m), BIT[GRASS] if mapped else OPEN, np.uint8)
    if mapped:
        labels[rng.random(labels.shape) < 0.1] = BIT[TREE]
    height = np.zeros(labels.shape, np.uint16)
    boxes, segments = [], []
    for at in range(0, size_m, BLOCK_M):
        labels[at : at + STREET_M] = BIT[ROAD]
        labels[:, at : at + STREET_M] = BIT[ROAD]
        mid = at + STREET_M / 2
        segments.append([0, mid, size_m, mid, STREET_M, 2])
        segments.append([mid, 0, mid, size_m, STREET_M, 2])
    for row in range(STREET_M + 10, size_m - HOUSE_M, BLOCK_M):
        for col in range(STREET_M + 10, size_m - HOUSE_M, BLOCK_M):
            for d_row, d_col in ((0, 0), (0, 30), (30, 0)):
                r, c, floors = row + d_row, col + d_col, int(rng.integers(1, 6))
                if max(r, c) + HOUSE_M > size_m:
                    continue
                labels[r : r + HOUSE_M, c : c + HOUSE_M] = BIT[BUILDING]
                height[r : r + HOUSE_M, c : c + HOUSE_M] = floors * 30
                boxes.append([c + 10, r + 10, HOUSE_M, HOUSE_M, 0.0, floors, len(boxes)])
    np.save(folder / "labels.npy", labels)
    np.save(folder / "height_dm.npy", height)
    np.save(folder / "boxes.npy", np.array(boxes, np.float32))
    np.save(folder / "segments.npy", np.array(segments, np.float32))
    frame = dict(
        crs="EPSG:32635", x_m=5e5, y_m=6e6, angle_deg=0.0, pixel_m=1.0, rows=size_m, cols=size_m
    )
    card = dict(
        name=name,
        crs="EPSG:32635",
        frame=frame,
        source="code",
        licence="none",
        attribution="nobody",
    )
    (folder / "city.json").write_text(json.dumps(card))
    np.savez(folder / "index.npz", **_index(labels, size_m))


def _index(labels: np.ndarray, size_m: int) -> dict[str, np.ndarray]:
    middles = np.arange(256, size_m - 255, 128.0)
    x, y = (grid.ravel() for grid in np.meshgrid(5e5 + middles, 6e6 - middles))
    count = x.size
    shares = {s: np.full(count, (labels == BIT[s]).mean()) for s in range(8)}
    split = np.zeros(count, np.uint8)
    split[::5] = 1
    names = ("building", "road", "paved", "water", "tree", "shrub", "grass", "bare")
    return dict(
        x_m=x,
        y_m=y,
        split=split,
        completeness=np.ones(count),
        wall_angle_deg=np.zeros(count),
        wall_order=np.ones(count),
        unknown_share=np.full(count, (labels == OPEN).mean()),
        height_known_share=np.ones(count),
        **{f"surface_share_{n}": shares[i] for i, n in enumerate(names)},
    )
