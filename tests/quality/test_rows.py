"""Numbers of plans are kept, and a stopped run goes on."""

import json
import math

import numpy as np
import pytest

from fabricgen.errors import FormatError
from fabricgen.quality.descriptors import KEYS
from fabricgen.quality.layouts import unpack
from fabricgen.quality.metrics import (
    Set,
    control,
    figure,
    mean_figure,
    over_seeds,
    seams,
    validity,
)
from fabricgen.quality.reals import drawn_real
from fabricgen.quality.rows import MAP, Rows, column, measure

HOUSES = [(100, 100, 20, 12, 3), (150, 150, 20, 12, 3)]
STREETS = [(68, 128, 188, 128, 8.0, 2)]


@pytest.fixture
def place(make_place, cross_labels):
    return make_place(cross_labels, HOUSES, STREETS, name="one")


def test_a_row_holds_all_that_is_measured(place):
    row = measure(drawn_real(place), place)
    assert set(KEYS) <= set(row)
    assert {"seam.recall", "validity.clean", "got.far", MAP} <= set(row)
    assert row["bld.cover"] == pytest.approx(2 * 240 / 120**2, rel=0.02)
    assert unpack(row[MAP])[0].sum() * 4 == pytest.approx(480, rel=0.1)


def test_a_run_goes_on_from_its_file(place, tmp_path):
    made = []

    def make():
        made.append(1)
        return drawn_real(place)

    first = Rows(tmp_path / "rows.json", key="k")
    row = first.get("real", place, make)
    assert not (tmp_path / "rows.json").exists()
    first.flush()
    again = Rows(tmp_path / "rows.json", key="k")
    assert again.has("real", place) and not again.has("made0", place)
    kept = again.get("real", place, make)
    assert made == [1]
    assert kept[MAP] == row[MAP]
    np.testing.assert_equal([kept[k] for k in KEYS], [row[k] for k in KEYS])  # NaN among them
    assert any(math.isnan(kept[k]) for k in KEYS)


def test_rows_of_another_run_do_not_count_and_damage_is_told(place, tmp_path):
    path = tmp_path / "rows.json"
    rows = Rows(path, key="k")
    rows.get("real", place, lambda: drawn_real(place))
    rows.flush()
    json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert not Rows(path, key="other").has("real", place)
    path.write_text(path.read_text()[:50])
    with pytest.raises(FormatError, match=r"rows\.json: damaged; delete it and run again"):
        Rows(path, key="k")


def test_control_by_hand():
    rows = [
        {"got.far": 2.2, "got.site_coverage": 0.02, "got.green_ratio": 0.3},
        {"got.far": 1.0, "got.site_coverage": 0.4, "got.green_ratio": 0.5},
    ]
    asked = {
        "a": {"far": 2.0, "site_coverage": 0.01, "green_ratio": 0.35},
        "b": {"site_coverage": 0.5},
    }
    found = control(Set(rows, ["a", "b"]), asked)
    assert (
        found["control.far_mape"]["value"] == pytest.approx(0.1)
        and found["control.far_mape"]["n"] == 1
    )
    # A coverage of 0.01 is measured against the least of 0.05.
    assert found["control.coverage_mape"]["value"] == pytest.approx((0.01 / 0.05 + 0.2) / 2)
    assert found["control.green_mae"]["value"] == pytest.approx(0.05)


def test_means_leave_out_what_is_missing_and_say_how_many_there_were():
    told = mean_figure(np.array([1.0, np.nan, 3.0]))
    assert told["value"] == 2 and told["n"] == 2
    assert told["ci95"] == pytest.approx([2 - 1.96, 2 + 1.96])
    assert "ci95" not in figure(1.0, math.nan, 1)


def test_contrast_is_a_ratio_of_sums():
    base = {
        "seam.recall": math.nan,
        "seam.precision": 1.0,
        "seam.offset": math.nan,
        "seam.cut_buildings": 0.0,
    }
    pairs = [(0.3, 0.1), (0.1, 0.1), (math.nan, math.nan), (0.2, 0.0)]
    rows = [base | {"seam.across": a, "seam.inner": b} for a, b in pairs]
    found = seams(Set(rows, list("abcd")))
    assert (
        found["seam.contrast"]["value"] == pytest.approx(0.6 / 0.2)
        and found["seam.contrast"]["n"] == 3
    )
    assert "seam.recall" not in found and found["seam.precision"]["value"] == 1


def test_seeds_are_averaged_and_kept():
    runs = [
        {"a": {"value": v, "ci95": [v - 1, v + 1], "n": 5, "unit": ""}} for v in (1.0, 2.0, 6.0)
    ]
    told = over_seeds(runs)["a"]
    assert told["value"] == 3 and told["by_seed"] == [1.0, 2.0, 6.0]
    assert told["ci95"] == pytest.approx([2.0, 4.0])


def test_faults_are_means_over_sites():
    rows = [
        {"validity.clean": 1.0, "validity.pinch": math.nan},
        {"validity.clean": 0.0, "validity.pinch": 0.2},
    ]
    found = validity(Set(rows, ["a", "b"]))
    assert found["validity.clean"]["value"] == 0.5 and found["validity.pinch"]["value"] == 0.2
    assert column(rows, "validity.clean").tolist() == [1.0, 0.0]
