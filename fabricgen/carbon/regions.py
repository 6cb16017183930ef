"""Region presets: which factors hold where. One YAML file each in `configs/carbon/region/`."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

import yaml

from fabricgen.carbon.countries import country_at
from fabricgen.errors import FormatError, SettingsError
from fabricgen.files import shipped

FOLDER = "carbon/region"


@dataclass(frozen=True, eq=False)
class Region:
    """A preset. Codes are lower case and pick rows of the factor table by their ids.

    Attributes:
        name: Name of the preset, such as `cn-sh`.
        title: For people.
        country: Country code in factor ids.
        electricity: Id of the grid factor.
        climate: Climate code in factor ids, such as `eu-nordic`.
        tree_climate: Row of `veg.tree.seq_gross.*`.
        soil_climate: Row of `soil.soc_ref.*`.
        place: Code below the country, such as `cn.sh`; empty for none.
        group: Code above the country, such as `eu`; empty for none.
        structure: Row of `emb.a1a5.*` for new buildings.
        use_mix: Share of floor area by use where the caller gives none.
        eui: Per use, the ids of its energy intensities by `el`, `gas`, `heat` or `total`.
        choose: Ids that replace the usual lookup, by slot.
        factors: Own values by factor id: `value`, `low`, `high` and `source`.
    """

    name: str
    title: str
    country: str
    electricity: str
    climate: str
    tree_climate: str
    soil_climate: str
    place: str = ""
    group: str = ""
    structure: str = "rc_frame"
    use_mix: Mapping[str, float] = field(default_factory=lambda: {"residential": 1.0})
    eui: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    choose: Mapping[str, str] = field(default_factory=dict)
    factors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@lru_cache(maxsize=1)
def region_names() -> tuple[str, ...]:
    """Names of all presets, sorted."""
    folder = shipped("configs") / FOLDER
    names = [item.name.removesuffix(".yaml") for item in folder.iterdir()]
    return tuple(sorted(name for name in names if not name.startswith(("_", "."))))


@lru_cache(maxsize=64)
def region(name: str) -> Region:
    """The preset of a name.

    Raises:
        SettingsError: There is none; the nearest name is given.
    """
    if name not in region_names():
        near = difflib.get_close_matches(name.lower(), region_names(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(region_names())}"
        raise SettingsError(f"there is no carbon region {name!r}", hint)
    path = shipped("configs") / FOLDER / f"{name}.yaml"
    return region_from(yaml.safe_load(path.read_text(encoding="utf-8")), where=f"{name}.yaml")


def region_from(mapping: Mapping[str, Any], *, where: str = "carbon region") -> Region:
    """A region from a mapping of its fields.

    Raises:
        FormatError: A field is unknown or missing.
    """
    known = [item.name for item in fields(Region)]
    for key in mapping:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise FormatError(
                f"{where}: there is no field {key!r}",
                f"did you mean {near[0]}?" if near else f"use {', '.join(known)}",
            )
    missing = [key for key in known[:7] if key not in mapping]
    if missing:
        raise FormatError(f"{where}: the fields {', '.join(missing)} are missing", "add them")
    return Region(**mapping)


# Presets below the country, for cities whose rows are in the table: a box that holds the city and
# its suburbs but no neighbor of note. (west, south, east, north) in degrees.
CITY_BOXES = {
    "cn-sh": ("cn", (120.86, 30.69, 122.0, 31.87)),
    "cn-bj": ("cn", (115.9, 39.45, 117.0, 40.6)),
    "cn-hl": ("cn", (122.0, 45.2, 131.0, 50.0)),
    "cn-gd": ("cn", (112.0, 22.4, 114.6, 24.0)),
    "cn-yn": ("cn", (100.0, 23.5, 104.0, 26.0)),
}


@dataclass(frozen=True)
class Located:
    """The preset chosen for a place, and why.

    Attributes:
        name: Name of the preset.
        reason: One line for the report.
    """

    name: str
    reason: str


def locate(lon: float, lat: float) -> Located:
    """The preset for a place on earth [degrees, WGS84].

    First by country outline (Natural Earth 1:50m, some 5 km coarse), then by the boxes of the
    cities that have a preset of their own. The reason tells when a border is near, and when no
    preset holds and `world` stands in.

    Raises:
        SettingsError: The coordinates are not degrees.
    """
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise SettingsError(f"{lon:g}, {lat:g} are not degrees", "give longitude, then latitude")
    found = country_at(lon, lat)
    if found is None:
        return Located("world", "no preset for this country: world averages; set region= to change")
    reason = f"the site lies in {found.country}"
    if found.others:
        reason += f", close to {', '.join(found.others)}; set region= if that is wrong"
    for name, (country, (west, south, east, north)) in CITY_BOXES.items():
        if found.preset == country and west <= lon <= east and south <= lat <= north:
            return Located(name, f"the site lies around {region(name).title}")
    return Located(found.preset, reason)


def region_for(lon: float, lat: float) -> str:
    """Name of the preset for a place on earth [degrees, WGS84]; see `locate`."""
    return locate(lon, lat).name
