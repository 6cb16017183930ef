"""Real street networks beside drawn ones on large sites of cities that never trained: a table.

    python scripts/check_streets.py STORES [--side 600] [--sites 12] [--weights PATH] [--png FOLDER]

STORES is a folder of tile stores. On each site the real streets are measured, then cut out and
drawn anew by the generator from what stands around, three times. Streets are all that cars use;
blocks are the ground between them on the site and its surroundings.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fabricgen.city.store import TileStore, Window
from fabricgen.generator import cascade, streets
from fabricgen.generator.checkpoint import load
from fabricgen.generator.conditions import ASKS, PIXEL_M, Boxes, Conditions, Segments
from fabricgen.generator.paths import strip_mask
from fabricgen.generator.streets_network import Ground, network_of
from fabricgen.layout import from_labels
from fabricgen.surfaces import BIT, BUILDING, OPEN, PATH

RING_M = 48.0
TEST = 2  # code of the test split in a store's index
DRAWS = 3
LEAST_BLOCK_M2 = 400.0  # smaller ones are traffic islands
LARGE_M2 = 25_000.0


def main() -> None:
    """Draws, measures, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stores", type=Path)
    parser.add_argument("--side", type=float, default=600.0)
    parser.add_argument("--sites", type=int, default=12)
    parser.add_argument("--weights", type=Path, default=Path("checkpoints/default.safetensors"))
    parser.add_argument("--png", type=Path)
    told = parser.parse_args()
    models = load(told.weights)
    store = TileStore.open(told.stores)
    real, drawn, seconds = [], [], 0.0
    for number, (city, window, site) in enumerate(_sites(store, told.side, told.sites)):
        inside, outside = streets.cut_segments(window.segments, site, PIXEL_M)
        real.append(measure(outside, inside, site))
        begin = time.process_time()
        conditions = _conditions(window, outside, site)
        rng = torch.Generator().manual_seed(number)
        new = cascade.draw_streets(models, conditions, rng=rng).to_arrays()
        seconds += time.process_time() - begin
        drawn += [measure(outside, rows, site) for rows in new]
        if told.png:
            told.png.mkdir(parents=True, exist_ok=True)
            _picture(told.png / f"{number:02d}_{city}.png", window, site, outside, [inside, *new])
    print(f"{len(real)} sites of {told.side:.0f} m, {seconds / len(drawn):.1f} CPU s a network")
    print(f"{'median over sites (10 to 90 %)':34s}{'real':>24s}{'drawn':>24s}")
    for name in real[0]:
        print(f"{name:34s}" + "".join(f"{_spread(part, name):>24s}" for part in (real, drawn)))


def _spread(rows: list[dict[str, float]], name: str) -> str:
    low, middle, high = np.nanpercentile([row[name] for row in rows], [10, 50, 90])
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


def _sites(store: TileStore, side_m: float, count: int) -> list[tuple[str, Window, np.ndarray]]:
    """Built-up squares, city after city."""
    rng = np.random.default_rng(20260102)
    cells = int(np.ceil((side_m + 2 * RING_M) / PIXEL_M / 8)) * 8
    margin = int((cells - side_m / PIXEL_M) / 2)
    site = np.zeros((cells, cells), bool)
    site[margin:-margin, margin:-margin] = True
    cities = [c for c in store.cities() if (store.index(c)["split"] == TEST).any()]
    found: list[tuple[str, Window, np.ndarray]] = []
    for turn in range(40 * count):
        if len(found) == count:
            break
        city = cities[turn % len(cities)]
        index = store.index(city)
        good = (index["split"] == TEST) & (index["surface_share_building"] > 0.1)
        if not good.any():
            continue
        pick = int(rng.choice(np.flatnonzero(good)))
        window = store.window(
            city, float(index["x_m"][pick]), float(index["y_m"][pick]),
            float(index["wall_angle_deg"][pick]), rows=cells, cols=cells, pixel_m=PIXEL_M,
        )  # fmt: skip
        mapped = (window.labels == 0).mean() < 0.02 and (window.segments[:, 5] < PATH).sum() > 20
        if mapped and (window.labels == BIT[BUILDING]).mean() > 0.1:
            found.append((city, window, site))
    return found


def _conditions(window: Window, outside: np.ndarray, site: np.ndarray) -> Conditions:
    labels = torch.from_numpy(np.where(site, OPEN, window.labels))[None].expand(DRAWS, -1, -1)
    nothing = torch.zeros(labels.shape)
    return Conditions(
        context=from_labels(labels.contiguous(), nothing, nothing > 0, PIXEL_M),
        editable=torch.from_numpy(site)[None].expand(DRAWS, -1, -1).contiguous(),
        asks=torch.full((DRAWS, ASKS), float("nan")),
        north_deg=torch.full((DRAWS,), float(window.north_deg)),
        boxes=Boxes.empty(DRAWS),
        segments=Segments.from_arrays([outside] * DRAWS),
    )


