"""Drawings and city models hold the plan: audited, valid, closed, the right way out, to a millimeter."""

import gzip
import json
import sys
from collections import Counter
from pathlib import Path

import ezdxf
import ifcopenshell
import ifcopenshell.geom
import ifcopenshell.validate
import jsonschema
import numpy as np
import pytest
import shapely
from shapely import affinity

from fabricgen.errors import MissingDependencyError
from fabricgen.exchange import write_plan
from fabricgen.exchange.dxf import APP, CAD_LAYERS, CAD_NAMES
from fabricgen.plan import LAYERS, Plan

SCHEMA = Path(__file__).parent / "data" / "cityjson-2.0.2.min.schema.json.gz"
MILLIMETER = 1e-3
META = {"attribution": "© OpenStreetMap contributors"}


@pytest.fixture
def odd(plan):
    """The plan turned, with a courtyard, a house known by its floors alone and one by nothing."""
    middle = plan.site.centroid

    def turn(shape):
        return affinity.rotate(shape, 17.3, origin=middle)

    tables = {name: getattr(plan, name).copy() for name in LAYERS}
    houses = tables["buildings"]
    first = houses.geometry.iloc[0]
    yard = shapely.box(*first.buffer(-3, join_style="mitre").bounds)
    houses.loc[0, "geometry"] = first.difference(yard)
    houses.loc[1, "height_m"] = np.nan
    third = houses.iloc[1].copy()
    third["id"], third["floors"] = "b3", np.nan
    third["geometry"] = affinity.translate(third.geometry, 0, 12)
    houses.loc[2] = third
    for table in tables.values():
        table["geometry"] = [turn(shape) for shape in table.geometry]
    return Plan(turn(plan.site), plan.crs, **tables)


@pytest.fixture
def drawing(tmp_path, odd):
    remarks = write_plan(odd, tmp_path / "one.dxf", extra=META)
    return ezdxf.readfile(tmp_path / "one.dxf"), remarks


def said(entity):
    return dict(value.split("=", 1) for _, value in entity.get_xdata(APP))


def polygons(entities, origin):
    """Polygons from rings, joined by the id in their extended data."""
    found = {}
    for entity in entities:
        points = np.array([point[:2] for point in entity.get_points()]) + origin
        row = said(entity)
        found.setdefault(row["id"], {"outer": [], "inner": []})[row["ring"]].append(points)
    return {key: shapely.Polygon(r["outer"][0], r["inner"]) for key, r in found.items()}


def test_an_audit_finds_nothing_and_the_unit_is_the_meter(drawing):
    document, _ = drawing
    audit = document.audit()
    assert not audit.errors and not audit.fixes
    assert document.header["$INSUNITS"] == 6 and document.header["$MEASUREMENT"] == 1
    used = {entity.dxf.layer for entity in document.modelspace()}
    assert used <= set(CAD_LAYERS) and {CAD_NAMES[n] for n in ("buildings", "roads")} <= used
    assert all(
        layer.dxf.name in CAD_LAYERS or layer.dxf.name in "0 Defpoints" for layer in document.layers
    )


def test_outlines_are_closed_extruded_and_within_a_millimeter(drawing, odd):
    document, remarks = drawing
    said_of_it = dict(document.header.custom_vars.properties)
    origin = np.array([float(said_of_it[f"fabricgen origin_{a}_m"]) for a in "xy"])
    assert (origin % 100 == 0).all() and (np.abs(odd.site.bounds[:2] - origin) < 100).all()
    space = document.modelspace()
    for name in ("buildings", "paved", "water"):
        entities = space.query(f'LWPOLYLINE[layer=="{CAD_NAMES[name]}"]')
        assert all(entity.closed for entity in entities)
        drawn = polygons(entities, origin)
        for row in getattr(odd, name).itertuples():
            assert shapely.hausdorff_distance(drawn[row.id], row.geometry) < MILLIMETER
            assert len(drawn[row.id].interiors) == len(row.geometry.interiors)
    houses = space.query(f'LWPOLYLINE[layer=="{CAD_NAMES["buildings"]}"]')
    assert {said(e)["id"]: e.dxf.thickness for e in houses} == {"b1": 12.0, "b2": 6.0, "b3": 0.0}
    assert all(tuple(entity.dxf.extrusion) == (0, 0, 1) for entity in houses)
    assert remarks == [
        f"local origin at {origin[0]:.0f}, {origin[1]:.0f} of EPSG:32635; move the drawing there to place it",
        "buildings b3: no height, drawn flat",
    ]
    (note,) = space.query("TEXT")
    assert (
        note.dxf.text
        == f"Local origin: x {origin[0]:.0f} m, y {origin[1]:.0f} m, EPSG:32635. Unit: meter."
    )


