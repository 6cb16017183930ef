import runpy
from pathlib import Path

import pytest

from fabricgen.carbon import locate, region_for, region_names
from fabricgen.carbon.energy import intensity
from fabricgen.carbon.factors import factor
from fabricgen.carbon.place import SLOTS, USES, Reader
from fabricgen.carbon.regions import region, region_from
from fabricgen.errors import FormatError, SettingsError

CITIES = {
    "fi": (24.94, 60.17), "cn-sh": (121.47, 31.23), "cn-bj": (116.4, 39.9), "uk": (-0.12, 51.5),
    "de": (8.68, 50.11), "pl": (18.63, 54.35), "fr": (2.35, 48.86), "us-ny": (-74.0, 40.71),
    "jp": (139.7, 35.68), "sg": (103.85, 1.29), "au-nsw": (151.2, -33.87), "ie": (-6.26, 53.35),
    "br": (-46.63, -23.55), "ca": (-123.1, 49.25), "hk": (114.17, 22.3), "cn-sc": (104.06, 30.67),
    "us-il": (-87.63, 41.88), "us-ca": (-118.24, 34.05), "us-hi": (-157.86, 21.31),
    "us-ak": (-149.9, 61.2), "au-tas": (147.33, -42.88), "au-nt": (130.84, -12.46),
    "cn-gd": (113.55, 22.27), "cn-js": (120.62, 31.31), "cn-xj": (87.6, 43.8),
    "cn-hi": (110.3, 20.03), "lv": (24.1, 56.95), "mt": (14.51, 35.9), "hr": (15.98, 45.81),
    "ch": (6.14, 46.2), "eu": (20.46, 44.8), "world": (36.82, -1.29), "se": (18.07, 59.33),
    "at": (16.37, 48.2), "es": (2.17, 41.39), "ee": (24.75, 59.44), "no": (10.75, 59.91),
}  # fmt: skip


@pytest.mark.parametrize(("name", "at"), CITIES.items())
def test_a_city_finds_its_preset(name, at):
    assert region_for(*at) == name


def test_the_reason_says_when_a_border_is_near_and_when_nothing_fits():
    assert "close to France" in locate(6.14, 46.2).reason
    assert "world averages" in locate(36.82, -1.29).reason
    assert "close to" not in locate(2.35, 48.86).reason


def test_a_harbor_belongs_to_its_coast():
    assert region_for(25.0, 60.12) == "fi"


def test_coordinates_that_are_not_degrees_are_refused():
    with pytest.raises(SettingsError, match="are not degrees; give longitude, then latitude"):
        locate(385000.0, 6672000.0)


def test_a_province_says_its_country_and_its_neighbors():
    assert locate(116.4, 39.9).reason == "the site lies in Beijing, China"
    assert "close to New Jersey" in locate(-74.0, 40.71).reason


def test_names_are_read_in_any_case():
    assert region("CN-SH") is not None and region("CN-SH").name == "cn-sh"
    assert region("us_ny").electricity == region("US-NY").electricity


def test_a_preset_may_be_taken_into_another_climate():
    chengdu, mountains = region("cn-sc"), region("CN-SC/CNZ-C")
    assert (mountains.climate, mountains.electricity) == ("cnz-c", chengdu.electricity)
    assert mountains.eui["office"]["heat"] == "eui.cn.cnz-c.heat"
    assert "heat" not in chengdu.eui["office"]
    assert region("us-ny/us-5a").soil_climate == "cool_temperate_moist"


def test_a_climate_that_does_not_fit_is_refused():
    with pytest.raises(SettingsError, match="us-ny has no climate 'us-5x'; did you mean us-5"):
        region("us-ny/us-5x")
    with pytest.raises(SettingsError, match="has no climate 'cnz-c'"):
        region("us-ny/cnz-c")


def test_every_province_state_and_member_of_the_union_has_a_preset():
    names = set(region_names())
    assert len([n for n in names if n.startswith("cn-") and "grid" not in n]) == 31
    assert len([n for n in names if n.startswith("cn-grid-")]) == 7
    assert {f"au-{s}" for s in ("nsw", "vic", "qld", "sa", "wa", "tas", "nt", "act")} <= names
    assert set(
        ["at", "be", "bg", "hr", "cy", "cz", "dk", "ee", "fi", "fr", "de", "gr", "hu", "ie", "it", "lv", "lt", "lu", "mt", "nl", "pl", "pt", "ro", "sk", "si", "es", "se"]
    ) <= names  # fmt: skip
    assert {"uk", "us", "jp", "sg"} <= names and len([n for n in names if n[:3] == "us-"]) == 51


