"""Steps of a piece are steps of the whole."""

from fabricgen.steps import part, quiet


def test_a_piece_counts_on_from_where_the_whole_stands():
    heard = []
    inner = part(lambda *step: heard.append(step), start=10, total=30, prefix="roads: ")
    inner(0, 5, "reading")
    inner(5, 5, "done")
    assert heard == [(10, 30, "roads: reading"), (15, 30, "roads: done")]


def test_quiet_hears_nothing():
    assert quiet(1, None, "note") is None
