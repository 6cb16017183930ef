"""The doctor tells good weights from damaged ones, and says what is missing."""

import hashlib
import json

import pytest

from fabricgen.cli import doctor
from fabricgen.cli.app import main
from fabricgen.cli.doctor import Finding, describe, verify_weights


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "default.safetensors"
    path.write_bytes(b"numbers")
    card = {"sha256": hashlib.sha256(b"numbers").hexdigest()}
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


def test_good_weights_are_verified(weights):
    found = verify_weights(weights)
    assert not found.missing and found.value.endswith("hash verified")


def test_one_flipped_bit_is_found(weights):
    weights.write_bytes(b"nuMbers")
    assert verify_weights(weights).missing and "damaged" in verify_weights(weights).value


def test_missing_weights_are_named(weights):
    weights.unlink()
    assert verify_weights(weights).value.endswith("no default.safetensors")


@pytest.mark.parametrize("card", ["", "{}", "[1]"])
def test_a_card_that_is_none_is_named(weights, card):
    weights.with_suffix(".json").write_text(card)
    assert "not a card of weights" in verify_weights(weights).value


def test_something_missing_exits_with_3_and_its_fix(monkeypatch, capsys):
    for name in ("look_at_torch", "look_at_gdal", "look_at_configs", "look_at_weights"):
        monkeypatch.setattr(doctor, name, list)
    monkeypatch.setattr(doctor, "REQUIRED", ("json", "no_such_package_at_all"))
    assert main(["doctor"]) == 3
    line = next(text for text in capsys.readouterr().out.splitlines() if "no_such" in text)
    assert line.startswith("!!") and line.endswith("pip install no_such_package_at_all")


def test_nothing_missing_exits_with_0_and_one_document(monkeypatch, capsys):
    for name in ("look_at_torch", "look_at_gdal", "look_at_configs", "look_at_weights"):
        monkeypatch.setattr(doctor, name, list)
    monkeypatch.setattr(doctor, "REQUIRED", ("rich",))
    assert main(["doctor", "--json"]) == 0
    names = [finding["name"] for finding in json.loads(capsys.readouterr().out)["findings"]]
    assert names[:3] == ["fabricgen", "python", "rich"]


def test_two_versions_of_one_library_are_called_out():
    clash = doctor._compare("GDAL", {"rasterio": "3.10.3", "pyogrio": "3.12.4"})
    assert "two versions in one process" in clash.fix and not clash.missing
    assert doctor._compare("GDAL", {"rasterio": "3.12.4", "pyogrio": "3.12.4"}).fix == ""


def test_findings_line_up():
    shown = describe([Finding("a", "1"), Finding("long", "2", "do it", missing=True)])
    assert shown == "   a     1\n!! long  2; do it"
