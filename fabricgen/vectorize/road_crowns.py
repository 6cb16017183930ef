"""Streets led on under the crowns that hide them.

Seen from above a crown takes a piece out of a street, or a bite out of its edge. The ground under a
crown is street where a straight look finds street again on both sides, and goes along it. Looks
across a strip of trees between two carriageways find street on both sides as well, but that runs on
sideways farther than along the look.
"""

import numpy as np
from scipy import ndimage

GAP_M = 12.0  # crowns hide a street where it shows again within this distance
TURNS = 12  # directions that are looked along, of half a turn
FAR_M = 20.0  # as far as it is asked how a street runs on
ALONG = 0.85  # of its longest run that a street has along the look, to be seen along itself
BUILT = 0.5  # share from which a pixel is street


def under_crowns(share: np.ndarray, hidden: np.ndarray, *, pixel_m: float) -> np.ndarray:
    """Shares of street with those under crowns filled in, (H, W).

    Args:
        share: Street seen in each pixel, (H, W).
        hidden: Pixels with crowns, (H, W) bool.
        pixel_m: Their edge.
    """
    pad = int(np.ceil(GAP_M / pixel_m))
    road = np.pad(share > BUILT, pad, mode="edge")
    crown = np.pad(hidden, pad)
    place = np.argwhere(_closed(road, pixel_m) & crown & ~road)
    one, gap_one = _runs_on(place, _turns(), road, crown, pixel_m=pixel_m)
    other, gap_other = _runs_on(place, -_turns(), road, crown, pixel_m=pixel_m)
    filled = (one & other & (gap_one + gap_other <= GAP_M + pixel_m)).any(axis=1)
    led = share.copy()
    led[tuple((place[filled] - pad).T)] = 1.0
    return led


def _turns() -> np.ndarray:
    """Directions as steps of rows and columns, (T, 2)."""
    angle = np.arange(TURNS) * np.pi / TURNS
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)


def _closed(road: np.ndarray, pixel_m: float) -> np.ndarray:
    """What a disc of half the gap cannot reach from outside of streets, (R, C) bool."""
    reach = round(GAP_M / 2 / pixel_m)
    disc = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= reach + 0.25
    grown = np.pad(road, reach + 1, mode="edge")
    closed: np.ndarray = ndimage.binary_closing(grown, disc)
    return closed[reach + 1 : -reach - 1, reach + 1 : -reach - 1]


def _runs_on(
    place: np.ndarray, way: np.ndarray, road: np.ndarray, crown: np.ndarray, *, pixel_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """Whether a look meets a street that runs on along it, and how far off [m], both (N, T).

    Args:
        place: Pixels that are looked from, (N, 2).
        way: Directions as steps of rows and columns, (T, 2).
        road: Street as seen, (R, C) bool.
        crown: What hides it, (R, C) bool.
        pixel_m: Edge of a pixel.
    """
    start = np.repeat(place[:, None], len(way), axis=1)  # (N, T, 2)
    ways = np.broadcast_to(way, start.shape)
    step = np.arange(1, int(GAP_M / pixel_m) + 1)
    ahead = _seen(road, start, ways, step)
    meets = ahead.any(axis=-1)
    gap = np.where(meets, ahead.argmax(axis=-1) + 1, 0)
    led = road | crown
    open_ = _first(_seen(led, start, ways, step))  # pixels up to open ground
    hit = start + ways * gap[..., None]

    inner = hit + ways  # a pixel into the street
    far = np.arange(int(FAR_M / pixel_m) + 1)
    runs = [
        _first(_seen(led, inner, side, far)) + _first(_seen(led, inner, -side, far))
        for side in np.broadcast_to(_turns(), (*ways.shape[:2], TURNS, 2)).transpose(2, 0, 1, 3)
    ]
    own = _first(_seen(led, inner, ways, far)) + _first(_seen(led, inner, -ways, far))
    along: np.ndarray = meets & (open_ >= gap) & (own >= ALONG * np.max(runs, axis=0))
    return along, gap * pixel_m


def _seen(mask: np.ndarray, start: np.ndarray, way: np.ndarray, step: np.ndarray) -> np.ndarray:
    """A mask at places some steps away, (N, T, steps) bool; the nearest pixel beyond its edge."""
    at = np.rint(start[..., None, :] + way[..., None, :] * step[:, None]).astype(int)
    row, col = (np.clip(at[..., k], 0, mask.shape[k] - 1) for k in (0, 1))
    found: np.ndarray = mask[row, col]
    return found


def _first(seen: np.ndarray) -> np.ndarray:
    """How many steps lie before the first that is not seen, (N, T)."""
    steps: np.ndarray = np.where(seen.all(axis=-1), seen.shape[-1], (~seen).argmax(axis=-1))
    return steps
