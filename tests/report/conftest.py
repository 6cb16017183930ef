import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # report_schemes, by name

import report_schemes as made


@pytest.fixture(scope="session")
def schemes():
    return made.schemes()


@pytest.fixture(scope="session")
def surroundings():
    return made.surroundings()


@pytest.fixture
def run():
    return dict(made.RUN)
