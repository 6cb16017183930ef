"""Zipped files: unpacked aside, within bounds that are held while unpacking."""

import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TypeVar

from fabricgen.errors import FormatError

MAX_BYTES = 1_000_000_000  # unpacked
MAX_MEMBERS = 1000
SHAPEFILE = (".shp", ".shx", ".dbf", ".prj", ".cpg")
ALONE = (".gpkg", ".geojson", ".json", ".parquet", ".geoparquet", ".fgb", ".dxf", ".ifc")
CHUNK_BYTES = 1 << 20
LOCKED_FLAG, UTF8_FLAG = 0x1, 0x800  # of an entry

Made = TypeVar("Made")


def of_archive(path: Path, read: Callable[[Path], Made]) -> Made:
    """What is read from the one plan in a zip: a file, or the Shapefiles of a folder.

    Args:
        path: The zip.
        read: Reads a file, or a folder of Shapefiles.

    Raises:
        FormatError: No zip, one with a password, several plans or none, or one that unpacks to too
            much; archives inside are not opened.
    """
    try:
        with zipfile.ZipFile(path) as packed, tempfile.TemporaryDirectory() as folder:
            members = _members(packed, path.name)
            _unpack(packed, members, Path(folder), path.name)
            first = next(iter(members))
            return read(Path(folder) if first.lower().endswith(SHAPEFILE) else Path(folder) / first)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as err:
        raise FormatError(f"{path.name}: is no zip, or is cut short", "pack it again") from err


def _members(packed: zipfile.ZipFile, file: str) -> dict[str, zipfile.ZipInfo]:
    """What is to be unpacked, by its own name; a file that stands alone, or all Shapefiles.

    Raises:
        FormatError: A password, too many entries, several plans, none, or two of the same name.
    """
    entries = [entry for entry in packed.infolist() if not entry.is_dir()]
    if any(entry.flag_bits & LOCKED_FLAG for entry in entries):
        raise FormatError(f"{file}: has a password", "pack it without")
    if len(entries) > MAX_MEMBERS:
        raise FormatError(f"{file}: holds {len(entries):,} files", f"pack at most {MAX_MEMBERS}")
    named = [(PurePosixPath(_name(entry)).name, entry) for entry in entries]
    named = [(name, entry) for name, entry in named if not name.startswith(".")]
    alone = [(name, entry) for name, entry in named if name.lower().endswith(ALONE)]
    parts = [(name, entry) for name, entry in named if name.lower().endswith(SHAPEFILE)]
    chosen = dict(alone or parts)
    if not chosen:
        raise FormatError(f"{file}: holds no plan", f"pack one of {', '.join(('.shp', *ALONE))}")
    if len(alone) > 1 or len(chosen) < len(alone or parts):
        raise FormatError(f"{file}: holds several plans", "pack one, or unpack it")
    return chosen


def _name(entry: zipfile.ZipInfo) -> str:
    """An entry's name; where it is not said to be Unicode, UTF-8 and Chinese are tried."""
    if entry.flag_bits & UTF8_FLAG:
        return entry.filename
    raw = entry.filename.encode("cp437", errors="replace")
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return entry.filename


def _unpack(
    packed: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], folder: Path, file: str
) -> None:
    """Unpacks, and counts what really comes out.

    Raises:
        FormatError: More than `MAX_BYTES`.
    """
    left = MAX_BYTES
    if sum(entry.file_size for entry in members.values()) > left:
        raise _bomb(file)
    for name, entry in members.items():
        with packed.open(entry) as source, (folder / name).open("wb") as target:
            while chunk := source.read(CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise _bomb(file)
                target.write(chunk)


def _bomb(file: str) -> FormatError:
    return FormatError(
        f"{file}: unpacks to more than {MAX_BYTES // 1_000_000_000} GB", "unpack it yourself"
    )
