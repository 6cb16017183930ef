"""From boxes to footprints: straight walls, party walls that meet, nothing on a street.

The order matters. Boxes are turned and snapped while they are still rectangles; only what is then
left in the way of a street, the site's edge or a larger building is cut off, by a straight line
across the box where that costs little, along the obstacle's own line where it does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from fabricgen.vectorize.neighbors import fit_neighbors
from fabricgen.vectorize.rectangles import canonical, polygons, settle_angles, snap_edges
from fabricgen.vectorize.settings import DrawSettings
from fabricgen.vectorize.walls import notches, opened, parts, tidy, valid

GRID_M = 1e-5  # footprints are unions on this grid, so that equal walls are one wall
INSIDE_M = 0.01  # walls keep this much off the site's edge; far below what a plan shows
SQUARE_SHARE = 0.8  # a straight cut across the box is taken if it keeps this much of a true cut
SPUR_M = 2.0  # spikes and wings thinner than this are cleaned away
SLIT_M = 1.2  # slits thinner than this between the wings of a building close
VISIBLE_M2 = 0.2  # smaller slits are not worth new corners
RIM_M = 0.1  # how near a wall counts as shared
NOTHING_M2 = 1e-6  # what a box loses below this is rounding
CLASH_M2 = 1e-3  # so is an overlap below this, along a wall that the grid moved


@dataclass(frozen=True)
class Footprint:
    """One building in frame coordinates."""

    shape: Polygon
    floors: int


def draw_buildings(
    boxes: np.ndarray,
    *,
    obstacles: Sequence[BaseGeometry],
    lines: np.ndarray,
    site: BaseGeometry,
    settings: DrawSettings,
) -> list[Footprint]:
    """Footprints of the buildings that boxes describe.

    Args:
        boxes: Store rows (N, 7) in frame coordinates.
        obstacles: What no wall may stand on: carriageways and paths with their setback.
        lines: Straight pieces of streets (K, 4), along which walls turn.
        site: The site in frame coordinates.
        settings: What counts as clean.

    Returns:
        Disjoint footprints inside the site, off every obstacle, largest first.
    """
    boxes = canonical(boxes)
    if len(boxes) == 0:
        return []
    boxes = snap_edges(settle_angles(boxes, settings, lines), settings)
    boxes = boxes[np.argsort(-_building_area(boxes), kind="stable")]
    fixed = shapely.STRtree([*_around(site, INSIDE_M), *obstacles])
    pieces = _cut_pieces(boxes, _outlines(boxes, site, settings), fixed, settings)
    floors = _floors(boxes, settings)
    drawn: list[Footprint] = []
    for building in dict.fromkeys(boxes[:, 6]):
        rows = np.flatnonzero(boxes[:, 6] == building)
        kept = {k: piece for k in rows if (piece := pieces[k]) is not None}
        if kept:
            areas = shapely.area(list(kept.values()))
            storeys = max(1, round(float(np.average(floors[list(kept)], weights=areas))))
            shape = _close_slits(list(kept.values()), fixed)
            drawn += [Footprint(part, storeys) for part in clean_footprint(shape, settings)]
    drawn = _disjoint(drawn, settings)
    shapes = fit_neighbors([footprint.shape for footprint in drawn], fixed, settings)
    drawn = [
        replace(footprint, shape=shape) for footprint, shape in zip(drawn, shapes, strict=True)
    ]
    return _absorb(drawn, settings)


def clean_footprint(shape: BaseGeometry, settings: DrawSettings) -> list[Polygon]:
    """Parts of a footprint that are buildings: no spikes, tiny courts, stubs or needless points."""
    shape = shapely.intersection(opened(shape, SPUR_M), shape, grid_size=GRID_M)
    drawn = []
    for part in parts(shape):
        if part.area >= settings.min_building_m2:
            tidied = tidy(_without_dents(part, settings))
            if tidied is not None and _is_building(tidied, settings):
                drawn.append(tidied)
    return drawn


def _is_building(shape: Polygon, settings: DrawSettings) -> bool:
    return (
        shape.area >= settings.min_building_m2
        and not shape.buffer(-settings.min_width_m / 2, join_style="mitre").is_empty
    )


def _building_area(boxes: np.ndarray) -> np.ndarray:
    """Summed box area of each box's building, (N,)."""
    _, number = np.unique(boxes[:, 6], return_inverse=True)
    return np.bincount(number, boxes[:, 2] * boxes[:, 3])[number]


