"""Laws of the judge of street networks: what it counts, found and not."""

import numpy as np
import pytest
import shapely

from fabricgen.plan import Plan, empty_plan, layer
from fabricgen.quality.drawn import drawn_of

CRS = "EPSG:32635"
SITE = shapely.box(0, 0, 200, 200)


@pytest.fixture(scope="module")
def roads(benchmark):
    from benchmarks import roads

    return roads


def plan(*lines, width_m=7.0, buildings=()):
    rows = [
        {"id": f"r{k}", "kind": "local", "width_m": width_m, "geometry": shapely.LineString(line)}
        for k, line in enumerate(lines)
    ]
    houses = [{"id": f"b{k}", "geometry": shape} for k, shape in enumerate(buildings)]
    layers = {**vars(empty_plan(SITE, CRS)), "roads": layer("roads", CRS, rows)}
    return Plan(**{**layers, "buildings": layer("buildings", CRS, houses)})


CROSS = (((0, 100), (200, 100)), ((100, 0), (100, 200)))


def test_a_cross_has_one_junction_and_one_net(roads):
    net = roads.network(drawn_of(plan(*CROSS)))
    assert net.junction == pytest.approx(np.array([[100, 100]]))
    assert net.shown.all()
    assert (net.nets, net.shown_nets) == (1, 1)


def test_junctions_within_8_m_are_one_and_dead_ends_beside_them_change_nothing(roads):
    near = (((0, 100), (200, 100)), ((100, 100), (100, 200)), ((106, 100), (106, 0)))
    assert roads.network(drawn_of(plan(*near))).junction == pytest.approx(np.array([[103, 100]]))
    stub = (((0, 100), (200, 100)), ((100, 100), (100, 106)))
    assert len(roads.network(drawn_of(plan(*stub))).junction) == 1


def test_streets_that_leave_the_site_end_there_without_a_junction(roads):
    net = roads.network(drawn_of(plan(((0, 100), (200, 100)), ((0, 100), (200, 150)))))
    assert len(net.junction) == 0


def test_a_passage_under_a_roof_is_a_junction_that_is_not_shown(roads):
    street = ((0, 100), (200, 100))
    passage = ((100, 100), (100, 160))
    net = roads.network(drawn_of(plan(street, passage, buildings=[shapely.box(60, 104, 140, 180)])))
    assert len(net.junction) == 1
    assert not net.shown.any()


def test_a_plan_finds_itself_and_a_moved_one_does_not(roads):
    one = plan(*CROSS)
    same = roads.match_roads(one, one)
    assert (same.found, same.true, same.shown_found) == (1, 1, 1)
    moved = roads.match_roads(one, plan(((0, 107), (200, 107)), ((100, 0), (100, 200))))
    assert (moved.found, moved.true) == (0, 0)
    near = roads.match_roads(one, plan(((0, 105), (200, 105)), ((100, 0), (100, 200))))
    assert (near.found, near.true) == (1, 1)


def test_figures_add_up_over_windows(roads):
    one, none = (
        roads.match_roads(plan(*CROSS), plan(*CROSS)),
        roads.match_roads(plan(*CROSS), plan()),
    )
    both = roads.RoadMatch.summary([one, none])
    assert both["junctions"] == 2
    assert both["found"] == 0.5
    assert both["traced nets"] == 0.5
    assert both["nets <= real + 1"] == 1.0
