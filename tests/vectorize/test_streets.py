"""Laws of street lines: they connect, they end where the context goes on, nothing dangles."""

import numpy as np
import pytest
import shapely

from fabricgen.surfaces import LOCAL, SECONDARY, SERVICE
from fabricgen.vectorize.settings import DrawSettings
from fabricgen.vectorize.streets import draw_streets, entries

SITE = shapely.box(20, 20, 180, 180)
NOTHING = np.zeros((0, 6))


def street(*rows, context=NOTHING, site=SITE):
    return draw_streets(
        np.array(rows, dtype=np.float64),
        site=site,
        context_segments=np.array(context),
        settings=DrawSettings(),
    )


def ends(streets):
    return [tuple(xy) for s in streets for xy in (s.line.coords[0], s.line.coords[-1])]


def test_straight_pieces_of_one_kind_become_one_line():
    lines = street((20, 100, 60, 100, 7, LOCAL), (60, 100, 120, 101, 7, LOCAL),
                   (180, 100, 120, 101, 7, LOCAL))  # fmt: skip
    assert len(lines) == 1
    assert lines[0].line.length == pytest.approx(160, abs=0.2)


def test_kinds_are_not_merged():
    lines = street((20, 100, 60, 100, 7, LOCAL), (60, 100, 180, 100, 10, SECONDARY))
    assert sorted(s.kind for s in lines) == [SECONDARY, LOCAL]


def test_lines_end_at_junctions_and_share_them_exactly():
    lines = street((20, 100, 180, 100, 7, LOCAL), (100, 20, 100, 180, 7, LOCAL))
    assert len(lines) == 4
    assert ends(lines).count((100.0, 100.0)) == 4


def test_ends_that_nearly_meet_are_one_junction():
    lines = street((20, 100, 99.4, 100, 7, LOCAL), (100.2, 100.3, 180, 100, 7, LOCAL),
                   (100, 99.6, 100, 20, 7, LOCAL))  # fmt: skip
    shared = {end for end in ends(lines) if ends(lines).count(end) == 3}
    assert len(lines) == 3
    assert len(shared) == 1


def test_a_loose_end_runs_into_the_street_it_nearly_reaches():
    lines = street((20, 100, 180, 100, 7, LOCAL), (90, 40, 90, 97.5, 4.5, SERVICE))
    junction = (90.0, 100.0)
    assert ends(lines).count(junction) == 3


def test_streets_join_the_context_exactly():
    context = [(0, 101.3, 20, 101.3, 7, LOCAL)]
    lines = street((24, 100, 180, 100, 7, LOCAL), context=context)
    assert (20.0, 101.3) in ends(lines)


def test_streets_are_clipped_to_the_site():
    lines = street((0, 100, 250, 100, 7, LOCAL))
    assert len(lines) == 1
    assert SITE.covers(lines[0].line)
    assert lines[0].line.length == pytest.approx(160)


def test_short_dead_ends_go_and_long_ones_stay():
    main = (20, 100, 180, 100, 7, LOCAL)
    assert len(street(main, (100, 100, 100, 107, 7, LOCAL))) == 1
    assert len(street(main, (100, 100, 100, 140, 7, LOCAL))) == 3


def test_an_island_is_linked_or_left_out():
    main = (20, 100, 180, 100, 7, LOCAL)
    near = street(main, (100, 120, 100, 170, 7, LOCAL), (100, 120, 140, 121, 7, LOCAL))
    joined = shapely.line_merge(shapely.union_all([s.line for s in near]))
    assert shapely.union_all(shapely.buffer([s.line for s in near], 0.01)).geom_type == "Polygon"
    assert joined.length > 230
    far = street((20, 30, 180, 30, 7, LOCAL), (100, 120, 100, 160, 7, LOCAL))
    assert len(far) == 1


def test_nothing_in_nothing_out():
    assert street(*NOTHING) == []


def test_entries_are_where_the_context_meets_the_edge():
    context = np.array([(0, 50, 20, 50, 7, 2), (0, 90, 17, 90, 7, 2), (100, 0, 100, 60, 7, 2)])
    found = entries(context.astype(float), SITE)
    assert sorted(map(tuple, found)) == [(20.0, 50.0), (20.0, 90.0), (100.0, 20.0)]
