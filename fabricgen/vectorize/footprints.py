"""Footprints out of a map of shares: contour, drawings that are fitted, the finish.

The cheapest drawing of each mass is kept. What the map still shows after that, a shed too small for
a contour or a court closed by it, is added as a rectangle. Walls that nearly follow their building
then do, those that the map wants turned by themselves are, and each mass gets the area of the map.
"""

from dataclasses import dataclass, replace

import numpy as np
import shapely
from scipy import ndimage

from fabricgen.vectorize.drawings import NOISE, cheapest, drawings, nearest_mass
from fabricgen.vectorize.fitting import (
    any_strays,
    cover_of,
    fit,
    ring_area,
    ring_corners,
    turn_gain,
)
from fabricgen.vectorize.moments import as_court, moment_rectangles
from fabricgen.vectorize.outlines import FREE, QUARTER, Outline, Ring, contours

HARD_NOISE = 0.2  # of a share where pixels are either built or not
HARD_BLUR_PX = 0.6
RELEASE_COST = 14.0  # misfit that a wall must save to turn by itself
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
    noise = HARD_NOISE if hard else NOISE
    drawn = [mass for rings in contours(seen) if (mass := drawings(rings, noise)) is not None]
    chosen = cheapest(drawn, share, shortest_px=shortest_px, noise=noise)
    chosen = _with_missing(chosen, share, pixel_m, settings)
    for change in (_snapped,) if hard else (_snapped, _released):
        changed = [
            before if any_strays(after, before) else after
            for before, after in zip(chosen, change(chosen, share, pixel_m, settings), strict=True)
        ]
        fitted, _ = fit(changed, share, shortest_px=shortest_px)
        chosen = [
            before if after is None or not is_sound(after) else after
            for before, after in zip(chosen, fitted, strict=True)
        ]
    chosen = [_without_small_courts(o, settings.least_court_m2 / pixel_m**2) for o in chosen]
    chosen = [o for o in chosen if area_px(o) * pixel_m**2 >= settings.smallest_m2]
    return _area_kept(chosen, share)


def _without_small_courts(outline: Outline, least_px: float) -> Outline:
    courts = tuple(ring for ring in outline.rings[1:] if -ring_area(ring) >= least_px)
    return replace(outline, rings=(outline.rings[0], *courts))


def is_sound(outline: Outline) -> bool:
    """Whether no wall of an outline crosses another."""
    return bool(shapely.is_valid(polygon_of_outline(outline)))


def polygon_of_outline(outline: Outline, scale: float = 1.0) -> shapely.Polygon:
    """An outline as a polygon of pixels, or of meters with the edge of a pixel as the scale."""
    rings = [ring_corners(ring) * scale for ring in outline.rings]
    return shapely.Polygon(rings[0], rings[1:])


def area_px(outline: Outline) -> float:
    """Area of an outline without its courts. [px²]."""
    return sum(ring_area(ring) for ring in outline.rings)


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
        ring = as_court(court.rings[0], len(chosen[k].frames))
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
    gain = iter(turn_gain(outlines, share) / (2 * NOISE**2))
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
        kept.append(moved if is_sound(moved) and not any_strays(moved, outline) else outline)
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
