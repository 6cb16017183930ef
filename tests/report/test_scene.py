"""The 3D view: its geometry is the plan's, its sun is the evaluator's, its page needs nothing."""

import base64
import gzip
import json
import math
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import report_schemes as made
import shapely
from pyproj import Proj

from fabricgen.carbon.sun import sun_at
from fabricgen.form.indicators import STOREY_M
from fabricgen.layout import Frame
from fabricgen.report.page import shipped
from fabricgen.report.scene import scene_of, scene_values


@pytest.fixture(scope="module")
def plans(schemes):
    return [(scheme.name, scheme.plan) for scheme in schemes[:3]]


@pytest.fixture(scope="module")
def scene(plans, surroundings):
    made_scene = scene_of(plans, made.FRAME, surroundings=surroundings)
    return json.loads(json.dumps(made_scene))


def shape_of(polygon, unit_m):
    rings = [np.array(ring).reshape(-1, 2) * unit_m for ring in polygon]
    return shapely.Polygon(rings[0], rings[1:])


def test_volumes_of_the_scene_are_footprint_times_height(scene, plans):
    for told, (_, plan) in zip(scene["schemes"], plans, strict=True):
        assert len(told["buildings"]) == len(plan.buildings)
        table = plan.buildings
        for item, wall, height_m in zip(
            told["buildings"], table.geometry, table["height_m"], strict=True
        ):
            area_m2 = sum(shape_of(p, scene["unit_m"]).area for p in item["p"])
            assert area_m2 * item["h"] == pytest.approx(wall.area * height_m, rel=2e-3)


def test_the_scene_stands_in_the_middle_of_its_site(scene, plans):
    site = shapely.union_all([shape_of(p, scene["unit_m"]) for p in scene["site"]])
    assert site.area == pytest.approx(plans[0][1].site.area, rel=1e-3)
    left, top, right, bottom = site.bounds
    assert abs(left + right) < 0.1 and abs(top + bottom) < 0.1
    for item in scene["schemes"][0]["buildings"]:
        assert site.buffer(0.1).covers(shape_of(item["p"][0], scene["unit_m"]))


def test_outer_rings_and_holes_turn_opposite_ways(scene):
    items = [b for s in scene["schemes"] for b in s["buildings"]] + scene["around_buildings"]
    holes = 0
    for polygon in (p for item in items for p in item["p"]):
        turns = [shapely.LinearRing(np.array(ring).reshape(-1, 2)).is_ccw for ring in polygon]
        assert turns[0] and not any(turns[1:])
        holes += len(turns) - 1
    assert holes > 0


def test_each_tree_stands_where_the_plan_says(scene, plans):
    view_turn = math.radians(made.FRAME.angle_deg)
    rows = np.array(scene["schemes"][0]["trees"]) * scene["unit_m"]
    plan = plans[0][1]
    assert np.allclose(rows[:, 2], plan.trees["crown_m"], atol=0.006)
    xy = shapely.get_coordinates(plan.trees.geometry)
    apart = xy - xy[0]
    # By hand: the sheet's right points east turned by the frame's angle, its down points south.
    right = np.array([math.cos(view_turn), -math.sin(view_turn)])
    down = np.array([-math.sin(view_turn), -math.cos(view_turn)])
    assert np.allclose(rows[:, 0] - rows[0, 0], apart @ right, atol=0.02)
    assert np.allclose(rows[:, 1] - rows[0, 1], apart @ down, atol=0.02)


def test_buildings_of_the_surroundings_keep_their_floors_and_leave_the_site(scene):
    assert scene["around_buildings"]
    assert {item["h"] % STOREY_M for item in scene["around_buildings"]} == {0.0}
    site = shapely.union_all([shape_of(p, scene["unit_m"]) for p in scene["site"]])
    for item in scene["around_buildings"]:
        shape = shapely.union_all([shape_of(p, scene["unit_m"]) for p in item["p"]])
        assert shape.intersection(site).area < 0.05 * shape.area


def test_what_the_site_takes_most_of_does_not_stand(plans, surroundings):
    edge = plans[0][1].site.boundary.interpolate(30.0)
    inward = plans[0][1].site.centroid
    middle = shapely.line_interpolate_point(shapely.LineString([edge, inward]), 3.0)
    houses = surroundings["buildings"]
    houses = houses.iloc[:1].assign(geometry=[middle.buffer(8.0)])
    told = scene_of(plans[:1], made.FRAME, surroundings={**surroundings, "buildings": houses})
    assert told["around_buildings"] == []


def test_unknown_heights_are_drawn_as_asked_and_counted(plans):
    name, plan = plans[0]
    table = plan.buildings.assign(height_m=np.nan, floors=np.nan)
    table.loc[table.index[0], "floors"] = 4
    told = scene_of(
        [(name, replace(plan, buildings=table))], made.FRAME, unknown_heights_m={name: 7.5}
    )
    heights = [item["h"] for item in told["schemes"][0]["buildings"]]
    assert heights == [4 * STOREY_M] + [7.5] * (len(table) - 1)
    assert told["unknown_heights"] == len(table)


def test_canopy_without_a_stem_is_a_body_and_with_one_is_trees(plans):
    name, plan = plans[0]
    bare = replace(plan, trees=plan.trees.iloc[:0])
    patches = plan.green[plan.green["kind"] == "tree"]
    told = scene_of([(name, bare)], made.FRAME)["schemes"][0]
    area_m2 = sum(shape_of(p, 0.01).area for item in told["canopy"] for p in item["p"])
    assert area_m2 == pytest.approx(patches.area.sum(), rel=0.03) and told["trees"] == []


