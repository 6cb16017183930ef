"""Small worlds made by code: an OSM file with known things in it, and a city of GeoParquet layers."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import osmium
import pandas as pd
import shapely
from pyproj import Transformer

CRS = "EPSG:32635"
CENTRE = (386000.0, 6672000.0)  # in Helsinki
SIDE_M = 600.0


class OsmFile:
    """Writes things given in meters around CENTRE to an OSM file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.nodes, self.ways, self.relations = [], [], []
        self._to_degrees = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)
        self._known = {}

    def node(self, x: float, y: float, **tags) -> int:
        key = (x, y)
        if key in self._known and not tags:
            return self._known[key]
        number = len(self.nodes) + 1
        lon, lat = self._to_degrees.transform(CENTRE[0] + x, CENTRE[1] + y)
        self.nodes.append(
            osmium.osm.mutable.Node(id=number, location=(lon, lat), tags=colons(tags))
        )
        if not tags:
            self._known[key] = number
        return number

    def way(self, points, *, closed=False, tags=None) -> int:
        refs = [self.node(*point) for point in points]
        refs += refs[:1] if closed else []
        number = len(self.ways) + 1
        self.ways.append(osmium.osm.mutable.Way(id=number, nodes=refs, tags=tags or {}))
        return number

    def box(self, x, y, width, depth, **tags) -> int:
        corners = [(x, y), (x + width, y), (x + width, y + depth), (x, y + depth)]
        return self.way(corners, closed=True, tags=colons(tags))

    def relation(self, members, **tags) -> None:
        number = len(self.relations) + 1
        tags = {"type": "multipolygon"} | colons(tags)
        self.relations.append(
            osmium.osm.mutable.Relation(
                id=number, members=[("w", way, role) for way, role in members], tags=tags
            )
        )

    def write(self, *, side_m=SIDE_M) -> Path:
        header = osmium.io.Header()
        half = side_m / 2
        corners = [
            self._to_degrees.transform(CENTRE[0] + x, CENTRE[1] + y)
            for x in (-half, half)
            for y in (-half, half)
        ]
        lon, lat = zip(*corners, strict=True)
        header.add_box(
            osmium.osm.Box(
                osmium.osm.Location(min(lon), min(lat)), osmium.osm.Location(max(lon), max(lat))
            )
        )
        with osmium.SimpleWriter(str(self.path), header=header) as writer:
            for node in self.nodes:
                writer.add_node(node)
            for way in self.ways:
                writer.add_way(way)
            for relation in self.relations:
                writer.add_relation(relation)
        return self.path


def colons(tags: dict) -> dict:
    """`building__levels` stands for `building:levels`."""
    return {key.replace("__", ":"): str(value) for key, value in tags.items()}


def town(path: Path) -> OsmFile:
    """Two streets that cross, four blocks with a building each, a park, a pond, trees."""
    osm = OsmFile(path)
    osm.way([(-280, 0), (0, 0), (280, 0)], tags={"highway": "residential", "width": "8"})
    osm.way([(0, -280), (0, 0), (0, 280)], tags={"highway": "residential"})
    osm.box(20, 20, 40, 20, building="apartments", height="12 m")
    osm.box(-80, 20, 40, 20, building="yes", building__levels=4)
    osm.box(-80, -60, 30, 30, building="house")
    osm.box(20, -60, 30, 30, building="yes", height="30 ft")
    osm.box(100, 100, 80, 80, leisure="park")
    osm.box(120, 120, 20, 20, natural="water")
    osm.node(-150, 100, natural="tree", diameter_crown="8", height="10")
    osm.node(-170, 100, natural="tree")
    return osm


def layers(folder: Path, *, crs=CRS, side_m=SIDE_M, **replace) -> Path:
    """A GeoParquet city: two buildings, a street, a lawn."""
    folder.mkdir(parents=True, exist_ok=True)
    x, y = CENTRE
    tables = {
        "buildings": gpd.GeoDataFrame(
            {"height_m": [9.0, np.nan], "levels": [np.nan, 5.0], "use": ["school", None]},
            geometry=[shapely.box(x, y, x + 30, y + 20), shapely.box(x, y + 40, x + 20, y + 60)],
            crs=crs,
        ),
        "streets": gpd.GeoDataFrame(
            {"class": ["residential"], "width_m": [np.nan]},
            geometry=[shapely.LineString([(x - 100, y - 30), (x + 100, y - 30)])],
            crs=crs,
        ),
        "green": gpd.GeoDataFrame(
            {"kind": ["grass"]}, geometry=[shapely.box(x - 60, y, x - 10, y + 50)], crs=crs
        ),
    } | replace
    half = side_m / 2
    clip = shapely.box(x - half, y - half, x + half, y + half)
    for name, table in tables.items():
        if table is not None:
            table.to_parquet(folder / f"{name}.parquet")
    meta = {"name": ["test"], "licence": ["ODbL 1.0"], "clip_wkt": [clip.wkt]}
    pd.DataFrame(meta).to_parquet(folder / "meta.parquet")
    return folder
