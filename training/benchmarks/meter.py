"""Seconds, memory and bandwidth of a piece of work on this machine."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

LEAST_RUNS = 3
MB = 1_000_000
COPY_BYTES = 512 * MB  # far more than any cache holds
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # what the kernel reads as: the peak of resident memory is as of now


@dataclass(frozen=True)
class Spent:
    """The least that a piece of work took of several runs.

    Attributes:
        cpu_s: Seconds of processor, all threads together: others on the machine change it little.
        wall_s: Seconds of clock.
    """

    cpu_s: float
    wall_s: float


def least(work: Callable[[], object], *, seconds: float) -> Spent:
    """Runs a piece of work once unmeasured, then for some seconds and at least three times."""
    work()
    cpu_s, wall_s = [], []
    began = time.perf_counter()
    while len(cpu_s) < LEAST_RUNS or time.perf_counter() - began < seconds:
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        cpu_s.append(time.process_time() - cpu)
        wall_s.append(time.perf_counter() - wall)
    return Spent(min(cpu_s), min(wall_s))


def peak_mb(work: Callable[[], object]) -> float | None:
    """Memory that a piece of work takes beyond what is held before, at its peak; Linux only.

    Its second run is looked at: the first one may load code and fill caches.
    """
    if not CLEAR.exists():
        return None
    work()
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)  # give back what is free, so that it counts when taken
    CLEAR.write_text(RESET_PEAK)
    before = _status_bytes("VmRSS")
    work()
    return (_status_bytes("VmHWM") - before) / MB


def _status_bytes(name: str) -> int:
    line = next(x for x in STATUS.read_text().splitlines() if x.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def bandwidth_bytes_per_s(*, seconds: float) -> float:
    """What a copy moves, read and written, with the threads that torch has now."""
    source = torch.ones(COPY_BYTES // 4)
    target = torch.empty_like(source)
    return 2 * COPY_BYTES / least(lambda: target.copy_(source), seconds=seconds).wall_s