def test_many_uses_share_colors_and_unknown_ones_are_told(plans):
    name, plan = plans[0]
    uses = [f"use {n}" for n in range(len(plan.buildings))]
    uses[0] = ""
    told = scene_of(
        [(name, replace(plan, buildings=plan.buildings.assign(use=uses)))], made.FRAME
    )  # fmt: skip
    labels = [use["label"] for use in told["uses"]]
    assert len(labels) <= 8 and labels[-1] == "use not told"
    assert told["schemes"][0]["buildings"][0]["u"] == len(labels) - 1


def test_true_north_on_the_sheet_is_the_frame_s_turn_and_the_grid_s_convergence(plans):
    plan = plans[0][1]
    told = scene_of(plans[:1], made.FRAME)
    proj = Proj(plan.crs)
    middle = plan.site.centroid
    lon_deg, lat_deg = proj(middle.x, middle.y, inverse=True)
    assert told["latitude_deg"] == pytest.approx(lat_deg, abs=1e-3)
    convergence_deg = proj.get_factors(lon_deg, lat_deg).meridian_convergence
    assert abs(convergence_deg) > 0.5  # or the test could not fail
    # Grid north lies east of true north by the convergence: true north is that far to its left.
    expected = -made.FRAME.angle_deg - convergence_deg
    assert told["north_deg"] == pytest.approx(expected, abs=0.02)


def test_declinations_are_the_evaluator_s(scene):
    by_hand = [23.45 * math.sin(2 * math.pi * (284 + day) / 365) for day in range(1, 366)]
    assert np.allclose(scene["declination_deg"], by_hand, atol=0.001)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node to run the page's script")
def test_the_page_s_sun_is_the_evaluator_s_and_stands_rightly_on_the_sheet():
    """The script's vector against `sun_at`, turned to the sheet by plain trigonometry."""
    cases = [
        (latitude, day, hour, north)
        for latitude in (60.17, 0.0, -33.9, 78.0)
        for day in (1, 80, 172, 355)
        for hour in (3.25, 9.0, 12.0, 17.5)
        for north in (0.0, 34.2, -120.0)
    ]
    tilts = [sun_at(90.0, day, 12.0)[1] for _, day, _, _ in cases]
    asked = [[lat, tilt, h, n] for (lat, _, h, n), tilt in zip(cases, tilts, strict=True)]
    code = (
        "const fs = require('fs'), vm = require('vm');"
        "const [script, cases] = JSON.parse(fs.readFileSync(0));"
        "vm.runInThisContext(script);"
        "console.log(JSON.stringify(cases.map(([a, b, c, n]) => onSheet(sunDirection(a, b, c), n))))"
    )
    done = subprocess.run(
        ["node", "-e", code], input=json.dumps([shipped("scene.js"), asked]),
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    for (latitude, day, hour, north), found in zip(cases, json.loads(done.stdout), strict=True):
        azimuth_deg, altitude_deg = sun_at(latitude, day, hour)
        bearing = math.radians(azimuth_deg + north)  # on the sheet, clockwise from its upper edge
        flat = math.cos(math.radians(altitude_deg))
        expected = [
            flat * math.sin(bearing), math.sin(math.radians(altitude_deg)),
            -flat * math.cos(bearing),
        ]  # fmt: skip
        assert np.allclose(found, expected, atol=1e-9)


def test_the_library_comes_whole_with_its_license_and_all_that_the_script_asks_of_it(plans):
    values = scene_values(plans, made.FRAME)
    code = gzip.decompress(base64.b64decode(values["scene_library"])).decode()
    assert code == shipped("three.min.js")
    assert "MIT License" in code and "Copyright © 2010-2026 three.js authors" in code
    asked = set(re.findall(r"THREE\.([A-Z]\w+)", shipped("scene.js")))
    for name in asked:
        assert re.search(rf"\b{name}:\(\)=>", code), name


def test_the_page_holds_the_view_once_and_asks_nothing_of_the_net(tmp_path, schemes, run):
    from fabricgen.report import write_report

    write_report(schemes, tmp_path / "report.html", run=run)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count('class="library"') == page.count("<canvas") == 1
    script = shipped("scene.js")
    assert not re.search(r"https?://|fetch\(|import\(|XMLHttpRequest", script)
    assert page.count("<option") == len(schemes)


def test_names_and_uses_cannot_become_markup(plans):
    name, plan = "</script><b>", plans[0][1]
    table = plan.buildings.assign(use="</script><img src=x>")
    values = scene_values([(name, replace(plan, buildings=table))], made.FRAME)
    text = str(values["scene_json"])
    assert "<" not in text
    told = json.loads(text)
    assert told["schemes"][0]["name"] == name and told["uses"][0]["label"].startswith("</script>")


def test_a_frame_of_its_own_size_leaves_room_for_shadows(plans):
    plan = plans[0][1]
    left, bottom, right, top = plan.site.bounds
    frame = Frame(plan.crs, left, top, 0.0, 1.0, math.ceil(top - bottom), math.ceil(right - left))
    told = scene_of(plans[:1], frame)
    sheet = shape_of(told["around"][0]["p"][0], told["unit_m"])
    site = shapely.union_all([shape_of(p, told["unit_m"]) for p in told["site"]])
    assert sheet.buffer(-39.9).covers(site)
