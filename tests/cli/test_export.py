"""`export` on the command line: every format of every scheme, or one clear line."""

import json
import sys

import pytest
import shapely

from fabricgen.cli.app import main
from fabricgen.cli.export import FORMATS
from fabricgen.exchange import read_drawn, write_schemes
from fabricgen.plan import LAYERS, Plan, layer

CRS = "EPSG:32635"
X, Y = 385_000.0, 6_672_000.0


@pytest.fixture
def path(tmp_path):
    house = {
        "id": "b", "source": "test", "use": "", "height_m": 9.0, "floors": 3, "footprint_m2": 400,
        "geometry": shapely.box(X + 10, Y + 10, X + 30, Y + 30),
    }  # fmt: skip
    tables = {name: layer(name, CRS) for name in LAYERS}
    tables["buildings"] = layer("buildings", CRS, [house])
    plan = Plan(shapely.box(X, Y, X + 50, Y + 40), CRS, **tables)
    write_schemes([("s01", plan), ("s02", plan)], tmp_path / "two.gpkg", meta={"attribution": "me"})
    return tmp_path / "two.gpkg"


def test_one_scheme_goes_into_every_format(path, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["export", str(path), "--to", ",".join(FORMATS), "--out", str(out), "scheme=s01"]
    assert main([*words, "--region", "auto"]) == 0
    said = capsys.readouterr()
    assert sorted(p.name for p in out.iterdir()) == sorted(f"two-s01{s}" for s in FORMATS.values())
    assert f"written to {out}" in said.out
    assert said.err == (
        "note: two-s01.dxf: local origin at 385000, 6672000 of EPSG:32635; move the drawing there "
        "to place it\n"
    )
    for name in ("two-s01.geojson", "two-s01.parquet", "two-s01.gpkg"):
        (plan,) = read_drawn(out / name).values()
        assert plan.buildings["height_m"].tolist() == [9.0]
    meta = json.loads((out / "two-s01.geojson").read_text())["fabricgen"]["meta"]
    assert meta["attribution"] == "me" and meta["exported_from"]["file"] == "two.gpkg"
    model = json.loads((out / "two-s01.city.json").read_text())
    flows = model["CityObjects"]["buildings-b"]["attributes"]
    total = sum(v for k, v in flows.items() if k.startswith("bldg."))
    assert flows["carbon_region"] == "fi"
    assert flows["emission_kgco2e_per_year"] == pytest.approx(total) and total > 0


def test_without_a_scheme_all_are_written_and_told_to_programs(path, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["export", str(path), "--to", "geojson", "--out", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [one["file"] for one in document["files"]] == ["two-s01.geojson", "two-s02.geojson"]
    assert document["remarks"] == []


def test_an_export_of_an_export_is_the_same(path, tmp_path):
    out = tmp_path / "out"
    assert main(["export", str(path), "--to", "parquet", "--out", str(out), "-q"]) == 2
    words = ["--to", "geoparquet", "--out", str(out), "-q"]
    assert main(["export", str(path), *words, "scheme=s02"]) == 0
    back = out / "two-s02.parquet"
    assert main(["export", str(back), "--to", "gpkg", "--out", str(out), "-q"]) == 0
    (mine,) = [plan for name, plan in read_drawn(path).items() if name == "s02"]
    (theirs,) = read_drawn(out / "two-s02-s02.gpkg").values()
    for name in LAYERS:
        assert getattr(theirs, name).equals(getattr(mine, name))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "dwg"], "error: --to dwg; use gpkg, geojson"),
        (["--to", ","], "error: --to nothing; use gpkg"),
        (["--to", "dxf", "scheme=s09"], "error: two.gpkg: no scheme s09; it holds s01, s02"),
        (["--to", "dxf", "schme=s01"], "error: no setting is called 'schme'; give scheme=NAME"),
        (["--to", "dxf", "other.gpkg"], "error: 2 files; give one plan"),
        (["--to", "dxf", "--region", "fi"], "error: --region without cityjson"),
        (["--to", "cityjson", "--region", "utopia"], "error: there is no carbon region 'utopia'"),
    ],
)
def test_what_cannot_be_is_one_line_and_code_2(path, tmp_path, capsys, words, message):
    assert main(["export", str(path), "--out", str(tmp_path / "o"), "-q", *words]) == 2
    said = capsys.readouterr()
    assert message in said.err and said.err.count("\n") == 1 and not said.out
    assert not (tmp_path / "o").exists() or not list((tmp_path / "o").iterdir())


def test_the_plan_itself_is_never_replaced(path, capsys):
    path.rename(path.with_name("two-s01.gpkg"))
    plan = next(iter(read_drawn(path.with_name("two-s01.gpkg")).values()))
    write_schemes([("s", plan)], path.with_name("s.gpkg"))
    words = ["export", str(path.with_name("s.gpkg")), "--to", "gpkg", "--out", str(path.parent)]
    assert main([*words, "-q"]) == 2
    assert "s.gpkg: is the plan itself; choose another --out" in capsys.readouterr().err


def test_a_missing_package_is_told_before_any_work_with_code_3(path, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ezdxf", None)
    out = tmp_path / "o"
    assert main(["export", str(path), "--to", "geojson,dxf", "--out", str(out)]) == 3
    assert capsys.readouterr().err == (
        "error: this needs the package ezdxf, which is not installed; pip install 'fabricgen[cad]'\n"
    )
    assert not out.exists()


def test_a_raster_is_traced_into_a_plan(path, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["export", str(path), "--to", "cog", "--out", str(out), "scheme=s01"]
    assert main(words) == 0
    assert main(["export", str(out / "two-s01.tif"), "--to", "gpkg", "--out", str(out)]) == 0
    (plan,) = read_drawn(out / "two-s01.gpkg").values()
    (house,) = plan.buildings.geometry
    real = shapely.box(X + 10, Y + 10, X + 30, Y + 30)
    assert house.intersection(real).area / house.union(real).area > 0.97
    assert plan.buildings["height_m"].tolist() == [9.0]
    assert plan.site.area == pytest.approx(50 * 40, rel=0.03)
