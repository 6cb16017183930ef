"""Measures the product against meters and peers.

    python training/benchmark.py energy --records FILE.csv --region US-WA --json OUT

Each command is one module of `benchmarks` with `add_arguments(parser)` and `run(chosen) -> text`.
"""

from __future__ import annotations

import importlib
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fabricgen.cli import console
from fabricgen.errors import FabricgenError, SettingsError

COMMANDS = {
    "agreement": "scores of plans against those of rasters made of them",
    "batch": "speed and memory of scoring many plans, beside a loop of other libraries",
    "carbon": "speed of the evaluator, beside InVEST Urban Cooling",
    "energy": "modelled energy and emissions of buildings against their meters",
    "vectorize": "rasters of real windows traced, beside buildingregulariser",
}


class _OneLineParser(ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{self.prog}: {message}", "see --help")


def main(words: Sequence[str] | None = None) -> int:
    """Runs one command; 0 done, 2 wrong input, 3 this machine lacks something."""
    try:
        print(_run(sys.argv[1:] if words is None else list(words)))
    except FabricgenError as err:
        console.fail(err)
        return err.exit_code
    return 0


def _run(words: Sequence[str]) -> str:
    parser = _OneLineParser(prog="benchmark.py", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_OneLineParser)
    modules = {}
    for name, purpose in COMMANDS.items():
        options = commands.add_parser(name, help=purpose)
        # Only the module that is asked for is loaded: others may need packages that are not there.
        if name in words[:1]:
            modules[name] = importlib.import_module(f"benchmarks.{name}")
            modules[name].add_arguments(options)
    chosen = parser.parse_args(words)
    return str(modules[chosen.command].run(chosen))


if __name__ == "__main__":
    raise SystemExit(main())
