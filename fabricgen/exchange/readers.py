"""Which reader a file needs, by its suffix."""

from collections.abc import Callable
from pathlib import Path

from fabricgen.errors import FormatError, InputError
from fabricgen.exchange.archive import of_archive
from fabricgen.exchange.cityjson_read import of_cityjson
from fabricgen.exchange.drawing import of_drawing
from fabricgen.exchange.ifc_read import of_ifc
from fabricgen.exchange.repair import Say
from fabricgen.exchange.tables import (
    Table,
    json_document,
    of_flatgeobuf,
    of_geojson,
    of_gpkg,
    of_parquet,
    of_shapefile,
)


def read_tables(path: Path, say: Say) -> list[Table]:
    """The layers of any file that has a reader, or of a folder of Shapefiles.

    Args:
        path: A file or a folder.
        say: Hears what was changed, filled or left out on the way in.

    Raises:
        FormatError: The file is not what its suffix says.
        InputError: A folder without Shapefiles, or a file that holds nothing of a plan.
    """
    path = Path(path)
    if path.is_dir():
        parts = sorted(path.glob("*.[sS][hH][pP]"))
        if not parts:
            raise InputError("is a folder without a Shapefile", "give a file")
        return [table for part in parts for table in of_shapefile(part, say)]
    if not path.is_file():
        raise FormatError(f"{path.name}: no such file", "give the path of a plan")
    if path.stat().st_size == 0:
        raise FormatError(f"{path.name}: is empty", "export it again")
    return READERS[path.suffix.lower()](path, say)


def _of_json(path: Path, say: Say) -> list[Table]:
    """GeoJSON or CityJSON, which share a suffix."""
    document = json_document(path)
    if document.get("type") == "CityJSON":
        return of_cityjson(document, path, say)
    return of_geojson(document, path)


def _of_zip(path: Path, say: Say) -> list[Table]:
    return of_archive(path, lambda inside: read_tables(inside, say))


READERS: dict[str, Callable[[Path, Say], list[Table]]] = {
    ".gpkg": of_gpkg,
    ".geojson": _of_json,
    ".json": _of_json,
    ".parquet": of_parquet,
    ".geoparquet": of_parquet,
    ".shp": of_shapefile,
    ".fgb": of_flatgeobuf,
    ".dxf": of_drawing,
    ".ifc": of_ifc,
    ".zip": _of_zip,
}
