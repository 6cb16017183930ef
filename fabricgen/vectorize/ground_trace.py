"""Ground of a layout as patches, their lines drawn between pixels where the shares say so.

Two surfaces meet where their shares are equal, which lies between pixels more often than along
them: each point of the pixels' stairs moves there, along the slope of the difference. Then the
lines lose the wiggles that are left. All are drawn once, so patches on either side share them;
walls, streets and the site's edge cut them last.
"""

from dataclasses import dataclass

import numpy as np
import shapely
from scipy import ndimage
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from fabricgen.layout import Layout
from fabricgen.surfaces import BARE, GROUND, PAVED, ROAD, TREE
from fabricgen.vectorize.ground import arcs, fill
from fabricgen.vectorize.settings import DrawSettings

FINE_M = 1.0  # pixels are split to about this before they are labelled
SURE_SHARE = 0.15  # of open ground in a pixel, below which its neighbors tell what it is
KERB_SHARE = 0.25  # of street in a pixel that a kerb drawn a little off leaves over
PLAZA_M = 6.0  # width of what is no kerb drawn off, but paved ground
WIGGLE_PX = 0.4  # what lines of fine pixels lose
MOST_PX = 1.0  # that a point of a line moves
MOVES = 2
SEAM_PX = 0.25  # spacing of points along stairs


@dataclass(frozen=True, eq=False)
class Ground:
    """Shares of the ground on a finer grid.

    Attributes:
        share: Of each surface of `GROUND` where no building or street is, (6, H, W), summing to 1.
        canopy: Share under crowns, also over streets, (H, W).
        pixel_m: Edge of a fine pixel.
    """

    share: np.ndarray
    canopy: np.ndarray
    pixel_m: float

    @property
    def labels(self) -> np.ndarray:
        """The largest share, (H, W) uint8."""
        return np.array(GROUND, dtype=np.uint8)[self.share.argmax(axis=0)]


def ground_of(layout: Layout, streets: np.ndarray) -> Ground:
    """What lies between buildings and streets.

    Args:
        layout: Surface shares, (1, 8, H, W).
        streets: Share of each pixel under streets as drawn, (H, W). What the layout has of streets
            beyond them counts as paved where it is wide, a plaza or a car park; narrow strips are
            kerbs that were drawn a little off, and take the surface beside them.
    """
    cover = layout.cover[0].numpy().astype(np.float64)
    share = cover[list(GROUND)]
    beyond = cover[ROAD] - streets
    plaza = _wide(beyond > KERB_SHARE, PLAZA_M / layout.pixel_m)
    share[GROUND.index(PAVED)] += np.where(plaza, beyond, 0.0)
    share[GROUND.index(BARE)] += np.clip(1 - cover.sum(axis=0), 0, 1)  # what nobody knows
    total = share.sum(axis=0)
    rows, cols = ndimage.distance_transform_edt(
        total < SURE_SHARE, return_distances=False, return_indices=True
    )
    share = share[:, rows, cols] / np.maximum(total[rows, cols], 1e-9)
    times = max(1, round(layout.pixel_m / FINE_M))
    planes = np.concatenate([share, cover[TREE][None]])
    fine = ndimage.zoom(planes, (1, times, times), order=1, grid_mode=True, mode="nearest")
    return Ground(fine[:-1], fine[-1], layout.pixel_m / times)


def _wide(mask: np.ndarray, width_px: float) -> np.ndarray:
    """Parts of a mask that are so wide somewhere, (H, W) bool."""
    number, count = ndimage.label(mask)
    if count == 0:
        return mask
    # A pixel at the edge has its middle half a pixel inside.
    deep_px = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1] - 0.5
    deepest = ndimage.maximum(deep_px, number, np.arange(count + 1))
    wide = deepest >= width_px / 2
    wide[0] = False
    return np.asarray(wide[number])


def patches_of(
    ground: Ground, labels: np.ndarray, free: BaseGeometry, settings: DrawSettings
) -> dict[int, list[Polygon]]:
    """Disjoint polygons per surface that together fill the free ground.

    Args:
        ground: Shares of the ground.
        labels: Surface of each fine pixel, (H, W); that of the shares, or changed by the caller.
        free: Ground that no wall or street covers, in frame coordinates.
        settings: What counts as a patch.
    """
    field = {s: ndimage.gaussian_filter(ground.share[k], 0.5) for k, s in enumerate(GROUND)}
    lines = [_settled(arc, labels, field) for arc in arcs(labels, 1.0)]
    lines = [shapely.transform(line, lambda xy: xy * ground.pixel_m) for line in lines]
    return fill(lines, labels, ground.pixel_m, free=free, settings=settings)


def _settled(arc: LineString, labels: np.ndarray, field: dict[int, np.ndarray]) -> LineString:
    """A line between two surfaces where both have the same share; its ends stay."""
    one, other = _sides(arc, labels)
    points = shapely.get_coordinates(shapely.segmentize(arc, SEAM_PX * 2))
    if one != other and len(points) > 2:
        apart = field[one] - field[other]
        down, across = np.gradient(apart)
        start = points.copy()
        for _ in range(MOVES):
            at = points[:, ::-1].T - 0.5
            value, gy, gx = (
                ndimage.map_coordinates(plane, at, order=1, mode="nearest")
                for plane in (apart, down, across)
            )
            steep = np.maximum(gx**2 + gy**2, 0.02)
            points = points - (value / steep)[:, None] * np.stack([gx, gy], axis=1)
            moved = points - start
            far = np.maximum(np.hypot(*moved.T) / MOST_PX, 1.0)
            points = start + moved / far[:, None]
        points = ndimage.uniform_filter1d(points, 3, axis=0, mode="nearest")
        if arc.is_ring:
            points[-1] = points[0]
        else:
            points[0], points[-1] = start[0], start[-1]
    line = LineString(points).simplify(WIGGLE_PX)
    return line if line.is_simple else arc


def _sides(arc: LineString, labels: np.ndarray) -> tuple[int, int]:
    """The surfaces left and right of the first step of an arc."""
    (x0, y0), (x1, y1) = arc.coords[0], arc.coords[1]
    size = np.hypot(x1 - x0, y1 - y0)
    step = np.array([x1 - x0, y1 - y0]) / size * 0.5
    place = np.array([x0, y0]) + step
    found = []
    for side in ((-step[1], step[0]), (step[1], -step[0])):
        col, row = np.floor(place + side).astype(int)
        row, col = np.clip(row, 0, labels.shape[0] - 1), np.clip(col, 0, labels.shape[1] - 1)
        found.append(int(labels[row, col]))
    return found[0], found[1]
