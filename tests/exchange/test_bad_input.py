"""Bad files through `score` and `export`, as a user gives them: one clear line, never a traceback."""

import io
import json
import sqlite3
import struct
import zipfile
from contextlib import closing

import numpy as np
import pyarrow as pa
import pytest
import rasterio
import shapely

from fabricgen.cli.app import main
from fabricgen.exchange import read_drawn, write_plan
from tests.exchange.conftest import CRS, X, Y, box
from tests.exchange.makers import (
    HOUSE,
    PLACE,
    SITE,
    STREET,
    degrees,
    feature,
    geojson,
    gpkg,
    houses,
    many_rows,
    polygon_wkb,
    raw,
    reworked,
    shapefiles,
    site,
    table,
    wkb,
)


def page(d, name):
    (d / name).write_text("<!DOCTYPE html><html><body>404</body></html>")
    return d / name


def swapped(shape):
    return shapely.transform(shape, lambda xy: xy[:, ::-1])


def moved(shape, value):
    """A feature's geometry with its second longitude replaced."""
    shape = json.loads(json.dumps(shapely.geometry.mapping(degrees(shape))))
    shape["coordinates"][0][1][0] = value
    return shape


def star(points=5):
    angles = np.arange(points) * 2 * np.pi * (points // 2) / points
    return shapely.Polygon(
        np.stack([X + 50 + 20 * np.cos(angles), Y + 50 + 20 * np.sin(angles)], 1)
    )


def tangle():
    """A ring of 2000 chords, which cross some 600,000 times."""
    places = np.random.default_rng(0).permutation(2000) * 2 * np.pi / 2000
    return shapely.Polygon(
        np.stack([X + 50 + 30 * np.cos(places), Y + 50 + 30 * np.sin(places)], 1)
    )


def deep_json(d):
    text = '{"type": "FeatureCollection", "features": ' + "[" * 100_000 + "]" * 100_000 + "}"
    (d / "a.geojson").write_text(text)
    return d / "a.geojson"


def deep_collection():
    shape = {"type": "Point", "coordinates": [0, 0]}
    for _ in range(100):
        shape = {"type": "GeometryCollection", "geometries": [shape]}
    return shape


def bad_blob(t):
    column = t.schema.get_field_index("geometry")
    made = t.set_column(column, "geometry", pa.array([b"\x01\x03"]))
    return made.replace_schema_metadata(t.schema.metadata)


def bad_system(t):
    geo = {"version": "1.0.0", "primary_column": "geometry", "columns": {"geometry": {
        "encoding": "WKB", "geometry_types": [], "crs": {"x": 1}}}}  # fmt: skip
    return t.replace_schema_metadata({b"geo": json.dumps(geo).encode()})


def no_srs(path):
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("UPDATE gpkg_geometry_columns SET srs_id = -1")
        base.execute("UPDATE gpkg_contents SET srs_id = -1")
    return path


def no_tables(path):
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("CREATE TABLE t (a)")
    return path


def packed(path, *members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def nested(path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.gpkg", bytes(100_000))
    return packed(path, ("inner.zip", inner.getvalue()))


def bomb(path, monkeypatch):
    monkeypatch.setattr("fabricgen.exchange.archive.MAX_BYTES", 1_000_000)
    return packed(path, ("a.gpkg", bytes(2_000_000)))


def liar(path):
    """An archive whose entry is larger than it says."""
    packed(path, ("a.gpkg", bytes(5_000_000)))
    content = path.read_bytes().replace(struct.pack("<I", 5_000_000), struct.pack("<I", 1000))
    path.write_bytes(content)
    return path


def bands(path, count, kind="uint8", value=0):
    grid = {"width": 40, "height": 40, "crs": CRS, "transform": rasterio.Affine(1, 0, X, 0, -1, Y)}
    with rasterio.open(path, "w", driver="GTiff", count=count, dtype=kind, **grid) as target:
        if value:
            cells = np.zeros((count, 40, 40), kind)
            cells[0], cells[-1] = 1, value
            target.write(cells)
    return path


def without(folder, name):
    (folder / name).unlink()
    return folder


URN = {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32635"}}}
SHANGHAI = shapely.box(31.2, 121.4, 31.201, 121.401)  # latitude first
LOCAL = 'LOCAL_CS["site",UNIT["metre",1]]'
OTHER_PLACE = site(box(-30_000, 0, -29_900, 100))

REFUSED = {
    # Where it lies.
    "degrees swapped": (
        lambda d: geojson(d / "a.geojson", feature("site", SHANGHAI)),
        "site 1: coordinates 31.2005, 121.4 have the wrong order of axes for EPSG:4326; write x"),
    "projected swapped": (
        lambda d: geojson(d / "a.geojson", feature("site", swapped(SITE)), **URN),
        "site 1: coordinates 6.67205e+06, 385050 have the wrong order of axes for EPSG:32635"),
    "one layer swapped": (
        lambda d: geojson(d / "a.geojson", PLACE, feature("buildings", swapped(degrees(HOUSE)), id="w")),
        "buildings w: lies 4,981 km from the site; its coordinate system, or the order of its axes"),
    "no system": (lambda d: no_srs(gpkg(d / "a.gpkg")), "site 1: no coordinate system; state it"),
    "geocentric": (
        lambda d: gpkg(d / "a.gpkg", site=site().set_crs(4978, allow_override=True)),
        "site 1: no coordinate system"),
    "engineering": (
        lambda d: gpkg(d / "a.gpkg", site=site().set_crs(LOCAL, allow_override=True)),
        "site 1: no coordinate system"),
    "local coordinates": (
        lambda d: gpkg(d / "a.gpkg", site=site(shapely.box(0, 0, 90, 90))),
        "site 1: coordinates 45, 45 are local, not of EPSG:32635; move the drawing to its place"),
    "far from the site": (
        lambda d: gpkg(d / "a.gpkg", site=OTHER_PLACE), "buildings h: lies 30 km from the site"),
    # Geometry.
    "no number": (
        lambda d: geojson(d / "a.geojson", PLACE, feature("buildings", moved(HOUSE, float("nan")), id="n")),
        "buildings n: a coordinate is no number; redraw it"),
    "endless site": (
        lambda d: geojson(d / "a.geojson", feature("site", moved(SITE, float("inf")))),
        "site 1: a coordinate is no number"),
    "beyond the earth": (
        lambda d: geojson(d / "a.geojson", PLACE, feature("buildings", moved(HOUSE, 1e300), id="n")),
        "buildings n: coordinates 5e+299, 60.1689 lie outside EPSG:4326"),
    "star": (
        lambda d: gpkg(d / "a.gpkg", buildings=houses({"id": "x", "geometry": star()})),
        "buildings x: crosses itself and can be read in several ways; redraw it"),
    "tangle": (
        lambda d: gpkg(d / "a.gpkg", buildings=houses({"id": "x", "geometry": tangle()})),
        "buildings x: crosses itself about 6"),
    "points as houses": (
        lambda d: geojson(d / "a.geojson", PLACE, feature("buildings", degrees(shapely.GeometryCollection([HOUSE.centroid])), id="c")),
        "buildings c: is a GeometryCollection; give polygons"),
    "collections in collections": (
        lambda d: geojson(d / "a.geojson", PLACE, feature("buildings", deep_collection(), id="c")),
        "buildings c: is a GeometryCollection; give polygons"),
    "a ring of two points": (
        lambda d: geojson(d / "a.geojson", PLACE, feature("buildings", {"type": "Polygon", "coordinates": [[[24.9, 60.1]] * 2]})),
        "a.geojson: feature 2 cannot be read (A linearring requires at least 4 coordinates.)"),
    "unknown geometry": (
        lambda d: geojson(d / "a.geojson", PLACE, feature("buildings", {"type": "Sphere", "coordinates": []})),
        "a.geojson: feature 2 cannot be read (Unknown geometry type: 'sphere')"),
    "words as coordinates": (
        lambda d: geojson(d / "a.geojson", PLACE, {"type": "Feature", "id": "q", "geometry": {"type": "Polygon", "coordinates": [[["a", "b"]]]}}),
        "a.geojson: feature 2 (q) cannot be read"),
    "no features": (lambda d: geojson(d / "a.geojson", 1, None), "a.geojson: feature 1 cannot be read"),
    "TIN": (
        lambda d: raw(gpkg(d / "a.gpkg"), wkb(1016)), "a.gpkg: layer buildings cannot be read, or is cut short ("),
    "open boundary": (
        lambda d: gpkg(d / "a.gpkg", site=site(STREET)), "site 1: is a LineString; give polygons"),
    # What it says.
    "negative height": (
        lambda d: gpkg(d / "a.gpkg", buildings=houses({"height": -3})),
        "buildings h: height_m is -3; give 0 to 1000, or none where it is not known"),
    "no site": (lambda d: gpkg(d / "a.gpkg", site=None), "holds no site; add its polygon in a layer `site`"),
    "empty site": (lambda d: gpkg(d / "a.gpkg", site=site(shapely.Polygon())), "its site has no polygon"),
    "site without rows": (lambda d: gpkg(d / "a.gpkg", site=site().iloc[:0]), "holds no site"),
    "no layer of ours": (
        lambda d: gpkg(d / "a.gpkg", site=None, buildings=None, contours=table({"geometry": STREET})),
        "layer contours: it does not say what it holds; name it, or its features in a column"),
    "house on a street": (
        lambda d: gpkg(d / "a.gpkg", roads=table({"width": 6, "geometry": shapely.LineString([(X, Y + 20), (X + 90, Y + 20)])})),
        "buildings h: overlaps road by 120.00 m2; cut one of them back"),
    "house on a house": (
        lambda d: gpkg(d / "a.gpkg", buildings=houses({}, {"id": "k", "geometry": box(20, 10, 50, 30)})),
        "buildings h: overlaps another building by 200.00 m2"),
    # Files that are something else.
    "table as Parquet": (lambda d: page(d, "a.parquet"), "a.parquet: is no GeoParquet, or is cut short; export it again"),
    "page as GeoJSON": (lambda d: page(d, "a.geojson"), "a.geojson: is no JSON, or is cut short"),
    "page as GeoPackage": (lambda d: page(d, "a.gpkg"), "a.gpkg: is no GeoPackage, or is cut short"),
    "page as Shapefile": (lambda d: page(d, "a.shp"), "a.shp: it cannot be read, or is cut short ("),
    "page as FlatGeobuf": (lambda d: page(d, "a.fgb"), "a.fgb: it cannot be read, or is cut short ("),
    "page as raster": (lambda d: page(d, "a.tif"), "a.tif: is no raster, or is cut short"),
    "page as DXF": (lambda d: page(d, "a.dxf"), "a.dxf: is no DXF, or is cut short; save it again, as DXF"),
    "page as IFC": (lambda d: page(d, "a.ifc"), "a.ifc: is no IFC, or is cut short"),
    "page as zip": (lambda d: page(d, "a.zip"), "a.zip: is no zip, or is cut short; pack it again"),
    "page as DWG": (lambda d: page(d, "a.dwg"), "a.dwg: no format of this suffix; use .gpkg, .geojson,"),
    "database without layers": (lambda d: no_tables(d / "a.gpkg"), "a.gpkg: is no GeoPackage"),
    "no file": (lambda d: d / "a.gpkg", "a.gpkg: no such file"),
    "folder of nothing": (lambda d: d, "is a folder without a Shapefile; give a file"),
    "Parquet without geometry": (
        lambda d: reworked(d / "a.parquet", lambda t: t.drop(["geometry"])), "a.parquet: is no GeoParquet"),
    "Parquet with a broken blob": (lambda d: reworked(d / "a.parquet", bad_blob), "a.parquet: is no GeoParquet"),
    "Parquet with a broken system": (lambda d: reworked(d / "a.parquet", bad_system), "a.parquet: is no GeoParquet"),
    "Shapefile without index": (
        lambda d: without(shapefiles(d / "f", buildings=houses({})), "buildings.shx"), "keep its .shx, .dbf and .prj beside it"),
    "Shapefile without system": (
        lambda d: without(shapefiles(d / "f", buildings=houses({})), "buildings.prj"),
        "buildings h: no coordinate system; state it (of a Shapefile, in its .prj)"),
    "CityJSON without system": (
        lambda d: geojson(d / "a.json", type="CityJSON", CityObjects={}, vertices=[]),
        "a.json: no coordinate system; state it as metadata.referenceSystem"),
    # Too much.
    "brackets": (deep_json, "a.geojson: is no JSON, or is cut short"),
    "many rows": (
        lambda d: reworked(d / "a.parquet", lambda _: many_rows(2_000_001)),
        "a.parquet: has 2,000,001 features, more than 2,000,000; cut it into parts"),
    "many bands": (lambda d: bands(d / "a.tif", 60), "a.tif: has 60 bands of uint8; give surface and height"),
    "no number in a raster": (
        lambda d: bands(d / "a.tif", 9, "float32", np.nan), "a.tif: the height at row 0, column 0 is nan m"),
    "archive in an archive": (lambda d: nested(d / "a.zip"), "a.zip: holds no plan; pack one of .shp, .gpkg"),
    "archive that lies": (lambda d: liar(d / "a.zip"), "a.zip: is no zip, or is cut short"),
    "archive of two": (lambda d: packed(d / "a.zip", ("a.gpkg", b""), ("b.gpkg", b"")), "a.zip: holds several plans"),
    "M of many types": (
        lambda d: raw(gpkg(d / "a.gpkg"), m=1), "a.gpkg: a layer of mixed types with M; save it without M"),
}  # fmt: skip


def run(verb, path, out, capsys):
    words = ["--to", "geojson"] if verb == "export" else ["draws=2"]
    code = main([verb, str(path), "--out", str(out), *words])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said


SCORED = ("degrees swapped", "no number", "star", "negative height", "no site", "page as DXF",
          "many rows", "archive in an archive")  # fmt: skip
RUNS = [*(("export", case) for case in REFUSED), *(("score", case) for case in SCORED)]


@pytest.mark.parametrize(("verb", "case"), RUNS)
def test_what_cannot_be_used_is_one_line_and_code_2(tmp_path, capsys, verb, case):
    make, says = REFUSED[case]
    code, said = run(verb, make(tmp_path), tmp_path / "out", capsys)
    (line,) = [one for one in said.err.splitlines() if one.startswith("error: ")]
    assert says in line and code == 2 and not said.out
    assert not list((tmp_path / "out").glob("*"))


def test_archives_are_unpacked_up_to_a_bound(tmp_path, capsys, monkeypatch):
    code, said = run("export", bomb(tmp_path / "a.zip", monkeypatch), tmp_path / "out", capsys)
    assert code == 2 and "a.zip: unpacks to more than" in said.err


def overpass(d):
    """What overpass-turbo exports: a tag a column, ids with `@`, and one polygon named as site."""

    def one(name, shape, **tags):
        made = feature("", degrees(shape), **{"@id": name, **tags})
        return {**made, "properties": {k: v for k, v in made["properties"].items() if v}}

    levels = {"building": "apartments", "building:levels": "4;5"}
    return geojson(
        d / "a.geojson",
        one("relation/1", SITE, layer="site"),
        one("way/2", HOUSE, **levels),
        one("way/3", STREET, highway="residential", layer="-1", width="6 m"),
        one("node/4", shapely.Point(X + 80, Y + 80), natural="tree"),
        one("way/5", box(70, 10, 80, 20), natural="water"),
        one("way/6", box(70, 60, 75, 65), leisure="park"),
        one("way/7", box(80, 60, 85, 65), landuse="grass"),
        one("way/8", box(0, 0, 90, 9), landuse="residential"),
        one("node/9", shapely.Point(X + 5, Y + 5), amenity="bench"),
    )  # fmt: skip


def overture(d):
    """A theme of Overture Maps: records and lists in columns, floors where heights are missing."""
    rows = [
        {"id": "s", "layer": "site", "geometry": SITE},
        {"id": "08b2", "layer": "buildings", "height": 9.0, "num_floors": None, "geometry": HOUSE},
        {"id": "08b3", "layer": "buildings", "num_floors": 4, "geometry": box(40, 40, 50, 45)},
    ]
    made = table(*rows)
    made["names"] = [None, {"primary": "A", "common": [("en", "A")]}, None]
    made["sources"] = [[], [{"dataset": "OpenStreetMap", "record_id": "w1"}], []]
    made.to_parquet(d / "a.parquet")
    return d / "a.parquet"


def newer(path):
    with closing(sqlite3.connect(path)) as base, base:
        base.execute(f"PRAGMA application_id = {int.from_bytes(b'GP99', 'big')}")
        base.execute("PRAGMA user_version = 99999")
    return path


def zipped(d):
    folder = shapefiles(d / "block", buildings=houses({}))
    with zipfile.ZipFile(d / "a.zip", "w") as archive:
        for part in folder.iterdir():
            archive.write(part, f"../../deep/{part.name}")
    return d / "a.zip"


CIRCLE = [(X + 50, Y + 55), (X + 60, Y + 55), (X + 50, Y + 55)]
BEND = wkb(
    9,
    wkb(8, (X + 50, Y + 60), (X + 60, Y + 70), (X + 70, Y + 60)),
    wkb(2, (X + 70, Y + 60), (X + 50, Y + 60)),
)
BOW = shapely.Polygon([(X + 60, Y + 60), (X + 70, Y + 70), (X + 70, Y + 60), (X + 60, Y + 70)])
WEST, EAST = shapely.box(179.999, -16.5, 180, -16.499), shapely.box(-180, -16.5, -179.999, -16.499)
FIJI = [
    feature(
        "buildings",
        shapely.box(s * 179.9993, -16.4997, s * 179.9995, -16.4995),
        height=9,
        id=f"{s}",
    )
    for s in (1, -1)
]
TWO = shapely.MultiPolygon([box(60, 10, 70, 20), box(75, 10, 85, 20)])
MIXED = shapely.GeometryCollection([box(60, 60, 70, 70), STREET])
UNKNOWN = "height_m is no measure, left unknown"
NEITHER = "neither height nor floors, left unknown"
HEIGHTS = ["12 ft", "3,5", "39'6\"", "ca. 12 m", "１２米", "tall", -1, -9999]
METERS = [3.6576, 3.5, 12.0396, 12, 12, None, None, None]

MENDED = {
    "several systems": (
        lambda d: gpkg(d / "a.gpkg", buildings=houses({}).to_crs(4326), roads=table({"width": 6, "kind": "local", "geometry": STREET}).to_crs(3857)),
        ["buildings: brought from EPSG:4326 to EPSG:32635", "roads: brought from EPSG:3857 to EPSG:32635"], [9.0]),
    "feet in the header": (lambda d: gpkg(d / "a.gpkg", buildings=table({"Height_FT": 30, "geometry": HOUSE})), [], [9.144]),
    "survey feet": (lambda d: gpkg(d / "a.gpkg", buildings=table({"height_usft": 30, "geometry": HOUSE})), [], [9.144]),
    "measures as words": (
        lambda d: gpkg(d / "a.gpkg", buildings=table(*({"id": f"{n}", "height": f"{said}", "geometry": box(n * 12, 0, n * 12 + 9, 9)} for n, said in enumerate(HEIGHTS)))),
        [f"buildings 5, 6, 7: {UNKNOWN}", f"buildings 5, 6, 7: {NEITHER}"], METERS),
    "Z and M": (
        lambda d: raw(gpkg(d / "a.gpkg", site=site(shapely.force_3d(SITE, 3))), polygon_wkb(2003, *((X + u, Y + v, 2) for u, v in ((40, 1), (50, 1), (50, 9), (40, 1)))), polygon_wkb(3003, *((X + u, Y + v, 1, 2) for u, v in ((60, 1), (70, 1), (70, 9), (60, 1)))), kind="POLYGON", m=1),
        [f"buildings 2, 3: {NEITHER}", "site 1: Z and M dropped", "buildings 3: Z and M dropped"], [9.0, None, None]),
    "curves": (
        lambda d: raw(gpkg(d / "a.gpkg"), wkb(10, wkb(8, *CIRCLE)), wkb(10, BEND), wkb(12, wkb(10, wkb(8, *((x - 40, y + 30) for x, y in CIRCLE))))),
        ["buildings, rows 2, 3, 4: curves drawn as short lines", f"buildings 2, 3, 4: {NEITHER}"], [9.0, None, None, None]),
    "a broken geometry": (lambda d: raw(gpkg(d / "a.gpkg"), wkb(3)[:5] + b"\xff" * 4), [f"buildings 2: {NEITHER}", "buildings 2: empty, left out"], [9.0]),
    "parts, nothing and collections": (
        lambda d: geojson(d / "a.geojson", PLACE, *(feature("buildings", s, height=9, id=i) for i, s in (("m", degrees(TWO)), ("n", None), ("c", degrees(MIXED)), ("e", {"type": "Polygon", "coordinates": []})))),
        ["site, buildings: brought from EPSG:4326 to EPSG:32635", "buildings n, e: empty, left out", "buildings m: in several parts, split"], [9.0] * 3),
    "bow tie": (
        lambda d: gpkg(d / "a.gpkg", buildings=houses({}, {"id": "x", "geometry": BOW})),
        ["buildings x: crossed itself, repaired", "buildings x: in several parts, split"], [9.0] * 3),
    "drawn twice": (
        lambda d: gpkg(d / "a.gpkg", buildings=houses({}, {}, {"id": "j", "geometry": shapely.reverse(HOUSE)})),
        ["buildings h, j: drawn twice, left out"], [9.0]),
    "no columns": (lambda d: gpkg(d / "a.gpkg", buildings=table({"geometry": HOUSE})), [f"buildings 1: {NEITHER}"], [None]),
    "boundary as a line": (lambda d: gpkg(d / "a.gpkg", site=site(shapely.LineString(SITE.exterior.coords))), ["site 1: drawn as a closed line, filled"], [9.0]),
    "crowns as areas": (lambda d: gpkg(d / "a.gpkg", trees=table({"geometry": box(60, 60, 65, 65)})), ["trees 1: drawn as an area, its middle taken"], [9.0]),
    "another layer beside": (
        lambda d: gpkg(d / "a.gpkg", contours=table({"z": 1, "geometry": STREET})), ["layers contours: not part of a plan, left out"], [9.0]),
    "a site beyond the plan": (lambda d: gpkg(d / "a.gpkg", site=site(box(-300, -300, 300, 300))), [], [9.0]),
    "across the date line": (
        lambda d: geojson(d / "a.geojson", feature("site", shapely.MultiPolygon([WEST, EAST])), *FIJI),
        ["site, buildings: brought from EPSG:4326 to EPSG:32760"], [9.0, 9.0]),
    "system with heights": (
        lambda d: gpkg(d / "a.gpkg", site=site().set_crs("EPSG:32635+5773", allow_override=True), buildings=houses({}).set_crs("EPSG:32635+5773", allow_override=True)),
        [], [9.0]),
    "usual width beside a house": (
        lambda d: gpkg(d / "a.gpkg", roads=table({"highway": "residential", "geometry": shapely.LineString([(X, Y + 33), (X + 90, Y + 33)])})),
        ["roads 1: no width, that of their kind taken", "roads 1: narrowed, a house stands in the usual width"], [9.0]),
    "lists as ids and heights": (
        lambda d: geojson(d / "a.geojson", PLACE, feature("buildings", degrees(HOUSE), id=[1, 2], height={"m": 9})),
        ["site, buildings: brought from EPSG:4326 to EPSG:32635", f"buildings [1, 2]: {UNKNOWN}", f"buildings [1, 2]: {NEITHER}"], [None]),
    "an id of two lines": (
        lambda d: geojson(d / "a.geojson", PLACE, feature("buildings", degrees(HOUSE), id="a\nb")),
        ["site, buildings: brought from EPSG:4326 to EPSG:32635", f"buildings a b: {NEITHER}"], [None]),
    "languages": (
        lambda d: gpkg(d / "a.gpkg", site=None, buildings=None, **{"地块": site(), "bâtiments": table({"nb_etages": 3, "HAUTEUR": 9, "geometry": HOUSE}), "Straßen": table({"Breite": 6, "Art": "residential", "geometry": STREET})}),
        [], [9.0]),
    "newer GeoPackage": (lambda d: newer(gpkg(d / "a.gpkg")), ["GDAL says: GPKG: bad application_id=0x47503939 on 'a.gpkg'"], [9.0]),
    "name with signs": (lambda d: gpkg(d / "a=b ü.gpkg"), [], [9.0]),
    "OpenStreetMap": (
        overpass, ["features way/8, node/9: not part of a plan, left out", "site, buildings, roads, trees, water, green: brought from EPSG:4326 to EPSG:32635", "green way/6: kind not known, counted as grass"], [None]),
    "Overture": (overture, [], [9.0, None]),
    "Chinese table": (lambda d: shapefiles(d / "f", encoding="cp936", buildings=table({"层数": 5, "高度": 15.5, "用途": "住宅", "geometry": HOUSE})), [], [15.5]),
    "German table": (lambda d: shapefiles(d / "f", encoding="cp1252", Gebäude=table({"Höhe": 9.5, "Lage": "Straße", "geometry": HOUSE})), [], [9.5]),
    "Japanese table": (lambda d: shapefiles(d / "f", encoding="cp932", 建物=table({"計測高さ": 9.5, "geometry": HOUSE})), [], [9.5]),
    "Unicode table": (lambda d: shapefiles(d / "f", encoding="utf-8", buildings=table({"高度": 9.5, "geometry": HOUSE})), [], [9.5]),
    "encoding that nobody knows": (lambda d: shapefiles(d / "f", encoding="cp936", cpg="KLINGON", buildings=table({"高度": 9.5, "geometry": HOUSE})), [], [9.5]),
    "encoding that is not true": (lambda d: shapefiles(d / "f", encoding="cp936", cpg="UTF-8", buildings=table({"高度": 9.5, "geometry": HOUSE})), [], [9.5]),
    "zipped Shapefiles": (zipped, [], [9.0]),
}  # fmt: skip


@pytest.mark.parametrize("case", MENDED)
def test_what_can_be_mended_is_read_and_told(tmp_path, capsys, case):
    make, remarks, heights = MENDED[case]
    path = make(tmp_path)
    code, said = run("export", path, tmp_path / "out", capsys)
    if case == "across the date line":
        assert code == 2 and "the site lies across the date line" in said.err
        heard = []
        (plan,) = read_drawn(path, on_remark=heard.append).values()
        assert plan.site.area == pytest.approx(213.5 * 110.7, rel=0.01)
    else:
        assert code == 0, said.err
        heard = [line.removeprefix("note: ") for line in said.err.splitlines()]
        (plan,) = read_drawn(path, on_remark=lambda _: None).values()
    assert heard == [f"{path.name}: {remark}" for remark in remarks]
    wanted = [np.nan if height is None else height for height in heights]
    found = plan.buildings["height_m"].tolist()
    assert found == pytest.approx(wanted, rel=3e-6, nan_ok=True)  # a foot of surveys is longer


def test_curves_keep_their_area(tmp_path):
    path = MENDED["curves"][0](tmp_path)
    (plan,) = read_drawn(path, on_remark=lambda _: None).values()
    _, circle, half, other = plan.buildings.area
    assert (circle, other) == pytest.approx([np.pi * 25] * 2, rel=2e-3)
    assert half == pytest.approx(np.pi * 50, rel=2e-3)


def test_tags_of_openstreetmap_tell_the_layers(tmp_path):
    (plan,) = read_drawn(overpass(tmp_path), on_remark=lambda _: None).values()
    assert plan.buildings[["id", "floors", "use"]].values.tolist() == [["way/2", 5.0, "apartments"]]
    assert plan.roads[["id", "kind", "width_m"]].values.tolist() == [["way/3", "local", 6.0]]
    assert plan.green[["id", "kind"]].values.tolist() == [["way/6", "grass"], ["way/7", "grass"]]
    assert plan.trees["id"].tolist() == ["node/4"] and plan.water["id"].tolist() == ["way/5"]


def test_what_is_mended_can_be_scored(tmp_path, capsys):
    code, said = run("score", overture(tmp_path), tmp_path / "out", capsys)
    assert code == 0, said.err


def test_a_plan_of_ours_that_was_edited_elsewhere_is_mended_too(tmp_path, plan):
    path = tmp_path / "one.gpkg"
    write_plan(plan, path)
    turned = shapely.to_wkb(shapely.force_3d(box(10, 60, 50, 70), 5.0))
    with closing(sqlite3.connect(path)) as base, base:
        for (name,) in base.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            base.execute(f'DROP TRIGGER "{name}"')
        blob = b"GP\x00\x01" + struct.pack("<i", 32635) + turned
        base.execute("UPDATE buildings SET geom = ? WHERE id = 'b1'", (blob,))
    heard = []
    (again,) = read_drawn(path, on_remark=heard.append).values()
    assert heard == ["one.gpkg: buildings b1: Z and M dropped"]
    assert again.buildings["height_m"].tolist() == plan.buildings["height_m"].tolist()
    assert again.roads.equals(plan.roads)


def test_a_locked_geopackage_is_read_all_the_same(tmp_path):
    path = gpkg(tmp_path / "a.gpkg")
    with closing(sqlite3.connect(path, isolation_level=None)) as base:
        base.execute("BEGIN EXCLUSIVE")
        assert len(read_drawn(path)["a"].buildings) == 1


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".parquet", ".dxf", ".city.json", ".ifc"])
def test_files_cut_short_anywhere_are_told(tmp_path, plan, suffix, capsys):
    whole = tmp_path / f"whole{suffix}"
    write_plan(plan, whole)
    content = whole.read_bytes()
    for share in (0.05, 0.3, 0.6, 0.9, 0.99):
        path = tmp_path / f"cut{suffix}"
        path.write_bytes(content[: int(len(content) * share)])
        code = main(["export", str(path), "--to", "geojson", "--out", str(tmp_path / "out"), "-q"])
        said = capsys.readouterr().err
        assert (code, said.count("\n")) == (2, 1) and said.startswith("error: cut"), share


def test_a_million_vertices_are_read(tmp_path):
    angles = np.linspace(0, 2 * np.pi, 1_000_000, endpoint=False)
    radius = 30 + 2 * np.sin(angles * 5000)
    ring = np.stack([X + 50 + radius * np.cos(angles), Y + 50 + radius * np.sin(angles)], 1)
    path = gpkg(tmp_path / "a.gpkg", buildings=houses({"geometry": shapely.Polygon(ring)}))
    (plan,) = read_drawn(path).values()
    assert shapely.get_num_coordinates(plan.buildings.geometry.iloc[0]) == 1_000_001


@pytest.mark.slow
def test_a_million_vertices_over_a_hundred_thousand_houses_are_read(tmp_path):
    count = 316
    u, v = (grid.ravel()[:, None] for grid in np.meshgrid(*[np.arange(count) * 20.0] * 2))
    angles = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    shapes = shapely.polygons(
        np.stack([X + u + 10 + 8 * np.cos(angles), Y + v + 10 + 8 * np.sin(angles)], -1)
    )
    rows = table(*({"id": f"{n}", "height": 9.0, "geometry": s} for n, s in enumerate(shapes)))
    path = gpkg(tmp_path / "a.gpkg", site=site(box(0, 0, 20 * count, 20 * count)), buildings=rows)
    (plan,) = read_drawn(path).values()
    assert len(plan.buildings) == count**2
