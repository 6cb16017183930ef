"""Building operation: statistics set the level, the form moves heating and cooling.

carbon-model 6.1 to 6.4, the hybrid. Heat loss through walls, roofs and ground and by air, per floor
area, is compared with that of a reference block; heating and cooling energy follow the ratio.
Walls are taken as unshaded, and no local temperature change enters.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fabricgen.carbon.energy import intensity
from fabricgen.carbon.form_fields import Field
from fabricgen.carbon.ledger import Entry, Part, entry, part
from fabricgen.carbon.place import Place, Reader, cached
from fabricgen.carbon.site import Site

# The reference block of equation 6.7: 12 x 60 m, six storeys of 3 m.
REFERENCE_WALL_M2, REFERENCE_ROOF_M2 = 2592.0, 720.0
REFERENCE_VOLUME_M3, REFERENCE_FLOOR_M2 = 12960.0, 4320.0
RATIO_LOW, RATIO_HIGH = 0.4, 3.0  # bounds of the form ratio
CLIP_SHARPNESS = 20.0  # the smooth clip is at most 0.07 off, at its bounds
AIR_WH_PER_M3_K = 0.34
AIR_SHARE = 0.85  # air volume over built volume
KWH_PER_W_DAY = 0.024
NEUTRAL_M2 = 1.0  # so little floor area counts as the reference block: no division by nothing


@dataclass(frozen=True, eq=False)
class Loss:
    """A quantity that is linear in walls, roofs, volume and floors, each (1 + D,) per unit.

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

    def over(self, wall_m2: Tensor, roof_m2: Tensor, volume_m3: Tensor, floor_m2: Tensor) -> Tensor:
        """The quantity of B blocks, (B, 1 + D); areas are (B,)."""
        return (
            wall_m2[:, None] * self.wall
            + roof_m2[:, None] * self.roof
            + volume_m3[:, None] * self.volume
            + floor_m2[:, None] * self.floor
        )

    def of_reference(self) -> Tensor:
        """The quantity per m² floor area of the reference block, (1 + D,)."""
        total = (
            REFERENCE_WALL_M2 * self.wall
            + REFERENCE_ROOF_M2 * self.roof
            + REFERENCE_VOLUME_M3 * self.volume
            + REFERENCE_FLOOR_M2 * self.floor
        )
        return total / REFERENCE_FLOOR_M2


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


def smooth_clip(ratio: Tensor) -> Tensor:
    """The form ratio held between 0.4 and 3, once differentiable; same shape."""
    soft = torch.nn.functional.softplus
    low = soft(ratio - RATIO_LOW, beta=CLIP_SHARPNESS)
    return RATIO_LOW + low - soft(ratio - RATIO_HIGH, beta=CLIP_SHARPNESS)


@dataclass(frozen=True, eq=False)
class OperationRates:
    """What a place and its mix of uses make of floor area and form.

    Attributes:
        heating, cooling: The balances whose ratio to the reference moves energy.
        per_floor: By sector, carrier and purpose (base, heating, cooling) [kgCO2e/m²/yr].
        grid_loss: Losses of transmission and distribution over electricity used.
        factors: Ids.
    """

    heating: Loss
    cooling: Loss
    per_floor: dict[tuple[str, str, str], Tensor]
    grid_loss: Tensor
    factors: tuple[str, ...]


@cached
def operation_rates(place: Place, mix: tuple[tuple[str, float], ...]) -> OperationRates:
    """Rates of a place for shares of floor area by use."""
    read = Reader(place)
    envelope = Envelope(
        read("u_wall"), read("u_window"), read("u_roof"), read("u_ground"),
        read("u.floor.ground_factor"), read("u.thermal_bridge"),
        _mean(read, mix, "wwr.{}"), _mean(read, mix, "vent.ach.{}"),
    )  # fmt: skip
    heating = heat_loss(envelope)
    emission = {
        "electricity": _grid(place, read),
        "gas": read.per_kwh("gas"),
        "heat": read.per_kwh("heat"),
    }
    per_floor: dict[tuple[str, str, str], Tensor] = {}
    for use, share in mix:
        energy, ids = intensity(place, use)
        read.ids.extend(ids)
        sector = "residential" if use == "residential" else "nonresidential"
        uses = [(name, "base", kwh) for name, kwh in energy.base.items()]
        uses += [(name, "heating", kwh) for name, kwh in energy.heating.items()]
        uses += [("electricity", "cooling", energy.cooling)]
        for carrier, purpose, kwh in uses:
            key = (sector, carrier, purpose)
            per_floor[key] = per_floor.get(key, 0.0) + share * kwh * emission[carrier]
    return OperationRates(
        heating, _cooling(read, mix, envelope, heating), per_floor, read("td_loss"),
        tuple(read.ids),
    )  # fmt: skip


