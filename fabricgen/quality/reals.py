"""Real plans of a site: as mapped, and through the same drawing as generated ones.

Comparing mapped polygons with drawn ones would judge the drawing. A real plan therefore goes the
way of a generated one: boxes, center lines and ground of 2 m, drawn clean. What that alone changes
is a figure of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from fabricgen.city.ingest import read
from fabricgen.city.mapped import Mapped
from fabricgen.city.window import Window
from fabricgen.design.conditions import cut_streets
from fabricgen.form.indicators import STOREY_M
from fabricgen.plan import Plan, areas_of, empty_plan, layer
from fabricgen.quality.places import Place, boxes_inside
from fabricgen.surfaces import (
    BARE,
    BIT,
    GRASS,
    PAVED,
    ROAD_KINDS,
    SHRUB,
    SURFACES,
    TREE,
    WATER,
)
from fabricgen.vectorize import vectorize
from fabricgen.vectorize.drawing import to_world

LAYER_OF = {TREE: "green", SHRUB: "green", GRASS: "green", PAVED: "paved", WATER: "water"}


@dataclass(frozen=True, eq=False)
class Extract:
    """A city as mapped, ready to be searched."""

    mapped: Mapped

    @classmethod
    def open(cls, path: Path) -> Extract:
        """Reads an OpenStreetMap extract, a GeoPackage, or a folder of layers."""
        return cls(read(path))

    @cached_property
    def _trees(self) -> dict[str, shapely.STRtree]:
        m = self.mapped
        tables = {"buildings": m.buildings, "streets": m.streets, "areas": m.areas}
        tables |= {"crowns": m.crowns}
        return {name: shapely.STRtree(table.shape) for name, table in tables.items()}

    def near(self, name: str, shape: BaseGeometry) -> np.ndarray:
        """Numbers of the features of a table that touch a shape, in order."""
        return np.sort(self._trees[name].query(shape, predicate="intersects"))


def mapped_plan(extract: Extract, site: BaseGeometry) -> Plan:
    """What is mapped on a site, clipped to it: true footprints, lines, faces and crowns.

    Ground of which the source does not say which of several surfaces it is stays bare, and so
    does a carriageway that is drawn as a face and not as a line.
    """
    m = extract.mapped
    rows: dict[str, list[dict]] = {name: [] for name in ("buildings", "roads", "trees")}
    rows |= {"green": [], "paved": [], "water": []}

    for n in extract.near("buildings", site):
        height_m = m.buildings.height_m[n]
        if np.isnan(height_m):
            height_m = m.buildings.floors[n] * STOREY_M
        told = {"height_m": height_m, "floors": m.buildings.floors[n], "use": m.buildings.use[n]}
        rows["buildings"] += [told | {"geometry": p} for p in _faces(m.buildings.shape[n], site)]
    for n in extract.near("streets", site):
        told = {"kind": ROAD_KINDS[m.streets.kind[n]], "width_m": m.streets.width_m[n]}
        rows["roads"] += [told | {"geometry": p} for p in _lines(m.streets.shape[n], site)]
    for n in extract.near("areas", site):
        surface = _single(int(m.areas.bits[n]))
        if surface in LAYER_OF:
            told = {"kind": SURFACES[surface]}
            faces = _faces(m.areas.shape[n], site)
            rows[LAYER_OF[surface]] += [told | {"geometry": p} for p in faces]
    for n in extract.near("crowns", site):
        _add_crown(m, int(n), site, rows)
    layers = {name: layer(name, m.crs, _numbered(some)) for name, some in rows.items()}
    return Plan(site, m.crs, **layers)


def _add_crown(m: Mapped, n: int, site: BaseGeometry, rows: dict[str, list[dict]]) -> None:
    shape, width_m = m.crowns.shape[n], float(m.crowns.width_m[n])
    surface = _single(int(m.crowns.bits[n]))
    if surface == TREE and shape.geom_type == "Point":
        told = {"crown_m": width_m, "height_m": m.crowns.height_m[n], "geometry": shape}
        rows["trees"].append(told)
    elif surface in (TREE, SHRUB):
        faces = _faces(shape.buffer(width_m / 2), site)
        rows["green"] += [{"kind": SURFACES[surface], "geometry": p} for p in faces]


def drawn_real(place: Place) -> Plan:
    """What stands on a site, drawn as a generated plan is drawn; unknown ground is bare."""
    return pasted_real(place, place.tile, place.coarse)


def pasted_real(place: Place, tile: Window, coarse: Window) -> Plan:
    """What stands in a window of 256 m, drawn on a site as if it lay there.

    Args:
        place: The site.
        tile: Whose buildings, by their middles, and streets are taken.
        coarse: The same in the model's pixels, for the ground.
    """
    ground = np.full(coarse.labels.shape, BARE, np.uint8)
    for surface, bit in enumerate(BIT):
        ground[coarse.labels == bit] = surface
    return vectorize(
        boxes=boxes_inside(place, tile),
        segments=tile.segments,
        ground=ground,
        frame=place.coarse.frame,
        site=place.site.boundary,
        context_segments=streets_around(place),
    )


def streets_around(place: Place) -> np.ndarray:
    """Street pieces of the tile without what lies on the site, (M, 6)."""
    return cut_streets(place.tile.segments, replace(place.site, frame=place.tile.frame))


def surroundings(place: Place) -> Plan:
    """The streets around a site as a plan of their own."""
    frame = place.tile.frame
    rows = [
        {
            "geometry": to_world(shapely.LineString(row[:4].reshape(2, 2)), frame),
            "kind": ROAD_KINDS[int(row[5])],
            "width_m": float(row[4]),
        }
        for row in streets_around(place).astype(np.float64)
    ]
    outline = shapely.box(0, 0, frame.cols * frame.pixel_m, frame.rows * frame.pixel_m)
    empty = empty_plan(to_world(outline, frame), frame.crs)
    return replace(empty, roads=layer("roads", frame.crs, _numbered(rows)))


def _faces(shape: BaseGeometry, site: BaseGeometry) -> list[BaseGeometry]:
    parts = shapely.get_parts(areas_of(shapely.intersection(shape, site)))
    return [part for part in parts if part.geom_type == "Polygon" and part.area > 0]


def _lines(shape: BaseGeometry, site: BaseGeometry) -> list[BaseGeometry]:
    parts = shapely.get_parts(shapely.intersection(shape, site))
    return [part for part in parts if part.geom_type == "LineString" and part.length > 0]


def _single(bits: int) -> int | None:
    """The surface of a byte that names one alone."""
    return BIT.index(bits) if bits in BIT else None


def _numbered(rows: list[dict]) -> list[dict]:
    return [row | {"id": str(n), "source": "map"} for n, row in enumerate(rows, start=1)]
