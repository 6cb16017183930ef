"""The carbon of a plan by the building where it arises."""

from __future__ import annotations

import numpy as np
import shapely

from fabricgen.design.candidates import Scored
from fabricgen.surfaces import BUILDING

FLOWS = "bldg."  # ids of the flows that arise in buildings


def carbon_by_building(scored: Scored) -> dict[str, dict[str, float | str]]:
    """Emission of each building of a plan, in all and by flow.

    A pixel's amount goes to the building nearest to its middle, so that the buildings together
    emit what the flows of buildings in the ledger amount to.

    Args:
        scored: A plan with its count.

    Returns:
        By the building's id: `emission_kgco2e_per_year`, every flow of buildings with the same
        unit behind its name, and the carbon region.
    """
    plan = scored.candidate.plan
    if plan is None or plan.buildings.empty:
        return {}
    built = scored.candidate.layout.cover[0, BUILDING].numpy() > 0  # (H, W)
    rows, cols = np.nonzero(built)
    x, y = scored.candidate.frame.to_world(rows + 0.5, cols + 0.5)
    houses = plan.buildings.geometry.to_numpy()
    nearest = shapely.STRtree(houses).nearest(shapely.points(x, y))  # (N,)
    made: dict[str, dict[str, float | str]] = {
        str(name): {"carbon_region": scored.region.name, "emission_kgco2e_per_year": 0.0}
        for name in plan.buildings["id"]
    }
    for entry in scored.score.ledger.entries:
        if not entry.name.startswith(FLOWS) or entry.kind != "emission":
            continue
        amounts = entry.per_pixel[0].detach().numpy()[built]
        totals = np.bincount(nearest, weights=amounts, minlength=len(houses))
        for said, total in zip(made.values(), totals.tolist(), strict=True):
            said[f"{entry.name}_kgco2e_per_year"] = total
            said["emission_kgco2e_per_year"] += total  # type: ignore[operator]
    return made
