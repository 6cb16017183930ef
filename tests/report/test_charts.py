import re
import xml.etree.ElementTree as ET

import pytest

from fabricgen.report.charts import front, ledger_svg, pareto_svg, ticks
from fabricgen.report.tables import slices

SVG = "{http://www.w3.org/2000/svg}"


def test_bars_are_as_long_as_their_amounts(schemes):
    rects = list(ET.fromstring(ledger_svg(schemes[:1])).iter(f"{SVG}rect"))
    ledger = schemes[0].score.ledger
    pieces = slices(ledger, "emission") + slices(ledger, "sink")
    assert len(rects) == len(pieces)
    longest = max(range(len(rects)), key=lambda k: float(rects[k].get("width")))  # least rounded
    scale = float(rects[longest].get("width")) / pieces[longest].kgco2e_per_year
    for rect, piece in zip(rects, pieces, strict=True):
        assert float(rect.get("width")) == pytest.approx(piece.kgco2e_per_year * scale, abs=0.01)
        assert rect.get("fill") == piece.color


def test_all_schemes_share_one_scale(schemes):
    rects = list(ET.fromstring(ledger_svg(schemes)).iter(f"{SVG}rect"))
    heat = [r for r in rects if r[0].text.startswith("Heat")]
    amounts = [slices(s.score.ledger, "emission")[0].kgco2e_per_year for s in schemes]
    shares = [float(r.get("width")) / kg for r, kg in zip(heat, amounts, strict=True)]
    assert max(shares) == pytest.approx(min(shares), rel=0.001)


def test_net_is_labeled_as_what_it_is(schemes):
    assert ledger_svg(schemes).count("net = emission − sink") == len(schemes)
    assert ledger_svg(schemes).count("not assessed") == len(schemes)


def test_the_front_is_what_no_other_beats_in_both():
    points = [(1.0, 5.0), (2.0, 4.0), (2.0, 6.0), (3.0, 4.5), (3.0, 4.5)]
    assert front(points) == [False, True, False, True, True]


def test_every_scheme_is_on_the_plot_and_the_first_has_no_difference_to_itself(schemes):
    svg = pareto_svg(schemes, "far")
    root = ET.fromstring(svg)
    circles = list(root.iter(f"{SVG}circle"))
    assert len(circles) == len(schemes)
    whiskers = [line for line in root.iter(f"{SVG}line") if line.get("stroke") == "#c99a8c"]
    lengths = [float(line.get("y1")) - float(line.get("y2")) for line in whiskers]
    assert lengths[0] == 0
    assert all(length >= 0 for length in lengths[1:])
    best = sum(c.get("fill") != "#ffffff" for c in circles)
    assert 1 <= best < len(schemes)


def test_one_scheme_alone_can_be_plotted(schemes):
    assert re.search(r"<circle", pareto_svg(schemes[:1], "green_ratio"))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 2000, [0, 500, 1000, 1500, 2000]), (0.26, 0.74, [0.3, 0.4, 0.5, 0.6, 0.7])],
)
def test_ticks_are_round(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_a_site_that_takes_up_more_than_it_emits_is_drawn_left_of_zero(schemes):
    from dataclasses import replace

    score = replace(schemes[0].score, net_range_kgco2e_per_year=(-9e5, 1e5, 9e5))
    root = ET.fromstring(ledger_svg([replace(schemes[0], score=score)]))
    zero_px = min(float(rect.get("x")) for rect in root.iter(f"{SVG}rect"))
    span = [line for line in root.iter(f"{SVG}line") if line.get("stroke") == "#a8442c"]
    assert float(span[0].get("x1")) < zero_px - 100
