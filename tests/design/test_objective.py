"""What steers: the brief held, carbon per floor area under it, and no gain from building less."""

import pytest
import torch

from fabricgen.design.counting import Counting
from fabricgen.design.objective import energy_of, ground_cost, hold
from fabricgen.form.indicators import of_layout
from fabricgen.layout import Layout
from fabricgen.surfaces import BUILDING, GRASS, PAVED, TREE

FINLAND = Counting("fi")
SITE = torch.ones(1, 24, 24, dtype=torch.bool)


def layout_of(*, ground: int = PAVED, rows: int = 8, height_m: float = 12.0) -> Layout:
    """One slab on a ground of one surface, as a soft layout."""
    cover = torch.zeros(1, 8, 24, 24)
    cover[:, ground] = 1
    cover[:, :, 4 : 4 + rows, 4:20] = 0
    cover[:, BUILDING, 4 : 4 + rows, 4:20] = 1
    height = torch.full((1, 24, 24), 8.0)
    height[:, 4 : 4 + rows, 4:20] = height_m
    everything = torch.full((1, 24, 24), 255, dtype=torch.uint8)
    return Layout(cover, height, everything, torch.ones(1, 24, 24, dtype=torch.bool))


def targets_of(layout: Layout) -> torch.Tensor:
    got = of_layout(layout, SITE)
    return torch.stack([got["far"], got["site_coverage"]], dim=1)


def test_without_carbon_the_energy_is_the_miss_alone():
    layout = layout_of()
    targets = targets_of(layout)
    energy = energy_of(FINLAND, inside=SITE, targets=targets, carbon_weight=0.0)
    assert float(energy(layout)) == 0
    double = energy_of(FINLAND, inside=SITE, targets=targets * 2, carbon_weight=0.0)
    assert float(double(layout)) == pytest.approx(50 * (0.5**2 + (0.5 - 0.15) ** 2))
    some = targets * torch.tensor([1.0, 1.1])  # coverage that closing the plan reaches
    near = energy_of(FINLAND, inside=SITE, targets=some, carbon_weight=0.0)
    assert float(near(layout)) == 0


def test_trees_cost_less_than_pavement():
    paved, green = layout_of(), layout_of(ground=TREE)
    energy = energy_of(FINLAND, inside=SITE, targets=targets_of(paved))
    assert float(hold(energy, green)) < float(hold(energy, paved))


def test_building_less_than_asked_is_no_gain():
    full, less = layout_of(rows=8), layout_of(rows=4)
    energy = energy_of(FINLAND, inside=SITE, targets=targets_of(full))
    assert float(hold(energy, less)) > float(hold(energy, full))


def test_the_energy_has_a_finite_gradient_in_shares_and_heights():
    plain = layout_of()
    cover, height_m = plain.cover.requires_grad_(), plain.height_m.requires_grad_()
    soft = Layout(cover, height_m, plain.allowed, plain.height_known)
    energy_of(FINLAND, inside=SITE, targets=torch.tensor([[1.0, 0.3]]))(soft).sum().backward()
    assert torch.isfinite(cover.grad).all() and torch.isfinite(height_m.grad).all()
    assert height_m.grad.abs().sum() > 0 and cover.grad.abs().sum() > 0


def test_the_cost_of_ground_is_lower_for_trees_than_for_pavement_everywhere_open():
    cost = ground_cost(layout_of(ground=GRASS), FINLAND, inside=SITE)
    assert cost.shape == (1, 8, 24, 24) and torch.isfinite(cost).all()
    open_ground = layout_of(ground=GRASS).cover[0, GRASS] > 0
    assert (cost[0, TREE] < cost[0, PAVED])[open_ground].all()
