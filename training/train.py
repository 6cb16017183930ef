"""Trains the generator from a file of resolved settings; needs torch, numpy and lightning alone.

    python training/train.py SETTINGS.json OUT

`fabricgen train` does the same from Hydra's settings. Calling it again with the same OUT goes on
where the run was stopped.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fabricgen.cli.console import progress
from fabricgen.learn import TrainSettings, train
from fabricgen.settings import fill, load


def main() -> None:
    """Reads the two words of the command line and trains."""
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    settings, out = Path(sys.argv[1]), Path(sys.argv[2])
    values = load(settings)
    with progress("train") as on_step:
        chosen = fill(TrainSettings, values.get("trainer", values), where="trainer")
        weights = train(chosen, out=out, on_step=on_step)
    print(f"weights written to {weights}")


if __name__ == "__main__":
    main()
