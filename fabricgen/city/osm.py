"""Reads an OpenStreetMap extract (`.osm.pbf`, `.osm`): areas, ways, points, all their tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import osmium
import shapely

from ..errors import FormatError
from . import tags
from .mapped import (
    Areas,
    Buildings,
    Crowns,
    Mapped,
    Origin,
    Streets,
    array_of,
    local_utm,
    polygons_of,
    reproject,
)

ORIGIN = ("ODbL 1.0", "© OpenStreetMap contributors, openstreetmap.org/copyright")
LAYERS = frozenset({"buildings", "streets", "green", "water", "paved", "trees"})
MIN_BUILDING_M2 = 4.0
MAX_EXTENT_DEG2 = 1.0  # about 6,000 km2 at 60 degrees north; beyond is a country, not a city
LEAST_RING = 3  # points of a ring, its end counted, that hold no area
LAST_LATITUDE_DEG = 84.0  # UTM ends here

Kept = dict[str, list[tuple[tags.Feature, bytes]]]
Relation = tuple[tags.Feature, list[tuple[int, bool]]]  # member ways, and whether each is inner


def read(path: Path) -> Mapped:
    """Reads an extract and projects it to the local UTM zone.

    Args:
        path: The file.

    Raises:
        FormatError: The file is missing, empty, cut short, or no OpenStreetMap data.
    """
    kept, dropped, lost = _collect(path)
    box = _header_box(path) or _box_of_features(kept, path)
    _check_box(box, path)
    crs = local_utm(*box)
    clip = reproject(array_of([shapely.segmentize(shapely.box(*box), 0.001)]), "EPSG:4326", crs)[0]

    buildings = _buildings(kept["building"], crs, dropped)
    if len(buildings.shape) == 0 and not kept["street"]:
        raise FormatError(f"{path.name}: holds no building and no street", "give a city extract")
    streets = kept["street"]
    shapes = _shapes(streets, crs)
    return Mapped(
        crs=crs,
        clip=clip,
        layers=LAYERS,
        buildings=buildings,
        parts=_buildings(kept["part"], crs, dropped),
        streets=Streets(
            shapes,
            np.array([feature.kind for feature, _ in streets], np.int64),
            np.array([feature.width_m for feature, _ in streets], np.float64),
            np.array([feature.lived_in for feature, _ in streets], bool),
        ),
        areas=_areas(kept["area"], crs, dropped),
        crowns=_crowns(kept["tree"] + kept["line"], crs),
        lost=reproject(lost, "EPSG:4326", crs),
        dropped=dropped,
        origin=Origin("OpenStreetMap", *ORIGIN, date=_date(path)),
    )


def _open(path: Path) -> osmium.io.Reader:
    if not path.is_file():
        raise FormatError(f"{path.name}: no such file", "give an extract such as city.osm.pbf")
    if path.stat().st_size == 0:
        raise FormatError(f"{path.name}: the file is empty", "download it again")
    try:
        return osmium.io.Reader(str(path))
    except RuntimeError as err:
        raise _unreadable(path, err) from err


def _unreadable(path: Path, err: RuntimeError) -> FormatError:
    return FormatError(
        f"{path.name}: not a whole OpenStreetMap file ({err})", "download it again as .osm.pbf"
    )


def _header_box(path: Path) -> tuple[float, float, float, float] | None:
    with _open(path) as reader:
        box = reader.header().box()
        if not box.valid() or box.size() <= 0:
            return None
        return box.bottom_left.lon, box.bottom_left.lat, box.top_right.lon, box.top_right.lat


def _date(path: Path) -> str:
    with _open(path) as reader:
        return reader.header().get("osmosis_replication_timestamp", "")[:10]


def _box_of_features(kept: Kept, path: Path) -> tuple[float, float, float, float]:
    """Without a box in the header: the box that holds the middle 99 % of buildings and streets."""
    blobs = [blob for role in ("building", "street") for _, blob in kept[role]]
    if not blobs:
        raise FormatError(f"{path.name}: holds no building and no street", "give a city extract")
    points = shapely.get_coordinates(shapely.centroid(shapely.from_wkb(array_of(blobs))))
    (west, south), (east, north) = np.quantile(points, [0.005, 0.995], axis=0)
    return float(west), float(south), float(east), float(north)


def _check_box(box: tuple[float, float, float, float], path: Path) -> None:
    west, south, east, north = box
    if max(abs(south), abs(north)) > LAST_LATITUDE_DEG:
        raise FormatError(f"{path.name}: reaches {max(abs(south), abs(north)):.1f} degrees "
                          "north or south, beyond UTM", "cut out a city")  # fmt: skip
    if (east - west) * (north - south) > MAX_EXTENT_DEG2:
        raise FormatError(
            f"{path.name}: covers {east - west:.1f} by {north - south:.1f} degrees, more than a "
            "city",
            "cut out a city first, e.g. with osmium extract",
        )


# --- the pass over the file ----------------------------------------------------------------------


def _collect(path: Path) -> tuple[Kept, Counter[str], np.ndarray]:
    """Every feature that tells something of the ground, as WKB in degrees.

    Returns:
        Features by role, counts of what was left out, and the hulls of buildings of which only a
        part is there, in degrees.
    """
    _open(path).close()
    kept: Kept = {role: [] for role in ("building", "part", "street", "area", "line", "tree")}
    dropped: Counter[str] = Counter()
    relations: dict[int, Relation] = {}
    assembled: set[int] = set()
    crossed: dict[int, tags.Feature] = {}
    factory = osmium.geom.WKBFactory()
    try:
        for thing in _things(path):
            if isinstance(thing, osmium.osm.Relation):
                _note_relation(thing, relations)
                continue
            if isinstance(thing, osmium.osm.Area):
                if thing.num_rings()[0] == 0:
                    _note_crossed(thing, crossed)
                    continue  # a ring that crosses itself, or ways that do not close: see below
                if not thing.from_way():
                    assembled.add(thing.orig_id())
            _keep(thing, factory, kept, dropped)
    except RuntimeError as err:
        raise _unreadable(path, err) from err

    torn = [found for number, found in relations.items() if number not in assembled]
    lines = _lines(path, {*crossed, *(way for _, members in torn for way, _ in members)})
    _mend_rings(crossed, lines, kept, dropped)
    return kept, dropped, _mend_relations(torn, lines, kept, dropped)


def _things(path: Path) -> osmium.FileProcessor:
    processor = osmium.FileProcessor(str(path)).with_areas()
    return processor.with_filter(osmium.filter.EmptyTagFilter())


def _note_relation(relation: osmium.osm.Relation, relations: dict[int, Relation]) -> None:
    """Remembers a multipolygon, to see whether its area turns up."""
    words = dict(relation.tags)
    if words.get("type") != "multipolygon":
        return
    feature = tags.surface_of(words, "area")
    if feature is not None and feature.role != "dropped":
        ways = [(m.ref, m.role == "inner") for m in relation.members if m.type == "w"]
        relations[relation.id] = (feature, ways)


def _note_crossed(area: osmium.osm.Area, crossed: dict[int, tags.Feature]) -> None:
    """Remembers a closed way that is no simple ring, if it tells something of the ground."""
    if not area.from_way():
        return
    feature = tags.surface_of(dict(area.tags), "area")
    if feature is not None and feature.role != "dropped":
        crossed[area.orig_id()] = feature


def _mend_rings(
    crossed: dict[int, tags.Feature],
    lines: Mapping[int, shapely.Geometry],
    kept: Kept,
    dropped: Counter[str],
) -> None:
    """Files rings that cross themselves, which the assembler leaves out; they are mended later."""
    for way, feature in crossed.items():
        if way in lines and shapely.get_num_points(lines[way]) > LEAST_RING:
            kept[feature.role].append((feature, shapely.to_wkb(shapely.Polygon(lines[way]))))
        else:
            dropped[f"{feature.role} with missing or repeated nodes"] += 1


def _mend_relations(
    torn: list[Relation], lines: Mapping[int, shapely.Geometry], kept: Kept, dropped: Counter[str]
) -> np.ndarray:
    """Files multipolygons whose rings close but cross or touch; hulls of other buildings, (N,)."""
    hulls = []
    for feature, members in torn:
        there = [(lines[way], inner) for way, inner in members if way in lines]
        face = _face(there) if len(there) == len(members) else None
        if face is not None:
            kept[feature.role].append((feature, shapely.to_wkb(face)))
            continue
        dropped[f"{feature.role} relation not complete"] += 1
        if feature.role == "building" and there:
            hulls.append(shapely.union_all([line for line, _ in there]).convex_hull)
    return array_of(hulls)


def _face(members: list[tuple[shapely.Geometry, bool]]) -> shapely.Geometry | None:
    """What outer ways hold and inner ways do not; None where the ways do not close."""
    ends = Counter(
        end for line, _ in members for end in (line.coords[0], line.coords[-1]) if not line.is_ring
    )
    if any(count % 2 for count in ends.values()):
        return None
    held = [
        shapely.union_all(
            shapely.get_parts(
                shapely.polygonize([shapely.union_all([x for x, hole in members if hole == inner])])
            )
        )
        for inner in (False, True)
    ]
    face = shapely.difference(*held)
    return face if face.area > 0 else None


def _keep(thing: Any, factory: osmium.geom.WKBFactory, kept: Kept, dropped: Counter[str]) -> None:
    """Files one object under its role, or counts why not."""
    words = dict(thing.tags)
    if isinstance(thing, osmium.osm.Area):
        if not thing.from_way():
            words["type"] = "multipolygon"  # a face by itself; the assembler drops this tag
        feature = tags.surface_of(words, "area")
    elif isinstance(thing, osmium.osm.Way):
        feature = tags.surface_of(words, "line")
        if feature is None:
            _count_lost_ring(thing, words, dropped)
    else:
        feature = tags.surface_of(words, "point")
    if feature is None:
        return
    if feature.role == "dropped":
        dropped[feature.why] += 1
        return
    try:
        if isinstance(thing, osmium.osm.Area):
            blob = factory.create_multipolygon(thing)
        elif isinstance(thing, osmium.osm.Way):
            blob = factory.create_linestring(thing)
        else:
            blob = factory.create_point(thing)
    except (osmium.InvalidLocationError, RuntimeError):
        dropped[f"{feature.role} with missing or repeated nodes"] += 1
        return
    kept[feature.role].append((feature, bytes.fromhex(blob)))


def _count_lost_ring(way: osmium.osm.Way, words: dict[str, str], dropped: Counter[str]) -> None:
    """Counts a building that has lost a part of its ring, and a ring of two points.

    The assembler passes over both without a word.
    """
    if not way.is_closed():
        if "building" in words or "building:part" in words:
            dropped["building whose ring is not closed"] += 1
    elif len(way.nodes) <= LEAST_RING:
        feature = tags.surface_of(words, "area")
        if feature is not None and feature.role != "dropped":
            dropped[f"{feature.role} without area"] += 1


def _lines(path: Path, ways: set[int]) -> dict[int, shapely.Geometry]:
    """Some ways as lines in degrees, by their number; those that lack nodes are left out."""
    found: dict[int, shapely.Geometry] = {}
    if not ways:
        return found
    factory = osmium.geom.WKBFactory()
    some = osmium.filter.IdFilter(ways)
    some.enable_for(osmium.osm.WAY)
    things = osmium.FileProcessor(str(path), osmium.osm.NODE | osmium.osm.WAY).with_locations()
    for way in things.with_filter(some):
        if not isinstance(way, osmium.osm.Way) or way.id not in ways:
            continue
        try:
            found[way.id] = shapely.from_wkb(bytes.fromhex(factory.create_linestring(way)))
        except (osmium.InvalidLocationError, RuntimeError):
            continue  # the caller counts what is missing
    return found


# --- from WKB to arrays --------------------------------------------------------------------------


def _shapes(items: list[tuple[tags.Feature, bytes]], crs: str) -> np.ndarray:
    shapes = shapely.from_wkb(array_of([blob for _, blob in items]))
    return reproject(np.asarray(shapes, object), "EPSG:4326", crs)


def _buildings(
    items: list[tuple[tags.Feature, bytes]], crs: str, dropped: Counter[str]
) -> Buildings:
    shapes, good = polygons_of(_shapes(items, crs))
    small = good & (shapely.area(shapes) < MIN_BUILDING_M2)
    dropped["building without area"] += int((~good).sum())
    dropped["building under 4 m2"] += int(small.sum())
    dropped["height tag that cannot be"] += sum(feature.tall.contradicts for feature, _ in items)
    return Buildings(
        shapes,
        np.array([feature.tall.height_m for feature, _ in items], np.float64),
        np.array([feature.tall.floors for feature, _ in items], np.float64),
        array_of([feature.use for feature, _ in items]),
    ).take(good & ~small)


def _areas(items: list[tuple[tags.Feature, bytes]], crs: str, dropped: Counter[str]) -> Areas:
    shapes, good = polygons_of(_shapes(items, crs))
    dropped["area without area"] += int((~good).sum())
    bits = np.array([feature.bits for feature, _ in items], np.uint8)
    return Areas(shapes[good], bits[good])


def _crowns(items: list[tuple[tags.Feature, bytes]], crs: str) -> Crowns:
    return Crowns(
        _shapes(items, crs),
        np.array([feature.bits for feature, _ in items], np.uint8),
        np.array([feature.width_m for feature, _ in items], np.float64),
        np.array([feature.tall.height_m for feature, _ in items], np.float64),
    )
