import time
from dataclasses import replace

import pytest
import torch

from fabricgen.carbon import Sunlight, evaluate
from fabricgen.carbon import site as site_room
from fabricgen.carbon.ledger import flow_tags
from fabricgen.carbon.regions import region
from fabricgen.errors import LayoutError, SettingsError
from fabricgen.layout import Layout, stack
from fabricgen.surfaces import BUILDING, GRASS, TREE


def test_maps_sum_to_totals(soft):
    ledger = evaluate(
        soft(0, dtype=torch.float32), region="fi", context=soft(1, dtype=torch.float32)
    )
    for entry in ledger.entries:
        assert torch.allclose(entry.per_pixel.sum(dim=(1, 2)), entry.amount, rtol=1e-5, atol=1e-5)
    for kind in ("emission", "sink", "stock", "avoided"):
        total = ledger.amounts(kind)[:, 0]
        assert torch.allclose(ledger.map(kind).sum(dim=(1, 2)), total, rtol=1e-5)


def test_net_is_emission_minus_sink_and_avoided_is_not_assessed(soft):
    ledger = evaluate(soft(), region="fi")
    net = ledger.emission_kgco2e_per_year - ledger.sink_kgco2e_per_year
    assert torch.equal(ledger.net_kgco2e_per_year, net)
    assert ledger.avoided_kgco2e_per_year.tolist() == [0, 0]
    assert any(line.startswith("avoided") for line in ledger.not_assessed)


def test_every_line_has_all_its_tags_and_a_factor(soft):
    ledger = evaluate(soft(0), region="fi", context=soft(1))
    for line in ledger.table():
        assert line["factors"] and line["unit"] in ("kgCO2e/yr", "kgCO2e")
        if line["kind"] not in ("stock", "avoided"):  # these stand in no inventory
            assert all(line[key] not in ("", "none") for key in ("gpc", "ipcc", "en15978"))
    assert {entry.name for entry in ledger.entries} <= set(flow_tags())
    assert len({entry.name for entry in ledger.entries}) == len(ledger.entries)


def test_amounts_are_never_negative(soft):
    ledger = evaluate(soft(0), region="fi", context=soft(1))
    counted = [entry for entry in ledger.entries if entry.kind != "avoided"]  # that may be a cost
    assert all(bool((entry.amount >= 0).all()) for entry in counted)


def test_an_item_counts_the_same_alone_and_in_a_batch(soft):
    layouts = [soft(seed, shape=(1, 12, 10)) for seed in range(3)]
    together = evaluate(stack(layouts), region="uk").net_kgco2e_per_year
    alone = torch.cat([evaluate(one, region="uk").net_kgco2e_per_year for one in layouts])
    assert torch.allclose(together, alone, rtol=1e-12)


def test_one_context_serves_a_batch(soft):
    one = soft(1, shape=(1, 12, 10))
    both = evaluate(soft(0), region="fi", context=one)
    twice = evaluate(soft(0), region="fi", context=stack([one, one]))
    assert torch.equal(both.net_kgco2e_per_year, twice.net_kgco2e_per_year)


def test_single_and_double_precision_agree(soft, changed):
    double = evaluate(soft(), region="fi").net_kgco2e_per_year
    layout = soft()
    layout = changed(layout, cover=layout.cover.float(), height_m=layout.height_m.float())
    single = evaluate(layout, region="fi").net_kgco2e_per_year
    assert single.dtype == torch.float32
    assert torch.allclose(double.float(), single, rtol=1e-5)


def test_pixel_size_hardly_matters_on_blocks(reference_tile, hard):
    labels = reference_tile.cover.argmax(dim=1)
    fine = labels.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    once = evaluate(reference_tile, region="cn-sh").emission_kgco2e_per_year
    twice = evaluate(hard(fine, pixel_m=1.0), region="cn-sh").emission_kgco2e_per_year
    assert float(twice) == pytest.approx(float(once), rel=0.03)


def test_a_turned_layout_counts_the_same(soft):
    layout = soft(shape=(1, 12, 12))
    fields = (layout.cover, layout.height_m, layout.allowed, layout.height_known)
    turned = Layout(*(torch.rot90(x, 1, (-2, -1)) for x in fields))
    assert float(evaluate(turned, region="fi").net_kgco2e_per_year) == pytest.approx(
        float(evaluate(layout, region="fi").net_kgco2e_per_year), rel=1e-9
    )


