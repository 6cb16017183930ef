"""The app of all verbs, and the one place where errors become exit codes.

0 done, 1 our bug, 2 wrong input, 3 this machine lacks something, 130 Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from ..errors import FabricgenError, InputError, ResourceError, StorageError
from . import console
from .compare import compare
from .demo import demo
from .doctor import doctor
from .evaluate import evaluate
from .export import export
from .generate import generate
from .ingest import ingest
from .qgis import qgis
from .score import score
from .train import train

BUG, INTERRUPTED, TERMINATED = 1, 130, 143

# What the disk or its rights refuse; everything else that the system says is a bug of ours.
STORAGE_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}
)
COMMON_FLAGS = frozenset({"--json", "-v", "-vv", "-q"})

app = typer.Typer(
    name="fabricgen",
    help="Draw city-block schemes for a site and a brief, and count their carbon.",
    epilog="--json, -v, -vv and -q may stand anywhere. Settings are KEY=VALUE after the options.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
VERBS = {
    verb.__name__: verb
    for verb in (demo, generate, score, compare, export, ingest, train, evaluate, qgis, doctor)
}
for _verb in VERBS.values():
    app.command()(_verb)


def _print_version(asked: bool) -> None:  # noqa: FBT001 (Typer calls it by place)
    if asked:
        from .. import __version__

        print(f"fabricgen {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    verbose: Annotated[
        int, typer.Option("-v", count=True, show_default=False, help="Say more; -vv says all.")
    ] = 0,
    silent: Annotated[bool, typer.Option("-q", help="Errors only.")] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    console.configure(as_json=as_json, verbosity=-1 if silent else verbose)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Args:
        argv: The words after `fabricgen`; those of this process if None.

    Returns:
        The exit code.
    """
    # Threads that spin while they wait triple the time on a machine that others use too. It must be
    # said before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    words = hoist(sys.argv[1:] if argv is None else argv)
    console.configure(as_json="--json" in words, verbosity=0)
    before = signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        return _run(words)
    finally:
        signal.signal(signal.SIGTERM, before)


def hoist(words: Sequence[str]) -> list[str]:
    """Moves the flags that every verb knows to the front, where the app itself reads them."""
    stop = list(words).index("--") if "--" in words else len(words)
    common = [word for word in words[:stop] if word in COMMON_FLAGS]
    others = [word for word in words[:stop] if word not in COMMON_FLAGS]
    return [*common, *others, *words[stop:]]


def _on_sigterm(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(TERMINATED)


def _run(words: Sequence[str]) -> int:
    try:
        asked = list(words) if set(words) - COMMON_FLAGS else ["--help"]
        # Typer gives an exit back as its number, that of Ctrl-C included.
        return _stopped(app(asked, prog_name="fabricgen", standalone_mode=False) or 0)
    except (KeyboardInterrupt, typer.Abort):
        return _stopped(INTERRUPTED)
    except SystemExit as err:
        return _stopped(exit_code_of(err))
    except BrokenPipeError:  # the reader of our output left, as in `fabricgen ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except FabricgenError as err:
        code = signal_behind(err)
        return _failed(err) if code is None else _stopped(code)
    except TyperException as err:
        verb = next((word for word in words if word in VERBS), "")
        return _failed(
            InputError(_usage(err), f"see {' '.join(['fabricgen', verb]).strip()} --help")
        )
    except Exception as err:  # noqa: BLE001 (the one place)
        code = signal_behind(err)
        return _unexpected(err) if code is None else _stopped(code)


def signal_behind(err: BaseException) -> int | None:
    """The code of Ctrl-C or SIGTERM where a library turned it into an error of its own."""
    behind = err.__cause__ or err.__context__
    while behind is not None:
        if isinstance(behind, KeyboardInterrupt):
            return INTERRUPTED
        if isinstance(behind, SystemExit) and behind.code == TERMINATED:
            return TERMINATED
        behind = behind.__cause__ or behind.__context__
    return None


def exit_code_of(err: SystemExit) -> int:
    """The code of an exit that a library raised; after Ctrl-C it is that of Ctrl-C."""
    code = signal_behind(err)
    if code is not None:
        return code
    if type(err).__name__ == "SIGTERMException":  # Lightning's, after the current batch
        return TERMINATED
    return err.code if isinstance(err.code, int) else (0 if err.code is None else BUG)


def _stopped(code: int) -> int:
    if code in (INTERRUPTED, TERMINATED):
        print("stopped; earlier results are untouched", file=sys.stderr)
    return code


def _failed(err: FabricgenError) -> int:
    console.fail(err)
    return err.exit_code


def _usage(err: TyperException) -> str:
    """What Typer says of wrong options, as the start of one line."""
    text = err.format_message() if hasattr(err, "format_message") else str(err)
    return text.rstrip(". ")


def _unexpected(err: Exception) -> int:
    """Tells what this machine lacks from what is our bug."""
    translated = translate(err)
    if translated is not None:
        return _failed(translated)
    traceback.print_exception(err)
    console.fail(FabricgenError("internal", "please report it with the lines above"))
    return BUG


def translate(err: Exception) -> FabricgenError | None:
    """An error of the system as one of ours, or None where it is a bug."""
    if isinstance(err, OSError) and err.errno in STORAGE_ERRORS:
        name = os.path.basename(str(err.filename)) if err.filename else "output"  # noqa: PTH119
        return StorageError(
            f"{name}: {os.strerror(err.errno)}", "free some room, or choose another --out"
        )
    kinds = {kind.__name__ for kind in type(err).__mro__}
    short = "not enough memory" in str(err) and isinstance(err, RuntimeError)
    if short or kinds & {"MemoryError", "OutOfMemoryError"}:
        return ResourceError(
            "this machine has too little memory for the run", "set a smaller batch or count"
        )
    return None
