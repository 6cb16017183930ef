"""Power from roofs: what modules yield, what the buildings use of it, what is exported.

carbon-model 6.11. What is used lowers bought electricity; what is exported is an avoided amount
elsewhere and never netted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fabricgen.carbon.form_fields import Field
from fabricgen.carbon.place import Place, Reader
from fabricgen.carbon.site import Site

USED_SHARE = 0.35  # of the electricity that buildings use, at most so much comes from their roofs
SHARPNESS = 20.0  # of the smooth minimum: at most 0.035 below it, where both are equal
LEAST_KWH = 1.0  # guards the division where there is no roof


@dataclass(frozen=True, eq=False)
class Power:
    """Yearly power per m² of footprint, each (B, 1 + D) [kWh/m²/yr].

    Attributes:
        used: What the buildings use themselves, by sector.
        exported: What goes to the grid.
        factors: Ids.
    """

    used: dict[str, Tensor]
    exported: Tensor
    factors: tuple[str, ...]


def power_of_roofs(site: Site, place: Place, electricity: Mapping[str, Tensor]) -> Power | None:
    """Equation 6.16; None where the plan has no modules.

    Args:
        site: The site, whose measures state the share of roofs under modules.
        place: Where.
        electricity: What the buildings use, by sector, each (B, 1 + D) [kWh/yr].
    """
    if site.measures.pv_share == 0:
        return None
    read = Reader(place)
    per_m2 = site.measures.pv_share * read("pv.kwp_per_m2") * read("pv_yield")  # (1 + D,)
    yields = site.footprint.total[:, None] * per_m2 + LEAST_KWH  # (B, 1 + D)
    demand = torch.stack(list(electricity.values())).sum(dim=0) + LEAST_KWH
    used = per_m2 * _smooth_minimum_with_one(USED_SHARE * demand / yields)
    by_sector = {sector: used * kwh / demand for sector, kwh in electricity.items()}
    return Power(by_sector, per_m2 - used, tuple(read.ids))


def _smooth_minimum_with_one(ratio: Tensor) -> Tensor:
    """The lesser of a ratio and 1, once differentiable, at 0 exactly 0; same shape."""
    soft = torch.nn.functional.softplus
    one = torch.ones_like(ratio)
    # min(r, 1) = r − max(r − 1, 0), less what the soft maximum holds at r = 0.
    return ratio - soft(ratio - one, beta=SHARPNESS) + soft(-one, beta=SHARPNESS)


def less_power(site: Site, power: Power | None, sector: str) -> list[tuple[Field, Tensor]]:
    """The power that roofs give a sector, as a negative rate on footprints."""
    if power is None or sector not in power.used:
        return []
    return [(site.footprint, -power.used[sector])]
