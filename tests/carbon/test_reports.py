"""Inventories are sums over tags: nothing is lost, nothing is counted twice, nothing is silent."""

from pathlib import Path

import pytest
import torch

from fabricgen.carbon import evaluate, reports
from fabricgen.carbon.ledger import flow_tags
from fabricgen.carbon.uncertainty import tornado
from fabricgen.surfaces import BUILDING, GRASS


@pytest.fixture
def ledger(soft):
    return evaluate(soft(0), region="fi", context=soft(1))


def total(cells, kind):
    return sum(getattr(cell, f"{kind}_kgco2e_per_year") or 0.0 for cell in cells)


def test_every_inventory_holds_all_emission_and_all_sinks(ledger):
    views = [
        reports.by_gpc(ledger).cells, reports.by_ipcc(ledger), reports.by_en15978(ledger),
        reports.by_city_scope(ledger),
    ]  # fmt: skip
    for cells in views:
        assert total(cells, "emission") == pytest.approx(
            float(ledger.emission_kgco2e_per_year[0]), rel=1e-9
        )
        assert total(cells, "sink") == pytest.approx(float(ledger.sink_kgco2e_per_year[0]))


def test_basic_is_at_most_basic_plus_and_removals_are_in_neither(ledger):
    gpc = reports.by_gpc(ledger)
    assert 0 < gpc.basic <= gpc.basic_plus
    assert gpc.removals == pytest.approx(float(ledger.sink_kgco2e_per_year[0]))
    assert gpc.basic_plus + gpc.other_scope_3 == pytest.approx(
        float(ledger.emission_kgco2e_per_year[0])
    )


def test_basic_is_scope_1_and_2_of_buildings_by_hand(ledger):
    cells = [c for c in reports.by_gpc(ledger).cells if c.level == "BASIC"]
    assert {(c.code.split(".")[0], c.scope) for c in cells if c.emission_kgco2e_per_year} <= {
        ("I", "1"), ("I", "2"), ("II", "1"), ("II", "2"), ("III", "1"), ("III", "3"),
    }  # fmt: skip


def test_an_empty_cell_says_why(ledger, hard):
    for cell in reports.by_gpc(ledger).cells:
        has = cell.emission_kgco2e_per_year is not None or cell.sink_kgco2e_per_year is not None
        assert has != bool(cell.key)
        assert cell.key in ("", "NE", "NO", "IE", "C") and bool(cell.key) == bool(cell.reason)
    assert "III.1" in reports.by_gpc(ledger).partial
    lawn = evaluate(hard(torch.full((1, 10, 10), GRASS)), region="fi")
    dwelling = next(c for c in reports.by_gpc(lawn).cells if (c.code, c.scope) == ("I.1", "2"))
    assert (dwelling.key, dwelling.reason) == ("NO", "counted, and none")


def test_every_flow_has_a_cell_in_the_table():
    cells = {(row["subsector"], row["scope"]) for row in reports._gpc_rows()}
    for tags in flow_tags().values():
        if tags.kind in ("emission", "sink"):
            assert (tags.gpc, tags.gpc_scope) in cells, tags.name
            assert tags.en15978 in reports.EN_TITLES and tags.ipcc[0] in reports.IPCC_TITLES


def test_stock_is_told_by_pool(ledger):
    assert sum(reports.stock(ledger).values()) == pytest.approx(float(ledger.stock_kgco2e[0]))


def test_unconfirmed_factors_come_with_the_share_that_rests_on_them(soft):
    layout = soft(0, shape=(1, 12, 12))
    ledger = evaluate(layout, region="fi")
    plain = reports.unconfirmed(ledger)
    assert plain and not any(one.factor.confirmed for one in plain)
    assert all(0 <= one.share <= 1 and one.pull is None for one in plain)
    assert [one.share for one in plain] == sorted((one.share for one in plain), reverse=True)
    pulled = reports.unconfirmed(ledger, swings=tornado(layout, region="fi"))
    assert {one.factor.id for one in pulled} == {one.factor.id for one in plain}
    assert all(one.pull >= 0 for one in pulled if one.pull is not None)


def test_an_energy_intensity_pulls_its_use_in_proportion(hard):
    layout = hard(torch.full((1, 12, 12), BUILDING))
    swings = {s.factor.id: s for s in tornado(layout, region="sg")}
    parts = evaluate(layout, region="sg", use_mix={"office": 1.0})
    only = {s.factor.id: s for s in tornado(layout, region="sg", use_mix={"office": 1.0})}
    energy = sum(float(e.amount[0]) for e in parts.entries if e.tags.en15978 == "B6")
    gross = float(parts.emission_kgco2e_per_year[0] + parts.sink_kgco2e_per_year[0])
    assert only["eui.sg.office.el"].share == pytest.approx(energy / gross, rel=1e-4)
    assert swings["eui.sg.office.el"].share < only["eui.sg.office.el"].share


def test_every_line_that_is_counted_stands_on_the_page_of_the_ledger(soft):
    root = Path(__file__).parent.parent.parent
    page = (root / "docs" / "ledger.md").read_text(encoding="utf-8")
    ledger = evaluate(soft(0), region="fi", context=soft(1))
    missing = [entry.name for entry in ledger.entries if f"| `{entry.name}` |" not in page]
    assert not missing, "run python scripts/ledger_page.py"
