"""Files of many sites as one: every scheme is in it once, as it was in its own."""

import sqlite3
from dataclasses import replace

import geopandas as gpd
import pytest

from fabricgen.errors import FormatError, InputError
from fabricgen.exchange import join, join_schemes, read_plan, write_schemes
from fabricgen.exchange.gpkg import read_meta, scheme_names
from fabricgen.plan import LAYERS, empty_plan


@pytest.fixture
def parts(tmp_path, plan):
    """Three sites: two schemes, none of anything, one scheme with floors unknown."""
    vague = plan.buildings.assign(floors=float("nan"))
    plans = {
        "north": [("s01", plan), ("s02", plan)],
        "bare": [("s01", empty_plan(plan.site, plan.crs))],
        "vague": [("s01", replace(plan, buildings=vague))],
    }
    for name, schemes in plans.items():
        write_schemes(schemes, tmp_path / f"{name}.gpkg")
    return [(name, tmp_path / f"{name}.gpkg") for name in plans]


@pytest.mark.parametrize("at_once", [1, 2, 64])
def test_every_scheme_comes_back_under_the_name_of_its_site(
    parts, tmp_path, plan, at_once, monkeypatch
):
    monkeypatch.setattr(join, "AT_ONCE", at_once)
    path = tmp_path / "city.gpkg"
    join_schemes(parts, path, meta={"attribution": "somebody", "seed": 3})
    assert scheme_names(path) == ["north-s01", "north-s02", "bare-s01", "vague-s01"]
    again = read_plan(path, scheme="north-s02")
    for name in LAYERS:
        assert getattr(again, name).equals(getattr(plan, name))
    assert read_plan(path, scheme="vague-s01").buildings["floors"].isna().all()
    assert read_meta(path) == {"attribution": "somebody", "seed": 3}
    blocks = gpd.read_file(path, layer="buildings")["block"]
    assert set(blocks) == {"north", "vague"}
    with sqlite3.connect(path) as base:
        assert base.execute("SELECT count(*) FROM layer_styles").fetchone()[0] == len(LAYERS) + 1


@pytest.mark.parametrize("at_once", [1, 64])
def test_parts_that_do_not_fit_together_leave_the_old_file_alone(
    parts, tmp_path, plan, at_once, monkeypatch
):
    monkeypatch.setattr(join, "AT_ONCE", at_once)
    path = tmp_path / "city.gpkg"
    path.write_bytes(b"old")
    elsewhere = tmp_path / "elsewhere.gpkg"
    write_schemes([("s01", empty_plan(plan.site, "EPSG:3857"))], elsewhere)
    with pytest.raises(InputError, match="EPSG:3857"):
        join_schemes([*parts, ("elsewhere", elsewhere)], path)
    with pytest.raises(InputError, match="no schemes"):
        join_schemes([], path)
    with pytest.raises(FormatError):
        join_schemes([("none", tmp_path / "none.gpkg")], path)
    assert path.read_bytes() == b"old"
