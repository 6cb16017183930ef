"""Scores of plans against those of their rasters: a real window, a plan in a file, made numbers."""

import json

import numpy as np
import pytest


@pytest.fixture
def agreement(benchmark):
    from benchmarks import agreement

    return agreement


@pytest.fixture
def window():
    """Two houses, a street and a lawn, half of it not mapped, on a turned grid."""
    from fabricgen.city.window import Window
    from fabricgen.layout import Frame
    from fabricgen.surfaces import BIT, GRASS, OPEN

    labels = np.full((128, 128), BIT[GRASS], dtype=np.uint8)
    labels[:, :64] = OPEN
    houses = [[90, 150, 12.3, 30.4, 0, 4, 0], [150, 150, 17.9, 11.2, 0.1, 3, 1]]
    street = [[0, 100, 256, 100, 7, 2]]
    return Window(
        labels, np.zeros((128, 128), dtype=np.uint16), np.array(houses, dtype=np.float32),
        np.array(street, dtype=np.float32), Frame("EPSG:32632", 5e5, 5e6, 21.0, 2.0, 128, 128),
        21.0, "made",
    )  # fmt: skip


def test_a_window_as_plan_and_as_its_geotiff_agree_in_every_component(agreement, window):
    plan = agreement.plan_of(window, np.random.default_rng(1))
    assert len(plan.buildings) >= 2 and len(plan.roads) >= 1
    result = agreement.compare({"made": plan}, "fi")
    ours = result["by_form"]["GeoTIFF of generate, 2 m"]
    assert {row["component"] for row in ours} >= {
        "veg.tree", "soil.gain", "bldg.electricity", "bldg.embodied", "pave.embodied",
        "travel.fuel", "cool.avoided", "storm.energy",
    }  # fmt: skip
    assert max(row["median"] for row in ours) < agreement.WITHIN
    assert result["hardening"]["made"] < agreement.GAP_WITHIN
    assert "| bldg.embodied | 1 |" in agreement.tables(result)


def test_differences_are_those_of_the_numbers(agreement):
    exact = [{"a": 100.0, "b": 1.0}, {"a": 200.0, "b": 0.0}]
    found = [{"a": 101.0, "b": 1.0}, {"a": 210.0, "b": 7.0}]
    rows = {row["component"]: row for row in agreement._apart(found, exact)}
    assert rows["a"]["of_sums"] == pytest.approx(311 / 300 - 1)
    assert rows["a"]["median"] == pytest.approx(0.03)
    assert rows["a"]["within_3_percent"] == 0.5
    assert rows["b"]["n"] == 1  # none in the second tile: no share of it


def test_plans_in_files_are_compared(benchmark, agreement, window, tmp_path, capsys):
    from fabricgen.exchange import write_plan

    write_plan(agreement.plan_of(window, np.random.default_rng(1)), tmp_path / "one.gpkg")
    out = tmp_path / "out.json"
    words = ["agreement", "--plans", str(tmp_path / "one.gpkg"), "--json", str(out)]
    assert benchmark.main(words) == 0
    assert len(json.loads(out.read_text())["plans"]) == 1
    assert "within 2 %: 1 of 1" in capsys.readouterr().out


def test_one_source_of_plans_is_asked_for(benchmark, capsys):
    assert benchmark.main(["agreement"]) == 2
    assert "neither --store nor --plans, or both; give one of them" in capsys.readouterr().err
