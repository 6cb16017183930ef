"""How fast many plans are scored, in how much memory, and beside a loop of other libraries.

Plans are real blocks of the demo's city, each changed in its own way (`batch_plans`). Each number
of plans is scored by `fabricgen score` as a process of its own; the memory is that of all its
processes, read every half second, shared pages once. The peer (`batch_peer`, which needs momepy and
rasterstats) runs before, in the same run.

A run that is stopped goes on: tables and finished measurements stay in the folder of `--work`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.batch_plans import write_plans
from benchmarks.output import write_json
from fabricgen.batch import BatchSettings
from fabricgen.errors import ResourceError, SettingsError, need
from fabricgen.files import atomic_file

ROOT = Path(__file__).resolve().parents[2]
MARK_PEER, MARK_GB, MARK_SCALING = 20.0, 3.0, 1.7
PEER_PLANS = 1000  # of the table that the peer reads
LOOK_S = 0.5
FAST = ("pixel_m=2", "sunlight=quick")


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `benchmark.py batch`."""
    parser.add_argument("--plans", default="1000,10000,100000", help="numbers of plans")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument(
        "--scaling", type=int, default=4000, help="plans for one worker and for all"
    )
    parser.add_argument("--peer-seconds", type=float, default=60.0, help="of the loop beside")
    parser.add_argument("--set", nargs="*", default=FAST, help="settings of the scoring")
    parser.add_argument("--work", type=Path, default=Path("outputs/batch"), help="folder")
    parser.add_argument("--json", type=Path, help="where to write the result")
    parser.add_argument("--plot", type=Path, help="where to draw time and memory over plans (PNG)")


def run(chosen: Namespace) -> str:
    """Measures, writes the JSON and the plot, and returns tables for the terminal."""
    try:
        counts = sorted({int(word) for word in chosen.plans.split(",")})
    except ValueError:
        counts = []
    if not counts or counts[0] < 1:
        raise SettingsError(f"--plans {chosen.plans}", "give numbers, such as 1000,10000")
    result = measure(
        counts, workers=chosen.workers, scaling=chosen.scaling, settings=chosen.set,
        peer_s=chosen.peer_seconds, work=chosen.work,
    )  # fmt: skip
    write_json(result, chosen.json)
    if chosen.plot is not None:
        draw(result, chosen.plot)
    return tables(result)


def measure(
    counts: Sequence[int],
    *,
    workers: int,
    scaling: int,
    settings: Sequence[str],
    peer_s: float,
    work: Path,
) -> dict[str, Any]:
    """All of it; see `tables`.

    Args:
        counts: Numbers of plans, ascending.
        workers: Processes.
        scaling: Plans that are scored by one worker and by all.
        settings: KEY=VALUE of `fabricgen score`.
        peer_s: Seconds of the loop beside.
        work: Folder of tables, results and finished measurements.
    """
    work.mkdir(parents=True, exist_ok=True)
    pixel_m = next((float(s[8:]) for s in settings if s.startswith("pixel_m=")), 1.0)

    def peer() -> dict[str, Any]:
        for package in ("momepy", "rasterstats"):
            need(package)
        from benchmarks.batch_peer import plans_per_s

        rate, done = plans_per_s(
            _table(work, PEER_PLANS), seconds=peer_s, pixel_m=pixel_m, draws=256
        )
        return {"plans": done, "plans_per_s": rate}

    def score(count: int, with_workers: int) -> dict[str, Any]:
        return _score(_table(work, count), work, count, with_workers, settings)

    key = " ".join(settings)
    found: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "load": os.getloadavg()[0], "workers": workers},
        "settings": list(settings),
        "peer": _once(work, f"peer {key}", peer),
    }
    found["growth"] = [
        _once(work, f"{count} by {workers} {key}", lambda count=count: score(count, workers))
        for count in counts
    ]
    found["scaling"] = [
        _once(work, f"{scaling} by {n} {key}", lambda n=n: score(scaling, n))
        for n in dict.fromkeys((1, workers))
    ]
    found["marks"] = _marks(found)
    return found


def _table(work: Path, count: int) -> Path:
    path = work / f"plans-{count}.parquet"
    if not path.exists():
        write_plans(count, path)
    return path


def _once(work: Path, name: str, of: Any) -> dict[str, Any]:
    """A measurement, or what it gave in an earlier run."""
    path = work / "measured.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if name not in known:
        known[name] = of()
        with atomic_file(path) as part:
            part.write_text(json.dumps(known, indent=1), encoding="utf-8")
    found: dict[str, Any] = known[name]
    return found


