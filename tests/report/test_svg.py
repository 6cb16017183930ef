import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import shapely
from report_schemes import FRAME, site_uv

from fabricgen.plan import empty_plan
from fabricgen.report import plan_svg
from fabricgen.report.draw import background, draw, view_of
from fabricgen.report.svg import bar_length_m

SVG = "{http://www.w3.org/2000/svg}"


def rings_of(svg, name):
    """The rings of a mark's path as arrays of points."""
    paths = [p for p in ET.fromstring(svg).iter(f"{SVG}path") if p.get("class") == name]
    assert len(paths) == 1
    rings = re.findall(r"M([^MZ]+)Z", paths[0].get("d"))
    return [np.array([xy.split(" ") for xy in ring.split("L")], dtype=float) for ring in rings]


def signed_area(ring):
    x, y = ring.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))


def test_buildings_are_drawn_at_their_true_size_with_courts_left_open(schemes):
    plan = schemes[0].plan
    rings = rings_of(plan_svg(plan, frame=FRAME), "buildings")
    # Outer rings and holes run opposite ways, so that their signed areas add up.
    assert abs(sum(map(signed_area, rings))) == pytest.approx(plan.buildings.area.sum(), rel=0.003)
    assert len(rings) == len(plan.buildings) + 2


def test_roads_are_drawn_as_wide_as_they_are(schemes):
    plan = schemes[0].plan
    rings = rings_of(plan_svg(plan, frame=FRAME), "roads")
    assert abs(sum(map(signed_area, rings))) == pytest.approx(plan.carriageways.area, rel=0.005)


def test_floors_stand_inside_their_buildings(schemes):
    plan = schemes[0].plan
    view = view_of(plan, FRAME)
    labels = draw(plan, view).labels
    walls = view.flat(plan.buildings.geometry.to_numpy())
    assert [label.text for label in labels] == [f"{n:.0f}" for n in plan.buildings["floors"]]
    for label, wall in zip(labels, walls, strict=True):
        assert wall.contains(shapely.Point(label.x_m, label.y_m).buffer(0.3 * label.height_m))


def test_the_sheet_turns_with_its_frame_and_the_arrow_against_it(schemes):
    plan = schemes[0].plan
    assert f"rotate({-FRAME.angle_deg:.1f})" in plan_svg(plan, frame=FRAME)
    assert "rotate(0.0)" in plan_svg(plan).replace("-0.0", "0.0")
    # In the frame the site has the coordinates in which it was drawn.
    view = view_of(plan, FRAME)
    flat = shapely.affinity.translate(view.flat(plan.site), view.left_m, view.top_m)
    assert flat.symmetric_difference(site_uv()).area < 0.01


def test_up_is_north_without_a_frame(schemes):
    plan = schemes[0].plan
    view = view_of(plan)
    highest = max(plan.buildings.centroid, key=lambda point: point.y)
    places = view.flat(plan.buildings.centroid.to_numpy())
    assert view.flat(highest).y == pytest.approx(min(place.y for place in places))


def test_surroundings_are_pale_and_never_on_the_site(schemes, surroundings):
    plan = schemes[0].plan
    view = view_of(plan, FRAME)
    site = view.flat(plan.site)
    marks = background(plan, view, surroundings)
    names = [mark.name for mark in marks]
    assert names[0] == "sheet" and set(names[1:]) == {
        "around_green", "around_water", "around_roads", "around_buildings",
    }  # fmt: skip
    for mark in marks[1:]:
        assert shapely.union_all(mark.shapes).intersection(site).area < 0.5
        red, green, blue = (int(mark.style.fill[k : k + 2], 16) for k in (1, 3, 5))
        assert min(red, green, blue) > 190


def test_an_empty_site_is_drawn(schemes):
    svg = plan_svg(empty_plan(schemes[0].plan.site, FRAME.crs))
    classes = {p.get("class") for p in ET.fromstring(svg).iter(f"{SVG}path") if p.get("class")}
    assert classes == {"sheet", "bare", "site"}


def test_titles_are_escaped(schemes):
    svg = plan_svg(empty_plan(schemes[0].plan.site, FRAME.crs), title='a <b> & "c"')
    assert ET.fromstring(svg).find(f"{SVG}title").text == 'a <b> & "c"'


@pytest.mark.parametrize(("width_m", "length_m"), [(12, 5), (256, 50), (700, 200), (40, 10)])
def test_the_scale_bar_is_a_round_length(width_m, length_m):
    assert bar_length_m(width_m) == length_m
