"""The soft drawing of a proposal: true areas, finite gradients, and moves that respect the rest."""

import math

import numpy as np
import pytest
import torch

from fabricgen.form.indicators import of_layout
from fabricgen.generator.conditions import Boxes, Conditions, Proposal, Segments
from fabricgen.generator.proposal import (
    PolishSettings,
    adam_step,
    box_shares,
    draw,
    groups_of,
    polish,
    road_shares,
)
from fabricgen.layout import check, from_labels
from fabricgen.surfaces import BIT, BUILDING, GRASS, PAVED, ROAD, TREE

GRID = {"rows": 64, "cols": 64, "pixel_m": 2.0}
HEIGHTS = {"storey_m": 3.0, "tree_height_m": 8.0}


def boxes_of(*rows: tuple[float, ...]) -> Boxes:
    """Boxes (u, v, width, depth, angle, floors), each its own building."""
    return Boxes.from_arrays([np.array([[*row, k] for k, row in enumerate(rows)])])


@pytest.mark.parametrize("angle_rad", [0.0, 0.3, math.pi / 4])
@pytest.mark.parametrize("size_m", [(12.0, 9.0), (40.0, 12.0), (61.0, 33.0)])
def test_the_soft_area_of_a_box_is_its_area(size_m, angle_rad):
    boxes = boxes_of((63.4, 64.7, *size_m, angle_rad, 5.0))
    built, total, height_m = box_shares(boxes, 3.0, **GRID)
    area_m2 = size_m[0] * size_m[1]
    assert float(built.sum()) * 4 == pytest.approx(area_m2, rel=0.02)
    torch.testing.assert_close(built, total, atol=1e-5, rtol=0)
    assert float(height_m[built > 0.5].mean()) == pytest.approx(15.0, abs=1e-3)


def test_boxes_side_by_side_add_up_and_boxes_on_each_other_do_not():
    one = (50.0, 64.0, 20.0, 12.0, 0.0, 3.0)
    apart, _, _ = box_shares(boxes_of(one, (80.0, 64.0, 20.0, 12.0, 0.0, 3.0)), 3.0, **GRID)
    twice, total, _ = box_shares(boxes_of(one, one), 3.0, **GRID)
    assert float(apart.sum()) * 4 == pytest.approx(480, rel=0.02)
    assert float(total.sum()) * 4 == pytest.approx(480, rel=0.02)
    assert float(twice.max()) <= 1
    assert float(twice.sum()) * 4 < 300  # soft walls of two are a little wider than of one


def test_area_and_height_have_finite_gradients_that_say_what_growth_does():
    boxes = boxes_of((60.3, 62.1, 20.0, 12.0, 0.2, 4.0))
    geometry = boxes.geometry.clone().requires_grad_()
    floors = boxes.floors.clone().requires_grad_()
    built, _, height_m = box_shares(
        Boxes(geometry, floors, boxes.building, boxes.valid), 3.0, **GRID
    )
    (built * height_m).sum().mul(4).backward()  # the volume [m3]
    assert torch.isfinite(geometry.grad).all() and torch.isfinite(floors.grad).all()
    assert float(floors.grad) == pytest.approx(20 * 12 * 3, rel=0.02)
    assert float(geometry.grad[0, 0, 2]) == pytest.approx(12 * 12, rel=0.05)
    assert float(geometry.grad[0, 0, 3]) == pytest.approx(20 * 12, rel=0.05)
    assert geometry.grad[0, 0, [0, 1, 4]].abs().max() < 15  # moves and turns change no volume


def test_a_street_has_its_width_and_a_path_is_no_road():
    rows = np.array([[-20, 64, 150, 64, 8, 2], [64, -20, 64, 150, 4, 4]])
    road, path = road_shares(Segments.from_arrays([rows]), **GRID)
    assert float(road.sum()) * 4 == pytest.approx(128 * 8, rel=0.02)
    assert float(path.sum()) * 4 == pytest.approx(128 * 4, rel=0.02)
    none, _ = road_shares(Segments.empty(1), **GRID)
    assert none.shape == (1, 64, 64) and float(none.sum()) == 0


