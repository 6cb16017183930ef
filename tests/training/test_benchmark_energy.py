"""The metered check, on made records and on a sample of real ones."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "golden" / "energy" / "seattle-2016-sample.csv"
KWH_PER_M2 = 3.1546  # of one kBtu per square foot
COLUMNS = (
    "LargestPropertyUseType", "NumberofFloors", "PropertyGFABuilding(s)", "SiteEUI(kBtu/sf)",
    "SiteEnergyUse(kBtu)", "Electricity(kBtu)", "NaturalGas(kBtu)", "SteamUse(kBtu)",
    "TotalGHGEmissions", "ComplianceStatus", "Outlier",
)  # fmt: skip


def record(kind="Office", floors=6, area=46500.0, eui=50.0, gas_share=0.2, **others):
    energy = eui * area
    values = (kind, floors, area, eui, energy, energy * (1 - gas_share), energy * gas_share, 0.0,
              energy * 1e-5, "Compliant", "")  # fmt: skip
    return {**dict(zip(COLUMNS, values, strict=True)), **others}


@pytest.fixture
def table(tmp_path):
    """Writes records as a benchmarking file."""

    def write(records, columns=COLUMNS):
        path = tmp_path / "records.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(records)
        return path

    return write


def run(benchmark, path, out, *words):
    code = benchmark.main(
        ["energy", "--records", str(path), "--region", "US-WA", "--json", str(out), *words]
    )
    return code, json.loads(out.read_text()) if out.exists() else None


def test_medians_are_those_of_the_meters(benchmark, table, tmp_path):
    path = table([record(eui=e) for e in (30.0, 50.0, 90.0)])
    code, result = run(benchmark, path, tmp_path / "out.json")
    (row,) = result["too_few"]
    assert code == 0 and result["by_use"] == [] and row["use"] == "office" and row["n"] == 3
    assert row["median_metered_kwh_per_m2"] == pytest.approx(50 * KWH_PER_M2, abs=0.1)
    ratio = row["median_model_kwh_per_m2"] / row["median_metered_kwh_per_m2"]
    assert row["median_ratio"] == pytest.approx(ratio, abs=2e-3)


def test_an_archetype_is_the_row_of_the_region_whatever_the_meters_say(benchmark, table, tmp_path):
    for eui in (10.0, 200.0):
        path = table([record(eui=eui)] * 3)
        _, result = run(benchmark, path, tmp_path / "out.json", "--how", "archetype")
        assert result["too_few"][0]["median_model_kwh_per_m2"] == pytest.approx(166.9)


def test_metered_carriers_become_emissions_by_the_region_and_are_not_the_city_s(
    benchmark, table, tmp_path
):
    _, result = run(benchmark, table([record(gas_share=0.25)] * 3), tmp_path / "out.json")
    row = result["too_few"][0]
    gas = 56.1 * 3.6e-3
    expected = 50 * KWH_PER_M2 * (0.75 * result["electricity_kgco2e_per_kwh"] + 0.25 * gas)
    assert row["median_metered_kgco2e_per_m2"] == pytest.approx(expected, abs=0.1)
    assert row["median_reported_kgco2e_per_m2"] == pytest.approx(50 * 1e-5 * 1000 / 0.0929, abs=0.1)


def test_rows_of_doubt_are_left_out_and_counted(benchmark, table, tmp_path):
    path = table([
        record(), record(Outlier="High outlier"), record(ComplianceStatus="Non-Compliant"),
        record(floors=0), record("Supermarket/Grocery Store"),
        record(**{"Electricity(kBtu)": -5.0}), record(**{"SteamUse(kBtu)": ""}),
    ])  # fmt: skip
    _, result = run(benchmark, path, tmp_path / "out.json")
    assert result["records"] == 1
    assert result["left_out"] == {
        "an outlier, says the city": 1, "not compliant": 1, "no energy, area or floors": 1,
        "use Supermarket/Grocery Store": 1, "more fed in than bought": 1,
        "a carrier is not metered": 1,
    }  # fmt: skip


@pytest.mark.parametrize("how", ["hybrid", "physical"])
def test_a_compact_building_needs_less_than_a_flat_one(how, benchmark, table, tmp_path):
    found = []
    for floors in (1, 6):
        path = table([record("Multifamily Housing", floors=floors)] * 3)
        _, result = run(benchmark, path, tmp_path / "out.json", "--how", how)
        found.append(result["too_few"][0]["median_model_kwh_per_m2"])
    assert found[0] > found[1]


def wrong(table, tmp_path):
    """Each wrong call with the start of its line."""
    good = table([record()])
    text = tmp_path / "text.csv"
    text.write_text("a,b\n1,2\n")
    broken = tmp_path / "broken.csv"
    rows = good.read_text().replace("46500.0", "many")
    broken.write_text(rows)
    empty = tmp_path / "empty.csv"
    empty.write_text(good.read_text().splitlines()[0] + "\n")
    here = ["--region", "US-WA"]
    return [
        (["energy", "--records", str(tmp_path / "none.csv"), *here], "none.csv: cannot be read"),
        (["energy", "--records", str(text), *here], "text.csv: the columns LargestPropertyUseType"),
        (["energy", "--records", str(broken), *here],
         "broken.csv, line 2: PropertyGFABuilding(s) is 'many'"),
        (["energy", "--records", str(empty), *here], "empty.csv: no row can be used"),
        (["energy", "--records", str(good), "--region", "US-XX"],
         "there is no carbon region 'US-XX'"),
        (["energy", "--records", str(good), *here, "--how", "magic"], "--how magic"),
        (["energy", "--records", str(good), *here, "--json", str(tmp_path)], "--json "),
        (["energy", "--records", str(good)], "benchmark.py energy: the following arguments"),
        (["energi"], "benchmark.py: argument command: invalid choice"),
        ([], "benchmark.py: the following arguments are required: command"),
    ]  # fmt: skip


def test_wrong_input_is_one_line_and_exit_code_2(benchmark, table, tmp_path, capsys):
    for words, start in wrong(table, tmp_path):
        assert benchmark.main(words) == 2, words
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and start in said, said


def test_the_script_runs_by_itself(table, tmp_path):
    out = tmp_path / "out.json"
    words = ["energy", "--records", str(table([record()])), "--region", "US-WA"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "training" / "benchmark.py"), *words, "--json", str(out)],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("| use | n |")
    assert json.loads(out.read_text())["region"] == "us-wa"


def test_the_model_meets_the_meters_of_seattle_within_a_quarter(benchmark, tmp_path):
    """Medians by use of a random sample; the factors come from national and regional surveys."""
    _, result = run(benchmark, SAMPLE, tmp_path / "out.json")
    assert {row["use"] for row in result["by_use"]} == {"residential", "office", "industrial"}
    for row in result["by_use"]:
        assert 0.75 <= row["median_ratio"] <= 1.25, row
        assert 0.75 <= row["median_emission_ratio"] <= 1.25, row


def test_metered_medians_agree_with_a_plain_count(benchmark, tmp_path):
    _, result = run(benchmark, SAMPLE, tmp_path / "out.json")
    rows = list(csv.DictReader(SAMPLE.read_text().splitlines()))
    homes = [
        float(row["SiteEUI(kBtu/sf)"]) * KWH_PER_M2
        for row in rows
        if row["LargestPropertyUseType"] == "Multifamily Housing"
        and row["ComplianceStatus"] == "Compliant"
        and not row["Outlier"]
        and float(row["NumberofFloors"]) > 0
    ]
    (row,) = [row for row in result["by_use"] if row["use"] == "residential"]
    assert row["n"] == len(homes)
    assert row["median_metered_kwh_per_m2"] == pytest.approx(np.median(homes), abs=0.1)
