"""Drawings and models of other offices: units, blocks, layers, outlines, and what they lack."""

import json

import ezdxf
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from fabricgen.errors import FormatError, InputError
from fabricgen.exchange import read_plan, write_plan
from fabricgen.exchange.columns import layer_in
from fabricgen.exchange.outlines import Stroke, polygons
from tests.exchange.conftest import CRS, X, Y
from tests.exchange.makers import HOUSE, SITE, drawing, mm, ring_mm


def read(path):
    heard = []
    return read_plan(path, on_remark=heard.append), heard


@pytest.fixture
def office(tmp_path):
    """A drawing in millimeters as an office draws it: blocks, lines, hatches, bulges, Chinese names."""
    made, space = drawing(tmp_path / "office.dxf")
    space.add_lwpolyline(ring_mm(0, 0, 100, 100), close=True, dxfattribs={"layer": "用地红线"})
    block = made.blocks.new("HOUSE")
    outline = [(0, 0), (20_000, 0), (20_000, 10_000), (0, 10_000)]
    block.add_lwpolyline(outline, close=True, dxfattribs={"layer": "0", "thickness": 9000})
    space.add_blockref("HOUSE", mm((10, 10))[0], dxfattribs={"layer": "A-BLDG", "rotation": 90})
    gap = ring_mm(50, 55, 70, 60)
    gap.append((gap[0][0] + 1, gap[0][1]))
    space.add_lwpolyline(gap, dxfattribs={"layer": "建筑轮廓", "thickness": 6000})
    walls = ring_mm(50, 70, 70, 80)
    for start, end in zip(walls, [*walls[1:], walls[0]], strict=True):
        space.add_line(start, end, dxfattribs={"layer": "建筑轮廓"})
    space.add_line(*mm((0, 40), (100, 40)), dxfattribs={"layer": "道路中心线"})
    space.add_lwpolyline(ring_mm(3, 3, 97, 97), close=True, dxfattribs={"layer": "建筑红线"})
    space.add_circle(mm((80, 20))[0], 2500, dxfattribs={"layer": "L-PLNT-TREE"})
    bulge = [(*place, 0, 0, 1) for place in mm((75, 85), (85, 85))]
    space.add_lwpolyline(bulge, close=True, dxfattribs={"layer": "水体"})
    lawn = space.add_hatch(dxfattribs={"layer": "绿地-草坪"})
    lawn.paths.add_polyline_path(ring_mm(3, 85, 40, 95), is_closed=True)
    space.add_text("5F", dxfattribs={"layer": "TEXT"})
    made.saveas(tmp_path / "office.dxf")
    return tmp_path / "office.dxf"


def test_an_office_drawing_in_millimeters_is_a_plan_in_meters(office):
    plan, heard = read(office)
    assert plan.crs == CRS and plan.site.equals(SITE)
    found = sorted(zip(plan.buildings.area.round(3), plan.buildings["height_m"], strict=True))
    assert found[0] == (100.0, 6.0) and sorted(area for area, _ in found) == [100, 200, 200]
    assert {height for _, height in found if not np.isnan(height)} == {6.0, 9.0}
    (pond,) = plan.water.area
    assert pond == pytest.approx(np.pi * 25, rel=2e-3)
    assert plan.green.area.tolist() == pytest.approx([370]) and list(plan.green["kind"]) == [
        "grass"
    ]
    assert plan.trees["crown_m"].tolist() == pytest.approx([5])
    assert plan.roads.length.tolist() == pytest.approx([100])
    told = [remark.split(": ", 1)[1] for remark in heard]
    assert told[0] == "layers 建筑红线: not part of a plan, left out"
    assert any("open by less than 10 mm, closed" in remark for remark in told)
    assert any("joined from lines" in remark for remark in told)


def one_ring(path, *, layer="site", ring=None, close=True, **style):
    made, space = drawing(path, **style)
    space.add_lwpolyline(ring or ring_mm(0, 0, 100, 100), close=close, dxfattribs={"layer": layer})
    return made, space