def test_streets_are_soft_by_the_distance_to_the_nearest_piece():
    rng = np.random.default_rng(2)
    ends = rng.uniform(-20, 148, (2, 12, 4))
    rows = [np.column_stack([e, rng.uniform(2, 14, 12), rng.integers(0, 5, 12)]) for e in ends]
    road, path = road_shares(Segments.from_arrays([rows[0], rows[1][:7]]), **GRID)
    place = (np.arange(64) + 0.5) * 2.0
    points = np.stack(np.meshgrid(place, place), axis=-1)  # rows, cols, (u, v)
    for item, pieces in enumerate((rows[0], rows[1][:7])):
        for got, kinds in ((road[item], range(4)), (path[item], [4])):
            wanted = np.zeros((64, 64))
            for u0, v0, u1, v1, width_m, kind in pieces:
                if kind not in kinds:
                    continue
                start, step = np.array([u0, v0]), np.array([u1 - u0, v1 - v0])
                along = np.clip((points - start) @ step / (step @ step), 0, 1)[..., None]
                gap_m = np.linalg.norm(points - start - along * step, axis=-1)
                wanted = np.maximum(wanted, 1 / (1 + np.exp((gap_m - width_m / 2) / 0.7)))
            assert np.abs(got.numpy() - wanted).max() < 1e-3


def test_steps_down_the_gradient_are_those_of_adam():
    start = torch.tensor([1.0, -2.0, 0.5])
    ours, moments = start.clone(), (torch.zeros(3), torch.zeros(3))
    theirs = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([theirs], lr=0.1)
    for step in range(1, 20):
        optimizer.zero_grad()
        (theirs**4).sum().backward()
        optimizer.step()
        ours = ours - 0.1 * adam_step(4 * ours**3, moments, step)
        torch.testing.assert_close(ours, theirs.detach())


def conditions_of(*, margin: int = 8, context: Boxes | None = None) -> Conditions:
    """A site in a ring of pavement."""
    labels = torch.full((1, 64, 64), BIT[PAVED], dtype=torch.uint8)
    editable = torch.zeros(1, 64, 64, dtype=torch.bool)
    editable[:, margin : 64 - margin, margin : 64 - margin] = True
    nothing = torch.zeros(1, 64, 64)
    return Conditions(
        from_labels(labels, nothing, nothing > 0),
        editable,
        torch.full((1, 6), float("nan")),
        torch.zeros(1),
        context or Boxes.empty(1),
        Segments.empty(1),
    )


def proposal_of(boxes: Boxes, streets: Segments | None = None) -> Proposal:
    ground = torch.zeros(1, 8, 64, 64)
    ground[:, GRASS] = 2.0
    return Proposal(streets or Segments.empty(1), boxes, torch.log_softmax(ground, dim=1))


def test_the_soft_layout_keeps_the_contract_is_complete_and_leaves_the_context_alone():
    street = Segments.from_arrays([np.array([[16, 90, 112, 90, 7, 2]])])
    conditions = conditions_of()
    layout = draw(proposal_of(boxes_of((60, 50, 30, 12, 0.1, 4)), street), conditions, **HEIGHTS)
    check(layout, complete=True)
    outside = ~conditions.editable[0]
    assert torch.equal(layout.cover[0][:, outside], conditions.context.cover[0][:, outside])
    assert torch.equal(layout.height_m[0][outside], conditions.context.height_m[0][outside])
    got = of_layout(layout, conditions.editable)
    assert float(got["footprint_m2"]) == pytest.approx(360, rel=0.02)
    assert float(layout.area_m2()[0, ROAD]) == pytest.approx(96 * 7, rel=0.02)
    assert layout.cover[0, TREE][conditions.editable[0]].max() > 0.05


