"""The whole protocol on a town made by code, with a generator whose answer is known."""

import json
import sys

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from shapely.geometry import LineString, box

from fabricgen.errors import InputError, MissingDependencyError
from fabricgen.quality import protocol
from fabricgen.quality.page import page
from fabricgen.quality.places import LEAST_HA, MOST_HA, find_places
from fabricgen.quality.proposers import real
from fabricgen.quality.protocol import EvaluateSettings, evaluate

CRS = "EPSG:32635"
X, Y = 500_000.0, 6_600_000.0
PITCH, BLOCKS = 110.0, 8


@pytest.fixture(scope="session")
def town(tmp_path_factory):
    """A grid of blocks of 100 m with houses along two sides, as a GeoPackage."""
    rng = np.random.default_rng(0)
    size = PITCH * BLOCKS
    lines = [LineString([(X + PITCH * n, Y), (X + PITCH * n, Y + size)]) for n in range(BLOCKS + 1)]
    lines += [
        LineString([(X, Y + PITCH * n), (X + size, Y + PITCH * n)]) for n in range(BLOCKS + 1)
    ]
    houses, floors = [], []
    for column in range(BLOCKS):
        for row in range(BLOCKS):
            x, y = X + PITCH * column, Y + PITCH * row
            for n in range(4):
                wide, deep = rng.uniform(10, 18), rng.uniform(9, 14)
                houses.append(box(x + 12 + 22 * n, y + 10, x + 12 + 22 * n + wide, y + 10 + deep))
                houses.append(box(x + 12 + 22 * n, y + 90 - deep, x + 12 + 22 * n + wide, y + 90))
                floors += [int(rng.integers(2, 6))] * 2
    path = tmp_path_factory.mktemp("town") / "town.gpkg"
    told = {"levels": floors, "height_m": np.nan, "use": "residential"}
    gpd.GeoDataFrame(told, geometry=houses, crs=CRS).to_file(path, layer="buildings")
    streets = gpd.GeoDataFrame(
        {"class": ["residential"] * len(lines), "width_m": 8.0}, geometry=lines, crs=CRS
    )
    streets.to_file(path, layer="streets")
    clip = shapely.box(X, Y, X + size, Y + size).wkt
    meta = pd.DataFrame({"licence": ["CC0"], "source": ["made"], "clip_wkt": [clip]})
    pyogrio.write_dataframe(meta, path, layer="meta")
    return path


@pytest.fixture
def cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("FABRICGEN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def judged(town, cache, monkeypatch, tmp_path):
    """Runs the protocol with a generator that draws what really stands there."""
    made = []

    class Propose:
        def __call__(self, place, seed):
            made.append(place.name)
            return real(place, seed)

    propose = Propose()

    monkeypatch.setattr(protocol, "LEAST_SITES", 6)
    monkeypatch.setattr(protocol, "LEAST_TOLD", 10)
    monkeypatch.setattr("fabricgen.quality.distances.LEAST_ROWS", 6)
    monkeypatch.setattr(protocol, "Generator", lambda models, loop: propose)
    monkeypatch.setattr(protocol, "load", lambda path: None)

    def run(**told):
        settings = EvaluateSettings(**{"samples": 20, "seeds": 2, **told})
        return evaluate(town, rows=tmp_path / "rows.json", settings=settings), made

    return run


def test_places_lie_apart_and_are_blocks_and_squares(town, cache):
    store = protocol.open_context(town)
    places = find_places(store, 12, rng=np.random.default_rng(1))
    assert len(places) == 12
    shapes = [place.site.boundary for place in places]
    for n, one in enumerate(shapes):
        assert LEAST_HA * 1e4 * 0.95 <= one.area <= MOST_HA * 1e4
        assert all(one.intersection(other).area <= 1 for other in shapes[:n])
    kinds = {place.kind for place in places}
    assert kinds == {"block", "square"}
    blocks = [p.site.boundary.area for p in places if p.kind == "block"]
    assert blocks[0] == pytest.approx(102**2, rel=0.05)  # between carriageways of 8 m
    assert all(place.mapped == {"heights"} for place in places)
    again = find_places(store, 6, rng=np.random.default_rng(1))
    assert [p.name for p in again] == [p.name for p in places[:6]]


@pytest.mark.slow
def test_real_plans_for_generated_ones_are_their_own_floor(judged, tmp_path):
    found, made = judged()
    metrics = found.metrics
    assert metrics["morphology.w1_mean"]["value"] == 0
    assert metrics["c2st.accuracy"]["value"] == pytest.approx(0.5, abs=0.2)
    for key in ("seam.recall", "validity.clean"):
        assert metrics[key]["value"] == metrics["floor"][key]["value"]
    assert metrics["control.far_mape"]["value"] < 1e-9
    assert metrics["diversity.ratio"]["value"] == 0  # the same plan for each seed
    assert metrics["baselines"]["rules"]["morphology.w1_mean"]["value"] > 0.3
    assert metrics["morphology.exporter_w1"]["value"] >= 0
    assert {"memorisation.*", "control.spearman.*"} <= set(metrics["meta"]["skipped"])
    json.dumps(metrics, allow_nan=False)
    text = page(found, {"data": found.sources, "fabricgen": {"version": "0"}})
    assert text.count("<svg") == 2 * len(found.pictures) and "bld.eri" in text

    count = len(made)
    again, made = judged()
    assert len(made) - count == len(found.pictures)  # rows are kept; only pictures are drawn
    same = {k: v for k, v in metrics.items() if k != "meta"}
    assert {k: v for k, v in again.metrics.items() if k != "meta"} == same


def test_a_run_without_time_says_so_and_keeps_what_it_has(judged, tmp_path, monkeypatch):
    seconds = iter(range(0, 100_000, 5))
    monkeypatch.setattr(protocol.time, "monotonic", lambda: float(next(seconds)))
    with pytest.raises(InputError, match="too little time for 6 sites; raise --max-minutes"):
        judged(samples=7, max_minutes=0.5)
    assert json.loads((tmp_path / "rows.json").read_text())["rows"]


def test_a_town_too_small_is_refused(judged, monkeypatch):
    monkeypatch.setattr(protocol, "LEAST_SITES", 200)
    with pytest.raises(
        InputError, match="sites that do not overlap; give a city with room for 400"
    ):
        judged()


def test_the_extra_is_missed_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'fabricgen\[quality\]'"):
        evaluate(tmp_path / "no-such-city.osm.pbf", rows=tmp_path / "rows.json")
