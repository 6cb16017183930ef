"""From a raster of surfaces to streets: center lines, widths and kinds that meet at junctions.

A skeleton bends where streets meet, because the kerb opens there. So the lines are fitted where
kerbs run parallel, and each junction is moved to where the lines of its arms cross.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import geopandas as gpd
import numpy as np
import shapely
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from fabricgen.layout import Frame, Layout
from fabricgen.surfaces import PATH, ROAD, ROAD_WIDTH_M, TREE
from fabricgen.vectorize.drawing import road_layer, to_frame
from fabricgen.vectorize.road_fit import Lines, fitted, weighed
from fabricgen.vectorize.road_mask import road_mask
from fabricgen.vectorize.road_skeleton import Branch, Skeleton, skeleton_of
from fabricgen.vectorize.settings import DrawSettings
from fabricgen.vectorize.streets import draw_streets

NO_ROWS = np.zeros((0, 6))
OPEN_SHARE = 1.2  # wider than this times the usual width, the kerb has opened toward a junction
OPEN_M = 0.6
ARM_M = 15.0  # length of an arm on which its line is fitted
SHIFT_M = 4.0  # a junction moves at most this and half the width of its place
HOLD = 0.05  # weight of where the skeleton has it
BEND_M = 0.9  # smaller wiggles of a center line are drawn straight
FINE_BEND_M = 0.3  # and these once kerbs have spoken
FOLD_COSINE = -0.2  # a street turns no sharper between junctions
LEAST_POINTS = 4
ON_EDGE_M = 0.01  # ends this near to the site's edge lie on it
BEND_REACH_M = 6.0  # bends this near to where a line leaves the site are none
STUB_M = 4.0  # shorter dead ends are dropped


def trace_roads(
    layout: Layout, frame: Frame, site: BaseGeometry, *, context: np.ndarray = NO_ROWS
) -> gpd.GeoDataFrame:
    """Streets on a site out of a raster.

    Args:
        layout: Surface shares on the frame, (1, 8, H, W).
        frame: Where it lies.
        site: The site in the frame's CRS.
        context: Street pieces around the site as store rows (K, 6): streets join them at its edge.

    Returns:
        Rows of the plan layer `roads`, one per line between junctions; ends that meet coincide.
    """
    flat = to_frame(site, frame)
    streets = draw_streets(
        np.concatenate([NO_ROWS, *(run.pieces() for run in _within(trace_runs(layout), flat))]),
        site=flat,
        context_segments=context,
        settings=DrawSettings(stub_m=STUB_M),
        keep_islands=True,
    )
    return road_layer(streets, frame)


@dataclass(frozen=True, eq=False)
class Run:
    """A center line between junctions or loose ends in frame coordinates, (n, 2)."""

    place: np.ndarray
    width_m: float

    def pieces(self) -> np.ndarray:
        """Its pieces as store rows, (n - 1, 6)."""
        told = np.full((len(self.place) - 1, 2), (self.width_m, kind_of(self.width_m)))
        return np.column_stack([self.place[:-1], self.place[1:], told])


def trace_runs(layout: Layout) -> list[Run]:
    """Center lines of a raster; they go on beyond what it knows as they meet its edge."""
    mask = road_mask(layout)
    skeleton = skeleton_of(mask)
    lines = fitted(_first_guess(skeleton), mask.kerbs())
    lines = weighed(lines, *_pixels(layout), pixel_m=layout.pixel_m)
    runs = []
    for number, half_m in enumerate(lines.half_m):
        own = lines.piece[lines.branch == number]
        run = _unfolded(lines.vertex[[own[0, 0], *own[:, 1]]])
        runs.append(Run(run, float(2 * half_m)))
    return runs


def _within(runs: Sequence[Run], site: BaseGeometry) -> list[Run]:
    """The parts of lines that lie in the site, straight where they leave it.

    How a street goes on beyond the site is a guess: a bend near its edge is one of the guess.
    """
    edge = shapely.boundary(site)
    found = []
    for run in runs:
        for part in shapely.get_parts(shapely.intersection(shapely.LineString(run.place), site)):
            if part.geom_type != "LineString" or part.length == 0:
                continue
            place = shapely.get_coordinates(part)
            for _ in range(2):  # the end, then turned around the start
                if len(place) > 2 and edge.distance(shapely.Point(place[-1])) < ON_EDGE_M:
                    place = _leaving(place, site)
                place = place[::-1]
            found.append(replace(run, place=place))
    return found


def _leaving(place: np.ndarray, site: BaseGeometry) -> np.ndarray:
    """A line without bends within `BEND_REACH_M` of its end, which goes on straight to the edge."""
    away = np.hypot(*(place[:-1] - place[-1]).T)
    kept = place[:-1][(away > BEND_REACH_M) | (np.arange(len(away)) == 0)]
    if len(kept) == len(place) - 1 or len(kept) < 2:
        return np.concatenate([kept, place[-1:]])
    way = (kept[-1] - kept[-2]) / np.hypot(*(kept[-1] - kept[-2]))
    ray = shapely.LineString([kept[-1], kept[-1] + 3 * BEND_REACH_M * way])
    hits = shapely.get_coordinates(shapely.intersection(ray, shapely.boundary(site)))
    away = np.hypot(*(hits - kept[-1]).T)
    end = hits[away.argmin()] if len(hits) else place[-1]
    return np.concatenate([kept, end[None]])


def _pixels(layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Middles (N, 2) and shares (N,) of pixels near carriageways and in sight."""
    share = layout.cover[0, ROAD].numpy()
    near = ndimage.maximum_filter(share, 3) > 0
    row, col = np.nonzero(near & (layout.cover[0, TREE].numpy() == 0))
    return (np.stack([col, row], axis=1) + 0.5) * layout.pixel_m, share[row, col]