def test_touching_boxes_form_a_group_and_boxes_of_one_building_too():
    boxes = boxes_of(
        (30, 30, 20, 10, 0, 3), (50.3, 30, 20, 10, 0, 3), (90, 90, 10, 10, 0.4, 3),
        (90, 30, 10, 10, 0, 3),
    )  # fmt: skip
    first, second, third, fourth = groups_of(boxes)[0].tolist()
    assert first == second and len({first, third, fourth}) == 3
    one = Boxes(boxes.geometry, boxes.floors, torch.tensor([[0, 1, 2, 2]]), boxes.valid)
    assert groups_of(one)[0, 2] == groups_of(one)[0, 3]


def far_of(conditions: Conditions, target: float):
    def guide(layout):
        return 50 * (of_layout(layout, conditions.editable)["site_coverage"] / target - 1).square()

    return guide


def test_polishing_lowers_a_simple_energy_and_opens_no_joint():
    conditions = conditions_of()
    boxes = boxes_of((40, 40, 20, 10, 0, 3), (60, 40, 20, 10, 0, 3), (80, 90, 24, 12, 0.2, 3))
    proposal = proposal_of(boxes)
    start = float(of_layout(draw(proposal, conditions, **HEIGHTS), conditions.editable)
                  ["site_coverage"])  # fmt: skip
    guide = far_of(conditions, start * 1.15)
    better = polish(proposal, conditions, guide, settings=PolishSettings(steps=15), **HEIGHTS)

    def energy(p: Proposal) -> float:
        return float(guide(draw(p, conditions, **HEIGHTS)))

    assert energy(better) < 0.5 * energy(proposal)
    u, width = better.boxes.geometry[0, :2, 0], better.boxes.geometry[0, :2, 2]
    assert float(u[1] - u[0]) == pytest.approx(float(width.sum()) / 2, abs=1e-3)
    assert torch.equal(better.boxes.geometry[..., 4], boxes.geometry[..., 4])
    assert (better.boxes.geometry[..., 2:4] / boxes.geometry[..., 2:4] - 1).abs().max() < 0.17


def test_polishing_keeps_streets_ground_and_context_and_moves_no_further_than_told():
    context = boxes_of((8, 64, 10, 60, 0, 5))
    conditions = conditions_of(context=context)
    street = Segments.from_arrays([np.array([[16, 90, 112, 90, 7, 2]])])
    proposal = proposal_of(boxes_of((60, 50, 30, 12, 0, 4)), street)
    before = conditions.boxes.geometry.clone()

    def rightward(layout):
        column = torch.arange(64.0)
        return -(layout.cover[:, BUILDING] * column).sum(dim=(1, 2)) / 100

    moved = polish(proposal, conditions, rightward, settings=PolishSettings(steps=40), **HEIGHTS)
    assert moved.streets is proposal.streets and moved.ground is proposal.ground
    assert torch.equal(conditions.boxes.geometry, before)
    shift = moved.boxes.geometry[0, 0, :2] - proposal.boxes.geometry[0, 0, :2]
    assert 1.0 < float(shift[0]) <= 8.0 + 1e-3


def test_polishing_does_not_push_a_building_onto_a_street():
    conditions = conditions_of()
    street = Segments.from_arrays([np.array([[84, 16, 84, 112, 8, 2]])])  # from u = 80 on
    proposal = proposal_of(boxes_of((64, 60, 24, 14, 0, 4)), street)  # ends at u = 76

    def rightward(layout):
        column = torch.arange(64.0)
        return -(layout.cover[:, BUILDING] * column).sum(dim=(1, 2)) / 2000

    moved = polish(proposal, conditions, rightward, settings=PolishSettings(steps=40), **HEIGHTS)
    box = moved.boxes.geometry[0, 0]
    assert float(box[0] + box[2] / 2) < 81.5


def test_without_steps_or_boxes_nothing_happens():
    conditions = conditions_of()
    proposal = proposal_of(boxes_of((60, 50, 30, 12, 0, 4)))
    guide = far_of(conditions, 0.2)
    same = polish(proposal, conditions, guide, settings=PolishSettings(steps=0), **HEIGHTS)
    assert same is proposal
    empty = proposal_of(Boxes.empty(1))
    assert polish(empty, conditions, guide, **HEIGHTS) is empty
