"""Where buildings and streets lie, as two masks, and how far two such layouts are apart."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fabricgen.city.store import TEST, TileStore, Window
from fabricgen.errors import InputError
from fabricgen.generator.conditions import PIXEL_M, WINDOW_PX
from fabricgen.surfaces import BIT, BUILDING, ROAD

CELL_PX = 4  # of the 32 x 32 grid on which layouts are first compared
SHIFTS_PX = (-2, 0, 2)  # 4 m
NEAREST = 20  # candidates that are compared pixel by pixel
SHARE_WEIGHT = 0.5
LEAST_BUILT = 0.05  # of a window of a pool
MASK = (2, WINDOW_PX, WINDOW_PX)


class Spot(NamedTuple):
    """Where a window of a pool was cut."""

    city: str
    x_m: float
    y_m: float
    angle_deg: float


@dataclass(frozen=True, eq=False)
class Pool:
    """Windows of real cities.

    Attributes:
        store: Where they come from.
        spots: Where each was cut, (N,).
        masks: Buildings and carriageways, (N, 2, 128, 128) bool.
        shares: The same by cell, (N, 2, 32, 32) float32.
    """

    store: TileStore
    spots: tuple[Spot, ...]
    masks: np.ndarray
    shares: np.ndarray

    def windows(self, number: int) -> tuple[Window, Window]:
        """A window of the pool in pixels of 1 m and of the model."""
        spot = self.spots[number]
        fine, coarse = (
            self.store.window(
                *spot, rows=int(WINDOW_PX * PIXEL_M / p), cols=int(WINDOW_PX * PIXEL_M / p),
                pixel_m=p,
            )
            for p in (1.0, PIXEL_M)
        )  # fmt: skip
        return fine, coarse


def masks_of(labels: np.ndarray) -> np.ndarray:
    """Buildings and carriageways of a tile of 1 m, (2, 128, 128) bool."""
    step = len(labels) // WINDOW_PX
    blocks = labels.reshape(WINDOW_PX, step, WINDOW_PX, step)
    shares = [(blocks == BIT[s]).mean(axis=(1, 3)) for s in (BUILDING, ROAD)]
    return np.stack(shares) >= 0.5


def shares_of(masks: np.ndarray) -> np.ndarray:
    """Masks (..., 128, 128) by cell, (..., 32, 32)."""
    cells = WINDOW_PX // CELL_PX
    shape = (*masks.shape[:-2], cells, CELL_PX, cells, CELL_PX)
    return masks.reshape(shape).mean(axis=(-3, -1), dtype=np.float32)


def pack(masks: np.ndarray) -> str:
    """Masks as text."""
    return base64.b64encode(np.packbits(masks).tobytes()).decode()


def unpack(text: str) -> np.ndarray:
    """What `pack` has packed."""
    bits = np.frombuffer(base64.b64decode(text), np.uint8)
    return np.unpackbits(bits)[: int(np.prod(MASK))].reshape(MASK).astype(bool)


def read_pool(
    store: TileStore, count: int, *, rng: np.random.Generator, test: bool = False
) -> Pool:
    """Built windows of a store, the same number from each city as far as it goes.

    Args:
        store: One city or many.
        count: Windows, at most.
        rng: Chance.
        test: Also windows that are held out.

    Raises:
        InputError: No window is built and in the split.
    """
    spots: list[Spot] = []
    cities = store.cities()
    for number, city in enumerate(cities):
        index = store.index(city)
        good = index["surface_share_building"] >= LEAST_BUILT
        good &= test | (index["split"] != TEST)
        some = rng.permutation(np.flatnonzero(good))
        many = (count - len(spots)) // (len(cities) - number)
        for n in np.sort(some[:many]):
            place = (float(index[name][n]) for name in ("x_m", "y_m", "wall_angle_deg"))
            spots.append(Spot(city, *place))
    if not spots:
        raise InputError("no built window to compare with", "give another store")
    size = {"rows": WINDOW_PX, "cols": WINDOW_PX, "pixel_m": PIXEL_M}
    labels = np.stack([store.window(*spot, **size).labels for spot in spots])
    masks = np.stack([labels == BIT[BUILDING], labels == BIT[ROAD]], axis=1)
    return Pool(store, tuple(spots), masks, shares_of(masks))


def apart(one: np.ndarray, other: np.ndarray, inside: np.ndarray) -> float:
    """Distance of two layouts on a site.

    1 - IoU of buildings, plus half the mean difference of the shares of building, carriageway and
    other ground by cell.

    Args:
        one: (2, 128, 128) bool.
        other: (2, 128, 128) bool.
        inside: The site, (128, 128) bool.
    """
    either = ((one[0] | other[0]) & inside).sum()
    both = (one[0] & other[0] & inside).sum()
    cells = shares_of(inside) > 0
    first, second = (shares_of(x & inside)[:, cells] for x in (one, other))
    iou = both / either if either else 1.0
    return float(1 - iou + SHARE_WEIGHT * _l1(first - second).mean())


def nearest(
    layout: np.ndarray, inside: np.ndarray, pool: Pool, *, leave: int | None = None
) -> tuple[float, int]:
    """The nearest window of a pool in any of its 8 views, shifted by up to 4 m.

    Args:
        layout: (2, 128, 128) bool.
        inside: The site, (128, 128) bool; the window counts there alone.
        pool: Windows.
        leave: Number of a window that does not count.

    Returns:
        Distance and number.
    """
    views = [(_view(layout, flip), _view(inside, flip)) for flip in range(8)]
    rough = np.stack([_rough(one, site, pool) for one, site in views])  # (8, N)
    if leave is not None:
        rough[:, leave] = np.inf
    best = (np.inf, -1)
    for place in np.argsort(rough, axis=None)[:NEAREST]:
        flip, number = np.unravel_index(place, rough.shape)
        one, site = views[flip]
        for down in SHIFTS_PX:
            for right in SHIFTS_PX:
                moved = np.roll(pool.masks[number], (down, right), axis=(1, 2))
                best = min(best, (apart(one, moved, site), int(number)))
    return best


def alike(wanted: np.ndarray, inside: np.ndarray, pool: Pool, count: int) -> np.ndarray:
    """Windows whose shares of building and carriageway on a site are nearest to some, (count,)."""
    there = (pool.masks & inside).sum(axis=(2, 3)) / max(inside.sum(), 1)
    return np.argsort(np.abs(there - wanted).sum(axis=1), kind="stable")[:count]


def _rough(one: np.ndarray, inside: np.ndarray, pool: Pool) -> np.ndarray:
    """Mean difference of shares by cell, (N,); cells on the outline do not count."""
    cells = shares_of(inside) == 1
    if not cells.any():
        cells = shares_of(inside) > 0
    return _l1((pool.shares[:, :, cells] - shares_of(one)[:, cells]).swapaxes(0, 1)).mean(axis=-1)


def _l1(difference: np.ndarray) -> np.ndarray:
    """Sum over building, carriageway and the rest, of differences with the first two in front."""
    return np.abs(difference).sum(axis=0) + np.abs(difference.sum(axis=0))


def _view(masks: np.ndarray, flip: int) -> np.ndarray:
    if flip >= 4:
        masks = masks[..., ::-1]
    return np.rot90(masks, flip % 4, axes=(-2, -1))