def _floors(boxes: np.ndarray, settings: DrawSettings) -> np.ndarray:
    """Storeys of each box; a box that does not know takes the median of those that do."""
    known = boxes[:, 5][np.isfinite(boxes[:, 5])]
    fallback = np.median(known) if len(known) else settings.default_floors
    return np.where(np.isfinite(boxes[:, 5]), boxes[:, 5], fallback)


def _around(site: BaseGeometry, margin_m: float) -> list[Polygon]:
    """What lies outside the site or within a margin of its edge, as far as boxes may reach."""
    outside = shapely.box(*site.bounds).buffer(300.0, join_style="mitre")
    return parts(outside.difference(site.buffer(-margin_m, join_style="mitre")))


def _outlines(boxes: np.ndarray, site: BaseGeometry, settings: DrawSettings) -> np.ndarray:
    """Boxes as polygons; those that reach far over the site's edge step back from it.

    A wall a little over the edge stays a party wall on it; one cut off further in would show.
    """
    shapes = polygons(boxes)
    margin = shapely.union_all(_around(site, settings.edge_gap_m))
    reach = site.buffer(settings.snap_m, join_style="mitre")
    for k in np.flatnonzero(~shapely.covers(reach, shapes)):
        cut = _cut(shapes[k], float(boxes[k, 4]), [margin], settings.keep_share)
        shapes[k] = cut if cut is not None else Polygon()
    return shapes


def _cut_pieces(
    boxes: np.ndarray, shapes: np.ndarray, fixed: shapely.STRtree, settings: DrawSettings
) -> list[Polygon | None]:
    """Each box without what is in its way, None where too little is left; largest go first."""
    tree = shapely.STRtree(shapes)
    placed: list[Polygon | None] = []
    for k, shape in enumerate(shapes):
        if shape.is_empty:
            placed.append(None)
            continue
        others = [
            placed[j]
            for j in sorted(tree.query(shape, predicate="intersects"))
            if j < k and boxes[j, 6] != boxes[k, 6] and placed[j] is not None
        ]
        blocked = [fixed.geometries[j] for j in sorted(fixed.query(shape, predicate="intersects"))]
        placed.append(_cut(shape, float(boxes[k, 4]), blocked + others, settings.keep_share))
    return placed


def _cut(
    shape: Polygon, angle: float, obstacles: Sequence[BaseGeometry], keep_share: float
) -> Polygon | None:
    inside = [shape.intersection(obstacle) for obstacle in obstacles]
    inside = [part for part in inside if part.area > NOTHING_M2]
    if not inside:
        return shape
    left = max(
        parts(shape.difference(shapely.union_all(inside))), key=lambda p: p.area, default=None
    )
    if left is None or left.area < keep_share * shape.area:
        return None
    square = _cut_square(shape, angle, inside)
    if square is not None and square.area >= SQUARE_SHARE * left.area:
        return square
    return left


def _cut_square(shape: Polygon, angle: float, obstacles: Sequence[BaseGeometry]) -> Polygon | None:
    """The box cut by lines along its own walls until no obstacle is left in it."""
    cos, sin = np.cos(angle), np.sin(angle)
    to_local = np.array([[cos, -sin], [sin, cos]])  # (x, y) = (u, v) @ to_local
    local = shapely.get_coordinates(shape) @ to_local
    low, high = local.min(axis=0), local.max(axis=0)
    if np.prod(high - low) > shape.area * (1 + 1e-6):
        return None  # cut along an obstacle before, so no rectangle any more
    for obstacle in sorted((p for o in obstacles for p in parts(o)), key=lambda p: -p.area):
        points = shapely.get_coordinates(obstacle) @ to_local
        start, end = np.maximum(points.min(axis=0), low), np.minimum(points.max(axis=0), high)
        if np.any(end - start < 1e-9):
            continue
        # Four ways to step back; take the one that loses least.
        size = high - low
        lost = np.concatenate([(end - low) / size, (high - start) / size])
        side = int(lost.argmin())
        if side < 2:
            low[side] = end[side]
        else:
            high[side - 2] = start[side - 2]
        if np.any(high - low < 1e-6):
            return None
    ring = np.array([(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])])
    return Polygon(ring @ to_local.T)


