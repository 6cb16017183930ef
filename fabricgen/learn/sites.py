"""From a window of a city to a training site: where the site lies, and what a brief would say.

Nothing unknown is invented: an ask that the sources do not support is NaN.
"""

import numpy as np
from scipy import ndimage

from fabricgen.city.store import Window
from fabricgen.form.indicators import BRIEF_KEYS, STOREY_M
from fabricgen.generator.conditions import PIXEL_M, SiteSample
from fabricgen.surfaces import BIT, BUILDING, GREEN, ROAD, TREE

RING_PX = 8  # 16 m of context around a site that fills the window
SIDE_M = (96.0, 240.0)  # shortest and longest side of a rectangular site
BLOCK_M2 = (2000.0, 50000.0)  # a street block outside this range is no site
RECTANGLE, BLOCK, WHOLE = 0.60, 0.25, 0.15  # how often each shape of site is drawn
DECIDED_SHARE = 0.95  # of the site, for shares of buildings and roads
HEIGHT_SHARE = 0.8  # of the footprint, for heights and floor area
GROUND_SHARE = 0.8  # of the ground, for green and trees

_GREEN_BITS = sum(BIT[surface] for surface in GREEN)


def draw_site(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A site in a window: a rectangle, the street block in the middle, or all but a ring.

    Args:
        labels: Allowed surfaces, (H, W) uint8.
        rng: Decides shape, size and place.

    Returns:
        The site, (H, W) bool. A middle without a block of fitting size gives a rectangle.
    """
    shape = rng.random()
    if shape < BLOCK:
        block = _middle_block(labels)
        low, high = (area / PIXEL_M**2 for area in BLOCK_M2)
        if low <= block.sum() <= high:
            return block
    if shape >= 1.0 - WHOLE:
        site = np.zeros(labels.shape, bool)
        site[RING_PX:-RING_PX, RING_PX:-RING_PX] = True
        return site
    return _rectangle(labels.shape, rng)


def _rectangle(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    site = np.zeros(shape, bool)
    low, high = (round(side / PIXEL_M) for side in SIDE_M)
    sides = [min(int(rng.integers(low, high + 1)), length) for length in shape]
    starts = [int(rng.integers(0, n - side + 1)) for n, side in zip(shape, sides, strict=True)]
    row, col = (slice(at, at + side) for at, side in zip(starts, sides, strict=True))
    site[row, col] = True
    return site


def _middle_block(labels: np.ndarray) -> np.ndarray:
    """Connected ground and buildings around the window's middle, bounded by roads; maybe empty."""
    off_road = (labels != BIT[ROAD]) & (labels != 0)
    parts, _ = ndimage.label(off_road)
    middle = parts[labels.shape[0] // 2, labels.shape[1] // 2]
    if middle == 0:
        return np.zeros(labels.shape, bool)
    block = parts == middle
    block[[0, -1], :] = False  # a street block that runs out of the window ends inside it
    block[:, [0, -1]] = False
    return block


def measure_asks(labels: np.ndarray, height_m: np.ndarray, site: np.ndarray) -> np.ndarray:
    """The brief's indicators of a site, as `form.indicators.of_layout` defines them.

    Where a part is not known but little enough, the known part speaks for it: floors per footprint
    where at least 80 % of the footprint has a height, green per ground where at least 80 % of the
    ground is mapped.

    Args:
        labels: Allowed surfaces, (H, W) uint8.
        height_m: Heights, (H, W), 0 where unknown.
        site: (H, W) bool, not empty.

    Returns:
        (K,) float32 in the order of BRIEF_KEYS, NaN where not known well enough.
    """
    found = labels[site]
    built, road = found == BIT[BUILDING], found == BIT[ROAD]
    asks = dict.fromkeys(BRIEF_KEYS, np.nan)
    if _decided(found, BIT[BUILDING]).mean() >= DECIDED_SHARE:
        asks["site_coverage"] = built.mean()
        asks.update(_measure_heights(height_m[site][built], asks["site_coverage"]))
    if _decided(found, BIT[ROAD]).mean() >= DECIDED_SHARE:
        asks["road_share"] = road.mean()
    ground = found[~built & ~road]
    asks["green_ratio"] = _ground_share(ground, _GREEN_BITS, of=found.size)
    asks["tree_share"] = _ground_share(ground, BIT[TREE], of=found.size)
    return np.array([asks[key] for key in BRIEF_KEYS], np.float32)


def _measure_heights(height_m: np.ndarray, coverage: float) -> dict[str, float]:
    """Floor area ratio and mean height from the heights of the site's built pixels."""
    if not height_m.size:
        return {"far": 0.0}
    known = height_m[height_m > 0]
    if known.size < HEIGHT_SHARE * height_m.size:
        return {}
    floors = np.round(np.maximum(known / STOREY_M, 1.0))
    return {"far": float(coverage * floors.mean()), "mean_height_m": float(known.mean())}


def _decided(labels: np.ndarray, bits: int) -> np.ndarray:
    """Whether a pixel is known to be, or known not to be, one of the surfaces in `bits`."""
    return (labels != 0) & (((labels & bits) == 0) | ((labels & ~np.uint8(bits)) == 0))


def _ground_share(ground: np.ndarray, bits: int, *, of: int) -> float:
    """Share of the site's `of` pixels that its ground holds of some surfaces; NaN if unmapped."""
    if not ground.size:
        return 0.0
    decided = _decided(ground, bits)
    if decided.mean() < GROUND_SHARE:
        return np.nan
    return float(((ground[decided] & bits) != 0).mean() * ground.size / of)


def to_sample(window: Window, site: np.ndarray) -> SiteSample:
    """A window of a tile store with a site in it, as the stages take it.

    Args:
        window: A `city.store.Window` of 2 m pixels.
        site: (H, W) bool.
    """
    height_m = window.height_dm.astype(np.float32) / 10.0
    return SiteSample(
        labels=window.labels,
        height_m=height_m,
        height_known=height_m > 0,
        boxes=window.boxes,
        segments=window.segments,
        editable=site,
        asks=measure_asks(window.labels, height_m, site),
        north_deg=window.north_deg,
    )
