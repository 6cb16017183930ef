"""`score` on the command line: a ledger, a folder, and one clear line where it cannot."""

import json

import pytest
import shapely

from fabricgen.batch import Part
from fabricgen.cli.app import main
from fabricgen.cli.options import sort_words
from fabricgen.cli.score import with_pages
from fabricgen.errors import InputError, SettingsError
from fabricgen.exchange import write_schemes
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
    site = shapely.box(X, Y, X + 50, Y + 40)
    write_schemes([("one", Plan(site, CRS, **tables))], tmp_path / "plan.gpkg")
    return tmp_path / "plan.gpkg"


def test_the_ledger_the_region_and_the_folder_are_told(path, tmp_path, capsys):
    out = tmp_path / "scores"
    assert main(["score", str(path), "--out", str(out), "-q", "draws=16"]) == 0
    said = capsys.readouterr().out
    assert "bldg.heat.residential" in said and "region: fi (the site lies in Finland)" in said
    assert f"open {out / 'plan.html'}" in said
    assert {p.name for p in out.iterdir()} == {
        "plan.html", "scores.csv", "scores.parquet", "run.json",
    }  # fmt: skip
    record = json.loads((out / "run.json").read_text())
    assert record["regions"]["plan"]["name"] == "fi" and record["settings"]["draws"] == 16


def test_one_json_document_where_a_program_reads(path, tmp_path, capsys):
    words = ["score", str(path), "--out", str(tmp_path / "o"), "--region", "SE", "--json"]
    assert main([*words, "draws=16"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["plans"][0]["region"] == "se"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--region", "utopia"], "error: there is no carbon region 'utopia'"),
        (["draws=0"], "error: "),
        (["factors=none.csv"], "error: none.csv: cannot be read as a table"),
        (["drws=4"], "did you mean draws"),
        (["engine=sun"], "'engine' has no choice 'sun'"),
        (["pages=none", "workers=0"], "workers is 0"),
    ],
)
def test_what_cannot_be_is_one_line_and_code_2(path, tmp_path, capsys, words, message):
    out = tmp_path / "o"
    assert main(["score", str(path), "--out", str(out), "-q", *words]) == 2
    said = capsys.readouterr()
    assert message in said.err and said.err.count("\n") == 1 and not said.out
    assert not out.exists()


def test_many_plans_are_one_table_told_with_the_best(path, tmp_path, capsys):
    out = tmp_path / "many"
    words = ["score", str(path.parent), "--out", str(out), "draws=8", "pages=none", "workers=1"]
    (tmp_path / "broken.gpkg").write_bytes(b"")
    assert main([*words, "sunlight=quick"]) == 0
    said = capsys.readouterr()
    assert "the best of 1 plans by net per floor area" in said.out
    assert f"note: 1 plans set aside, see {out / 'rejected.csv'}" in said.err
    assert {p.name for p in out.iterdir()} == {
        "journal.json", "parts", "rejected.csv", "run.json", "scores.csv", "scores.parquet",
    }  # fmt: skip
    repeated = ["score", str(path), "--settings", str(out / "run.json"), "--json", "-q"]
    assert main([*repeated, "--out", str(tmp_path / "again")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["scored"], document["ranked_by"]) == (1, "net per floor area")
    assert document["best"][0]["plan"] == "plan"


@pytest.mark.parametrize(
    ("asked", "plans", "pages"),
    [("auto", 50, True), ("auto", 51, False), ("all", 51, True), ("none", 1, False)],
)
def test_few_plans_have_pages_and_many_have_none(asked, plans, pages):
    assert with_pages(asked, [Part(0, (), plans)]) is pages


def test_pages_are_asked_for_in_one_of_three_words():
    with pytest.raises(SettingsError, match="pages is 'some'; give auto, all, none"):
        with_pages("some", [])


def test_an_existing_file_is_a_path_whatever_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b.gpkg").touch()
    paths, settings = sort_words(["a=b.gpkg", "draws=3", "c.tif"], "plan to score", "give one")
    assert [p.name for p in paths] == ["a=b.gpkg", "c.tif"] and settings == ["draws=3"]
    with pytest.raises(InputError, match="no plan to score"):
        sort_words(["draws=3"], "plan to score", "give one")
