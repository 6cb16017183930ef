"""Plans against each other: numbers by hand, ties where there is nothing to tell, a page by itself."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabricgen.design.candidates import ScoreSettings, score_files
from fabricgen.errors import FormatError, InputError, SettingsError
from fabricgen.exchange import write_schemes
from fabricgen.report.compare import (
    CompareSettings,
    between,
    compare,
    comparison_table,
    finding,
    pairs_table,
    percent,
)
from fabricgen.report.compare_chart import NAMED, axes_of, parallel_svg
from fabricgen.report.compare_counted import NET, Counted
from fabricgen.report.compare_inputs import gather
from fabricgen.report.compare_page import compare_page, figure, signed, write_comparison
from fabricgen.report.score_page import write_scores
from fabricgen.report.tables import FORM

SETTINGS = ScoreSettings(draws=32)
RECORD = {"verb": "compare", "fabricgen": {"version": None}, "settings": {"horizon_years": 60}}
FLOW = "bldg.gas.residential"


def counted(name, net, *, floor_m2=1000.0, draws=None, **more):
    """A plan whose net, and one flow of the same size, are given; floor area 1000 m2."""
    drawn = np.asarray(draws if draws is not None else net + np.arange(-10.0, 10.0))
    values = {name: 0.5 for name in FORM} | {"site_area_m2": 2000.0}
    values |= {"gross_floor_area_m2": floor_m2, NET: net, FLOW: net}
    values |= {"emission_kgco2e_per_year": net, "sink_kgco2e_per_year": 0.0, "stock_kgco2e": 0.0}
    plan = {"source": "test", "region": "fi", "values": values, "draws": {NET: drawn, FLOW: drawn}}
    return Counted(name, **{**plan, **more})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    from report_schemes import plan_of

    folder = tmp_path_factory.mktemp("compare")
    write_schemes([("s01", plan_of(1)), ("s02", plan_of(2))], folder / "two.gpkg")
    write_schemes([("s03", plan_of(3))], folder / "one.gpkg")
    shutil.copy(folder / "one.gpkg", folder / "same.gpkg")
    return folder


@pytest.fixture(scope="module")
def three(files):
    """The plans of two files, really counted."""
    return gather([files / "two.gpkg", files / "one.gpkg"], settings=SETTINGS)


@pytest.fixture(scope="module")
def scores(files):
    record = {
        "verb": "score", "fabricgen": {"version": None}, "not_assessed": ["wind"],
        "settings": {"draws": 32, "horizon_years": 60},
    }  # fmt: skip
    scored = score_files([files / "two.gpkg"], settings=SETTINGS)
    return write_scores(scored, files / "scores", record=record)


def test_numbers_are_those_by_hand():
    rng = np.random.default_rng(4)
    shared = rng.normal(50_000, 5_000, 200)
    a = counted("a", 50_000.0, draws=shared)
    b = counted("b", 66_000.0, draws=shared * 1.1 + rng.normal(0, 9_000, 200), floor_m2=1_200.0)
    made = compare([b, a])
    assert [one.name for one in made.plans] == ["a", "b"]  # 50 and 55 kg/m2
    assert made.net == pytest.approx([50.0, 55.0])
    gaps = b.draws[NET] / 1_200 - a.draws[NET] / 1_000
    gap = between(made, 1, 0)
    assert gap.central == pytest.approx(5.0)
    assert (gap.low, gap.high) == pytest.approx(tuple(np.quantile(gaps, (0.05, 0.95))))
    assert gap.p_less == pytest.approx((gaps < 0).mean())
    assert made.beats[0, 1] + made.beats[1, 0] == pytest.approx(1.0)
    assert made.reference == 1  # the first given
    row = comparison_table(made).set_index(["quantity", "plan"]).loc[(FLOW, "a")]
    assert row["value"] == pytest.approx(50.0) and row["difference"] == pytest.approx(-5.0)
    assert row["probability_less"] == pytest.approx((gaps > 0).mean())
    assert row["difference_p95"] == pytest.approx(-np.quantile(gaps, 0.05))


def test_equal_plans_are_a_coin_s_toss_and_said_to_be():
    made = compare([counted("a", 70.0), counted("b", 70.0)])
    assert made.beats.tolist() == [[0.5, 0.5], [0.5, 0.5]] and made.ties == (1, 1)
    assert finding(made, 0, 1) == "the difference is not significant"
    pairs = pairs_table(made)
    assert pairs["probability"].tolist() == [0.5] and pairs["significant"].tolist() == [False]


def test_rounding_does_not_tell_equal_plans_apart():
    rng = np.random.default_rng(1)
    drawn = rng.normal(5e6, 1e6, 64)
    a = counted("a", 5e6, draws=drawn)
    b = counted("b", 5e6, draws=drawn * (1 + 1e-12))
    single = counted("single", 5e6, draws=drawn.astype(np.float32))  # as tables of very many have
    assert compare([a, b]).beats[0, 1] == 0.5
    assert compare([a, single]).beats[0, 1] == pytest.approx(0.5, abs=0.02)


def test_the_same_plan_from_two_files_does_not_differ(files):
    plans = gather([files / "one.gpkg", files / "same.gpkg"], settings=SETTINGS)
    made = compare(plans)
    assert made.beats[0, 1] == 0.5 and set(made.ties) == {1}
    table = comparison_table(made)
    assert (table["difference"].fillna(0) == 0).all()
    told = table[table["probability_less"].notna()]
    assert len(told) > 20 and (told["probability_less"] == 0.5).all()
    page = compare_page(made, record=RECORD)
    assert "the difference is not significant" in page


@given(st.floats(0.001, 1000.0), st.floats(-5.0, 5.0))
def test_order_and_odds_do_not_hang_on_the_scale(scale, shift):
    """Multiplying all amounts changes neither rank nor probability."""
    base = np.sin(np.arange(40.0)) + 3
    plans = [counted(n, 3.0 + k, draws=base + k * np.cos(np.arange(40.0) + shift))
             for k, n in enumerate("abc")]  # fmt: skip
    scaled = [
        counted(p.name, p.values[NET] * scale, draws=p.draws[NET] * scale) for p in plans
    ]  # fmt: skip
    one, other = compare(plans), compare(scaled)
    assert [p.name for p in one.plans] == [p.name for p in other.plans]
    assert np.abs(one.beats - other.beats).max() <= 0.5 / 40 and one.ties == other.ties


def test_what_carbon_is_told_per_can_be_chosen_and_floors_are_not_invented():
    plans = [counted("a", 40.0), counted("b", 60.0, floor_m2=2_000.0)]
    assert [p.name for p in compare(plans).plans] == ["b", "a"]
    by_plan = compare(plans, CompareSettings(per="plan"))
    assert [p.name for p in by_plan.plans] == ["a", "b"] and by_plan.net[0] == pytest.approx(0.04)
    park = [*plans, counted("park", 5.0, floor_m2=0.0)]
    assert compare(park).measure.column == "site_area_m2"
    with pytest.raises(InputError, match="park: has no floors; use per=site"):
        compare(park, CompareSettings(per="floor"))


def test_a_reference_is_one_of_the_plans():
    plans = [counted("a", 40.0), counted("b", 60.0)]
    assert compare(plans, CompareSettings(reference="b")).reference == 1
    with pytest.raises(SettingsError, match="reference=c: no plan of this name; use a, b"):
        compare(plans, CompareSettings(reference="c"))


def test_a_folder_of_scores_is_taken_as_it_was_counted(scores, three):
    before = gather([scores], settings=SETTINGS)
    now = {one.name: one for one in three}
    assert sorted(one.name for one in before) == ["scores/two-s01", "scores/two-s02"]
    for one in before:
        anew = now[one.name.removeprefix("scores/")]
        assert np.allclose(one.draws[NET], anew.draws[NET])
        assert one.values[NET] == pytest.approx(anew.values[NET])
        assert one.not_assessed == ("wind",)
        assert one.horizon_years == anew.horizon_years == 60


def test_of_very_many_plans_the_best_are_taken_from_the_parts(scores, tmp_path):
    """Very many plans stand ranked in one table without draws, and with them in parts."""
    table = pd.read_parquet(scores / "scores.parquet")
    many = tmp_path / "many"
    (many / "parts").mkdir(parents=True)
    shutil.copy(scores / "run.json", many)
    names = [f"p{n:03d}" for n in range(500)]
    rows = table.drop(columns="rank").iloc[[0] * 500].assign(plan=names, problem="")
    rows[NET] = 1000.0 + np.arange(500)
    for part in range(5):  # that know no order
        of_part = rows.iloc[4 - part :: 5]
        of_part.to_parquet(many / "parts" / f"part-{part:05d}.parquet", index=False)
    ranked = pd.DataFrame({"plan": names, "file": table["file"].iloc[0], "rank": range(1, 501)})
    ranked.sample(frac=1, random_state=1).to_parquet(many / "scores.parquet")
    with pytest.raises(InputError, match="many: holds 500 plans; compare its best 400 by best=400"):
        gather([many], settings=SETTINGS)
    plans = gather([many], settings=SETTINGS, best=3)
    assert [one.name for one in plans] == ["many/p000", "many/p001", "many/p002"]
    assert [one.values[NET] for one in plans] == [1000.0, 1001.0, 1002.0]
    (one, two) = gather([many / "p449", many / "p007"], settings=SETTINGS)
    assert (one.values[NET], two.values[NET]) == (1449.0, 1007.0)


def test_one_plan_of_a_file_or_folder_can_be_named(scores, files):
    plans = gather([scores / "two-s01", scores / "s02"], settings=SETTINGS)
    assert [one.name for one in plans] == ["scores/two-s01", "scores/two-s02"]
    with pytest.raises(InputError, match="scores: holds no plan s09; it holds"):
        gather([scores / "s09", scores], settings=SETTINGS)


def test_a_folder_of_schemes_is_counted_anew_under_its_own_name(files):
    folder = files / "dense"
    folder.mkdir()
    shutil.copy(files / "two.gpkg", folder / "schemes.gpkg")
    (folder / "run.json").write_text(json.dumps({"verb": "generate"}))
    plans = gather([folder], settings=SETTINGS)
    assert sorted(one.name for one in plans) == ["dense/s01", "dense/s02"]
    assert all("bldg.heat.residential" in one.draws for one in plans)


def test_inputs_that_cannot_be_compared_are_told_in_one_line(scores, files, tmp_path):
    cases = [
        ([files / "one.gpkg"], SETTINGS, "one plan only, one; give at least two"),
        ([scores, files / "one.gpkg"], ScoreSettings(draws=16),
         "this run: counted with draws=16, scores with draws=32"),
        ([scores, files / "one.gpkg"], ScoreSettings(draws=32, region="se"),
         "different carbon regions: scores/two-s0. in fi, one in se; count all in one"),
    ]  # fmt: skip
    for paths, settings, message in cases:
        with pytest.raises(InputError, match=message):
            gather(paths, settings=settings)
    (tmp_path / "run.json").write_text('{"verb": "ingest"}')
    with pytest.raises(InputError, match="holds no plans"):
        gather([tmp_path, scores], settings=SETTINGS)
    old = tmp_path / "old"
    shutil.copytree(scores, old)
    pd.read_parquet(old / "scores.parquet").drop(columns="net_draws_kgco2e_per_year").to_parquet(
        old / "scores.parquet"
    )
    with pytest.raises(FormatError, match="old/scores.parquet: holds no draws"):
        gather([old, scores], settings=SETTINGS)
    (old / "run.json").write_text("{")
    with pytest.raises(FormatError, match=r"old/run.json: cannot be read"):
        gather([old, scores], settings=SETTINGS)


def test_the_folder_holds_all_of_it_and_the_page_stands_by_itself(three, tmp_path):
    made = compare(three)
    out = write_comparison(made, tmp_path / "out", record=RECORD)
    assert sorted(p.name for p in out.iterdir()) == [
        "compare.html", "comparison.csv", "comparison.parquet", "pairs.csv", "run.json",
    ]  # fmt: skip
    table = pd.read_parquet(out / "comparison.parquet")
    assert set(table["plan"]) == {one.name for one in three}
    assert len(pd.read_csv(out / "comparison.csv")) == len(table)
    assert len(pd.read_csv(out / "pairs.csv")) == 3
    page = (out / "compare.html").read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)
    assert "<script src" not in page and "@import" not in page and "url(" not in page
    assert page.count("<canvas") == 1 and page.count("<option") == 3  # all of one site
    assert len(re.findall(r'class="plan"', page)) == 3
    from test_html import Balance

    parser = Balance()
    parser.feed(page)
    parser.close()
    assert parser.open == []


def test_a_net_is_the_sum_of_the_lines_beside_it(three):
    made = compare(three)
    table = comparison_table(made)
    for name in {one.name for one in made.plans}:
        own = table[table["plan"] == name]
        lines = own.groupby("kind")["difference"].sum()
        net = own[own["quantity"] == NET]["difference"].iloc[0]
        assert lines["emission"] - lines["sink"] == pytest.approx(net, abs=1e-4)


@pytest.mark.parametrize("count", [2, NAMED, NAMED + 1, 200])
def test_charts_and_pages_hold_few_plans_and_many(count):
    rng = np.random.default_rng(count)
    plans = [counted(f"p{n}", 1e5 * rng.uniform(1, 2)) for n in range(count)]
    made = compare(plans)
    axes, same = axes_of(made)
    assert [axis.title for axis in axes] == ["Net", "Emission"]
    assert any(text.startswith("Floor area ratio") for text in same)
    chart = parallel_svg(made, axes)
    assert chart.count('class="plan"') == count
    assert chart.count("data-name=") == (count if count <= NAMED else 0)
    page = compare_page(made, record=RECORD)
    assert page.count("<tr data-plan=") == count
    assert len(pairs_table(made)) == count * (count - 1) // 2


def test_places_on_an_axis_are_shares_of_its_range():
    made = compare([counted("a", 1000.0), counted("b", 2000.0), counted("c", 3000.0)])
    axis = axes_of(made)[0][0]
    assert axis.values.tolist() == [1.0, 2.0, 3.0]
    assert axis.at()[1] == pytest.approx(0.5) and 0 < axis.at()[0] < 0.05
    found = re.findall(r'data-plan="1" data-at="([^ "]+)', parallel_svg(made, [axis]))
    assert found == ["0.5000"]


def test_names_cannot_become_markup():
    name = "<script>alert(1)</script>"
    page = compare_page(compare([counted(name, 10.0), counted("b", 11.0)]), record=RECORD)
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page


def test_plans_of_one_name_are_told_apart(scores):
    plans = gather([scores / "s01", scores / "s01", scores / "s01"], settings=SETTINGS)
    names = [one.name for one in plans]
    assert names == ["scores/two-s01", "scores/two-s01 (2)", "scores/two-s01 (3)"]


def test_a_value_that_a_plan_lacks_is_no_zero():
    a, b = counted("a", 10.0), counted("b", 11.0)
    values = {k: v for k, v in b.values.items() if k != FLOW}
    table = comparison_table(compare([a, counted("b", 11.0, values=values)]))
    row = table.set_index(["quantity", "plan"]).loc[(FLOW, "b")]
    assert np.isnan(row["value"]) and np.isnan(row["difference"]) and not row["significant"]


@pytest.mark.parametrize(
    ("value", "shown"), [(1234.5, "1,234"), (-12.34, "−12.3"), (0.0123, "0.012"), (float("nan"), "–")]
)  # fmt: skip
def test_figures_have_three_digits(value, shown):
    assert figure(value) == shown


def test_odds_are_certain_only_where_they_are():
    assert [percent(p) for p in (0.0, 0.001, 0.046, 0.5, 0.948, 0.999, 1.0)] == [
        "0 %", "< 1 %", "4.6 %", "50 %", "94.8 %", "> 99 %", "100 %",
    ]  # fmt: skip
    assert signed(1.5) == "+1.50" and signed(-1.5) == "−1.50"
