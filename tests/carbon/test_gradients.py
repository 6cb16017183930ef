"""Gradients of every account against finite differences, in float64."""

from dataclasses import replace

import pytest
import torch

from fabricgen.carbon import site as site_room
from fabricgen.carbon.embodied import embodied
from fabricgen.carbon.evaluator import ACCOUNTS, evaluate
from fabricgen.carbon.measures import Exposure, Measures
from fabricgen.carbon.site import make_site
from fabricgen.carbon.vegetation import vegetation
from fabricgen.layout import Layout
from fabricgen.surfaces import GRASS, TREE

EVERYTHING = Measures(
    embodied="elements", basement_share=0.2, refurbished_share=0.5, pv_share=0.4,
    green_roof_share=0.3, refrigerants=True,
)  # fmt: skip
MIX = {"residential": 0.7, "office": 0.3}


@pytest.fixture
def smooth_floors(monkeypatch):
    """Storeys without rounding: going forward they are whole, so their slope is no derivative."""
    monkeypatch.setattr(site_room, "floors_of", lambda height_m: (height_m / 3).clamp(min=1))


def counted(account, place, base, like):
    def amounts(cover, height_m):
        layout = Layout(cover, height_m, like.allowed, like.height_known, like.pixel_m)
        site, _ = make_site(layout, context=base, inside=None, usual_height_m=9.0)
        entries, _ = account(site, place, MIX)
        # Some accounts have nothing to count where there is no state before.
        return torch.stack([entry.amount for entry in entries] or [0 * cover.sum(dim=(1, 2, 3))])

    return amounts


@pytest.mark.parametrize("name", list(ACCOUNTS))
@pytest.mark.parametrize("with_base", [False, True], ids=["new", "on_base"])
def test_the_gradient_is_that_of_the_amounts(name, with_base, soft, place, smooth_floors):
    layout = soft(3, shape=(2, 4, 3))
    base = soft(4, shape=(2, 4, 3)) if with_base else None
    cover, height = layout.cover.requires_grad_(), layout.height_m.requires_grad_()
    amounts = counted(ACCOUNTS[name], place("fi"), base, layout)
    assert torch.autograd.gradcheck(
        amounts, (cover, height), eps=1e-6, atol=1e-4, rtol=1e-4, check_undefined_grad=False
    )


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("operation", "hybrid"),
        ("operation", "physical"),
        ("embodied", "hybrid"),
        ("vegetation", "hybrid"),
        ("planting", "hybrid"),
    ],
)
def test_the_gradient_holds_with_every_measure_and_exposure(name, how, soft, place, smooth_floors):
    layout, base = soft(3, shape=(2, 2, 3)), soft(4, shape=(2, 2, 3))
    measures = replace(EVERYTHING, operation=how)

    def amounts(cover, height_m, sun, warmer_k):
        at = Layout(cover, height_m, layout.allowed, layout.height_known, layout.pixel_m)
        site, _ = make_site(at, context=base, inside=None, usual_height_m=9.0)
        exposure = Exposure(sun, 2 * sun, warmer_k)
        sky = sun[:, None, None].expand_as(height_m)
        site = replace(site, measures=measures, exposure=exposure, sky_view=sky)
        entries, _ = ACCOUNTS[name](site, place("cn-sh"), MIX)
        return torch.stack([entry.amount for entry in entries])

    sun = torch.tensor([0.6, 0.9], dtype=torch.float64).requires_grad_()
    warmer_k = torch.tensor([0.4, -0.3], dtype=torch.float64).requires_grad_()
    inputs = layout.cover.requires_grad_(), layout.height_m.requires_grad_(), sun, warmer_k
    assert torch.autograd.gradcheck(
        amounts, inputs, eps=1e-6, atol=1e-4, rtol=1e-4, check_undefined_grad=False
    )


def test_gradients_hold_where_a_building_nearly_stays(soft, place, smooth_floors):
    layout = soft(3, shape=(1, 4, 4))
    base = soft(3, shape=(1, 4, 4))
    base.height_m.add_(torch.linspace(-2.2, 2.1, 16, dtype=torch.float64).reshape(1, 4, 4)).abs_()
    inputs = layout.cover.requires_grad_(), layout.height_m.requires_grad_()
    amounts = counted(embodied, place("fi"), base, layout)
    assert torch.autograd.gradcheck(amounts, inputs, eps=1e-6, atol=1e-4, rtol=1e-4)


def test_planting_a_tree_lowers_net_through_growth(soft, place):
    layout = soft(5, shape=(1, 6, 6))
    cover = layout.cover.requires_grad_()
    site, _ = make_site(
        Layout(cover, layout.height_m, layout.allowed, layout.height_known),
        context=None, inside=None, usual_height_m=9.0,
    )  # fmt: skip
    entries, _ = vegetation(site, place("fi"))
    sink = sum(entry.amount.sum() for entry in entries if entry.kind == "sink")
    (slope,) = torch.autograd.grad(sink, cover)
    assert bool((slope[:, TREE] > slope[:, GRASS]).all())


def test_gradients_are_finite_at_hard_and_at_empty_layouts(hard):
    for surface in range(8):
        layout = hard(torch.full((1, 12, 12), surface))
        cover, height = layout.cover.requires_grad_(), layout.height_m.requires_grad_()
        free = torch.full_like(layout.allowed, 255)
        soft_layout = Layout(cover, height, free, layout.height_known)
        ledger = evaluate(soft_layout, region="fi", context=hard(torch.full((1, 12, 12), GRASS)))
        ledger.net_kgco2e_per_year.sum().backward()
        assert bool(torch.isfinite(cover.grad).all()) and bool(torch.isfinite(height.grad).all())
