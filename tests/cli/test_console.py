"""stdout is for results, stderr for the rest; progress says how long it still takes."""

import json

import pytest

from fabricgen.cli import console


@pytest.fixture(autouse=True)
def _plain_console():
    console.configure(as_json=False, verbosity=0)
    yield
    console.configure(as_json=False, verbosity=0)


def test_a_result_is_text_for_people_and_one_document_for_programs(capsys):
    console.show({"a": 1}, text="one")
    console.configure(as_json=True, verbosity=0)
    console.show({"a": 1}, text="one")
    first, second = capsys.readouterr().out.splitlines()
    assert first == "one" and json.loads(second) == {"a": 1}


def test_a_table_lines_up_and_shows_the_unknown_as_a_dash():
    rows = [{"name": "a", "far": "2.0"}, {"name": "long", "far": float("nan")}, {"name": "b"}]
    assert console.table(rows, {"name": "", "far": ".2f"}) == (
        "name   far\n   a  2.00\nlong     -\n   b     -"
    )


def test_the_time_to_go_is_in_proportion_to_what_is_left():
    line = console.progress_line("ingest", 3, 12, note="roads", elapsed_s=14)
    assert line == "ingest 3/12 roads, 14 s, ETA 42 s"


def test_an_unknown_total_has_no_time_to_go():
    assert console.progress_line("read", 3, None, note="", elapsed_s=2) == "read 3, 2 s"


def test_without_a_terminal_progress_is_plain_lines_on_stderr(capsys, monkeypatch):
    monkeypatch.setattr(console, "PLAIN_EVERY_S", 0.0)
    with console.progress("ingest") as on_step:
        on_step(1, 2, "roads")
    heard = capsys.readouterr()
    assert heard.out == "" and heard.err.startswith("ingest 1/2 roads")


def test_a_program_hears_of_the_first_and_the_last_step_as_json(capsys, monkeypatch):
    monkeypatch.setenv("FABRICGEN_PROGRESS", "json")
    with console.progress("ingest") as on_step:
        on_step(0, 40, "roads")
        on_step(1, 40, "too soon after the last to be told")
        on_step(40, 40, "Gebäude")
    heard = capsys.readouterr()
    steps = [json.loads(line)["progress"] for line in heard.err.splitlines()]
    assert heard.out == ""
    assert [(s["title"], s["done"], s["total"], s["note"]) for s in steps] == [
        ("ingest", 0, 40, "roads"),
        ("ingest", 40, 40, "Gebäude"),
    ]
    assert all(0 <= s["elapsed_s"] < 5 for s in steps)


def test_quick_work_says_nothing(capsys):
    with console.progress("ingest") as on_step:
        on_step(1, 2, "roads")
        on_step(2, 2, "done")
    assert capsys.readouterr().err == ""


def test_silence_means_silence(capsys, monkeypatch):
    monkeypatch.setattr(console, "PLAIN_EVERY_S", 0.0)
    console.configure(as_json=False, verbosity=-1)
    with console.progress("ingest") as on_step:
        on_step(1, 2, "roads")
    console.warn("something")
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_with_its_time_to_go(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with console.progress("ingest") as on_step:
        on_step(1, 2, "[roads]")
    heard = capsys.readouterr()
    assert heard.out == "" and "ETA" in heard.err and "[roads]" in heard.err
