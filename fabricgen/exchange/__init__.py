"""File formats, both ways: a plan as a GeoPackage, schemes side by side in one, rasters."""

from fabricgen.exchange.geotiff import write_geotiff
from fabricgen.exchange.gpkg import write_schemes
from fabricgen.exchange.read import read_plan
from fabricgen.exchange.write import write_plan

__all__ = ["read_plan", "write_geotiff", "write_plan", "write_schemes"]
