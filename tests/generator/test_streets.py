"""Laws of the street stage on small made-up grids of streets."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from fabricgen.generator import streets
from fabricgen.generator import streets_moves as choices
from fabricgen.generator import streets_starts as origins
from fabricgen.generator.conditions import ASKS, Boxes, Conditions, Segments, SiteSample
from fabricgen.generator.streets_model import log_choice, look, step_log_probs, told_of
from fabricgen.generator.streets_network import Network, distance, grow, hits, network_of
from fabricgen.generator.streets_rules import crossings, flaw, without_stumps
from fabricgen.generator.streets_targets import grown, growth_of
from fabricgen.layout import from_labels
from fabricgen.surfaces import BIT, BUILDING, OPEN

SETTINGS = streets.StreetsSettings()


def grid_segments(step_m: float = 60.0, offset_m: float = 20.0) -> np.ndarray:
    """A grid of local streets over more than a window, split at its junctions, (M, 6)."""
    lines = np.arange(offset_m - step_m, 300.0, step_m)
    spans = list(pairwise(lines))
    down = [[at, low, at, high, 7.0, 2] for at in lines for low, high in spans]
    across = [[low, at, high, at, 7.0, 2] for at in lines for low, high in spans]
    return np.array(down + across, dtype=np.float32)


def square_site(first: int = 25, last: int = 105) -> np.ndarray:
    editable = np.zeros((128, 128), dtype=bool)
    editable[first:last, first:last] = True
    return editable


def site_sample(segments: np.ndarray, editable: np.ndarray | None = None) -> SiteSample:
    empty = np.zeros((128, 128), dtype=np.float32)
    return SiteSample(
        labels=np.full((128, 128), OPEN, dtype=np.uint8),
        height_m=empty,
        height_known=empty > 0,
        boxes=np.zeros((0, 7), dtype=np.float32),
        segments=segments,
        editable=square_site() if editable is None else editable,
        asks=np.full(ASKS, np.nan, dtype=np.float32),
        north_deg=0.0,
    )


def conditions_for(sample: SiteSample, batch: int, boxes: np.ndarray | None = None) -> Conditions:
    _, outside = streets.cut_segments(sample.segments, sample.editable, 2.0)
    boxes = np.zeros((0, 7), dtype=np.float32) if boxes is None else boxes
    labels = torch.from_numpy(sample.labels).expand(batch, -1, -1)
    height = torch.zeros(batch, 128, 128)
    return Conditions(
        context=from_labels(labels, height, height > 0, 2.0),
        editable=torch.from_numpy(sample.editable).expand(batch, -1, -1),
        asks=torch.full((batch, ASKS), float("nan")),
        north_deg=torch.zeros(batch),
        boxes=Boxes.from_arrays([boxes] * batch),
        segments=Segments.from_arrays([outside] * batch),
    )


def batch_of(samples: list[SiteSample], seed: int = 0) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    items = [streets.example(sample, rng, SETTINGS) for sample in samples]
    return {name: torch.from_numpy(np.stack([i[name] for i in items])) for name in items[0]}


@pytest.fixture
def model() -> streets.StreetsModel:
    torch.manual_seed(0)
    return streets.StreetsModel(SETTINGS)


def test_the_model_is_small(model):
    assert sum(p.numel() for p in model.parameters()) < 1_000_000


def test_cutting_keeps_every_meter_and_the_cuts_coincide():
    rows = grid_segments()
    inside, outside = streets.cut_segments(rows, square_site(), 2.0)
    length = [np.hypot(*(part[:, 2:4] - part[:, :2]).T).sum() for part in (rows, inside, outside)]
    assert length[0] == pytest.approx(length[1] + length[2], rel=1e-6)
    tips = {tuple(tip) for tip in outside[:, :4].reshape(-1, 2)}
    edge = [
        t for t in inside[:, :4].reshape(-1, 2) if min(abs(t - 50).min(), abs(t - 210).min()) < 1
    ]
    assert edge
    assert all(tuple(tip) in tips for tip in edge)


def test_a_grid_grows_in_one_street_per_line_and_ends_as_it_was():
    growth = growth_of(grid_segments(), square_site(), pixel_m=2.0)
    assert growth.dropped == 0
    assert len(growth.moves) == 6  # lines at 80, 140 and 200 m, both ways
    inside, _ = streets.cut_segments(grid_segments(), square_site(), 2.0)
    whole = grown(growth, len(growth.moves))
    placed = whole.ends[whole.placed]
    real = np.sort(np.hypot(*(inside[:, 2:4] - inside[:, :2]).T))
    np.testing.assert_allclose(
        np.sort(np.hypot(*(placed[:, 2:] - placed[:, :2]).T)), real, atol=0.01
    )


def test_the_same_site_grows_in_the_same_order():
    first, second = (growth_of(grid_segments(), square_site(), pixel_m=2.0) for _ in range(2))
    assert [(*a.start, *a.end) for a in first.moves] == [(*b.start, *b.end) for b in second.moves]


def test_streets_that_nothing_leads_to_are_counted():
    alone = np.array([[100, 100, 130, 100, 7, 2], [130, 100, 130, 130, 7, 2]], dtype=np.float32)
    through = np.array([[0, 60, 256, 60, 7, 2]], dtype=np.float32)
    growth = growth_of(np.concatenate([alone, through]), square_site(), pixel_m=2.0)
    assert (len(growth.moves), growth.dropped) == (1, 2)


def test_a_crossing_splits_both_streets():
    standing = network_of(np.array([[0, 50, 100, 50, 7, 2]]))
    after = grow(standing, np.array([50.0, 0.0]), np.array([50.0, 100.0]), kind=1)
    assert len(after.ends) == 4
    assert crossings(after) == 0
    _, node_of = after.points()
    assert np.bincount(node_of.ravel()).max() == 4


def test_ray_hits_match_a_plain_intersection():
    rng = np.random.default_rng(0)
    origins, ends = rng.uniform(0, 100, (5, 2)), rng.uniform(0, 100, (7, 4))
    angle = rng.uniform(0, 6.28, 5)
    found = hits(origins, np.stack([np.cos(angle), np.sin(angle)], 1), ends)
    for ray, segment in np.ndindex(5, 7):
        way = np.array([np.cos(angle[ray]), np.sin(angle[ray])])
        matrix = np.column_stack([way, ends[segment, :2] - ends[segment, 2:]])
        along, share = np.linalg.solve(matrix, ends[segment, :2] - origins[ray])
        met = along > 0.5 and 0 <= share <= 1
        assert found[ray, segment] == pytest.approx(along if met else choices.FAR_M)


def test_true_steps_of_a_grid_can_all_be_given():
    batch = batch_of([site_sample(grid_segments())] * 4)
    grows = batch["kind"] != streets.STOP
    assert grows.any()
    for name in ("has_start", "has_turn", "has_end"):
        assert torch.equal(batch[name], grows)


def test_the_density_of_a_direction_sums_to_one():
    rng = np.random.default_rng(0)
    growth = growth_of(grid_segments(), square_site(), pixel_m=2.0)
    ground = choices.Ground(square_site(), square_site(), np.zeros((128, 128), dtype=bool), 2.0)
    starts, _ = origins.starts_of(growth.context, ground, rng)
    turns = choices.turns_of(starts, 0, growth.context, ground)
    angles = np.arange(0, 2 * np.pi, 0.001)
    density = np.array([np.exp(choices.turn_log_density(turns, angle)) for angle in angles])
    np.testing.assert_allclose(density[:, turns.valid].sum(0) * 0.001, 1.0, atol=0.02)


def test_a_step_has_the_same_log_probability_in_training_and_in_sampling(model):
    batch = batch_of([site_sample(grid_segments()), site_sample(grid_segments(45.0, 7.0))])
    model.eval()
    with torch.no_grad():
        maps, summary = model.encode(batch["maps"], batch["told"])
        step = {
            k: v.flatten(0, 1) for k, v in batch.items() if k not in ("maps", "told", "dropped")
        }
        together = step_log_probs(model, maps, summary.repeat_interleave(4, 0), step=step)
        for n in range(8):  # one by one, in the order in which the sampler asks
            one = {name: value[n : n + 1] for name, value in step.items()}
            at_starts = look(maps[n // 4][None], one["start_uv"])
            log_kind, code, starts = model.choose_kind(at_starts, summary[n // 4][None], one)
            told = told_of(code, one["kind"], model.kind_code)
            log_start = model.choose_start(starts, at_starts, one["start_valid"], told)
            told = torch.cat([told, starts[:, int(one["start"])]], dim=1)
            ends = model.end(one["end_features"], look(maps[n // 4][None], one["end_uv"]), told)
            log_end = log_choice(ends, one["end_valid"])
            alone = {
                "kind": log_kind[0, one["kind"]],
                "start": log_start[0, one["start"]],
                "end": torch.logsumexp(log_end + one["end_density"], 1),
            }
            for name, value in alone.items():
                torch.testing.assert_close(value[0], together[name][n], rtol=1e-4, atol=1e-4)


def test_the_loss_reaches_every_weight(model):
    total, parts = streets.loss(model, batch_of([site_sample(grid_segments())] * 2), rng=None)
    total.backward()
    assert torch.isfinite(total)
    assert set(parts) == {"kind", "start", "turn", "end"}
    used = [p for n, p in model.named_parameters() if not n.startswith("survey.score")]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in used)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_drawn_network_keeps_the_rules(model, seed):
    sample = site_sample(grid_segments(70.0, 11.0 + 13 * seed))
    given = conditions_for(sample, 4)
    drawn = streets.sample(model, given, rng=torch.Generator().manual_seed(seed))
    context = given.segments.to_arrays()[0]
    assert drawn.valid.any()
    for rows in drawn.to_arrays():
        whole = _network(context, rows)
        assert crossings(whole) == 0
        assert _all_reach(context, rows)
        _assert_inside(rows, sample.editable, context)


def test_no_street_runs_through_a_building_that_stays(model):
    box = np.array([[130.0, 130.0, 40.0, 30.0, 0.3, 3.0, 0.0]], dtype=np.float32)
    given = conditions_for(site_sample(grid_segments()), 4, boxes=box)
    drawn = streets.sample(model, given, rng=torch.Generator().manual_seed(3))
    for rows in drawn.to_arrays():
        share = np.linspace(0, 1, 50)[None, :, None]
        points = rows[:, None, :2] + share * (rows[:, None, 2:4] - rows[:, None, :2])
        du, dv = points[..., 0] - 130.0, points[..., 1] - 130.0
        across = np.abs(np.cos(0.3) * du + np.sin(0.3) * dv)
        deep = np.abs(-np.sin(0.3) * du + np.cos(0.3) * dv)
        assert not ((across < 20.0) & (deep < 15.0)).any()


def test_a_street_along_the_edge_is_joined_though_no_stub_shows(model):
    along = np.array([[0, 44, 256, 44, 7, 2]], dtype=np.float32)  # 6 m outside the site
    drawn = streets.sample(
        model, conditions_for(site_sample(along), 4), rng=torch.Generator().manual_seed(0)
    )
    assert drawn.valid.any()
    assert all(_all_reach(along, rows) for rows in drawn.to_arrays())


def test_the_same_seed_draws_the_same_streets_and_an_empty_site_draws_none(model):
    given = conditions_for(site_sample(grid_segments()), 2)
    first, second = (
        streets.sample(model, given, rng=torch.Generator().manual_seed(9)) for _ in range(2)
    )
    assert torch.equal(first.ends, second.ends)
    nothing = conditions_for(site_sample(grid_segments(), np.zeros((128, 128), dtype=bool)), 2)
    assert not streets.sample(model, nothing, rng=torch.Generator().manual_seed(9)).valid.any()


def test_a_street_may_not_run_beside_another():
    ground = choices.Ground(square_site(), square_site(), np.zeros((128, 128), dtype=bool), 2.0)
    standing = network_of(np.array([[60, 100, 200, 100, 7, 2]]))
    near, apart = (
        flaw(standing, np.array([60.0, v]), np.array([200.0, v]), ground=ground)
        for v in (108.0, 124.0)
    )
    assert (near, apart) == ("beside another", "")


def test_short_dead_ends_are_taken_away():
    standing = network_of(np.array([[60, 100, 200, 100, 7, 2]]))
    stump = grow(standing, np.array([100.0, 100.0]), np.array([100.0, 110.0]), kind=2)
    street = grow(standing, np.array([100.0, 100.0]), np.array([100.0, 140.0]), kind=2)
    assert not without_stumps(stump).placed.any()
    assert without_stumps(street).placed.sum() == 1


@pytest.mark.slow
def test_a_trained_model_continues_a_grid(model):
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    rng = np.random.default_rng(0)
    for step in range(60):
        samples = [site_sample(grid_segments(*rng.uniform([50, 0], [80, 50]))) for _ in range(6)]
        total, _ = streets.loss(model, batch_of(samples, seed=step), rng=None)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    given = conditions_for(site_sample(grid_segments()), 4)
    inside, _ = streets.cut_segments(grid_segments(), square_site(), 2.0)
    drawn = streets.sample(model, given, rng=torch.Generator().manual_seed(0))
    away = []
    for rows in drawn.to_arrays():
        middle = (rows[:, :2] + rows[:, 2:4]) / 2
        away.append(np.mean(distance(middle.astype(float), inside[:, :4]) < 3.0))
    assert np.mean(away) > 0.8


def _network(context: np.ndarray, rows: np.ndarray) -> Network:
    standing, new = network_of(context), rows.astype(np.float64)
    return Network(
        np.concatenate([standing.ends, new[:, :4]]),
        np.concatenate([standing.kind, new[:, 5].astype(np.int64)]),
        np.arange(len(standing.ends) + len(new)) >= len(standing.ends),
        standing.last_end,
    )


def _all_reach(context: np.ndarray, rows: np.ndarray) -> bool:
    """Whether every new piece is linked to the context over shared ends."""
    reached = np.zeros(len(rows), dtype=bool)
    for _ in range(len(rows) + 1):
        around = np.concatenate([context[:, :4], rows[reached, :4]]).astype(np.float64)
        tips = rows[:, :4].reshape(-1, 2, 2).astype(np.float64)
        reached |= (distance(tips, around) < 0.1).any(axis=1)
    return bool(reached.all())


def _assert_inside(rows: np.ndarray, editable: np.ndarray, context: np.ndarray) -> None:
    share = np.linspace(0.02, 0.98, 40)[None, :, None]
    points = rows[:, None, :2] + share * (rows[:, None, 2:4] - rows[:, None, :2])
    cell = np.floor(points / 2.0).astype(int).clip(0, 127)
    outside = ~editable[cell[..., 1], cell[..., 0]]
    near = distance(points.astype(np.float64), context[:, :4].astype(np.float64)) < 24.0
    assert not (outside & ~near).any()


def test_buildings_of_the_context_are_seen_and_those_of_the_site_are_not():
    sample = site_sample(grid_segments())
    sample.labels[:10, :10] = BIT[BUILDING]
    sample.labels[60:70, 60:70] = BIT[BUILDING]
    building = streets.example(sample, np.random.default_rng(0), SETTINGS)["maps"][0]
    assert building[:5, :5].all()
    assert not building[30:35, 30:35].any()
