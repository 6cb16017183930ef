"""Region presets: which factors hold where. One YAML file each in `configs/carbon/region/`.

A file may build on another (`base: cn`) and overlay it; `climates` overlays fields by climate.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any

import yaml

from fabricgen.carbon.countries import country_at, outlines, subdivision_at, subdivisions
from fabricgen.carbon.factors import Factor, table
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


@lru_cache(maxsize=256)
def region(name: str) -> Region:
    """The preset of a name, in any case; `NAME/CLIMATE` takes it into another climate.

    `region("us-ny/us-5a")` is the grid of New York with the climate of Buffalo.

    Raises:
        SettingsError: There is no such preset or climate; the nearest name is given.
    """
    plain, _, climate = name.strip().lower().replace("_", "-").partition("/")
    if plain not in region_names():
        raise SettingsError(f"there is no carbon region {name!r}", _nearest(plain))
    fields_of = _fields_of(plain)
    return region_from(_in_climate(fields_of, climate), where=f"{plain}.yaml")


def _fields_of(name: str) -> dict[str, Any]:
    """Fields of a preset's file over those of its base."""
    path = shipped("configs") / FOLDER / f"{name}.yaml"
    own = yaml.safe_load(path.read_text(encoding="utf-8"))
    base = own.pop("base", "")
    if not base:
        return dict(own)
    if base not in region_names() or base == name:
        raise FormatError(f"{name}.yaml: its base {base!r} is no preset", "name another one")
    below = _fields_of(base)
    # The climate's overlay of the base comes between the base and what the file itself says.
    overlay = below.get("climates", {}).get(own.get("climate", below["climate"]), {})
    return {**below, **overlay, **own}


def _nearest(word: str) -> str:
    """A fix for an unknown preset: that of the country, province or state so called, or alike."""
    titles = {one: one for one in region_names()}
    titles |= {ring.country.lower(): ring.preset for ring in (*subdivisions(), *outlines())}
    near = difflib.get_close_matches(word, titles, n=1)
    if near:
        return f"did you mean {titles[near[0]]}?"
    return f"give auto, or one of the {len(region_names())} in docs/regions.md, such as eu, cn-sh"


def _in_climate(fields_of: dict[str, Any], climate: str) -> dict[str, Any]:
    """Fields with the climate's overlay on top if one is asked for, and with ids made full."""
    climates = fields_of.pop("climates", {})
    if climate:
        known = climates_of(str(fields_of["country"]))
        if climate not in known:
            near = difflib.get_close_matches(climate, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(known)}"
            raise SettingsError(f"{fields_of['name']} has no climate {climate!r}", hint)
        name = f"{fields_of['name']}/{climate}"
        fields_of = {**fields_of, **climates.get(climate, {}), "climate": climate, "name": name}
    code = fields_of.get("climate", "")
    eui = {
        use: {what: str(row).replace("{climate}", code) for what, row in rows.items()}
        for use, rows in fields_of.get("eui", {}).items()
    }
    return {**fields_of, "eui": eui}


def climates_of(country: str) -> tuple[str, ...]:
    """Climates of the factor table that a country's presets may take, sorted."""
    start = {"cn": "cnz-", "us": "us-", "ca": "us-", "jp": "jp-", "au": "au-"}.get(country, "")
    found = {name.split(".")[1] for name in table() if name.endswith(".hdd18")}
    return tuple(sorted(code for code in found if code.startswith(start)))


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


@dataclass(frozen=True)
class Located:
    """The preset chosen for a place, and why.

    Attributes:
        name: Name of the preset.
        reason: One line for the report.
    """

    name: str
    reason: str


@lru_cache(maxsize=4096)  # of many plans most lie on the same sites
def locate(lon: float, lat: float) -> Located:
    """The preset for a place on earth [degrees, WGS84].

    First by country outline (Natural Earth 1:50m, some 5 km coarse), then, where the country has
    presets of its provinces or states, by theirs. The reason tells when a border is near, and when
    no preset holds and `world` stands in.

    Raises:
        SettingsError: The coordinates are not degrees.
    """
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise SettingsError(f"{lon:g}, {lat:g} are not degrees", "give longitude, then latitude")
    found = country_at(lon, lat)
    if found is None:
        return Located("world", "no preset for this country: world averages; set region= to change")
    part = subdivision_at(lon, lat, country=found.preset)
    others = list(found.others)
    name, reason = found.preset, f"the site lies in {found.country}"
    if part is not None and part.preset in region_names():
        name, reason = part.preset, f"the site lies in {part.country}, {found.country}"
        others += part.others
    if others:
        reason += f", close to {', '.join(others)}; set region= if that is wrong"
    return Located(name, reason)


def region_for(lon: float, lat: float) -> str:
    """Name of the preset for a place on earth [degrees, WGS84]; see `locate`."""
    return locate(lon, lat).name


def with_factors(of: Region, own: Mapping[str, Factor]) -> Region:
    """A region in which a user's own factors replace those of the same ids.

    Args:
        of: The region.
        own: By id, as `factors.read_own` gives them.
    """
    mine = {
        name: {
            "value": row.value, "low": row.low, "high": row.high, "source": row.source,
            "distribution": row.distribution, "year": row.year, "confirmed": row.confirmed,
            "note": row.note,
        }
        for name, row in own.items()
    }  # fmt: skip
    return replace(of, factors={**of.factors, **mine})
