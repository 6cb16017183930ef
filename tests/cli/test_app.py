"""Every error becomes its exit code and one clear line; nothing heavy loads for --help."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from fabricgen import errors
from fabricgen.cli import console
from fabricgen.cli.app import VERBS, hoist, main, translate
from fabricgen.errors import FabricgenError

RUN = "import sys; from fabricgen.cli.app import main; sys.exit(main())"
FIXED = {
    kind: (kind("the problem", "the fix"), kind.exit_code, "error: the problem; the fix")
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, FabricgenError)
}
SYSTEM = [
    (
        OSError(errno.ENOSPC, "No space left on device", "/somewhere/private/schemes.gpkg"),
        3,
        "error: schemes.gpkg: No space left on device; free some room, or choose another --out",
    ),
    (OSError(errno.EDQUOT, "Quota", "a"), 3, "error: a: Disk quota exceeded; free some room"),
    (OSError(errno.EROFS, "x", "a"), 3, "error: a: Read-only file system; free some room"),
    (PermissionError(errno.EACCES, "x", "a"), 3, "error: a: Permission denied; free some room"),
    (MemoryError(), 3, "error: this machine has too little memory for the run; set a smaller"),
    (
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes"),
        3,
        "error: this machine has too little memory for the run; set a smaller",
    ),
    (ValueError("surprise"), 1, "error: internal; please report it with the lines above"),
    (OSError(errno.EIO, "x", "a"), 1, "error: internal; please report it with the lines above"),
    (KeyboardInterrupt(), 130, "stopped; earlier results are untouched"),
    (SystemExit(143), 143, "stopped; earlier results are untouched"),
]


@pytest.fixture(autouse=True)
def _plain_console():
    yield
    console.configure(as_json=False, verbosity=0)


@pytest.fixture
def ending(monkeypatch):
    """Runs a verb that ends in a given error."""

    def run(err, *flags):
        def fail():
            raise err

        monkeypatch.setattr("fabricgen.cli.doctor.look_at_packages", fail)
        return main(["doctor", *flags])

    return run


@pytest.mark.parametrize(("err", "code", "text"), [*FIXED.values(), *SYSTEM])
def test_every_error_has_its_code_and_its_line(ending, capsys, err, code, text):
    assert ending(err) == code
    heard = capsys.readouterr()
    assert heard.err.splitlines()[-1].startswith(text)
    assert heard.out == ""


@pytest.mark.parametrize(("err", "code", "text"), FIXED.values())
def test_with_json_a_failure_is_one_document(ending, capsys, err, code, text):
    assert ending(err, "--json") == code
    document = json.loads(capsys.readouterr().out)
    kind = type(err).__name__
    assert document == {"error": {"type": kind, "problem": "the problem", "fix": "the fix"}}


def test_a_bug_shows_its_traceback(ending, capsys):
    ending(ZeroDivisionError("unexpected"))
    assert "Traceback" in capsys.readouterr().err


def test_what_we_foresaw_shows_no_traceback(ending, capsys):
    ending(errors.PlanError("a.gpkg: no coordinate system", "save it in a metric one"))
    assert capsys.readouterr().err.count("\n") == 1


def test_paths_of_the_system_are_cut_to_their_name():
    found = translate(OSError(errno.ENOSPC, "x", "/home/somebody/out/a.gpkg"))
    assert "somebody" not in str(found)


def test_torch_out_of_memory_is_known_by_its_class():
    class OutOfMemoryError(RuntimeError):
        """As torch names it; torch itself need not be loaded."""

    assert translate(OutOfMemoryError("CUDA out of memory")).exit_code == 3


def test_an_exit_that_lightning_raises_after_ctrl_c_is_ctrl_c(ending, monkeypatch):
    try:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise SystemExit(1)  # noqa: B904 (as Lightning does)
    except SystemExit as err:
        caught = err
    assert ending(caught) == 130


@pytest.mark.parametrize(
    ("stop", "code"), [(KeyboardInterrupt, 130), (SystemExit, 143), (OSError, None)]
)
@pytest.mark.parametrize("wrapped", [ValueError, errors.SettingsError])
def test_an_error_that_a_signal_caused_counts_as_the_signal(ending, capsys, wrapped, stop, code):
    """A cleanup that stumbles over what Ctrl-C left undone, as in Hydra."""
    try:
        try:
            raise stop(143)
        except BaseException:  # noqa: BLE001
            try:
                raise AttributeError
            except AttributeError as err:
                raise wrapped("no f") from err
    except Exception as err:  # noqa: BLE001
        caught = err
    assert ending(caught) == (code or getattr(wrapped, "exit_code", 1))
    said = capsys.readouterr().err
    assert (said == "stopped; earlier results are untouched\n") == (code is not None)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["genrate"], "Did you mean 'generate'?; see fabricgen --help"),
        (["generate"], "Missing option '--site'; see fabricgen generate --help"),
        (["demo", "--cuont", "3"], "No such option: --cuont"),
        (["demo", "--count", "many"], "Invalid value for '--count'"),
        (["demo", "--count", "0"], "count is 0; give a whole number in 1 to 10000"),
        (["demo", "--seed", "-1"], "seed is -1; give a whole number in 0 to"),
        (["demo", "brief.farr=2"], "no setting is called 'brief.farr'; did you mean brief.far?"),
        (["demo", "brief.far=nan"], "brief.far is nan; give a finite number"),
        (["demo", "far"], "'far' is not a setting; write key=value, such as brief.far=2.0"),
        (["demo", "--config-dir", "none"], "--config-dir none: no such folder; give a folder"),
        (
            ["generate", "--site", ".", "--context", ".", "--settings", "run.json", "seed=3"],
            "--settings repeats a run as it was and takes no overrides; leave out either",
        ),
        (
            ["generate", "--site", ".", "--context", ".", "--settings", "none.json"],
            "none.json: no such file; give the run.json of a run",
        ),
    ],
)
def test_wrong_words_exit_with_2_and_one_line(capsys, words, says):
    assert main(words) == 2
    heard = capsys.readouterr()
    assert heard.err.startswith("error: ") and says in heard.err
    assert heard.err.count("\n") == 1 and heard.out == ""


def test_no_words_and_help_show_every_verb(capsys):
    for words in ([], ["--help"]):
        assert main(words) == 0
        shown = capsys.readouterr().out
        assert all(f"  {verb} " in shown for verb in VERBS)


def test_the_version_is_printed_alone(capsys):
    import fabricgen

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fabricgen {fabricgen.__version__}\n"


def test_the_module_gives_the_exit_code_back():
    words = [sys.executable, "-m", "fabricgen", "demo", "--count", "0"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("error: count is 0")


def test_common_flags_may_stand_anywhere_but_behind_two_dashes():
    words = ["demo", "--count", "3", "--json", "a=1", "-q", "--", "-v"]
    assert hoist(words) == ["--json", "-q", "demo", "--count", "3", "a=1", "--", "-v"]


def test_help_loads_nothing_heavy_and_takes_under_three_tenths_of_a_second():
    code = (
        "import sys; from fabricgen.cli.app import main\n"
        "main(['--help'])\n"
        "heavy = {'torch', 'geopandas', 'hydra', 'numpy', 'pandas', 'rasterio', 'rich'}\n"
        "import time; print('LOADED', sorted(heavy & set(sys.modules)), time.process_time())"
    )
    took = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        _, loaded, seconds = done.stdout.splitlines()[-1].split()
        assert loaded == "[]", done.stdout
        took.append(float(seconds))
    assert min(took) < 0.3  # of processor time, so that a busy machine does not matter


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_a_verb_with_its_code(tmp_path, number, code):
    script = tmp_path / "slow.py"
    script.write_text(
        "import sys, time\n"
        "from fabricgen.cli import doctor\n"
        "from fabricgen.cli.app import main\n"
        "from fabricgen.files import atomic_file\n"
        "from pathlib import Path\n"
        "def slow():\n"
        "    with atomic_file(Path(sys.argv[1])) as part:\n"
        "        part.write_text('half')\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "doctor.look_at_packages = slow\n"
        "sys.exit(main(['doctor']))\n"
    )
    target = tmp_path / "out" / "scores.csv"
    target.parent.mkdir()
    target.write_text("old")
    run = subprocess.Popen(
        [sys.executable, str(script), str(target)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p) or "."},
    )
    assert run.stdout.readline() == b"ready\n"
    time.sleep(0.1)
    run.send_signal(number)
    _, said = run.communicate(timeout=30)
    assert (run.returncode, said) == (code, b"stopped; earlier results are untouched\n")
    assert target.read_text() == "old"
    assert [path.name for path in target.parent.iterdir()] == ["scores.csv"]


def test_a_reader_that_leaves_is_no_error():
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -c '{RUN}' --help | true"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
