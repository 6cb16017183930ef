"""`fabricgen doctor`: what this machine has, and what fabricgen would miss."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import typer

from ..errors import FabricgenError, ResourceError
from . import console

REQUIRED = (
    "numpy", "scipy", "pandas", "shapely", "pyproj", "pyogrio", "geopandas", "rasterio", "pyarrow",
    "osmium", "hydra", "omegaconf", "safetensors", "jinja2", "matplotlib", "PIL", "filelock",
)  # fmt: skip
EXTRAS = {"studio": "fastapi", "cad": "ezdxf", "cluster": "ray"}
DISTRIBUTION = {"hydra": "hydra-core", "PIL": "pillow"}  # where the two names differ


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    value: str
    fix: str = ""
    missing: bool = False  # something needed is not there


def doctor() -> None:
    """Say what this machine has and what it lacks.

    Versions, the build of torch, the GPU, GDAL and PROJ, weights and settings.
    """
    findings = [
        *look_at_packages(),
        *look_at_torch(),
        *look_at_gdal(),
        *look_at_configs(),
        *look_at_weights(),
    ]
    console.show({"findings": [asdict(finding) for finding in findings]}, text=describe(findings))
    if any(finding.missing for finding in findings):
        raise typer.Exit(ResourceError.exit_code)


def describe(findings: list[Finding]) -> str:
    """The findings as lines, what is missing marked and with its fix."""
    wide = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        mark = "!!" if finding.missing else "  "
        fix = f"; {finding.fix}" if finding.fix else ""
        lines.append(f"{mark} {finding.name:<{wide}}  {finding.value}{fix}")
    return "\n".join(lines)


def look_at_packages() -> list[Finding]:
    """Our own version, the packages it needs, and those of its extras."""
    import platform

    from .. import __version__

    found = [Finding("fabricgen", __version__), Finding("python", platform.python_version())]
    found += [_look_at_package(module) for module in REQUIRED]
    for extra, module in EXTRAS.items():
        version = _version(module)
        fix = "" if version else f"pip install 'fabricgen[{extra}]' if you want it"
        found.append(Finding(f"extra {extra}", version or "not installed", fix))
    return found


def _look_at_package(module: str) -> Finding:
    try:
        import_module(module)
    except (ImportError, OSError) as err:
        return Finding(module, f"cannot be imported ({err})", _install(module), missing=True)
    return Finding(module, _version(module) or "version unknown")


def _install(module: str) -> str:
    return f"pip install {DISTRIBUTION.get(module, module)}"


def _version(module: str) -> str | None:
    try:
        return metadata.version(DISTRIBUTION.get(module, module))
    except metadata.PackageNotFoundError:
        return None


def look_at_torch() -> list[Finding]:
    """The build of torch, what it can compute on, and whether lightning stands on it."""
    try:
        from .._torch import torch
    except (ImportError, OSError) as err:
        return [Finding("torch", f"cannot be imported ({err})", "pip install torch", missing=True)]

    found = [Finding("torch", torch.__version__), Finding("threads", str(torch.get_num_threads()))]
    if torch.cuda.is_available():
        memory_gb = torch.cuda.get_device_properties(0).total_memory / 1e9
        found.append(Finding("gpu", f"{torch.cuda.get_device_name(0)}, {memory_gb:.0f} GB"))
    else:
        found.append(Finding("gpu", "none that torch can use; runs on the processor"))
    for name in ("torchvision", "lightning"):
        found.append(_look_behind_the_door(name))
    return found


def _look_behind_the_door(name: str) -> Finding:
    from .. import _torch

    try:
        version = str(getattr(_torch, name).__version__)
    except (ImportError, OSError, RuntimeError) as err:
        return Finding(name, f"cannot be imported ({err})", _install(name), missing=True)
    if name == "torchvision" and not _torch.torchvision.extension._has_ops():
        version += " (without compiled operators, which fabricgen does not use)"
    return Finding(name, version)


# Who carries which copy of a library: label, module, how to ask.
_COPIES: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("GDAL", "rasterio", lambda module: module.__gdal_version__),
    ("GDAL", "pyogrio", lambda module: module.__gdal_version_string__),
    ("PROJ", "rasterio", lambda module: getattr(module, "__proj_version__", None)),
    ("PROJ", "pyproj", lambda module: module.proj_version_str),
    ("GEOS", "shapely", lambda module: module.geos_version_string),
)


def look_at_gdal() -> list[Finding]:
    """The copies of GDAL, PROJ and GEOS that live in this process, side by side."""
    copies: dict[str, dict[str, str]] = {}
    for label, module, ask in _COPIES:
        try:
            version = ask(import_module(module))
        except (ImportError, OSError):
            continue  # already said among the packages
        if version is not None:
            copies.setdefault(label, {})[module] = str(version)
    return [_compare(label, versions) for label, versions in copies.items()]


def _compare(label: str, versions: dict[str, str]) -> Finding:
    text = ", ".join(f"{version} in {module}" for module, version in versions.items())
    if len(set(versions.values())) == 1:
        return Finding(label, text)
    return Finding(
        label,
        text,
        f"two versions in one process: set {label} options through each package's own call",
    )


def look_at_configs() -> list[Finding]:
    """Where the settings are found, and whether each verb's can be composed."""
    from ..files import shipped
    from ..settings import compose

    try:
        root = shipped("configs")
        for verb, must in {"generate": [], "ingest": [], "train": ["trainer.data=stores"]}.items():
            compose(verb, must)
    except FabricgenError as err:
        return [Finding("configs", err.problem, err.fix, missing=True)]
    return [Finding("configs", f"{root}, all verbs compose")]


def look_at_weights() -> list[Finding]:
    """Where the shipped weights are, and whether they are the ones their card describes."""
    from ..files import shipped

    try:
        folder = shipped("checkpoints")
    except FabricgenError as err:
        return [Finding("weights", err.problem, err.fix, missing=True)]
    return [verify_weights(folder / "default.safetensors")]


def verify_weights(weights: Path) -> Finding:
    """Holds weights against the SHA-256 in the JSON card beside them."""
    from ..files import sha256_of

    card = weights.with_suffix(".json")
    lost = [path.name for path in (weights, card) if not path.is_file()]
    if lost:
        fix = "install fabricgen again, or give sampler.weights=PATH"
        return Finding(
            "weights", f"{weights.parent}: no {' and no '.join(lost)}", fix, missing=True
        )
    try:
        expected = json.loads(card.read_text(encoding="utf-8"))["sha256"]
    except (ValueError, KeyError, TypeError):
        return Finding("weights", f"{card}: not a card of weights", "install again", missing=True)
    if sha256_of(weights) != expected:
        return Finding("weights", f"{weights}: damaged", "install fabricgen again", missing=True)
    return Finding("weights", f"{weights}, hash verified")
