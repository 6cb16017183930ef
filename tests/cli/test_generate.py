"""`generate` and `demo` hand over what was asked and show the scores that were written."""

import json
import sys
from dataclasses import dataclass
from types import ModuleType

import pytest

from fabricgen.cli import generate
from fabricgen.cli.app import main
from fabricgen.files import shipped

SCORES = (
    "scheme,rank,seed,far,site_coverage,green_ratio,mean_height_m,gross_floor_area_m2,"
    "emission_kgco2e_per_year,sink_kgco2e_per_year,avoided_kgco2e_per_year,net_kgco2e_per_year\n"
    "s2,1,7,2.001,0.31,0.4,18.2,12345.6,100000,2000,0,98000\n"
)
UNMET = {
    "s1": [{"name": "far", "asked": "3", "nearest": 2.5011, "why": "floors are whole"}],
    "s2": [{"name": "far", "asked": "3", "nearest": 2.001, "why": "floors are whole"}],
}


@dataclass(frozen=True)
class LoopSettings:
    """Stands in for that of `design`, which is slow to import."""

    region: str = "auto"
    streets: str = "new"


@pytest.fixture
def asked(monkeypatch):
    """What the rooms were called with, instead of the rooms."""
    calls = []

    def run(site, context, brief, count, seed, *, settings, on_step):
        calls.append(
            {"site": site, "context": context, "brief": brief, "count": count, "seed": seed}
            | {"settings": settings}
        )

    def write_results(made, out, *, record):
        calls[-1] |= {"out": out, "record": record}
        out.mkdir(parents=True)
        (out / "scores.csv").write_text(SCORES)

    design, report = ModuleType("fabricgen.design"), ModuleType("fabricgen.report")
    design.Brief = type("Brief", (), {"read": staticmethod(dict)})
    design.LoopSettings, design.run = LoopSettings, run
    report.record_of = lambda made, **facts: {"region": "fi", "unmet": UNMET, **facts}
    report.write_results = write_results
    monkeypatch.setitem(sys.modules, "fabricgen.design", design)
    monkeypatch.setitem(sys.modules, "fabricgen.report", report)
    blocks = ModuleType("fabricgen.design.blocks")
    blocks.holds_blocks = lambda path: path.name == "blocks.gpkg"
    monkeypatch.setitem(sys.modules, "fabricgen.design.blocks", blocks)
    results = ModuleType("fabricgen.report.results")
    results.MARK = "run.json"
    monkeypatch.setitem(sys.modules, "fabricgen.report.results", results)
    return calls


def places(folder):
    """Options that name a site and a context which are there."""
    for name in ("s.gpkg", "c.pbf"):
        (folder / name).touch()
    return ["--site", str(folder / "s.gpkg"), "--context", str(folder / "c.pbf")]


def test_options_and_overrides_reach_the_loop(asked, tmp_path):
    words = ["generate", *places(tmp_path), "--out", str(tmp_path / "o")]
    words += ["--count", "3", "--seed", "7", "brief.far=2.0", "brief.green_ratio=[0.3,0.5]"]
    assert main([*words, "region=fi"]) == 0
    (call,) = asked
    assert (call["count"], call["seed"], call["out"]) == (3, 7, tmp_path / "o")
    assert call["brief"]["far"] == 2.0 and call["brief"]["green_ratio"] == [0.3, 0.5]
    assert call["settings"] == LoopSettings(region="fi")


@pytest.mark.parametrize(
    ("name", "setting", "apart"),
    [
        ("blocks.gpkg", [], True),
        ("blocks.gpkg", ["sites=one"], False),
        ("s.gpkg", [], False),
        ("s.gpkg", ["sites=each"], True),
    ],
)
def test_a_file_of_blocks_is_a_run_over_blocks(asked, tmp_path, monkeypatch, name, setting, apart):
    (tmp_path / "blocks.gpkg").touch()
    runs = []
    monkeypatch.setattr(generate, "draw_blocks", lambda *_, **__: runs.append(1))
    words = ["generate", *places(tmp_path), "--site", str(tmp_path / name)]
    assert main([*words, "--out", str(tmp_path / "o"), *setting]) == 0
    assert (len(runs), len(asked)) == ((1, 0) if apart else (0, 1))


def test_another_word_for_sites_is_refused(asked, tmp_path, capsys):
    assert main(["generate", *places(tmp_path), "sites=all"]) == 2
    assert "sites is 'all'; give auto, one or each" in capsys.readouterr().err


def test_the_demo_is_generate_with_the_files_of_the_package(asked, tmp_path):
    assert main(["demo", "--out", str(tmp_path / "o")]) == 0
    (call,) = asked
    assert call["site"].parent == call["context"].parent == shipped("demo")
    assert call["context"].is_file() and (call["count"], call["seed"]) == (8, 0)


def test_the_table_shows_the_scores_that_were_written(asked, tmp_path, capsys):
    main(["demo", "--out", str(tmp_path / "o")])
    head, row, missed, region, where = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["rank", "scheme", "far"]
    assert row.split() == [
        "1", "s2", "2.00", "0.31", "0.40", "18.2", "12,346", "100,000", "2,000", "98,000",
    ]  # fmt: skip
    assert missed == "not met by 2 schemes: far, asked 3, got 2 to 2.5; floors are whole"
    assert region == "carbon region: fi"
    assert where == f"written to {tmp_path / 'o'}; open {tmp_path / 'o' / 'report.html'}"


def test_with_json_the_scores_are_one_document(asked, tmp_path, capsys):
    main(["demo", "--out", str(tmp_path / "o"), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["schemes"][0]["net_kgco2e_per_year"] == 98000
    assert document["unmet"] == UNMET


def test_what_is_not_there_or_not_ours_is_refused_before_any_work(asked, tmp_path, capsys):
    words = ["generate", *places(tmp_path), "--out", str(tmp_path / "o")]
    assert main([*words, "--site", str(tmp_path / "none.gpkg")]) == 2
    said = capsys.readouterr().err
    assert "'--site'" in said and "none.gpkg' does not exist; see fabricgen generate" in said
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "photo.jpg").touch()
    assert main(words) == 2 and not asked
    assert "holds other files, which would be replaced; choose" in capsys.readouterr().err


def test_the_settings_of_a_run_can_be_repeated(asked, tmp_path):
    settings = {"brief": {"far": 1.5}, "count": 2, "seed": 5, "region": "se", "streets": "keep"}
    (tmp_path / "run.json").write_text(json.dumps({"settings": settings}))
    words = ["generate", *places(tmp_path), "--out", str(tmp_path / "o")]
    assert main([*words, "--settings", str(tmp_path / "run.json")]) == 0
    (call,) = asked
    assert call["settings"] == LoopSettings("se", "keep") and call["brief"] == {"far": 1.5}
    assert (call["count"], call["seed"]) == (2, 5)
