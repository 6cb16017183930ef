"""A folder of results in which a run can stop at any moment and go on: each piece exactly once.

`journal.json` says what run it is, before any work. A part of a scoring is one file,
`parts/part-00017.parquet`, which appears complete by a rename; a part whose file exists is done.
`run.json` is written last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fabricgen.errors import InputError, StorageError
from fabricgen.files import atomic_file, lock, prepare_output, sha256_of, sweep

JOURNAL, PARTS, DONE = "journal.json", "parts", "run.json"


@dataclass(frozen=True)
class Journal:
    """A folder of results.

    Attributes:
        folder: Where.
        key: Hash of all that the results depend on.
    """

    folder: Path
    key: str

    def path_of(self, part: int) -> Path:
        """File of a part."""
        return self.folder / PARTS / f"part-{part:05d}.parquet"

    def is_done(self, part: int) -> bool:
        """Whether a part is there, which it is wholly or not at all."""
        return self.path_of(part).exists()

    def keep(self, part: int, content: bytes) -> None:
        """Writes a part; a part that is there is left as it is."""
        target = self.path_of(part)
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            with atomic_file(target) as file:
                file.write_bytes(content)

    @property
    def is_complete(self) -> bool:
        """Whether the run has come to its end."""
        return (self.folder / DONE).exists()


@contextmanager
def open_journal(
    folder: Path, *, of: Mapping[str, Any], inputs: Sequence[Path]
) -> Iterator[Journal]:
    """Opens a folder for a run, a new one or one that was stopped, and holds it alone.

    Args:
        folder: Of the results.
        of: What the results depend on besides the files: settings, versions, the list of parts.
        inputs: The files.

    Yields:
        The journal.

    Raises:
        InputError: The folder holds something else, or a run that differs.
        StorageError: Another run holds it, or it cannot be written.
    """
    folder = Path(folder)
    prepare_output(folder.parent, free_mb=20)
    with lock(folder):
        card = json.loads(json.dumps({**of, "inputs": _fingerprint(inputs)}, default=str))
        _begin(folder, card)
        text = json.dumps(card, sort_keys=True)
        yield Journal(folder, hashlib.sha256(text.encode()).hexdigest())


def _begin(folder: Path, card: Mapping[str, Any]) -> None:
    """Makes the folder, or holds what stands there against this run."""
    path = folder / JOURNAL
    if path.exists():
        _check_same(folder, json.loads(path.read_text(encoding="utf-8")), card)
        sweep(folder)
        sweep(folder / PARTS)
        return
    if folder.exists() and (not folder.is_dir() or any(_visible(folder))):
        raise InputError(
            f"{folder.name}: holds other files", "choose a folder that is new or empty"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write_text(json.dumps(card, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _visible(folder: Path) -> Iterator[Path]:
    """What stands in a folder but for what a killed start of a run left."""
    for path in folder.iterdir():
        if not path.name.startswith(f".{JOURNAL}."):
            yield path


def _check_same(folder: Path, stored: Mapping[str, Any], card: Mapping[str, Any]) -> None:
    """Refuses to mix two runs.

    Raises:
        InputError: Names the first thing that differs.
    """
    fix = "repeat its command to go on, or choose another --out"
    if stored.get("inputs") != card["inputs"]:
        raise InputError(f"{folder.name}: holds a run of other files", fix)
    old, new = (dict(_flat(one)) for one in (stored, card))
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            what = f"{name} was {old.get(name)}, not {new.get(name)}"
            raise InputError(f"{folder.name}: holds a run of other settings ({what})", fix)


def _flat(card: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names and values, without the names of what holds them."""
    for name, value in card.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        else:
            yield name, value


def _fingerprint(files: Sequence[Path]) -> dict[str, Any]:
    """All inputs as one hash of their names and contents."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    return {"files": len(files), "sha256": digest.hexdigest()}


def read_error(path: Path, err: Exception) -> StorageError:
    """What is said of a part that was damaged after it was written."""
    return StorageError(
        f"{path.name}: cannot be read ({err})", "delete it; the same command makes it again"
    )
