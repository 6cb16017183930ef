"""The plugin in a real QGIS without a window: it draws, shows, scores, stops and complains."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fabricgen.cli.app import main
from fabricgen.exchange.qgis import PLUGIN
from fabricgen.files import shipped
from fabricgen.surfaces import BUILDING, COLORS

QGIS_PYTHON = "/usr/bin/python3"  # the Python that a system's QGIS brings its modules for
ROOT = Path(__file__).parents[2]


def has_qgis() -> bool:
    look = [QGIS_PYTHON, "-c", "import qgis.core"]
    return (
        shutil.which("qgis_process") is not None
        and not subprocess.run(
            look, env={"PATH": os.environ["PATH"]}, capture_output=True, check=False
        ).returncode
    )


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_qgis(), reason="no QGIS with its Python modules on this machine"),
]


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Runs one algorithm in a QGIS of its own that has the plugin."""
    home = tmp_path_factory.mktemp("qgis")
    assert main(["qgis", "--out", str(home), "-q"]) == 0
    with zipfile.ZipFile(home / "fabricgen_qgis.zip") as archive:
        archive.extractall(home)
    assert (home / PLUGIN).is_dir()
    command = home / "bin" / "fabricgen"
    command.parent.mkdir()
    command.write_text(
        f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m fabricgen "$@"\n'
    )
    command.chmod(0o755)
    environment = {
        "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "QT_QPA_PLATFORM": "offscreen",
        "PYTHONPATH": "",  # what QGIS has must not reach fabricgen: it would find no torch
        "FABRICGEN_CACHE": str(home / "cache"),
    }

    def run(algorithm, parameters, **more):
        asked = {"plugins": str(home), "algorithm": f"fabricgen:{algorithm}"}
        asked |= {"parameters": parameters, **more}
        script = str(Path(__file__).with_name("session.py"))
        done = subprocess.run(
            [QGIS_PYTHON, script, json.dumps(asked)],
            env=environment, capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def places(out, **more):
    city = shipped("demo")
    return {"SITE": str(city / "site.gpkg"), "EXTRACT": str(city / "helsinki-centre.osm.pbf"),
            "OUTPUT": str(out), "COUNT": 1, **more}  # fmt: skip


@pytest.fixture(scope="module")
def drawn(ask, tmp_path_factory):
    """One scheme, loaded and drawn."""
    folder = tmp_path_factory.mktemp("drawn")
    asked = places(folder / "o", FAR="2.0", GREEN_RATIO="0.3-0.5")
    said = ask("generate", asked, load=True, picture=str(folder / "map.png"))
    return folder, said


def test_a_scheme_is_drawn_and_shown_in_its_styles(drawn):
    folder, said = drawn
    assert said["good"] and (folder / "o" / "run.json").exists()
    ((name, on, (table, group)),) = said["tree"]
    assert (name, on, table) == ("o", True, "scores")
    assert group[0].startswith("s01: FAR 2.00, net ") and group[1]
    assert group[2] == ["site", "trees", "buildings", "roads", "green", "paved", "water", "ground"]
    looks = {}
    for one in said["looks"]:
        looks.setdefault(one["name"], one)
    assert all(one["valid"] for one in looks.values())
    assert looks["buildings"]["colors"] == {"": COLORS[BUILDING]}
    assert looks["buildings"]["features"] > 3 and looks["buildings"]["labels"]
    assert set(looks["green"]["colors"]) >= {"grass", "shrub", "tree"}
    assert looks["scores"]["types"]["net_kgco2e_per_year"] == "Real"
    assert max(said["shares"]) == 100 and len(said["shares"]) > 5
    assert (folder / "map.png").stat().st_size > 10_000


def test_the_layers_of_a_scheme_are_scored_as_a_plan(ask, drawn, tmp_path):
    plans = drawn[0] / "o" / "schemes.gpkg"
    layers = [
        {"uri": f"{plans}|layername={name}", "name": name}
        for name in ("site", "buildings", "roads", "green", "trees", "paved", "water")
    ]
    asked = {"OUTPUT": str(tmp_path / "o"), "REGION": "fi"}
    said = ask("score", asked, layers={"LAYERS": layers}, load=True)
    assert said["good"] and Path(said["results"]["PAGE"]).exists()
    assert any(line.startswith("1. layers") for line in said["said"])


def test_a_run_that_is_stopped_leaves_nothing(ask, tmp_path):
    said = ask("generate", places(tmp_path / "o", COUNT=64), stop_after_s=6)
    assert said["elapsed_s"] < 60 and said["results"] == {}
    assert "Stopped; earlier results are untouched." in said["said"]
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == []


def test_a_field_that_cannot_be_read_is_refused_before_the_run(ask, tmp_path):
    said = ask("generate", places(tmp_path / "o", FAR="lots"))
    assert "Floor area per site area" in said["refused"] and "'lots'" in said["refused"]
    said = ask("generate", places(tmp_path / "o", EXTRACT=""))
    assert said["refused"].startswith("Give the city around once")


def test_a_mistake_is_told_in_fabricgens_words(ask, tmp_path):
    said = ask("generate", places(tmp_path / "o", FAR="20", MEAN_HEIGHT_M="10"))
    assert not said["good"] and not (tmp_path / "o").exists()
    assert any("FAR 20 needs more than" in line for line in said["said"])


def test_the_check_finds_fabricgen(ask):
    said = ask("check", {})
    assert said["good"] and said["results"]["VERSION"]
