"""Counts the carbon of layouts: every account, one ledger. Differentiable, hard or soft."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from fabricgen.carbon.embodied import embodied
from fabricgen.carbon.grid import grid_path
from fabricgen.carbon.ledger import Entry, Ledger
from fabricgen.carbon.measures import Measures
from fabricgen.carbon.microclimate_account import microclimate, with_local_air
from fabricgen.carbon.ndvi import ndvi_references
from fabricgen.carbon.operation import operation
from fabricgen.carbon.paving import paving, planting
from fabricgen.carbon.place import Place, place_for, use_mix_of
from fabricgen.carbon.regions import Region
from fabricgen.carbon.regions import region as region_named
from fabricgen.carbon.site import Site, make_site
from fabricgen.carbon.soil import soil
from fabricgen.carbon.storm import stormwater
from fabricgen.carbon.surroundings import Sunlight, with_surroundings
from fabricgen.carbon.travel import claim_notes, travel, travel_references
from fabricgen.carbon.upkeep import upkeep
from fabricgen.carbon.vegetation import baseline_sink, vegetation
from fabricgen.errors import SettingsError
from fabricgen.layout import Layout

Mix = dict[str, float]
Account = Callable[[Site, Place, Mix], tuple[list[Entry], list[str]]]

# One line per account; each returns its entries and what it could not assess.
ACCOUNTS: Mapping[str, Account] = {
    "vegetation": lambda site, place, _: vegetation(site, place),
    "soil": lambda site, place, _: soil(site, place),
    "operation": operation,
    "embodied": embodied,
    "paving": lambda site, place, _: paving(site, place),
    "planting": lambda site, place, _: planting(site, place),
    "upkeep": upkeep,
    "travel": travel,
    "microclimate": microclimate,
    "stormwater": lambda site, place, _: stormwater(site, place),
}

HORIZON_YEARS = (1, 200)


def evaluate(  # noqa: PLR0913
    layout: Layout,
    *,
    region: str | Region,
    context: Layout | None = None,
    use_mix: Mapping[str, float] | None = None,
    year: int | None = None,
    horizon_years: int = 60,
    draws: int = 0,
    inside: Tensor | None = None,
    seed: int = 0,
    measures: Measures | None = None,
    sunlight: Sunlight | Sequence[Sunlight] | None = None,
) -> Ledger:
    """Counts the carbon of a batch of layouts.

    Args:
        layout: B layouts, soft or hard, every surface known inside the site.
        region: Name of a preset, or a region.
        context: What stands there today, 1 or B items. Terms that need it (felling, soil,
            demolition, what is kept) are not assessed where it is missing or not mapped.
        use_mix: Share of floor area by use, summing to 1; the region's where None.
        year: Calendar year of the electricity factor, which then declines from its row's year;
            None keeps the row's year, without any decline.
        horizon_years: Vegetation and soil are means over these years.
        draws: Number of Monte-Carlo draws of all factors, for ranges.
        inside: The pixels that count, (B, H, W) or (1, H, W) bool; None for all. What lies outside
            still joins walls and colors the ground under crowns.
        seed: Of the draws; equal seeds give equal draws in every call.
        measures: What the plan says of its buildings beside their shape (basements, power and
            green on roofs), and how energy and embodied carbon are counted; none where None.
        sunlight: Where the sun stands, for shade on walls and light of trees, one for all items or
            one for each; not assessed where None.

    Returns:
        The ledger of all entries. Gradients flow to `layout.cover` and `layout.height_m`.

    Raises:
        LayoutError: The layout breaks its contract or has unknown ground inside the site.
        SettingsError: The region, a use or a number is out of range.
    """
    low, high = HORIZON_YEARS
    if not low <= horizon_years <= high:
        raise SettingsError(f"horizon_years={horizon_years}", f"give {low} to {high} years")
    if draws < 0:
        raise SettingsError(f"draws={draws}", "give 0 or more")
    preset = region_named(region) if isinstance(region, str) else region
    place = place_for(
        preset, horizon_years, year, draws, seed, layout.cover.dtype, layout.cover.device
    )
    return count(
        layout,
        place,
        context=context,
        use_mix=use_mix,
        inside=inside,
        measures=measures,
        sunlight=sunlight,
    )


def count(
    layout: Layout,
    place: Place,
    *,
    context: Layout | None = None,
    use_mix: Mapping[str, float] | None = None,
    inside: Tensor | None = None,
    measures: Measures | None = None,
    sunlight: Sunlight | Sequence[Sunlight] | None = None,
) -> Ledger:
    """As `evaluate`, at a place that stands ready: its factors may be leaves of a gradient.

    Raises:
        LayoutError: The layout breaks its contract or has unknown ground inside the site.
        SettingsError: A use is unknown or the mix does not sum to 1.
    """
    mix = use_mix_of(place, use_mix)
    usual_height_m = place.find("geom.height.default").value
    site, remarks = make_site(layout, context=context, inside=inside, usual_height_m=usual_height_m)
    if measures is not None:
        site = replace(site, measures=measures)
    if sunlight is not None:
        site = with_surroundings(site, place, sunlight)
    site = with_local_air(site, place, mix)
    entries: list[Entry] = []
    missing: list[str] = []
    for account in ACCOUNTS.values():
        found, unknown = account(site, place, mix)
        entries += found
        missing += unknown
    references = {**travel_references(site, place, mix), **ndvi_references(site, place)}
    standing = baseline_sink(site, place)
    if standing is not None:
        references["sink_of_todays_trees_kgco2e_per_year"] = standing
    remarks += claim_notes(references["travel_change_by_form_share"])
    path, path_ids = grid_path(place)
    named = dict.fromkeys(name for entry in entries for name in entry.factors)
    return Ledger(
        entries=tuple(entries),
        region=place.region.name,
        site_area_m2=site.area_m2,
        gross_floor_area_m2=site.floor_area.total,
        horizon_years=place.horizon_years,
        not_assessed=tuple(missing),
        notes=(*remarks, *_notes(place.region, mix, place.year, site.measures)),
        fall_throughs=_stood_in(place, entries, mix),
        references=references,
        factors={name: place.used[name] for name in (*named, *path_ids) if name in place.used},
        grid_path=path,
    )


def _stood_in(place: Place, entries: list[Entry], mix: Mix) -> tuple[str, ...]:
    """The stand-ins that this ledger rests on; a place keeps those of all its ledgers."""
    used = {name for entry in entries for name in entry.factors} | {f"eui {use}" for use in mix}
    return tuple(found.text for found in place.fall_throughs.values() if found.id in used)


def _notes(preset: Region, mix: Mix, year: int | None, measures: Measures) -> list[str]:
    uses = ", ".join(f"{share:.0%} {use}" for use, share in mix.items())
    grid = "without decline of the grid factor" if year is None else f"grid factor of {year}"
    return [
        f"region {preset.name} ({preset.title}), electricity {preset.electricity}, {grid}",
        f"floor area: {uses}",
        "one-off flows are divided by the study period, which understates their effect before 2050",
        "avoided amounts are against today's layout and enter no net; soils count as group C",
        *measures.notes(),
    ]
