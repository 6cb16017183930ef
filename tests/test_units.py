"""Conversions agree with their definitions."""

import pytest

from fabricgen import units


def test_carbon_to_carbon_dioxide_is_the_ratio_of_molar_masses():
    assert pytest.approx(44 / 12) == units.CO2_PER_C


def test_a_kilowatt_hour_is_3_6_megajoules():
    assert pytest.approx(1.0) == 3.6 * units.KWH_PER_MJ


def test_a_hectare_and_a_square_kilometer_agree():
    assert 100 * units.M2_PER_HA == units.M2_PER_KM2


def test_twelve_inches_are_a_foot():
    assert pytest.approx(units.M_PER_FOOT) == 12 * units.M_PER_INCH
