"""Plans: what the contract refuses, and that drawing one keeps its areas."""

from dataclasses import replace

import pandas as pd
import pytest
import shapely
import torch
from shapely.geometry import LineString, Point, box

from fabricgen.city.window import centred_frame
from fabricgen.errors import PlanError
from fabricgen.layout import Frame, harden
from fabricgen.plan import (
    LAYERS,
    Plan,
    check_plan,
    empty_plan,
    layer,
    paint,
    rasterize,
    site_mask,
)
from fabricgen.surfaces import BARE, BIT, BUILDING, GRASS, PAVED, ROAD, SURFACES, TREE, WATER

CRS = "EPSG:32635"
X, Y = 385000.0, 6672000.0  # lower left corner of the site
SITE = box(X, Y, X + 200, Y + 160)


def at(*bounds: float) -> shapely.Polygon:
    """A rectangle in meters from the corner of the site."""
    west, south, east, north = bounds
    return box(X + west, Y + south, X + east, Y + north)


def line(*points: tuple[float, float]) -> LineString:
    return LineString([(X + x, Y + y) for x, y in points])


def point(x: float, y: float) -> Point:
    return Point(X + x, Y + y)


ROWS = {
    "buildings": [
        {"id": "b1", "height_m": 12.0, "floors": 4, "geometry": at(10.5, 100.5, 40, 121)},
        {"id": "b2", "height_m": 21.0, "floors": 7, "geometry": at(90.5, 95.5, 123, 140.5)},
    ],
    "roads": [
        {"id": "r1", "kind": "local", "width_m": 7.0, "geometry": line((0, 60), (200, 60))},
        {"id": "r2", "kind": "path", "width_m": 3.0, "geometry": line((70, 80), (70, 150))},
    ],
    "paved": [{"id": "p1", "kind": "yard", "geometry": at(45, 100, 60.5, 131)}],
    "water": [{"id": "w1", "kind": "pond", "geometry": at(150, 10.5, 181, 40.5)}],
    "green": [
        {"id": "g1", "kind": "grass", "geometry": at(5, 5.5, 80, 45.5)},
        {"id": "g2", "kind": "tree", "geometry": at(90, 5, 130.5, 45.5)},
    ],
    "trees": [
        {"id": "t1", "crown_m": 8.0, "height_m": 10.0, "geometry": point(160, 110)},
        {"id": "t2", "crown_m": 8.0, "height_m": 6.0, "geometry": point(110, 25)},
    ],
}


def plan_of(**rows: list[dict]) -> Plan:
    return Plan(SITE, CRS, **{name: layer(name, CRS, rows.get(name, ())) for name in LAYERS})


@pytest.fixture
def plan() -> Plan:
    return check_plan(plan_of(**ROWS))


def frame(*, x_m: float = X - 20, y_m: float = Y + 180) -> Frame:
    return Frame(CRS, x_m, y_m, 0.0, 2.0, 110, 130)


def areas(plan: Plan, where: Frame) -> dict[str, float]:
    """Drawn by samples of 0.2 m, since the plan's edges are at half meters along the grid."""
    drawn = rasterize(plan, where, subpixels=10)
    return dict(zip(SURFACES, drawn.area_m2()[0].tolist(), strict=True))


def test_a_wall_along_the_grid_never_takes_half_a_pixel():
    """Hardening would build all such pixels: walls every 0.1 m, of which none is at a tie."""
    bias = 0.0
    for step in range(20):
        shape = box(X, Y, X + 30 + step / 10, Y + 20)
        drawn = paint([(shape, BIT[BUILDING], 9.0)], frame(), ground=BIT[GRASS])
        assert not bool((drawn.cover[0, BUILDING] == 0.5).any())
        hard_m2 = float(harden(drawn).area_m2()[0, BUILDING])
        bias += hard_m2 / shape.area - 1
    assert abs(bias / 20) < 0.01


@pytest.mark.parametrize("angle_deg", [0.0, 17.0, 33.3, 71.9])
@pytest.mark.parametrize("pixel_m", [1.0, 2.0])
def test_a_house_whose_walls_run_through_samples_keeps_its_area_when_hardened(angle_deg, pixel_m):
    where = centred_frame(CRS, X + 100, Y + 80, angle_deg, rows=90, cols=90, pixel_m=pixel_m)
    corners = [(10.5, 20.5), (10.5, 50.5), (30.5, 50.5), (30.5, 20.5)]  # half pixels
    house = shapely.Polygon([where.to_world(row, col) for row, col in corners])
    drawn = paint([(house, BIT[BUILDING], 9.0)], where, ground=BIT[GRASS])
    soft_m2, hard_m2 = (float(x.area_m2()[0, BUILDING]) for x in (drawn, harden(drawn)))
    assert soft_m2 == pytest.approx(600 * pixel_m**2, rel=1e-5)
    assert hard_m2 == pytest.approx(600 * pixel_m**2, rel=0.002)  # one pixel, at a corner


