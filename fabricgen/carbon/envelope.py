"""Heat balance of building form over a year: losses by transmission and air, sun and gains.

carbon-model 6.3: a seasonal degree-day balance in the manner of ISO 52016. Every quantity is linear
in walls, roofs, volume and floors, so that a balance is four rates and a map is four fields.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# The reference block of equation 6.7: 12 x 60 m, six storeys of 3 m.
REFERENCE_WALL_M2, REFERENCE_ROOF_M2 = 2592.0, 720.0
REFERENCE_VOLUME_M3, REFERENCE_FLOOR_M2 = 12960.0, 4320.0
AIR_WH_PER_M3_K = 0.34
AIR_SHARE = 0.85  # air volume over built volume
KWH_PER_W_DAY = 0.024


@dataclass(frozen=True, eq=False)
class Blocks:
    """Form of B blocks, each (B,).

    Attributes:
        wall_m2: Outer walls, party walls left out.
        footprint_m2: Roof, and ground slab.
        volume_m3: Built volume.
        floor_m2: Gross floor area.
    """

    wall_m2: Tensor
    footprint_m2: Tensor
    volume_m3: Tensor
    floor_m2: Tensor


@dataclass(frozen=True, eq=False)
class Loss:
    """A quantity that is linear in form; each (1 + D,) or (B, 1 + D) per unit.

    Attributes:
        wall: Per m² of wall.
        roof: Per m² of footprint (roof and ground slab).
        volume: Per m³.
        floor: Per m² of gross floor area.
    """

    wall: Tensor
    roof: Tensor
    volume: Tensor
    floor: Tensor

    def over(self, blocks: Blocks) -> Tensor:
        """The quantity of B blocks, (B, 1 + D)."""
        return (
            blocks.wall_m2[:, None] * self.wall
            + blocks.footprint_m2[:, None] * self.roof
            + blocks.volume_m3[:, None] * self.volume
            + blocks.floor_m2[:, None] * self.floor
        )

    def of_reference(self) -> Tensor:
        """The quantity per m² floor area of the reference block, shape of the rates."""
        total = (
            REFERENCE_WALL_M2 * self.wall
            + REFERENCE_ROOF_M2 * self.roof
            + REFERENCE_VOLUME_M3 * self.volume
            + REFERENCE_FLOOR_M2 * self.floor
        )
        return total / REFERENCE_FLOOR_M2

    def times(self, factor: Tensor) -> "Loss":
        """The quantity times a factor that broadcasts with the rates."""
        return self._each(lambda rate: rate * factor)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Loss":
        return Loss(*(change(rate) for rate in (self.wall, self.roof, self.volume, self.floor)))


def total(first: Loss, second: Loss) -> Loss:
    """Both quantities together."""
    return Loss(
        first.wall + second.wall, first.roof + second.roof,
        first.volume + second.volume, first.floor + second.floor,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Envelope:
    """Thermal properties of buildings, each (1 + D,); U-values in W/m²/K."""

    wall: Tensor
    window: Tensor
    roof: Tensor
    ground: Tensor
    ground_share: Tensor
    bridges: Tensor
    window_share: Tensor
    air_changes_per_h: Tensor


def heat_loss(of: Envelope) -> Loss:
    """Heat loss by transmission and air (equations 6.2 and 6.3) [W/K]."""
    glass = of.window_share
    return Loss(
        wall=(1 - glass) * of.wall + glass * of.window + of.bridges,
        roof=of.roof + of.ground_share * of.ground + 2 * of.bridges,
        volume=AIR_WH_PER_M3_K * of.air_changes_per_h * AIR_SHARE,
        floor=torch.zeros_like(of.wall),
    )


def heating_need_kwh(loss_w_per_k: Tensor, degree_days: Tensor, part_time: Tensor) -> Tensor:
    """Yearly heating need (equation 6.4, walls unshaded), shape of the loss [kWh/yr]."""
    return KWH_PER_W_DAY * degree_days * loss_w_per_k * part_time


@dataclass(frozen=True, eq=False)
class Cooling:
    """Cooling load by cause (equation 6.5 before the part-time factor) [kWh/yr].

    Attributes:
        warm: By transmission and air.
        sun: Through windows, walls unshaded.
        gains: Of people, light and machines.
    """

    warm: Loss
    sun: Loss
    gains: Loss

    def whole(self) -> Loss:
        """All causes, unshaded and at the preset's climate."""
        return total(total(self.warm, self.sun), self.gains)


def cooling_load(
    of: Envelope,
    *,
    degree_days: Tensor,
    sun_kwh_per_m2: Tensor,
    transmittance: Tensor,
    gains_kwh_per_m2: Tensor,
) -> Cooling:
    """Cooling load of an envelope, each (1 + D,).

    Args:
        of: The envelope.
        degree_days: Of cooling [K day/yr].
        sun_kwh_per_m2: On upright walls in the cooling season, mean of orientations.
        transmittance: Total solar transmittance of windows.
        gains_kwh_per_m2: Internal gains in the cooling season per m² of floor area.
    """
    none = torch.zeros_like(of.wall)
    glass = transmittance * of.window_share * sun_kwh_per_m2
    return Cooling(
        warm=heat_loss(of).times(KWH_PER_W_DAY * degree_days),
        sun=Loss(glass, none, none, none),
        gains=Loss(none, none, none, gains_kwh_per_m2),
    )


def blend(new: Loss, old: Loss, old_share: Tensor) -> Loss:
    """A stock of new and old envelopes; `old_share` is (B, 1), rates become (B, 1 + D)."""
    return total(new.times(1 - old_share), old.times(old_share))
