"""Outlines of single buildings: no needles, no stubs of walls, by moving whole walls.

A wall moves by being laid on another line, while its ends slide along the walls beside it; so
straight walls stay straight and right angles right. Rings are arrays (n, 2) without the closing
point, the inside to the left.
"""

from collections.abc import Iterator

import numpy as np
import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

STUB_M = 0.6  # shorter walls go; above half a meter even after footprints are scaled down
SHARP_DEG = 20.0  # sharper corners are cut off
TIP_M = 2.0  # width of the wall that closes a cut corner
MEET_SINE = 0.17  # walls nearer to parallel (10 degrees) do not carry each other's ends
STRAIGHT_DEG = 0.3  # bends smaller than this are none
ROUNDING_M = 1e-5
HAIR_M = 0.02  # narrower strips of ground are left over from overlays
SAME_M = 1e-4  # points this near are one
GROWN_M2 = 1e-4  # ground gained below this is rounding
BENT_M2 = 4.0  # keeping walls parallel may cost this much ground more than bending one
ROUNDS = 60  # faults mended in one outline at most


def valid(shape: BaseGeometry) -> BaseGeometry:
    """The same ground with rings that do not cross, drawn in by a hair where they did.

    Rings that touch in a point may cross by a rounding once they are turned or scaled. Repair by
    overlay fails on some of these; a buffer does not.
    """
    if shape.is_valid:
        return shape
    # Not mitred: of rings that cross, a mitre makes spikes that reach far out.
    return shape.buffer(-ROUNDING_M, join_style="bevel").simplify(ROUNDING_M)


def parts(shape: BaseGeometry) -> list[Polygon]:
    """The polygons of any geometry, lines and points left out."""
    if isinstance(shape, Polygon):
        return [] if shape.is_empty else [shape]
    return [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]


def opened(shape: BaseGeometry, width_m: float) -> BaseGeometry:
    """What of a shape is at least so wide, its corners kept sharp."""
    inner = shape.buffer(-width_m / 2, join_style="mitre")
    # Slivers that are left where it was just so wide have no direction to grow in.
    cores = shapely.MultiPolygon([part for part in parts(inner) if part.area > GROWN_M2])
    return valid(cores.buffer(width_m / 2, join_style="mitre"))


def patches_of(shape: BaseGeometry, smallest_m2: float) -> list[Polygon]:
    """The polygons of a ground that someone could see: no dust, no hairs, no hairs on patches.

    Overlays leave hairs where edges nearly meet; a projection then makes their sides cross.

    Args:
        shape: Any geometry, which may cross itself by a rounding.
        smallest_m2: Area below which a polygon is dust.
    """
    shape = valid(shape)
    if shapely.get_dimensions(shape) < 2:
        return []
    wide = opened(shape, HAIR_M)
    # Not cut with the shape again: edges that are equal but for rounding would make new hairs.
    return [part for part in parts(wide) if part.area > smallest_m2]


def tidy(shape: Polygon) -> Polygon | None:
    """A part of a footprint without stubs of walls and sharp corners, or None if none is left.

    Nothing is added, so what did not overlap before does not afterwards.
    """
    shape = shapely.orient_polygons(shape)
    for _ in range(ROUNDS):
        rings = [clean_ring(ring) for ring in rings_of(shape)]
        fault = next(
            ((r, int(k)) for r, ring in enumerate(rings) for k in _faults(ring)),
            None,
        )
        if fault is None:
            return polygon_of(rings)
        shape = _mend(shape, rings, *fault)
        if shape is None:
            return None
    return None


def rings_of(shape: Polygon) -> list[np.ndarray]:
    """Outer ring and holes without closing points, the inside of the shape to their left."""
    return [shapely.get_coordinates(ring)[:-1] for ring in (shape.exterior, *shape.interiors)]


def polygon_of(rings: list[np.ndarray]) -> Polygon | None:
    """The polygon of an outer ring and holes, or None where they enclose no valid one."""
    if len(rings[0]) < 3:
        return None
    shape = Polygon(rings[0], [ring for ring in rings[1:] if len(ring) > 2])
    return shape if shape.is_valid and shape.area > 0 else None


def clean_ring(ring: np.ndarray) -> np.ndarray:
    """A ring without repeated points and points on a straight line, hairs included."""
    for _ in range(len(ring)):
        if len(ring) < 3:
            return ring[:0]
        step = np.roll(ring, -1, axis=0) - ring
        length = np.hypot(*step.T)
        if length.min() < SAME_M:
            ring = np.delete(ring, int(length.argmin()), axis=0)
            continue
        before = np.roll(step, 1, axis=0)
        sine = np.abs(_cross(before, step)) / (length * np.roll(length, 1))
        if sine.min() > np.sin(np.radians(STRAIGHT_DEG)):
            return ring
        ring = np.delete(ring, int(sine.argmin()), axis=0)
    return ring[:0]


