"""Recomputes the areas of a tile store from its source by plain geometry, and compares.

    python scripts/check_areas.py SOURCE STORE [SOURCE STORE ...]

Independent of the ingest in reading (GDAL's OSM driver, geopandas), in geometry (exact polygons
instead of pixels) and in painting; shared are only the tag table and the covered area. Exit code 4
if a surface of more than 0.2 % of the area differs by more than 1 %.
"""

import json
import sys
from collections import Counter
from pathlib import Path

import geopandas as gpd
import numpy as np
import osmium
import pandas as pd
import pyogrio
import shapely

from fabricgen.city import tags
from fabricgen.surfaces import BIT, PATH, SURFACES

ORDER = ("bare", "grass", "shrub", "wood", "water", "paved", "road", "crown", "building")
SURFACE = {"wood": "tree", "crown": "tree"}  # the other layers bear their surface's name
TOLERANCE, WORTH_SHARE = 0.01, 0.002
CELL_M = 400.0


def compare(source: Path, store: Path) -> pd.DataFrame:
    """Area of each surface by the store and by plain geometry, in m2, and their ratio."""
    card = json.loads((store / "city.json").read_text())
    covered = gpd.read_file(store / "coverage.geojson").to_crs(card["crs"]).union_all()
    layers = of_folder(source) if source.is_dir() else of_osm(source, card["crs"])
    layers = {name: mended(faces) for name, faces in layers.items()}
    trees = {name: shapely.STRtree(faces) for name, faces in layers.items()}
    exact = dict.fromkeys((*SURFACES, "unknown"), 0.0)
    for cell in cells_of(covered):
        above = shapely.Polygon()
        for name in reversed(ORDER):
            faces = layers[name][trees[name].query(cell, predicate="intersects")]
            faces = shapely.intersection(faces, cell)
            whole = shapely.union_all(np.r_[faces, above])
            exact[SURFACE.get(name, name)] += whole.area - above.area
            above = whole
        exact["unknown"] += cell.area - above.area
    rows = {**card["surface_area_m2"], "unknown": card["unknown_m2"]}
    rows["all"], exact["all"] = card["area_km2"] * 1e6, covered.area
    table = pd.DataFrame({"store_m2": rows, "exact_m2": exact})
    table["difference"] = table["store_m2"] / table["exact_m2"].where(table["exact_m2"] > 0) - 1
    return table


def mended(faces: list) -> np.ndarray:
    """Valid faces with area."""
    array = shapely.make_valid(np.array(faces, object), method="structure")
    return array[shapely.area(array) > 0]


def cells_of(covered: shapely.Geometry) -> list:
    """The covered area in squares, so that no overlay grows large."""
    west, south, east, north = covered.bounds
    xs, ys = np.arange(west, east, CELL_M), np.arange(south, north, CELL_M)
    x, y = (side.ravel() for side in np.meshgrid(xs, ys))
    cells = shapely.intersection(shapely.box(x, y, x + CELL_M, y + CELL_M), covered)
    return list(cells[shapely.area(cells) > 0])


def of_osm(path: Path, crs: str) -> dict[str, list]:
    """Faces of an OpenStreetMap extract by layer, as GDAL reads it."""
    torn = open_relations(path)
    layers: dict[str, list] = {name: [] for name in ORDER}
    for layer, shape in (("multipolygons", "area"), ("lines", "line"), ("points", "point")):
        table = pyogrio.read_dataframe(path, layer=layer, on_invalid="ignore").to_crs(crs)
        table = table[~table.geometry.isna()]
        columns = [name for name in table if name not in ("geometry", "osm_id", "osm_way_id")]
        for row in table.itertuples():
            words = {name: getattr(row, name) for name in columns}
            words = {name: text for name, text in words.items() if isinstance(text, str)}
            words |= hstore(words.pop("other_tags", None))
            if shape == "area" and row.osm_id in torn:
                continue
            if shape == "area":
                words["area"] = "yes"  # GDAL has judged that, and drops the tag
            file_feature(tags.surface_of(words, shape), row.geometry, layers)
            ring = shape == "line" and row.geometry.is_ring and row.geometry.is_valid
            if ring and words.get("area") != "no":  # GDAL makes faces of common keys only
                face = shapely.make_valid(shapely.Polygon(row.geometry), method="structure")
                file_feature(tags.surface_of(words, "area"), face, layers)
        if shape == "area":
            known = set(table["osm_way_id"].dropna())
    missed = left_out(path, known)
    flat = gpd.GeoSeries([face for _, face in missed], crs=4326).to_crs(crs)
    for (words, _), face in zip(missed, flat, strict=True):
        file_feature(tags.surface_of(words, "area"), face, layers)
    return layers