def _score(
    table: Path, work: Path, count: int, workers: int, settings: Sequence[str]
) -> dict[str, Any]:
    """Scores a table in processes of their own; of a continued run only the rest is timed."""
    out = work / f"scores-{count}-by-{workers}"
    there = len(list((out / "parts").glob("part-*"))) if out.exists() else 0
    words = [str(table), "--out", str(out), "pages=none", f"workers={workers}", *settings]
    before = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(ROOT), *([before] if before else [])])
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "fabricgen", "score", *words],
        stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    memory: list[int] = []
    watch = threading.Thread(target=lambda: memory.extend(_watched(process)))
    watch.start()
    code = process.wait()
    wall_s = time.perf_counter() - began
    watch.join()
    if code != 0:
        raise ResourceError(f"scoring ended with {code}", "see the lines above; run it again")
    done = max(count - there * BatchSettings().plans_per_part, 0)
    return {
        "plans": count, "workers": workers, "timed_plans": done, "wall_s": wall_s,
        "plans_per_s": done / wall_s, "peak_gb": max(memory, default=0) / 1e9,
    }  # fmt: skip


def _watched(process: subprocess.Popen[bytes]) -> Iterator[int]:
    """Memory of a process and all below it, now and then until it ends [bytes]."""
    while process.poll() is None:
        yield sum(_bytes_of(pid) for pid in _family(process.pid))
        time.sleep(LOOK_S)


def _family(pid: int) -> list[int]:
    found = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = path.read_text().split()
        except OSError:  # it has ended since
            continue
        found += [each for child in children for each in _family(int(child))]
    return found


def _bytes_of(pid: int) -> int:
    """Memory of a process, pages that it shares in proportion."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended since
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _marks(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    growth, peer = found["growth"], found["peer"]["plans_per_s"]
    best = growth[-1]
    first, last = found["scaling"][0], found["scaling"][-1]
    scaling = last["plans_per_s"] / first["plans_per_s"]
    peak = max(row["peak_gb"] for row in growth)
    power = _power(growth)
    times = best["plans_per_s"] / peer
    return {
        "times the loop": {"asked": ">= 20", "found": times, "held": times >= MARK_PEER},
        "peak memory, GB": {"asked": "< 3", "found": peak, "held": peak < MARK_GB},
        "1 to all workers": {
            "asked": ">= 1.7", "found": scaling, "held": scaling >= MARK_SCALING
        },
        "power of time over plans": {"asked": "<= 1.05", "found": power, "held": power <= 1.05},
    }  # fmt: skip


def _power(growth: Sequence[Mapping[str, Any]]) -> float:
    if len(growth) < 2:
        return float("nan")
    plans = np.log([row["plans"] for row in growth])
    seconds = np.log([row["plans"] / row["plans_per_s"] for row in growth])
    return float(np.polyfit(plans, seconds, 1)[0])


def tables(result: Mapping[str, Any]) -> str:
    """The result as Markdown, the tables in docs."""
    machine, peer = result["machine"], result["peer"]
    lines = [
        f"{machine['workers']} workers on {machine['cores']} cores, load before "
        f"{machine['load']:.1f}; {' '.join(result['settings'])}",
        f"loop of geopandas, rasterstats and momepy: {peer['plans_per_s']:.1f} plans/s "
        f"({peer['plans']} plans)",
        "",
        "| plans | workers | seconds | plans/s | times the loop | peak GB |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in (*result["growth"], *result["scaling"]):
        lines.append(
            f"| {row['plans']:,} | {row['workers']} | {row['plans'] / row['plans_per_s']:.0f} "
            f"| {row['plans_per_s']:.1f} | {row['plans_per_s'] / peer['plans_per_s']:.1f} "
            f"| {row['peak_gb']:.2f} |"
        )
    lines += ["", "| mark | asked | found | held |", "| --- | --- | ---: | --- |"]
    for name, mark in result["marks"].items():
        held = "yes" if mark["held"] else "no"
        lines.append(f"| {name} | {mark['asked']} | {mark['found']:.3g} | {held} |")
    return "\n".join(lines)


def draw(result: Mapping[str, Any], target: Path) -> None:
    """Time and peak memory over the number of plans."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    plans = [row["plans"] for row in result["growth"]]
    figure, (time_, memory) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    time_.loglog(plans, [row["plans"] / row["plans_per_s"] for row in result["growth"]], "o-")
    time_.set(xlabel="plans", ylabel="seconds")
    memory.semilogx(plans, [row["peak_gb"] for row in result["growth"]], "o-")
    memory.set(xlabel="plans", ylabel="peak memory of all processes, GB", ylim=(0, MARK_GB))
    with atomic_file(target) as part:
        figure.savefig(part, dpi=120)
    plt.close(figure)
