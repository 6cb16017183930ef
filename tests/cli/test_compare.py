"""`compare` on the command line: who is better, a folder, and one clear line where it cannot."""

import json

import pytest
import shapely

from fabricgen.cli.app import main
from fabricgen.exchange import write_schemes
from fabricgen.plan import LAYERS, Plan, layer

CRS = "EPSG:32635"
X, Y = 385_000.0, 6_672_000.0


def block(floors, deep):
    house = {
        "id": "b", "source": "test", "use": "", "height_m": 3.0 * floors, "floors": floors,
        "footprint_m2": 20 * deep, "geometry": shapely.box(X + 10, Y + 5, X + 30, Y + 5 + deep),
    }  # fmt: skip
    tables = {name: layer(name, CRS) for name in LAYERS}
    tables["buildings"] = layer("buildings", CRS, [house])
    return Plan(shapely.box(X, Y, X + 50, Y + 40), CRS, **tables)


@pytest.fixture
def path(tmp_path):
    write_schemes([("low", block(2, 24)), ("tall", block(6, 8))], tmp_path / "plans.gpkg")
    return tmp_path / "plans.gpkg"


def test_the_better_plan_is_named_and_the_folder_told(path, tmp_path, capsys):
    out = tmp_path / "comparison"
    assert main(["compare", str(path), "--out", str(out), "-q", "draws=16"]) == 0
    said = capsys.readouterr().out
    assert "is better (P " in said or "not significant" in said
    assert f"open {out / 'compare.html'}" in said and "against plans-low" in said
    record = json.loads((out / "run.json").read_text())
    assert record["verb"] == "compare" and record["settings"]["draws"] == 16
    assert record["region"] == "fi" and record["inputs"][0]["name"] == "plans.gpkg"


def test_one_json_document_where_a_program_reads(path, tmp_path, capsys):
    words = ["compare", f"{path}/low", f"{path}/tall", "--out", str(tmp_path / "o"), "--json"]
    assert main([*words, "draws=16", "per=site", "--region", "se"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {row["plan"] for row in document["plans"]} == {"plans-low", "plans-tall"}
    assert document["plans"][0]["net"] <= document["plans"][1]["net"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["/low"], "error: one plan only, plans-low; give at least two plans"),
        (["/none"], "error: plans.gpkg: holds no plan none; it holds plans-low, plans-tall"),
        (["", "per=door"], "error: "),
        (["", "reference=x"], "error: reference=x: no plan of this name; use plans-low"),
        (["", "drws=4"], "did you mean draws"),
    ],
)
def test_what_cannot_be_is_one_line_and_code_2(path, tmp_path, capsys, words, message):
    out = tmp_path / "o"
    given = [f"{path}{words[0]}", *words[1:], "draws=8"]
    assert main(["compare", *given, "--out", str(out), "-q"]) == 2
    said = capsys.readouterr()
    assert message in said.err and said.err.count("\n") == 1 and not said.out
    assert not out.exists()
