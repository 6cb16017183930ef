"""Any plan through every format: it comes back, and others find nothing wrong with it."""

import json
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing

import ezdxf
import hypothesis.strategies as st
import ifcopenshell
import ifcopenshell.validate
import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from shapely import affinity

from fabricgen.cli.app import main
from fabricgen.cli.export import FORMATS
from fabricgen.design.candidates import ScoreSettings, score_files
from fabricgen.exchange import read_plan, write_plan
from fabricgen.plan import LAYERS, TEXT_COLUMNS, Plan, check_plan, layer
from tests.exchange.conftest import CRS, X, Y

VECTOR = (".gpkg", ".geojson", ".parquet", ".dxf", ".city.json", ".ifc")
CELL_M, CELLS = 24.0, 4
SNAP_M = 1e-3  # closer corners are the same to validators
# In a process of its own: cjio rounds the numbers that Python's json writes everywhere.
CJIO = """
import sys
from cjio import cityjson
model = cityjson.reader(open(sys.argv[1], encoding="utf-8"))
print(model.get_epsg(), model.get_version(), model.remove_duplicate_vertices(), model.remove_orphan_vertices())
"""
SIGNS = st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp", "Cn"))
NAMES = st.lists(st.text(SIGNS, min_size=1, max_size=12), min_size=40, max_size=40, unique=True)


def cell(n, inset=0.0):
    u, v = n % CELLS * CELL_M, n // CELLS * CELL_M
    return shapely.box(u + inset, v + inset, u + CELL_M - inset, v + CELL_M - inset)


@st.composite
def footprints(draw, n):
    """A house, a courtyard, a corner, a round one, or two of a row that share a wall."""
    kind = draw(st.sampled_from(["house", "court", "corner", "round", "row", "pinched"]))
    whole = cell(n, draw(st.sampled_from([0.0, 1.5, 3.25])))
    u0, v0, u1, v1 = whole.bounds
    if kind == "court":
        return [whole.difference(whole.buffer(-draw(st.floats(3, 6)), join_style="mitre"))]
    if kind == "corner":
        return [whole.difference(shapely.box(u0 + 7, v0 + 6, u1, v1))]
    if kind == "round":
        return [shapely.Point((u0 + u1) / 2, (v0 + v1) / 2).buffer(7, quad_segs=5)]
    if kind == "row":
        wall = draw(st.floats(0.3, 0.7)) * (u1 - u0) + u0
        return [shapely.box(u0, v0, wall, v1), shapely.box(wall, v0, u1, v1)]
    if kind == "pinched":
        yard = [(u0, v0), (u0 + 6, v0 + 3), (u0 + 6, v0 + 8)]
        return [shapely.Polygon(whole.exterior, [yard])]
    return [whole]


@st.composite
def plans(draw):
    """Houses of many forms on a grid, streets, grounds and trees between, turned anyhow."""
    names = iter(draw(NAMES))
    angle = draw(st.sampled_from([0.0, 17.3, 45.0, 89.9]))
    shift = draw(st.tuples(st.floats(0, 900), st.floats(0, 900)))

    def place(shape):
        return affinity.translate(
            affinity.rotate(shape, angle, origin=(48, 48)), X + shift[0], Y + shift[1]
        )

    def row(shape, **said):
        return {
            "id": next(names),
            "source": draw(st.sampled_from(["", "测试 ü"])),
            **said,
            "geometry": place(shape),
        }

    rows = {name: [] for name in LAYERS}
    for n in range(CELLS * (CELLS - 1)):
        for shape in draw(footprints(n)):
            said = {"use": draw(st.sampled_from(["", "residential"]))}
            said["height_m"] = draw(st.sampled_from([np.nan, 3.0, 12.75, 100.0]))
            said["floors"] = draw(st.sampled_from([np.nan, 1.0, 4.0]))
            made = row(shape, **said)
            rows["buildings"].append({**made, "footprint_m2": made["geometry"].area})
    free = (CELLS - 1) * CELL_M
    rows["roads"] = [
        row(
            shapely.LineString([(0, free + 5), (50, free + 5.5), (96, free + 5)]),
            kind="local",
            width_m=6.5,
        )
    ]
    rows["paved"] = [row(shapely.box(1, free + 9, 20, free + 12), kind="yard")]
    rows["water"] = [row(shapely.box(30, free + 10, 40, free + 14), kind="water")]
    lawn = shapely.box(50, free + 10, 90, free + 20)
    bed = shapely.box(60, free + 12, 65, free + 15)
    rows["green"] = [row(lawn.difference(bed), kind="grass"), row(bed, kind="shrub")]
    rows["trees"] = [
        row(
            shapely.Point(70, free + 15),
            crown_m=draw(st.sampled_from([np.nan, 4.5])),
            height_m=draw(st.sampled_from([np.nan, 7.0])),
        )
    ]
    whole = place(shapely.box(0, 0, CELLS * CELL_M, CELLS * CELL_M))
    return check_plan(
        Plan(whole, CRS, **{name: layer(name, CRS, found) for name, found in rows.items()})
    )


