import numpy as np
import pytest

from fabricgen.report.attribution import legend_stops, legend_ticks, net_map, reach_of, shade


def test_the_map_adds_up_to_net(schemes):
    for scheme in schemes[:2]:
        net = net_map(scheme.score.ledger, scheme.frame.pixel_m)
        assert net.shape == (scheme.frame.rows, scheme.frame.cols)
        total = float(net.sum()) * scheme.frame.pixel_m**2
        assert total == pytest.approx(scheme.score.net_kgco2e_per_year, rel=1e-4)


def test_zero_is_pale_and_both_ends_are_dark():
    low, middle, high = shade(np.array([-50.0, 0.0, 50.0]), 50.0)[:, :3].sum(axis=1)
    assert middle > 2.8 and low < 1.2 and high < 1.2


def test_the_legend_runs_from_sink_to_emission_with_zero_in_the_middle():
    places = [place for place, _ in legend_stops(200.0)]
    assert places[0] == 0 and places[-1] == 1 and places == sorted(places)
    ticks = dict((text, place) for place, text in legend_ticks(200.0))
    assert ticks["0"] == pytest.approx(0.5)
    assert ticks["10"] + ticks["-10"] == pytest.approx(1)
    assert "100" not in dict((text, place) for place, text in legend_ticks(50.0))


def test_nothing_at_all_has_a_scale_too():
    assert reach_of([np.zeros((2, 2))]) == 1.0
