"""fabricgen: city-block schemes for a site and a brief, with their carbon counted.

The public names load on first use, so that `import fabricgen` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .city.ingest import ingest
    from .design import generate
    from .layout import Layout
    from .plan import Plan

__version__ = "0.1.0"
__all__ = ["Layout", "Plan", "__version__", "generate", "ingest"]

_HOME = {
    "Layout": "fabricgen.layout",
    "Plan": "fabricgen.plan",
    "generate": "fabricgen.design",
    "ingest": "fabricgen.city.ingest",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'fabricgen' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