@pytest.mark.parametrize("angle_deg", [0.0, 17.0])
def test_drawing_keeps_the_area_of_every_surface_within_one_percent(plan, angle_deg):
    size = {"rows": 140, "cols": 150, "pixel_m": 2.0}
    got = areas(plan, centred_frame(CRS, X + 100, Y + 80, angle_deg, **size))
    crown = point(160, 110).buffer(4.0).area
    canopy = 40.5 * 40.5 + crown
    want = {
        "building": 29.5 * 20.5 + 32.5 * 45,
        "road": 200 * 7.0,
        # The path's round ends add a circle; it meets nothing else.
        "paved": 15.5 * 31 + 70 * 3.0 + Point(0, 0).buffer(1.5).area,
        "water": 31 * 30.0,
        "tree": canopy,
        "shrub": 0.0,
        "grass": 75 * 40.0,
    }
    want["bare"] = SITE.area - sum(want.values())
    for name, area_m2 in want.items():
        assert got[name] == pytest.approx(area_m2, rel=0.01, abs=1e-6), name
    assert sum(got.values()) == pytest.approx(SITE.area, rel=0.01)


def test_outside_the_site_there_is_no_data_and_empty_ground_is_bare():
    layout = rasterize(empty_plan(SITE, CRS), frame())
    inside = site_mask(SITE, frame())
    assert torch.equal(layout.allowed[0] > 0, inside)
    assert (layout.cover[0, BARE][inside] == 1).all() and layout.cover[0, :, ~inside].sum() == 0


def test_the_order_of_features_changes_nothing(plan):
    turned = {name: getattr(plan, name).iloc[::-1].reset_index(drop=True) for name in LAYERS}
    same(rasterize(replace(plan, **turned), frame()), rasterize(plan, frame()))


def test_splitting_a_street_at_a_vertex_changes_nothing(plan):
    halves = [
        {"id": "r1a", "kind": "local", "width_m": 7.0, "geometry": line((0, 60), (90, 60))},
        {"id": "r1b", "kind": "local", "width_m": 7.0, "geometry": line((90, 60), (200, 60))},
        ROWS["roads"][1],
    ]
    same(rasterize(replace(plan, roads=layer("roads", CRS, halves)), frame()),
         rasterize(plan, frame()))  # fmt: skip


def test_splitting_a_lawn_changes_nothing(plan):
    halves = [
        {"id": "g1a", "kind": "grass", "geometry": at(5, 5.5, 40, 45.5)},
        {"id": "g1b", "kind": "grass", "geometry": at(40, 5.5, 80, 45.5)},
        ROWS["green"][1],
    ]
    same(rasterize(replace(plan, green=layer("green", CRS, halves)), frame()),
         rasterize(plan, frame()))  # fmt: skip


def test_moving_plan_and_frame_by_whole_pixels_changes_nothing(plan):
    moved = replace(
        plan,
        site=shapely.affinity.translate(plan.site, 26, -14),
        **{name: shift(getattr(plan, name), 26, -14) for name in LAYERS},
    )
    same(rasterize(moved, frame(x_m=X - 20 + 26, y_m=Y + 180 - 14)), rasterize(plan, frame()))
    pushed = rasterize(moved, frame())
    assert torch.equal(pushed.cover[0, :, 7:, 13:], rasterize(plan, frame()).cover[0, :, :-7, :-13])


def shift(table, dx: float, dy: float):
    return table.set_geometry(table.geometry.translate(dx, dy))


def same(a, b) -> None:
    assert torch.equal(a.cover, b.cover) and torch.equal(a.allowed, b.allowed)
    assert torch.equal(a.height_m, b.height_m) and torch.equal(a.height_known, b.height_known)


def test_a_stem_in_a_tree_patch_is_part_of_it_and_a_stem_on_a_lawn_has_its_own_crown(plan):
    def tree_m2(stems: list[dict]) -> float:
        return areas(replace(plan, trees=layer("trees", CRS, stems)), frame())["tree"]

    none = tree_m2([])
    inside = {"id": "t", "crown_m": 8.0, "height_m": 9.0, "geometry": point(110, 25)}
    edge = {**inside, "geometry": point(91, 25)}  # its crown would reach over the patch's edge
    outside = {**inside, "geometry": point(40, 25)}
    assert tree_m2([inside]) == none and tree_m2([edge]) == none
    assert tree_m2([outside]) - none == pytest.approx(Point(0, 0).buffer(4).area, rel=0.05)


