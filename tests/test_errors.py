"""Errors are one line, say the fix, and survive the trip between processes."""

import pickle

import pytest

from fabricgen import errors
from fabricgen.errors import FabricgenError, InputError, MissingDependencyError, ResourceError, need

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, FabricgenError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_reads_as_problem_then_fix(kind):
    assert str(kind("a.gpkg: no coordinate system", "save it in a metric one")) == (
        "a.gpkg: no coordinate system; save it in a metric one"
    )
    assert str(kind("all is said")) == "all is said"


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_one_line_whatever_a_library_said(kind):
    assert "\n" not in str(kind("first\n  second\tthird", "do\nthis"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_survives_pickling_between_processes(kind):
    again = pickle.loads(pickle.dumps(kind("problem", "fix")))  # noqa: S301
    assert (type(again), again.problem, again.fix) == (kind, "problem", "fix")


def test_input_exits_with_2_and_resources_with_3():
    for kind in KINDS:
        expected = {InputError: 2, ResourceError: 3}
        codes = [code for parent, code in expected.items() if issubclass(kind, parent)]
        assert kind.exit_code == (codes[0] if codes else 1)


def test_need_gives_the_module_when_it_is_there():
    assert need("json").dumps([1]) == "[1]"


def test_need_names_the_extra_that_brings_the_package():
    with pytest.raises(MissingDependencyError) as caught:
        need("no_such_package_at_all.part", extra="cad")
    assert "pip install 'fabricgen[cad]'" in str(caught.value)
    assert "no_such_package_at_all," in str(caught.value)


def test_need_does_not_hide_a_package_that_is_there_but_broken(tmp_path, monkeypatch):
    (tmp_path / "broken_on_purpose.py").write_text("import another_that_is_missing\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="another_that_is_missing"):
        need("broken_on_purpose")
