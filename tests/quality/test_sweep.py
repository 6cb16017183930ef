"""Sweeps of asks, with generators that follow, do not, or go the other way."""

import pytest
import shapely

from fabricgen.plan import empty_plan, layer
from fabricgen.quality.metrics import Set
from fabricgen.quality.rows import Rows
from fabricgen.quality.sweep import LEVELS, sweep

USUAL = Set(
    [
        {"got.far": f, "got.site_coverage": 0.1 * f, "got.green_ratio": 0.05 * f}
        for f in range(1, 9)
    ],
    [],
)


def drawn(place, brief, *, turned=False):
    """One building of the asked coverage."""
    share = brief.asks["site_coverage"][0]
    side = ((1 - share if turned else share) * place.site.boundary.area) ** 0.5
    corner = place.site.boundary.bounds[:2]
    shape = shapely.box(*corner, corner[0] + side, corner[1] + side)
    plan = empty_plan(place.site.boundary, place.site.frame.crs)
    from dataclasses import replace

    row = {"id": "1", "geometry": shape, "height_m": 6.0}
    return replace(plan, buildings=layer("buildings", plan.crs, [row]))


@pytest.fixture
def place(make_place, cross_labels):
    return make_place(cross_labels, [(100, 100, 60, 50, 3)], mapped=("heights",))


@pytest.mark.parametrize(("turned", "rank"), [(False, 1.0), (True, -1.0)])
def test_coverage_that_follows_has_rank_one(place, tmp_path, turned, rank):
    rows = Rows(tmp_path / "rows.json", key="k")
    found = sweep(lambda p, b, _: drawn(p, b, turned=turned), [place], USUAL, rows)
    assert found["control.spearman.coverage"]["value"] == pytest.approx(rank)
    assert found["control.spearman.green"]["value"] == 0  # none is ever drawn
    assert rows.has("sweep-site_coverage-3", place)


def test_asks_beyond_physics_are_counted_and_not_drawn(place, tmp_path):
    heard = []
    rows = Rows(tmp_path / "rows.json", key="k")

    def under(one, brief, seed):
        heard.append(brief)
        return drawn(one, brief)

    found = sweep(under, [place], USUAL, rows)
    asked = found["control.refused"]["n"]
    assert asked == 3 * len(LEVELS)
    assert found["control.refused"]["value"] == pytest.approx((asked - len(heard)) / asked)
