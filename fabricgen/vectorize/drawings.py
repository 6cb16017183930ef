"""Several drawings of each outline, fitted to the map, and the one of each ring that pays.

A drawing with more walls always fits better. Each ring is drawn with more and less thrift, as a
plain rectangle, with its oblique corners squared, and along its neighbors; the one with the least
misfit plus price of its walls is kept (minimum description length).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from scipy import ndimage

from fabricgen.vectorize.alongside import GAIN, THRIFTS_ALONG, along, turns_around
from fabricgen.vectorize.fitting import any_strays, cover_of, fit, ring_area, ring_corners
from fabricgen.vectorize.moments import as_court, is_square, moment_rectangles, turned_square
from fabricgen.vectorize.outlines import FREE, QUARTER, Outline, Ring, Thrift, fit_ring, wall_frames
from fabricgen.vectorize.squaring import laid, squared

# At the usual noise: fine to plain, and twice without walls in directions of their own.
THRIFTS = (
    Thrift(0.15, 0.15),
    Thrift(0.4, 0.4),
    Thrift(1.0, 1.0),
    Thrift(0.25, np.inf),
    Thrift(1.0, np.inf),
    Thrift(2.5, 2.5),
)
NOISE = 0.05  # of a share
WALL_COST = 3.0  # in units of misfit
FREE_WALL_COST = 14.0  # of a wall in a direction of its own
SAME_RAD = np.radians(3.0)  # frames nearer than this are one
TRIAL_ROUNDS = 4  # of the fit of a drawing that may not be kept
LAID_RAD = np.radians((46.0, 15.0))  # oblique walls nearer to a frame than this are tried along it
SQUARE = 1.5  # sides at most so unequal: moments do not tell the direction


@dataclass(frozen=True, eq=False)
class Drawn:
    """A mass in the making: for each of its rings several drawings, the thriftiest last.

    Attributes:
        frames: Main directions of its walls, (K,). [rad].
        rings: Drawings of each ring.
        points: What each was drawn from, (n, 2).
    """

    frames: np.ndarray
    rings: list[list[Ring]]
    points: list[np.ndarray]

    def turn(self, k: int) -> Outline:
        """The outline of the k-th drawings."""
        return Outline(self.frames, tuple(ring[min(k, len(ring) - 1)] for ring in self.rings))


def drawings(mass: list[np.ndarray], noise: float) -> Drawn | None:
    """Drawings of each ring, those that make no sense left out."""
    frames = wall_frames(mass)
    times = noise / NOISE
    scaled = [Thrift(t.framed * times, t.free * times) for t in THRIFTS]
    rings, drawable = [], []
    for k, points in enumerate(mass):
        sign = 1 if k == 0 else -1
        drawn = fit_ring(points, frames, scaled)
        found = [ring for ring in drawn if ring is not None and sign * ring_area(ring) > 0]
        if found:
            rings.append(found)
            drawable.append(points)
        elif k == 0:
            return None
    return Drawn(frames, rings, drawable)


@dataclass(frozen=True, eq=False)
class _Best:
    """The cheapest drawing of each ring so far, with its frames, and its cost."""

    ring: list[tuple[Ring, np.ndarray] | None]
    cost: np.ndarray


def cheapest(
    drawn: Sequence[Drawn], share: np.ndarray, *, shortest_px: float, noise: float
) -> list[Outline]:
    """Of each ring the drawing with the least misfit and walls, fitted.

    Args:
        drawn: Masses with the drawings of their rings.
        share: Built share of each pixel, (rows, cols).
        shortest_px: Walls that become shorter go.
        noise: Misfit of a share that means nothing.
    """
    if not drawn:
        return []
    count = [len(mass.rings) for mass in drawn]
    near = nearest_ring([mass.turn(0) for mass in drawn], share.shape)
    best = _Best([None] * sum(count), np.full(sum(count), np.inf))

    plain = [mass.turn(0) for mass in drawn]

    def contest(trial: list[Outline], *, still: bool = False, gain: float = 0.0) -> None:
        # One that strays would cover ground of the others, and spoil their fits.
        trial = [
            first if any_strays(one, first) else one
            for one, first in zip(trial, plain, strict=True)
        ]
        fitted: Sequence[Outline | None] = trial
        missing = share - cover_of(trial, share.shape)
        if not still:
            fitted, missing = fit(trial, share, shortest_px=shortest_px, rounds=TRIAL_ROUNDS)
        misfit = np.bincount(near.ravel(), (missing**2).ravel(), sum(count)) / (2 * noise**2)
        kept = [
            None if one is None or any_strays(one, first) else one
            for one, first in zip(fitted, plain, strict=True)
        ]
        _keep_cheaper(best, kept, misfit - gain, count)

    contest(plain, still=True)
    boxes = _rectangles(near, share, drawn)
    for turn in range(len(THRIFTS)):
        contest([mass.turn(turn) for mass in drawn])
    contest(_boxed(drawn, boxes))
    contest(_boxed(drawn, [_turned(box) for box in boxes]))
    contest([_squared(outline) for outline in _standing(best, drawn)])
    for within_rad in LAID_RAD:
        contest([_laid(outline, within_rad) for outline in _standing(best, drawn)])
    for thrift in THRIFTS_ALONG:
        contest(_alongside(drawn, _standing(best, drawn), thrift, noise / NOISE), gain=GAIN)
    return _gathered(best.ring, count)


def _alongside(
    drawn: Sequence[Drawn], standing: Sequence[Outline], thrift: Thrift, times: float
) -> list[Outline]:
    """Masses in the direction of their neighbors; as they stand where that makes no sense."""
    plainer = Thrift(thrift.framed * times, thrift.free * times)
    found = []
    for mass, outline, turn in zip(drawn, standing, turns_around(standing), strict=True):
        made = None if np.isnan(turn) else along(mass.points, turn, plainer)
        found.append(made or outline)
    return found


def _keep_cheaper(
    best: _Best, fitted: Sequence[Outline | None], misfit: np.ndarray, count: Sequence[int]
) -> None:
    at = 0
    for outline, size in zip(fitted, count, strict=True):
        rings = () if outline is None else outline.rings
        for j, ring in enumerate(rings):
            cost = misfit[at + j] + price(ring)
            if outline is not None and cost < best.cost[at + j] and _is_simple(ring, court=j > 0):
                best.cost[at + j], best.ring[at + j] = cost, (ring, outline.frames)
        at += size


def _standing(best: _Best, drawn: Sequence[Drawn]) -> list[Outline]:
    """The cheapest outlines so far; rings that nothing fits as first drawn."""
    found = []
    at = 0
    for mass in drawn:
        first = mass.turn(0)
        own = [
            kept or (ring, mass.frames)
            for kept, ring in zip(best.ring[at : at + len(first.rings)], first.rings, strict=True)
        ]
        at += len(own)
        found.append(_together(own))
    return found


def _together(own: Sequence[tuple[Ring, np.ndarray]]) -> Outline:
    """Rings with frames of their own as one outline."""
    frames = own[0][1]
    rings = [own[0][0]]
    for court in own[1:]:
        ring, frames = _with_frames(*court, frames)
        rings.append(ring)
    return Outline(frames, tuple(rings))


def _laid(outline: Outline, within_rad: float) -> Outline:
    rings = tuple(laid(ring, outline.frames, within_rad) for ring in outline.rings)
    return replace(outline, rings=rings)


def _squared(outline: Outline) -> Outline:
    return replace(outline, rings=tuple(squared(ring) for ring in outline.rings))


def _gathered(
    best: Sequence[tuple[Ring, np.ndarray] | None], count: Sequence[int]
) -> list[Outline]:
    """Outlines of chosen rings; a mass whose outer ring nothing fits is left out."""
    found = []
    at = 0
    for size in count:
        outer, courts = best[at], best[at + 1 : at + size]
        at += size
        if outer is not None:
            found.append(_together([outer, *(court for court in courts if court is not None)]))
    return found


def _with_frames(ring: Ring, own: np.ndarray, frames: np.ndarray) -> tuple[Ring, np.ndarray]:
    """A ring of other frames counted among these, and these with what was not among them."""
    number = np.full(len(own), FREE)
    for k in np.unique(ring.frame[ring.frame != FREE]):
        apart = np.abs((frames - own[k] + QUARTER / 2) % QUARTER - QUARTER / 2)
        if apart.min() > SAME_RAD:
            frames = np.append(frames, own[k])
            apart = np.append(apart, 0.0)
        number[k] = int(apart.argmin())
    return replace(ring, frame=np.where(ring.frame == FREE, FREE, number[ring.frame])), frames


def price(ring: Ring) -> float:
    """What the walls of a ring cost, in units of misfit."""
    return float(np.where(ring.frame == FREE, FREE_WALL_COST, WALL_COST).sum())


def _is_simple(ring: Ring, *, court: bool) -> bool:
    """Whether a ring does not cross itself and still runs the right way around."""
    return (ring_area(ring) < 0) == court and bool(
        shapely.is_valid(shapely.Polygon(ring_corners(ring)))
    )


def nearest_ring(outlines: Sequence[Outline], shape: tuple[int, int]) -> np.ndarray:
    """Number of the ring that is nearest to each pixel, (rows, cols)."""
    return _nearest([ring for outline in outlines for ring in outline.rings], shape)


def nearest_mass(outlines: Sequence[Outline], shape: tuple[int, int]) -> np.ndarray:
    """Number of the outline that is nearest to each pixel, (rows, cols)."""
    owner = np.repeat(np.arange(len(outlines)), [len(outline.rings) for outline in outlines])
    return owner[nearest_ring(outlines, shape)]


def _nearest(rings: Sequence[Ring], shape: tuple[int, int]) -> np.ndarray:
    number = np.full(shape, -1)
    for k, ring in enumerate(rings):
        corners = ring_corners(ring)
        ends = np.roll(corners, -1, axis=0)
        count = np.maximum(2, np.ceil(np.hypot(*(ends - corners).T) * 2).astype(int))
        points = np.concatenate(
            [np.linspace(a, b, n) for a, b, n in zip(corners, ends, count, strict=True)]
        )
        col, row = np.floor(points).astype(int).T
        inside = (row >= 0) & (row < shape[0]) & (col >= 0) & (col < shape[1])
        number[row[inside], col[inside]] = k
    rows, cols = ndimage.distance_transform_edt(
        number < 0, return_distances=False, return_indices=True
    )
    return number[rows, cols]


def _rectangles(
    near: np.ndarray, share: np.ndarray, drawn: Sequence[Drawn]
) -> list[Outline | None]:
    """A rectangle with the moments of each ring, in their order."""
    court = np.array([j > 0 for mass in drawn for j in range(len(mass.rings))])
    weight = np.where(court[near], 1 - share, share)
    rows, cols = np.nonzero(weight > 0)
    return moment_rectangles(near[rows, cols], weight[rows, cols], rows, cols, len(court))


def _turned(box: Outline | None) -> Outline | None:
    return turned_square(box) if box is not None and is_square(box, within=SQUARE) else box


def _boxed(drawn: Sequence[Drawn], boxes: Sequence[Outline | None]) -> list[Outline]:
    """Masses with a rectangle for each court, and for the outer ring of those without."""
    found = []
    at = 0
    for mass in drawn:
        own = boxes[at : at + len(mass.rings)]
        at += len(own)
        if len(own) == 1 and own[0] is not None:
            found.append(own[0])
            continue
        thrifty = mass.turn(len(THRIFTS) - 1)
        frames, courts = list(mass.frames), []
        for ring, box in zip(thrifty.rings[1:], own[1:], strict=True):
            courts.append(ring if box is None else as_court(box.rings[0], len(frames)))
            frames += [] if box is None else [float(box.frames[0])]
        found.append(Outline(np.array(frames), (thrifty.rings[0], *courts)))
    return found
