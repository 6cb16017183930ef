"""Styles say what QGIS reads: one document a layer, in the colors of the surfaces."""

from xml.etree import ElementTree

import pytest

from fabricgen.exchange.styles import ground_style, styles
from fabricgen.plan import LAYERS
from fabricgen.surfaces import BARE, COLORS, ROAD_KINDS


def read(document: str) -> ElementTree.Element:
    return ElementTree.fromstring(document.split("\n", 1)[1])


def colors_of(document: str) -> set[str]:
    """Colors of its filled symbols, as #rrggbb."""
    options = read(document).iterfind(".//symbol/layer/Option/Option[@name='color']")
    values = [option.get("value").split(",") for option in options]
    return {"#" + "".join(f"{int(part):02x}" for part in value[:3]) for value in values}


def test_every_layer_has_a_style():
    assert set(styles()) == {"site", *LAYERS}


def test_the_ground_beneath_is_bare():
    assert colors_of(ground_style()) == {COLORS[BARE]}


def test_floors_are_written_on_buildings_when_near():
    labels = read(styles()["buildings"]).find("labeling/settings")
    rendering = labels.find("rendering")
    # In QGIS's own files the smaller number is the larger scale.
    assert int(rendering.get("scaleMin")) < int(rendering.get("scaleMax"))
    assert labels.find("text-style").get("fieldName") == "floors"


@pytest.mark.parametrize("kind", ROAD_KINDS)
def test_every_kind_of_street_has_its_symbol(kind):
    categories = read(styles()["roads"]).findall("renderer-v2/categories/category")
    assert kind in {category.get("value") for category in categories}
