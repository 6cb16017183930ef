"""What other people call our layers, columns and kinds: the one table of other names.

`docs/export.md` prints it, and a test holds the two together. Spaces, dashes, colons, capitals and
a unit behind the name (`Height (ft)`, `width_m`) make no difference. Shapefiles cut names to ten
characters; there, a name of ten matches what it begins.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import pandas as pd
import yaml

from fabricgen.files import shipped
from fabricgen.plan import LAYERS
from fabricgen.units import UNIT_M, count, length_m

LAYER_NAMES: dict[str, tuple[str, ...]] = {
    "site": (
        "site", "boundary", "plot", "parcel", "block", "prop", "Grundstück", "Baugrundstück",
        "Flurstück", "parcelle", "parcelles", "emprise", "parcela", "lotto", "地块", "用地",
        "红线", "用地红线", "敷地", "敷地境界",
    ),
    "buildings": (
        "buildings", "building", "bldg", "footprint", "footprints", "houses", "Gebäude",
        "Gebaeude", "bâtiment", "bâtiments", "batiment", "batiments", "edificio", "edificios",
        "edifici", "gebouw", "gebouwen", "pand", "rakennukset", "建筑", "建筑物", "房屋", "建物",
        "건물",
    ),
    "roads": (
        "roads", "road", "streets", "street", "highway", "centerlines", "Straßen", "Strasse",
        "Strassen", "Verkehrsweg", "voirie", "route", "routes", "rue", "calles", "strade", "wegen",
        "道路", "路网", "도로",
    ),
    "paved": (
        "paved", "pavement", "paving", "pvmt", "plaza", "parking", "Platz", "Pflaster", "parvis",
        "铺装", "广场", "舗装",
    ),
    "water": (
        "water", "waters", "waterbody", "watr", "pond", "river", "Gewässer", "plan_d_eau",
        "cours_d_eau", "agua", "acqua", "水体", "水系", "水域", "水部",
    ),
    "green": (
        "green", "greenery", "vegetation", "landscape", "landuse_green", "plnt", "Grünfläche",
        "Grünflächen", "espace_vert", "espaces_verts", "zonas_verdes", "verde", "绿地", "绿化",
        "緑地",
    ),
    "trees": (
        "trees", "tree", "stems", "Baum", "Bäume", "Baeume", "arbre", "arbres", "árboles",
        "alberi", "树", "树木", "乔木", "樹木",
    ),
}  # fmt: skip
COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    "scheme": ("scheme", "variant", "option", "方案"),
    "layer": ("layer", "theme", "图层"),
    "id": (
        "id", "fid", "osm_id", "osmid", "@id", "objectid", "gid", "uid", "gml_id", "cleabs", "oi",
        "编号", "建物ID",
    ),
    "source": ("source", "data_source", "来源"),
    "height_m": (
        "height", "h", "hgt", "height_mean", "building:height", "bldg_height", "building_height",
        "measured_height", "measuredHeight", "elev_height", "Höhe", "Hoehe", "Gebäudehöhe",
        "GebHoehe", "hauteur", "HAUTEUR_BA", "altura", "altezza", "hoogte", "高度", "建筑高度",
        "房屋高度", "楼高", "高", "高さ", "計測高さ", "建物高さ", "建物の高さ", "높이",
    ),
    "floors": (
        "floors", "building:levels", "levels", "storeys", "stories", "num_floors", "n_floors",
        "floor_count", "storeysAboveGround", "Geschosse", "Geschosszahl", "Anz_Gesch",
        "Vollgeschosse", "anzahlDerOberirdischenGeschosse", "aog", "nb_etages", "nbetages",
        "nombre_d_etages", "niveaux", "nb_niveaux", "plantas", "piani", "num_piani", "bouwlagen",
        "层数", "楼层", "楼层数", "建筑层数", "地上层数", "房屋层数", "階数", "地上階数", "층수",
        "지상층수",
    ),
    "use": (
        "use", "usage", "building_use", "function", "building", "usage_1", "usage1", "Nutzung",
        "Gebäudefunktion", "gebaeudefu", "gfk", "uso", "gebruiksdoel", "用途", "功能", "建筑用途",
        "建物用途",
    ),
    "width_m": (
        "width", "road_width", "w", "Breite", "largeur", "LARGEUR_DE", "ancho", "larghezza",
        "breedte", "宽度", "路宽", "红线宽度", "幅員",
    ),
    "kind": (
        "kind", "highway", "fclass", "class", "type", "category", "surface", "natural", "landuse",
        "Art", "nature", "类型", "等级", "種別",
    ),
    "crown_m": (
        "crown", "diameter_crown", "crown_diameter", "canopy_diameter", "Kronendurchmesser",
        "KroneDM", "冠幅", "樹冠径",
    ),
}  # fmt: skip
GREEN_WORDS: dict[str, tuple[str, ...]] = {
    "grass": (
        "grass", "lawn", "turf", "meadow", "grassland", "Rasen", "Wiese", "pelouse", "草地",
        "草坪",
    ),
    "shrub": (
        "shrub", "shrubs", "scrub", "bush", "heath", "hedge", "shrb", "Strauch", "haie", "灌木",
    ),
    "tree": (
        "tree", "trees", "forest", "wood", "woodland", "canopy", "cnpy", "Baum", "Wald", "bois",
        "乔木", "林地", "树",
    ),
}  # fmt: skip
NOT_OURS = ("建筑红线", "道路红线", "建筑控制线", "退界线")  # lines of rules, which hold such names
LENGTHS = ("height_m", "width_m", "crown_m")
UNSAID = (-1, -9, -99, -999, -9999, -99999)  # numbers that stand for none
_ABOUT = re.compile(r"^(ca\.?|circa|approx\.?|about|env\.?|约|大约|約|地上)\s*")
_FLOORS = re.compile(
    r"\s*(层|層|階|층|米|fl\.?|f|floors?|levels?|stor(e?ys?|ies)|geschosse?|étages?|niveaux|og)$"
)
SHORT = 10  # characters of a column's name in a Shapefile

_UNIT = re.compile(r"^(.+?)[\s_]*[(\[]\s*([a-z]+)\.?\s*[)\]]$|^(.+)_([a-z]+)$")


def plain(name: str) -> tuple[str, str]:
    """A name without case, signs and unit, and its unit (`""` where it names none)."""
    word, unit = name.strip().lower(), ""
    found = _UNIT.match(word)
    if found and (found[2] or found[4]) in UNIT_M:
        word, unit = found[1] or found[3], found[2] or found[4]
    return re.sub(r"[\W_]+", "", word), unit


def layer_of(name: str) -> str | None:
    """The layer of a plan that a file's layer, or a value of its column `layer`, means."""
    word = plain(name)[0]
    return next((key for key, names in LAYER_NAMES.items() if word in _words(names)), None)


