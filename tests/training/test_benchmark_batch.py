"""Plans for the measurement of many: sound, each another, and the marks that are held against."""

import geopandas as gpd
import pytest

from fabricgen.batch import list_parts
from fabricgen.batch.parquet import read
from fabricgen.batch.plans import plans_of
from fabricgen.plan import Plan

FOUND = {
    "machine": {"cores": 2, "load": 0.1, "workers": 2},
    "settings": ["pixel_m=2"],
    "peer": {"plans": 50, "plans_per_s": 2.0},
    "growth": [
        {"plans": 100, "workers": 2, "wall_s": 2.0, "plans_per_s": 50.0, "peak_gb": 1.0},
        {"plans": 1000, "workers": 2, "wall_s": 20.0, "plans_per_s": 50.0, "peak_gb": 1.2},
    ],
    "scaling": [
        {"plans": 100, "workers": 1, "wall_s": 4.0, "plans_per_s": 25.0, "peak_gb": 1.0},
        {"plans": 100, "workers": 2, "wall_s": 2.0, "plans_per_s": 40.0, "peak_gb": 1.0},
    ],
}


@pytest.fixture(scope="module")
def batch(benchmark):
    from benchmarks import batch

    return batch


@pytest.fixture(scope="module")
def made(batch, tmp_path_factory):
    from benchmarks.batch_plans import write_plans

    path = tmp_path_factory.mktemp("made") / "plans.parquet"
    write_plans(12, path, bases=4)
    return path


def test_made_plans_are_sound_and_no_two_alike(made):
    (part,) = list_parts([made], plans_per_part=100)
    (piece,) = part.pieces
    crs, layers = read(piece.path, piece.schemes, piece.rows)
    plans = [plan for _, plan in plans_of(layers, piece.schemes, crs)]
    assert all(isinstance(plan, Plan) for plan in plans), plans
    assert len({plan.site.wkb for plan in plans}) == 12
    assert len({plan.buildings["height_m"].sum() for plan in plans}) == 12
    assert all(8000 < plan.site.area < 20000 for plan in plans)


def test_the_table_is_geoparquet(made):
    rows = gpd.read_parquet(made)
    assert rows.crs.is_projected and set(rows["layer"]) >= {"site", "buildings", "roads"}


def test_marks_are_held_or_not(batch, tmp_path):
    marks = batch._marks(FOUND)
    assert marks["times the loop"]["found"] == 25.0 and marks["times the loop"]["held"]
    assert marks["1 to all workers"]["found"] == 1.6 and not marks["1 to all workers"]["held"]
    assert marks["power of time over plans"]["found"] == pytest.approx(1.0)
    text = batch.tables(FOUND | {"marks": marks})
    assert "| 1,000 | 2 | 20 | 50.0 | 25.0 | 1.20 |" in text
    assert "| 1 to all workers | >= 1.7 | 1.6 | no |" in text
    batch.draw(FOUND, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_a_measurement_is_made_once(batch, tmp_path):
    calls = []
    for _ in range(2):
        found = batch._once(tmp_path, "a", lambda: calls.append(1) or {"x": 1})
        assert found == {"x": 1}
    assert calls == [1]


def test_wrong_numbers_are_one_line(benchmark, capsys):
    assert benchmark.main(["batch", "--plans", "many"]) == 2
    assert "error: --plans many; give numbers" in capsys.readouterr().err
