"""What a run was: enough to repeat it and to cite it, with nothing personal in it.

`record` builds the document that every verb writes last as `run.json`; a result folder without it
is incomplete. It holds no user names, no host names and no absolute paths.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path, PureWindowsPath
from typing import Any

from .files import atomic_file, sha256_of

PACKAGES = (
    "torch", "torchvision", "lightning", "numpy", "scipy", "pandas", "rasterio", "geopandas",
    "shapely", "pyogrio", "pyproj", "pyarrow", "osmium", "hydra-core", "safetensors",
)  # fmt: skip

# Libraries inside a package's wheel: module, attribute. Read only where the module is loaded.
_INSIDE = {
    "gdal_of_rasterio": ("rasterio", "__gdal_version__"),
    "gdal_of_pyogrio": ("pyogrio", "__gdal_version_string__"),
    "geos_of_shapely": ("shapely", "geos_version_string"),
    "proj_of_pyproj": ("pyproj", "proj_version_str"),
    "proj_of_rasterio": ("rasterio", "__proj_version__"),
}


@dataclass(frozen=True)
class Start:
    """The moment a run began."""

    utc: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    monotonic_s: float = field(default_factory=time.monotonic)


def record(
    verb: str,
    *,
    start: Start,
    settings: Mapping[str, Any],
    seed: int | None = None,
    inputs: Iterable[Path] = (),
    weights: Path | None = None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describes a run.

    Args:
        verb: `generate`, `ingest`, ...
        start: When it began.
        settings: The resolved settings.
        seed: The seed of every random choice.
        inputs: Files and folders that were read; each is hashed.
        weights: The checkpoint that was used.
        more: What the verb knows besides: `data` (sources with license and attribution), `factors`
            (hash of the factor table, region), `counts` (asked, made, rejected by reason), `unmet`.

    Returns:
        A document that `json` can write.
    """
    document = {
        "verb": verb,
        "command": [scrub(word) for word in ["fabricgen", *sys.argv[1:]]],
        "fabricgen": {"version": _version("fabricgen"), "commit": commit()},
        "started_utc": start.utc,
        "seconds": round(time.monotonic() - start.monotonic_s, 3),
        "seed": seed,
        "settings": scrub(settings),
        "versions": versions(),
        "device": device(),
        "inputs": [fingerprint(path) for path in inputs],
        "weights": fingerprint(weights) if weights is not None else None,
    }
    return document | scrub(dict(more or {}))


def write(document: Mapping[str, Any], folder: Path) -> Path:
    """Writes `run.json` into a folder of results; do it last."""
    target = Path(folder) / "run.json"
    with atomic_file(target) as part:
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        part.write_text(text + "\n", encoding="utf-8")
    return target


def fingerprint(path: Path) -> dict[str, str]:
    """Name and SHA-256 of a file or folder, without where it lies."""
    return {"name": Path(path).name, "sha256": sha256_of(Path(path))}


def versions() -> dict[str, str]:
    """Versions of Python, of the packages we stand on, and of the libraries inside those loaded."""
    found = {"python": platform.python_version(), "system": platform.system()}
    for package in PACKAGES:
        version = _version(package)
        if version is not None:
            found[package] = version
    for name, (module, attribute) in _INSIDE.items():
        value = getattr(sys.modules.get(module), attribute, None)
        if value is not None:
            found[name] = str(value)
    return found


def device() -> dict[str, Any]:
    """What computes: the processor or the GPU, and the number of threads, if torch is loaded."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {"kind": "cpu"}
    cuda = torch.cuda.is_available()
    return {
        "kind": "cuda" if cuda else "cpu",
        "name": torch.cuda.get_device_name() if cuda else platform.machine(),
        "threads": torch.get_num_threads(),
    }


def commit() -> str | None:
    """The git commit of the checkout that runs, or None for an installed wheel."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def scrub(value: Any) -> Any:
    """Cuts absolute paths down to their last name, in texts, lists and mappings alike."""
    if isinstance(value, Mapping):
        return {str(key): scrub(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [scrub(inner) for inner in value]
    if isinstance(value, Path):
        return value.name if value.is_absolute() else value.as_posix()
    if isinstance(value, str):
        key, sign, tail = value.partition("=")
        if sign and _is_absolute(tail):
            return f"{key}={_last(tail)}"
        return _last(value) if _is_absolute(value) else value
    return value


def _is_absolute(text: str) -> bool:
    return text.startswith("~") or Path(text).is_absolute() or PureWindowsPath(text).is_absolute()


def _last(text: str) -> str:
    return PureWindowsPath(text).name or text


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