def test_streets_have_their_width_and_trees_their_crown(drawing, odd):
    space = drawing[0].modelspace()
    widths = {said(e)["id"]: e.dxf.const_width for e in space.query('*[layer=="C-ROAD-CNTR"]')}
    assert widths == {"r1": 7.0, "r2": 2.5}
    (tree,) = space.query("CIRCLE")
    assert (tree.dxf.radius, tree.dxf.thickness, tree.dxf.layer) == (3.0, 8.0, "L-PLNT-TREE")


def test_small_coordinates_are_not_shifted(tmp_path, plan):
    tables = {
        name: getattr(plan, name).assign(
            geometry=getattr(plan, name).translate(-385_000, -6_672_000)
        )
        for name in LAYERS
    }
    near = Plan(affinity.translate(plan.site, -385_000, -6_672_000), plan.crs, **tables)
    assert write_plan(near, tmp_path / "near.dxf") == []


def test_without_the_package_one_line_says_what_to_install(tmp_path, plan, monkeypatch):
    monkeypatch.setitem(sys.modules, "ezdxf", None)
    with pytest.raises(
        MissingDependencyError,
        match=r"ezdxf, which is not installed; pip install 'fabricgen\[cad\]'",
    ) as caught:
        write_plan(plan, tmp_path / "one.dxf")
    assert caught.value.exit_code == 3 and not list(tmp_path.iterdir())


@pytest.fixture
def model(tmp_path, odd):
    remarks = write_plan(odd, tmp_path / "one.city.json", extra=META)
    assert remarks == ["buildings b3: no height, drawn flat"]
    return json.loads((tmp_path / "one.city.json").read_text(encoding="utf-8"))


def places(model):
    scale, shift = (np.array(model["transform"][key]) for key in ("scale", "translate"))
    return np.array(model["vertices"]) * scale + shift


def newell(ring):
    """Normal of a closed ring (N, 3) with its area as length."""
    return np.cross(ring, np.roll(ring, -1, axis=0)).sum(axis=0) / 2


def test_the_model_is_valid_by_the_official_schema(model):
    schema = json.loads(gzip.decompress(SCHEMA.read_bytes()))
    jsonschema.Draft7Validator(schema).validate(model)
    assert model["metadata"]["referenceSystem"] == "https://www.opengis.net/def/crs/EPSG/0/32635"
    kinds = Counter(one["type"] for one in model["CityObjects"].values())
    assert kinds == {
        "Building": 3, "Road": 2, "LandUse": 2, "WaterBody": 1, "PlantCover": 2,
        "SolitaryVegetationObject": 1,
    }  # fmt: skip
    used = set()

    def walk(boundaries):
        for one in boundaries:
            walk(one) if isinstance(one, list) else used.add(one)

    for one in model["CityObjects"].values():
        for geometry in one["geometry"]:
            walk(geometry["boundaries"])
    assert used == set(range(len(model["vertices"])))  # none lost, none idle
    assert len({tuple(v) for v in model["vertices"]}) == len(model["vertices"])


def test_solids_are_closed_with_normals_out_and_the_right_volume(model, odd):
    where = places(model)
    middle = where.mean(axis=0)
    for house, height in (("b1", 12.0), ("b2", 6.0)):
        shape = odd.buildings.set_index("id").geometry[house]
        (geometry,) = model["CityObjects"][f"buildings-{house}"]["geometry"]
        (shell,) = geometry["boundaries"]
        edges = Counter()
        volume = 0.0
        for face, kind in zip(shell, geometry["semantics"]["values"][0], strict=True):
            normal = sum(newell(where[ring] - middle) for ring in face)
            volume += (where[face[0][0]] - middle) @ normal / 3
            flat = np.abs(
                (where[[n for ring in face for n in ring]] - where[face[0][0]]) @ normal
            ) / np.linalg.norm(normal)
            assert flat.max() < MILLIMETER
            for ring in face:
                edges.update(zip(ring, [*ring[1:], ring[0]], strict=True))
            name = geometry["semantics"]["surfaces"][kind]["type"]
            if name == "WallSurface":
                step = where[face[0]].mean(axis=0) + 0.01 * normal / np.linalg.norm(normal)
                assert abs(normal[2]) < 1e-9 and not shape.contains(shapely.Point(step[:2]))
            else:
                assert np.sign(normal[2]) == (1 if name == "RoofSurface" else -1)
                assert abs(normal[2]) == pytest.approx(shape.area, rel=5e-4)
        assert set(edges.values()) == {1} and all((b, a) in edges for a, b in edges)
        assert volume == pytest.approx(shape.area * height, rel=5e-4)


