"""Who does the work: one face for processes of this machine and for a cluster.

An engine takes a pure function and items, and gives answers as they come. Nothing else knows of
processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fabricgen.batch import local, ray

Engine = Callable[..., Iterator[tuple[int, Any]]]


@dataclass(frozen=True)
class EngineSettings:
    """Which engine."""

    name: Literal["local", "ray"] = "local"
    address: str | None = None  # of a Ray cluster; None: one that runs here, else one of its own


def run(
    function: Callable[..., Any],
    items: Sequence[Any],
    *,
    engine: EngineSettings,
    workers: int | None = None,
) -> Iterator[tuple[int, Any]]:
    """`function(item, on_step)` of each item, in the order in which the answers come.

    Args:
        function: A plain function, found by its name; equal items give equal answers.
        items: Can be pickled, as can the answers.
        engine: Who does it.
        workers: Processes, or CPUs of the cluster at a time; None for all.

    Yields:
        The place of an item and its answer.

    Raises:
        ResourceError: The function raised it, a worker was ended, or the engine cannot be had.
    """
    if engine.name == "ray":
        return ray.run(function, items, workers=workers, address=engine.address)
    return local.run(function, items, workers=workers)
