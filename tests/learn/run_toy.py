"""Trains the toy stage in a process of its own, so that a test can kill it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fabricgen.generator import checkpoint
from fabricgen.learn import train
from fabricgen.settings import load

checkpoint.STAGES["buildings"] = "toy_stage"

if __name__ == "__main__":
    train(load(Path(sys.argv[1])), out=Path(sys.argv[2]))
