"""A run's record is complete, and holds nothing personal."""

import getpass
import json
import socket
import subprocess
import sys
from pathlib import Path

from fabricgen.provenance import Start, fingerprint, record, scrub, write


def test_a_record_names_what_repeats_the_run(tmp_path):
    (tmp_path / "site.gpkg").write_bytes(b"abc")
    found = record(
        "generate",
        start=Start(),
        settings={"count": 3},
        seed=7,
        inputs=[tmp_path / "site.gpkg"],
        more={"counts": {"asked": 3}},
    )
    assert found["seed"] == 7 and found["settings"] == {"count": 3}
    assert found["inputs"] == [{"name": "site.gpkg", "sha256": found["inputs"][0]["sha256"]}]
    assert found["inputs"][0]["sha256"].startswith("ba7816bf8f01cfea")
    assert found["versions"]["python"] and found["counts"] == {"asked": 3}
    assert found["seconds"] >= 0 and found["started_utc"].endswith("+00:00")


def test_a_record_holds_no_paths_users_or_hosts(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", "generate", str(tmp_path / "s.gpkg"), f"out={tmp_path}"])
    (tmp_path / "w.bin").write_bytes(b"1")
    found = record(
        "generate",
        start=Start(),
        settings={"stores": [str(tmp_path / "helsinki")], "site": tmp_path / "s.gpkg"},
        weights=tmp_path / "w.bin",
        more={"log": str(tmp_path / "log.txt")},
    )
    text = json.dumps(found)
    assert str(tmp_path) not in text and str(Path.home()) + "/" not in text
    assert socket.gethostname() not in text
    assert f"/{getpass.getuser()}/" not in text
    assert found["command"][1:3] == ["generate", "s.gpkg"]
    assert found["settings"] == {"stores": ["helsinki"], "site": "s.gpkg"}


def test_relative_paths_and_other_texts_stay_as_they_are():
    kept = {"a": "data/site.gpkg", "b": "brief.far=2.0", "c": 1.5, "d": None, "e": "tree/shrub"}
    assert scrub(kept) == kept


def test_paths_of_another_system_are_cut_too():
    assert scrub(r"C:\Users\somebody\site.gpkg") == "site.gpkg"


def test_run_json_is_written_whole(tmp_path):
    write({"verb": "demo"}, tmp_path)
    assert json.loads((tmp_path / "run.json").read_text()) == {"verb": "demo"}
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_folder_has_a_fingerprint(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    assert len(fingerprint(tmp_path)["sha256"]) == 64


def test_the_ground_floor_loads_neither_torch_nor_geo_libraries():
    code = (
        "import sys, fabricgen.provenance, fabricgen.settings, fabricgen.files, fabricgen.units\n"
        "heavy = {'torch', 'numpy', 'geopandas', 'hydra', 'omegaconf', 'lightning', 'rasterio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
