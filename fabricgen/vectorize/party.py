"""Party walls: where the height of a mass steps, one house ends and the next begins.

Pixels of one height are one house. A pixel on the wall between two shows a height between theirs,
which says how much of it each covers. Straight lines through these places, drawn on to the outline,
cut the mass; both houses take their walls from the same cut, so they meet without gap or overlap.
"""

from dataclasses import dataclass

import contourpy
import numpy as np
import shapely
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from fabricgen.vectorize.outlines import fit_line
from fabricgen.vectorize.walls import parts

UNKNOWN = -1.0  # height of a pixel that has none
MET_PX = 0.75  # a cut this near to another is the same one
REACH_PX = 4.0  # how far a cut is drawn on to find the outline
BACK_PX = 1.0  # and how far back
SNAP_PX = 0.4  # a cut this near to a corner runs into it
ROUGH_PX = 0.35  # what a border of pixels loses where it must serve as a cut
SHORT_PX = 1.0  # cuts inside a mass shorter than this are none
BUILT = 0.5  # share from which a pixel's height is a house's


@dataclass(frozen=True)
class House:
    """A footprint and its height; NaN: unknown."""

    shape: Polygon
    height_m: float


def plateaus(
    height_m: np.ndarray, built: np.ndarray, *, step_m: float, least_px: float
) -> np.ndarray:
    """Number of the house of each pixel, (rows, cols); -1 where a pixel lies between houses.

    Args:
        height_m: Height of each pixel, UNKNOWN where it has none.
        built: Pixels that are mostly building.
        step_m: Heights that differ by less belong together.
        least_px: Smaller groups are pixels between houses.
    """
    index = np.arange(height_m.size).reshape(height_m.shape)
    pairs = []
    for a, b in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
    ):
        same = built[a] & built[b] & (np.abs(height_m[a] - height_m[b]) < step_m)
        pairs.append(np.stack([index[a][same], index[b][same]]))
    i, j = np.concatenate(pairs, axis=1)
    links = coo_array((np.ones(len(i), np.int8), (i, j)), shape=(height_m.size,) * 2)
    number = connected_components(links, directed=False)[1]
    size = np.bincount(number, built.ravel())
    # Pixels between two houses may have one height along a whole wall, but are one pixel wide.
    group = np.where(built, number.reshape(height_m.shape), -1)
    square = group[:-1, :-1]
    square = square[
        (square == group[1:, :-1]) & (square == group[:-1, 1:]) & (square == group[1:, 1:])
    ]
    wide = np.zeros(len(size), bool)
    wide[square[square >= 0]] = True
    kept = built.ravel() & (size[number] >= least_px) & wide[number]
    found = np.full(height_m.size, -1)
    found[kept] = np.unique(number[kept], return_inverse=True)[1]
    return found.reshape(height_m.shape)


def split(
    mass: Polygon, frames: np.ndarray, number: np.ndarray, height_m: np.ndarray
) -> list[House]:
    """The houses of one mass.

    Args:
        mass: Outline, in pixels.
        frames: Its main directions, (K,). [rad].
        number: House of each pixel, (rows, cols); -1: none.
        height_m: Height of each pixel, UNKNOWN where it has none.
    """
    rows, cols = _window(mass, number.shape)
    inner = number[rows, cols]
    height = height_m[rows, cols]
    origin = np.array([cols.start, rows.start])
    y, x = np.nonzero(inner >= 0)
    inside = shapely.contains_xy(mass, x + origin[0] + 0.5, y + origin[1] + 0.5)
    y, x = y[inside], x[inside]
    houses, label = np.unique(inner[y, x], return_inverse=True)
    if len(houses) == 0:
        return [House(mass, float("nan"))]
    heights = np.array([np.median(height[y, x][label == k]) for k in range(len(houses))])
    if len(houses) == 1:
        return [House(mass, _known(heights[0]))]
    own = np.full(inner.shape, -1)
    own[y, x] = label
    borders = _borders(_between(own, height, heights), origin)
    points = np.stack([x, y], axis=1) + origin + 0.5
    cuts = _cuts(mass, frames, borders, np.bincount(label))
    faces = _faces(mass, cuts, points, label)
    lost = set(range(len(houses))) - {k for _, k in faces}
    if lost:
        # Where straight cuts leave a house open, its border as the pixels have it closes it.
        rough = [line.simplify(ROUGH_PX) for k in sorted(lost) for line in borders[k]]
        faces = _faces(mass, [*cuts, *rough], points, label)
    return [House(shape, _known(heights[k])) for shape, k in faces]


def _known(height_m: float) -> float:
    return float("nan") if height_m == UNKNOWN else float(height_m)


def _window(mass: Polygon, shape: tuple[int, int]) -> tuple[slice, slice]:
    x0, y0, x1, y1 = mass.bounds
    return (
        slice(max(int(y0) - 1, 0), min(int(y1) + 2, shape[0])),
        slice(max(int(x0) - 1, 0), min(int(x1) + 2, shape[1])),
    )


