"""Scoring files: the same count by any road, clear refusals, ranges where heights are missing."""

import math
from dataclasses import fields, replace

import geopandas as gpd
import numpy as np
import pytest
import shapely

from fabricgen import carbon
from fabricgen.carbon.measures import Measures
from fabricgen.carbon.uncertainty import SURE
from fabricgen.design.candidates import (
    ScoreSettings,
    frame_of,
    order,
    read_candidates,
    score_files,
)  # fmt: skip
from fabricgen.errors import FormatError, InputError, LayoutError, SettingsError
from fabricgen.exchange import read_plan, write_geotiff, write_schemes
from fabricgen.plan import Plan, layer, rasterize
from fabricgen.settings import compose, fill

CRS = "EPSG:32635"
X, Y = 385_000.0, 6_672_000.0
FAST = ScoreSettings(draws=32)


def box(u0, v0, u1, v1, crs_x=X, crs_y=Y):
    return shapely.box(crs_x + u0, crs_y + v0, crs_x + u1, crs_y + v1)


@pytest.fixture
def plan():
    """A yard of 80 m with two houses, a lawn and a few trees; heights may be given."""

    def make(heights=(12.0, 6.0), floors=(4, 2), crs=CRS, turn_deg=0.0):
        base = {"source": "test", "use": ""}
        shapes = [box(10, 50, 60, 62), box(10, 15, 34, 27)]
        rows = [
            {**base, "id": f"b{k}", "height_m": h, "floors": n, "footprint_m2": shape.area,
             "geometry": shape}
            for k, (shape, h, n) in enumerate(zip(shapes, heights, floors, strict=True))
        ]  # fmt: skip
        green = [{"id": "g", "source": "test", "kind": "grass", "geometry": box(40, 5, 78, 45)}]
        tables = {name: layer(name, crs) for name in ("roads", "paved", "water", "trees")}
        made = Plan(
            box(0, 0, 80, 70), crs, buildings=layer("buildings", crs, rows),
            green=layer("green", crs, green), **tables,
        )  # fmt: skip
        return _turned(made, turn_deg) if turn_deg else made

    return make


def _turned(plan, angle_deg):
    from shapely import affinity

    def turn(shape):
        return affinity.rotate(shape, angle_deg, origin=(X, Y))

    names = ("buildings", "roads", "paved", "water", "green", "trees")
    tables = {}
    for name in names:
        table = getattr(plan, name)
        tables[name] = table.set_geometry(
            gpd.GeoSeries([turn(s) for s in table.geometry], index=table.index, crs=table.crs)
        )
    return replace(plan, site=turn(plan.site), **tables)


def saved(tmp_path, *plans, name="plans.gpkg"):
    write_schemes([(f"s{k:02d}", plan) for k, plan in enumerate(plans, 1)], tmp_path / name)
    return tmp_path / name


def test_a_plan_is_counted_where_it_lies_with_all_it_takes_to_judge_it(tmp_path, plan):
    (one,) = score_files([saved(tmp_path, plan())], settings=FAST)
    assert (one.name, one.region.name, one.reason) == ("plans", "fi", "the site lies in Finland")
    assert one.score.indicators["gross_floor_area_m2"] == 50 * 12 * 4 + 24 * 12 * 2
    assert float(one.score.ledger.gross_floor_area_m2) == pytest.approx(2976, rel=0.01)
    low, middle, high = one.score.net_range_kgco2e_per_year
    assert low < middle < high and one.heights is None
    assert one.swings[0].sigma_kgco2e_per_year > 0 and one.gap.net < 0.02


def test_a_raster_of_a_plan_counts_like_the_plan(tmp_path, plan):
    frame = frame_of(plan())
    drawn = rasterize(plan(), frame)
    write_geotiff(drawn, frame, tmp_path / "r.tif", inside=drawn.allowed[0] > 0)
    paths = [saved(tmp_path, plan()), tmp_path / "r.tif"]
    nets = {one.name: one.score.net_kgco2e_per_year for one in score_files(paths, settings=FAST)}
    assert nets["r"] == pytest.approx(nets["plans"], rel=0.03)


def test_a_turned_plan_counts_the_same(tmp_path, plan):
    straight = saved(tmp_path, plan(), name="straight.gpkg")
    turned = saved(tmp_path, plan(turn_deg=23.0), name="turned.gpkg")
    nets = [s.score.net_kgco2e_per_year for s in score_files([straight, turned], settings=FAST)]
    assert nets[0] == pytest.approx(nets[1], rel=0.01)


