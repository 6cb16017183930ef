"""A run that is followed: found, heard, stopped, and told in its own words."""

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from fabricgen.qgis import follow
from fabricgen.qgis.follow import Hearing, RunError, Stopped


class Ear:
    """Keeps what a run says, and may ask it to stop."""

    def __init__(self):
        self.steps, self.lines, self.stop = [], [], threading.Event()
        self.hearing = Hearing(
            on_step=lambda *step: self.steps.append(step),
            on_line=self.lines.append,
            stopped=self.stop.is_set,
        )


def run(code: str, **options):
    ear = Ear()
    return follow.follow([sys.executable, "-c", code], ear.hearing, **options), ear


def test_progress_notes_and_the_answer_are_told_apart():
    answer, ear = run(
        "import sys\n"
        'print(\'{"progress": {"done": 3, "total": 12, "note": "roads"}}\', file=sys.stderr)\n'
        "print('note: careful', file=sys.stderr)\n"
        'print(\'{"out": "o"}\')'
    )
    assert answer == {"out": "o"}
    assert ear.steps == [(3, 12, "roads")] and ear.lines == ["note: careful"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ('print(\'{"error": {"problem": "no roof", "fix": "add one"}}\'); sys.exit(2)',
         "no roof; add one"),
        ('print(\'{"error": {"problem": "no disk", "fix": ""}}\'); sys.exit(3)',
         "no disk (this machine lacks something: run Check fabricgen)"),
        ("print('boom', file=sys.stderr); sys.exit(9)", "fabricgen ended with code 9: boom"),
        ("sys.exit(2)", "it said nothing"),
    ],
)  # fmt: skip
def test_an_error_is_told_in_fabricgens_own_words(code, said):
    with pytest.raises(RunError) as caught:
        run("import sys; " + code)
    assert str(caught.value) == said


def test_fabricgen_speaks_as_the_plugin_listens(tmp_path):
    """Against the real command: an unknown file, its line, and nothing left."""
    ear = Ear()
    words = ["-m", "fabricgen", "score", "--json", "--out", str(tmp_path / "o"), "none.gpkg"]
    with pytest.raises(RunError, match=r"none\.gpkg"):
        root = str(Path(follow.__file__).parents[2])
        command = ["/usr/bin/env", f"PYTHONPATH={root}", sys.executable, *words]
        follow.follow(command, ear.hearing, out=tmp_path / "o")
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_run_leaves_no_process_and_no_half_written_folder(tmp_path):
    code = (
        "import os, pathlib, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"  # it does not listen
        f"pathlib.Path({str(tmp_path / 'o.part')!r}).mkdir()\n"
        "helper = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(os.getpid(), helper.pid, file=sys.stderr, flush=True)\n"
        "time.sleep(60)"
    )
    ear = Ear()
    ear.hearing = Hearing(
        on_step=ear.hearing.on_step,
        on_line=lambda line: (ear.lines.append(line), ear.stop.set()),
        stopped=ear.stop.is_set,
    )
    patient, follow.STOP_S = follow.STOP_S, 0.5
    try:
        with pytest.raises(Stopped):
            follow.follow([sys.executable, "-c", code], ear.hearing, out=tmp_path / "o")
    finally:
        follow.STOP_S = patient
    assert not (tmp_path / "o.part").exists()
    for number in map(int, ear.lines[0].split()):
        assert _ended(number)


def _ended(number: int) -> bool:
    """Whether a process has ended; one whose parent is gone may take a moment to be swept."""
    for _ in range(100):
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return True
        state = Path(f"/proc/{number}/stat")
        if state.exists() and state.read_text().split(")")[-1].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_part_that_was_there_before_is_not_ours_to_take(tmp_path):
    (tmp_path / "o.part").mkdir()
    ear = Ear()
    ear.stop.set()
    with pytest.raises(Stopped):
        command = [sys.executable, "-c", "import time; time.sleep(60)"]
        follow.follow(command, ear.hearing, out=tmp_path / "o")
    assert (tmp_path / "o.part").exists()


def test_variables_of_qgis_do_not_reach_the_run():
    mine = {"PATH": "/bin", "HOME": "/home/me", "https_proxy": "p"}
    theirs = {"PYTHONHOME": "x", "PYTHONPATH": "x", "GDAL_DATA": "x", "PROJ_LIB": "x",
              "LD_LIBRARY_PATH": "x", "QT_PLUGIN_PATH": "x", "QGIS_PREFIX_PATH": "x"}  # fmt: skip
    clean = follow.clean({**mine, **theirs})
    assert clean == {**mine, "PYTHONUTF8": "1", "FABRICGEN_PROGRESS": "json"}


def test_the_command_is_found_by_path_folder_environment_or_name(tmp_path):
    command = tmp_path / "env" / "bin" / "fabricgen"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    for told in (command, command.parent, tmp_path / "env"):
        assert follow.find(str(told)) == str(command)
    assert follow.find("", {"PATH": str(command.parent)}) == str(command)
    for told, path in ((str(tmp_path), ""), ("", str(tmp_path))):
        with pytest.raises(RunError, match="Settings, Options, Processing"):
            follow.find(told, {"PATH": path})
