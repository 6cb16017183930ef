"""File formats, both ways: plans as vectors, drawings and models, schemes side by side, rasters."""

from fabricgen.exchange.cog import write_cog
from fabricgen.exchange.geotiff import Raster, read_geotiff, write_geotiff
from fabricgen.exchange.gpkg import write_schemes
from fabricgen.exchange.join import join_schemes
from fabricgen.exchange.read import provenance_of, read_drawn, read_plan
from fabricgen.exchange.write import write_plan

__all__ = [
    "Raster",
    "join_schemes",
    "provenance_of",
    "read_drawn",
    "read_geotiff",
    "read_plan",
    "write_cog",
    "write_geotiff",
    "write_plan",
    "write_schemes",
]
