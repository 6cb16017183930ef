"""Briefs: what is read, what is refused and with which words, and what counts as met."""

import math

import pytest

from fabricgen.design.brief import LIMITS, Brief
from fabricgen.errors import BriefError
from fabricgen.form.indicators import BRIEF_KEYS


def test_values_ranges_and_free_asks_are_read():
    brief = Brief.read({"far": 2, "green_ratio": [0.3, 0.5], "road_share": None})
    assert brief.asks == {"far": (2.0, 2.0), "green_ratio": (0.3, 0.5)}
    assert brief.text("far") == "2" and brief.text("green_ratio") == "0.3…0.5"
    assert brief.table()["road_share"] == "free" and list(brief.table()) == list(BRIEF_KEYS)


def test_targets_are_the_middle_in_the_order_of_the_indicators():
    targets = Brief.read({"far": 2, "green_ratio": [0.3, 0.5]}).targets().tolist()
    known = dict(zip(BRIEF_KEYS, targets, strict=True))
    assert known["far"] == 2.0 and known["green_ratio"] == pytest.approx(0.4)
    assert sum(math.isnan(value) for value in targets) == 4


@pytest.mark.parametrize(
    ("asks", "words"),
    [
        ({"fra": 2.0}, "brief.fra: no such indicator; .*far"),
        ({"green_ration": 0.3}, "no such indicator; .*green_ratio"),
        ({"far": "two"}, "brief.far='two'; give a number, a range"),
        ({"far": True}, "brief.far=True; give a number"),
        ({"far": []}, "give a number, a range"),
        ({"far": [1, 2, 3]}, "give a number, a range"),
        ({"far": [1, None]}, "give a number, a range"),
        ({"far": math.nan}, "brief.far=nan; give a number"),
        ({"far": math.inf}, "brief.far=inf; give a number"),
        ({"green_ratio": [0.5, 0.3]}, r"brief.green_ratio=\[0.5,0.3\]; give the lower end first"),
        ({"green_ratio": 30}, "brief.green_ratio=30; ask between 0 and 1, as 30 % is 0.3"),
        ({"far": -1}, "brief.far=-1; ask between 0 and 20"),
        ({"far": 200}, "brief.far=200; ask between 0 and 20"),
        ({"green_ratio": 1.3}, "brief.green_ratio=1.3; ask between 0 and 1"),
        ({"green_ratio": 30}, "brief.green_ratio=30; ask between 0 and 1"),
        ({"site_coverage": 1.2}, "ask between 0 and 0.9"),
        ({"mean_height_m": 1}, "ask between 3 and 300"),
        ({"far": 20, "mean_height_m": 10}, "FAR 20 needs more than 90% coverage at 10 m"),
        ({"far": 5, "site_coverage": 0.3, "mean_height_m": 12}, "which hold 1.2; lower brief.far"),
        ({"far": 0.2, "site_coverage": 0.5}, "coverage 0.5 already makes a FAR of as much"),
        (
            {"site_coverage": 0.5, "green_ratio": 0.5, "road_share": 0.2},
            "together ask for 120% of the site",
        ),
        ({"tree_share": 0.5, "green_ratio": 0.3}, "more trees than green"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line_with_a_way_out(asks, words):
    with pytest.raises(BriefError, match=words) as caught:
        Brief.read(asks)
    assert "\n" not in str(caught.value) and caught.value.fix and caught.value.exit_code == 2


@pytest.mark.parametrize(
    "asks",
    [
        {},
        {"far": 2.0, "site_coverage": 0.36, "green_ratio": [0.3, 0.5], "tree_share": [0.1, 0.4]},
        {"far": [0.5, 20], "mean_height_m": 10},  # its lower end can be had
        {"site_coverage": 0.5, "green_ratio": [0.2, 0.9]},
        {"far": 1.0, "site_coverage": 0.25, "mean_height_m": 12},
    ],
)
def test_what_can_be_had_is_let_through(asks):
    Brief.read(asks)


@pytest.mark.parametrize("name", BRIEF_KEYS)
def test_both_ends_of_what_can_be_asked_pass(name):
    for end in LIMITS[name]:
        assert Brief.read({name: end}).asks == {name: (end, end)}


def test_misses_name_what_lies_beyond_its_tolerance_only():
    brief = Brief.read({"far": 2.0, "green_ratio": [0.3, 0.5], "tree_share": 0.1})
    met = {"far": 2.03, "green_ratio": 0.29, "tree_share": 0.11}
    assert brief.misses(met) == {}
    missed = brief.misses({"far": 1.8, "green_ratio": 0.6, "tree_share": 0.1})
    assert missed == {"far": pytest.approx(0.2), "green_ratio": pytest.approx(0.1)}