def test_outlines_of_provinces_and_states_belong_to_presets():
    from fabricgen.carbon.countries import subdivisions

    without = {ring.preset for ring in subdivisions()} - set(region_names())
    assert not without


@pytest.mark.parametrize("name", region_names())
def test_every_preset_finds_a_factor_for_every_slot_and_use(name, place):
    read = Reader(place(name))
    for slot in SLOTS:
        assert read(slot).shape == (1,)
    assert 0 < float(read.per_kwh(region(name).electricity)[0]) < 1.2
    assert 0 < float(read.per_kwh("heat")[0]) < 0.5 and 0.15 < float(read.per_kwh("gas")[0]) < 0.25
    for use in USES:
        energy, _ = intensity(read.place, use)
        parts = [*energy.base.values(), *energy.heating.values(), energy.cooling]
        assert all(float(part[0]) >= 0 for part in parts)
        assert 15 < sum(float(part[0]) for part in parts) < 800


def test_shanghai_is_shanghai_grid_and_climate():
    shanghai = region("cn-sh")
    assert (shanghai.electricity, shanghai.climate) == (
        "grid.cn.province.shanghai.2023", "cnz-hscw",
    )  # fmt: skip


def test_china_mixes_no_life_cycle_factor_and_hebei_stays_far_above_yunnan():
    chinese = [name for name in region_names() if name.startswith("cn")]
    assert not any("ember" in region(name).electricity for name in chinese)
    hebei, yunnan = (factor(f"grid.cn.province.{p}.2023").value for p in ("hebei", "yunnan"))
    assert hebei / yunnan == pytest.approx(4.9, abs=0.05)


def test_district_heat_by_energy_becomes_kwh(place):
    assert float(Reader(place("cn-bj")).per_kwh("heat")[0]) == pytest.approx(0.396)


def test_what_stands_in_for_a_missing_row_is_listed(place):
    of = place("fi")
    Reader(of)("u_wall")
    Reader(of)("hdd")
    assert "a value of DE" in of.fall_throughs["u_wall"].text
    Reader(place("uk"))("u_wall")
    assert "u_wall" not in place("uk").fall_throughs


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("cn-shh", "did you mean cn-sh?"),
        ("Finland", "did you mean fi?"),
        ("new york", "did you mean us-ny?"),
        ("qqq", "give auto, or one of the"),
    ],
)
def test_an_unknown_preset_is_answered_with_the_nearest_code_or_place(name, fix):
    with pytest.raises(SettingsError) as caught:
        region(name)
    assert f"there is no carbon region '{name}'; {fix}" in str(caught.value)


def test_an_unknown_or_missing_field_is_named():
    fields = {"name": "x", "title": "X", "country": "x", "electricity": "grid.ember.eu.2024"}
    with pytest.raises(
        FormatError, match="the fields climate, tree_climate, soil_climate are miss"
    ):
        region_from(fields)
    with pytest.raises(FormatError, match="no field 'climat'; did you mean climate"):
        region_from(fields | {"climat": "uk"})


def test_the_page_of_regions_is_that_of_the_presets():
    root = Path(__file__).parent.parent.parent
    page = runpy.run_path(str(root / "scripts" / "regions_table.py"))["page"]()
    stored = (root / "docs" / "regions.md").read_text(encoding="utf-8")
    assert stored == page, "run python scripts/regions_table.py"


def test_a_base_that_is_no_preset_is_named(tmp_path, monkeypatch):
    from fabricgen.carbon import regions

    folder = tmp_path / "carbon" / "region"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("base: atlantis\nname: mine\n")
    monkeypatch.setattr(regions, "shipped", lambda _: tmp_path)
    monkeypatch.setattr(regions, "region_names", lambda: ("mine",))
    with pytest.raises(FormatError, match=r"mine.yaml: its base 'atlantis' is no preset"):
        regions.region("mine")