def test_plans_that_differ_are_told_apart_and_equal_ones_are_not(tmp_path, plan):
    path = saved(tmp_path, plan(), plan(), plan(heights=(30.0, 6.0), floors=(10, 2)))
    ranked = score_files([path], settings=ScoreSettings(draws=64))
    by_name = {one.name: one for one in ranked}
    twins = [by_name["plans-s01"], by_name["plans-s02"]]
    assert twins[0].tie == twins[1].tie and twins[0].beats["plans-s02"] == 0.5
    other = by_name["plans-s03"]
    assert other.tie != twins[0].tie and max(other.beats["plans-s01"], 1 - other.beats["plans-s01"]) >= SURE  # fmt: skip
    assert [one.rank for one in ranked] == [1, 2, 3]


def test_a_plan_without_heights_says_so_with_the_range_over_plausible_ones(tmp_path, plan):
    nothing = plan(heights=(np.nan, np.nan), floors=(np.nan, np.nan))
    (one,) = score_files([saved(tmp_path, nothing)], settings=FAST)
    assert one.heights.unknown_share == pytest.approx(1.0)
    assert (one.heights.low_m, one.heights.central_m, one.heights.high_m) == (3.0, 9.0, 24.0)
    assert one.heights.net_low < one.score.net_kgco2e_per_year < one.heights.net_high
    assert one.heights.text.startswith("100% of the footprint has no height: counted with 9 m; ")
    assert all(math.isfinite(one.score.indicators[name]) for name in ("far", "mean_height_m"))


def test_plausible_heights_are_a_factor_that_may_be_set(tmp_path, plan):
    table = tmp_path / "mine.csv"
    table.write_text("id,value,low,high,unit\ngeom.height.default,15,9,21,m\n")
    nothing = plan(heights=(np.nan, np.nan), floors=(np.nan, np.nan))
    chosen = replace(FAST, factors=str(table))
    (one,) = score_files([saved(tmp_path, nothing)], settings=chosen)
    assert (one.heights.low_m, one.heights.central_m, one.heights.high_m) == (9.0, 15.0, 21.0)


def test_known_heights_stand_in_for_the_missing_ones_of_their_plan(tmp_path, plan):
    half = plan(heights=(12.0, np.nan), floors=(4, np.nan))
    (one,) = score_files([saved(tmp_path, half)], settings=FAST)
    assert one.heights.central_m == 12.0
    assert one.heights.unknown_share == pytest.approx(24 * 12 / (24 * 12 + 600), abs=0.01)


def test_floors_alone_give_heights(tmp_path, plan):
    (one,) = score_files([saved(tmp_path, plan(heights=(np.nan, np.nan)))], settings=FAST)
    (known,) = score_files([saved(tmp_path, plan(), name="known.gpkg")], settings=FAST)
    assert one.heights is None
    assert one.score.net_kgco2e_per_year == pytest.approx(known.score.net_kgco2e_per_year)


def test_own_factors_change_the_count(tmp_path, plan):
    table = tmp_path / "mine.csv"
    table.write_text("id,value,low,high,unit\nheat.fi.dh,0.26,0.26,0.26,kgCO2e/kWh\n")
    path = saved(tmp_path, plan())
    (plain,) = score_files([path], settings=FAST)
    (own,) = score_files([path], settings=replace(FAST, factors=str(table)))
    heat = [
        sum(float(e.amount[0]) for e in one.score.ledger.entries if "heat" in e.name)
        for one in (plain, own)
    ]
    assert heat[1] == pytest.approx(2 * heat[0], rel=1e-5)


def test_a_region_asked_for_wins_over_the_place(tmp_path, plan):
    chosen = replace(FAST, region="US-NY/us-5a")
    (one,) = score_files([saved(tmp_path, plan())], settings=chosen)
    assert (one.region.name, one.reason) == ("us-ny/us-5a", "asked for")


def test_plans_of_two_regions_are_never_called_equal(tmp_path, plan):
    path = saved(tmp_path, plan(), plan())
    ranked = score_files([path], settings=FAST)
    elsewhere = replace(ranked[1], region=carbon.region("fr"))
    assert [one.tie for one in order([ranked[0], elsewhere])] == [1, 2]


def test_names_stay_apart(tmp_path, plan):
    (tmp_path / "a").mkdir()
    first = saved(tmp_path, plan())
    second = saved(tmp_path / "a", plan())
    assert [c.name for c in read_candidates([first, second])] == ["plans", "plans-2"]


