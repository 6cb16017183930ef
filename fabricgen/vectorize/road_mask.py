"""Where the carriageways of a raster lie, on a finer grid than the raster's own.

Shares say more than a yes or no: between pixels they tell where the kerb runs. The mask is what a
bilinear surface through the shares puts above one half.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.measure import find_contours

from fabricgen.layout import Layout
from fabricgen.surfaces import BIT, PAVED, ROAD, TREE
from fabricgen.vectorize.road_crowns import under_crowns

CELL_M = 0.5  # edge of a cell of the mask
KERB_STEP_M = 1.0  # between places on kerbs
MARGIN_M = 12.0  # beyond what is known, streets go on as they meet its edge
MIN_SPOT_M2 = 40.0  # smaller spots of carriageway are no street
MIN_HOLE_M2 = 4.0  # smaller islands in a carriageway belong to it
VALLEY = 2.0  # a strip of ground between two streets counts this often, where pixels blur it
SMOOTH_PX = 0.25  # of the raster: yes-or-no pixels get slanted kerbs


@dataclass(frozen=True, eq=False)
class RoadMask:
    """Carriageways on cells of `CELL_M`.

    Attributes:
        inside: Cells on a carriageway, (R, C) bool.
        share: The shares on the cells, cleaned like `inside`, (R, C).
        margin_m: Where the frame's corner lies on the grid, right and down of the grid's.
    """

    inside: np.ndarray
    share: np.ndarray
    margin_m: float

    def to_uv(self, cells: np.ndarray) -> np.ndarray:
        """Frame coordinates (N, 2) of the middles of cells (N, 2) given as row, col."""
        return (cells[:, ::-1] + 0.5) * CELL_M - self.margin_m

    def kerbs(self) -> np.ndarray:
        """Places on the edges of carriageways, about `KERB_STEP_M` apart, (N, 2)."""
        runs = find_contours(self.share, 0.5)
        each = round(KERB_STEP_M / CELL_M)
        return self.to_uv(np.concatenate([np.zeros((0, 2)), *(run[::each] for run in runs)]))


def road_mask(layout: Layout, *, paths: bool = False) -> RoadMask:
    """The carriageways of a layout, (1, 8, H, W).

    Args:
        layout: Surface shares; ground without data is bridged by `MARGIN_M` at its edge.
        paths: Take paved ground for streets too.

    Returns:
        A mask that reaches `MARGIN_M` beyond the raster on all sides.
    """
    cover = layout.cover[0].numpy()
    share = cover[ROAD] + (cover[PAVED] if paths else 0.0)  # (H, W)
    known = layout.allowed[0].numpy() > 0
    hidden = (layout.allowed[0].numpy() & BIT[TREE]) > 0
    share = under_crowns(share, hidden, pixel_m=layout.pixel_m)

    # Beyond the known, each pixel is as the nearest known one.
    pad = int(np.ceil(MARGIN_M / layout.pixel_m))
    share, known = np.pad(share, pad), np.pad(known, pad)
    if known.any():
        away, (row, col) = ndimage.distance_transform_edt(~known, return_indices=True)
        share = np.where(away * layout.pixel_m <= MARGIN_M, share[row, col], 0.0)

    zoom = max(1, round(layout.pixel_m / CELL_M))
    share = share - VALLEY * (ndimage.grey_closing(share, size=3) - share)
    share = ndimage.gaussian_filter(share.astype(np.float32), SMOOTH_PX)
    fine = ndimage.zoom(share, zoom, order=1, mode="nearest", grid_mode=True)
    inside = _without_specks(fine > 0.5)
    changed = inside != (fine > 0.5)
    return RoadMask(inside, np.where(changed, inside, fine), pad * layout.pixel_m)


def _without_specks(inside: np.ndarray) -> np.ndarray:
    """The mask without small spots and small holes."""
    cell_m2 = CELL_M**2
    for ground, least_m2 in ((False, MIN_SPOT_M2), (True, MIN_HOLE_M2)):
        label, count = ndimage.label(inside ^ ground)
        if count:
            small = np.bincount(label.ravel(), minlength=count + 1) * cell_m2 < least_m2
            small[0] = False
            inside = inside ^ small[label]
    return inside
