"""Processes of this machine, one for each core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fabricgen.design.workers import cores, stream


def run(
    function: Callable[..., Any], items: Sequence[Any], *, workers: int | None
) -> Iterator[tuple[int, Any]]:
    """See `engines.run`."""
    return stream(function, items, workers=workers or cores())
