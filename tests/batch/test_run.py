"""Many plans: the numbers of few, each plan once whatever happens, and none spoils another."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from fabricgen.batch import BatchSettings, find_files, list_parts, score_many, write_plan_table
from fabricgen.batch.rows import DRAWS
from fabricgen.carbon.uncertainty import beats
from fabricgen.design.candidates import ScoreSettings, score_files
from fabricgen.errors import InputError, StorageError
from fabricgen.exchange import write_geotiff, write_schemes
from fabricgen.files import lock
from fabricgen.plan import rasterize
from fabricgen.report.score_page import score_table
from tests.batch.conftest import FAST, SMALL, X, Y, made_plan, named_plans


def scores(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "scores.parquet").set_index("plan")


def parts_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "parts").glob("part-*"))}


def assert_same_numbers(few: pd.DataFrame, many: pd.DataFrame, *, atol: float = 0.0) -> None:
    """To 1e-6, in all columns that both have; what is NaN is so in both."""
    many = many.loc[few.index]
    assert set(few) - set(many) == {"hardening_gap_share"}
    for name in set(few) & set(many):
        if few[name].dtype.kind in "fi":
            np.testing.assert_allclose(many[name], few[name], rtol=1e-6, atol=atol, err_msg=name)
        else:
            assert (many[name] == few[name]).all(), name


@pytest.mark.parametrize(
    "settings",
    [
        FAST,
        pytest.param(ScoreSettings(draws=16, year=2030, sunlight="off"), marks=pytest.mark.slow),
        pytest.param(ScoreSettings(draws=16), marks=pytest.mark.slow),
    ],
)
def test_many_plans_have_the_numbers_and_the_order_of_few(table, tmp_path, inline, settings):
    few = score_table(score_files([table], settings=settings)).set_index("plan")
    summary = score_many([table], out=tmp_path / "many", settings=settings, batch=SMALL)
    assert (summary.scored, summary.rejected, summary.resumed) == (12, 0, 0)
    assert_same_numbers(few, scores(tmp_path / "many"))
    assert list(scores(tmp_path / "many").index) == list(few.index)
    text = pd.read_csv(tmp_path / "many" / "scores.csv")
    assert list(text["plan"]) == list(few.index) and text["rank"].tolist() == [*range(1, 13)]


def test_every_kind_of_source_gives_the_same_numbers(tmp_path, inline):
    folder = tmp_path / "in" / "deep"
    folder.mkdir(parents=True)
    plans = named_plans(3)
    write_plan_table(plans, folder / "a.parquet")
    write_schemes(plans, folder / "b.gpkg")
    for name, plan in plans:
        write_schemes([("only", plan)], folder / f"{name}.gpkg")
    score_many([tmp_path / "in"], out=tmp_path / "out", settings=FAST, batch=SMALL)
    found = scores(tmp_path / "out")
    assert len(found) == 9
    for name, _ in plans:
        nets = found.loc[[f"a-{name}", f"b-{name}", name], "net_kgco2e_per_year"]
        np.testing.assert_allclose(nets, nets.iloc[0], rtol=1e-6)


def test_a_raster_and_plans_in_another_region_are_scored_beside(tmp_path, inline):
    from fabricgen.design.candidates import frame_of

    plan = made_plan(1)
    frame = frame_of(plan, pixel_m=2.0)
    drawn = rasterize(plan, frame)
    write_geotiff(drawn, frame, tmp_path / "r.tif", inside=drawn.allowed[0] > 0)
    write_plan_table([("a", plan)], tmp_path / "a.parquet")
    score_many([tmp_path / "*.*"], out=tmp_path / "out", settings=FAST, batch=SMALL)
    found = scores(tmp_path / "out")
    assert set(found.index) == {"a", "r"}
    few = score_table(score_files([tmp_path / "r.tif"], settings=FAST)).set_index("plan")
    assert found.loc["r", "net_kgco2e_per_year"] == pytest.approx(
        few.loc["r", "net_kgco2e_per_year"], rel=1e-6
    )


def test_heights_that_are_missing_are_ranges_as_for_few(tmp_path, inline):
    plan = made_plan(3)
    bare = plan.buildings.assign(height_m=np.nan)
    some = plan.buildings.assign(height_m=[np.nan, *plan.buildings["height_m"][1:]])
    plans = [("all", plan), ("none", _with(plan, bare)), ("some", _with(plan, some))]
    write_plan_table(plans, tmp_path / "p.parquet")
    few = score_table(score_files([tmp_path / "p.parquet"], settings=FAST)).set_index("plan")
    score_many([tmp_path / "p.parquet"], out=tmp_path / "o", settings=FAST)
    assert_same_numbers(few, scores(tmp_path / "o"))
    assert few.loc["p-none", "height_unknown_share"] > 0.9


def _with(plan, buildings):
    return replace(plan, buildings=buildings)


@pytest.mark.slow
def test_the_state_before_counts_as_for_few(table, tmp_path, inline):
    today = replace(made_plan(99), site=shapely.box(X - 100, Y - 100, X + 150, Y + 150))
    write_schemes([("today", today)], tmp_path / "today.gpkg")
    settings = ScoreSettings(
        draws=4, pixel_m=2.0, before=str(tmp_path / "today.gpkg"), sunlight="off"
    )
    few = score_table(score_files([table], settings=settings)).set_index("plan")
    score_many([table], out=tmp_path / "o", settings=settings)
    # Cooling is a small difference of large amounts: to a tenth of a gram a year.
    assert_same_numbers(few, scores(tmp_path / "o"), atol=1e-4)
    assert few["avoided_kgco2e_per_year"].notna().all()


def poisoned(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A table in which every way to be broken occurs, and what is to be said of each."""
    path = tmp_path / "poisoned.parquet"
    write_plan_table(named_plans(12), path)
    rows = gpd.read_parquet(path)
    shapes = rows.geometry.to_numpy()

    def first(scheme, layer):
        return rows.index[(rows["scheme"] == scheme) & (rows["layer"] == layer)][0]

    bow = shapely.Polygon([(0, 0), (9, 9), (9, 0), (0, 9)])
    west, south, *_ = shapes[first("p0001", "buildings")].bounds
    shapes[first("p0001", "buildings")] = shapely.affinity.translate(bow, west, south)
    rows.loc[first("p0003", "buildings"), "height_m"] = -4.0
    rows.loc[first("p0004", "buildings"), "height_m"] = np.inf
    shapes[first("p0005", "site")] = shapely.Point(0, 0)
    shapes[first("p0006", "buildings")] = None
    shapes[first("p0007", "buildings")] = shapely.affinity.translate(
        shapes[first("p0007", "buildings")], 900, 0
    )
    shapes[first("p0008", "site")] = shapely.Polygon()
    rows = rows.set_geometry(gpd.GeoSeries(shapes, index=rows.index, crs=rows.crs))
    rows = rows.drop(index=first("p0002", "site"))
    rows.to_parquet(path, index=False)
    return path, {
        "p0001": "buildings b0: is empty, invalid or 3D",
        "p0002": "scheme p0002 has no site",
        "p0003": "buildings b0: height -4.0 m",
        "p0004": "infinite",
        "p0005": "its site is empty",
        "p0006": "buildings b0: is empty",
        "p0007": "buildings b0: reaches out of the site",
        "p0008": "its site is empty",
    }


