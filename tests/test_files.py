"""Files are whole or not there; a second writer is refused; a bad output folder is found early."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from fabricgen.errors import InputError, StorageError
from fabricgen.files import (
    atomic_file,
    atomic_folder,
    check_room,
    lock,
    prepare_output,
    sha256_of,
    shipped,
    sweep,
)


def test_a_complete_file_replaces_the_old_one(tmp_path):
    target = tmp_path / "scores.csv"
    target.write_text("old")
    with atomic_file(target) as part:
        assert part.name == target.name and part.parent != tmp_path
        part.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_writer_leaves_the_old_file_and_nothing_else(tmp_path, error):
    target = tmp_path / "scores.csv"
    target.write_text("old")
    with pytest.raises(error), atomic_file(target) as part:
        part.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]


@pytest.mark.parametrize(("free", "raised"), [(4096, StorageError), (1 << 30, RuntimeError)])
def test_what_fails_on_a_full_disk_says_so(tmp_path, monkeypatch, free, raised):
    """SQLite and GDAL raise errors of their own, of which only some name the disk."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(raised) as caught, atomic_file(tmp_path / "a.gpkg") as part:
        part.write_text("half")
        raise RuntimeError("failed to commit")
    if raised is StorageError:
        assert str(caught.value).startswith("a.gpkg: the disk is full; free some room")
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(StorageError, match="nothing was written"), atomic_file(tmp_path / "a.txt"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_side_files_of_a_driver_do_not_reach_the_result_folder(tmp_path):
    with atomic_file(tmp_path / "a.gpkg") as part:
        part.write_text("main")
        part.with_name("a.gpkg-wal").write_text("side")
    assert [path.name for path in tmp_path.iterdir()] == ["a.gpkg"]


def test_a_folder_appears_whole(tmp_path):
    target = tmp_path / "city"
    with atomic_folder(target, mark="labels.npy") as part:
        (part / "labels.npy").write_bytes(b"1")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["labels.npy"]


def test_a_failed_folder_leaves_the_earlier_one(tmp_path):
    target = tmp_path / "city"
    with atomic_folder(target, mark="labels.npy") as part:
        (part / "labels.npy").write_bytes(b"1")
    with pytest.raises(ValueError, match="no"), atomic_folder(target, mark="labels.npy") as part:
        (part / "labels.npy").write_bytes(b"2")
        raise ValueError("no")
    assert (target / "labels.npy").read_bytes() == b"1"
    assert not (tmp_path / "city.part").exists()


def test_a_new_folder_replaces_the_earlier_one_wholly(tmp_path):
    target = tmp_path / "city"
    with atomic_folder(target, mark="old.npy") as part:
        (part / "old.npy").write_bytes(b"1")
    with atomic_folder(target, mark="old.npy") as part:
        (part / "new.npy").write_bytes(b"2")
    assert [path.name for path in target.iterdir()] == ["new.npy"]


def test_a_folder_of_another_kind_is_never_replaced(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"1")
    with (
        pytest.raises(InputError, match="holds other files, which would be replaced"),
        atomic_folder(tmp_path, mark="city.json"),
    ):
        pass
    assert (tmp_path / "photo.jpg").exists()


def test_an_empty_folder_may_be_replaced(tmp_path):
    (tmp_path / "city").mkdir()
    with atomic_folder(tmp_path / "city", mark="city.json") as part:
        (part / "city.json").write_text("{}")
    assert (tmp_path / "city" / "city.json").exists()


def test_what_a_kill_left_is_swept_and_nothing_else(tmp_path):
    code = (
        "import sys, time, pathlib; from fabricgen.files import atomic_file\n"
        "with atomic_file(pathlib.Path(sys.argv[1])) as part:\n"
        "    part.write_text('half'); print('ready', flush=True); time.sleep(60)\n"
    )
    target = tmp_path / "scores.csv"
    target.write_text("old")
    (tmp_path / ".config.d").mkdir()
    (tmp_path / ".config.d" / "mine").write_text("kept")
    run = subprocess.Popen(
        [sys.executable, "-c", code, str(target)], stdout=subprocess.PIPE, cwd=Path.cwd()
    )
    assert run.stdout.readline() == b"ready\n"
    run.kill()
    run.wait()
    run.stdout.close()

    assert sweep(tmp_path) == 1
    assert target.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"scores.csv", ".config.d"}


def _try_to_write(folder, answers):
    try:
        with lock(folder):
            answers.put("wrote")
    except StorageError as err:
        answers.put(str(err))


def test_a_second_process_is_refused_with_one_line(tmp_path):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    with lock(tmp_path / "out"):
        other = context.Process(target=_try_to_write, args=(tmp_path / "out", answers))
        other.start()
        answer = answers.get(timeout=60)
        other.join()
    assert answer == ("out: another run is writing there; wait for it, or choose another --out")
    with lock(tmp_path / "out"):
        pass


def test_the_lock_of_a_killed_run_is_free_again(tmp_path):
    code = (
        "import sys, time; from fabricgen.files import lock\n"
        "with lock(sys.argv[1]): print('held', flush=True); time.sleep(60)\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "out")], stdout=subprocess.PIPE
    )
    assert run.stdout.readline() == b"held\n"
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    run.stdout.close()
    with lock(tmp_path / "out"):
        pass


def test_hashes_are_those_of_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a").startswith("ba7816bf8f01cfea")


def test_the_hash_of_a_folder_knows_names_and_bytes(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a").write_bytes(b"1")
    first = sha256_of(tmp_path / "s")
    (tmp_path / "s" / "a").rename(tmp_path / "s" / "b")
    assert sha256_of(tmp_path / "s") != first
    (tmp_path / "s" / "b").rename(tmp_path / "s" / "a")
    assert sha256_of(tmp_path / "s") == first


def test_a_file_in_the_place_of_the_output_is_refused(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="out: a file stands where a folder should go"):
        prepare_output(tmp_path / "out" / "deeper")


def test_a_read_only_output_is_refused():
    with pytest.raises(StorageError, match="cannot be written"):
        prepare_output(Path("/proc/fabricgen"))


def test_too_little_room_is_said_with_both_figures(tmp_path):
    with pytest.raises(StorageError, match=r"MB free, \d+ MB are needed"):
        check_room(tmp_path, free_mb=1e12)


def test_an_output_that_can_be_written_is_left_empty(tmp_path):
    assert list(prepare_output(tmp_path / "a" / "b").iterdir()) == []


def test_shipped_configs_are_found():
    assert (shipped("configs") / "generate.yaml").is_file()


def test_locks_are_fast(tmp_path):
    began = time.process_time()
    for _ in range(20):
        with lock(tmp_path / "out"):
            pass
    assert time.process_time() - began < 2
