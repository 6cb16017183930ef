"""Work shared with helper processes, which know nothing of the script that started us.

Not `multiprocessing`: forking is unsafe once torch and the progress bar have threads, and its other
ways run the caller's script again in each process. A helper is `python -c` over this file; what it
is asked and what it answers go through its pipes.
"""

from __future__ import annotations

import gc
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch

from fabricgen.errors import FabricgenError, ResourceError
from fabricgen.steps import OnStep

Listener = Callable[[int, int, str], None]  # item, steps of it that are done, note

STEP, ANSWER, ERROR = "step", "answer", "error"
ENDED = ("a helper process was ended", "free some memory, or set workers=1")
MOST = 4  # processes when nobody says how many; each holds torch and a batch, about 0.6 GB
# Ctrl-C reaches the whole group of processes; it is for the caller to act on.
START = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    "from fabricgen.design.workers import serve; serve()"
)


def cores() -> int:
    """How many processes this one may run at once."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share(
    function: Callable[..., Any],
    items: Sequence[Any],
    *,
    workers: int = 0,
    on_step: Listener,
    finish: Callable[[Any], Any] = lambda answer: answer,
) -> list[Any]:
    """`function` of each item, some of them in helper processes, and `finish` of each answer.

    This process takes items as well. Helpers work in `one_thread`, and so should the caller, so
    that the answers do not depend on who gives them.

    Args:
        function: Of one item and a listener `OnStep`; a plain function, found by its name.
        items: Can be pickled, as can the answers.
        workers: Processes in all; 0: one for each core, at most `MOST`.
        on_step: Hears of an item how many of its steps are done, and a note; in this thread.
        finish: What this process alone does with an answer, while others are still awaited.

    Returns:
        The finished answers in the order of the items.

    Raises:
        ResourceError: A helper was ended from outside, say for want of memory.
    """
    helpers = min(workers or min(cores(), MOST), len(items)) - 1
    todo: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in range(len(items)):
        todo.put(index)
    news = _News(on_step)
    with _helpers(helpers, partial(_feed, function, items, todo, news.post)):
        for index in _taken(todo):
            news.answers[index] = function(items[index], news.of(index))
        finished: dict[int, Any] = {}
        while len(finished) < len(items):
            for index in sorted(news.answers.keys() - finished.keys()):
                finished[index] = finish(news.answers[index])
            if len(news.answers) < len(items):
                news.hear(wait=True)
    return [finished[index] for index in range(len(items))]


def stream(
    function: Callable[..., Any], items: Sequence[Any], *, workers: int
) -> Iterator[tuple[int, Any]]:
    """`function` of each item in helper processes alone, the answers as they come.

    Args:
        function: Of one item and a listener `OnStep`; a plain function, found by its name.
        items: Can be pickled, as can the answers.
        workers: Helper processes.

    Yields:
        The place of an item and its answer.

    Raises:
        ResourceError: A helper was ended from outside, say for want of memory.
    """
    todo: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in range(len(items)):
        todo.put(index)
    post: queue.SimpleQueue[tuple[int, str, Any]] = queue.SimpleQueue()
    with _helpers(min(workers, len(items)), partial(_feed, function, items, todo, post)):
        left = len(items)
        while left:
            index, kind, content = post.get()
            if kind == ERROR:
                raise content
            if kind == ANSWER:
                left -= 1
                yield index, content


class _News:
    """What helpers report, kept until this thread has time for it."""

    def __init__(self, on_step: Listener) -> None:
        self.post: queue.SimpleQueue[tuple[int, str, Any]] = queue.SimpleQueue()
        self.answers: dict[int, Any] = {}
        self.on_step = on_step

    def of(self, index: int) -> OnStep:
        """A listener for an item that this process works on."""

        def own(done: int, _total: int | None, note: str) -> None:
            while not self.post.empty():
                self.hear(wait=False)
            self.on_step(index, done, note)

        return own

    def hear(self, *, wait: bool) -> None:
        """Take one report."""
        index, kind, content = self.post.get(block=wait)
        if kind == ERROR:
            raise content
        if kind == ANSWER:
            self.answers[index] = content
        else:
            self.on_step(index, *content)


def serve() -> None:
    """What a helper does: answer until nobody asks any more."""
    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not fall among the answers

    def send(kind: str, content: Any) -> None:
        pickle.dump((kind, content), answers, protocol=-1)
        answers.flush()

    try:
        while True:
            function, item = pickle.load(sys.stdin.buffer)  # noqa: S301  # from our parent
            if not gc.get_freeze_count():
                gc.freeze()  # what was imported stays; looking through it took a twentieth
            try:
                send(ANSWER, function(item, lambda done, _total, note: send(STEP, (done, note))))
            except (FabricgenError, MemoryError) as err:  # what the user is to see
                send(ERROR, err)
    except (EOFError, BrokenPipeError):  # the parent has ended
        os._exit(0)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: sums over several differ in their last digits from machine to machine.

    Small operations gain nothing from more, and lose much where other programs run too.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _helpers(count: int, feed: Callable[[subprocess.Popen[bytes]], None]) -> Iterator[None]:
    """Helper processes, each fed by a thread of its own; all gone afterwards, whatever happens."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    told = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": path}
    started: list[tuple[subprocess.Popen[bytes], threading.Thread]] = []
    try:
        for _ in range(count):
            process = subprocess.Popen(
                [sys.executable, "-c", START],
                env=os.environ | told,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            thread = threading.Thread(target=feed, args=(process,), daemon=True)
            started.append((process, thread))
            thread.start()
        yield
    finally:
        for process, _ in started:
            process.kill()
        for process, thread in started:
            process.wait()
            thread.join()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):  # what was still to be sent
                    pipe.close()


def _feed(
    function: Callable[..., Any],
    items: Sequence[Any],
    todo: queue.SimpleQueue[int],
    post: queue.SimpleQueue[tuple[int, str, Any]],
    process: subprocess.Popen[bytes],
) -> None:
    """Ask a helper for one item after the other."""
    for index in _taken(todo):
        try:
            pickle.dump((function, items[index]), process.stdin, protocol=-1)
            process.stdin.flush()
            kind = STEP
            while kind == STEP:
                kind, content = pickle.load(process.stdout)  # noqa: S301  # from our own child
                post.put((index, kind, content))
        except (OSError, EOFError, pickle.UnpicklingError):
            # A helper that failed by itself has shown its traceback; one that was killed has not.
            killed = process.wait() < 0
            bug = RuntimeError("a helper process failed; its lines stand above")
            post.put((index, ERROR, ResourceError(*ENDED) if killed else bug))
            return


def _taken(todo: queue.SimpleQueue[int]) -> Iterator[int]:
    """Items that nobody else works on."""
    while True:
        try:
            yield todo.get_nowait()
        except queue.Empty:
            return
