"""What the generator is told: the city around, cut free of what the site holds."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
import torch

from fabricgen.design.brief import Brief
from fabricgen.design.conditions import conditions_of, cut_streets
from fabricgen.design.site import place_site
from fabricgen.layout import check
from fabricgen.surfaces import BIT, OPEN, WATER
from fabricgen.vectorize.drawing import to_frame


@pytest.fixture
def site(demo_shape, helsinki):
    return place_site(demo_shape, helsinki, name="site.gpkg")


def test_nothing_of_the_old_site_is_told_but_its_water(site):
    labels = np.array(site.window.labels)
    rows = np.nonzero(site.editable)[0]
    pond = site.editable & (np.arange(site.frame.rows)[:, None] < rows.mean())
    site = replace(site, window=replace(site.window, labels=np.where(pond, BIT[WATER], labels)))
    conditions = conditions_of(site, Brief.read({"far": 2}), 2, keep_streets=False)
    check(conditions.context)
    dry = conditions.editable & ~torch.from_numpy(pond)
    assert (conditions.context.allowed[:, torch.from_numpy(pond)] == BIT[WATER]).all()
    assert (conditions.context.allowed[dry] == OPEN & ~BIT[WATER]).all()
    assert not conditions.context.height_known[conditions.editable].any()
    for geometry, valid in zip(conditions.boxes.geometry, conditions.boxes.valid, strict=True):
        col, row = (geometry[valid][:, :2] / site.frame.pixel_m).long().T
        near = (row >= 0) & (col >= 0) & (row < site.frame.rows) & (col < site.frame.cols)
        assert not site.editable[row[near], col[near]].any() and near.sum() > 10


def test_the_surroundings_are_told_as_they_are(site):
    conditions = conditions_of(site, Brief.read({}), 2, keep_streets=False)
    outside = ~conditions.editable[0]
    labels = torch.from_numpy(np.array(site.window.labels))
    for item in range(2):
        assert torch.equal(conditions.context.allowed[item][outside], labels[outside])
    assert torch.isnan(conditions.asks).all()


def test_streets_are_cut_exactly_at_the_sites_edge(site):
    flat = to_frame(site.boundary, site.frame)
    before, after = (
        shapely.linestrings(rows[:, :4].reshape(-1, 2, 2).astype(np.float64))
        for rows in (site.window.segments, cut_streets(site.window.segments, site))
    )
    inner = shapely.intersection(before, flat)
    assert shapely.length(inner).sum() > 20  # there was something to cut
    assert shapely.length(shapely.intersection(after, flat)).sum() < 0.1
    total = shapely.length(before).sum() - shapely.length(inner).sum()
    assert shapely.length(after).sum() == pytest.approx(total, abs=1.0)


def test_streets_that_stay_are_told_whole(site):
    conditions = conditions_of(site, Brief.read({}), 1, keep_streets=True)
    kept = conditions.segments.to_arrays()[0]
    np.testing.assert_allclose(kept, site.window.segments, rtol=1e-6)
