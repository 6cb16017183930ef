"""The page of a scored plan: by itself, with every factor one click from its source."""

import re

import numpy as np
import pandas as pd
import pytest

from fabricgen.carbon.uncertainty import net_draws
from fabricgen.design.candidates import ScoreSettings, score_files
from fabricgen.errors import InputError
from fabricgen.exchange import write_schemes
from fabricgen.report.score_charts import anchor, positive_text, short, timeline_svg, tornado_svg
from fabricgen.report.score_page import DRAWS, score_page, score_table, write_scores


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    from report_schemes import plan_of

    path = tmp_path_factory.mktemp("score") / "plans.gpkg"
    write_schemes([("s01", plan_of(1)), ("s02", plan_of(2))], path)
    return score_files([path], settings=ScoreSettings(draws=32))


RECORD = {"verb": "score", "fabricgen": {"version": "1.2.3"}}


def test_a_page_needs_nothing_from_elsewhere(scored):
    page = score_page(scored[0], scored, record=RECORD)
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)
    assert "<script src" not in page and "@import" not in page


def test_every_factor_of_every_entry_is_one_click_from_its_source(scored):
    one = scored[0]
    page = score_page(one, scored, record=RECORD)
    links = set(re.findall(r'href="#([^"]+)"', page))
    rows = dict(re.findall(r'<tr id="([^"]+)">(.*?)</tr>', page, flags=re.S))
    assert links and links <= set(rows)
    for entry in one.score.ledger.entries:
        for name in entry.factors:
            assert anchor(name) in links and anchor(name) in rows
    for name, factor in one.score.ledger.factors.items():
        assert factor.source.split("&")[0].split("<")[0][:20].split("'")[0] in rows[anchor(name)]


def test_the_page_shows_bars_years_place_and_tornado(scored):
    page = score_page(scored[0], scored, record=RECORD)
    for title in (
        "emission, sink and avoided", "summed over the years", "net carbon by place",
        "what net hangs on", "GPC (GHG Protocol for Cities)", "EN 15978", "Hardening gap",
        "Unconfirmed factors",
    ):  # fmt: skip
        assert title in page
    assert f"P({scored[0].name} is better)" in page


def test_the_tables_hold_a_row_a_plan_with_every_flow(scored, tmp_path):
    out = write_scores(scored, tmp_path / "out", record=RECORD)
    table = pd.read_parquet(out / "scores.parquet")
    assert list(table["plan"]) == [one.name for one in scored]
    assert sorted(p.name for p in out.glob("*.html")) == ["plans-s01.html", "plans-s02.html"]
    csv = pd.read_csv(out / "scores.csv")
    assert [*csv.columns, DRAWS] == list(table.columns) and (out / "run.json").exists()
    for drawn, one in zip(table[DRAWS], scored, strict=True):
        assert np.array_equal(drawn, net_draws(one.score.ledger).double().numpy())
    for row, one in zip(table.to_dict("records"), scored, strict=True):
        emission = sum(row[e.name] for e in one.score.ledger.entries if e.kind == "emission")
        assert emission == pytest.approx(row["emission_kgco2e_per_year"], rel=1e-6)
        net = row["emission_kgco2e_per_year"] - row["sink_kgco2e_per_year"]
        assert net == pytest.approx(row["net_kgco2e_per_year"], rel=1e-6)


def test_a_folder_of_others_is_left_alone(scored, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        write_scores(scored, tmp_path, record=RECORD)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_charts_are_drawn_without_draws_and_without_swings(scored):
    assert timeline_svg(scored[0].score.ledger).count("<polyline") == 3
    assert "<svg" in tornado_svg([])


def test_small_texts():
    assert short("abcdef", 4) == "…def" and short("abc", 4) == "abc"
    assert positive_text(float("inf"), 60) == "not within 60 years"
    assert positive_text(12.0, 60) == "12 years"


def test_what_was_not_assessed_is_no_zero(scored):
    row = score_table(scored).iloc[0]
    kinds = {entry.kind for entry in scored[0].score.ledger.entries}
    assert pd.isna(row["avoided_kgco2e_per_year"]) == ("avoided" not in kinds)