def test_broken_plans_are_set_aside_with_reasons_and_spoil_no_other(tmp_path, inline, whole):
    path, reasons = poisoned(tmp_path)
    for name, content in (
        ("cut.gpkg", b"SQLite format 3\0"),
        ("no.parquet", b"a,b\n1,2\n"),
        ("t.tif", b""),
    ):
        (tmp_path / name).write_bytes(content)
    files = [path, tmp_path / "cut.gpkg", tmp_path / "no.parquet", tmp_path / "t.tif"]
    summary = score_many(files, out=tmp_path / "o", settings=FAST, batch=SMALL)
    assert (summary.scored, summary.rejected) == (4, 11)
    set_aside = pd.read_csv(tmp_path / "o" / "rejected.csv").set_index("plan")["problem"]
    for scheme, reason in reasons.items():
        assert reason in set_aside[f"poisoned-{scheme}"], scheme
    assert {"cut", "no", "t"} <= set(set_aside.index)
    assert all("\n" not in reason for reason in set_aside)
    sound = scores(whole)["net_kgco2e_per_year"]
    for plan, net in scores(tmp_path / "o")["net_kgco2e_per_year"].items():
        assert net == pytest.approx(sound[plan.replace("poisoned", "plans")], rel=1e-6)


def test_a_run_without_any_sound_plan_ends_with_reasons(tmp_path, inline):
    (tmp_path / "a.gpkg").write_bytes(b"")
    summary = score_many([tmp_path / "a.gpkg"], out=tmp_path / "o", settings=FAST)
    assert (summary.scored, summary.rejected, summary.best) == (0, 1, [])
    assert (tmp_path / "o" / "run.json").exists()