def test_a_plan_without_buildings_is_counted_per_site(tmp_path, plan):
    bare = replace(plan(), buildings=layer("buildings", CRS))
    (one,) = score_files([saved(tmp_path, bare)], settings=FAST)
    assert one.score.indicators["gross_floor_area_m2"] == 0 and one.rank == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (replace(FAST, region="atlantis"), "there is no carbon region 'atlantis'"),
        (replace(FAST, factors="no.csv"), "no.csv: cannot be read as a table"),
        (replace(FAST, use_mix={"ofice": 1.0}), "there is no building use 'ofice'"),
    ],
)
def test_settings_that_mean_nothing_are_refused(tmp_path, plan, settings, message):
    with pytest.raises((SettingsError, FormatError), match=message):
        score_files([saved(tmp_path, plan())], settings=settings)


def test_heights_that_cannot_be_name_the_file(tmp_path, plan):
    with pytest.raises(LayoutError, match=r"tall.gpkg: layout: heights run from 0 to 5000 m"):
        score_files([saved(tmp_path, plan(heights=(5000.0, 6.0)), name="tall.gpkg")])
    with pytest.raises(LayoutError, match=r"inf.gpkg: layout: a share or height is NaN or inf"):
        score_files([saved(tmp_path, plan(heights=(math.inf, 6.0)), name="inf.gpkg")])


def test_files_that_cannot_be_scored_are_refused(tmp_path, plan):
    with pytest.raises(FormatError, match="none.gpkg: no such file"):
        score_files([tmp_path / "none.gpkg"])
    with pytest.raises(InputError, match="no plan to score"):
        score_files([])
    degrees = layer("buildings", "EPSG:4326")
    in_degrees = Plan(
        shapely.box(24.9, 60.1, 24.91, 60.11), "EPSG:4326", degrees,
        *(layer(name, "EPSG:4326") for name in ("roads", "paved", "water", "green", "trees")),
    )  # fmt: skip
    from fabricgen.exchange import gpkg

    path = tmp_path / "degrees.gpkg"
    check, gpkg.check_plan = gpkg.check_plan, lambda one: one
    try:
        write_schemes([("s", in_degrees)], path)
    finally:
        gpkg.check_plan = check
    assert gpkg.read_scheme(path, "s").crs == "EPSG:4326"
    assert read_plan(path).crs == "EPSG:32635"  # brought to meters, as any file


def test_what_stands_today_makes_felling_and_demolition_known(tmp_path, plan):
    old = plan(heights=(6.0, 6.0), floors=(2, 2))
    today = saved(tmp_path, old, name="today.gpkg")
    path = saved(tmp_path, plan())
    (alone,) = score_files([path], settings=FAST)
    (after,) = score_files([path], settings=replace(FAST, before=str(today)))
    lost = [line for line in alone.score.ledger.not_assessed if "state before" in line]
    assert lost and not set(lost) & set(after.score.ledger.not_assessed)
    assert len(after.score.ledger.entries) > len(alone.score.ledger.entries)


def test_a_raster_of_today_must_lie_on_the_same_grid(tmp_path, plan):
    frame = frame_of(plan())
    write_geotiff(rasterize(plan(), frame), frame, tmp_path / "today.tif")
    path = saved(tmp_path, plan())
    today = replace(FAST, before=str(tmp_path / "today.tif"))
    (one,) = score_files([path], settings=today)
    assert not any("no state before" in line for line in one.score.ledger.not_assessed)
    with pytest.raises(InputError, match="is a raster on another grid; give it as a plan"):
        score_files([saved(tmp_path, plan(turn_deg=9.0), name="t.gpkg")], settings=today)
    several = saved(tmp_path, plan(), plan(), name="two.gpkg")
    with pytest.raises(InputError, match="two.gpkg: holds 2 plans; give a file with one"):
        score_files([path], settings=replace(FAST, before=str(several)))


def test_measures_of_buildings_reach_the_count(tmp_path, plan):
    path = saved(tmp_path, plan())
    (plain,) = score_files([path], settings=FAST)
    (deep,) = score_files([path], settings=replace(FAST, measures=Measures(basement_share=0.5)))
    assert deep.score.net_kgco2e_per_year > plain.score.net_kgco2e_per_year


def test_the_settings_file_says_every_default():
    stored = compose("score", [])
    own = {one.name for one in fields(ScoreSettings)}
    assert fill(ScoreSettings, {name: stored[name] for name in own}) == ScoreSettings()
    assert set(stored["measures"]) == {one.name for one in fields(Measures)}
