"""What a map's words mean on the ground: the tag table of `configs/city/tags.yaml`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml

from ..errors import ResourceError, SettingsError
from ..files import shipped
from ..surfaces import BIT, ROAD_KINDS, SURFACES
from . import heights

WIDTH_LIMITS_M = (0.5, 60.0)


@dataclass(frozen=True)
class Feature:
    """What one mapped feature is.

    Attributes:
        role: `building`, `part`, `street`, `area`, `line`, `tree`, or `dropped`.
        bits: Surfaces it may be, one bit each (area, line, tree).
        kind: Index in `ROAD_KINDS` (street).
        width_m: Width (street, line) or crown diameter (tree).
        lived_in: A street that should have houses beside it.
        tall: Height and floors (building, part, tree).
        use: What a building is used for, as tagged; empty where it only says "yes".
        why: Reason, where the role is `dropped`.
    """

    role: str
    bits: int = 0
    kind: int = 0
    width_m: float = math.nan
    lived_in: bool = False
    tall: heights.Tall = field(default_factory=heights.Tall)
    use: str = ""
    why: str = ""


@lru_cache(maxsize=1)
def table() -> dict[str, Any]:
    """The tag table, its surfaces turned into bits.

    Raises:
        SettingsError: The file names a surface or a kind that does not exist.
    """
    path = shipped("configs") / "city" / "tags.yaml"
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as err:
        raise ResourceError("configs/city/tags.yaml cannot be read", "install again") from err
    for key in raw["areas"]:
        raw["areas"][key] = {value: bits_of(names) for value, names in raw["areas"][key].items()}
    for layer in ("green", "paved"):
        kinds = raw["vector"][layer]
        raw["vector"][layer] = {kind: bits_of(names) for kind, names in kinds.items()}
    for streets in (raw["streets"], raw["vector"]["streets"]):
        for word, street in streets.items():
            if street["kind"] not in ROAD_KINDS:
                raise SettingsError(
                    f"tags.yaml: {word} has the kind '{street['kind']}'",
                    f"use one of {', '.join(ROAD_KINDS)}",
                )
            street["kind"] = ROAD_KINDS.index(street["kind"])
    return raw


def bits_of(names: Iterable[str]) -> int:
    """One byte from surface names.

    Raises:
        SettingsError: A name is no surface.
    """
    byte = 0
    for name in names:
        if name not in SURFACES:
            raise SettingsError(
                f"tags.yaml: '{name}' is no surface", f"use one of {', '.join(SURFACES)}"
            )
        byte |= BIT[SURFACES.index(name)]
    return byte


def surface_of(tags: Mapping[str, str], shape: str = "area") -> Feature | None:
    """What a feature with these tags is.

    Args:
        tags: OpenStreetMap keys and values.
        shape: `area` (closed way or multipolygon), `line` or `point`.

    Returns:
        The feature; role `dropped` with its reason when it is a thing of ours that does not count
        (underground, not built, a value the table lacks); None when the tags say nothing of ground.
    """
    find = {"area": _area, "line": _line, "point": _point}[shape]
    feature = find(tags)
    if feature is None or feature.role == "dropped":
        return feature
    if is_underground(tags):
        return Feature("dropped", why=f"underground {feature.role}")
    return feature


def is_underground(tags: Mapping[str, str]) -> bool:
    """In a tunnel, in the ground, or indoors below it; a bridge is not."""
    if tags.get("location") == "underground" or tags.get("parking") == "underground":
        return True
    if tags.get("tunnel", "no") not in ("no", "building_passage", "passage"):
        return True
    return heights.count(tags.get("layer", "").lstrip("-")) > 0 and tags["layer"].startswith("-")


def _area(tags: Mapping[str, str]) -> Feature | None:
    book = table()
    building = tags.get("building")
    if building is not None:
        if building in book["not_built"]:
            return Feature("dropped", why="building not built")
        use = building if building != "yes" else tags.get("amenity", tags.get("shop", ""))
        return Feature("building", tall=heights.of_building(tags), use=use)
    if tags.get("building:part", "no") != "no":
        return Feature("part", tall=heights.of_building(tags))

    # The narrowest set that any of the tags gives.
    is_face = tags.get("area") == "yes" or tags.get("type") == "multipolygon"
    found, unknown, narrows = [], "", []
    for key, values in book["areas"].items():
        value = tags.get(key)
        if value is None or (key in book["needs_area_yes"] and not is_face):
            continue
        bits = values.get(value, values.get("*"))
        if key in book["needs_another_tag"]:
            narrows += [bits] if bits else []
        elif bits is None:
            unknown = f"{key}={value}"
        else:
            found.append(bits)
    if not found:
        return Feature("dropped", why="area without a rule") if unknown else None
    bits = min(found, key=int.bit_count)
    for narrow in narrows:
        bits = bits & narrow or bits
    return Feature("area", bits=bits)


def _line(tags: Mapping[str, str]) -> Feature | None:
    book = table()
    highway = tags.get("highway")
    if highway is not None and tags.get("area") != "yes":
        street = book["streets"].get(highway)
        if street is None:
            return Feature("dropped", why="highway that is no street")
        if tags.get("indoor") == "yes":
            return Feature("dropped", why="indoor street")
        return Feature(
            "street",
            kind=street["kind"],
            width_m=_street_width(tags, street),
            lived_in=highway in book["lived_in"],
        )
    for key, values in book["lines"].items():
        rule = values.get(tags.get(key))
        if rule is not None and tags.get("area") != "yes":
            width_m = _within(heights.length_m(tags.get("width")), WIDTH_LIMITS_M)
            width_m = rule["width_m"] if math.isnan(width_m) else width_m
            return Feature("line", bits=bits_of([rule["surface"]]), width_m=width_m)
    return None


def _street_width(tags: Mapping[str, str], street: Mapping[str, Any]) -> float:
    """Width as tagged, else by lanes, else by class [m]."""
    tagged = _within(heights.length_m(tags.get("width")), WIDTH_LIMITS_M)
    if not math.isnan(tagged):
        return tagged
    book = table()
    lanes = _within(heights.count(tags.get("lanes")), (1.0, 12.0))
    if not math.isnan(lanes) and ROAD_KINDS[street["kind"]] in book["lanes_by_kind_only"]:
        return lanes * book["lane_m"]
    return street["width_m"]


def _point(tags: Mapping[str, str]) -> Feature | None:
    book = table()
    for key, values in book["points"].items():
        rule = values.get(tags.get(key))
        if rule is None:
            continue
        said = tags.get("diameter_crown") or tags.get("crown_diameter")
        crown_m = _within(heights.length_m(said), book["crown_limits_m"])
        crown_m = rule["crown_m"] if math.isnan(crown_m) else crown_m
        tall = heights.Tall(heights.tree_m(tags))
        return Feature("tree", bits=bits_of([rule["surface"]]), width_m=crown_m, tall=tall)
    return None


def _within(value: float, limits: tuple[float, float] | list[float]) -> float:
    return value if limits[0] <= value <= limits[1] else math.nan


def street_word(word: str | None) -> tuple[int, float, bool]:
    """Kind, width [m] and whether houses are due, for a street class of a vector source."""
    book = table()
    own = book["vector"]["streets"]
    street = book["streets"].get(word) or own.get(word) or own["*"]
    lived_in = word in book["lived_in"] or word in book["vector"]["lived_in"]
    return street["kind"], street["width_m"], lived_in
