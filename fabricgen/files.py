"""Files that are written whole or not at all, their hashes, and who may write where.

A reader never meets half a file: everything is written into a private folder beside its target and
moved into place when complete. A killed run leaves such a folder behind, which the next run that
holds the lock sweeps away.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files as resource_files
from pathlib import Path

from .errors import FabricgenError, InputError, ResourceError, StorageError

_CHUNK_BYTES = 1 << 20
MB = 1_000_000
FULL_BYTES = 1 << 20  # less than this is no room: libraries write in chunks of up to so much


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Gives a path to write to, and moves the result onto `target` once it is complete.

    Args:
        target: The file that should exist afterwards. Its folder must exist.

    Yields:
        A path of the same name in a private folder on the same file system, so that any library
        may write it and leave side files there.

    Raises:
        StorageError: Nothing was written to the yielded path.
    """
    target = Path(target)
    private = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    part = private / target.name
    try:
        with _full_disk_named(target):
            yield part
        if not part.exists():
            raise StorageError(f"{target.name}: nothing was written", "report this as a bug")
        _sync(part)
        os.replace(part, target)  # noqa: PTH105 (the atomic move itself)
        _sync(target.parent)
    finally:
        shutil.rmtree(private, ignore_errors=True)


@contextmanager
def atomic_folder(target: Path, *, mark: str) -> Iterator[Path]:
    """Gives an empty folder `NAME.part` to fill, and renames it to `target` once it is complete.

    An earlier folder of that name stays untouched until the new one is complete, and stays for good
    when the writer fails.

    Args:
        target: The folder that should exist afterwards; its parent is made if need be.
        mark: A file that tells such a folder from any other, which is never replaced.

    Yields:
        The folder to fill.

    Raises:
        InputError: Another kind of folder stands there.
        StorageError: Another run is writing there.
    """
    target = Path(target)
    check_replaceable(target, mark=mark)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    with lock(target):
        shutil.rmtree(part, ignore_errors=True)  # what a killed run left
        part.mkdir()
        try:
            with _full_disk_named(target):
                yield part
                for path in sorted(part.rglob("*")):
                    _sync(path)
            _swap(part, target)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _full_disk_named(target: Path) -> Iterator[None]:
    """Tells a full disk by what is left on it: GDAL, SQLite and others each name it their own way.

    Raises:
        StorageError: Writing failed, and the disk has next to no room.
    """
    try:
        yield
    except FabricgenError:
        raise
    except Exception as err:
        if shutil.disk_usage(target.parent).free < FULL_BYTES:
            raise StorageError(
                f"{target.name}: the disk is full", "free some room, or choose another --out"
            ) from err
        raise


def check_replaceable(target: Path, *, mark: str) -> None:
    """Refuses a target whose replacement would take somebody's other files away.

    Raises:
        InputError: It holds something, and not the file that marks it as one of ours.
    """
    if not target.exists() or (target.is_dir() and (target / mark).exists()):
        return
    if not target.is_dir():
        raise InputError(f"{target.name}: a file stands where a folder should go", "choose another")
    if any(target.iterdir()):
        raise InputError(
            f"{target.name or target}: holds other files, which would be replaced",
            "choose a folder that is new or empty",
        )


def _swap(part: Path, target: Path) -> None:
    """Puts `part` in the place of `target`, whatever stands there."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    part.rename(target)
    _sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    """Asks the system to put a file, or the entries of a folder, on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open a folder
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folder: Path) -> int:
    """Removes what killed runs left in a folder; call it only while holding its lock.

    Returns:
        How many leftovers were removed.
    """
    leftovers = [path for path in Path(folder).glob(".*.*") if path.is_dir() and _is_private(path)]
    for path in leftovers:
        shutil.rmtree(path, ignore_errors=True)
    return len(leftovers)


def _is_private(path: Path) -> bool:
    """Whether a folder is one of `atomic_file`: `.NAME.xxxxxxxx` holding at most NAME's files."""
    stem, _, tail = path.name[1:].rpartition(".")
    inside = [entry.name for entry in path.iterdir()]
    return bool(stem) and len(tail) == 8 and all(name.startswith(stem) for name in inside)


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Holds a folder against a second writer, also in another process.

    Args:
        folder: The folder to be written; the lock is a hidden file beside it, which stays.

    Raises:
        StorageError: Another run holds it.
    """
    from filelock import FileLock, Timeout

    folder = Path(folder).absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    guard = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        guard.acquire(timeout=0)
    except Timeout as err:
        raise StorageError(
            f"{folder.name}: another run is writing there", "wait for it, or choose another --out"
        ) from err
    try:
        yield
    finally:
        guard.release()


def safe_name(text: str) -> str:
    """A text as the name of a file on any system: letters, digits, dots, dashes, underscores."""
    return re.sub(r"[^\w.-]+", "-", text).strip(".-") or "plan"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits.

    A folder (a tile store) hashes as the list of its files' names and hashes.
    """
    path = Path(path)
    digest = hashlib.sha256()
    if path.is_dir():
        for entry in sorted(entry for entry in path.rglob("*") if entry.is_file()):
            digest.update(f"{entry.relative_to(path).as_posix()} {sha256_of(entry)}\n".encode())
        return digest.hexdigest()
    with path.open("rb") as source:
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def prepare_output(folder: Path, *, free_mb: float = 0.0) -> Path:
    """Makes an output folder and finds out, before any work, that it can be written.

    Args:
        folder: Where results will go.
        free_mb: Room that the results are expected to need.

    Returns:
        The folder.

    Raises:
        InputError: A file stands in its place.
        StorageError: It cannot be written, or the disk has too little room.
    """
    folder = Path(folder)
    taken = next((path for path in [folder, *folder.parents] if path.exists()), None)
    if taken is not None and not taken.is_dir():
        raise InputError(f"{taken.name}: a file stands where a folder should go", "choose another")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"fabricgen")
    except OSError as err:
        raise StorageError(
            f"{folder.name or folder}: cannot be written ({err.strerror})", "choose another --out"
        ) from err
    check_room(folder, free_mb=free_mb)
    return folder


def check_room(folder: Path, *, free_mb: float) -> None:
    """Refuses when a disk has less room than is needed.

    Raises:
        StorageError: Too little room; says how much is free and how much is needed.
    """
    free = shutil.disk_usage(folder).free
    if free < free_mb * MB:
        raise StorageError(
            f"{Path(folder).name or folder}: the disk has {free / MB:.0f} MB free, "
            f"{free_mb:.0f} MB are needed",
            "free some room, or choose another --out",
        )


def shipped(name: str) -> Path:
    """A folder of data that comes with the package: `configs`, `checkpoints` or `demo`.

    Installed, each is a package of ours; in a bare checkout, configs and checkpoints lie beside the
    package folder.

    Raises:
        ResourceError: The installation lacks the folder.
    """
    try:
        found = Path(str(resource_files(f"fabricgen.{name}")))
    except ModuleNotFoundError:
        found = Path(__file__).parent.parent / name
    if not found.is_dir():
        raise ResourceError(
            f"this installation has no {name} folder", "install fabricgen again from its wheel"
        )
    return found
