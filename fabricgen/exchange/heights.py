"""How high buildings stand where a format needs a number."""

import numpy as np

from fabricgen.exchange.repair import listed
from fabricgen.form.indicators import STOREY_M
from fabricgen.plan import Plan


def standing_m(plan: Plan) -> tuple[np.ndarray, list[str]]:
    """Heights of the buildings, from their floors where they have none.

    Returns:
        (N,) with NaN where neither is known, and a remark that lists those.
    """
    table = plan.buildings
    height = table["height_m"].fillna(table["floors"] * STOREY_M).to_numpy(np.float64)
    flat = table["id"][np.isnan(height)].tolist()
    return height, [f"buildings {listed(flat)}: no height, drawn flat"] if flat else []
