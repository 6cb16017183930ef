"""A user's own factors: read with units, refused in one line, and counted with."""

import pytest

from fabricgen.carbon import evaluate
from fabricgen.carbon.conversions import scale_between
from fabricgen.carbon.factors import factor, read_own
from fabricgen.carbon.regions import region, with_factors
from fabricgen.errors import FormatError, SettingsError


def written(tmp_path, *rows, head="id,value,low,high,unit,source"):
    path = tmp_path / "mine.csv"
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("unit", "into", "scale"),
    [
        ("gCO2e/kWh", "kgCO2e/kWh", 1e-3), ("kgCO2/GJ", "kgCO2/kWh", 3.6e-3),
        ("t CO2e/kWh", "t CO2e/kWh", 1.0), ("MJ/m2/yr", "kWh/m2/yr", 1 / 3.6),
        ("tC/ha", "kgC/m2", 0.1), ("%", "1", 0.01), ("kBtu/ft2/yr", "kWh/m2/yr", 3.1546),
        ("kgCO2e/m2 GFA", "kgCO2e/m2 GFA", 1.0),
    ],
)  # fmt: skip
def test_units_that_measure_the_same_convert(unit, into, scale):
    assert scale_between(unit, into, where="test") == pytest.approx(scale, rel=1e-4)


@pytest.mark.parametrize(
    ("unit", "into"),
    [("kgCO2/kWh", "kgCO2e/kWh"), ("kgCO2e/m2", "kgCO2e/m2 GFA"), ("kWh", "kWh/m2"),
     ("kgC/m2", "kgCO2/m2"), ("apples", "kWh/m2/yr")],
)  # fmt: skip
def test_units_that_measure_something_else_do_not(unit, into):
    with pytest.raises(FormatError, match=f"does not convert into '{into}'; give {into}"):
        scale_between(unit, into, where="test")


def test_a_table_replaces_factors_and_is_named_as_their_source(tmp_path, soft):
    path = written(tmp_path, "heat.fi.dh,260,200,300,gCO2e/kWh,the network")
    own = read_own(path)
    mine = own["heat.fi.dh"]
    assert (mine.value, mine.low, mine.high) == pytest.approx((0.26, 0.2, 0.3))
    assert mine.unit == factor("heat.fi.dh").unit and mine.source == "the network"
    ledger = evaluate(soft(), region=with_factors(region("fi"), own))
    plain = evaluate(soft(), region="fi")
    heat = [
        next(float(e.amount[0]) for e in x.entries if "heat" in e.name) for x in (ledger, plain)
    ]
    assert heat[0] == pytest.approx(2 * heat[1])
    assert ledger.factors["heat.fi.dh"].source == "the network"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("heat.fi.dh,0.2,,0.3,kgCO2e/kWh,x", "factor heat.fi.dh lacks a value, low or high"),
        ("heat.fi.dh,0.2,0.1,0.3,kgCO2e/m2,x", "does not convert into 'kgCO2e/kWh'"),
        ("heat.fi.dh,0.4,0.1,0.3,kgCO2e/kWh,x", "has 0.4 outside its range"),
        ("heat.fi.dh,nan,nan,nan,kgCO2e/kWh,x", "heat.fi.dh"),
    ],
)
def test_a_broken_row_is_refused_in_one_line(tmp_path, row, message):
    with pytest.raises(FormatError, match=message) as raised:
        read_own(written(tmp_path, row))
    assert str(raised.value).startswith("mine.csv: ")


def test_an_unknown_id_suggests_the_nearest(tmp_path):
    with pytest.raises(SettingsError, match=r"no carbon factor heat.fi.dhh; did you mean"):
        read_own(written(tmp_path, "heat.fi.dhh,1,1,1,1,x"))


def test_files_that_are_no_tables_are_refused(tmp_path):
    with pytest.raises(FormatError, match="no.csv: cannot be read as a table"):
        read_own(tmp_path / "no.csv")
    with pytest.raises(FormatError, match="no column id"):
        read_own(written(tmp_path, "a,b", head="x,y"))
    twice = "heat.fi.dh,1,1,1,kgCO2e/kWh,x"
    with pytest.raises(FormatError, match="stands twice"):
        read_own(written(tmp_path, twice, twice))
