"""In which encoding the texts of a Shapefile are, where it does not say."""

import codecs
import re
from pathlib import Path

from fabricgen.exchange import columns

HEADER = 32  # bytes of the header, and of each field behind it
END_OF_FIELDS = 0x0D
LANGUAGE = 29  # where the header names an encoding; 0 and 0x57 leave it to the system
UNSAID = (0, 0x57)
SAMPLE = 100_000  # bytes that are looked at
EAST = ("gb18030", "cp932", "big5", "cp949")  # of two bytes a sign
WEST = "cp1252"


def encoding_of(path: Path) -> str | None:
    """The encoding of a Shapefile's texts, or None where GDAL finds it.

    Where neither a `.cpg` nor its header says one, or the `.cpg` cannot be true, it is the one in
    which the names of the most columns are known. Signs of one byte each stand alone among letters,
    those of two do not.

    Args:
        path: The `.shp`.
    """
    table, said = _beside(path, ".dbf"), _said(path)
    if table is None:
        return None
    with table.open("rb") as source:
        data = source.read(SAMPLE)
    high = re.findall(rb"[\x80-\xff]+", data[HEADER:])
    if len(data) <= HEADER or not high:
        return None
    if said is None and data[LANGUAGE] not in UNSAID:
        return None
    if said is not None and all(_decodes(name, said) for name in _names(data)):
        return said
    if _decodes(data[HEADER:], "utf-8"):
        return "utf-8"
    if max(map(len, high)) == 1:
        return WEST
    names = _names(data)
    known = {code: sum(_known(name, code) for name in names) for code in (*EAST, WEST)}
    return max(known, key=lambda code: known[code])


def _said(path: Path) -> str | None:
    """What a `.cpg` says, None where there is none or it says what nobody knows."""
    note = _beside(path, ".cpg")
    if note is None:
        return None
    word = note.read_text(encoding="ascii", errors="ignore").strip().lower()
    for name in (word, f"cp{re.sub(r'[^0-9]', '', word)}", f"iso{word}"):
        try:
            return codecs.lookup(name).name
        except LookupError:
            continue
    return None


def _beside(path: Path, suffix: str) -> Path | None:
    """A file of the same Shapefile, in small or capital letters."""
    found = (path.with_suffix(one) for one in (suffix, suffix.upper()))
    return next((one for one in found if one.is_file()), None)


def _names(data: bytes) -> list[bytes]:
    """The names of a table's columns."""
    found = []
    for start in range(HEADER, len(data), HEADER):
        if data[start] == END_OF_FIELDS:
            break
        found.append(data[start : start + 11].split(b"\0")[0])
    return found


def _known(name: bytes, encoding: str) -> bool:
    return _decodes(name, encoding) and columns.is_known(name.decode(encoding))


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
