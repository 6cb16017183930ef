"""What is to be scored, divided into parts that do not depend on who scores them, or when."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fabricgen.batch import gpkg, parquet
from fabricgen.errors import InputError
from fabricgen.exchange.read import RASTERS, READERS
from fabricgen.files import safe_name

SUFFIXES = (*RASTERS, *READERS)
WILD = re.compile(r"[*?\[]")
TABLES = {".gpkg": gpkg, ".parquet": parquet}  # each with `index(path)` and `read(path, rows)`
FEW_FILES = 50  # each of so few is looked into; of more only the large ones
LARGE_BYTES = 1_000_000


@dataclass(frozen=True, eq=False)
class Piece:
    """A file, or some plans of a table.

    Attributes:
        path: The file.
        name: Its stem, unique among the files; plans are called by it.
        schemes: The plans of the table; empty for all that the file holds.
        rows: Where the table's module finds them.
        alone: The file holds one plan, which then needs no scheme in its name.
    """

    path: Path
    name: str
    schemes: tuple[str, ...] = ()
    rows: Any = None
    alone: bool = False


@dataclass(frozen=True, eq=False)
class Part:
    """What is scored in one go and written as one file.

    Attributes:
        number: From 0.
        pieces: What is in it.
        plans: How many, as far as known: a file that is not looked into counts as one.
    """

    number: int
    pieces: tuple[Piece, ...]
    plans: int


def find_files(words: Iterable[Path]) -> list[Path]:
    """Files of plans and rasters behind paths, folders and patterns such as `plans/*.gpkg`.

    A folder of Shapefiles is one plan; of any other folder all files of a known suffix are taken,
    those of its folders too.

    Raises:
        InputError: A path that is not there, a folder or pattern without any.
    """
    found: dict[Path, None] = {}
    for word in (Path(word) for word in words):
        files = list(_behind(word))
        if not files:
            raise InputError(f"{word.name}: no such file", f"give files of {', '.join(SUFFIXES)}")
        found.update(dict.fromkeys(files))
    return list(found)


def _behind(word: Path) -> Iterator[Path]:
    if WILD.search(str(word)) and not word.exists():
        base = Path(word.anchor)
        yield from sorted(base.glob(str(word.relative_to(base))))
    elif word.is_dir() and not any(word.glob("*.shp")):
        yield from sorted(path for path in word.rglob("*") if path.suffix.lower() in SUFFIXES)
    elif word.exists():
        yield word


def list_parts(files: Sequence[Path], *, plans_per_part: int) -> list[Part]:
    """All plans of some files, in parts.

    Raises:
        InputError: A table whose plans lie too far scattered to be read bit by bit.
    """
    parts: list[Part] = []
    loose: list[Piece] = []
    for path, name in zip((path.absolute() for path in files), _names(files), strict=True):
        look = len(files) <= FEW_FILES or path.stat().st_size > LARGE_BYTES
        table = index_of(path) if look else None
        if table is None:
            loose.append(Piece(path, name))
            continue
        alone = len(table.schemes) == 1
        for start in range(0, len(table.schemes), plans_per_part):
            schemes = table.schemes[start : start + plans_per_part]
            rows = table.rows_of(start, start + len(schemes))
            piece = Piece(path, name, tuple(schemes), rows, alone)
            parts.append(Part(len(parts), (piece,), len(schemes)))
    for start in range(0, len(loose), plans_per_part):
        pieces = tuple(loose[start : start + plans_per_part])
        parts.append(Part(len(parts), pieces, len(pieces)))
    return parts


def index_of(path: Path) -> gpkg.Index | parquet.Index | None:
    """Where each plan of a table in our own columns lies; None for any other file.

    Raises:
        InputError: As in `list_parts`.
    """
    table = TABLES.get(path.suffix.lower())
    return None if table is None or not path.is_file() else table.index(path)


def _names(files: Sequence[Path]) -> Iterator[str]:
    """A name for each file; of those called alike the later ones are numbered."""
    seen: dict[str, int] = {}
    for path in files:
        name = safe_name(path.stem)
        count = seen[name.lower()] = seen.get(name.lower(), 0) + 1
        yield name if count == 1 else f"{name}-{count}"
