"""Streets of whole sites: the rules that complete a network, and windows that share one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fabricgen.generator import streets
from fabricgen.generator.conditions import ASKS, Boxes, Conditions, Segments
from fabricgen.generator.streets_compass import compass_of, strangeness
from fabricgen.generator.streets_complete import (
    LARGE_M2,
    block_labels,
    complete,
    divide_blocks,
    join_facing,
    lead_on,
    open_ends,
)
from fabricgen.generator.streets_network import Network, ground_of, grow, network_of
from fabricgen.generator.streets_rules import crossings
from fabricgen.generator.streets_site import draw
from fabricgen.layout import from_labels
from fabricgen.surfaces import OPEN


def site_of(size: int = 348, ring: int = 24):
    editable = np.zeros((size, size), dtype=bool)
    editable[ring:-ring, ring:-ring] = True
    return ground_of(editable, np.zeros_like(editable), 2.0)


def ring_road(low: float = 40.0, high: float = 656.0) -> np.ndarray:
    """A street around the site, split where others will meet it by nobody: four pieces."""
    corner = [(low, low), (high, low), (high, high), (low, high)]
    pairs = zip(corner, corner[1:] + corner[:1], strict=True)
    return np.array([[*a, *b, 7.0, 2] for a, b in pairs])


def placed(network: Network, rows: list[list[float]]) -> Network:
    new = network_of(np.array(rows))
    return Network(
        np.concatenate([network.ends, new.ends]),
        np.concatenate([network.kind, new.kind]),
        np.concatenate([network.placed, np.ones(len(new.ends), dtype=bool)]),
        network.last_end,
    )


def degrees(network: Network) -> np.ndarray:
    return np.bincount(network.points()[1].ravel())


def facing(gap_m: float) -> Network:
    """Two streets from opposite sides of the site that stop `gap_m` before each other."""
    stubs = np.array([[40, 300, 48, 300, 7, 2], [648, 300, 656, 300, 7, 2]], dtype=float)
    middle = 348.0
    return placed(
        network_of(stubs),
        [
            [48, 300, middle - gap_m / 2, 300, 7, 2],
            [middle + gap_m / 2, 300, 648, 300, 7, 2],
        ],
    )


def test_ends_that_face_each_other_are_joined_and_far_ones_are_not():
    ground = site_of()
    assert len(open_ends(facing(40.0), ground).point) == 2
    assert not len(open_ends(join_facing(facing(40.0), ground), ground).point)
    assert len(open_ends(join_facing(facing(90.0), ground), ground).point) == 2


def test_an_end_goes_on_to_the_street_ahead_of_it_and_not_through_it():
    ground, standing = site_of(), network_of(ring_road())
    network = grow(standing, np.array([300.0, 40.0]), np.array([300.0, 590.0]), kind=2)
    after = lead_on(network, ground, compass_of(standing))
    assert not len(open_ends(after, ground).point)
    assert crossings(after) == 0
    assert after.ends[after.placed].max() == pytest.approx(656.0)


def test_a_large_site_within_a_ring_road_becomes_blocks_of_fitting_size():
    ground, standing = site_of(), network_of(ring_road())
    after = divide_blocks(standing, ground, compass_of(standing), dice=np.random.default_rng(0))
    labels = block_labels(after, ground)
    area_m2 = np.bincount(labels[ground.editable], minlength=labels.max() + 1)[1:] * 4.0
    assert area_m2.max() <= LARGE_M2
    assert np.median(area_m2[area_m2 > 400]) > LARGE_M2 / 6
    assert crossings(after) == 0
    assert (degrees(after) > 1).all()  # from street to street: no dead ends
    axis = after.ends[:, 2:] - after.ends[:, :2]
    lean = np.abs(np.arctan2(axis[:, 1], axis[:, 0]) % (np.pi / 2))
    assert (np.minimum(lean, np.pi / 2 - lean) < np.deg2rad(12)).all()  # a grid around: a grid


def test_blocks_are_divided_only_until_the_asked_share_of_streets_is_reached():
    ground, standing = site_of(), network_of(ring_road())
    few = divide_blocks(
        standing, ground, compass_of(standing), dice=np.random.default_rng(0), road_share=0.01
    )
    length = np.hypot(*(few.ends[:, 2:] - few.ends[:, :2])[few.placed].T).sum()
    assert 0.01 < length * 7 / ground.editable.sum() / 4 < 0.025


def test_no_dividing_street_runs_through_what_stays():
    ground = site_of()
    ground = replace(ground, blocked=np.zeros_like(ground.editable))
    ground.blocked[150:200, 100:250] = True
    standing = network_of(ring_road())
    after = complete(
        standing,
        ground,
        compass=compass_of(standing),
        dice=np.random.default_rng(1),
        road_share=np.nan,
    )
    share = np.linspace(0, 1, 400)[None, :, None]
    new = after.ends[after.placed]
    points = new[:, None, :2] + share * (new[:, None, 2:] - new[:, None, :2])
    assert len(new) > 4
    assert not ground.at(ground.blocked, points).any()


def test_directions_of_a_grid_are_at_home_and_diagonals_are_foreign():
    compass = compass_of(network_of(ring_road()))
    here = np.array([300.0, 300.0])
    home, diagonal = strangeness(compass, here, np.deg2rad([90.0, 45.0]))
    assert home == pytest.approx(0.0)
    assert diagonal > 0.95
    slanted = ring_road()
    slanted[:, 2:4] = slanted[:, :2] + [100.0, 100.0]
    assert strangeness(compass_of(network_of(slanted)), here, np.deg2rad(45.0)) < 0.05


def conditions_for(rows: np.ndarray, *, size: int, ring: int, batch: int = 1) -> Conditions:
    editable = torch.zeros(batch, size, size, dtype=torch.bool)
    editable[:, ring:-ring, ring:-ring] = True
    nothing = torch.zeros(batch, size, size)
    labels = torch.full((batch, size, size), OPEN, dtype=torch.uint8)
    return Conditions(
        from_labels(labels, nothing, nothing > 0, 2.0),
        editable,
        torch.full((batch, ASKS), float("nan")),
        torch.zeros(batch),
        Boxes.empty(batch),
        Segments.from_arrays([rows] * batch),
    )


def test_a_site_of_several_windows_gets_one_network_that_hangs_together():
    torch.manual_seed(0)
    model = streets.StreetsModel(streets.StreetsSettings())
    rows = ring_road(40.0, 440.0)
    given = conditions_for(rows, size=240, ring=24)
    drawn = draw(model, given, rng=torch.Generator().manual_seed(0))
    for new in drawn.to_arrays():
        network = placed(network_of(rows), new.astype(float).tolist())
        assert crossings(network) == 0
        far = np.array([n for n in network.points()[0] if n.min() > 60 and n.max() < 420])
        assert len(far) > 10
        ground = site_of(240, 24)
        labels = block_labels(network, ground)
        deep = np.bincount(labels[ground.editable])[1:].max() * 4.0
        assert deep < 2.0 * LARGE_M2
    again = draw(model, given, rng=torch.Generator().manual_seed(0))
    assert torch.equal(drawn.ends, again.ends)
