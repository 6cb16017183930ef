"""Real runs that are stopped or run out of disk: one line, earlier results as they were."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fabricgen.cli.app import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DEMO = [sys.executable, "-m", "fabricgen", "demo"]


def earlier(folder: Path) -> Path:
    """A result of before, in the place where the next one should go."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    (folder / "scores.csv").write_text("old")
    return folder


def files_in(folder: Path) -> set[str]:
    """What stands there, without the locks, which stay."""
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.suffix != ".lock"}


@pytest.mark.parametrize(("after_s", "everybody"), [(2, True), (7, False), (13, True), (20, False)])
def test_ctrl_c_leaves_one_line_and_earlier_results(tmp_path, after_s, everybody):
    """A terminal sends it to the helpers as well; `kill -INT` to the caller alone."""
    out = earlier(tmp_path / "results" / "demo")
    before = files_in(out.parent)
    words = ["--count", "64", "--out", str(out), "workers=2"]  # more than can be done by then
    run = subprocess.Popen(
        [*DEMO, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"FABRICGEN_CACHE": str(tmp_path / "cache")},
    )
    with pytest.raises(subprocess.TimeoutExpired):
        run.wait(after_s)
    (os.killpg if everybody else os.kill)(run.pid, signal.SIGINT)
    said, told = run.communicate(timeout=60)
    *progress, last = told.splitlines()
    assert (run.returncode, said, last) == (130, "", "stopped; earlier results are untouched")
    assert all(line.startswith("demo ") for line in progress), told
    assert files_in(out.parent) == before and (out / "scores.csv").read_text() == "old"
    with pytest.raises(ProcessLookupError):  # no helper outlives the run
        os.killpg(run.pid, 0)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 56 MB of its own, where this user may make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = ["-t", "tmpfs", "-o", "size=56m", "tmpfs", str(disk)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
@pytest.mark.parametrize("room_bytes", [40_000, 150_000, 290_000, 360_000])
def test_a_disk_that_fills_up_is_one_line_and_leaves_earlier_results(
    small_disk, tmp_path, monkeypatch, capsys, room_bytes
):
    """As if another program took the room after the run had looked for it."""
    monkeypatch.setenv("FABRICGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("fabricgen.files.check_room", lambda *_, **__: None)
    out = earlier(small_disk / "demo")
    fill(small_disk, room_bytes)
    assert main(["demo", "--count", "1", "--out", str(out), "-q"]) == 3
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("error: ") and "the disk is full; free some room" in said[-1], said
    assert not [line for line in said if "Traceback" in line]
    assert files_in(small_disk) == {"demo", "demo/run.json", "demo/scores.csv", "fill"}
    assert (out / "scores.csv").read_text() == "old"


def fill(disk: Path, room_bytes: int) -> None:
    """Takes all of a disk but so much."""
    with (disk / "fill").open("wb", buffering=0) as hog:
        try:
            while True:
                hog.write(bytes(1 << 16))
        except OSError:
            hog.truncate((disk / "fill").stat().st_size - room_bytes)
