import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # toy_store and toy_stage, by name

from toy_store import write_city

from fabricgen.generator import checkpoint


@pytest.fixture(scope="session")
def stores(tmp_path_factory):
    root = tmp_path_factory.mktemp("stores")
    write_city(root / "gridton", name="gridton")
    write_city(root / "unmapped", name="unmapped", mapped=False, seed=1)
    return root


@pytest.fixture(autouse=True)
def toy_stage(monkeypatch):
    monkeypatch.setitem(checkpoint.STAGES, "buildings", "toy_stage")
    monkeypatch.setitem(checkpoint.STAGES, "streets", "toy_stage")