def nested_blocks(made, space):
    made.blocks.new("B0").add_line((0, 0), (1, 1))
    for level in range(1, 7):
        block = made.blocks.new(f"B{level}")
        for _ in range(20):
            block.add_blockref(f"B{level - 1}", (0, 0))
    space.add_blockref("B6", (0, 0), dxfattribs={"layer": "buildings"})


def grid_of_blocks(made, space):
    made.blocks.new("B0").add_line((0, 0), (1, 1))
    many = {"row_count": 30_000, "column_count": 30_000, "row_spacing": 1, "column_spacing": 1}
    space.add_blockref("B0", (0, 0), dxfattribs={"layer": "buildings", **many})


def endless_block(made, space):
    made.blocks.new("B0").add_blockref("B0", (0, 0))
    space.add_blockref("B0", (0, 0), dxfattribs={"layer": "buildings"})


REFUSED = {
    "no system": ({"unit": 6, "crs": None}, None, "no coordinate system; put its WKT into a.prj beside it"),
    "local coordinates": ({"unit": 6, "ring": [(0, 0), (90, 0), (90, 90)]}, None, "are local, not of EPSG:32635; move the drawing"),
    "no unit": ({"unit": 0}, None, "states no unit, and a site 100,000 across is not in meters; set its unit"),
    "odd unit": ({"unit": 11}, None, "its unit is number 11; set it to meters"),
    "no layer of ours": ({"layer": "XYZ"}, None, "no layer of a plan among XYZ; name its layers site, buildings"),
    "open outline": ({"layer": "C-BLDG-OTLN", "close": False}, None, "its outline on C-BLDG-OTLN is open; close it, or switch its layer off"),
    "blocks in blocks": ({}, nested_blocks, "its blocks draw 131,368,421 parts, more than 100,000; purge or explode"),
    "a grid of blocks": ({}, grid_of_blocks, "its blocks draw 900,000,001 parts"),
    "a block in itself": ({}, endless_block, "blocks more than 8 deep, at B0; explode it"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_drawing_lacks_is_told_in_one_line(tmp_path, case):
    style, more, says = REFUSED[case]
    made, space = one_ring(tmp_path / "a.dxf", **style)
    if more:
        more(made, space)
    made.saveas(tmp_path / "a.dxf")
    with pytest.raises(InputError) as caught:
        read(tmp_path / "a.dxf")
    assert f"{caught.value}".startswith("a.dxf: ") and says in f"{caught.value}"


def test_feet_of_us_surveys_are_brought_to_meters(tmp_path):
    made, space = drawing(tmp_path / "a.dxf", unit=21)
    foot_m = 1200 / 3937
    for shape, layer in ((SITE, "PROP"), (HOUSE, "BLDG")):
        ring = shapely.get_coordinates(shape)[:-1] / foot_m
        space.add_lwpolyline(ring, close=True, dxfattribs={"layer": layer, "thickness": 30})
    made.saveas(tmp_path / "a.dxf")
    plan, _ = read(tmp_path / "a.dxf")
    assert plan.buildings["height_m"].tolist() == pytest.approx([30 * foot_m])
    assert plan.buildings.area.tolist() == pytest.approx([400])


def test_rings_within_rings_are_courtyards_or_towers(tmp_path):
    made, space = one_ring(tmp_path / "a.dxf")
    for ring, height in (((10, 10, 60, 60), 6), ((20, 20, 30, 30), 60), ((40, 40, 50, 50), 6), ((43, 43, 46, 46), 6)):  # fmt: skip
        style = {"layer": "buildings", "thickness": height * 1000}
        space.add_lwpolyline(ring_mm(*ring), close=True, dxfattribs=style)
    made.saveas(tmp_path / "a.dxf")
    plan, heard = read(tmp_path / "a.dxf")
    found = sorted(zip(plan.buildings["height_m"], plan.buildings.area, strict=True))
    assert np.array(found) == pytest.approx(np.array([(6, 9), (6, 2500 - 100 - 100), (60, 100)]))
    assert len(heard) == 2


def test_layers_that_are_off_are_not_read(tmp_path):
    made, space = one_ring(tmp_path / "a.dxf")
    made.layers.add("BLDG-OLD").off()
    space.add_line(*mm((1, 1), (5, 5)), dxfattribs={"layer": "BLDG-OLD"})
    made.saveas(tmp_path / "a.dxf")
    assert read(tmp_path / "a.dxf")[0].buildings.empty


def test_geographic_data_of_a_drawing_place_it(tmp_path):
    made, space = drawing(tmp_path / "a.dxf", unit=6, crs=None)
    space.add_lwpolyline([(0, 0), (100, 0), (100, 100), (0, 100)], close=True, dxfattribs={"layer": "site"})  # fmt: skip
    geodata = space.new_geodata()
    system = (
        '<?xml version="1.0" encoding="UTF-16" standalone="no" ?><Dictionary version="1.0" '
        'xmlns="http://www.osgeo.org/mapguide/coordinatesystem"><Alias id="32635" type="Coordina'
        'teSystem"><ObjectId>WGS84.UTM-35N</ObjectId><Namespace>EPSG Code</Namespace></Alias>'
        '<Axis uom="METER"><CoordinateSystemAxis><AxisOrder>1</AxisOrder><AxisName>Easting'
        "</AxisName><AxisAbbreviation>E</AxisAbbreviation></CoordinateSystemAxis><CoordinateSystemAxis><AxisOrder>2</AxisOrder>"
        "<AxisName>Northing</AxisName><AxisAbbreviation>N</AxisAbbreviation></CoordinateSystemAxis></Axis></Dictionary>"
    )
    geodata.setup_local_grid(design_point=(0, 0), reference_point=(X, Y), crs=system)
    made.saveas(tmp_path / "a.dxf")
    plan, _ = read(tmp_path / "a.dxf")
    assert plan.crs == CRS and shapely.hausdorff_distance(plan.site, SITE) < 1e-6


def test_what_is_changed_in_the_drawing_counts(tmp_path, plan):
    """The height, width and crown of our own drawings, after an edit in a CAD program."""
    write_plan(plan, tmp_path / "a.dxf")
    made = ezdxf.readfile(tmp_path / "a.dxf")
    space = made.modelspace()
    next(iter(space.query('LWPOLYLINE[layer=="C-BLDG-OTLN"]'))).dxf.thickness = 21
    next(iter(space.query('LWPOLYLINE[layer=="C-ROAD-CNTR"]'))).dxf.const_width = 5
    next(iter(space.query("CIRCLE"))).dxf.radius = 2
    copy = next(iter(space.query('LWPOLYLINE[layer=="C-WATR-OTLN"]'))).copy()
    space.add_entity(copy)
    copy.translate(-20, 2, 0)
    made.saveas(tmp_path / "b.dxf")
    again, _ = read(tmp_path / "b.dxf")
    assert again.buildings["height_m"].tolist() == [21, 6]
    assert np.isnan(again.buildings["floors"].iloc[0]) and again.buildings["floors"].iloc[1] == 2
    assert again.roads["width_m"].tolist() == [5, 2.5]
    assert again.trees["crown_m"].tolist() == [4]
    assert len(again.water) == 2 and again.water["id"].is_unique


def test_long_and_odd_texts_stay_whole_in_a_drawing(tmp_path, plan):
    name = "楼" * 90 + "=x"
    plan.buildings.loc[0, "id"] = name
    plan.buildings.loc[1, "source"] = "line\nbreak"
    write_plan(plan, tmp_path / "a.dxf")
    again, _ = read(tmp_path / "a.dxf")
    assert again.buildings["id"].iloc[0] == name
    assert again.buildings["source"].iloc[1] == "line break"
    assert not ezdxf.readfile(tmp_path / "a.dxf").audit().errors


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("C-BLDG-OTLN", "buildings"), ("L-PLNT-TREE", "trees"), ("L-PLNT-TURF", "green"),
        ("xref$0$C-ROAD-CNTR", "roads"), ("建筑轮廓线", "buildings"), ("0-道路中心线", "roads"),
        ("用地红线", "site"), ("建筑红线", None), ("道路红线", None), ("Gebäude", "buildings"),
        ("DIMENSIONS", None), ("0", None), ("", None), ("W-水系", "water"),
    ],
)  # fmt: skip
def test_layers_of_drawings_are_told_by_the_words_in_their_names(name, layer):
    assert layer_in(name) == layer


