"""Rain that runs off: the curve number method of the US Soil Conservation Service.

TR-55 and the InVEST users' guide (Urban Flood Risk Mitigation); carbon-model 10.2 to 10.4.
"""

import numpy as np
import torch
from torch import Tensor

from fabricgen.errors import SettingsError

ABSTRACTION = 0.2  # share of the retention that is filled before anything runs off
BOTTOMLESS_MM = 1e5  # retention of curve number 0, as in InVEST
LEAST_MM = 1e-9  # guards a division where nothing falls and nothing is held
NODES = 48  # of the quadrature over event depths


def retention_mm(curve_number: Tensor) -> Tensor:
    """Potential retention S (equation 10.6) [mm]; NaN stays NaN.

    Raises:
        SettingsError: A curve number lies outside 0 to 100.
    """
    if bool(((curve_number < 0) | (curve_number > 100)).any()):
        raise SettingsError("a curve number lies outside 0 to 100", "see TR-55, table 2-2")
    held = 254 * (100 - curve_number) / torch.where(curve_number == 0, 1.0, curve_number)
    return torch.where(curve_number == 0, BOTTOMLESS_MM, held)


def runoff_mm(curve_number: Tensor | float, rainfall_mm: Tensor | float) -> Tensor:
    """Depth that runs off in one event (equation 10.7); the shape both broadcast to [mm].

    Args:
        curve_number: 0…100; NaN where not known.
        rainfall_mm: Depth of the event, 0 or more.

    Raises:
        SettingsError: A curve number lies outside 0 to 100, or a depth is negative.
    """
    number, rain = (_floating(x) for x in (curve_number, rainfall_mm))
    if bool((rain < 0).any()):
        raise SettingsError("a depth of rain is negative", "give mm, 0 or more")
    held = retention_mm(number)
    over = (rain - ABSTRACTION * held).clamp(min=0)  # NaN stays NaN
    return over * over / (over + held).clamp(min=LEAST_MM)


def _floating(value: Tensor | float) -> Tensor:
    found = torch.as_tensor(value)
    return found if found.is_floating_point() else found.to(torch.get_default_dtype())


def annual_runoff_mm(
    curve_number: Tensor, events_per_year: Tensor, mean_depth_mm: Tensor
) -> Tensor:
    """Runoff of a year whose events have exponential depths (equation 10.10) [mm/yr].

    What an event brings beyond the initial abstraction is again exponential, so that only the
    smooth part is integrated, by Gauss-Laguerre quadrature. Moisture before an event is average.

    Args:
        curve_number: Any shape.
        events_per_year: Number of rains, broadcasts against it.
        mean_depth_mm: Of one of them.
    """
    held = retention_mm(curve_number)
    reached = torch.exp(-ABSTRACTION * held / mean_depth_mm)  # share of events that run off
    depth = torch.zeros_like(reached)
    for node, weight in zip(*np.polynomial.laguerre.laggauss(NODES), strict=True):
        over = float(node) * mean_depth_mm
        depth = depth + float(weight) * over * over / (over + held)
    return events_per_year * reached * depth