def measure(outside: np.ndarray, inside: np.ndarray, site: np.ndarray) -> dict[str, float]:
    """Figures of the streets on a site, given those around it; rows (M, 6) each."""
    inside, outside = (rows[rows[:, 5] < PATH] for rows in (inside, outside))
    network = network_of(np.concatenate([inside, outside]))
    nodes, node_of = network.points()
    degree = np.bincount(node_of.ravel(), minlength=len(nodes))
    inner = Ground(ndimage.binary_erosion(site, iterations=4), site, site, PIXEL_M)
    on = inner.at(inner.editable, nodes)
    ends, junctions = (degree[on] == 1).sum(), (degree[on] > 2).sum()
    links = coo_array((np.ones(len(node_of)), node_of.T), shape=(len(nodes), len(nodes)))
    net = connected_components(links, directed=False)[1]
    rows = network_of(inside).ends
    length = np.hypot(*(rows[:, 2:] - rows[:, :2]).T)
    own = len(length)
    anchored = np.isin(net[node_of[:own, 0]], net[node_of[own:].ravel()])
    site_ha = site.sum() * PIXEL_M**2 / 1e4
    return {
        "street length, m/ha": float(length.sum() / site_ha),
        "junctions, 1/ha": float(junctions / site_ha),
        "dead ends, share of nodes": float(ends / max(ends + junctions, 1)),
        "4-way, share of junctions": float((degree[on] > 3).sum() / max(junctions, 1)),
        "cut off from the city, of length": float(length[~anchored].sum() / max(length.sum(), 1)),
        **_block_figures(np.concatenate([inside, outside]), site),
    }


def blocks_of(rows: np.ndarray, site: np.ndarray) -> np.ndarray:
    """Number of the block of each pixel, (H, W); 0 on streets."""
    return ndimage.label(~strip_mask(rows, site.shape, pixel_m=PIXEL_M))[0]


def _block_figures(rows: np.ndarray, site: np.ndarray) -> dict[str, float]:
    label = blocks_of(rows, site)
    whole, own = np.bincount(label.ravel()), np.bincount(label[site], minlength=label.max() + 1)
    area_m2 = whole * PIXEL_M**2
    mine = (own > 0.6 * whole) & (area_m2 > LEAST_BLOCK_M2) & (np.arange(len(whole)) > 0)
    deep = ndimage.distance_transform_edt(label > 0) * PIXEL_M
    deepest = ndimage.maximum(deep, label, np.arange(len(whole)))
    share = own / max(own[1:].sum(), 1)
    return {
        "block area, median, ha": float(np.median(area_m2[mine]) / 1e4) if mine.any() else np.nan,
        "block of a random spot, ha": float((share[1:] * area_m2[1:]).sum() / 1e4),
        "site in blocks > 2.5 ha, share": float(share[1:][area_m2[1:] > LARGE_M2].sum()),
        "deepest spot to a street, m": float(deepest[1:][own[1:] > 0].max()),
    }


def _picture(
    path: Path, window: Window, site: np.ndarray, outside: np.ndarray, parts: list[np.ndarray]
) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(parts), figsize=(6 * len(parts), 6.3))
    side = site.shape[0] * PIXEL_M
    shade = np.where((window.labels == BIT[BUILDING]) & ~site, 0.6, np.where(site, 1.0, 0.93))
    for place, (axis, rows) in enumerate(zip(axes, parts, strict=True)):
        axis.imshow(shade, cmap="gray", vmin=0, vmax=1, extent=(0, side, side, 0))
        for part, color in ((outside, "0.35"), (rows, "tab:red")):
            for u0, v0, u1, v1, width, kind in part[part[:, 5] < PATH]:
                axis.plot([u0, u1], [v0, v1], color=color, lw=width / 4, alpha=1 - 0.15 * kind)
        axis.set(xlim=(0, side), ylim=(side, 0), xticks=[], yticks=[])
        told = measure(outside, rows, site)
        keys = list(told)
        axis.set_title(
            ("real  " if place == 0 else "drawn  ")
            + f"dead {told[keys[2]]:.2f}  block {told[keys[6]]:.2f} ha  {told[keys[0]]:.0f} m/ha"
        )
    figure.tight_layout()
    figure.savefig(path, dpi=55)
    plt.close(figure)


if __name__ == "__main__":
    main()