def _unfolded(run: np.ndarray) -> np.ndarray:
    """A line without vertices at which it turns back, and without those that hardly bend it."""
    while len(run) > 2:
        step = np.diff(run, axis=0)
        step /= np.maximum(np.hypot(*step.T), 1e-9)[:, None]
        ahead = (step[1:] * step[:-1]).sum(axis=1)
        if ahead.min() > FOLD_COSINE:
            break
        run = np.delete(run, 1 + int(ahead.argmin()), axis=0)
    return shapely.get_coordinates(shapely.LineString(run).simplify(FINE_BEND_M))


def _first_guess(skeleton: Skeleton) -> Lines:
    """Branches as straight pieces between junctions that lie where their arms cross."""
    place = _crossings(skeleton)
    number = {node: k for k, node in enumerate(place)}
    vertex = list(place.values())
    piece: list[tuple[int, int]] = []
    owner: list[int] = []
    half_m = []
    for k, branch in enumerate(skeleton.branches):
        inner = shapely.get_coordinates(_line(branch, place))[1:-1]
        first, last = (number[end] for end in branch.ends)
        run = [first, *range(len(vertex), len(vertex) + len(inner)), last]
        vertex += list(inner)
        piece += list(itertools.pairwise(run))
        owner += [k] * (len(run) - 1)
        half_m.append(float(np.median(_clean(branch).radius_m)))
    return Lines(
        np.array(vertex).reshape(-1, 2),
        np.array(piece, dtype=np.int64).reshape(-1, 2),
        np.array(owner, dtype=np.int64),
        np.array(half_m),
    )


def kind_of(width_m: float) -> int:
    """The kind of carriageway whose usual width is nearest, as an index into `ROAD_KINDS`."""
    return int(np.abs(np.log(np.array(ROAD_WIDTH_M[:PATH]) / max(width_m, 0.1))).argmin())


def _clean(branch: Branch) -> Branch:
    """The part of a branch along which its kerbs run parallel, or its middle."""
    usual = np.median(branch.radius_m)
    shut = branch.radius_m <= usual * OPEN_SHARE + OPEN_M
    where = np.flatnonzero(shut)
    if len(where) < LEAST_POINTS:
        where = np.arange(len(shut))
    part = slice(where[0], where[-1] + 1)
    return Branch(branch.ends, branch.path[part], branch.radius_m[part])


def _line(branch: Branch, place: dict[int, np.ndarray]) -> shapely.LineString:
    """The center line from junction to junction."""
    path = _clean(branch).path
    start, stop = (place[end] for end in branch.ends)
    path = _beyond(_beyond(path, start)[::-1], stop)[::-1]
    run = np.concatenate([start[None], path, stop[None]])
    return shapely.LineString(run).simplify(BEND_M)


def _beyond(path: np.ndarray, junction: np.ndarray) -> np.ndarray:
    """A path without the part of its first half that a junction moved past."""
    half = max(1, len(path) // 2)
    nearest = int(np.hypot(*(path[:half] - junction).T).argmin())
    return path[nearest + (nearest > 0) :]


def _crossings(skeleton: Skeleton) -> dict[int, np.ndarray]:
    """Junctions moved to where the lines of their arms cross; loose ends stay."""
    arms: dict[int, list[np.ndarray]] = {node: [] for node in skeleton.place}
    for branch in skeleton.branches:
        clean = _clean(branch)
        for arm in (clean, clean.turned()):
            arms[arm.ends[0]].append(arm.path)
    place = {}
    for node, around in arms.items():
        place[node] = skeleton.place[node]
        if len(around) > 2:
            limit_m = SHIFT_M + skeleton.radius_m[node]
            place[node] = _crossing(around, place[node], limit_m)
    return place


def _crossing(arms: list[np.ndarray], start: np.ndarray, limit_m: float) -> np.ndarray:
    """The place nearest to the lines through the near parts of arms, (2,)."""
    matrix, right = HOLD * np.eye(2), HOLD * start
    for path in arms:
        along = np.hypot(*np.diff(path, axis=0).T).cumsum()
        near = path[: max(LEAST_POINTS, int(np.searchsorted(along, ARM_M)) + 1)]
        middle = near.mean(axis=0)
        _, spread, axes = np.linalg.svd(near - middle, full_matrices=False)
        normal = axes[1]
        weight = min(1.0, spread[0] / np.sqrt(len(near)) / 3.0)
        matrix = matrix + weight * np.outer(normal, normal)
        right = right + weight * normal * (normal @ middle)
    moved = np.linalg.solve(matrix, right)
    shift = moved - start
    return start + shift * min(1.0, limit_m / max(np.hypot(*shift), 1e-9))