def _close_slits(pieces: Sequence[Polygon], fixed: shapely.STRtree) -> BaseGeometry:
    """One building's pieces as one shape; slits between its wings close if nothing is in them."""
    shape = shapely.union_all(pieces, grid_size=GRID_M)
    closed = shape.buffer(SLIT_M / 2, join_style="mitre").buffer(-SLIT_M / 2, join_style="mitre")
    wedges = [wedge for part in parts(shape) for wedge in notches(part)]
    slits = [slit for slit in parts(valid(closed).difference(shape)) if slit.area >= VISIBLE_M2]
    free = [
        slit
        for slit in [*slits, *wedges]
        if shapely.area(
            shapely.intersection(fixed.geometries[fixed.query(slit, predicate="intersects")], slit)
        ).sum()
        <= NOTHING_M2
    ]
    return shapely.union_all([shape, *free], grid_size=GRID_M) if free else shape


def _without_dents(shape: Polygon, settings: DrawSettings) -> Polygon:
    """The outline without the tiny holes, and none that touches another ring in a point."""
    holes = [ring for ring in shape.interiors if Polygon(ring).area >= settings.min_court_m2]
    filled = Polygon(shape.exterior, holes)
    # A tiny hole on the outline is no court but ground that was cut away there, say for a street.
    cuts = [
        Polygon(ring)
        for ring in shape.interiors
        if Polygon(ring).area < settings.min_court_m2 and ring.intersects(shape.exterior)
    ]
    if cuts:
        left = parts(valid(filled).difference(shapely.union_all(cuts)))
        filled = max(left, key=lambda part: part.area, default=filled)
    return filled


def _disjoint(footprints: list[Footprint], settings: DrawSettings) -> list[Footprint]:
    """Largest first, each without what an earlier one covers."""
    ordered = sorted(footprints, key=lambda f: (-f.shape.area, f.shape.bounds))
    tree = shapely.STRtree([f.shape for f in ordered])
    kept: dict[int, list[Polygon]] = {}
    for k, footprint in enumerate(ordered):
        earlier = [p for j in tree.query(footprint.shape) if j < k for p in kept[j]]
        clash = [p for p in earlier if p.intersection(footprint.shape).area > CLASH_M2]
        left = footprint.shape.difference(shapely.union_all(clash)) if clash else footprint.shape
        kept[k] = clean_footprint(left, settings) if clash else [footprint.shape]
    return [Footprint(part, ordered[k].floors) for k, shapes in kept.items() for part in shapes]


def _absorb(footprints: list[Footprint], settings: DrawSettings) -> list[Footprint]:
    """Annexes become wings of the building they lean on; sheds that stand alone stay low."""
    shapes = [footprint.shape for footprint in footprints]
    tree = shapely.STRtree(shapes)
    gone: set[int] = set()
    small = [
        k
        for k, shape in enumerate(shapes)
        if shape.area < settings.annex_m2 or narrow_m(shape) < settings.annex_width_m
    ]
    for k in sorted(small, key=lambda k: shapes[k].area):
        rim = shapes[k].buffer(RIM_M, join_style="mitre")
        hosts = [
            j
            for j in sorted(tree.query(rim, predicate="intersects"))
            if j != k and j not in gone and shapes[j].area > shapes[k].area
        ]
        contact_m = {j: rim.intersection(shapes[j]).area / RIM_M for j in hosts}
        host = max(contact_m, key=lambda j: contact_m[j], default=None)
        if host is None or contact_m[host] < settings.min_width_m:
            continue
        joined = parts(shapely.union_all([shapes[host], shapes[k]], grid_size=GRID_M))
        whole = clean_footprint(joined[0], settings) if len(joined) == 1 else []
        if len(whole) == 1:
            shapes[host] = whole[0]
            gone.add(k)
    return _disjoint(
        [
            Footprint(shapes[k], min(footprint.floors, _most_floors(shapes[k], settings)))
            for k, footprint in enumerate(footprints)
            if k not in gone
        ],
        settings,
    )


def _most_floors(shape: Polygon, settings: DrawSettings) -> int:
    """Storeys above which a footprint would carry a needle."""
    # Footprints lie on a grid, which may have cost a hair of their width.
    width_m = narrow_m(shape) + 2 * GRID_M
    return max(1, int(width_m * settings.slenderness / settings.storey_m))


def narrow_m(shape: Polygon) -> float:
    """Shorter side of the rectangle around a shape."""
    ring = shapely.get_coordinates(shapely.oriented_envelope(shape))
    return float(np.hypot(*np.diff(ring, axis=0).T)[:2].min()) if len(ring) > 3 else 0.0
