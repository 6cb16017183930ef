"""Outlines of a drawing as polygons: rings closed, lines joined, rings within rings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely

from fabricgen.errors import InputError
from fabricgen.exchange.repair import Record, Say, tell

CLOSE_M = 0.01  # between the ends of an outline that was meant to be closed
RING_POINTS = 4  # of the shortest ring, its end repeated


@dataclass(frozen=True, eq=False)
class Stroke:
    """One drawn line.

    Attributes:
        id: Of the feature, or the handle of the entity.
        cad_layer: Name of its layer in the drawing.
        xy: Its points, (N, 2). [m]
        closed: Drawn as a ring.
        said: Columns of the feature.
        ring: `outer` or `inner`, where the drawing tells it.
    """

    id: str
    cad_layer: str
    xy: np.ndarray
    closed: bool
    said: dict[str, Any] = field(default_factory=dict)
    ring: str = ""


def polygons(strokes: Sequence[Stroke], layer: str, say: Say) -> list[Record]:
    """The areas that the lines of one layer of a plan enclose.

    Args:
        strokes: All its lines.
        layer: Its name, for remarks.
        say: Hears of outlines that were closed or joined, and of rings within rings.

    Raises:
        InputError: A line that encloses nothing.
    """
    seen: dict[str, list[str]] = {
        f"open by less than {CLOSE_M * 1000:.0f} mm, closed": [], "joined from lines": [],
        "ring inside another, counted as its courtyard": [],
        "stands on another, cut out of it": [],
    }  # fmt: skip
    closed, near, joined, nested, stacked = [], *seen.values()
    loose = []
    for stroke in strokes:
        gap_m = float(np.hypot(*(stroke.xy[0] - stroke.xy[-1])))
        if not stroke.closed and gap_m > CLOSE_M:
            loose.append(stroke)
            continue
        if not stroke.closed and gap_m > 0:
            near.append(stroke.id)
        closed.append(stroke)
    whole = _placed([stroke for stroke in closed if stroke.ring])
    rings = [_record(stroke, ()) for stroke in closed if not stroke.ring]
    if loose:
        found = _joined(loose, layer)
        joined += [record["id"] for record in found]
        rings += found
    every = [*whole, *_nested(rings, nested, stacked)]
    tell(seen, layer, say)
    return every


def _ring(xy: np.ndarray) -> np.ndarray:
    """Points that end where they begin; those closer than `CLOSE_M` to the start are the start."""
    if np.hypot(*(xy[0] - xy[-1])) <= CLOSE_M and len(xy) > 1:
        xy = xy[:-1]
    ring = np.vstack([xy, xy[:1]])
    return ring if len(ring) >= RING_POINTS else np.vstack([ring, np.repeat(ring[-1:], 2, axis=0)])


def _placed(strokes: Sequence[Stroke]) -> list[Record]:
    """Features whose rings say whether they are outer or inner."""
    inner: dict[str, list[Stroke]] = {}
    for stroke in strokes:
        if stroke.ring == "inner":
            inner.setdefault(stroke.id, []).append(stroke)
    made = []
    for stroke in strokes:
        if stroke.ring == "inner":
            continue
        face = shapely.Polygon(_ring(stroke.xy))
        own = [one for one in inner.get(stroke.id, ()) if face.covers(shapely.Point(one.xy[0]))]
        made.append(_record(stroke, own))
    return made


def _record(outer: Stroke, inner: Sequence[Stroke]) -> Record:
    shape = shapely.Polygon(_ring(outer.xy), [_ring(one.xy) for one in inner])
    return {"id": outer.id, "cad_layer": outer.cad_layer, "geometry": shape, **outer.said}


def _joined(strokes: Sequence[Stroke], layer: str) -> list[Record]:
    """Polygons out of lines that meet end to end.

    Raises:
        InputError: A line is not part of any ring.
    """
    ends = np.array([point for stroke in strokes for point in (stroke.xy[0], stroke.xy[-1])])
    places = shapely.points(ends)
    first, second = shapely.STRtree(places).query(places, predicate="dwithin", distance=CLOSE_M)
    leader = np.arange(len(ends))
    np.minimum.at(leader, first, second)  # ends that meet share the first of their points
    lines = []
    for n, stroke in enumerate(strokes):
        xy = stroke.xy.copy()
        xy[0], xy[-1] = ends[leader[2 * n]], ends[leader[2 * n + 1]]
        lines.append(shapely.LineString(xy))
    found, cuts, dangles, invalid = shapely.polygonize_full(
        shapely.get_parts(shapely.union_all(lines))
    )
    left = [part for group in (cuts, dangles, invalid) for part in shapely.get_parts(group)]
    tree = shapely.STRtree(lines)
    if left or found.is_empty:
        row = int(tree.nearest(shapely.get_parts(left[0] if left else lines[0])[0]))
        raise InputError(
            f"{layer} {strokes[row].id}: its outline on {strokes[row].cad_layer} is open",
            "close it, or switch its layer off",
        )
    made = []
    for shape in shapely.get_parts(found):
        own = strokes[int(np.min(tree.query(shape, predicate="intersects")))]
        made.append({"id": own.id, "cad_layer": own.cad_layer, "geometry": shape, **own.said})
    return made


def _nested(records: list[Record], courts: list[str], stacked: list[str]) -> list[Record]:
    """Rings within rings of the same layer: courtyards, or higher parts on lower ones.

    Args:
        records: Polygons without holes.
        courts: Takes the ids of rings that became holes.
        stacked: Takes the ids of rings of another height, which were cut out of what is below.
    """
    shapes = np.array([record["geometry"] for record in records], dtype=object)
    if not len(shapes) or not shapely.is_valid(shapes).all():
        return records  # rings that cross themselves are told with their id later on
    outer, inner = shapely.STRtree(shapes).query(shapes, predicate="contains")
    areas = shapely.area(shapes)
    holders: dict[int, list[int]] = {}
    for one, other in zip(outer, inner, strict=True):
        same = records[one]["cad_layer"] == records[other]["cad_layer"]
        if one != other and same and areas[one] > areas[other]:
            holders.setdefault(int(other), []).append(int(one))
    holes: set[int] = set()
    for row in sorted(holders, key=lambda n: -areas[n]):
        holder = min(holders[row], key=lambda n: areas[n])
        alike = records[row].get("height_m") == records[holder].get("height_m")
        if holder in holes:
            continue  # a house in a courtyard
        shapes[holder] = shapely.difference(shapes[holder], records[row]["geometry"])
        (courts if alike else stacked).append(records[row]["id"])
        if alike:
            holes.add(row)
    return [
        {**record, "geometry": shape}
        for n, (record, shape) in enumerate(zip(records, shapes, strict=True))
        if n not in holes
    ]
