"""The measurement of speed, on tiny tiles: what it reports, not how fast this machine is."""

import json
import sys

import numpy as np
import pytest
import torch


@pytest.fixture
def tiny(benchmark, monkeypatch):
    """The command on tiles of 32 pixels, each work three times; torch keeps its threads."""
    from benchmarks import carbon, invest, meter

    monkeypatch.setattr(carbon, "EDGE_PX", 32)
    monkeypatch.setattr(carbon, "GROWTH_EDGES_PX", (32, 48))
    monkeypatch.setattr(carbon, "GROWTH_PIXELS", 2**11)
    monkeypatch.setattr(meter, "COPY_BYTES", 2**20)
    monkeypatch.setattr(invest.importlib.util, "find_spec", lambda name: None)
    threads = torch.get_num_threads()
    yield carbon
    torch.set_num_threads(threads)


def run(benchmark, tmp_path, capsys, *more):
    out = tmp_path / "speed.json"
    words = ("carbon", "--seconds", "0", "--threads", "1", "--batches", "1,2", "--json", str(out))
    assert benchmark.main([*words, *more]) == 0
    return json.loads(out.read_text()), capsys.readouterr().out


def test_every_kind_of_work_is_measured_at_every_batch(benchmark, tiny, tmp_path, capsys):
    result, text = run(benchmark, tmp_path, capsys)
    found = {(row["what"], row["way"], row["batch"]) for row in result["speed"]}
    assert found == {
        (what, way, batch)
        for what in (tiny.COOLING, tiny.EVALUATOR, tiny.PLAIN)
        for way in (tiny.FORWARD, tiny.BACKWARD)
        for batch in (1, 2)
    }
    for row in result["speed"]:
        assert row["tiles_per_s"] == pytest.approx(1e3 / row["wall_ms_per_tile"])
        assert row["times_invest_by_cpu"] == pytest.approx(
            1e3 * result["peer"]["cpu_s"] / row["cpu_ms_per_tile"]
        )
        assert row["bandwidth_share"] > 0
    assert set(result["marks"]) == {
        "urban cooling over InVEST",
        "whole evaluator over InVEST",
        "urban cooling, forward+backward over forward",
        "whole evaluator, forward+backward over forward",
        "urban cooling, power of the area above linear x log",
        "whole evaluator, power of the area above linear x log",
    }
    assert not result["peer"]["same_run"]
    assert "reference run on another machine (not installed here)" in text


def test_the_share_of_bandwidth_counts_each_number_once(tiny):
    """Eight shares, a height and two flags per pixel are read, whatever is computed."""
    assert tiny.LEAST_BYTES[tiny.EVALUATOR, tiny.FORWARD] == 8 * 4 + 4 + 1 + 1
    limit, edge = 1e9, tiny.EDGE_PX
    other = sys.modules["benchmarks.invest"].Peer("", False, 1.0, 1.0, None)
    row = tiny._row(tiny.EVALUATOR, tiny.FORWARD, 1, 0.0, limit, other)
    assert row["bandwidth_share"] == pytest.approx(
        38 * edge**2 / (1e-3 * row["wall_ms_per_tile"]) / limit
    )


def test_made_tiles_are_layouts_and_the_same_each_time(tiny):
    from benchmarks.tiles import made_tiles

    from fabricgen.layout import check

    one, again = made_tiles(3, 32), made_tiles(3, 32)
    check(one, complete=True)
    assert torch.equal(one.cover, again.cover) and torch.equal(one.height_m, again.height_m)
    assert not torch.equal(one.cover[0], one.cover[1])


def test_a_python_without_the_peer_is_told(benchmark, tiny, tmp_path, capsys):
    words = ["carbon", "--seconds", "0", "--threads", "1", "--batches", "1"]
    assert benchmark.main([*words, "--invest-python", str(tmp_path / "none")]) == 3
    assert "give a Python with natcap.invest" in capsys.readouterr().err
    assert benchmark.main([*words, "--invest-python", sys.executable]) == 3
    assert "InVEST Urban Cooling failed: ModuleNotFoundError" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--batches", "0"), ("--batches", "x"), ("--threads", "0")])
def test_wrong_options_are_named(benchmark, tiny, capsys, words):
    assert benchmark.main(["carbon", *words]) == 2
    assert f"{words[0]} {words[1]}" in capsys.readouterr().err


def test_cooling_is_timed_on_what_the_peer_is_given(tiny):
    """The table by surface, looked up by pixel."""
    lulc = torch.tensor([[[0, 4], [6, 3]]])
    layers = {name: torch.from_numpy(column)[lulc] for name, column in tiny._table().items()}
    found = tiny._cool(layers, softness=0.0)
    weights = np.array(tiny._weights()) / sum(tiny._weights())
    tree = {name: float(column[4]) for name, column in tiny._table().items()}
    expected = weights @ [tree["shade"], tree["albedo"], tree["kc"]]
    assert float(found.cc[0, 0, 1]) == pytest.approx(expected, rel=1e-6)


def test_growth_is_told_as_a_power_above_linear_x_log(tiny):
    rows = [{"edge_px": e, "over_n_log_n": 3.0 * (e * e) ** 0.25} for e in (32, 64, 128)]
    assert tiny._power(rows) == pytest.approx(0.25)
