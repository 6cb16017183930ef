"""The buildings stage on small towns made by code: grids of streets with rows of houses."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch

from fabricgen.errors import InputError
from fabricgen.generator.blocks import read_streets
from fabricgen.generator.boxes import canonical, penetration
from fabricgen.generator.buildings import (
    PARTS,
    BuildingsModel,
    BuildingsSettings,
    example,
    floors_log_prob,
    log_prob,
    loss,
    sample,
)
from fabricgen.generator.buildings_example import measure_blocks, split_buildings
from fabricgen.generator.buildings_sample import BuildingsSampling, Tilt, draw_sequence
from fabricgen.generator.buildings_scene import box_walk, make_scene
from fabricgen.generator.conditions import Boxes, Conditions, Segments, SiteSample
from fabricgen.layout import Layout
from fabricgen.surfaces import BIT, BUILDING, GRASS

SMALL = BuildingsSettings(
    width=40, layers=2, heads=2, fine=16, trunk=32, head=32, edge=16, max_boxes=48, max_context=64
)
ALL_SHOWN = dataclasses.replace(
    SMALL, ask_drop_share=0.0, all_drop_share=0.0, block_drop_share=0.0, keep_share=0.0
)


def street_grid(pitch_m: float, start_m: float) -> np.ndarray:
    lines = np.arange(start_m, 256, pitch_m)
    stops = np.concatenate([[0], lines, [256]])
    rows = []
    for line in lines:
        for low, high in pairwise(stops):
            rows += [(low, line, high, line, 7, 2), (line, low, line, high, 7, 2)]
    return np.array(rows, np.float32)


def town(seed: int) -> SiteSample:
    """Terraces of houses 8 to 12 m wide along both sides of the streets across."""
    rng = np.random.default_rng(seed)
    pitch, start = 80.0, float(rng.uniform(10, 40))
    back, width, floors = rng.choice([0.0, 4.0]), rng.choice([8.0, 12.0]), rng.integers(2, 5)
    boxes = []
    for line in np.arange(start, 256, pitch):
        for v in (line - 3.5 - back - 5, line + 3.5 + back + 5):
            for first in np.arange(start - pitch + 20, 256, pitch):
                for u in np.arange(first + width / 2, first + 40, width):
                    boxes.append((u, v, width, 10.0, 0.0, floors, len(boxes)))
    boxes = np.array([b for b in boxes if 8 < b[0] < 248 and 8 < b[1] < 248], np.float32)
    labels = np.full((128, 128), BIT[GRASS], np.uint8)
    for u, v, w, d, *_ in boxes:
        rows = slice(round((v - d / 2) / 2), round((v + d / 2) / 2))
        labels[rows, round((u - w / 2) / 2) : round((u + w / 2) / 2)] = BIT[BUILDING]
    site = np.zeros((128, 128), bool)
    site[20:90, 20:90] = True
    coverage = (labels[site] == BIT[BUILDING]).mean()
    asks = np.array([coverage * floors, coverage, np.nan, floors * 3.0, np.nan, np.nan])
    return SiteSample(
        labels=labels,
        height_m=np.zeros((128, 128), np.float32),
        height_known=np.zeros((128, 128), bool),
        boxes=boxes,
        segments=street_grid(pitch, start),
        editable=site,
        asks=asks.astype(np.float32),
        north_deg=0.0,
    )


def items(seeds: range, settings: BuildingsSettings) -> dict[str, torch.Tensor]:
    made = [example(town(seed), np.random.default_rng(seed), settings) for seed in seeds]
    return {name: torch.from_numpy(np.stack([one[name] for one in made])) for name in made[0]}


def conditions_of(one: SiteSample, count: int) -> Conditions:
    """The same site, emptied, so many times."""
    _, context = split_buildings(one.boxes, one.editable)
    none = torch.zeros(count, 128, 128)
    labels = torch.from_numpy(one.labels).expand(count, -1, -1)
    return Conditions(
        context=Layout(torch.zeros(count, 8, 128, 128), none, labels, none.bool(), 2.0),
        editable=torch.from_numpy(one.editable).expand(count, -1, -1),
        asks=torch.from_numpy(one.asks).expand(count, -1),
        north_deg=torch.zeros(count),
        boxes=Boxes.from_arrays([context] * count),
        segments=Segments.from_arrays([one.segments] * count),
    )


@pytest.fixture(scope="module")
def trained() -> BuildingsModel:
    """A small model that has seen a few towns for a few seconds."""
    torch.manual_seed(0)
    model = BuildingsModel(ALL_SHOWN)
    step = torch.optim.AdamW(model.parameters(), 4e-3)
    batch = items(range(8), ALL_SHOWN)
    rng = torch.Generator()
    for _ in range(70):
        value, _ = loss(model, batch, rng=rng)
        step.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        step.step()
    return model.eval()


def test_training_on_a_few_towns_brings_the_loss_down(trained):
    batch = items(range(8), ALL_SHOWN)
    torch.manual_seed(0)
    before, _ = loss(BuildingsModel(ALL_SHOWN), batch, rng=torch.Generator())
    after, parts = loss(trained, batch, rng=torch.Generator())
    assert after < before - 10
    assert set(parts) == set(PARTS)
    torch.testing.assert_close(torch.stack(list(parts.values())).sum(), after)


@pytest.mark.parametrize("nucleus", [1.0, 0.9])
def test_sampling_gives_each_box_the_probability_that_training_gives_it(trained, nucleus):
    run = draw_sequence(
        trained,
        conditions_of(town(3), 3),
        rng=torch.Generator().manual_seed(1),
        sampling=BuildingsSampling(nucleus=nucleus),
        tilt=Tilt(),
    )
    with torch.no_grad():
        again = log_prob(trained, run.batch)
    assert int(run.batch["count"].sum()) > 20
    for name in PARTS:
        drawn = torch.stack(run.logs[name], dim=1)  # (B, steps)
        drawn = drawn[~drawn.isnan()]
        assert len(drawn) == len(again[name])
        torch.testing.assert_close(drawn, again[name], atol=2e-3, rtol=1e-3)


def test_samples_snap_flush(trained):
    drawn = sample(trained, conditions_of(town(1), 4), rng=torch.Generator().manual_seed(0))
    joints = 0
    for rows in drawn.to_arrays():
        boxes = torch.from_numpy(rows[:, :5])
        depth = penetration(boxes[:, None].expand(-1, len(boxes), -1), boxes[None])
        joints += int((depth.triu(1).abs() < 1e-3).sum() - len(boxes) * (len(boxes) + 1) // 2)
    assert int(drawn.valid.sum()) > 20
    assert joints > int(drawn.valid.sum()) // 4


def test_samples_keep_near_the_coverage_asked_and_off_each_other(trained):
    one = town(1)
    drawn = sample(trained, conditions_of(one, 4), rng=torch.Generator().manual_seed(0))
    site_m2 = one.editable.sum() * 4.0
    for rows in drawn.to_arrays():
        assert rows[:, 2] @ rows[:, 3] / site_m2 < 1.3 * one.asks[1] + 0.02
        boxes = torch.from_numpy(rows[:, :5])
        depth = penetration(boxes[:, None].expand(-1, len(boxes), -1), boxes[None])
        assert depth.triu(1).max() < 2.5


def test_no_ground_is_skipped_that_the_coverage_needs(trained):
    one = town(1)
    drawn = sample(trained, conditions_of(one, 4), rng=torch.Generator().manual_seed(0))
    for rows in drawn.to_arrays():
        for u, v in ((70, 70), (150, 70), (70, 150), (150, 150)):  # quarters of the site
            near = (abs(rows[:, 0] - u) < 40) & (abs(rows[:, 1] - v) < 40)
            assert near.sum() >= 2


def test_without_a_coverage_asked_the_goal_is_implied_or_that_of_the_surroundings(trained):
    one = town(1)
    conditions = conditions_of(one, 3)
    asks = torch.full((3, 6), torch.nan)
    asks[0, 1] = 0.3  # coverage
    asks[1, 0], asks[1, 3] = 1.0, 15.0  # floor area ratio and mean height
    run = draw_sequence(
        trained,
        dataclasses.replace(conditions, asks=asks),
        rng=torch.Generator().manual_seed(0),
        sampling=BuildingsSampling(max_boxes=1),
        tilt=Tilt(),
    )
    standing = run.scenes[0].standing_share
    outside = (one.labels == BIT[BUILDING])[~one.editable].mean()
    np.testing.assert_allclose(run.goal[:2], np.array([0.3, 0.2]) - standing, atol=1e-5)
    assert run.goal[2] == pytest.approx(outside - standing, abs=0.02)


def test_the_same_seed_draws_the_same_boxes(trained):
    first, second = (
        sample(trained, conditions_of(town(2), 2), rng=torch.Generator().manual_seed(5))
        for _ in range(2)
    )
    assert torch.equal(first.geometry, second.geometry) and torch.equal(first.valid, second.valid)


def test_a_tilt_on_floors_raises_them(trained):
    means = []
    for push in (-2.0, 2.0):
        drawn = sample(
            trained,
            conditions_of(town(2), 2),
            rng=torch.Generator().manual_seed(5),
            tilt=Tilt(floors=torch.full((2,), push)),
        )
        means.append(drawn.floors[drawn.valid].mean())
    assert means[1] > means[0] + 1


def test_a_strong_tilt_on_the_end_leaves_the_site_empty(trained):
    drawn = sample(
        trained,
        conditions_of(town(2), 2),
        rng=torch.Generator().manual_seed(5),
        sampling=BuildingsSampling(hold_coverage=False),
        tilt=Tilt(end=torch.full((2,), 1e4)),
    )
    assert not drawn.valid.any()


def test_boxes_that_stand_are_not_given_back_and_are_kept_clear(trained):
    one = town(2)
    mine, context = split_buildings(one.boxes, one.editable)
    conditions = conditions_of(one, 1)
    stays = np.concatenate([context, mine[: len(mine) // 2]])
    kept = dataclasses.replace(conditions, boxes=Boxes.from_arrays([stays]))
    (rows,) = sample(trained, kept, rng=torch.Generator().manual_seed(0)).to_arrays()
    both = torch.from_numpy(rows[:, None, :5]), torch.from_numpy(stays[None, :, :5])
    assert penetration(*torch.broadcast_tensors(*both)).max() < 2.1


def test_a_window_of_another_size_is_refused(trained):
    conditions = conditions_of(town(0), 1)
    coarse = dataclasses.replace(conditions.context, pixel_m=4.0)
    with pytest.raises(InputError, match="square windows of 256 m"):
        sample(trained, dataclasses.replace(conditions, context=coarse), rng=torch.Generator())


def test_an_example_has_fixed_shapes_and_finite_numbers():
    shapes = [
        {k: np.shape(v) for k, v in example(town(s), np.random.default_rng(0), SMALL).items()}
        for s in range(3)
    ]
    assert shapes[0] == shapes[1] == shapes[2]
    batch = items(range(3), SMALL)
    for name in ("raster", "overall", "account", "walk_m", "street"):
        assert torch.isfinite(batch[name]).all(), name


def test_an_empty_site_ends_at_once():
    one = dataclasses.replace(town(0), boxes=np.zeros((0, 7), np.float32))
    made = example(one, np.random.default_rng(0), SMALL)
    batch = {name: torch.from_numpy(np.asarray(value))[None] for name, value in made.items()}
    assert int(batch["count"]) == 0
    value, _ = loss(BuildingsModel(SMALL), batch, rng=torch.Generator())
    value.backward()
    assert torch.isfinite(value)


def test_a_building_belongs_to_the_site_by_the_middle_of_its_largest_box():
    site = np.zeros((128, 128), bool)
    site[:, :64] = True
    boxes = np.array(
        [[120, 50, 6, 6, 0, 2, 0], [140, 50, 30, 10, 0, 2, 0], [100, 90, 20, 10, 0, 2, 1]],
        np.float32,
    )
    mine, others = split_buildings(boxes, site)
    assert mine[:, 6].tolist() == [1.0] and others[:, 6].tolist() == [0.0, 0.0]
    assert others[0, 2] == 30  # the largest box comes first


def test_the_running_account_ends_at_the_coverage_of_the_boxes():
    one = town(1)
    mine, _ = split_buildings(one.boxes, one.editable)
    made = example(one, np.random.default_rng(0), ALL_SHOWN)
    count = int(made["count"])
    assert count == len(mine)
    within = sum(min(w * d, 120.0) for _, _, w, d, *_ in mine) / (one.editable.sum() * 4.0)
    assert made["account"][count, 2] / 2.5 == pytest.approx(within, rel=0.1)
    assert abs(made["account"][count, 3]) / 2.5 < 0.03  # little is missing at the end
    assert made["account"][0, 7] == pytest.approx(1.0)  # the whole site lies ahead
    assert (np.diff(made["account"][: count + 1, 7]) <= 1e-6).all()


def test_coverage_per_block_is_the_share_of_the_blocks_own_ground():
    site = np.ones((128, 128), bool)
    built = np.zeros((128, 128), bool)
    built[:32, :64] = True
    segments = np.array([[128, 0, 128, 256, 7, 2]], np.float32)
    share = measure_blocks(built, site, segments)
    assert share[100, 10] == pytest.approx(0.25, abs=0.02) and share[100, 120] == 0


def test_setbacks_stay_the_same_when_the_window_is_turned_or_mirrored():
    one = town(4)
    reference = box_walk(one.boxes[:, :5], read_streets(one.segments))[:, 2]
    for flip in range(8):
        boxes, segments = turned(one.boxes, one.segments, flip)
        setback = box_walk(boxes[:, :5], read_streets(segments))[:, 2]
        np.testing.assert_allclose(setback, reference, atol=1e-3)


def test_the_condition_raster_turns_with_the_window():
    one = town(4)
    made = []
    for flip in (0, 1):
        boxes, segments = turned(one.boxes, one.segments, flip)
        site = np.rot90(one.editable, -flip)
        none = np.zeros((128, 128), bool)
        made.append(
            make_scene(segments, boxes, site, asks=one.asks, unmapped=none, water=none).raster
        )
    straight, quarter = made
    for channel in (0, 1, 4, 6, 9):  # scalars; the normals turn as vectors
        np.testing.assert_allclose(np.rot90(straight[channel], -1), quarter[channel], atol=0.26)


def test_floors_are_a_probability_over_whole_storeys():
    weights = torch.randn(1, 43, generator=torch.Generator().manual_seed(0))
    neighbors = torch.tensor([[2.0, 2.0, 9.0]])
    every = torch.arange(1.0, 41.0)
    logs = floors_log_prob(weights.expand(40, -1), neighbors.expand(40, -1), every)
    assert logs.exp().sum().item() == pytest.approx(1.0, abs=1e-5)


def turned(boxes: np.ndarray, segments: np.ndarray, flip: int) -> tuple[np.ndarray, np.ndarray]:
    """Mirror left to right if `flip` > 3, then turn clockwise by quarter turns."""
    boxes, segments = boxes.copy(), segments.copy()
    if flip > 3:
        boxes[:, 0], boxes[:, 4] = 256 - boxes[:, 0], -boxes[:, 4]
        segments[:, [0, 2]] = 256 - segments[:, [0, 2]]
    for _ in range(flip % 4):
        boxes[:, 0], boxes[:, 1] = 256 - boxes[:, 1], boxes[:, 0].copy()
        boxes[:, 4] += np.pi / 2
        segments = np.stack(
            [
                256 - segments[:, 1],
                segments[:, 0],
                256 - segments[:, 3],
                segments[:, 2],
                segments[:, 4],
                segments[:, 5],
            ],
            axis=1,
        )
    boxes[:, :5] = canonical(torch.from_numpy(boxes[:, :5])).numpy()
    return boxes, segments
