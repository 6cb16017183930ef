"""How layers look in QGIS, as its own style documents: inside the GeoPackage, and in the plugin.

QGIS reads the table `layer_styles` of a GeoPackage and shows a layer in its default style.
"""

from xml.etree.ElementTree import Element, SubElement, tostring

from fabricgen.surfaces import BARE, BUILDING, COLORS, GRASS, PAVED, ROAD, SHRUB, TREE, WATER

EDGE = "#ffffff"
DARK = "#3f3b39"

GREEN = {"grass": COLORS[GRASS], "shrub": COLORS[SHRUB], "tree": COLORS[TREE]}
PAVED_KINDS = {"path": "#ddd3c0", "yard": COLORS[PAVED], "carriageway": COLORS[ROAD]}
STREETS = {"primary": 14.0, "secondary": 10.0, "local": 7.0, "service": 4.5, "path": 2.5}


def styles() -> dict[str, str]:
    """The style document (QML) of each layer by name."""
    return {
        "site": _single(_fill("none", DARK, 0.5)),
        "water": _single(_fill(COLORS[WATER], "none", 0.0)),
        "paved": _categories(
            "kind",
            {k: _fill(c, "none", 0.0) for k, c in PAVED_KINDS.items()},
            _fill(COLORS[PAVED], "none", 0.0),
        ),
        "green": _categories(
            "kind",
            {k: _fill(c, "none", 0.0) for k, c in GREEN.items()},
            _fill(COLORS[GRASS], "none", 0.0),
        ),
        "roads": _categories(
            "kind",
            {k: _line(_road_color(k), w) for k, w in STREETS.items()},
            _line(COLORS[ROAD], STREETS["local"]),
            width="width_m",
        ),
        "trees": _single(_dot("#55804b")),
        "buildings": _single(_fill(COLORS[BUILDING], EDGE, 0.2), label="floors"),
    }


def ground_style() -> str:
    """The style document of a site drawn beneath all layers: ground that none of them covers."""
    return _single(_fill(COLORS[BARE], "none", 0.0))


def _road_color(kind: str) -> str:
    return COLORS[PAVED] if kind == "path" else COLORS[ROAD]


def _single(symbol: Element, *, label: str = "") -> str:
    root = _document()
    renderer = SubElement(root, "renderer-v2", type="singleSymbol", symbollevels="0")
    SubElement(renderer, "symbols").append(_named(symbol, "0"))
    if label:
        _label(root, label)
    return _text(root)


def _categories(column: str, symbols: dict[str, Element], rest: Element, *, width: str = "") -> str:
    """One symbol per value of a column, and one for all others."""
    root = _document()
    renderer = SubElement(
        root, "renderer-v2", type="categorizedSymbol", attr=column, symbollevels="0"
    )
    listing, drawn = SubElement(renderer, "categories"), SubElement(renderer, "symbols")
    for number, (value, symbol) in enumerate([*symbols.items(), ("", rest)]):
        SubElement(
            listing,
            "category",
            value=value,
            label=value or "other",
            symbol=str(number),
            render="true",
        )
        if width:
            _drive(symbol, "outlineWidth", width)
        drawn.append(_named(symbol, str(number)))
    return _text(root)


def _document() -> Element:
    return Element("qgis", version="3.34.0", styleCategories="Symbology|Labeling")


def _named(symbol: Element, name: str) -> Element:
    symbol.set("name", name)
    return symbol


def _symbol(kind: str, layer: str, options: dict[str, str]) -> Element:
    symbol = Element("symbol", type=kind, alpha="1", clip_to_extent="1", force_rhr="0")
    inner = SubElement(
        symbol, "layer", {"class": layer, "enabled": "1", "pass": "0", "locked": "0"}
    )
    table = SubElement(inner, "Option", type="Map")
    for key, value in options.items():
        SubElement(table, "Option", name=key, type="QString", value=value)
    return symbol


def _fill(color: str, edge: str, width_mm: float) -> Element:
    return _symbol(
        "fill",
        "SimpleFill",
        {
            "color": _rgba(color),
            "style": "no" if color == "none" else "solid",
            "outline_color": _rgba(edge),
            "outline_style": "no" if edge == "none" else "solid",
            "outline_width": f"{width_mm}",
            "outline_width_unit": "MM",
        },
    )


def _line(color: str, width_m: float) -> Element:
    return _symbol(
        "line",
        "SimpleLine",
        {
            "line_color": _rgba(color),
            "line_style": "solid",
            "line_width": f"{width_m}",
            "line_width_unit": "RenderMetersInMapUnits",
            "capstyle": "round",
            "joinstyle": "round",
        },
    )


def _dot(color: str) -> Element:
    return _symbol(
        "marker",
        "SimpleMarker",
        {
            "name": "circle",
            "color": _rgba(color),
            "outline_style": "no",
            "size": "1.2",
            "size_unit": "RenderMetersInMapUnits",
        },
    )


def _drive(symbol: Element, what: str, column: str) -> None:
    """Let a column of the layer give a size of its symbol."""
    inner = next(symbol.iter("layer"))
    properties = SubElement(inner, "data_defined_properties")
    table = SubElement(properties, "Option", type="Map")
    SubElement(table, "Option", name="name", type="QString", value="")
    entry = SubElement(
        SubElement(table, "Option", name="properties", type="Map"), "Option", name=what, type="Map"
    )
    SubElement(entry, "Option", name="active", type="bool", value="true")
    SubElement(entry, "Option", name="field", type="QString", value=column)
    SubElement(entry, "Option", name="type", type="int", value="2")
    SubElement(table, "Option", name="type", type="QString", value="collection")


def _label(root: Element, column: str) -> None:
    labeling = SubElement(root, "labeling", type="simple")
    settings = SubElement(labeling, "settings", calloutType="simple")
    SubElement(
        settings,
        "text-style",
        fieldName=column,
        isExpression="0",
        fontSize="7",
        textColor=_rgba(EDGE),
    )
    SubElement(settings, "placement", placement="1", centroidInside="1")
    # QGIS names these by the number under the fraction: shown from 1:1 to 1:2500.
    SubElement(settings, "rendering", scaleVisibility="1", scaleMin="1", scaleMax="2500")


def _rgba(color: str) -> str:
    if color == "none":
        return "0,0,0,0"
    red, green, blue = (int(color[k : k + 2], 16) for k in (1, 3, 5))
    return f"{red},{green},{blue},255"


def _text(root: Element) -> str:
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + tostring(
        root, encoding="unicode"
    )
