"""`fabricgen ingest` on good and bad extracts: one line and no half-written store."""

import json
from pathlib import Path

import pytest

from fabricgen.cli.app import main
from fabricgen.files import shipped

EXTRACT = "helsinki-centre.osm.pbf"


def _bad(folder: Path, name: str) -> Path:
    """An extract with one thing wrong."""
    whole = (shipped("demo") / EXTRACT).read_bytes()
    path = folder / {"not_osm": "a.osm.pbf", "other_suffix": "a.docx"}.get(name, "b.osm.pbf")
    contents = {
        "truncated": whole[: len(whole) // 2],
        "cut_at_the_start": whole[:10],
        "empty": b"",
        "not_osm": b"this is a letter, not a map" * 50,
        "other_suffix": b"PK",
    }
    if name in contents:
        path.write_bytes(contents[name])
    return path


@pytest.mark.parametrize(
    "name", ["truncated", "cut_at_the_start", "empty", "not_osm", "other_suffix", "missing"]
)
def test_a_bad_extract_is_one_line_and_leaves_nothing(tmp_path, capsys, name):
    path = _bad(tmp_path, name)
    assert main(["ingest", str(path), "--out", str(tmp_path / "out" / "city")]) == 2
    heard = capsys.readouterr()
    assert heard.err.startswith(f"error: {path.name}") and heard.err.count("\n") == 1
    assert heard.out == ""
    assert not [p for p in (tmp_path / "out").rglob("*") if p.suffix != ".lock"]


def test_a_store_does_not_take_the_place_of_other_files(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"1")
    extract = str(shipped("demo") / EXTRACT)
    assert main(["ingest", extract, "--out", str(tmp_path / "photos")]) == 2
    assert "holds other files" in capsys.readouterr().err
    assert (tmp_path / "photos" / "a.jpg").exists()


@pytest.mark.slow
def test_the_demo_city_becomes_a_store(tmp_path, capsys):
    extract = str(shipped("demo") / EXTRACT)
    out = tmp_path / "helsinki"
    words = ["ingest", extract, "--city", "helsinki-centre", "--out", str(out), "--json", "-q"]
    assert main([*words, "ingest.threads=1"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["city"] == "helsinki-centre" and report["buildings"] > 1000
    assert sum(report["surface_share"].values()) + report["unknown_share"] == pytest.approx(
        1, abs=0.01
    )
    run = json.loads((out / "run.json").read_text())
    assert run["inputs"][0]["name"] == EXTRACT and run["settings"]["ingest"]["threads"] == 1
