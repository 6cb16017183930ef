"""Footprints out of a map of shares: several drawings of each mass, and the one that pays.

A drawing with more walls always fits better. Each mass is drawn with more and with less thrift, and
as a plain rectangle; every drawing is fitted to the map, and the one with the least misfit plus
price of its walls is kept (minimum description length). What the map still shows after that, a shed
too small for a contour or a court closed by it, is added as a rectangle of the same moments.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from scipy import ndimage

from fabricgen.vectorize.fitting import cover_of, fit, ring_corners, turn_gain
from fabricgen.vectorize.outlines import (
    FREE,
    QUARTER,
    Outline,
    Ring,
    contours,
    fit_ring,
    wall_frames,
)

THRIFTS = (0.15, 0.4, 1.0, 2.5)  # at the usual noise
MISFIT = 0.05  # of a share, that is noise
HARD_MISFIT = 0.2  # where pixels are either built or not
HARD_BLUR_PX = 0.6
WALL_COST = 3.5  # in units of misfit
FREE_WALL_COST = 6.0  # a wall in a direction of its own
SAME_RAD = np.radians(3.0)  # frames nearer than this are one
RELEASE_COST = 8.0  # misfit that a wall must save to turn by itself
MOST_AREA_PX = 0.1  # that walls move to keep an area
LEFT = 0.2  # misfit of a pixel that shows something not drawn yet


@dataclass(frozen=True)
class FitSettings:
    """What a footprint may be; lengths in meters."""

    shortest_m: float = 0.8  # shorter walls go
    smallest_m2: float = 8.0  # smaller buildings are not drawn
    least_court_m2: float = 8.0  # smaller courts are filled
    snap_deg: float = 1.5  # free walls this near to a direction of their building follow it
    snap_short_deg_m: float = 16.0  # and nearer than this over their length in meters


def footprints(share: np.ndarray, pixel_m: float, settings: FitSettings) -> list[Outline]:
    """Outlines of the masses of a map.

    Args:
        share: Built share of each pixel, (rows, cols).
        pixel_m: Edge of a pixel.
        settings: What a footprint may be.
    """
    shortest_px = settings.shortest_m / pixel_m
    hard = bool(np.isin(share, (0, 1)).all())
    seen = ndimage.gaussian_filter(share, HARD_BLUR_PX) if hard else share
    noise = HARD_MISFIT if hard else MISFIT
    drawn = [_drawings(mass, noise) for mass in contours(seen)]
    drawn = [mass for mass in drawn if mass is not None]
    chosen = _cheapest(drawn, share, shortest_px, noise) if drawn else []
    chosen = _with_missing(chosen, share, pixel_m, settings)
    for change in (_snapped,) if hard else (_released, _snapped):
        changed = change(chosen, share, pixel_m, settings)
        fitted, _ = fit(changed, share, shortest_px=shortest_px)
        chosen = [
            before if after is None or not is_sound(after) else after
            for before, after in zip(chosen, fitted, strict=True)
        ]
    chosen = [_without_small_courts(o, settings.least_court_m2 / pixel_m**2) for o in chosen]
    chosen = [o for o in chosen if area_px(o) * pixel_m**2 >= settings.smallest_m2]
    return _area_kept(chosen, share)


def _without_small_courts(outline: Outline, least_px: float) -> Outline:
    courts = tuple(ring for ring in outline.rings[1:] if -_area(ring) >= least_px)
    return replace(outline, rings=(outline.rings[0], *courts))


def _is_simple(ring: Ring, *, court: bool) -> bool:
    """Whether a ring does not cross itself and still runs the right way around."""
    return (_area(ring) < 0) == court and bool(
        shapely.is_valid(shapely.Polygon(ring_corners(ring)))
    )


def is_sound(outline: Outline) -> bool:
    """Whether no wall of an outline crosses another."""
    return bool(shapely.is_valid(polygon_of_outline(outline)))


def polygon_of_outline(outline: Outline, scale: float = 1.0) -> shapely.Polygon:
    """An outline as a polygon of pixels, or of meters with the edge of a pixel as the scale."""
    rings = [ring_corners(ring) * scale for ring in outline.rings]
    return shapely.Polygon(rings[0], rings[1:])


def area_px(outline: Outline) -> float:
    """Area of an outline without its courts. [px²]."""
    return sum(_area(ring) for ring in outline.rings)


def _area(ring: Ring) -> float:
    x, y = ring_corners(ring).T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


@dataclass(frozen=True, eq=False)
class _Drawn:
    """A mass in the making: for each of its rings several drawings, the thriftiest last."""

    frames: np.ndarray
    rings: list[list[Ring]]

    def turn(self, k: int) -> Outline:
        """The outline of the k-th drawings."""
        return Outline(self.frames, tuple(ring[min(k, len(ring) - 1)] for ring in self.rings))


def _drawings(mass: list[np.ndarray], noise: float) -> _Drawn | None:
    """Drawings of each ring, those that make no sense left out."""
    frames = wall_frames(mass)
    rings = []
    for k, points in enumerate(mass):
        sign = 1 if k == 0 else -1
        drawn = fit_ring(points, frames, [thrift * noise / MISFIT for thrift in THRIFTS])
        found = [ring for ring in drawn if ring is not None and sign * _area(ring) > 0]
        if found:
            rings.append(found)
        elif k == 0:
            return None
    return _Drawn(frames, rings)


def _cheapest(
    drawn: list[_Drawn], share: np.ndarray, shortest_px: float, noise: float
) -> list[Outline]:
    """Of each ring the drawing with the least misfit and walls, fitted."""
    count = [len(mass.rings) for mass in drawn]
    near = nearest_ring([mass.turn(0) for mass in drawn], share.shape)
    rectangles = _rectangles(near, share, drawn)
    best: list[tuple[Ring, np.ndarray] | None] = [None] * sum(count)
    least = np.full(sum(count), np.inf)
    for turn in range(len(THRIFTS) + 1):
        trial = rectangles if turn == len(THRIFTS) else [mass.turn(turn) for mass in drawn]
        fitted, missing = fit(trial, share, shortest_px=shortest_px)
        misfit = np.bincount(near.ravel(), (missing**2).ravel(), sum(count)) / (2 * noise**2)
        at = 0
        for k, outline in enumerate(fitted):
            rings = () if outline is None else outline.rings
            for j, ring in enumerate(rings):
                cost = misfit[at + j] + _price(ring)
                if cost < least[at + j] and _is_simple(ring, court=j > 0):
                    least[at + j], best[at + j] = cost, (ring, outline.frames)
            at += count[k]
    return _gathered(best, count)


def _gathered(best: list[tuple[Ring, np.ndarray] | None], count: list[int]) -> list[Outline]:
    """Outlines of chosen rings; a mass whose outer ring nothing fits is left out."""
    found = []
    at = 0
    for size in count:
        outer, courts = best[at], best[at + 1 : at + size]
        at += size
        if outer is None:
            continue
        rings, frames = [outer[0]], outer[1]
        for court in courts:
            if court is not None:
                ring, frames = _with_frames(*court, frames)
                rings.append(ring)
        found.append(Outline(frames, tuple(rings)))
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


def _price(ring: Ring) -> float:
    return float(np.where(ring.frame == FREE, FREE_WALL_COST, WALL_COST).sum())


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


def _rectangles(near: np.ndarray, share: np.ndarray, drawn: list[_Drawn]) -> list[Outline]:
    """Masses with a rectangle in the place of each ring that may be one, of the same moments."""
    court = np.array([j > 0 for mass in drawn for j in range(len(mass.rings))])
    weight = np.where(court[near], 1 - share, share)
    rows, cols = np.nonzero(weight > 0)
    boxes = moment_rectangles(near[rows, cols], weight[rows, cols], rows, cols, len(court))
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
            courts.append(ring if box is None else _as_court(box.rings[0], len(frames)))
            frames += [] if box is None else [float(box.frames[0])]
        found.append(Outline(np.array(frames), (thrifty.rings[0], *courts)))
    return found


def _as_court(ring: Ring, frame: int) -> Ring:
    """An outer ring walked around the other way, in a frame of this number."""
    return Ring(ring.angle[::-1] + np.pi, -ring.offset[::-1], np.full(len(ring.angle), frame))


def moment_rectangles(
    number: np.ndarray, weight: np.ndarray, rows: np.ndarray, cols: np.ndarray, count: int
) -> list[Outline | None]:
    """Rectangles of the same area, middle, direction and proportions as groups of pixels."""
    x, y = cols + 0.5, rows + 0.5
    sums = [
        np.bincount(number, weight * value, count)
        for value in (np.ones(len(x)), x, y, x * x, x * y, y * y)
    ]
    found: list[Outline | None] = []
    for area, sx, sy, sxx, sxy, syy in zip(*sums, strict=True):
        if area < 1e-6:
            found.append(None)
            continue
        middle = np.array([sx, sy]) / area
        # Each pixel's own spread of 1/12 is none of the building's.
        own = 1 / 12
        spread = np.array([[sxx, sxy], [sxy, syy]]) / area - np.outer(middle, middle)
        value, vector = np.linalg.eigh(spread - own * np.eye(2))
        size = np.sqrt(12 * np.maximum(value, 1 / 48))
        size *= np.sqrt(area / size.prod())
        angle = np.arctan2(vector[1, 1], vector[0, 1])
        found.append(rectangle(middle, float(size[1]), float(size[0]), float(angle)))
    return found


def rectangle(middle: np.ndarray, along: float, across: float, angle: float) -> Outline:
    """A rectangle as an outline."""
    angles = angle + QUARTER * np.arange(4)
    reach = np.array([across, along, across, along]) / 2
    offset = np.sin(angles) * middle[0] - np.cos(angles) * middle[1] + reach
    ring = Ring(angles, offset, np.zeros(4, dtype=int))
    return Outline(np.array([angle]), (ring,))


def _with_missing(
    chosen: list[Outline], share: np.ndarray, pixel_m: float, settings: FitSettings
) -> list[Outline]:
    """Also rectangles where the map shows something built, or a court, that is not drawn."""
    missing = share - cover_of(chosen, share.shape)
    least_px = settings.smallest_m2 / pixel_m**2
    built = [shape for shape in _spots(missing, least_px) if shape is not None]
    chosen = [*chosen, *built]
    near = nearest_mass(chosen, share.shape) if chosen else None
    for court in _spots(-missing, settings.least_court_m2 / pixel_m**2):
        if court is None or near is None:
            continue
        middle = ring_corners(court.rings[0]).mean(axis=0)
        k = near[int(middle[1]), int(middle[0])]
        ring = _as_court(court.rings[0], len(chosen[k].frames))
        frames = np.append(chosen[k].frames, court.frames)
        chosen[k] = Outline(frames, (*chosen[k].rings, ring))
    return chosen


def _spots(missing: np.ndarray, least_px: float) -> list[Outline | None]:
    """Rectangles for connected pixels with much misfit, small ones left out."""
    number, count = ndimage.label(missing > LEFT, np.ones((3, 3)))
    number -= 1
    rows, cols = np.nonzero(number >= 0)
    label = number[rows, cols]
    weight = missing[rows, cols]
    found = moment_rectangles(label, weight, rows, cols, count)
    area = np.bincount(label, weight, count) if len(label) else np.zeros(0)
    return [shape if a >= least_px else None for shape, a in zip(found, area, strict=True)]


def _released(
    outlines: list[Outline], share: np.ndarray, pixel_m: float, settings: FitSettings
) -> list[Outline]:
    """Walls of a building's directions that the map wants turned by themselves become free."""
    gain = iter(turn_gain(outlines, share) / (2 * MISFIT**2))
    found = []
    for outline in outlines:
        rings = []
        for ring in outline.rings:
            worth = np.array([next(gain) for _ in ring.frame])
            rings.append(replace(ring, frame=np.where(worth > RELEASE_COST, FREE, ring.frame)))
        found.append(replace(outline, rings=tuple(rings)))
    return found


