"""Laws of the GeoPackage: it says what the plan says, to any reader, and comes back equal."""

import sqlite3
from dataclasses import replace
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely

from fabricgen.errors import FormatError, InputError, PlanError
from fabricgen.exchange import read_plan, write_plan, write_schemes
from fabricgen.exchange.gpkg import read_meta
from fabricgen.form.indicators import of_plan
from fabricgen.plan import LAYERS, empty_plan

META = {"attribution": "© OpenStreetMap contributors", "seed": 7}


@pytest.fixture
def path(tmp_path, plan):
    target = tmp_path / "schemes.gpkg"
    other = empty_plan(plan.site, plan.crs)
    write_schemes([("01", plan), ("02", other)], target, meta=META)
    return target


def test_every_layer_exists_with_its_columns(path):
    names = [name for name, _ in pyogrio.list_layers(path)]
    assert names == ["site", *LAYERS, "layer_styles"]
    for name, columns in LAYERS.items():
        table = gpd.read_file(path, layer=name)
        assert list(table.columns) == ["scheme", *columns, "geometry"]
        assert set(table["scheme"]) == {"01"}


def test_layers_without_a_feature_exist_too(tmp_path, plan):
    target = tmp_path / "empty.gpkg"
    write_schemes([("01", empty_plan(plan.site, plan.crs))], target)
    for name, columns in LAYERS.items():
        table = gpd.read_file(target, layer=name)
        assert len(table) == 0
        assert {"scheme", *columns} <= set(table.columns)
        assert table.crs == plan.crs
    assert len(read_plan(target).buildings) == 0


def test_a_plan_comes_back_equal(path, plan):
    again = read_plan(path, scheme="01")
    assert again.crs == plan.crs
    assert again.site.equals_exact(plan.site, 0)
    for name in LAYERS:
        assert getattr(again, name).equals(getattr(plan, name))


def test_indicators_from_the_file_alone_agree(path, plan):
    read = {name: gpd.read_file(path, layer=name) for name in ("site", *LAYERS)}
    site_m2 = read["site"].area.iloc[0]
    buildings, green, roads = read["buildings"], read["green"], read["roads"]
    streets = roads[roads["kind"] != "path"]
    road = streets.buffer(streets["width_m"] / 2).union_all().intersection(plan.site)
    got = of_plan(plan)
    assert (buildings.area * buildings["floors"]).sum() / site_m2 == pytest.approx(got["far"])
    assert buildings.union_all().area / site_m2 == pytest.approx(got["site_coverage"])
    assert green.area.sum() / site_m2 == pytest.approx(got["green_ratio"])
    assert green[green["kind"] == "tree"].area.sum() / site_m2 == pytest.approx(got["tree_share"])
    assert road.area / site_m2 == pytest.approx(got["road_share"])
    assert buildings["footprint_m2"].to_numpy() == pytest.approx(buildings.area.to_numpy())
    assert np.issubdtype(buildings["floors"].dtype, np.integer)


def test_styles_are_where_qgis_looks(path):
    with sqlite3.connect(path) as base:
        rows = base.execute(
            "SELECT f_table_name, f_geometry_column, styleQML, useAsDefault FROM layer_styles"
        ).fetchall()
        kinds = dict(base.execute("SELECT table_name, data_type FROM gpkg_contents"))
    base.close()
    assert {row[0] for row in rows} == {"site", *LAYERS}
    assert kinds["layer_styles"] == "attributes"
    for name, column, document, default in rows:
        renderer = ElementTree.fromstring(document.split("\n", 1)[1]).find("renderer-v2")
        assert default == 1
        assert column == "geom"
        categorized = renderer.get("type") == "categorizedSymbol"
        assert categorized == (name in ("green", "paved", "roads"))


def test_provenance_and_attribution_travel_inside(path):
    assert read_meta(path) == META
    assert list(path.parent.iterdir()) == [path]


def test_equal_plans_give_equal_files(path, tmp_path, plan):
    second = tmp_path / "second" / "schemes.gpkg"
    second.parent.mkdir()
    write_schemes([("01", plan), ("02", empty_plan(plan.site, plan.crs))], second, meta=META)
    assert second.read_bytes() == path.read_bytes()


def test_a_failed_write_leaves_the_old_file(path, plan):
    before = path.read_bytes()
    broken = plan.buildings.copy()
    broken.loc[broken.index[0], "height_m"] = -1.0
    wrong = replace(plan, buildings=broken)
    with pytest.raises(PlanError, match="height -1.0 m"):
        write_schemes([("01", wrong)], path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_single_plan_is_named_by_its_file(tmp_path, plan):
    target = tmp_path / "block_7.gpkg"
    write_plan(plan, target, extra=META)
    assert gpd.read_file(target, layer="site")["scheme"].tolist() == ["block_7"]
    assert read_plan(target).buildings.equals(plan.buildings)


def test_a_site_in_parts_comes_back_in_parts(tmp_path, plan):
    site = shapely.MultiPolygon([shapely.box(0, 0, 50, 50), shapely.box(60, 0, 90, 50)])
    target = tmp_path / "parts.gpkg"
    write_plan(empty_plan(site, plan.crs), target)
    assert read_plan(target).site.equals_exact(site, 0)


def test_errors_are_one_clear_line(path, tmp_path, plan):
    with pytest.raises(InputError, match=r"holds the schemes 01, 02; name one of them"):
        read_plan(path)
    with pytest.raises(InputError, match="no scheme 09; it holds 01, 02"):
        read_plan(path, scheme="09")
    with pytest.raises(InputError, match=r"plan.xyz: no format of this suffix; use .gpkg"):
        read_plan(tmp_path / "plan.xyz")
    with pytest.raises(FormatError, match=r"none.gpkg: no such file"):
        read_plan(tmp_path / "none.gpkg")
    with pytest.raises(InputError, match="schemes named 01, 01"):
        write_schemes([("01", plan), ("01", plan)], tmp_path / "twice.gpkg")
    cut = tmp_path / "cut.gpkg"
    cut.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(FormatError, match="cut"):
        read_plan(cut, scheme="01")
    (tmp_path / "text.gpkg").write_text("hello")
    with pytest.raises(FormatError, match="is no GeoPackage"):
        read_plan(tmp_path / "text.gpkg")
