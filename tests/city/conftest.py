"""One small town, ingested once."""

import pytest

from fabricgen.city.ingest import CitySettings, ingest
from fabricgen.city.store import TileStore

from . import worlds


@pytest.fixture(scope="session")
def town_store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("town")
    source = worlds.town(folder / "town.osm.pbf").write()
    ingest(source, city="town", out=folder / "store", settings=CitySettings(mask_gaps=False))
    return TileStore.open(folder / "store")
