from dataclasses import replace

import pytest
import torch

from fabricgen.carbon.change import change_of, kept_share
from fabricgen.carbon.measures import Measures
from fabricgen.carbon.site import make_site
from fabricgen.surfaces import BUILDING, GRASS


def block(*spans, grid=40):
    labels = torch.full((1, grid, grid), GRASS)
    for start, stop in spans:
        labels[0, 10:30, start:stop] = BUILDING
    return labels


def test_hard_maps_split_into_new_kept_and_demolished(hard):
    before, after = hard(block((5, 15)), 9.0), hard(block((10, 20)), 9.0)
    site, _ = make_site(after, context=before, inside=None, usual_height_m=9.0)
    change = change_of(site)
    floor_m2 = 20 * 5 * 4 * 3.0
    found = [change.new_floor, change.kept_floor, change.lost_floor]
    assert [float(f.total) for f in found] == pytest.approx([floor_m2] * 3, rel=1e-5)


@pytest.mark.parametrize(("height_m", "kept"), [(12.0, 1.0), (15.0, 0.0025), (24.0, 0.0)])
def test_a_building_stays_only_at_its_height(hard, height_m, kept):
    before, after = hard(block((5, 15)), 12.0), hard(block((5, 15)), height_m)
    site, _ = make_site(after, context=before, inside=None, usual_height_m=9.0)
    change = change_of(site)
    share = change.kept_floor.total / site.floor_area.total
    assert float(share) == pytest.approx(kept, abs=1e-3)


def test_without_a_state_before_nothing_is_kept_and_nothing_is_known_of_it(hard):
    site, _ = make_site(hard(block((5, 15))), context=None, inside=None, usual_height_m=9.0)
    assert kept_share(site) is None
    assert float(change_of(site).new_floor.total) == float(site.floor_area.total)


def test_the_share_that_stays_is_of_floor_area(hard):
    before, after = hard(block((5, 15))), hard(block((5, 25)))
    site, _ = make_site(after, context=before, inside=None, usual_height_m=9.0)
    assert float(kept_share(site)) == pytest.approx(0.5, abs=1e-3)


def test_on_a_site_that_is_cleared_nothing_stays(hard):
    before, after = hard(block((5, 15)), 12.0), hard(block((5, 15)), 12.0)
    site, _ = make_site(after, context=before, inside=None, usual_height_m=9.0)
    change = change_of(replace(site, measures=Measures(cleared=True)))
    whole = float(site.floor_area.total)
    found = [change.new_floor, change.kept_floor, change.lost_floor]
    assert [float(f.total) for f in found] == pytest.approx([whole, 0.0, whole])