def test_crowns_hide_roads_and_roofs_hide_crowns(plan):
    stems = [
        {"id": "a", "crown_m": 6.0, "height_m": 9.0, "geometry": point(100, 60)},
        {"id": "b", "crown_m": 6.0, "height_m": 9.0, "geometry": point(25, 110)},
    ]
    layout = rasterize(replace(plan, trees=layer("trees", CRS, stems)), frame())
    row, col = (int(x) for x in frame().from_world(X + 100.5, Y + 60.5))
    assert layout.cover[0, TREE, row, col] == 1 and layout.cover[0, ROAD, row, col] == 0
    row, col = (int(x) for x in frame().from_world(X + 25.5, Y + 110.5))
    assert layout.cover[0, BUILDING, row, col] == 1 and layout.height_m[0, row, col] == 12.0


def test_what_lies_over_what(plan):
    pile = [{"id": "p", "kind": "yard", "geometry": at(20, 10, 40, 30)}]
    pond = [{"id": "w", "kind": "pond", "geometry": at(25, 15, 45, 35)}]
    layered = replace(plan, paved=layer("paved", CRS, pile), water=layer("water", CRS, pond))
    layout = rasterize(layered, frame())
    for x, y, surface in ((22, 12, PAVED), (30, 20, PAVED), (42, 32, WATER), (60, 20, GRASS)):
        row, col = (int(i) for i in frame().from_world(X + x + 0.5, Y + y + 0.5))
        assert layout.cover[0, surface, row, col] == 1


def building(**change) -> dict:
    return {"id": "b9", "height_m": 9.0, "floors": 3, "geometry": at(20, 110, 30, 120), **change}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([building(geometry=at(190, 10, 210, 20))], "buildings b9: reaches out of the site"),
        # A needle without area, nine centimeters over the edge.
        (
            [
                building(
                    geometry=shapely.Polygon(
                        [
                            (X + 150, Y + 10),
                            (X + 190, Y + 10),
                            (X + 190, Y + 20),
                            (X + 200.09, Y + 20.0001),
                            (X + 150, Y + 20.0001),
                        ]
                    )
                )
            ],
            "buildings b9: reaches out of the site",
        ),
        ([building(geometry=shapely.Polygon())], "buildings b9: is empty, invalid or 3D"),
        (
            [building(geometry=shapely.Polygon([(X, Y), (X + 9, Y + 9), (X + 9, Y), (X, Y + 9)]))],
            "buildings b9: is empty, invalid or 3D",
        ),
        (
            [building(geometry=shapely.force_3d(at(20, 110, 30, 120), 5.0))],
            "buildings b9: is empty, invalid or 3D",
        ),
        ([building(), building(geometry=at(50, 10, 60, 20))], "buildings: id b9 twice"),
        ([building(height_m=0.0)], "buildings b9: height 0.0 m"),
        (
            [building(), building(id="b8", geometry=at(25, 110, 35, 120))],
            "overlaps another building by 50.00 m2",
        ),
        ([building(geometry=at(20, 55, 30, 70))], "buildings b9: overlaps road by 70.00 m2"),
        ([building(geometry=at(160, 20, 170, 30))], "buildings b9: overlaps water by 100.00 m2"),
    ],
)
def test_each_break_of_a_plan_names_layer_feature_and_value(rows, message):
    broken = plan_of(**(ROWS | {"buildings": rows}))
    with pytest.raises(PlanError, match=message) as caught:
        check_plan(broken)
    assert "\n" not in str(caught.value)


def test_degrees_and_missing_columns_are_refused(plan):
    with pytest.raises(PlanError, match="not in meters"):
        check_plan(replace(plan, crs="EPSG:4326"))
    with pytest.raises(PlanError, match="roads: no column width_m"):
        check_plan(replace(plan, roads=plan.roads.drop(columns="width_m")))


def test_an_unknown_height_and_a_building_on_a_path_pass(plan):
    rows = [building(height_m=None, geometry=at(65, 100, 75, 110))]
    assert pd.isna(check_plan(plan_of(**(ROWS | {"buildings": rows}))).buildings["height_m"][0])


def test_areas_of_a_touch_are_none():
    from shapely.geometry import LineString, MultiLineString

    from fabricgen.plan import areas_of

    line = LineString([(0, 0), (1, 0)])
    assert areas_of(MultiLineString([line])).is_empty
    assert areas_of(shapely.union_all([line, shapely.box(2, 0, 3, 1)])).area == 1