quick = settings(
    max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


def assert_same(mine, theirs, *, within_m, order=True):
    """Two plans with the same features, whatever their order."""
    assert theirs.crs == mine.crs
    assert shapely.hausdorff_distance(mine.site, theirs.site) <= within_m
    for name, columns in LAYERS.items():
        one, other = (getattr(p, name).set_index("id", drop=False) for p in (mine, theirs))
        assert sorted(one.index) == sorted(other.index), name
        other = other.loc[one.index]
        apart = shapely.hausdorff_distance(one.geometry.to_numpy(), other.geometry.to_numpy())
        assert (apart <= within_m).all(), name
        assert shapely.area(one.geometry.to_numpy()) == pytest.approx(
            shapely.area(other.geometry.to_numpy()), rel=1e-6
        )
        for column in columns:
            want, got = one[column].tolist(), other[column].tolist()
            if column in TEXT_COLUMNS:
                assert got == want
            else:
                assert got == pytest.approx(want, rel=1e-6, nan_ok=True), (name, column)


@given(plan=plans())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_plan_comes_back_from_a_geopackage_as_it_was(tmp_path_factory, plan):
    path = tmp_path_factory.mktemp("gpkg") / "a.gpkg"
    write_plan(plan, path)
    again = read_plan(path)
    assert again.site.equals_exact(plan.site, 0)
    for name in LAYERS:
        mine, theirs = getattr(plan, name), getattr(again, name)
        assert theirs.drop(columns="geometry").equals(mine.drop(columns="geometry"))
        assert shapely.equals_exact(mine.geometry.to_numpy(), theirs.geometry.to_numpy(), 0).all()


@pytest.mark.parametrize("suffix", [suffix for suffix in VECTOR if suffix != ".gpkg"])
@given(plan=plans())
@quick
def test_any_plan_comes_back_from_any_format(tmp_path_factory, suffix, plan):
    pinched = suffix == ".city.json"  # its rings that touch stand in several parts
    if pinched:
        houses = [unpinched(shape) for shape in plan.buildings.geometry]
        plan = Plan(
            plan.site,
            plan.crs,
            **{
                **{n: getattr(plan, n) for n in LAYERS},
                "buildings": plan.buildings[houses].reset_index(drop=True),
            },
        )
    path = tmp_path_factory.mktemp("any") / f"a{suffix}"
    write_plan(plan, path)
    heard = []
    assert_same(plan, read_plan(path, on_remark=heard.append), within_m=1e-6)
    assert not [one for one in heard if "neither height nor floors" not in one]


def unpinched(shape):
    corners = np.concatenate(
        [shapely.get_coordinates(ring)[:-1] for ring in (shape.exterior, *shape.interiors)]
    )
    return len(np.unique(corners, axis=0)) == len(corners)


def faults(shell, places):
    """What a validator after ISO 19107 finds wrong with a shell, by the names of val3dity."""
    found = Counter()
    edges = Counter()
    volume = 0.0
    for face in shell:
        corners = [places[ring] for ring in face]
        normal = sum(np.cross(c - c[0], np.roll(c - c[0], -1, axis=0)).sum(axis=0) for c in corners)
        size = np.linalg.norm(normal)
        if size == 0:
            found["105 collapsed"] += 1
            continue
        normal = normal / size
        volume += float((corners[0][0] - places[0]) @ normal) * size / 6
        flat = np.concatenate([(c - corners[0][0]) @ normal for c in corners])
        found["203 not planar"] += bool(np.abs(flat).max() > SNAP_M)
        basis = np.linalg.svd(normal[None])[2][1:]
        if basis[0] @ np.cross(basis[1], normal) < 0:
            basis = basis[::-1]
        rings = [shapely.LinearRing((c - corners[0][0]) @ basis.T) for c in corners]
        found["104 crosses itself"] += not all(ring.is_simple for ring in rings)
        found["201 rings cross"] += not shapely.Polygon(rings[0], rings[1:]).is_valid
        found["208 turned ring"] += any(ring.is_ccw == rings[0].is_ccw for ring in rings[1:])
        for ring, corner in zip(face, corners, strict=True):
            found["101 too few points"] += len(ring) < 3
            steps = np.linalg.norm(corner - np.roll(corner, -1, axis=0), axis=1)
            found["102 same points"] += bool((steps < SNAP_M).any())
            edges.update(zip(ring, [*ring[1:], ring[0]], strict=True))
    found["303 not a manifold"] += any(count > 1 for count in edges.values())
    found["302 not closed"] += any((b, a) not in edges for a, b in edges)
    found["405 inside out"] += volume <= 0
    return {what: count for what, count in found.items() if count}


def test_the_checker_of_solids_finds_faults():
    places = np.array(
        [(u, v, z) for z in (0, 3) for u, v in ((0, 0), (5, 0), (5, 4), (0, 4))], float
    )
    shell = [
        [[3, 2, 1, 0]],
        [[4, 5, 6, 7]],
        *([[n, (n + 1) % 4, (n + 1) % 4 + 4, n + 4]] for n in range(4)),
    ]
    assert faults(shell, places) == {}
    assert set(faults(shell[1:], places)) == {"302 not closed"}
    assert set(faults([[shell[0][0][::-1]], *shell[1:]], places)) >= {"302 not closed"}
    assert set(faults([[ring[::-1] for ring in face] for face in shell], places)) == {
        "405 inside out"
    }
    bent = places.copy()
    bent[6, 2] += 0.1
    assert "203 not planar" in faults(shell, bent)


@given(plan=plans())
@quick
def test_solids_of_any_plan_are_valid(tmp_path_factory, plan):
    path = tmp_path_factory.mktemp("solid") / "a.city.json"
    write_plan(plan, path)
    model = json.loads(path.read_text(encoding="utf-8"))
    places = np.array(model["vertices"]) * model["transform"]["scale"]
    volume = 0.0
    for name, one in model["CityObjects"].items():
        for geometry in one["geometry"]:
            if geometry["type"] == "Solid":
                assert faults(geometry["boundaries"][0], places) == {}, name
                volume += volume_of(geometry["boundaries"][0], places)
    heights = plan.buildings["height_m"].fillna(plan.buildings["floors"] * 3).fillna(0)
    assert volume == pytest.approx((plan.buildings.area * heights).sum(), rel=1e-3)


def volume_of(shell, places):
    total = 0.0
    for face in shell:
        for ring in face:
            c = places[ring] - places[0]
            total += sum(np.dot(c[0], np.cross(c[n], c[n + 1])) for n in range(1, len(c) - 1)) / 6
    return total


@pytest.fixture
def exported(tmp_path, plan):
    write_plan(plan, tmp_path / "one.gpkg")
    words = [
        "export",
        str(tmp_path / "one.gpkg"),
        "--to",
        ",".join(FORMATS),
        "--out",
        str(tmp_path / "out"),
        "-q",
    ]
    assert main(words) == 0
    return tmp_path / "out"


def check_exports(folder):
    """Every file of a folder by the programs of others."""
    (path,) = folder.glob("*.dxf")
    audit = ezdxf.readfile(path).audit()
    assert not audit.errors and not audit.fixes
    assert pyogrio.list_layers(path)[0][0] == "entities"
    (path,) = folder.glob("*.ifc")
    log = ifcopenshell.validate.json_logger()
    ifcopenshell.validate.validate(ifcopenshell.open(path), log, express_rules=True)
    assert log.statements == []
    (path,) = folder.glob("*.city.json")
    done = subprocess.run(
        [sys.executable, "-c", CJIO, path], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["32635", "2.0", "0", "0"], done.stderr
    (path,) = folder.glob("*.gpkg")
    with closing(sqlite3.connect(path)) as base:
        styled = {name for (name,) in base.execute("SELECT f_table_name FROM layer_styles")}
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert styled >= {"site", *LAYERS}
    assert pyogrio.read_info(path, layer="buildings")["features"]
    (path,) = folder.glob("*.geojson")
    assert pyogrio.read_info(path)["features"]


def check_scores(folder):
    """What comes back is counted alike: vectors within 1e-6, pixels within 1 %."""
    paths = sorted(folder.iterdir())
    assert len(paths) == len(FORMATS)
    scored = {
        one.candidate.file: one for one in score_files(paths, settings=ScoreSettings(draws=2))
    }
    first = next(one for name, one in scored.items() if name.endswith(".gpkg"))
    for name, one in scored.items():
        within = 1e-2 if name.endswith(".tif") else 1e-6
        pairs = zip(first.score.ledger.entries, one.score.ledger.entries, strict=True)
        for mine, theirs in pairs:
            assert theirs.name == mine.name
            assert float(theirs.amount) == pytest.approx(float(mine.amount), rel=within), (
                name,
                mine.name,
            )


rules = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # the checkers leave files open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # GDAL's, of DXF without a system
]


def checked(test):
    for rule in rules:
        test = rule(test)
    return test


@checked
def test_programs_of_others_find_nothing_wrong(exported):
    check_exports(exported)


def test_every_format_is_counted_alike(exported):
    check_scores(exported)


@pytest.mark.slow
@checked
def test_a_generated_scheme_goes_through_every_format(tmp_path):
    assert main(["demo", "--count", "1", "--out", str(tmp_path / "demo"), "-q"]) == 0
    out = tmp_path / "out"
    words = ["--to", ",".join(FORMATS), "--out", str(out), "-q"]
    assert main(["export", str(tmp_path / "demo" / "schemes.gpkg"), *words]) == 0
    check_exports(out)
    check_scores(out)
