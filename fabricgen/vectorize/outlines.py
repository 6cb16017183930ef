"""From a map of shares to outlines of few straight walls: contour, then the cheapest walls.

The contour at one half runs within a fifth of a pixel of most walls but rounds their corners. A
dynamic program cuts each ring into runs and lays a straight line through each: along the directions
of the building where that fits, freely where it does not, as many as pay for themselves (minimum
description length). Where two such lines meet is a corner, whatever the contour did there.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import contourpy
import numpy as np
from scipy import ndimage

QUARTER = np.pi / 2
SHARPEN = 1.5  # of a share against its neighbors, so that slits and thin wings stay whole
SOLID = (0.7, 0.9)  # shares of the pixels on both sides of a slit, at least
SLIT = 0.12  # by which the share in a slit is less than on either side
SPREAD_PX = 0.12  # how far points of a contour lie off a straight wall
FRAMED_COST = 4.0  # of a wall along the building's directions, in units of misfit
FREE_COST = 12.0  # of a wall in a direction of its own
FRAME_COST = 4.0  # more for each frame after the first
FRAME_SHARE = 0.3  # of the outline that a further frame must explain
FRAME_DEG = 7.0  # outlines nearer to a frame than this are explained
MOST_FRAMES = 3
FREE = -1  # frame of a wall in a direction of its own
STEP_PX = 0.5  # spacing of the points that are fitted
LONGEST = 160  # points that one wall may take
PARALLEL_DEG = 20.0  # lines nearer to parallel than this may cross far off
FAR_PX = 1.5  # from where one run ends and the next begins
FLAT = 1e-3  # sine of an angle that is none


@dataclass(frozen=True, eq=False)
class Ring:
    """A closed outline as lines; wall k lies on n_k · p = offset_k, n_k the outward normal.

    Attributes:
        angle: Direction of each wall, (n,) radians; the inside lies to the left.
        offset: Distance of each line from the origin along its outward normal, (n,) pixels.
        frame: Which of the mass's frames a wall follows, (n,); -1: none.
    """

    angle: np.ndarray
    offset: np.ndarray
    frame: np.ndarray

    def take(self, which: np.ndarray) -> "Ring":
        """Some of the walls."""
        return Ring(self.angle[which], self.offset[which], self.frame[which])


class Thrift(NamedTuple):
    """How much more walls cost than by themselves."""

    framed: float  # along the building's directions
    free: float  # in a direction of their own; infinite: none are drawn


OPEN_THRIFT = Thrift(1.5, 1.5)  # of party walls


class Line(NamedTuple):
    """A wall in the making: its line, its frame, and the point at which its run begins."""

    angle: float
    offset: float
    frame: int
    start: np.ndarray


@dataclass(frozen=True, eq=False)
class Outline:
    """One connected building mass.

    Attributes:
        frames: Main directions of its walls, modulo a quarter turn, (K,). [rad].
        rings: The outer ring, then its courts.
    """

    frames: np.ndarray
    rings: tuple[Ring, ...]


def contours(share: np.ndarray) -> list[list[np.ndarray]]:
    """Rings around what is more than half built, a list per mass: outer ring, then courts.

    Args:
        share: Built share of each pixel, (rows, cols).

    Returns:
        Points (n, 2) in pixels from the grid's corner, closing point left out, evenly spaced.
    """
    grown = np.pad(share, 2)
    sharp = grown + SHARPEN * (grown - ndimage.uniform_filter(grown, 3))
    sharp = np.minimum(sharp, _slits(grown))
    axis_x, axis_y = (np.arange(n) - 1.5 for n in sharp.shape[::-1])
    made = contourpy.contour_generator(
        axis_x, axis_y, sharp, fill_type=contourpy.FillType.OuterOffset
    ).filled(0.5, np.inf)
    masses = []
    for points, offsets in zip(*made, strict=True):
        rings = [points[a : b - 1] for a, b in itertools.pairwise(offsets)]
        masses.append([_even(ring) for ring in rings])
    return masses


def _slits(share: np.ndarray) -> np.ndarray:
    """Shares with slits between walls deepened, up to their ends; no slit: 1."""
    deep = np.ones_like(share)
    inner = share[1:-1, 1:-1]
    rows, cols = share.shape
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        one = share[1 + down : rows - 1 + down, 1 + right : cols - 1 + right]
        other = share[1 - down : rows - 1 - down, 1 - right : cols - 1 - right]
        low, high = np.minimum(one, other), np.maximum(one, other)
        slit = (high > SOLID[1]) & (low > SOLID[0]) & (inner < low - SLIT)
        value = inner + SHARPEN * (inner - (one + other) / 2)
        deep[1:-1, 1:-1] = np.where(slit, np.minimum(deep[1:-1, 1:-1], value), deep[1:-1, 1:-1])
    return deep


def _even(ring: np.ndarray) -> np.ndarray:
    """Points at an even spacing along a ring."""
    closed = np.concatenate([ring, ring[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    count = max(8, round(along[-1] / STEP_PX))
    at = np.arange(count) * along[-1] / count
    return np.stack([np.interp(at, along, closed[:, k]) for k in (0, 1)], axis=1)


def wall_frames(rings: list[np.ndarray]) -> np.ndarray:
    """Main directions of rings of points, modulo a quarter turn, strongest first, (K,). [rad]."""
    reach = 4  # chords of two pixels feel no single stair
    chords = np.concatenate([np.roll(r, -reach, axis=0) - np.roll(r, reach, axis=0) for r in rings])
    angle = np.arctan2(chords[:, 1], chords[:, 0]) % QUARTER
    weight = np.hypot(*chords.T) ** 2  # short chords cut corners
    least = FRAME_SHARE * weight.sum()
    tried = np.arange(90) * QUARTER / 90
    found: list[float] = []
    while len(found) < MOST_FRAMES:
        apart = np.abs((angle[None] - tried[:, None] + QUARTER / 2) % QUARTER - QUARTER / 2)
        best = tried[(np.exp(-((apart / np.radians(4)) ** 2)) @ weight).argmax()]
        for _ in range(3):
            turn = (angle - best + QUARTER / 2) % QUARTER - QUARTER / 2
            near = weight * np.exp(-((turn / np.radians(5)) ** 2))
            best += (near @ turn) / max(near.sum(), 1e-9)
        turn = np.abs((angle - best + QUARTER / 2) % QUARTER - QUARTER / 2)
        taken = turn < np.radians(FRAME_DEG)
        if found and weight[taken].sum() < least:
            break
        found.append(float(best % QUARTER))
        weight = np.where(taken, 0.0, weight)
    return np.array(found)


def fit_ring(
    points: np.ndarray, frames: np.ndarray, thrifts: Sequence[Thrift]
) -> list[Ring | None]:
    """The cheapest walls around a ring of points, or None where they enclose nothing.

    Args:
        points: Evenly spaced, (n, 2), the inside to the left.
        frames: Main directions of the mass, (K,).
        thrifts: What walls cost; a ring for each.
    """
    points = np.roll(points, -_sharpest(points), axis=0)
    found = []
    for thrift, runs in zip(thrifts, _cheapest_runs(points, frames, thrifts), strict=True):
        found.append(_closed([_line(points, a, b, frames, thrift) for a, b in runs]))
    return found


def _sharpest(points: np.ndarray) -> int:
    """The point at which a ring bends most: surely a corner."""
    reach = min(3, len(points) // 4)
    before = points - np.roll(points, reach, axis=0)
    after = np.roll(points, -reach, axis=0) - points
    turn = np.abs(np.arctan2(_cross(before, after), (before * after).sum(axis=1)))
    return int(turn.argmax())


def _moments(points: np.ndarray) -> np.ndarray:
    """Running sums of 1, x, y, xx, xy, yy over a ring that ends where it began, (n + 2, 6)."""
    x, y = np.concatenate([points, points[:1]]).T
    columns = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    return np.concatenate([np.zeros((1, 6)), np.cumsum(columns, axis=0)])


def _cheapest_runs(
    points: np.ndarray, frames: np.ndarray, thrifts: Sequence[Thrift], *, closed: bool = True
) -> list[list[tuple[int, int]]]:
    """Runs of points (first, last) whose walls cost least together, for each thrift."""
    sums = _moments(points - points.mean(axis=0))
    n = len(points) if closed else len(points) - 1
    reach = min(n, LONGEST)
    # cost[:, i, k]: a wall through the points i to i + k + 2.
    start = np.arange(n)[:, None]
    end = start + np.arange(2, reach + 1)[None]
    cost = _wall_costs(sums[np.minimum(end, n) + 1] - sums[start], frames, thrifts)
    cost[:, end > n] = np.inf
    best = np.full((len(thrifts), n + 1), np.inf)
    came = np.zeros((len(thrifts), n + 1), dtype=int)
    best[:, 0] = 0.0
    for i in range(n - 1):
        stop = min(n, i + reach)
        total = best[:, i, None] + cost[:, i, : stop - i - 1]
        view, way = best[:, i + 2 : stop + 1], came[:, i + 2 : stop + 1]
        better = total < view
        np.copyto(view, total, where=better)
        way[better] = i
    return [_runs(row, n) for row in came]


def _runs(came: np.ndarray, n: int) -> list[tuple[int, int]]:
    runs = []
    at = n
    while at > 0:
        runs.append((int(came[at]), at))
        at = int(came[at])
    return runs[::-1]


def _wall_costs(sums: np.ndarray, frames: np.ndarray, thrifts: Sequence[Thrift]) -> np.ndarray:
    """Cost of one wall through points with these sums (n, m, 6), (T, n, m)."""
    xx, xy, yy = _spread(sums)
    scale = STEP_PX / (2 * SPREAD_PX**2)
    free = ((xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)) * scale
    cost = np.stack([free + thrift.free * FREE_COST for thrift in thrifts])
    for k, frame in enumerate(frames):
        cos, sin = np.cos(frame), np.sin(frame)
        along = cos * cos * yy - 2 * cos * sin * xy + sin * sin * xx
        framed = np.minimum(along, xx + yy - along) * scale
        for row, thrift in zip(cost, thrifts, strict=True):
            np.minimum(row, framed + thrift.framed * (FRAMED_COST + k * FRAME_COST), out=row)
    return cost


def _spread(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count, x, y, xx, xy, yy = np.moveaxis(sums, -1, 0)
    return xx - x * x / count, xy - x * y / count, yy - y * y / count


def _line(points: np.ndarray, start: int, end: int, frames: np.ndarray, thrift: Thrift) -> Line:
    """The wall through a run of points."""
    run = points[np.arange(start, end + 1) % len(points)]
    middle = run.mean(axis=0)
    arm = run - middle
    xx, xy, yy = (arm[:, 0] ** 2).sum(), arm.prod(axis=1).sum(), (arm[:, 1] ** 2).sum()
    angles = np.append(
        np.concatenate([[f, f + QUARTER] for f in frames]), np.arctan2(2 * xy, xx - yy) / 2
    )
    cos, sin = np.cos(angles), np.sin(angles)
    misfit = (xx * sin**2 - 2 * xy * sin * cos + yy * cos**2) * STEP_PX / (2 * SPREAD_PX**2)
    price = thrift.framed * (FRAMED_COST + np.repeat(np.arange(len(frames)), 2) * FRAME_COST)
    choice = int((misfit + np.append(price, thrift.free * FREE_COST)).argmin())
    angle = float(angles[choice])
    if (run[-1] - run[0]) @ np.array([np.cos(angle), np.sin(angle)]) < 0:
        angle += np.pi
    offset = float(np.sin(angle) * middle[0] - np.cos(angle) * middle[1])
    return Line(angle, offset, choice // 2 if choice < 2 * len(frames) else FREE, run[0])


def _closed(lines: list[Line]) -> Ring | None:
    """A ring of lines each of which meets the next; where they would not, a wall goes between."""
    walls: list[Line] = []
    for k, line in enumerate(lines):
        after = lines[(k + 1) % len(lines)]
        walls.append(line)
        turn = abs(_turn(line.angle, after.angle))
        parallel = min(turn, np.pi - turn) < np.radians(PARALLEL_DEG)
        same = line.frame == after.frame != FREE
        if parallel and (turn > QUARTER or same or _far(line, after)):
            walls.append(_riser(line, after))
    if len(walls) < 3:
        return None
    return Ring(
        np.array([wall.angle for wall in walls]),
        np.array([wall.offset for wall in walls]),
        np.array([wall.frame for wall in walls]),
    )


def _riser(line: Line, after: Line) -> Line:
    """The wall from one line straight across to a nearly parallel one, where the first ends."""
    normal = np.array([np.sin(line.angle), -np.cos(line.angle)])
    other = np.array([np.sin(after.angle), -np.cos(after.angle)])
    foot = after.start + other * (after.offset - other @ after.start)
    outward = float(normal @ foot) > line.offset
    angle = line.angle - QUARTER if outward else line.angle + QUARTER
    offset = float(np.sin(angle) * after.start[0] - np.cos(angle) * after.start[1])
    return Line(angle, offset, line.frame, after.start)


def _far(line: Line, after: Line) -> bool:
    """Whether two lines cross far from where one run ends and the next begins."""
    det = np.sin(after.angle - line.angle)
    if abs(det) < FLAT:
        return True
    gap = [
        one.offset - (np.sin(one.angle) * after.start[0] - np.cos(one.angle) * after.start[1])
        for one in (line, after)
    ]
    reach = np.hypot(
        gap[1] * np.sin(line.angle) - gap[0] * np.sin(after.angle),
        gap[1] * np.cos(line.angle) - gap[0] * np.cos(after.angle),
    )
    return bool(reach > FAR_PX * abs(det))


def _turn(first: float, second: float) -> float:
    return float((second - first + np.pi) % (2 * np.pi) - np.pi)


def _cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]


def fit_line(points: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """The cheapest open run of walls along a line of points: its ends and corners, (n, 2).

    Args:
        points: A line in pixels, at whatever spacing.
        frames: Main directions, (K,).
    """
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    count = max(4, round(along[-1] / STEP_PX))
    at = np.linspace(0, along[-1], count)
    even = np.stack([np.interp(at, along, points[:, k]) for k in (0, 1)], axis=1)
    (runs,) = _cheapest_runs(even, frames, (OPEN_THRIFT,), closed=False)
    lines = [_line(even, a, b, frames, OPEN_THRIFT) for a, b in runs]
    corners = [_foot(lines[0], even[0])]
    for line, after in itertools.pairwise(lines):
        if _far(line, after):
            corners += [_foot(line, after.start), _foot(after, after.start)]
        else:
            corners.append(_crossing(line, after))
    return np.array([*corners, _foot(lines[-1], even[-1])])


def _foot(line: Line, point: np.ndarray) -> np.ndarray:
    normal = np.array([np.sin(line.angle), -np.cos(line.angle)])
    return point + normal * (line.offset - normal @ point)


def _crossing(line: Line, after: Line) -> np.ndarray:
    det = np.sin(after.angle - line.angle)
    return (
        np.array(
            [
                after.offset * np.cos(line.angle) - line.offset * np.cos(after.angle),
                after.offset * np.sin(line.angle) - line.offset * np.sin(after.angle),
            ]
        )
        / det
    )
