"""What a plan says of its buildings beside their shape, and how they are counted."""

from dataclasses import dataclass, fields

from torch import Tensor

from fabricgen.errors import SettingsError

OPERATION = ("hybrid", "archetype", "physical")
EMBODIED = ("total", "elements")
MICROCLIMATE = ("avoided", "operation", "off")


@dataclass(frozen=True)
class Measures:
    """Choices for the buildings of a layout; by default none of the optional ones is on.

    Attributes:
        operation: How energy is counted. `archetype`: statistics by use alone; `physical`: heating
            and cooling by the heat balance of the form; `hybrid`: statistics set the level, the
            balance moves it.
        embodied: How new buildings are counted: `total` per floor area, or by `elements`.
        basement_share: Basement floor area over the floor area above ground, of new buildings.
        refurbished_share: Of the floor area that stays, how much is refurbished deeply now.
        pv_share: Of roofs, how much lies under photovoltaic modules.
        green_roof_share: Of roofs, how much is green.
        refrigerants: Count what leaks from air conditioning.
        microclimate: Where the cooling by green is counted. `avoided`: as energy that the
            neighborhood saves against today; `operation`: in the energy of the site's own
            buildings; `off`: nowhere. Never in both.
        intensive_lawn_share: Of grass, how much is kept like a sports field. Of what is neither
            this nor meadow, the hotels' share of floor area is too; the rest is standard lawn.
        meadow_share: Of grass, how much is mown once or twice a year.
        cleared: All buildings of today are taken down. Else one that the plan draws at the place
            and height of one that stands counts as kept.
        park_access: Count car trips that a new park within 300 m of dwellings saves.

    Raises:
        SettingsError: A choice is unknown or a share out of range.
    """

    operation: str = "hybrid"
    embodied: str = "total"
    basement_share: float = 0.0
    refurbished_share: float = 0.0
    pv_share: float = 0.0
    green_roof_share: float = 0.0
    refrigerants: bool = False
    microclimate: str = "avoided"
    intensive_lawn_share: float = 0.0
    meadow_share: float = 0.0
    cleared: bool = False
    park_access: bool = False

    def __post_init__(self) -> None:
        choices = {"operation": OPERATION, "embodied": EMBODIED, "microclimate": MICROCLIMATE}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise SettingsError(
                    f"measures: {name} {getattr(self, name)!r}", f"use one of {', '.join(known)}"
                )
        for field in fields(self):
            value = getattr(self, field.name)
            # A basement may have more floors than the house above it.
            highest = 3.0 if field.name == "basement_share" else 1.0
            if field.name.endswith("_share") and not 0 <= value <= highest:
                raise SettingsError(f"measures: {field.name} {value}", f"give 0 to {highest:g}")
        if self.intensive_lawn_share + self.meadow_share > 1:
            raise SettingsError(
                f"measures: {self.intensive_lawn_share} intensive lawn, {self.meadow_share} meadow",
                "both are shares of grass, at most 1 together",
            )

    def notes(self) -> list[str]:
        """How buildings are counted, and which of their optional parts are left out."""
        energy = {
            "hybrid": "energy of buildings: statistics by use, moved by the form",
            "archetype": "energy of buildings: statistics by use; the form moves nothing",
            "physical": "energy of buildings: heat balance of the form",
        }
        lines = [energy[self.operation]]
        if self.embodied == "elements":
            lines.append("embodied carbon of buildings by elements")
        optional = {
            "basements": self.basement_share,
            "photovoltaics": self.pv_share,
            "green roofs": self.green_roof_share,
            "refrigerants": self.refrigerants,
        }
        absent = [name for name, there in optional.items() if not there]
        if absent:
            lines.append(f"left out: {', '.join(absent)}")
        return lines


@dataclass(frozen=True, eq=False)
class Exposure:
    """What the surroundings do to buildings, each (B,); None where not assessed.

    Attributes:
        summer_sun_share: Sun on walls in the cooling season over that of unshaded ones; F_sh.
        winter_sun_share: The same in the heating season, over that of an isolated block; F_sol.
        warmer_k: Local air temperature over that of the climate preset; only where cooling by
            green is not counted as avoided.
    """

    summer_sun_share: Tensor | None = None
    winter_sun_share: Tensor | None = None
    warmer_k: Tensor | None = None
