"""The whole loop on the demo site: the same seed, the brief kept, the folder whole."""

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely
import torch

import fabricgen
from fabricgen.design import LoopSettings, run
from fabricgen.design.objective import SteeringSettings
from fabricgen.design.site import place_site
from fabricgen.files import shipped
from fabricgen.generator.cascade import SamplerSettings
from fabricgen.generator.windows import tiles
from fabricgen.plan import LAYERS, check_plan
from fabricgen.provenance import Start
from fabricgen.report import record_of, results, write_results

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SITE = shipped("demo") / "site.gpkg"
BRIEF = {"far": 2.0, "site_coverage": 0.36, "green_ratio": [0.3, 0.5], "tree_share": [0.1, 0.4]}
ASKED = {"far": 2.0, "site_coverage": 0.36}
SETTINGS = {"brief": BRIEF, "count": 2, "seed": 3}


@pytest.fixture(scope="module")
def context(helsinki):
    return helsinki.folder(helsinki.cities()[0])


@pytest.fixture(scope="module")
def made(context):
    return run(SITE, context, BRIEF, 2, 3)


@pytest.fixture(scope="module")
def write(made, context):
    """Writes the results of the run into a folder."""

    def write(out: Path) -> Path:
        record = record_of(
            made, verb="generate", start=Start(), settings=SETTINGS, inputs=(SITE, context)
        )
        return write_results(made, out, record=record)

    return write


@pytest.fixture(scope="module")
def folder(write, tmp_path_factory):
    return write(tmp_path_factory.mktemp("results") / "out")


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_plans_and_scores(made, context):
    again = fabricgen.generate(SITE, context, BRIEF, count=2, seed=3)
    assert len(again) == len(made.schemes) == 2
    for first, second in zip(made.schemes, again, strict=True):
        assert (first.name, first.seed, first.rank) == (second.name, second.seed, second.rank)
        assert first.score.indicators == second.score.indicators
        assert first.score.net_kgco2e_per_year == second.score.net_kgco2e_per_year
        for name in LAYERS:
            one, two = getattr(first.plan, name), getattr(second.plan, name)
            assert one.geometry.to_wkb().tolist() == two.geometry.to_wkb().tolist(), name
            pd.testing.assert_frame_equal(
                pd.DataFrame(one.drop(columns="geometry")),
                pd.DataFrame(two.drop(columns="geometry")),
            )


def test_the_schemes_are_the_same_however_many_processes_share_the_work(made, context):
    for workers in (1, 2):
        again = run(SITE, context, BRIEF, 2, 3, settings=LoopSettings(workers=workers))
        for first, second in zip(made.schemes, again.schemes, strict=True):
            assert first.seed == second.seed
            assert first.score.indicators == second.score.indicators
            for name in LAYERS:
                one, two = getattr(first.plan, name), getattr(second.plan, name)
                assert one.geometry.to_wkb().tolist() == two.geometry.to_wkb().tolist(), name


def test_the_schemes_of_one_run_differ(made):
    first, second = (scheme.plan.buildings.union_all() for scheme in made.schemes)
    assert first.symmetric_difference(second).area > 0.1 * first.area


def test_floor_area_and_coverage_are_as_asked_recomputed_from_the_file_alone(folder):
    site = gpd.read_file(folder / "schemes.gpkg", layer="site")
    buildings = gpd.read_file(folder / "schemes.gpkg", layer="buildings")
    scores = pd.read_csv(folder / "scores.csv").set_index("scheme")
    for name, own in buildings.groupby("scheme"):
        site_m2 = site[site["scheme"] == name].area.sum()
        got = {
            "far": (own.area * own["floors"]).sum() / site_m2,
            "site_coverage": own.union_all().area / site_m2,
        }
        for key, asked in ASKED.items():
            assert got[key] == pytest.approx(asked, rel=0.05), (name, key)
            assert got[key] == pytest.approx(scores.loc[name, key], rel=1e-3), (name, key)
    assert set(buildings["scheme"]) == {"s01", "s02"}


def test_no_building_stands_on_a_road_or_on_another(folder):
    buildings = gpd.read_file(folder / "schemes.gpkg", layer="buildings")
    roads = gpd.read_file(folder / "schemes.gpkg", layer="roads")
    for name, own in buildings.groupby("scheme"):
        lanes = roads[(roads["scheme"] == name) & (roads["kind"] != "path")]
        built = own.union_all()
        lane = shapely.union_all(lanes.buffer(lanes["width_m"] / 2).to_numpy())
        assert built.intersection(lane).area < 0.05
        assert own.area.sum() - built.area < 0.05