def test_geometry_is_within_a_millimeter_and_attributes_are_named_by_the_format(model, odd):
    where = places(model)
    for row in odd.buildings.itertuples():
        one = model["CityObjects"][f"buildings-{row.id}"]
        (geometry,) = one["geometry"]
        solid = geometry["type"] == "Solid"
        face = geometry["boundaries"][0][1] if solid else geometry["boundaries"][0]
        rings = [where[ring][:, :2] for ring in face]
        assert (
            shapely.hausdorff_distance(shapely.Polygon(rings[0], rings[1:]), row.geometry)
            < MILLIMETER
        )
        attributes = one["attributes"]
        assert attributes.get("measuredHeight", 0) == (12.0 if row.id == "b1" else 0)
        assert solid == (row.id != "b3")
    assert model["CityObjects"]["site"]["attributes"]["provenance"] == META
    assert model["CityObjects"]["trees-t1"]["attributes"]["crownDiameter"] == 6.0


def test_a_neck_thinner_than_a_millimeter_makes_two_closed_solids(tmp_path, plan):
    x, y = 385_060.0, 6_672_062.0
    neck = [(0, 0), (5, 4.9999), (10, 0), (10, 10), (5, 5.0001), (0, 10)]
    houses = plan.buildings.copy()
    houses.loc[0, "geometry"] = shapely.Polygon([(x + u, y + v) for u, v in neck])
    write_plan(
        Plan(plan.site, plan.crs, **{**{n: getattr(plan, n) for n in LAYERS}, "buildings": houses}),
        tmp_path / "n.city.json",
    )
    model = json.loads((tmp_path / "n.city.json").read_text())
    schema = json.loads(gzip.decompress(SCHEMA.read_bytes()))
    jsonschema.Draft7Validator(schema).validate(model)
    whole = model["CityObjects"]["buildings-b1"]
    assert whole["geometry"] == [] and len(whole["children"]) == 2
    for key in whole["children"]:
        assert model["CityObjects"][key]["parents"] == ["buildings-b1"]
        (geometry,) = model["CityObjects"][key]["geometry"]
        (shell,) = geometry["boundaries"]
        edges = Counter(
            e
            for face in shell
            for ring in face
            for e in zip(ring, [*ring[1:], ring[0]], strict=True)
        )
        assert set(edges.values()) == {1} and all((b, a) in edges for a, b in edges)


@pytest.fixture
def storeys(tmp_path, odd):
    remarks = write_plan(odd, tmp_path / "one.ifc", extra=META)
    assert remarks == [
        "buildings b3: no height, drawn flat",
    ]
    return ifcopenshell.open(tmp_path / "one.ifc")


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the checker leaves its rules open
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ifc_breaks_no_rule_of_its_schema(storeys):
    log = ifcopenshell.validate.json_logger()
    ifcopenshell.validate.validate(storeys, log, express_rules=True)
    assert log.statements == []
    assert storeys.schema == "IFC4"
    (target,) = storeys.by_type("IfcProjectedCRS")
    (turn,) = storeys.by_type("IfcMapConversion")
    assert target.Name == "EPSG:32635" and (turn.Eastings % 100, turn.Northings % 100) == (0, 0)


def test_storeys_fill_their_building_by_a_kernel_that_is_not_ours(storeys, odd):
    """Volumes and outlines by OpenCASCADE, as ifcopenshell runs it."""
    options = ifcopenshell.geom.settings()
    options.set("use-world-coords", True)
    (turn,) = storeys.by_type("IfcMapConversion")
    by_building = {building.Name: [] for building in storeys.by_type("IfcBuilding")}
    for kind in ("IfcSlab", "IfcSpace"):
        for part in storeys.by_type(kind):
            made = ifcopenshell.geom.create_shape(options, part).geometry
            corners = np.array(made.verts).reshape(-1, 3)
            faces = corners[np.array(made.faces).reshape(-1, 3)]  # (N, 3, 3)
            volume = np.linalg.det(faces - corners.mean(axis=0)).sum() / 6
            by_building[part.Name.split("/")[0]].append((volume, corners))
    assert {name: len(parts) for name, parts in by_building.items()} == {"b1": 8, "b2": 4, "b3": 0}
    for name, height in (("b1", 12.0), ("b2", 6.0)):
        shape = odd.buildings.set_index("id").geometry[name]
        parts = by_building[name]
        assert sum(volume for volume, _ in parts) == pytest.approx(shape.area * height, rel=1e-6)
        corners = np.vstack([corners for _, corners in parts])
        assert (corners[:, 2].min(), corners[:, 2].max()) == pytest.approx((0, height))
        world = shapely.MultiPoint(corners[:, :2] + [turn.Eastings, turn.Northings])
        ring = shapely.MultiPoint(shapely.get_coordinates(shape))
        assert shapely.hausdorff_distance(world, ring) < MILLIMETER
    levels = sorted(storey.Elevation for storey in storeys.by_type("IfcBuildingStorey"))
    assert levels == pytest.approx([0, 0, 3, 3, 6, 9])


def test_equal_plans_give_equal_ifc_files(tmp_path, odd):
    for name in "ab":
        write_plan(odd, tmp_path / f"{name}.ifc", scheme="s")
    assert (tmp_path / "a.ifc").read_bytes() == (tmp_path / "b.ifc").read_bytes()