def test_only_what_lies_inside_counts_but_neighbors_cover_walls(hard):
    labels = torch.full((1, 40, 40), GRASS)
    labels[0, 10:30, 5:35] = BUILDING
    layout = hard(labels)
    left = torch.zeros(1, 40, 40, dtype=torch.bool)
    left[..., :20] = True
    half, rest = (evaluate(layout, region="fi", inside=m) for m in (left, ~left))
    whole = evaluate(layout, region="fi")
    assert float(half.site_area_m2) == 40 * 20 * 4
    assert float(half.gross_floor_area_m2) == 0.5 * float(whole.gross_floor_area_m2)
    alone = labels.clone()
    alone[..., 20:] = GRASS
    cut = evaluate(hard(alone), region="fi", inside=left)
    heat = lambda of: float(next(e for e in of.entries if "heat" in e.name).amount)  # noqa: E731
    assert heat(half) < heat(cut)
    assert float(half.map("emission")[..., 20:].abs().max()) == 0
    assert float(half.stock_kgco2e + rest.stock_kgco2e) == pytest.approx(float(whole.stock_kgco2e))


def test_unknown_ground_is_refused_inside_and_allowed_outside(soft, changed):
    layout = soft()
    cover = layout.cover.clone()
    cover[:, :, :3] = 0
    partial = changed(layout, cover=cover)
    with pytest.raises(LayoutError, match="has no known surface"):
        evaluate(partial, region="fi")
    inside = torch.ones(2, 12, 10, dtype=torch.bool)
    with pytest.raises(LayoutError, match=r"carbon: 25\.0% of the site has no known surface"):
        evaluate(partial, region="fi", inside=inside)
    inside[:, :3] = False
    assert float(evaluate(partial, region="fi", inside=inside).net_kgco2e_per_year[0]) > 0


def test_the_state_before_may_be_missing_or_partly_mapped(soft, changed):
    without = evaluate(soft(), region="fi").not_assessed
    assert {line.split(":")[0] for line in without} >= {
        "soil carbon change", "demolition and kept buildings", "breaking out of roads and paving",
    }  # fmt: skip
    base = soft(1)
    cover = base.cover.clone()
    cover[:, 2:] *= 0  # buildings and roads stay known where the bits say so
    allowed = torch.full_like(base.allowed, 255)
    partial = changed(base, cover=cover, allowed=allowed)
    assert len(evaluate(soft(), region="fi", context=partial).not_assessed) == len(without)


def test_heights_that_are_missing_are_filled_in_and_said(hard, changed):
    labels = torch.full((1, 20, 20), GRASS)
    labels[0, :10, :10] = BUILDING
    layout = hard(labels, 12.0)
    half = layout.height_known.clone()
    half[0, :5] = False
    unknown = changed(layout, height_known=half, height_m=layout.height_m * half)
    ledger = evaluate(unknown, region="fi")
    assert float(ledger.gross_floor_area_m2) == 100 * 4 * 4
    assert "layout: 50% of the buildings had no height; the mean stands in" in ledger.notes


@pytest.mark.parametrize("broken", [float("nan"), -3.0, 2000.0])
def test_impossible_heights_are_refused(soft, changed, broken):
    layout = soft()
    height = layout.height_m.clone()
    height[0, 0, 0] = broken
    with pytest.raises(LayoutError, match="layout:"):
        evaluate(changed(layout, height_m=height), region="fi")


def test_a_context_of_another_grid_is_refused(soft):
    with pytest.raises(LayoutError, match="cut both from one frame"):
        evaluate(soft(), region="fi", context=soft(shape=(2, 6, 6)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"use_mix": {"ofice": 1.0}}, "there is no building use 'ofice'; one of residential"),
        ({"use_mix": {"office": 0.5}}, "does not sum to 1"),
        ({"use_mix": {"office": 1.5, "retail": -0.5}}, "does not sum to 1"),
        ({"horizon_years": 0}, "horizon_years=0; give 1 to 200 years"),
        ({"draws": -1}, "draws=-1"),
        ({"region": "finland"}, "there is no carbon region 'finland'"),
    ],
)
def test_settings_out_of_range_are_refused(soft, options, message):
    with pytest.raises(SettingsError, match=message):
        evaluate(soft(), **({"region": "fi"} | options))