class Stop(Exception):
    """Stands for whatever ends a run."""


MOMENTS = {
    "before a part": "fabricgen.batch.journal.atomic_file",
    "in the ranking": "fabricgen.batch.ranking._order",
    "in the table": "fabricgen.batch.ranking._block",
    "before the record": "fabricgen.batch.run.provenance.write",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_that_ends_anywhere_goes_on_and_does_nothing_twice(
    table, tmp_path, inline, monkeypatch, whole, moment
):
    calls, real = iter(range(100)), _found(MOMENTS[moment])

    def fails(*args, **named):
        if next(calls) == (2 if moment == "before a part" else 0):
            raise Stop
        return real(*args, **named)

    with monkeypatch.context() as patch:
        patch.setattr(MOMENTS[moment], fails)
        with pytest.raises(Stop):
            score_many([table], out=tmp_path / "o", settings=FAST, batch=SMALL)
    assert not (tmp_path / "o" / "run.json").exists()
    kept = set(parts_of(tmp_path / "o"))
    summary = score_many([table], out=tmp_path / "o", settings=FAST, batch=SMALL)
    assert summary.resumed == len(kept) and summary.scored == 12
    assert parts_of(tmp_path / "o") == parts_of(whole)
    pd.testing.assert_frame_equal(scores(tmp_path / "o"), scores(whole))
    assert len(inline) <= 5  # four parts, and one whose writing failed


def _found(name: str):
    import importlib

    module, _, attribute = name.rpartition(".")
    if module.endswith("provenance"):
        module = "fabricgen.provenance"
    return getattr(importlib.import_module(module), attribute)


def test_a_folder_of_another_run_is_refused_in_one_line(table, tmp_path, inline, whole):
    out = whole
    other = ScoreSettings(draws=9, pixel_m=2.0, sunlight="quick")
    with pytest.raises(
        InputError, match=r"o: holds a run of other settings \(draws was 8, not 9\)"
    ):
        score_many([table], out=out, settings=other, batch=SMALL)
    write_plan_table(named_plans(2), tmp_path / "plans.parquet")
    with pytest.raises(InputError, match="o: holds a run of other files; repeat its command"):
        score_many([tmp_path / "plans.parquet"], out=out, settings=FAST, batch=SMALL)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(InputError, match="mine: holds other files"):
        score_many([table], out=tmp_path / "mine", settings=FAST)


def test_other_contents_of_the_same_files_are_another_run(tmp_path, inline):
    path = tmp_path / "p.parquet"
    write_plan_table([("a", made_plan(0))], path)
    score_many([path], out=tmp_path / "o", settings=FAST)
    write_plan_table([("a", made_plan(1))], path)
    with pytest.raises(InputError, match="o: holds a run of other files"):
        score_many([path], out=tmp_path / "o", settings=FAST)


def test_a_complete_run_is_told_again_without_work(table, inline, whole):
    record, first = (whole / "run.json").read_text(), list(scores(whole).index)
    again = score_many([table], out=whole, settings=FAST, batch=SMALL)
    assert not inline and [row["plan"] for row in again.best] == first[:10]
    assert (whole / "run.json").read_text() == record


def test_a_second_writer_is_refused(table, tmp_path, inline):
    with lock(tmp_path / "o"), pytest.raises(StorageError, match="another run is writing there"):
        score_many([table], out=tmp_path / "o", settings=FAST)


def test_the_parts_hold_the_common_draws_and_the_order_goes_by_them(whole):
    parts = pd.concat([pd.read_parquet(path) for path in (whole / "parts").iterdir()])
    draws = parts.set_index("plan")[DRAWS]
    found = scores(whole)
    import torch

    def per_area(plan):
        return torch.tensor(draws[plan]) / found.loc[plan, "gross_floor_area_m2"]

    for one, other in zip(found.index[:-1], found.index[1:], strict=True):
        expected = beats(per_area(one), per_area(other))
        assert found.loc[one, "beats_next_share"] == pytest.approx(expected)
    assert np.isnan(found["beats_next_share"].iloc[-1])


def test_two_processes_give_the_bytes_of_one(table, tmp_path, whole):
    two = BatchSettings(workers=2, plans_per_part=3)
    score_many([table], out=tmp_path / "two", settings=FAST, batch=two)
    assert parts_of(tmp_path / "two") == parts_of(whole)


RUN = """
import sys
from pathlib import Path
from fabricgen.batch import BatchSettings, run, score_many
from fabricgen.steps import quiet
from tests.batch.conftest import FAST

def inline(function, items, **_):
    yield from ((index, function(item, quiet)) for index, item in enumerate(items))

if sys.argv[3] == "inline":
    run.run_engine = inline
score_many([Path(sys.argv[1])], out=Path(sys.argv[2]), settings=FAST,
           batch=BatchSettings(workers=2, plans_per_part=2))
"""


@pytest.mark.parametrize(
    ("kills", "plans", "engine"),
    [(3, 12, "inline"), pytest.param(20, 320, "processes", marks=pytest.mark.slow)],
)
@pytest.mark.timeout(600)
def test_a_run_that_is_killed_again_and_again_scores_each_plan_once(
    tmp_path, inline, kills, plans, engine
):
    source, out = tmp_path / "many.parquet", tmp_path / "o"
    write_plan_table(named_plans(plans), source)
    rng = random.Random(7)
    command = [sys.executable, "-c", RUN, str(source)]
    root = Path(__file__).parents[2]
    env = os.environ | {"PYTHONPATH": str(root)}
    left = kills
    while True:
        begun = set(parts_of(out)) if out.exists() else set()
        run = subprocess.Popen([*command, str(out), engine], env=env, cwd=root)
        while left and run.poll() is None and not (out.exists() and set(parts_of(out)) - begun):
            time.sleep(0.02)  # some work has been done since
        time.sleep(rng.uniform(0, 0.6))
        if left and run.poll() is None:
            run.send_signal(signal.SIGKILL)
            left -= 1
            assert run.wait() == -signal.SIGKILL
            continue
        assert run.wait() == 0
        break
    assert left == 0, "it ended before it could be killed so often"
    found = scores(out)
    assert sorted(found["scheme"]) == [name for name, _ in named_plans(plans)]
    batch = BatchSettings(plans_per_part=2)
    score_many([source], out=tmp_path / "whole", settings=FAST, batch=batch)
    assert parts_of(out) == parts_of(tmp_path / "whole")
    pd.testing.assert_frame_equal(found, scores(tmp_path / "whole"))
    rest = {path.name for path in out.iterdir()}
    assert rest == {
        "journal.json",
        "parts",
        "rejected.csv",
        "run.json",
        "scores.csv",
        "scores.parquet",
    }


def test_parts_do_not_depend_on_who_asks(table, tmp_path):
    files = find_files([table.parent / "*.parquet"])
    parts = list_parts(files, plans_per_part=5)
    assert [part.plans for part in parts] == [5, 5, 2]
    assert [p.schemes[0] for part in parts for p in part.pieces] == ["p0000", "p0005", "p0010"]
    with pytest.raises(InputError, match=r"none.gpkg: no such file"):
        find_files([tmp_path / "none.gpkg"])


def test_a_table_whose_plans_are_scattered_is_refused(tmp_path, inline):
    import pyarrow.parquet as pq

    write_plan_table(named_plans(12), tmp_path / "p.parquet")
    table = pq.read_table(tmp_path / "p.parquet").sort_by("layer")
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=10)
    with pytest.raises(
        InputError, match="are scattered over the table; sort it by the column scheme"
    ):
        score_many([tmp_path / "p.parquet"], out=tmp_path / "o", settings=FAST)


def test_the_record_says_what_the_run_was(whole):
    record = json.loads((whole / "run.json").read_text())
    assert record["counts"] == {"made": 12, "rejected": 0} and record["regions"] == ["fi"]
    assert record["settings"]["draws"] == 8 and record["settings"]["pages"] == "none"
    assert [one["name"] for one in record["inputs"]] == ["plans.parquet"]