@given(
    corners=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=3, max_size=12),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_an_outline_is_found_however_its_lines_are_cut_and_turned(corners, seed):
    hull = shapely.convex_hull(shapely.MultiPoint(corners))
    if hull.geom_type != "Polygon" or hull.area < 1:
        return
    rng = np.random.default_rng(seed)
    ring = shapely.get_coordinates(hull)
    lines = [ring[n : n + 2] + rng.uniform(-3e-3, 3e-3, (2, 2)) for n in range(len(ring) - 1)]
    lines = [line[::-1] if rng.random() < 0.5 else line for line in lines]
    order = rng.permutation(len(lines))
    strokes = [Stroke(f"{n}", "L", lines[n], closed=False) for n in order]
    (found,) = polygons(strokes, "buildings", lambda _: None)
    assert shapely.hausdorff_distance(found["geometry"], hull) < 0.02


def city_model(**changes):
    """A building of two parts with walls and roofs alone, as national models hold them."""
    corners = [[u, v, z] for z in (12_000, 21_000) for u, v in ((0, 0), (20, 0), (20, 10), (0, 10))]
    faces = [[[3, 2, 1, 0]], [[4, 5, 6, 7]]]
    faces += [[[n, (n + 1) % 4, (n + 1) % 4 + 4, n + 4]] for n in range(4)]
    solid = {"type": "Solid", "lod": "2.2", "boundaries": [faces]}
    ground = {"type": "MultiSurface", "lod": "0", "boundaries": [[[0, 1, 2, 3]]]}
    objects = {
        "site": {"type": "LandUse", "attributes": {"function": "site"}, "geometry": [ground]},
        "b": {"type": "Building", "attributes": {"function": "shop"}, "children": ["b-0"]},
        "b-0": {"type": "BuildingPart", "parents": ["b"], "geometry": [solid]},
        "bridge": {"type": "Bridge", "geometry": [ground]},
    }
    return {
        "type": "CityJSON", "version": "2.0", "CityObjects": objects,
        "transform": {"scale": [1, 1, 0.001], "translate": [X, Y, 0]},
        "metadata": {"referenceSystem": "https://www.opengis.net/def/crs/EPSG/0/32635"},
        "vertices": corners, **changes,
    }  # fmt: skip


