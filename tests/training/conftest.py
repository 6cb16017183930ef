import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def benchmark():
    """The script as a module; its folder joins the path as it does when it is run."""
    spec = importlib.util.spec_from_file_location("benchmark", ROOT / "training" / "benchmark.py")
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = before
