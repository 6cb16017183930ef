"""The grid's path: how the emission factor of electricity falls over the horizon."""

import torch
from torch import Tensor

from fabricgen.carbon.place import Place, Reader, cached


def grid_rate(read: Reader) -> Tensor:
    """Emission factor of electricity in the place's year [kgCO2e/kWh], (1 + D,)."""
    place = read.place
    rate = read.per_kwh(place.region.electricity)
    row_year = place.find(place.region.electricity).year
    if place.year is None or row_year is None or place.year <= row_year:
        return rate
    return rate * (1 - read("grid_decline")) ** (place.year - row_year)


@cached
def grid_path(place: Place) -> tuple[Tensor, tuple[str, ...]]:
    """Emission factor of electricity in the years 0…T over that of the start, (T + 1, 1 + D).

    carbon-model section 0.3, EF(t) = max(EF_min, EF(0) (1 - d)^t). What plants and lines cost to
    build keeps the factor above `grid.floor`; a grid that is below it today stays as it is.

    Returns:
        The path, and the ids that it rests on.
    """
    read = Reader(place)
    start = read.per_kwh(place.region.electricity)
    floor = torch.minimum(read.per_kwh("grid.floor"), start)
    years = torch.arange(place.horizon_years + 1, dtype=start.dtype, device=start.device)
    falling = (1 - read("grid_decline")) ** years[:, None]
    return torch.maximum(floor / start, falling), tuple(read.ids)
