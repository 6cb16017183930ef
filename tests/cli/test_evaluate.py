"""The verb: settings reach the judge, results are whole, a missed bound is exit code 4."""

import json

import pytest

from fabricgen.cli.app import main
from fabricgen.quality.protocol import Evaluation

CITY = {"name": "flat", "source": "made", "licence": "CC0", "attribution": "nobody", "date": ""}


def figure(value, **more):
    return {"value": value, "ci95": [value - 0.1, value + 0.1], "n": 20, "unit": ""} | more


@pytest.fixture
def judged(monkeypatch, tmp_path):
    """Runs the verb with a judge that only takes notes."""
    heard = {}
    city = tmp_path / "city.osm.pbf"
    city.write_bytes(b"x")

    def judge(path, *, rows, settings, on_step):
        heard.update(city=path, rows=rows, settings=settings)
        metrics = {
            "meta": {
                "cities": ["flat"], "n_sites": 20, "settings": {"seeds": settings.seeds},
                "skipped": {"judge.*": "unsteered plans are judged"},
                "checkpoint": "0" * 64, "seconds": 1.0,
            },
            "c2st.accuracy": figure(0.7, top=[{"name": "bld.corners", "drop": 0.1}]),
            "seam.recall": figure(0.8),
            "morphology.w1.bld.eri": figure(0.5, mean=0.9, mean_real=0.95),
            "floor": {"seam.recall": figure(0.9), "c2st.accuracy": figure(0.5)},
            "baselines": {"rules": {"seam.recall": figure(0.0)}},
        }  # fmt: skip
        return Evaluation(metrics, [], [CITY])

    monkeypatch.setattr("fabricgen.quality.protocol.evaluate", judge)

    def run(*words):
        out = tmp_path / "out"
        code = main(["evaluate", "--city", str(city), "--out", str(out), *words])
        return code, out, heard

    return run


def test_options_and_settings_reach_the_judge(judged):
    code, out, heard = judged("--samples", "32", "--max-minutes", "5", "seeds=2", "streets=keep")
    assert code == 0
    told = heard["settings"]
    assert (told.samples, told.seeds, told.max_minutes, told.streets) == (32, 2, 5.0, "keep")
    assert heard["rows"] == out / "rows.json"


def test_the_folder_holds_figures_page_and_record(judged, capsys):
    _, out, _ = judged()
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["floor"]["seam.recall"]["value"] == 0.9
    page = (out / "evaluate.html").read_text()
    for words in ("seam.recall", "bld.eri", "bld.corners (0.100)", "nobody", "unsteered plans"):
        assert words in page
    assert json.loads((out / "run.json").read_text())["verb"] == "evaluate"
    shown = capsys.readouterr().out
    assert "c2st.accuracy" in shown and "given away by: bld.corners" in shown


def test_json_is_one_document(judged, capsys):
    judged("--json")
    assert json.loads(capsys.readouterr().out)["metrics"]["seam.recall"]["value"] == 0.8


def test_a_figure_out_of_its_bounds_is_exit_code_4(judged, tmp_path, capsys):
    bounds = tmp_path / "bounds.json"
    bounds.write_text(json.dumps({"c2st.accuracy": [0.4, 0.6], "seam.recall": [0.5, 1.0]}))
    code, out, _ = judged("--check", str(bounds))
    assert code == 4 and (out / "metrics.json").exists()
    assert "c2st.accuracy: 0.7, not in 0.4 to 0.6" in capsys.readouterr().err
    bounds.write_text(json.dumps({"control.far_mape": [0, 1]}))
    assert judged("--check", str(bounds))[0] == 4  # what is missing is outside
    bounds.write_text(json.dumps({"seam.recall": [0.5, 1.0]}))
    assert judged("--check", str(bounds))[0] == 0


def test_bounds_that_are_none_are_told_before_any_work(judged, tmp_path, capsys):
    bounds = tmp_path / "bounds.json"
    bounds.write_text("[1, 2]")
    code, out, heard = judged("--check", str(bounds))
    assert code == 2 and not heard and not out.exists()
    assert "bounds.json: no bounds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "said"),
    [("samples=3", "samples"), ("sampels=30", "samples"), ("streets=4", "streets")],
)
def test_wrong_settings_are_one_line(judged, capsys, word, said):
    code, _, heard = judged(word)
    assert code == 2 and not heard
    assert said in capsys.readouterr().err