def lay_wall(ring: np.ndarray, k: int, point: np.ndarray, along: np.ndarray) -> np.ndarray | None:
    """A ring with the wall from point k to the next one laid on a line.

    Returns:
        The ring, or None where a wall beside it is too nearly parallel or would turn around.
    """
    n = len(ring)
    before, start, end, after = (ring[(k + j) % n] for j in (-1, 0, 1, 2))
    first, last = (
        _meet(before, start - before, point, along),
        _meet(after, end - after, point, along),
    )
    if first is None or last is None:
        return None
    moved = ring.copy()
    moved[k], moved[(k + 1) % n] = first, last
    steps = (
        (first - before, start - before),
        (last - first, end - start),
        (after - last, after - end),
    )
    if any(float(new @ old) < -SAME_M for new, old in steps):
        return None
    return moved


def has_fault(shape: Polygon) -> bool:
    """Whether an outline has a stub of a wall, a sharp corner or a notch as sharp."""
    rings = rings_of(shapely.orient_polygons(shape))
    return any(len(_faults(ring)) > 0 or inner_deg(ring).max() > 360 - SHARP_DEG for ring in rings)


def notches(shape: Polygon) -> list[Polygon]:
    """The open ground in corners that are sharper than a building has, up to the nearer mouth."""
    found = []
    for ring in rings_of(shapely.orient_polygons(shape)):
        for k in np.flatnonzero(inner_deg(ring) > 360 - SHARP_DEG):
            arms = np.stack([ring[k - 1], ring[(k + 1) % len(ring)]]) - ring[k]
            length = np.hypot(*arms.T)
            mouth = ring[k] + arms * (length.min() / length)[:, None]
            found.append(Polygon([ring[k], *mouth]))
    return found


def _faults(ring: np.ndarray) -> np.ndarray:
    """Numbers of faulty places of a ring: walls k that are too short, corners n + k too sharp."""
    step = np.roll(ring, -1, axis=0) - ring
    stub = np.hypot(*step.T) < STUB_M
    return np.flatnonzero(np.concatenate([stub, inner_deg(ring) < SHARP_DEG]))


def inner_deg(ring: np.ndarray) -> np.ndarray:
    """Angle of each corner on the inside, (n,) between 0 and 360."""
    after = np.roll(ring, -1, axis=0) - ring
    before = np.roll(ring, 1, axis=0) - ring
    turn = np.arctan2(_cross(after, before), (after * before).sum(axis=1))
    return np.degrees(turn) % 360


def _mend(shape: Polygon, rings: list[np.ndarray], r: int, fault: int) -> Polygon | None:
    """The largest part of a shape in which one fault of one ring is gone."""
    n = len(rings[r])
    options = _without_stub(rings[r], fault) if fault < n else _without_tip(rings[r], fault - n)
    best, most = None, -np.inf
    for ring, cost_m2 in options:
        changed = [clean_ring(ring) if j == r else other for j, other in enumerate(rings)]
        part = polygon_of(changed)
        if part is None or part.area - cost_m2 <= most or (r and len(changed[r]) < 3):
            continue
        if part.difference(shape).area <= GROWN_M2:
            best, most = part, part.area - cost_m2
    return best


def _without_stub(ring: np.ndarray, k: int) -> Iterator[tuple[np.ndarray, float]]:
    """Ways to lose the wall from point k to the next, with what each counts as a cost [m²]."""
    n = len(ring)
    before, start, end, after = (ring[(k + j) % n] for j in (-1, 0, 1, 2))
    lay = ((k - 1, end, start - before), (k + 1, start, after - end))
    for wall, point, along in lay:
        moved = lay_wall(ring, wall % n, point, along)
        if moved is not None:
            yield moved, 0.0
    corner = _meet(before, start - before, after, end - after)
    if corner is not None:
        joined = ring.copy()
        joined[k] = corner
        yield np.delete(joined, (k + 1) % n, axis=0), 0.0
    yield np.delete(ring, k, axis=0), BENT_M2
    yield np.delete(ring, (k + 1) % n, axis=0), BENT_M2
    yield np.delete(ring, [k, (k + 1) % n], axis=0), BENT_M2


def _without_tip(ring: np.ndarray, k: int) -> Iterator[tuple[np.ndarray, float]]:
    """Ways to cut off the corner at point k: a short wall across, or all up to a wall's end."""
    arms = np.stack([ring[k - 1] - ring[k], ring[(k + 1) % len(ring)] - ring[k]])
    length = np.hypot(*arms.T)
    half = np.radians(inner_deg(ring)[k] / 2)
    for reach in (TIP_M / (2 * max(np.sin(half), 1e-6)), float(length.min())):
        if reach <= length.min():
            tip = ring[k] + arms / length[:, None] * reach
            yield np.concatenate([ring[:k], tip, ring[k + 1 :]]), 0.0
    yield np.delete(ring, k, axis=0), 0.0


def _meet(
    point: np.ndarray, along: np.ndarray, other: np.ndarray, direction: np.ndarray
) -> np.ndarray | None:
    """Where two lines cross, or None where they are too nearly parallel."""
    size = np.hypot(*along) * np.hypot(*direction)
    turn = _cross(along, direction)
    if size < SAME_M**2 or abs(turn) < MEET_SINE * size:
        return None
    return point + along * (_cross(other - point, direction) / turn)


def _cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
