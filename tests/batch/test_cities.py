"""Several extracts become several stores: the same ones by processes and on Ray, each once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fabricgen import provenance
from fabricgen.batch.cities import CitiesSettings, ingest_cities
from fabricgen.city.ingest import CitySettings
from fabricgen.city.store import TileStore
from fabricgen.cli.app import main
from fabricgen.errors import InputError
from tests.city import worlds

ROOT = Path(__file__).parents[2]
ARRAYS = ("labels", "height_dm", "boxes", "segments", "uses")
ONE = CitiesSettings(city=CitySettings(mask_gaps=False), workers=1)


@pytest.fixture(scope="module")
def extracts(tmp_path_factory):
    """Three towns, the second with a house more, the third with another street."""
    folder = tmp_path_factory.mktemp("extracts")
    found = []
    for number in range(3):
        osm = worlds.town(folder / f"town{number}.osm.pbf")
        if number == 1:
            osm.box(200, -200, 30, 30, building="yes")
        if number == 2:
            osm.way([(-280, 150), (280, 150)], tags={"highway": "residential"})
        found.append(osm.write())
    return found


def record(**settings):
    values = {"ingest": {"threads": 2, "mask_gaps": False, "max_km2": 2500.0}, **settings}
    return provenance.record("ingest", start=provenance.Start(), settings=values)


def arrays_of(folder):
    return {
        (store.name, name): np.load(store / f"{name}.npy")
        for store in sorted(folder.iterdir())
        if store.is_dir()
        for name in ARRAYS
    }


def made_at(folder):
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/city.json")}


def test_each_extract_becomes_a_store_and_a_bad_one_stops_no_other(extracts, tmp_path):
    bad = tmp_path / "bad.osm.pbf"
    bad.write_bytes(b"no map")
    out = tmp_path / "stores"
    found = ingest_cities([*extracts, bad], out, settings=ONE, record=record())
    assert found["city"].tolist() == ["town0", "town1", "town2", "bad"]
    assert found["buildings"].tolist()[:3] == [4, 5, 4]
    assert found["problem"].tolist()[:3] == [""] * 3 and "bad.osm.pbf" in found["problem"][3]
    assert TileStore.open(out).cities() == ["town0", "town1", "town2"]
    assert "bad.osm.pbf" in (out / "rejected.csv").read_text()
    run = json.loads((out / "town1" / "run.json").read_text())
    assert run["inputs"] == [provenance.fingerprint(extracts[1])] and run["seconds"] > 0


def test_what_is_made_stays_and_what_changed_is_made_again(extracts, tmp_path):
    out = tmp_path / "stores"
    ingest_cities(extracts[:2], out, settings=ONE, record=record())
    before = made_at(out)
    (out / "town1" / "run.json").unlink()  # a run that was killed before it wrote the last file
    heard = []
    ingest_cities(
        extracts, out, settings=ONE, record=record(), on_step=lambda done, *_: heard.append(done)
    )
    after = made_at(out)
    assert heard[0] == 1 and after["town0"] == before["town0"]
    assert after["town1"] != before["town1"] and "town2" in after
    other = CitiesSettings(city=CitySettings(mask_gaps=True), workers=1)
    ingest_cities(extracts[:1], out, settings=other, record=record())
    assert made_at(out)["town0"] != before["town0"]


def test_results_of_another_verb_are_no_store_and_stay(extracts, tmp_path):
    other = tmp_path / "stores" / "town0"
    other.mkdir(parents=True)
    (other / "run.json").write_text('{"verb": "generate", "settings": {"count": 8}}')
    found = ingest_cities(extracts[:2], tmp_path / "stores", settings=ONE, record=record())
    assert "holds other files" in found["problem"][0] and found["problem"][1] == ""
    assert [path.name for path in other.iterdir()] == ["run.json"]


def test_two_of_one_name_and_none_that_can_be_read_are_refused(extracts, tmp_path):
    (tmp_path / "a").mkdir()
    twin = tmp_path / "a" / extracts[0].name
    twin.write_bytes(b"no map")
    with pytest.raises(InputError, match="two extracts are called town0"):
        ingest_cities([extracts[0], twin], tmp_path / "o", settings=ONE, record=record())
    with pytest.raises(InputError, match="none of 1 extracts can be read: town0"):
        ingest_cities([twin], tmp_path / "o", settings=ONE, record=record())


def test_several_extracts_on_the_command_line(extracts, tmp_path, capsys):
    words = [str(path) for path in extracts[:2]]
    out = tmp_path / "stores"
    assert main(["ingest", *words, "--out", str(out), "-q", "workers=1"]) == 0
    heard = capsys.readouterr()
    assert "town0" in heard.out and "town1" in heard.out
    assert main(["ingest", *words, "--out", str(out), "--json", "-q"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [one["city"] for one in document["cities"]] == ["town0", "town1"]
    assert main(["ingest", *words, "--city", "x", "--out", str(out)]) == 2
    assert "--city with several extracts" in capsys.readouterr().err


ON_RAY = """
import os, sys
from pathlib import Path
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_AUTH_MODE"] = "disabled"
from ray.cluster_utils import Cluster
from fabricgen.batch import EngineSettings
from fabricgen.batch.cities import CitiesSettings, ingest_cities
from fabricgen.city.ingest import CitySettings
from tests.batch.test_cities import record

out, extracts = Path(sys.argv[1]), [Path(word) for word in sys.argv[2:]]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
engine = EngineSettings("ray", address=cluster.address)
settings = CitiesSettings(city=CitySettings(mask_gaps=False), engine=engine)
ingest_cities(extracts, out, settings=settings, record=record())
cluster.shutdown()
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_nodes_make_the_stores_of_one_process(extracts, tmp_path):
    ingest_cities(extracts, tmp_path / "one", settings=ONE, record=record())
    words = [sys.executable, "-c", ON_RAY, str(tmp_path / "ray"), *map(str, extracts)]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    said = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr[-3000:]
    one, ray = arrays_of(tmp_path / "one"), arrays_of(tmp_path / "ray")
    assert one.keys() == ray.keys() and len(one) == 3 * len(ARRAYS)
    for key in one:
        np.testing.assert_array_equal(one[key], ray[key])  # a height that is open is NaN in both
