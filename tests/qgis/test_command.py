"""Fields of a dialog as words that fabricgen itself takes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabricgen import settings as own
from fabricgen.form.indicators import BRIEF_KEYS
from fabricgen.qgis import command
from fabricgen.qgis.command import TextError


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("2", "2"), (" 2.0 ", "2.0"), (".5", ".5"), ("0.3-0.5", "[0.3,0.5]"),
        ("0.3 – 0.5", "[0.3,0.5]"), ("0.3 to 0.5", "[0.3,0.5]"), ("[0.3; 0.5]", "[0.3,0.5]"),
    ],
)  # fmt: skip
def test_an_ask_is_read_as_people_write_it(text, word):
    assert command.ask(text) == word


@pytest.mark.parametrize("text", ["much", "0.5-0.3", "-1", "2,0", "0.3-", "[1,2,3]"])
def test_other_asks_are_refused_in_one_line(text):
    with pytest.raises(TextError, match="give ") as caught:
        command.ask(text)
    assert "\n" not in str(caught.value)


def test_every_item_of_a_brief_has_a_field():
    assert tuple(command.INDICATORS) == BRIEF_KEYS


def test_fabricgen_takes_the_brief_and_the_settings(tmp_path):
    words = command.generate(
        site=tmp_path / "s.gpkg", context=tmp_path / "c.pbf", out=tmp_path / "o", count=2, seed=3,
        asks={"far": "2.0", "green_ratio": "0.3-0.5", "tree_share": " "},
        settings=["sites=one", "streets=keep", command.setting("region", "us-ny/us-5a")],
    )  # fmt: skip
    read = own.compose("generate", [word for word in words if "=" in word])
    assert read["brief"]["far"] == 2.0 and read["brief"]["green_ratio"] == [0.3, 0.5]
    assert read["brief"]["tree_share"] is None
    assert (read["sites"], read["streets"], read["region"]) == ("one", "keep", "us-ny/us-5a")
    assert words[:2] == ["generate", "--json"] and words[words.index("--seed") + 1] == "3"


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1))
def test_any_path_comes_through_the_quotes(text):
    assert own.compose("score", [command.setting("factors", text)])["factors"] == text


def test_further_settings_are_lines_of_key_and_value():
    assert command.more_settings(" a=1 \n\n b.c=[2]\n") == ["a=1", "b.c=[2]"]
    for text in ("count", "--out=elsewhere"):
        with pytest.raises(TextError, match="write key=value"):
            command.more_settings(text)