def _mean(read: Reader, mix: tuple[tuple[str, float], ...], pattern: str) -> Tensor:
    """Mean of a factor over the mix of uses, (1 + D,)."""
    return torch.stack([share * read(pattern.format(use)) for use, share in mix]).sum(dim=0)


def _cooling(
    read: Reader, mix: tuple[tuple[str, float], ...], envelope: Envelope, heating: Loss
) -> Loss:
    """Cooling load (equation 6.5 before the part-time factor) [kWh/yr]."""
    warm = KWH_PER_W_DAY * read("cdd")
    sun = read("bldg.g_window") * envelope.window_share * read("sun")
    gains_w = _mean(read, mix, "bldg.q_peak.ch.{}")
    hours = _mean(read, mix, "bldg.t_full.{}") * read("season")
    return Loss(
        warm * heating.wall + sun, warm * heating.roof, warm * heating.volume,
        gains_w * hours / 1000,
    )  # fmt: skip


def _grid(place: Place, read: Reader) -> Tensor:
    """Emission factor of electricity in the place's year [kgCO2e/kWh], (1 + D,)."""
    rate = read.per_kwh(place.region.electricity)
    row_year = place.find(place.region.electricity).year
    if place.year is None or row_year is None or place.year <= row_year:
        return rate
    return rate * (1 - read("grid_decline")) ** (place.year - row_year)


def operation(site: Site, place: Place, mix: dict[str, float]) -> tuple[list[Entry], list[str]]:
    """Entries of electricity, gas, heat and grid losses by sector, and what was not assessed."""
    rates = operation_rates(place, tuple(mix.items()))
    moved = {
        "heating": _moved(site, rates.heating),
        "cooling": _moved(site, rates.cooling),
    }
    found = []
    for sector in ("residential", "nonresidential"):
        for carrier in ("electricity", "gas", "heat"):
            pieces: list[tuple[Field, Tensor]] = []
            for purpose in ("base", "heating", "cooling"):
                per_floor = rates.per_floor.get((sector, carrier, purpose))
                if per_floor is None:
                    continue
                if purpose == "base":
                    pieces.append((site.floor_area, per_floor[None]))
                else:
                    pieces += [(area, rate * per_floor) for area, rate in moved[purpose]]
            if not pieces:
                continue
            found.append(_line(f"bldg.{carrier}.{sector}", pieces, rates))
            if carrier == "electricity":
                lost = [(area, rate * rates.grid_loss) for area, rate in pieces]
                found.append(_line(f"bldg.td_loss.{sector}", lost, rates))
    return found, ["shade on walls and local air temperature (energy taken as unshaded)"]


def _line(name: str, pieces: list[tuple[Field, Tensor]], rates: OperationRates) -> Entry:
    parts: list[Part] = [part(area, rate) for area, rate in pieces]
    return entry(name, parts, rates.factors)


def _moved(site: Site, loss: Loss) -> list[tuple[Field, Tensor]]:
    """Fields and rates (B, 1 + D) whose products sum to floor area times the form ratio.

    The ratio (equation 6.7) is spread over walls, roofs, volume and floors in proportion to what
    each loses, so that the map shows where energy goes.
    """
    fields = (site.wall, site.footprint, site.volume, site.floor_area)
    reference = loss.of_reference()
    total = loss.over(*(area.total for area in fields))
    ratio = (total / reference + NEUTRAL_M2) / (site.floor_area.total[:, None] + NEUTRAL_M2)
    scale = smooth_clip(ratio) / ratio / reference
    by_field = (loss.wall, loss.roof, loss.volume, loss.floor)
    return [(area, scale * rate) for area, rate in zip(fields, by_field, strict=True)]
