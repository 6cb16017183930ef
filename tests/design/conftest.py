"""Central Helsinki, the city that ships with the package, ingested once."""

import geopandas as gpd
import pytest

from fabricgen.design.site import open_context
from fabricgen.files import shipped


@pytest.fixture(scope="session")
def helsinki_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def helsinki(helsinki_cache):
    """The tile store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FABRICGEN_CACHE", str(helsinki_cache))
        return open_context(shipped("demo") / "helsinki-centre.osm.pbf")


@pytest.fixture
def demo_shape():
    """The demo site's polygon with its coordinate system."""
    return gpd.read_file(shipped("demo") / "site.gpkg")
