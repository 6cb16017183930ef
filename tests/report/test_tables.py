import math
from dataclasses import replace

import pytest

from fabricgen.form.indicators import of_plan
from fabricgen.report import scores_table
from fabricgen.report.tables import GREEN, factors_used, number, slices, ties, tonnes

COLUMNS = [
    "scheme", "rank", "tie", "seed", "far", "site_coverage", "green_ratio", "mean_height_m",
    "road_share", "tree_share", "gross_floor_area_m2",
    "shrub_cover_share", "mixed_planting_share", "ecological_space_share",
    "net_sink_kgco2e_per_m2_year", "urban_greening_factor", "green_plot_ratio", "runoff_50mm_share",
    "sky_view_open_share", "sky_view_street_share", "green_m2_per_person", "largest_patch_share",
    "patches_per_km2", "nearest_patch_m", "connected_50m_share", "path_m_per_ha",
    "shaded_path_share", "within_300m_of_green_share", "emission_kgco2e_per_year",
    "sink_kgco2e_per_year", "avoided_kgco2e_per_year", "net_kgco2e_per_year",
    "net_p05_kgco2e_per_year", "net_p50_kgco2e_per_year", "net_p95_kgco2e_per_year",
    "net_kgco2e_per_m2_gfa_year", "origin", "unmet",
]  # fmt: skip


def test_the_scores_have_their_columns_and_a_row_per_scheme(schemes):
    table = scores_table(schemes)
    assert list(table.columns) == COLUMNS
    assert list(table["scheme"]) == [scheme.name for scheme in schemes]


def test_net_is_emission_minus_sink_and_avoided_stays_out(schemes):
    table = scores_table(schemes)
    net = table["emission_kgco2e_per_year"] - table["sink_kgco2e_per_year"]
    assert (table["net_kgco2e_per_year"] == net).all()
    for scheme, value in zip(schemes, net, strict=True):
        assert value == pytest.approx(scheme.score.net_kgco2e_per_year, rel=1e-5)


def test_what_is_not_assessed_is_missing_and_not_zero(schemes):
    assert scores_table(schemes)["avoided_kgco2e_per_year"].isna().all()
    assert tonnes(math.nan) == "not assessed"


def test_net_per_floor_area_divides_by_the_plan_s_own_floor_area(schemes):
    table = scores_table(schemes)
    for scheme, row in zip(schemes, table.itertuples(), strict=True):
        floor_m2 = (scheme.plan.buildings.area * scheme.plan.buildings["floors"]).sum()
        assert row.gross_floor_area_m2 == pytest.approx(floor_m2)
        assert row.net_kgco2e_per_m2_gfa_year == pytest.approx(row.net_kgco2e_per_year / floor_m2)


def test_green_indicators_are_assessed_and_what_a_score_lacks_is_missing(schemes):
    table = scores_table(schemes)
    assert table[list(GREEN)].drop(columns="nearest_patch_m").notna().all().all()
    assert (table["ecological_space_share"] >= table["green_ratio"] - 0.02).all()
    score = replace(schemes[0].score, indicators=of_plan(schemes[0].plan))
    bare = scores_table([replace(schemes[0], score=score)])
    assert bare[list(GREEN)].isna().all().all()


def test_unmet_asks_are_told_with_the_nearest_and_the_reason(schemes):
    missed = [scheme for scheme in schemes if scheme.unmet]
    row = scores_table(missed).iloc[0]
    nearest = of_plan(missed[0].plan)["far"]
    assert (
        row["unmet"] == f"far: asked 1.5, nearest {nearest:.2f} (storeys change by whole storeys)"
    )
    met = [scheme for scheme in schemes if not scheme.unmet]
    assert (scores_table(met)["unmet"] == "").all()


def test_families_add_up_to_their_kind(schemes):
    ledger = schemes[0].score.ledger
    for kind in ("emission", "sink"):
        total = sum(piece.kgco2e_per_year for piece in slices(ledger, kind))
        assert total == pytest.approx(float(ledger.amounts(kind)[0, 0]), rel=1e-5)
        assert "Other" not in [piece.title for piece in slices(ledger, kind)]


def test_every_factor_of_every_entry_is_listed_once(schemes):
    names = [factor.id for factor in factors_used(schemes)]
    assert names == sorted(set(names))
    assert set(names) == {f for s in schemes for e in s.score.ledger.entries for f in e.factors}


def test_tie_groups_keep_the_order_of_the_ranks(schemes):
    groups = ties(list(reversed(schemes)))
    assert [s.rank for group in groups for s in group] == list(range(1, len(schemes) + 1))
    assert all(len({s.tie for s in group}) == 1 for group in groups)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("far", 1.234, "1.23"), ("green_ratio", 0.3456, "34.6 %"), ("mean_height_m", 12.34, "12.3 m"),
        ("gross_floor_area_m2", 12345.6, "12,346 m²"), ("far", math.nan, "–"),
        ("runoff_50mm_share", 0.4321, "43.2 %"), ("path_m_per_ha", 1254.4, "1,254 m/ha"),
        ("green_m2_per_person", 8.25, "8.2 m²"), ("urban_greening_factor", 0.314, "0.31"),
    ],
)  # fmt: skip
def test_numbers_are_shown_with_their_units(name, value, text):
    assert number(name, value) == text


@pytest.mark.parametrize(
    ("kg", "text"), [(1_234_567, "1,235"), (12_345, "12.3"), (1_234, "1.23"), (-1_234, "-1.23")]
)
def test_tonnes_keep_three_figures(kg, text):
    assert tonnes(kg) == text
