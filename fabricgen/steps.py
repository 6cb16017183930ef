"""How a room tells its caller how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable

OnStep = Callable[[int, int | None, str], None]
"""Called as `on_step(done, total, note)`; `total` is None while it is unknown."""


def quiet(done: int, total: int | None, note: str) -> None:
    """Listens to no step."""


def part(on_step: OnStep, *, start: int, total: int | None, prefix: str = "") -> OnStep:
    """Lets a piece of work report as a stretch of a longer one.

    Args:
        on_step: The listener of the whole work.
        start: Steps of the whole that are done before this piece begins.
        total: Steps of the whole.
        prefix: Put before each note of the piece.

    Returns:
        A listener for the piece; the piece counts from 0.
    """

    def inner(done: int, _piece: int | None, note: str) -> None:
        on_step(start + done, total, f"{prefix}{note}")

    return inner