def _between(own: np.ndarray, height: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Share of each house in each pixel, (houses, rows, cols); the nearest where it is unclear."""
    rows, cols = ndimage.distance_transform_edt(
        own < 0, return_distances=False, return_indices=True
    )
    near = own[rows, cols]
    share = (near[None] == np.arange(len(heights))[:, None, None]).astype(float)
    grown = np.pad(own, 1, constant_values=-1)
    mixed = np.argwhere((own < 0) & (height > 0))
    for row, col in mixed:
        around = np.unique(grown[row : row + 3, col : col + 3])
        around = around[(around >= 0)]
        around = around[heights[around] > 0]
        if len(around) < 2:
            continue
        here = height[row, col]
        low = around[heights[around] <= here]
        high = around[heights[around] > here]
        if len(low) == 0 or len(high) == 0:
            continue
        a, b = low[heights[low].argmax()], high[heights[high].argmin()]
        part = (here - heights[a]) / (heights[b] - heights[a])
        share[:, row, col] = 0.0
        share[a, row, col], share[b, row, col] = 1 - part, part
    return share


def _borders(share: np.ndarray, origin: np.ndarray) -> list[list[LineString]]:
    """Lines around each house, (houses,), where it covers half of the ground."""
    axis_x = np.arange(share.shape[2]) + origin[0] + 0.5
    axis_y = np.arange(share.shape[1]) + origin[1] + 0.5
    return [
        [
            LineString(line)
            for line in contourpy.contour_generator(axis_x, axis_y, plane).lines(0.5)
            if len(line) > 1
        ]
        for plane in share
    ]


def _cuts(
    mass: Polygon, frames: np.ndarray, borders: list[list[LineString]], size: np.ndarray
) -> list[LineString]:
    """Lines between the houses of a mass, each drawn once and on to the outline."""
    found: list[LineString] = []
    inside = mass.buffer(-0.25)
    done: BaseGeometry = Polygon()
    for k in np.argsort(size, kind="stable"):
        for border in borders[k]:
            for piece in _lines(border.intersection(inside).difference(done)):
                if piece.length >= SHORT_PX:
                    drawn = fit_line(shapely.get_coordinates(piece), frames)
                    found.append(_drawn_on(drawn, mass))
        if found:
            done = shapely.union_all(shapely.buffer(found, MET_PX))
    return found


def _lines(shape: BaseGeometry) -> list[LineString]:
    merged = shapely.line_merge(shape) if shape.geom_type == "MultiLineString" else shape
    return [part for part in shapely.get_parts(merged) if part.geom_type == "LineString"]


def _drawn_on(points: np.ndarray, mass: Polygon) -> LineString:
    """A cut with both ends on the outline, where it is near, at a corner of it if one is near."""
    points = points.copy()
    corners = shapely.get_coordinates(mass)
    for end, before in ((0, 1), (-1, -2)):
        way = points[end] - points[before]
        way = way / max(np.hypot(*way), 1e-9)
        ray = LineString([points[end] - way * BACK_PX, points[end] + way * REACH_PX])
        hits = shapely.get_coordinates(ray.intersection(mass.boundary))
        if len(hits) == 0:
            points[end] = points[end] + way * REACH_PX  # up to another cut; what is too long goes
            continue
        hit = hits[np.hypot(*(hits - points[end]).T).argmin()]
        far = np.hypot(*(corners - hit).T)
        points[end] = corners[far.argmin()] if far.min() < SNAP_PX else hit + way * 1e-3
    return LineString(points)


def _faces(
    mass: Polygon, cuts: list[LineString], points: np.ndarray, label: np.ndarray
) -> list[tuple[Polygon, int]]:
    """What the cuts leave of a mass, each with its house; what has no pixel joins a neighbor."""
    linework = shapely.union_all([mass.boundary, *cuts])
    faces = np.array(parts_of(shapely.polygonize(shapely.get_parts(linework))), dtype=object)
    faces = faces[shapely.contains(mass, shapely.point_on_surface(faces))]
    where, face = shapely.STRtree(faces).query(shapely.points(points), predicate="within")
    votes = np.zeros((len(faces), label.max() + 1))
    np.add.at(votes, (face, label[where]), 1)
    house = np.where(votes.sum(axis=1) > 0, votes.argmax(axis=1), -1)
    for k in np.flatnonzero(house < 0):
        beside = shapely.length(shapely.intersection(faces, faces[k])) * (house >= 0)
        house[k] = house[int(beside.argmax())] if beside.max() > 0 else 0
    found = []
    for k in np.unique(house):
        joined = shapely.coverage_union_all(faces[house == k])
        found += [(part, int(k)) for part in parts(joined)]
    return found


def parts_of(shape: BaseGeometry) -> list[Polygon]:
    """Polygons of a collection."""
    return [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
