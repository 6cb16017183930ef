"""A Ray cluster: one that runs already, or one of our own on this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from fabricgen.errors import FabricgenError, ResourceError, need
from fabricgen.steps import quiet

RETRIES = 5  # of an item whose worker or node was lost; it was not the item's fault
KNOCK_S = 5.0  # to wait for an answer
AHEAD = 2  # items for each CPU that are asked for at a time


def run(
    function: Callable[..., Any], items: Sequence[Any], *, workers: int | None, address: str | None
) -> Iterator[tuple[int, Any]]:
    """See `engines.run`. An item whose node is lost is done again elsewhere.

    Raises:
        MissingDependencyError: Ray is not installed.
        ResourceError: No cluster at the address, or an item whose workers were ended again and
            again.
    """
    ray = need("ray", extra="cluster")
    with _cluster(ray, address, workers):
        cpus = min(workers or 10**6, int(ray.cluster_resources().get("CPU", 1)))
        task = ray.remote(_one_thread).options(num_cpus=1, max_retries=RETRIES)
        shared = ray.put(function)
        waiting: dict[Any, int] = {}
        todo = iter(enumerate(items))
        for index, item in todo:
            waiting[task.remote(shared, item)] = index
            if len(waiting) >= AHEAD * max(cpus, 1):
                yield from _first(ray, waiting)
        while waiting:
            yield from _first(ray, waiting)


@contextmanager
def _cluster(ray: ModuleType, address: str | None, workers: int | None) -> Iterator[None]:
    """A connection to a cluster; one that was there before stays connected.

    Raises:
        ResourceError: Nothing answers at the address.
    """
    if ray.is_initialized():
        yield
        return
    # No reports of use to Ray's makers, and no token file in the user's home, unless asked for.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    quietly = {"log_to_driver": False, "logging_level": "ERROR"}
    where = address or os.environ.get("RAY_ADDRESS")
    try:
        if where:
            _knock(where)
            ray.init(address=where, **quietly)
        else:
            ray.init(num_cpus=workers, include_dashboard=False, **quietly)
    except (OSError, RuntimeError, ValueError) as err:
        fix = "start one with `ray start --head`, or set engine=local"
        raise ResourceError(f"no Ray cluster at {where or 'this machine'} ({err})", fix) from err
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Finds out at once whether anything answers: Ray itself would try for minutes.

    Raises:
        OSError: Nothing does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=KNOCK_S).close()


def _first(ray: ModuleType, waiting: dict[Any, int]) -> Iterator[tuple[int, Any]]:
    """The next answer."""
    (done,), _ = ray.wait(list(waiting), num_returns=1)
    try:
        yield waiting.pop(done), ray.get(done)
    except ray.exceptions.RayTaskError as err:
        if isinstance(err.cause, FabricgenError):
            raise err.cause from err
        raise
    except ray.exceptions.RayError as err:
        raise ResourceError(
            f"a worker of the Ray cluster was ended ({type(err).__name__})",
            "free some memory or set fewer workers; the same command goes on",
        ) from err


def _one_thread(function: Callable[..., Any], item: Any) -> Any:
    """In a worker: on one thread, as everywhere, so that the answer is the same."""
    import torch

    torch.set_num_threads(1)
    return function(item, quiet)