def test_a_site_of_several_windows_is_drawn_as_one(helsinki, demo_shape):
    middle = demo_shape.geometry.iloc[0].centroid
    square = shapely.affinity.rotate(middle.buffer(130, cap_style="square"), 30)
    large = gpd.GeoDataFrame(geometry=[square], crs=demo_shape.crs)
    site = place_site(large, helsinki, name="large.gpkg")
    assert len(tiles(torch.from_numpy(site.editable))) >= 4
    plain = LoopSettings(SamplerSettings(oversample=1), SteeringSettings(guided=False))
    (scheme,) = fabricgen.generate(
        site, None, {"far": 1.5, "site_coverage": 0.3}, 1, settings=plain
    )
    check_plan(scheme.plan)
    assert scheme.score.indicators["far"] == pytest.approx(1.5, rel=0.05)
    assert scheme.score.indicators["site_coverage"] == pytest.approx(0.3, rel=0.05)
    # Every quarter of the site is built on, so no window was left out.
    west, south, east, north = square.bounds
    built = scheme.plan.buildings.union_all()
    for x, y in ((west, south), (west, middle.y), (middle.x, south), (middle.x, middle.y)):
        quarter = shapely.box(x, y, x + (east - west) / 2, y + (north - south) / 2)
        assert built.intersection(quarter).area > 0.1 * square.intersection(quarter).area


def test_the_folder_holds_everything(folder):
    names = {path.name for path in folder.iterdir()}
    wanted = {"schemes.gpkg", "scores.csv", "scores.parquet", "report.html", "contact_sheet.png"}
    assert names == wanted | {"run.json", "s01.tif", "s02.tif"}
    scores = pd.read_csv(folder / "scores.csv")
    assert list(scores["rank"]) == [1, 2] and list(scores["scheme"]) == ["s01", "s02"]
    columns = ["emission_kgco2e_per_year", "sink_kgco2e_per_year", "net_kgco2e_per_year"]
    emission, sink, net = (scores[column] for column in columns)
    assert ((emission - sink - net).abs() < 1e-3 * emission).all()
    record = json.loads((folder / "run.json").read_text())
    assert record["seed"] == 3 and "OpenStreetMap" in json.dumps(record["data"])
    assert "OpenStreetMap" in (folder / "report.html").read_text()


def test_a_failed_run_leaves_earlier_results_untouched(folder, write, monkeypatch):
    before = hashes(folder)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results, "write_report", full)
    with pytest.raises(OSError, match="No space left"):
        write(folder)
    assert hashes(folder) == before
    assert [path.name for path in folder.parent.iterdir() if not path.name.startswith(".")] == [
        "out"
    ]


KILLED = """
import os, signal, sys
from fabricgen.report import results
results.contact_sheet = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
from fabricgen.cli.app import main
main(["generate", "--site", sys.argv[1], "--context", sys.argv[2], "--out", sys.argv[3],
      "--count", "1", "steering.guided=false", "sampler.oversample=1"])
"""


def test_a_killed_run_leaves_earlier_results_untouched_and_the_next_one_sweeps(
    folder, write, context
):
    before = hashes(folder)
    words = [sys.executable, "-c", KILLED, str(SITE), str(context), str(folder)]
    assert subprocess.run(words, check=False, timeout=300).returncode == -signal.SIGKILL
    assert hashes(folder) == before
    assert folder.with_name("out.part").is_dir()  # what it was writing
    write(folder)
    assert not folder.with_name("out.part").exists()
    assert set(hashes(folder)) == set(before)


def test_no_house_stands_where_none_may_and_the_rest_holds_all_that_is_asked(context, tmp_path):
    site = gpd.read_file(SITE)
    west, south, east, north = site.total_bounds
    zone = shapely.box(west, south, west + 0.4 * (east - west), north)
    path = tmp_path / "site.gpkg"
    site[["geometry"]].to_file(path, layer="site")
    gpd.GeoDataFrame(geometry=[zone], crs=site.crs).to_file(path, layer="no_build")
    asked = {"far": 1.2, "site_coverage": 0.22, "green_ratio": 0.4}
    made = run(path, context, asked, 2, 3)
    zone = made.site.no_build
    assert 0.3 < zone.area / made.site.boundary.area < 0.5
    for scheme in made.schemes:
        walls = shapely.intersection(scheme.plan.buildings.geometry.to_numpy(), zone)
        assert shapely.area(walls).sum() < 0.01
        got = scheme.score.indicators
        assert got["far"] == pytest.approx(1.2, rel=0.01)
        assert got["site_coverage"] == pytest.approx(0.22, rel=0.03)
        assert scheme.plan.green.intersection(zone).area.sum() > 0.1 * zone.area
