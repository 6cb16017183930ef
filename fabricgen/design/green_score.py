"""Green, rain and sky indicators of a plan as drawn, with weights from the carbon factor table.

`form` knows the measures and no factors, `carbon` the factors; this room joins them.
"""

import torch

from fabricgen.carbon import Ledger, Region
from fabricgen.carbon.place import Reader, place_for
from fabricgen.carbon.regions import region as region_named
from fabricgen.carbon.shading import sky_view_factor
from fabricgen.carbon.storm import SOIL_GROUP
from fabricgen.carbon.surroundings import QUICK_DIRECTIONS, QUICK_STEPS
from fabricgen.carbon.water import runoff_mm
from fabricgen.form.fields import ground_cover
from fabricgen.form.green_groups import green_space
from fabricgen.form.greening import (
    LEAF_AREA_FACTORS,
    UGF_FACTORS,
    city_cq,
    open_sky,
    runoff_coefficient,
    urban_greening_factor,
)
from fabricgen.layout import Layout
from fabricgen.surfaces import BUILDING, SURFACES

# Curve numbers were made for storms like this; over the small rains of a year they run too low.
DESIGN_RAIN_MM = 50.0


def green_indicators(
    layout: Layout,
    inside: torch.Tensor,
    ledger: Ledger,
    *,
    region: str | Region,
    quick: bool = False,
) -> dict[str, float]:
    """Indicators of one plan beyond those of a brief; arguments as in `green_of_layouts`."""
    found = green_of_layouts(layout, inside, ledger, region=region, quick=quick)
    return {name: float(value[0].detach()) for name, value in found.items()}


def green_of_layouts(
    layout: Layout,
    inside: torch.Tensor,
    ledger: Ledger,
    *,
    region: str | Region,
    quick: bool = False,
) -> dict[str, torch.Tensor]:
    """Indicators of plans beyond those of a brief, (B,) each, units in their names.

    Args:
        layout: Plans drawn in their surroundings, (B, 8, H, W), every surface known inside.
        inside: The sites, (B, H, W) bool.
        ledger: Their carbon.
        region: Where they stand; picks floor area per person, and own values of any weight.
        quick: Look for the sky in fewer directions and steps, as quick sunlight does.

    Returns:
        The City CQ five, `urban_greening_factor`, `runoff_50mm_share` of a rain of that depth,
        sky view from the ground between buildings, and `form.green_space`. Residents are those
        whom the floor area would hold at the region's floor area per person.
    """
    preset = region_named(region) if isinstance(region, str) else region
    cover = layout.cover
    read = Reader(place_for(preset, ledger.horizon_years, None, 0, 0, cover.dtype, cover.device))
    weights = {name: read(row)[0] for name, row in UGF_FACTORS.items()}
    leaves = {name: read(row)[0] for name, row in LEAF_AREA_FACTORS.items()}
    homes_m2 = preset.use_mix.get("residential", 0.0) * ledger.gross_floor_area_m2
    ground = ground_cover(cover, layout.pixel_m)
    sky = sky_view_factor(
        cover[:, BUILDING] * layout.height_m,
        layout.pixel_m,
        directions=QUICK_DIRECTIONS if quick else 16,
        steps=QUICK_STEPS if quick else None,
    )
    return {
        **city_cq(
            layout,
            inside,
            sink_kgco2e_per_year=ledger.amounts("sink")[:, 0],
            mortality_kgco2e_per_year=_mortality(ledger),
        ),
        "urban_greening_factor": urban_greening_factor(layout, inside, weights=weights),
        "runoff_50mm_share": runoff_coefficient(
            layout, inside, coefficients=_runoff_shares(read), ground=ground
        ),
        **open_sky(layout, inside, sky_view_share=sky),
        **green_space(
            layout,
            inside,
            residents=homes_m2 / read("living_space")[0],
            leaf_area_index=leaves,
            ground=ground,
        ),
    }


def _mortality(ledger: Ledger) -> torch.Tensor:
    found = [entry.amount for entry in ledger.entries if entry.name == "veg.mortality"]
    return torch.stack(found).sum(dim=0) if found else torch.zeros_like(ledger.site_area_m2)


def _runoff_shares(read: Reader) -> dict[str, torch.Tensor]:
    """Share of the design storm that runs off each surface; average moisture before it."""
    shares = {}
    for surface in SURFACES:
        number = read(f"cn.{surface}.{SOIL_GROUP}")[0]
        shares[surface] = runoff_mm(number, DESIGN_RAIN_MM) / DESIGN_RAIN_MM
    return shares
