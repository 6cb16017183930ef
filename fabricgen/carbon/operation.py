"""Building operation: electricity, gas, heat and grid losses by sector, and power from roofs.

carbon-model 6.1 to 6.5, 6.11 and 6.12. Three ways to count: statistics by use alone; the heat
balance of the form alone; or, by default, statistics for the level and the balance of the form,
relative to a reference block, for what moves it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fabricgen.carbon.change import kept_share
from fabricgen.carbon.degree_days import change_ratio
from fabricgen.carbon.energy import Intensity, intensity
from fabricgen.carbon.envelope import (
    KWH_PER_W_DAY,
    Blocks,
    Cooling,
    Envelope,
    Loss,
    blend,
    cooling_load,
    heat_loss,
    total,
)
from fabricgen.carbon.form_fields import Field
from fabricgen.carbon.grid import grid_rate
from fabricgen.carbon.ledger import Entry, entry, part
from fabricgen.carbon.measures import Exposure
from fabricgen.carbon.place import Place, Reader, cached
from fabricgen.carbon.roofs import less_power, power_of_roofs
from fabricgen.carbon.site import Site

CARRIERS = ("electricity", "gas", "heat")
RATIO_LOW, RATIO_HIGH = 0.4, 3.0  # bounds of the form ratio
CLIP_SHARPNESS = 20.0  # the smooth clip is at most 0.07 off, at its bounds
NEUTRAL_M2 = 1.0  # so little floor area counts as the reference block: no division by nothing
WINTER_SUN_EFFECT = 0.25  # of equation 6.4: share of heating that the usual winter sun makes up for
LEAST_KWH_PER_M2 = 1e-6  # electric heating where statistics know none: a balance needs a carrier

Key = tuple[str, str]  # sector, carrier
Mix = tuple[tuple[str, float], ...]
Moved = tuple[tuple[dict[Key, Tensor], Loss], ...]  # energy by key, and the rates that carry it


def smooth_clip(ratio: Tensor, low: float = RATIO_LOW, high: float = RATIO_HIGH) -> Tensor:
    """A ratio held between bounds, those of form unless told, once differentiable; same shape."""
    soft = torch.nn.functional.softplus
    raised = soft(ratio - low, beta=CLIP_SHARPNESS)
    return low + raised - soft(ratio - high, beta=CLIP_SHARPNESS)


@dataclass(frozen=True, eq=False)
class OperationRates:
    """What a place and its mix of uses make of floor area and form, each (1 + D,).

    Attributes:
        heating: Heat loss of new buildings [W/K].
        cooling: Cooling load of new buildings by cause [kWh/yr].
        base, heat: By sector and carrier, what the form does not move, and what heats rooms
            [kWh/m²/yr of all floor area].
        cool: By sector, electricity that cools rooms [kWh/m²/yr of all floor area].
        emission: By carrier [kgCO2e/kWh].
        grid_loss: Losses of transmission and distribution over electricity used.
        factors: Ids.
    """

    heating: Loss
    cooling: Cooling
    base: dict[Key, Tensor]
    heat: dict[Key, Tensor]
    cool: dict[Key, Tensor]
    emission: dict[str, Tensor]
    grid_loss: Tensor
    factors: tuple[str, ...]


@cached
def operation_rates(place: Place, mix: Mix) -> OperationRates:
    """Rates of a place for shares of floor area by use."""
    read = Reader(place)
    heating, cooling = _balance(read, mix, "u_{}")
    emission = {
        "electricity": grid_rate(read),
        "gas": read.per_kwh("gas"),
        "heat": read.per_kwh("heat"),
    }
    base: dict[Key, Tensor] = {}
    heat: dict[Key, Tensor] = {}
    cool: dict[Key, Tensor] = {}
    for use, share in mix:
        energy, ids = intensity(place, use)
        read.ids.extend(ids)
        _add_use(energy, "residential" if use == "residential" else "nonresidential", share,
                 base, heat, cool)  # fmt: skip
    return OperationRates(
        heating, cooling, base, heat, cool, emission, read("td_loss"), tuple(read.ids)
    )


def _add_use(
    energy: Intensity, sector: str, share: float,
    base: dict[Key, Tensor], heat: dict[Key, Tensor], cool: dict[Key, Tensor],
) -> None:  # fmt: skip
    for carrier in CARRIERS:
        key = (sector, carrier)
        base[key] = base.get(key, 0.0) + share * energy.base[carrier]
        heat[key] = heat.get(key, 0.0) + share * energy.heating[carrier]
    key = (sector, "electricity")
    cool[key] = cool.get(key, 0.0) + share * energy.cooling


def _balance(read: Reader, mix: Mix, slot: str) -> tuple[Loss, Cooling]:
    """Heat loss and cooling load of an envelope whose U-values stand in slots `slot`."""
    envelope = _envelope(read, mix, slot)
    gains_w = read.mean(dict(mix), "bldg.q_peak.ch.{}")
    hours = read.mean(dict(mix), "bldg.t_full.{}") * read("season")
    return heat_loss(envelope), cooling_load(
        envelope,
        degree_days=read("cdd"),
        sun_kwh_per_m2=read("sun"),
        transmittance=read("bldg.g_window"),
        gains_kwh_per_m2=gains_w * hours / 1000,
    )


def _envelope(read: Reader, mix: Mix, slot: str) -> Envelope:
    windows, air = read.mean(dict(mix), "wwr.{}"), read.mean(dict(mix), "vent.ach.{}")
    if read.place.region.country == "jp" and slot == "u_{}":
        # Japan's code states one mean U over all surfaces, the ground at its full area.
        mean = read(f"ua.jp.zone{read.place.region.climate.removeprefix('jp-')}.apartment")
        none = torch.zeros_like(mean)
        return Envelope(mean, mean, mean, mean, none + 1, none, windows, air)
    return Envelope(
        read(slot.format("wall")), read(slot.format("window")), read(slot.format("roof")),
        read(slot.format("ground")), read("u.floor.ground_factor"), read("u.thermal_bridge"),
        windows, air,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Energy:
    """Energy of B blocks by sector and carrier, as rates on their form.

    Attributes:
        rates: By key, the energy per unit of wall, footprint, volume and floor area; rates are
            (1 + D,) or (B, 1 + D) [kWh/yr].
        factors: Ids that the rates rest on beside those of `operation_rates`.
    """

    rates: dict[Key, Loss]
    factors: tuple[str, ...]

    def kwh(self, blocks: Blocks) -> dict[Key, Tensor]:
        """Yearly energy by sector and carrier, each (B, 1 + D)."""
        return {key: rate.over(blocks) for key, rate in self.rates.items()}


def energy_of(
    blocks: Blocks,
    place: Place,
    mix: Mapping[str, float],
    *,
    how: str = "hybrid",
    exposure: Exposure | None = None,
    kept: Tensor | None = None,
) -> Energy:
    """Energy of blocks of some form, wherever they stand (equations 6.1 to 6.8).

    Args:
        blocks: Their form, B items.
        place: Where.
        mix: Share of floor area by use, the same for all.
        how: `hybrid`, `archetype` or `physical`, see `Measures.operation`.
        exposure: Shade, sun and local air; unshaded and at the climate's temperature where None.
        kept: Share of floor area that is old and has old U-values, (B,); None for none.
    """
    rates = operation_rates(place, tuple(mix.items()))
    found = {key: _per_floor(kwh) for key, kwh in rates.base.items()}
    if how == "archetype":
        for part_of in (rates.heat, rates.cool):
            for key, kwh in part_of.items():
                found[key] = total(found[key], _per_floor(kwh))
        return Energy(found, ())
    read = Reader(place)
    heating, cooling = rates.heating, rates.cooling.whole()
    heating_now, cooling_now = _exposed(read, rates.heating, rates.cooling, exposure)
    if kept is not None:
        old_heating, old_cooling = _balance(read, tuple(mix.items()), "u_{}_old")
        old_now = _exposed(read, old_heating, old_cooling, exposure)
        share = kept[:, None]
        heating, cooling = (
            blend(heating, old_heating, share), blend(cooling, old_cooling.whole(), share)
        )  # fmt: skip
        heating_now, cooling_now = (
            blend(heating_now, old_now[0], share), blend(cooling_now, old_now[1], share)
        )  # fmt: skip
    if how == "hybrid":
        moved: Moved = (
            (rates.heat, _relative(blocks, heating_now, heating)),
            (rates.cool, _relative(blocks, cooling_now, cooling)),
        )
    else:
        moved = _physical(read, rates, heating_now, cooling_now)
    for part_of, rate in moved:
        for key, kwh in part_of.items():
            found[key] = total(found[key], rate.times(kwh))
    return Energy(found, tuple(read.ids))


def _per_floor(kwh_per_m2: Tensor) -> Loss:
    none = torch.zeros_like(kwh_per_m2)
    return Loss(none, none, none, kwh_per_m2)


def _relative(blocks: Blocks, now: Loss, usual: Loss) -> Loss:
    """Rates on form that sum to floor area times the form ratio (equation 6.7).

    The ratio is spread over walls, roofs, volume and floors in proportion to what each loses, so
    that the map shows where energy goes.
    """
    reference = usual.of_reference()
    floor_m2 = blocks.floor_m2[:, None]
    ratio = (now.over(blocks) / reference + NEUTRAL_M2) / (floor_m2 + NEUTRAL_M2)
    return now.times(smooth_clip(ratio) / ratio / reference)


def _exposed(
    read: Reader, heating: Loss, cooling: Cooling, exposure: Exposure | None
) -> tuple[Loss, Loss]:
    """Heat loss and cooling load under shade, sun and local temperature, rates (B, 1 + D)."""
    if exposure is None:
        return heating, cooling.whole()
    warm, sun = cooling.warm, cooling.sun
    if exposure.warmer_k is not None:
        less, more = (_season_ratio(read, exposure.warmer_k, cooling=c) for c in (False, True))
        heating, warm = heating.times(less), warm.times(more)
    if exposure.winter_sun_share is not None:
        lacking = 1 - exposure.winter_sun_share[:, None]
        heating = heating.times(1 + WINTER_SUN_EFFECT * lacking)
    if exposure.summer_sun_share is not None:
        sun = sun.times(exposure.summer_sun_share[:, None])
    return heating, total(total(warm, sun), cooling.gains)


def _season_ratio(read: Reader, warmer_k: Tensor, *, cooling: bool) -> Tensor:
    return change_ratio(
        mean_c=read("t_mean"), summer_c=read("t_ref_summer"), spread_k=read("clim.sigma_daily"),
        warmer_k=warmer_k, cooling=cooling,
    )  # fmt: skip


def _physical(read: Reader, rates: OperationRates, heating: Loss, cooling: Loss) -> Moved:
    """Equations 6.4 to 6.6: needs over efficiencies, on the sectors and carriers of statistics."""
    need = heating.times(KWH_PER_W_DAY * read("hdd") * read("zeta_heat"))
    load = cooling.times(read("zeta_cool"))
    efficiency = {
        "electricity": read("electric_heating"),
        "gas": read("sys.eff.gas_boiler"),
        "heat": read("sys.eff.district_network"),
    }
    of_plant = {
        "residential": read("sys.eff.split_ac_cool"),
        "nonresidential": read("sys.eff.chiller_plant"),
    }
    used = {
        key: kwh + (LEAST_KWH_PER_M2 if key[1] == "electricity" else 0.0)
        for key, kwh in rates.heat.items()
    }
    useful = torch.stack([kwh * efficiency[key[1]] for key, kwh in used.items()]).sum(dim=0)
    chilled = {key: kwh + LEAST_KWH_PER_M2 for key, kwh in rates.cool.items()}
    cooled = torch.stack([kwh * of_plant[key[0]] for key, kwh in chilled.items()]).sum(dim=0)
    return (
        ({key: kwh / useful for key, kwh in used.items()}, need),
        ({key: kwh / cooled for key, kwh in chilled.items()}, load),
    )


def operation(site: Site, place: Place, mix: dict[str, float]) -> tuple[list[Entry], list[str]]:
    """Entries of operation by sector and carrier, and what was not assessed."""
    rates = operation_rates(place, tuple(mix.items()))
    blocks = blocks_of(site)
    energy = energy_of(
        blocks, place, mix,
        how=site.measures.operation, exposure=site.exposure, kept=kept_share(site),
    )  # fmt: skip
    ids = (*rates.factors, *energy.factors)
    bought = energy.kwh(blocks)
    power = power_of_roofs(
        site, place, {key[0]: kwh for key, kwh in bought.items() if key[1] == "electricity"}
    )
    found = []
    for (sector, carrier), rate in energy.rates.items():
        pieces = _on_form(site, rate)
        factor = rates.emission[carrier]
        if carrier == "electricity":
            pieces += less_power(site, power, sector)
            lost = [part(field, kwh * factor * rates.grid_loss) for field, kwh in pieces]
            found.append(entry(f"bldg.td_loss.{sector}", lost, ids))
        parts = [part(field, kwh * factor) for field, kwh in pieces]
        found.append(entry(f"bldg.{carrier}.{sector}", parts, ids))
    if power is not None:
        sold = part(site.footprint, power.exported * rates.emission["electricity"])
        found.append(entry("pv.exported", [sold], (*rates.factors, *power.factors)))
    if site.measures.refrigerants:
        read = Reader(place)
        leak = part(site.floor_area, read("sys.refrigerant_leak"))
        found.append(entry("bldg.refrigerant", [leak], read.ids))
    return found, _unassessed(site.exposure)


def blocks_of(site: Site) -> Blocks:
    """Form of the buildings of each item."""
    return Blocks(
        site.wall.total, site.footprint.total, site.volume.total, site.floor_area.total
    )  # fmt: skip


def _on_form(site: Site, rate: Loss) -> list[tuple[Field, Tensor]]:
    """Fields of the site with the rates on them."""
    return [
        (site.wall, rate.wall),
        (site.footprint, rate.roof),
        (site.volume, rate.volume),
        (site.floor_area, rate.floor),
    ]


def _unassessed(exposure: Exposure | None) -> list[str]:
    if exposure is None or exposure.summer_sun_share is None:
        return ["shade on walls (energy taken as unshaded)"]
    return []
