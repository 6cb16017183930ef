"""Units of factors: whether a number in one unit can be read in another, and by what scale.

A unit is `numerator/denominator[/denominator]`, each with qualifiers after a space (`m2 GFA`,
`m2 canopy`). Qualifiers say what is measured and never turn into one another; neither do CO2, CO2e
and C.
"""

from collections.abc import Mapping

from fabricgen.errors import FormatError

# Units that measure the same, each in terms of the first.
FAMILIES: tuple[Mapping[str, float], ...] = (
    {"kWh": 1.0, "Wh": 1e-3, "MWh": 1e3, "GWh": 1e6, "MJ": 1 / 3.6, "GJ": 1e3 / 3.6,
     "TJ": 1e6 / 3.6, "kBtu": 0.29307107},
    {"m2": 1.0, "ha": 1e4, "km2": 1e6, "ft2": 0.09290304},
    {"m3": 1.0, "L": 1e-3, "litre": 1e-3},
    {"m": 1.0, "mm": 1e-3, "cm": 1e-2, "km": 1e3},
    {"yr": 1.0, "a": 1.0, "year": 1.0},
    {"W": 1.0, "kW": 1e3},
    {"1": 1.0, "%": 1e-2},
)  # fmt: skip
MASSES = {"g": 1e-3, "kg": 1.0, "t": 1e3}
GASES = ("CO2e", "CO2", "CH4", "N2O", "C", "")


def scale_between(unit: str, into: str, *, where: str) -> float:
    """What a number in `unit` is multiplied by to stand in `into`.

    `scale_between("gCO2e/kWh", "kgCO2e/kWh", where="...")` is 0.001.

    Raises:
        FormatError: They do not measure the same.
    """
    mine, its = unit.strip().split("/"), into.strip().split("/")
    scales = [_scale(a, b) for a, b in zip(mine, its, strict=False)]
    if len(mine) != len(its) or None in scales:
        raise FormatError(f"{where}: {unit!r} does not convert into {into!r}", f"give {into}")
    top, *below = [float(scale or 0) for scale in scales]
    for scale in below:
        top /= scale
    return top


def _scale(mine: str, its: str) -> float | None:
    """Scale between two plain units; None where they measure different things."""
    if mine.strip() == its.strip():
        return 1.0
    base, _, qualifier = mine.strip().partition(" ")
    other, _, expected = its.strip().partition(" ")
    if qualifier != expected:
        return None
    for family in (*FAMILIES, *_masses()):
        if base in family and other in family:
            return family[base] / family[other]
    return None


def _masses() -> list[dict[str, float]]:
    """Masses of one gas convert into each other, those of two do not."""
    return [{f"{mass}{gas}": scale for mass, scale in MASSES.items()} for gas in GASES]
