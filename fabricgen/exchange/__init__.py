"""File formats, both ways: a plan as a GeoPackage, schemes side by side in one, rasters."""

from fabricgen.exchange.geotiff import Raster, read_geotiff, write_geotiff
from fabricgen.exchange.gpkg import write_schemes
from fabricgen.exchange.read import read_drawn, read_plan
from fabricgen.exchange.write import write_plan

__all__ = [
    "Raster",
    "read_drawn",
    "read_geotiff",
    "read_plan",
    "write_geotiff",
    "write_plan",
    "write_schemes",
]