def _snapped(
    outlines: list[Outline], share: np.ndarray, pixel_m: float, settings: FitSettings
) -> list[Outline]:
    """Free walls that nearly follow a direction of their building do, if the map agrees."""
    return [
        replace(
            outline,
            rings=tuple(_snap(ring, outline.frames, pixel_m, settings) for ring in outline.rings),
        )
        for outline in outlines
    ]


def _area_kept(outlines: list[Outline], share: np.ndarray) -> list[Outline]:
    """All walls of a mass a hair outward or inward, to where it has the area that the map says."""
    if not outlines:
        return outlines
    near = nearest_mass(outlines, share.shape)
    missing = share - cover_of(outlines, share.shape)
    more = np.bincount(near.ravel(), missing.ravel(), len(outlines))
    kept = []
    for outline, area in zip(outlines, more, strict=True):
        corners = [ring_corners(ring) for ring in outline.rings]
        length = sum(float(np.hypot(*(c - np.roll(c, 1, axis=0)).T).sum()) for c in corners)
        step = float(np.clip(area / length, -MOST_AREA_PX, MOST_AREA_PX))
        rings = tuple(replace(ring, offset=ring.offset + step) for ring in outline.rings)
        moved = replace(outline, rings=rings)
        kept.append(moved if is_sound(moved) else outline)
    return kept


def _snap(ring: Ring, frames: np.ndarray, pixel_m: float, settings: FitSettings) -> Ring:
    starts = ring_corners(ring)
    ends = np.roll(starts, -1, axis=0)
    length_m = np.maximum(np.hypot(*(ends - starts).T) * pixel_m, 0.1)
    turn = (frames[None] - ring.angle[:, None] + QUARTER / 2) % QUARTER - QUARTER / 2
    best = np.abs(turn).argmin(axis=1)
    by = turn[np.arange(len(best)), best]
    limit = np.radians(np.minimum(settings.snap_deg + settings.snap_short_deg_m / length_m, 8.0))
    snaps = (ring.frame == FREE) & (np.abs(by) < limit)
    if not snaps.any():
        return ring
    angle = np.where(snaps, ring.angle + by, ring.angle)
    middle = (starts + ends) / 2
    offset = np.where(
        snaps, np.sin(angle) * middle[:, 0] - np.cos(angle) * middle[:, 1], ring.offset
    )
    return Ring(angle, offset, np.where(snaps, best, ring.frame))
