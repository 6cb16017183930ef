"""Runs fabricgen as a process of its own and follows it; needs no QGIS.

The process gets an environment without QGIS's Python, GDAL and PROJ. A run that is stopped is asked
to end first, so that it takes its half-written files away; then whatever is left of it is killed.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

NAME = "fabricgen"
POLL_S = 0.1
STOP_S = 15.0  # for a run to end by itself once it is asked to
LACKS = 3  # exit code: this machine lacks something
KEPT = 20  # last lines of a run, for when it fails without a word

# Of QGIS's process, and wrong or dangerous in that of another Python.
FOREIGN = (
    "PYTHON", "GDAL_", "OGR_", "CPL_", "PROJ_", "QT_", "QML", "QGIS", "GRASS", "GISBASE", "OSGEO4W",
    "DYLD_", "LD_LIBRARY_PATH", "LD_PRELOAD", "VIRTUAL_ENV", "CONDA_", "__PYVENV_LAUNCHER__",
)  # fmt: skip


class RunError(Exception):
    """fabricgen cannot be run, or ended with an error; one line, for the user."""


class Stopped(Exception):  # noqa: N818 (it is no error)
    """The user stopped the run."""


@dataclass(frozen=True)
class Hearing:
    """Who listens to a run.

    Attributes:
        on_step: Called as `on_step(done, total, note)`; `total` is None while it is unknown.
        on_line: Called with each other line that the run says, notes and warnings.
        stopped: Whether the user wants the run to end.
    """

    on_step: Callable[[int, int | None, str], None]
    on_line: Callable[[str], None]
    stopped: Callable[[], bool]


def find(configured: str, environ: Mapping[str, str] = os.environ) -> str:
    """The path of fabricgen's command.

    Args:
        configured: What the settings name: the command, its folder, or its environment's folder;
            blank: the command is looked for on the PATH.
        environ: Variables of this process.

    Raises:
        RunError: It is not there.
    """
    fix = "give its path in Settings, Options, Processing, Providers, fabricgen"
    if not configured.strip():
        found = shutil.which(NAME, path=environ.get("PATH", ""))
        if found is None:
            raise RunError(f"no command {NAME} on the PATH; {fix}")
        return found
    path = Path(configured.strip()).expanduser()
    folders = [path, path / "bin", path / "Scripts"] if path.is_dir() else []
    candidates = [shutil.which(NAME, path=str(folder)) for folder in folders]
    if path.is_file() and os.access(path, os.X_OK):
        candidates.append(str(path))
    found = next((one for one in candidates if one), None)
    if found is None:
        raise RunError(f"{path}: is no command {NAME}, and no folder that holds it; {fix}")
    return found


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables of this process without QGIS's own, and with what the run should know."""
    kept = {key: value for key, value in environ.items() if not key.upper().startswith(FOREIGN)}
    root = environ.get("OSGEO4W_ROOT")  # on Windows QGIS puts its libraries first on the PATH
    if root:
        folders = kept.get("PATH", "").split(os.pathsep)
        inside = os.path.normcase(root)
        kept["PATH"] = os.pathsep.join(
            folder for folder in folders if not os.path.normcase(folder).startswith(inside)
        )
    return {**kept, "PYTHONUTF8": "1", "FABRICGEN_PROGRESS": "json"}