def left_out(path: Path, known: set[str]) -> list[tuple[dict[str, str], shapely.Geometry]]:
    """Tags and faces of closed ways that GDAL gives none, since a multipolygon has them too."""
    members = {
        member.ref
        for relation in osmium.FileProcessor(str(path), osmium.osm.RELATION)
        if relation.tags.get("type") == "multipolygon"
        for member in relation.members
        if member.type == "w"
    }
    found = []
    factory = osmium.geom.WKBFactory()
    kinds = osmium.osm.NODE | osmium.osm.WAY
    for way in osmium.FileProcessor(str(path), kinds).with_locations():
        if not isinstance(way, osmium.osm.Way) or way.id not in members or str(way.id) in known:
            continue
        if way.is_closed() and len(way.nodes) > 3 and len(way.tags):
            ring = shapely.from_wkb(bytes.fromhex(factory.create_linestring(way)))
            found.append((dict(way.tags), shapely.Polygon(ring)))
    return found


def open_relations(path: Path) -> set[str]:
    """Multipolygons whose ways do not close: GDAL closes them by a line that nobody drew."""
    ends: dict[int, tuple[int, int]] = {}
    torn = set()
    for thing in osmium.FileProcessor(str(path), osmium.osm.WAY | osmium.osm.RELATION):
        if isinstance(thing, osmium.osm.Way):
            ends[thing.id] = (thing.nodes[0].ref, thing.nodes[-1].ref)
            continue
        ways = [member.ref for member in thing.members if member.type == "w"]
        count = Counter(node for way in ways for node in ends.get(way, (way, -way)))
        if any(number % 2 for number in count.values()):
            torn.add(str(thing.id))
    return torn


def hstore(text: str | None) -> dict[str, str]:
    """GDAL's column of the rarer tags."""
    if not text:
        return {}
    pairs = text.strip('"').split('","')
    return dict(pair.split('"=>"', 1) for pair in pairs)


def file_feature(feature: tags.Feature | None, shape: shapely.Geometry, layers: dict) -> None:
    """Puts a feature as a face into its layer; partial labels have none."""
    if feature is None or feature.role in ("dropped", "part"):
        return
    if feature.role == "building":
        if shape.area >= 4:
            layers["building"].append(shape)
        return
    if feature.role == "street":
        name = "paved" if feature.kind == PATH else "road"
        layers[name].append(shape.buffer(feature.width_m / 2))
    elif feature.bits in BIT:
        name = SURFACES[BIT.index(feature.bits)]
        if name == "tree":
            name = "wood" if feature.role == "area" else "crown"
        grown = shape if feature.role == "area" else shape.buffer(feature.width_m / 2)
        layers[name].append(grown)


def of_folder(path: Path) -> dict[str, list]:
    """Faces of a GeoParquet city by layer."""
    book = tags.table()["vector"]
    layers: dict[str, list] = {name: [] for name in ORDER}
    for file in path.glob("*.parquet"):
        if file.stem == "meta":
            continue
        table = gpd.read_parquet(file)
        shapes = table.geometry
        if file.stem == "buildings":
            layers["building"] += list(shapes[shapes.area >= 4])
        elif file.stem == "water":
            layers["water"] += list(shapes)
        elif file.stem == "trees":
            crown = table["crown_m"].astype(float).fillna(5.0).clip(1, 30)
            layers["crown"] += list(shapes.buffer(crown / 2))
        elif file.stem == "streets":
            for word, shape in zip(table["class"], shapes, strict=True):
                kind, width_m, _ = tags.street_word(word)
                face = shape if shape.area > 0 else shape.buffer(width_m / 2)
                layers["paved" if kind == PATH and shape.area == 0 else "road"].append(face)
        else:
            for kind, shape in zip(table["kind"], shapes, strict=True):
                bits = book[file.stem].get(kind, book[file.stem]["*"])
                if bits in BIT:
                    name = SURFACES[BIT.index(bits)]
                    layers["wood" if name == "tree" else name].append(shape)
    return layers


def main(arguments: list[str]) -> int:
    if not arguments or len(arguments) % 2:
        print(__doc__)
        return 2
    worst = 0.0
    for source, store in zip(arguments[::2], arguments[1::2], strict=True):
        table = compare(Path(source), Path(store))
        worth = table["exact_m2"] > WORTH_SHARE * table["exact_m2"]["all"]
        worst = max(worst, float(table["difference"][worth].abs().max()))
        print(f"{Path(store).name}\n{table.round({'store_m2': 0, 'exact_m2': 0, 'difference': 4})}")
    print(f"largest difference: {worst:.2%} (allowed {TOLERANCE:.0%})")
    return 0 if worst <= TOLERANCE else 4


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