def test_a_city_model_of_others_gives_footprints_and_heights(tmp_path):
    (tmp_path / "a.city.json").write_text(json.dumps(city_model()))
    plan, heard = read(tmp_path / "a.city.json")
    assert plan.buildings[["id", "height_m", "use"]].values.tolist() == [["b-0", 9.0, "shop"]]
    assert plan.buildings.area.tolist() == [200] and plan.site.area == 200
    assert heard == ["a.city.json: objects bridge: not part of a plan, left out"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"vertices": [[0, 0, 0]]}, "a.city.json: its objects cannot be read (index"),
        ({"vertices": "x"}, "a.city.json: its objects cannot be read"),
        ({"CityObjects": 3}, "a.city.json: its objects cannot be read"),
        ({"metadata": {"referenceSystem": "EPSG:999999"}}, "no coordinate system; state it as"),
    ],
)
def test_a_city_model_that_is_broken_is_told(tmp_path, change, says):
    (tmp_path / "a.city.json").write_text(json.dumps(city_model(**change)))
    with pytest.raises((FormatError, InputError)) as caught:
        read(tmp_path / "a.city.json")
    assert says in f"{caught.value}"


def foreign_ifc(path, *, unit="MILLI", place=True):
    """A building of one slab in millimeters, turned by 90 degrees in its map, without a footprint."""
    import ifcopenshell
    import ifcopenshell.api
    import ifcopenshell.guid

    model = ifcopenshell.file(schema="IFC4")
    api = ifcopenshell.api.run
    project = api("root.create_entity", model, ifc_class="IfcProject", name="other")
    length = api("unit.add_si_unit", model, unit_type="LENGTHUNIT", prefix=unit)
    api("unit.assign_unit", model, units=[length])
    context = api("context.add_context", model, context_type="Model")
    body = api("context.add_context", model, context_type="Model", context_identifier="Body", target_view="MODEL_VIEW", parent=context)  # fmt: skip
    if place:
        api("georeference.add_georeferencing", model)
        api("georeference.edit_georeferencing", model, projected_crs={"Name": "EPSG:32635"},
            coordinate_operation={"Eastings": X * 1000, "Northings": Y * 1000, "OrthogonalHeight": 0.0,
                                  "XAxisAbscissa": 0.0, "XAxisOrdinate": 1.0, "Scale": 1.0})  # fmt: skip
    site = api("root.create_entity", model, ifc_class="IfcSite", name="plot")
    house = api("root.create_entity", model, ifc_class="IfcBuilding", name="house")
    slab = api("root.create_entity", model, ifc_class="IfcSlab", name="slab")
    api("aggregate.assign_object", model, products=[site], relating_object=project)
    api("aggregate.assign_object", model, products=[house], relating_object=site)
    api("spatial.assign_container", model, products=[slab], relating_structure=house)

    def line(*corners):
        points = [
            model.create_entity("IfcCartesianPoint", (float(x), float(y))) for x, y in corners
        ]
        return model.create_entity("IfcPolyline", [*points, points[0]])

    edge = line((-1e5, -1e5), (1e5, -1e5), (1e5, 1e5), (-1e5, 1e5))
    flat = model.create_entity("IfcShapeRepresentation", context, "FootPrint", "Curve2D", [edge])
    site.Representation = model.create_entity("IfcProductDefinitionShape", Representations=[flat])
    axes = model.create_entity("IfcAxis2Placement3D", model.create_entity("IfcCartesianPoint", (0.0, 0.0, 0.0)))  # fmt: skip
    for product in (site, house, slab):
        product.ObjectPlacement = model.create_entity("IfcLocalPlacement", None, axes)
    profile = model.create_entity("IfcArbitraryClosedProfileDef", "AREA", None, line((0, 0), (2e4, 0), (2e4, 1e4), (0, 1e4)))  # fmt: skip
    up = model.create_entity("IfcDirection", (0.0, 0.0, 1.0))
    solid = model.create_entity("IfcExtrudedAreaSolid", profile, axes, up, 9000.0)
    shape = model.create_entity("IfcShapeRepresentation", body, "Body", "SweptSolid", [solid])
    slab.Representation = model.create_entity("IfcProductDefinitionShape", Representations=[shape])
    model.write(str(path))
    return path


def test_a_building_model_of_others_is_placed_turned_and_scaled(tmp_path):
    plan, heard = read(foreign_ifc(tmp_path / "a.ifc"))
    assert plan.crs == CRS and plan.site.area == pytest.approx(40_000)
    house = shapely.box(X - 10, Y, X, Y + 20)  # turned a quarter to the left
    assert shapely.hausdorff_distance(plan.buildings.geometry.iloc[0], house) < 1e-3
    assert plan.buildings["height_m"].tolist() == pytest.approx([9])
    assert heard == ["a.ifc: buildings house: no footprint, that of their slabs taken"]
    with pytest.raises(InputError, match="a.ifc: no coordinate system; export it with IfcMapConv"):
        read(foreign_ifc(tmp_path / "a.ifc", place=False))