def layer_in(name: str) -> str | None:
    """The layer of a plan that a drawing's layer means, by the words in its name.

    Of several the last counts, as in the names of the US National CAD Standard, which run from the
    discipline to the detail (`C-BLDG-OTLN`, `L-PLNT-TREE`); of names without spaces the longest.
    """
    words = [layer_of(word) for word in (name, *re.split(r"[\W_]+", name))]
    known = [word for word in words if word is not None]
    if known:
        return known[-1]
    if any(rule in name for rule in NOT_OURS):
        return None
    inside = [
        (len(word), layer)
        for layer, names in LAYER_NAMES.items()
        for word in names
        if word in name and not word.isascii() and not word[0].isupper()
    ]
    return max(inside)[1] if inside else None


def is_known(header: str) -> bool:
    """Whether a header means a column of ours."""
    return any(find([header], column, short=len(header) == SHORT) for column in COLUMN_NAMES)


@lru_cache(maxsize=64)
def _words(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(plain(name)[0] for name in names)


def find(headers: list[str], column: str, *, short: bool = False) -> list[tuple[str, str]]:
    """The headers that mean a column, best first, each with its unit.

    Args:
        headers: Columns of a file.
        column: One of ours.
        short: Names may have been cut to `SHORT` characters.
    """
    words = _words((column, *COLUMN_NAMES.get(column, ())))
    found = []
    for header in headers:
        word, unit = plain(header)
        cut = short and len(header) == SHORT
        match = (n for n, w in enumerate(words) if w == word or (cut and w.startswith(word)))
        place = next(match, None)
        if place is not None:
            found.append((place, header, unit))
    return [(header, unit) for _, header, unit in sorted(found, key=lambda one: one[0])]


def numbers(values: pd.Series, column: str, unit: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Values as meters or counts.

    Args:
        values: Numbers, or texts such as `12 ft` or `3-4`.
        column: Which of ours they become.
        unit: That the header names; a unit beside a value goes before it.

    Returns:
        (N,) floats with NaN where nothing is said, and (N,) bool: said, but no number.
    """
    said = values.notna().to_numpy() & (values.astype(str).str.strip() != "").to_numpy()
    scale = UNIT_M[unit] if column in LENGTHS else 1.0
    read = np.array(pd.to_numeric(values, errors="coerce"), dtype=np.float64)
    read[[isinstance(value, bool | np.bool_) for value in values]] = np.nan
    unsaid = np.isin(read, UNSAID)
    read *= scale
    for row in np.flatnonzero(said & ~np.isfinite(read)):
        text = _bare(str(values.iloc[row]))
        read[row] = length_m(text) if column in LENGTHS else count(text)
    read[unsaid | ~np.isfinite(read)] = np.nan
    return read, said & np.isnan(read)


def _bare(text: str) -> str:
    """A measure without `ca.` before and a word for floors or meters behind it."""
    text = unicodedata.normalize("NFKC", text).strip().lower()
    return _FLOORS.sub("", _ABOUT.sub("", text))


@lru_cache(maxsize=1)
def road_words() -> dict[str, str]:
    """Kind of street by the word that a map uses, from the same table as `ingest`."""
    path = shipped("configs") / "city" / "tags.yaml"
    book = yaml.safe_load(path.read_text(encoding="utf-8"))
    streets = {**book["vector"]["streets"], **book["streets"]}
    return {word: street["kind"] for word, street in streets.items() if word != "*"}


def kind_of(layer: str, word: str) -> str | None:
    """The kind that a word means in a layer: None where it is none of ours."""
    word = word.strip().lower()
    if layer == "roads":
        return road_words().get(word, word if word in ("local",) else None)
    if layer == "green":
        return next(
            (kind for kind, words in GREEN_WORDS.items() if plain(word)[0] in _words(words)), None
        )
    return word


def alias_table() -> str:
    """The table of other names as Markdown, for `docs/export.md`."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "| layer | also called |"
    yield "| --- | --- |"
    for name, names in LAYER_NAMES.items():
        yield f"| `{name}` | {_quoted(names, name)} |"
    yield ""
    yield "| column | of | also called |"
    yield "| --- | --- | --- |"
    for name, names in COLUMN_NAMES.items():
        layers = [key for key, columns in LAYERS.items() if name in columns]
        of = "all" if len(layers) in (0, len(LAYERS)) else ", ".join(layers)
        yield f"| `{name}` | {of} | {_quoted(names, name)} |"
    yield ""
    yield "| kind of green | also called |"
    yield "| --- | --- |"
    for name, names in GREEN_WORDS.items():
        yield f"| `{name}` | {_quoted(names, name)} |"


def _quoted(names: tuple[str, ...], own: str) -> str:
    return ", ".join(f"`{name}`" for name in names if name != own)
