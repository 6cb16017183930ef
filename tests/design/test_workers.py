"""Work shared with helper processes: the same answers in the same order, and nobody left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fabricgen.design.workers import one_thread, share
from fabricgen.errors import InputError, ResourceError

ROOT = Path(__file__).parents[2]
# Items are told who started the work, so that only helpers misbehave.
WORK = """
import os, signal, time
from fabricgen.errors import InputError

def square(item, on_step):
    on_step(1, 2, "half")
    print("this goes to nobody")
    time.sleep(0.05)
    return item, item**2, os.getpid()

def wait(parent, on_step):
    for step in range(1200):
        time.sleep(0.05)
        on_step(step, 1200, "waiting")

def refuse(parent, on_step):
    if os.getpid() != parent:
        raise InputError("a helper's item", "take another")
    wait(parent, on_step)

def die(parent, on_step):
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    wait(parent, on_step)

def fail(parent, on_step):
    if os.getpid() != parent:
        raise ValueError("a bug")
    wait(parent, on_step)

def linger(parent, on_step):
    print(f"{os.getpid()} works", file=__import__("sys").stderr, flush=True)
    wait(parent, on_step)
"""
LINGER = """
import os
import shared_work
from fabricgen.design.workers import share
share(shared_work.linger, [os.getpid()] * 2, workers=2, on_step=lambda *_: None)
"""


def silent(_item, _done, _note):
    """Hears nothing."""


@pytest.fixture
def work(tmp_path, monkeypatch):
    """Functions that helpers can import too."""
    (tmp_path / "shared_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    import shared_work

    yield shared_work
    del sys.modules["shared_work"]


def test_alone_it_answers_in_order_and_tells_its_steps(work):
    heard = []
    answers = share(work.square, [3, 1, 2], workers=1, on_step=lambda *words: heard.append(words))
    assert [answer[:2] for answer in answers] == [(3, 9), (1, 1), (2, 4)]
    assert heard == [(0, 1, "half"), (1, 1, "half"), (2, 1, "half")]


def test_answers_are_finished_here_and_stay_in_order(work):
    found = share(
        work.square, [3, 1, 2], workers=1, on_step=lambda *_: None, finish=lambda a: (a[1], a[2])
    )
    assert [value for value, _ in found] == [9, 1, 4]


def test_one_thread_is_given_back():
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


@pytest.mark.slow
def test_helpers_answer_what_we_would_and_their_steps_are_heard(work):
    heard = []
    items = list(range(6))
    answers = share(work.square, items, workers=2, on_step=lambda *words: heard.append(words))
    assert [answer[:2] for answer in answers] == [(item, item**2) for item in items]
    assert len({answer[2] for answer in answers}) == 2
    assert sorted(heard) == [(item, 1, "half") for item in items]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("refuse", InputError, "a helper's item; take another"),
        ("die", ResourceError, "a helper process was ended; free some memory, or set workers=1"),
        ("fail", RuntimeError, "a helper process failed"),
    ],
)
def test_what_befalls_a_helper_ends_the_work_with_one_clear_error(work, name, kind, text):
    with pytest.raises(kind, match=text):
        share(getattr(work, name), [os.getpid()] * 2, workers=2, on_step=silent)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_helpers_end_with_the_one_who_started_them(work, tmp_path, number):
    with subprocess.Popen(
        [sys.executable, "-c", LINGER],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        working = {int(process.stderr.readline().split()[0]) for _ in range(2)}
        assert process.pid in working and len(working) == 2
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # Ctrl-C goes to the whole group
        else:
            process.kill()
        left = process.stderr.read()  # to its end, when nobody holds the pipe any more
    assert process.returncode != 0
    assert left.count("Traceback") == (number == signal.SIGINT)  # ours, none of the helper
