import math

import pytest

from fabricgen.city import tags
from fabricgen.errors import SettingsError
from fabricgen.surfaces import (
    BARE,
    BIT,
    GRASS,
    LOCAL,
    PATH,
    PAVED,
    SECONDARY,
    SHRUB,
    SURFACES,
    TREE,
    WATER,
)


def bits(*surfaces):
    return sum(BIT[surface] for surface in surfaces)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"landuse": "grass"}, bits(GRASS)),
        ({"leisure": "park"}, bits(TREE, SHRUB, GRASS)),
        ({"natural": "wood"}, bits(TREE)),
        ({"amenity": "parking"}, bits(PAVED)),
        ({"natural": "water", "water": "pond"}, bits(WATER)),
        ({"leisure": "park", "landuse": "grass"}, bits(GRASS)),  # the narrowest holds
        ({"leisure": "pitch", "surface": "grass"}, bits(GRASS)),
        ({"leisure": "pitch"}, bits(PAVED, GRASS, BARE)),
        ({"highway": "pedestrian", "area": "yes"}, bits(PAVED)),
        ({"highway": "pedestrian", "type": "multipolygon"}, bits(PAVED)),
    ],
)
def test_an_area_allows_the_surfaces_of_its_tags(words, expected):
    assert tags.surface_of(words, "area").bits == expected


@pytest.mark.parametrize(
    "words",
    [
        {"surface": "grass"},
        {"landuse": "residential_palace", "building": "no"},
        {"highway": "residential"},  # a ring of street is no face
        {"name": "Somewhere"},
    ],
)
def test_tags_that_tell_nothing_of_the_ground_make_no_area(words):
    feature = tags.surface_of(words, "area")
    assert feature is None or feature.role == "dropped"


def test_a_street_takes_its_width_from_tag_then_lanes_then_class():
    street = {"highway": "secondary"}
    assert tags.surface_of(street, "line").width_m == 10.0
    assert tags.surface_of(street | {"lanes": "4"}, "line").width_m == 4 * 3.25
    assert tags.surface_of(street | {"lanes": "4", "width": "11 m"}, "line").width_m == 11.0
    assert tags.surface_of(street | {"width": "900"}, "line").width_m == 10.0
    assert tags.surface_of(street, "line").kind == SECONDARY


def test_paths_are_their_own_kind_and_ignore_lanes():
    path = tags.surface_of({"highway": "footway", "lanes": "2"}, "line")
    assert path.kind == PATH and path.width_m == 2.5


def test_houses_are_due_along_streets_to_live_in():
    assert tags.surface_of({"highway": "residential"}, "line").lived_in
    assert not tags.surface_of({"highway": "motorway"}, "line").lived_in


@pytest.mark.parametrize(
    "words",
    [
        {"layer": "-1"},
        {"tunnel": "yes"},
        {"location": "underground"},
    ],
)
def test_what_lies_underground_is_dropped_with_its_reason(words):
    for base, shape in (({"highway": "residential"}, "line"), ({"building": "yes"}, "area")):
        feature = tags.surface_of(base | words, shape)
        assert feature.role == "dropped" and feature.why.startswith("underground")


@pytest.mark.parametrize("words", [{"bridge": "yes", "layer": "1"}, {"tunnel": "building_passage"}])
def test_bridges_and_passages_stay(words):
    assert tags.surface_of({"highway": "residential"} | words, "line").role == "street"


def test_a_tree_has_its_crown_or_that_of_the_table():
    assert tags.surface_of({"natural": "tree", "diameter_crown": "9 m"}, "point").width_m == 9.0
    plain = tags.surface_of({"natural": "tree", "diameter_crown": "200"}, "point")
    assert plain.width_m == 5.0 and math.isnan(plain.tall.height_m)


def test_buildings_that_are_not_built_are_dropped():
    assert tags.surface_of({"building": "no"}).role == "dropped"
    assert tags.surface_of({"building": "school", "building:levels": "2"}).use == "school"


def test_words_of_other_sources_have_a_street_kind():
    assert tags.street_word("minor") == (LOCAL, 7.0, True)
    assert tags.street_word("something else")[0] == LOCAL


def test_every_rule_names_real_surfaces():
    book = tags.table()
    assert all(0 < byte < 256 for values in book["areas"].values() for byte in values.values())
    with pytest.raises(SettingsError, match="lava"):
        tags.bits_of(["lava"])
    assert tags.bits_of(SURFACES) == 255
