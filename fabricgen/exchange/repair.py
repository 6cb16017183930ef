"""Geometry as a plan wants it: flat, whole, single, on the site. What is changed is told by id."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from fabricgen.errors import InputError
from fabricgen.plan import OVERLAP_M2

Say = Callable[[str], None]
Record = dict[str, Any]  # a feature: its columns and `geometry`

DIMENSION = {"site": 2, "buildings": 2, "roads": 1, "paved": 2, "water": 2, "green": 2, "trees": 0}
NAMES = ("points", "lines", "polygons")
SAFE_SHARE = 0.01  # of an area; a repair that changes more is left to the author
NEAR_M = 0.05  # beyond the site, as in `check_plan`
FAR_M = 10_000.0  # from the site: a wrong coordinate system, not a neighbor
MAX_CROSSINGS = 2000  # of a shape with itself; beyond, repairs take minutes and mean nothing
SAMPLED_EDGES = 1000  # by which they are counted
MIN_STREET_M = 1.0  # of a street that is narrowed to the houses beside it
SHOWN = 5  # ids in a remark


def listed(ids: Sequence[str]) -> str:
    """Ids for a remark: the first few and how many more."""
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return ", ".join(ids[:SHOWN]) + more


def tell(remarks: Mapping[str, Sequence[str]], layer: str, say: Say) -> None:
    """Says what was done to which features of a layer."""
    for what, ids in remarks.items():
        if ids:
            say(f"{layer} {listed(ids)}: {what}")


def tidy(records: Iterable[Record], layer: str, say: Say) -> list[Record]:
    """Features in the form of a layer: flat, valid, single.

    Args:
        records: Features of one layer of a file.
        layer: Of a plan; says whether points, lines or polygons are wanted.
        say: Hears what was changed or left out.

    Raises:
        InputError: A feature is of another kind, or crosses itself so that it can be read in
            several ways.
    """
    seen: dict[str, list[str]] = {
        "empty, left out": [], "Z and M dropped": [], "drawn as a closed line, filled": [],
        "drawn as an area, its middle taken": [], "crossed itself, repaired": [],
        "in several parts, split": [],
    }  # fmt: skip
    made: list[Record] = []
    for record in records:
        shape, name = record["geometry"], record["id"]
        if shape is None or shape.is_empty or _is_dot(shape):
            seen["empty, left out"].append(name)
            continue
        if shapely.has_z(shape) or shapely.has_m(shape):
            seen["Z and M dropped"].append(name)
            shape = shapely.force_2d(shape)
        if not np.isfinite(shapely.get_coordinates(shape)).all():
            raise InputError(f"{layer} {name}: a coordinate is no number", "redraw it")
        shape, what = _fitted(shape, layer)
        if what:
            seen[what].append(name)
        if not shape.is_valid:
            shape = _mended(shape, f"{layer} {name}")
            seen["crossed itself, repaired"].append(name)
        parts = _parts(shape, layer, name)
        if not parts:
            seen["empty, left out"].append(name)
        elif layer != "site" and len(parts) > 1:
            seen["in several parts, split"].append(name)
        made += _numbered(record, parts)
    tell(seen, layer, say)
    return made


def _fitted(shape: BaseGeometry, layer: str) -> tuple[BaseGeometry, str]:
    """A shape of the dimension that a layer wants where it can be had safely, and what was done."""
    dimension = shapely.get_dimensions(shape)
    if DIMENSION[layer] == 2 and dimension == 1:
        lines = shapely.get_parts(shape)
        if (shapely.get_num_points(lines) > 3).all() and shapely.is_closed(lines).all():
            areas = [shapely.Polygon(line) for line in lines]
            made = areas[0] if len(areas) == 1 else shapely.MultiPolygon(areas)
            return made, "drawn as a closed line, filled"
    if layer == "trees" and dimension == 2:
        return shapely.centroid(shape), "drawn as an area, its middle taken"
    return shape, ""


def _is_dot(shape: BaseGeometry) -> bool:
    """A line or an area that is no longer than a point."""
    return shapely.get_dimensions(shape) > 0 and shape.length == 0


def _mended(shape: BaseGeometry, name: str) -> BaseGeometry:
    """A shape that does not cross itself, where every rule of repair reads it alike.

    Raises:
        InputError: The rules differ, or it crosses itself too often to be meant.
    """
    if shapely.get_dimensions(shape) < 2:
        return shapely.make_valid(shape)
    crossings = _crossings(shape)
    if crossings > MAX_CROSSINGS:
        raise InputError(f"{name}: crosses itself about {crossings:,.0f} times", "redraw it")
    lines = shapely.make_valid(shape)
    areas = shapely.make_valid(shape, method="structure", keep_collapsed=False)
    apart = shapely.symmetric_difference(shapely.buffer(lines, 0), areas).area
    if apart > SAFE_SHARE * max(areas.area, OVERLAP_M2):
        raise InputError(f"{name}: crosses itself and can be read in several ways", "redraw it")
    return areas


def _crossings(shape: BaseGeometry) -> float:
    """About how often a shape crosses itself, from a sample of its edges."""
    rings = shapely.get_parts(shapely.boundary(shape))
    edges = np.concatenate([
        np.stack([xy[:-1], xy[1:]], axis=1) for xy in map(shapely.get_coordinates, rings)
    ])  # (N, 2, 2)  # fmt: skip
    lines = shapely.linestrings(edges)
    step = max(1, len(lines) // SAMPLED_EDGES)
    met = shapely.STRtree(lines).query(lines[::step], predicate="crosses")
    return met.shape[1] * step / 2


def _parts(shape: BaseGeometry, layer: str, name: str) -> list[BaseGeometry]:
    """The single parts of the dimension that a layer wants."""
    wanted = DIMENSION[layer]
    parts = shapely.get_parts(shapely.get_parts(shape))  # collections may hold multiparts
    found = [part for part in parts if shapely.get_dimensions(part) == wanted]
    if not found and len(parts):
        raise InputError(f"{layer} {name}: is a {shape.geom_type}", f"give {NAMES[wanted]}")
    return [part for part in found if wanted == 0 or part.length > 0]


def _numbered(record: Record, parts: Sequence[BaseGeometry]) -> list[Record]:
    """A feature for each part, `ID.1`, `ID.2` … where there are several."""
    if len(parts) == 1:
        return [{**record, "geometry": parts[0]}]
    name = record["id"]
    return [
        {**record, "id": f"{name}.{n}", "geometry": part} for n, part in enumerate(parts, start=1)
    ]


def once(records: Iterable[Record], layer: str, say: Say) -> list[Record]:
    """Each geometry once, each id once."""
    seen: dict[str, list[str]] = {"drawn twice, left out": [], "same id again, numbered": []}
    shapes: set[bytes] = set()
    taken: set[str] = set()
    made = []
    for record in records:
        key = shapely.to_wkb(shapely.normalize(record["geometry"]))
        if key in shapes:
            seen["drawn twice, left out"].append(record["id"])
            continue
        shapes.add(key)
        name = record["id"]
        if name in taken:
            seen["same id again, numbered"].append(name)
            name = next(f"{name}-{n}" for n in range(2, 10**9) if f"{name}-{n}" not in taken)
        taken.add(name)
        made.append({**record, "id": name})
    tell(seen, layer, say)
    return made


def clip(records: Sequence[Record], layer: str, site: BaseGeometry, *, say: Say) -> list[Record]:
    """Features cut at the edge of the site; those beyond it are left out.

    Raises:
        InputError: A feature lies so far away that its coordinate system must be wrong.
    """
    seen: dict[str, list[str]] = {"outside the site, left out": [], "cut at the site's edge": []}
    near = site.buffer(NEAR_M)
    shapely.prepare(near)
    made: list[Record] = []
    for record in records:
        shape, name = record["geometry"], record["id"]
        if near.covers(shape):
            made.append(record)
            continue
        far_m = site.distance(shape)
        if far_m > FAR_M:
            raise InputError(
                f"{layer} {name}: lies {far_m / 1000:,.0f} km from the site",
                "its coordinate system, or the order of its axes, is wrong",
            )
        left = _pieces(shapely.intersection(shape, site), layer)
        seen["cut at the site's edge" if left else "outside the site, left out"].append(name)
        made += _numbered(record, left)
    tell(seen, layer, say)
    return made


def _pieces(shape: BaseGeometry, layer: str) -> list[BaseGeometry]:
    """What a cut leaves, without its dust."""
    wanted = DIMENSION[layer]
    parts = [part for part in shapely.get_parts(shape) if shapely.get_dimensions(part) == wanted]
    return [
        part for part in parts
        if (wanted == 2 and part.area > OVERLAP_M2) or (wanted == 1 and part.length > NEAR_M)
        or (wanted == 0 and not part.is_empty)
    ]  # fmt: skip


def narrowed(records: Sequence[Record], houses: np.ndarray, say: Say) -> list[Record]:
    """Streets whose width nobody gave, narrowed where a house stands in the usual one.

    Args:
        records: Center lines with `width_m`, and `guessed` where that is the usual one.
        houses: Polygons.
        say: Hears which were narrowed.
    """
    rows = [n for n, record in enumerate(records) if record["guessed"]]
    if not len(houses) or not rows:
        return list(records)
    made, cut = list(records), []
    lines = [records[n]["geometry"] for n in rows]
    pairs, near_m = shapely.STRtree(houses).query_nearest(
        lines, return_distance=True, all_matches=False
    )
    for line, distance_m in zip(pairs[0], near_m, strict=True):
        record = records[rows[line]]
        room_m = 2 * float(distance_m)
        if MIN_STREET_M <= room_m < record["width_m"]:
            made[rows[line]] = {**record, "width_m": room_m}
            cut.append(record["id"])
    tell({"narrowed, a house stands in the usual width": cut}, "roads", say)
    return made


def part_overlaps(
    records: Sequence[Record], layer: str, *, rank: Callable[[Record], int], share: float, say: Say
) -> list[Record]:
    """Overlaps cut out of the lower of two features.

    Args:
        records: Polygons.
        layer: Their layer.
        rank: The higher of two keeps its shape; of equals, the earlier.
        share: Overlaps of at most this part of the smaller one are cut, larger ones left.
        say: Hears what was cut.
    """
    shapes = np.array([record["geometry"] for record in records], dtype=object)
    areas = shapely.area(shapes)
    first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    cut: list[str] = []
    for one, other in zip(first, second, strict=True):
        keeps = (-rank(records[one]), one) < (-rank(records[other]), other)
        if one == other or not keeps:
            continue
        overlap = shapely.intersection(shapes[one], shapes[other]).area
        if OVERLAP_M2 < overlap <= share * min(areas[one], areas[other]) * (1 + 1e-9):
            shapes[other] = shapely.difference(shapes[other], shapes[one])
            cut.append(records[other]["id"])
    made = []
    for record, shape in zip(records, shapes, strict=True):
        whole = shape is record["geometry"]
        made += [record] if whole else _numbered(record, _pieces(shape, layer))
    tell({"overlap cut out": list(dict.fromkeys(cut))}, layer, say)
    return made