def follow(
    command: Sequence[str],
    hearing: Hearing,
    *,
    out: Path | None = None,
    more: Mapping[str, str] | None = None,
    may_lack: bool = False,
) -> dict[str, Any]:
    """Runs a command to its end.

    Args:
        command: The path of fabricgen and its words, `--json` among them.
        hearing: Who listens.
        out: The folder that it makes; what a killed run leaves of it is taken away.
        more: Further variables of its environment.
        may_lack: Take its answer also where it says that this machine lacks something.

    Returns:
        The JSON document that it prints.

    Raises:
        RunError: It cannot be started, or ended with an error.
        Stopped: The user stopped it.
    """
    part = None if out is None else out.with_name(f"{out.name}.part")
    ours = part if part is not None and not part.exists() else None
    process = _start(command, {**clean(os.environ), **(more or {})})
    said: list[str] = []
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    readers = [_read(process.stdout, said.append), _read(process.stderr, lines.put)]
    told: list[str] = []
    try:
        _listen(process, lines, hearing, told)
    except BaseException:
        stop(process, leftover=ours)
        raise
    for reader in readers:
        reader.join(timeout=STOP_S)
    while not lines.empty():
        _tell(lines.get(), hearing, told)
    return _answer(process.returncode, "".join(said), told, may_lack=may_lack)


def _start(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        own: dict[str, Any] = {"creationflags": flags}
    else:
        own = {"start_new_session": True}
    try:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=dict(environment),
            **own,
        )
    except OSError as err:
        raise RunError(f"{command[0]}: cannot be started ({err.strerror or err})") from err


def _read(source: IO[str] | None, take: Callable[[str], Any]) -> threading.Thread:
    def drain() -> None:
        assert source is not None
        with source:
            for line in source:
                take(line)

    thread = threading.Thread(target=drain, daemon=True)
    thread.start()
    return thread


def _listen(
    process: subprocess.Popen[str],
    lines: queue.SimpleQueue[str],
    hearing: Hearing,
    told: list[str],
) -> None:
    """Passes on what the run says until it ends."""
    while True:
        if hearing.stopped():
            raise Stopped
        try:
            _tell(lines.get(timeout=POLL_S), hearing, told)
        except queue.Empty:
            if process.poll() is not None:
                return


def _tell(line: str, hearing: Hearing, told: list[str]) -> None:
    step = step_of(line)
    if step is not None:
        hearing.on_step(*step)
        return
    text = line.rstrip()
    told.append(text)
    del told[:-KEPT]
    if text and not text.startswith("error: "):
        hearing.on_line(text)


def step_of(line: str) -> tuple[int, int | None, str] | None:
    """A step of the run as (done, total, note); None where a line says something else."""
    if not line.startswith('{"progress"'):
        return None
    try:
        step = json.loads(line)["progress"]
        return int(step["done"]), step["total"], str(step["note"])
    except (ValueError, KeyError, TypeError):
        return None


def _answer(code: int, said: str, told: Sequence[str], *, may_lack: bool) -> dict[str, Any]:
    try:
        document = json.loads(said)
    except ValueError:
        document = {}
    if code == 0 or (may_lack and code == LACKS and "error" not in document):
        return document
    raise RunError(problem_of(code, document, told))


def problem_of(code: int, document: Mapping[str, Any], told: Sequence[str]) -> str:
    """Why a run failed, in fabricgen's own words where it has any."""
    error = document.get("error") or {}
    if error:
        text = "; ".join(part for part in (error.get("problem"), error.get("fix")) if part)
    else:
        text = next((line for line in reversed(told) if line.strip()), "it said nothing")
    if code == LACKS:
        return f"{text} (this machine lacks something: run Check fabricgen)"
    if code in (1, 2):
        return text
    return f"fabricgen ended with code {code}: {text}"


def stop(process: subprocess.Popen[str], *, leftover: Path | None = None) -> None:
    """Ends a run and all its helpers; takes `leftover` away where it could not do so itself."""
    if sys.platform == "win32":
        tree = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
        subprocess.run(tree, capture_output=True, check=False)
    else:
        _end(process)
    process.wait()
    if leftover is not None and leftover.is_dir():
        shutil.rmtree(leftover, ignore_errors=True)


def _end(process: subprocess.Popen[str]) -> None:
    """Asks the run to end, and kills what is left of its group."""
    process.terminate()
    deadline = time.monotonic() + STOP_S
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(POLL_S)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # nothing is left; macOS says the second
        return