def test_a_region_may_bring_its_own_factors(soft):
    mine = region("fi")
    own = type(mine)(**{f: getattr(mine, f) for f in mine.__dataclass_fields__} | {
        "factors": {"heat.fi.dh": {"value": 0.26, "low": 0.2, "high": 0.3}},
    })  # fmt: skip
    heat = [
        next(float(e.amount[0]) for e in evaluate(soft(), region=r).entries if "heat" in e.name)
        for r in (mine, own)
    ]
    assert heat[1] == pytest.approx(2 * heat[0])


def test_draws_are_shared_and_leave_the_central_values(soft):
    plain = evaluate(soft(), region="fi")
    drawn = evaluate(soft(), region="fi", draws=128)
    again = evaluate(soft(), region="fi", draws=128)
    assert torch.allclose(plain.net_kgco2e_per_year, drawn.net_kgco2e_per_year, rtol=1e-12)
    assert torch.equal(drawn.spread("net"), again.spread("net"))
    low, middle, high = drawn.spread("net").T
    assert bool((low < middle).all()) and bool((middle < high).all())
    assert bool((low < plain.net_kgco2e_per_year).all())
    assert bool((plain.net_kgco2e_per_year < high).all())
    assert bool(plain.spread("net").isnan().all())


def test_shared_draws_rank_two_layouts_better_than_their_ranges(hard):
    labels = torch.full((2, 40, 40), GRASS)
    labels[:, 10:30, 5:35] = BUILDING
    labels[1, :5] = TREE
    net = lambda of: (of.amounts("emission") - of.amounts("sink"))[:, 1:]  # noqa: E731
    drawn = net(evaluate(hard(labels), region="fi", draws=128))
    assert float((drawn[1] - drawn[0]).std()) < 0.1 * float(drawn[0].std())


def test_draws_of_soil_keep_gain_and_loss_positive(soft):
    ledger = evaluate(soft(0), region="fi", context=soft(1), draws=64)
    for entry in ledger.entries:
        if entry.name.startswith("soil"):
            assert bool((entry.amounts >= 0).all())


def test_counting_under_inference_mode_does_not_spoil_later_gradients(soft, changed):
    mine = region("pt")
    with torch.inference_mode():
        evaluate(soft(), region=mine)
    layout = soft()
    cover = layout.cover.clone().requires_grad_()
    evaluate(changed(layout, cover=cover), region=mine).net_kgco2e_per_year.sum().backward()
    assert bool(torch.isfinite(cover.grad).all())


def test_the_loop_is_fast_enough(soft):
    """Forward and backward on eight tiles; the limit is generous for a busy machine."""
    layout = soft(shape=(8, 128, 128), dtype=torch.float32)
    layout.cover.requires_grad_()
    evaluate(layout, region="fi")
    best = 9.0
    for _ in range(3):
        start = time.perf_counter()
        evaluate(layout, region="fi", context=layout).net_kgco2e_per_year.sum().backward()
        best = min(best, time.perf_counter() - start)
    assert best < 1.5


def test_items_count_alike_alone_and_in_parts_of_a_batch(hard, monkeypatch):
    rng = torch.Generator().manual_seed(8)
    layouts = hard(torch.randint(0, 8, (5, 20, 18), generator=rng))
    today = hard(torch.randint(0, 8, (1, 20, 18), generator=rng))
    inside = torch.rand(5, 20, 18, generator=rng) > 0.3
    options = {"region": "fi", "context": today, "draws": 16, "sunlight": Sunlight(quick=True)}
    whole = evaluate(layouts, inside=inside, **options)
    monkeypatch.setattr(site_room, "PIXELS_PER_PART", 2 * 20 * 18)
    parts = evaluate(layouts, inside=inside, **options)
    for item in range(5):
        one = slice(item, item + 1)
        alone = evaluate(crop_items(layouts, one), inside=inside[one], **options)
        for entry, *others in zip(alone.entries, whole.entries, parts.entries, strict=True):
            for other in others:
                assert torch.allclose(other.amounts[one], entry.amounts, rtol=1e-5, atol=1e-3)
                assert torch.allclose(other.per_pixel[one], entry.per_pixel, rtol=1e-5, atol=1e-5)
        net = parts.net_kgco2e_per_year[item]
        assert float(net) == pytest.approx(float(alone.net_kgco2e_per_year), rel=1e-6)


def crop_items(layouts, items):
    return replace(
        layouts, cover=layouts.cover[items], height_m=layouts.height_m[items],
        allowed=layouts.allowed[items], height_known=layouts.height_known[items],
    )  # fmt: skip
