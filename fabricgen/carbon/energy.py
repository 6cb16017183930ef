"""Energy intensity of floor area by use: electricity, gas, district heat, and what they are for.

carbon-model 6.2. Statistics set the level; `operation` lets the building form move the part that
heats and cools.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fabricgen.carbon.place import FallThrough, Place, Reader, cached
from fabricgen.errors import SettingsError

CARRIERS = ("electricity", "gas", "heat")


@dataclass(frozen=True, eq=False)
class Intensity:
    """Yearly energy per m² of gross floor area of one use, each (1 + D,) [kWh/m²/yr].

    Attributes:
        base: By carrier, what the form does not move.
        heating: By carrier, what heats rooms.
        cooling: Electricity that cools rooms.
    """

    base: dict[str, Tensor]
    heating: dict[str, Tensor]
    cooling: Tensor


@cached
def intensity(place: Place, use: str) -> tuple[Intensity, tuple[str, ...]]:
    """Intensity of a use, and the factors it rests on.

    Rows come as electricity with gas or heat, or as a total that shares split: the row's own
    `gas_share`, `heat_share` and `cool_share`, else the region's.

    Raises:
        SettingsError: The region has no row for dwellings.
    """
    read = Reader(place)
    rows = place.region.eui.get(use)
    if rows is None and use != "residential" and "office" in place.region.eui:
        rows = place.region.eui["office"]
        place.fall_throughs[f"eui {use}"] = FallThrough(
            f"eui {use}", f"energy of {use}: no row, that of offices stands in"
        )
    if rows is None:
        raise SettingsError(
            f"carbon region {place.region.name}: no energy intensity for {use}",
            f"add eui.{use} to the preset",
        )
    split = _Split(read, "residential" if use == "residential" else "nonresidential")
    energy = _carriers(read, rows, split)
    heating = _heating(read, rows, energy, split, use)
    spare = energy["electricity"] - heating["electricity"]
    cooling = torch.minimum(_cooling_share(read, split, use) * sum(energy.values()), spare)
    base = {name: energy[name] - heating[name] for name in CARRIERS}
    base["electricity"] = base["electricity"] - cooling
    return Intensity(base, heating, cooling), tuple(read.ids)


@dataclass(frozen=True, eq=False)
class _Split:
    """Shares of a total, by the region's rows `eui.split.CODE.CLASS.WHAT`."""

    read: Reader
    sector: str

    def __call__(self, what: str, *else_ids: str) -> Tensor:
        region = self.read.place.region
        codes = [code for code in (region.country, region.group, "eu") if code]
        ids = [f"eui.split.{code}.{self.sector}.{what}" for code in dict.fromkeys(codes)]
        own = ids[: len(codes) - 1] if codes[-1] != region.country else ids
        return self.read.best(*(own if else_ids else ids), *else_ids)


def _carriers(read: Reader, rows: Mapping[str, str], split: _Split) -> dict[str, Tensor]:
    """Energy by carrier from whatever rows there are [kWh/m²/yr]."""
    if "total" in rows:
        total = read(rows["total"])
        gas, heat = _gas_share(read, rows, split), split("heat")
        scale = 1 / (gas + heat).clamp(min=1.0)  # draws may ask for more than all
        gas, heat = total * gas * scale, total * heat * scale
        return {"electricity": total - gas - heat, "gas": gas, "heat": heat}
    electricity = read(rows["el"])
    none = torch.zeros_like(electricity)
    gas = read(rows["gas"]) if "gas" in rows else none
    if "gas_share" in rows:  # electricity is known; gas from its share of the total
        share = _gas_share(read, rows, split).clamp(max=0.9)
        gas = electricity * share / (1 - share)
    heat = read(rows["heat"]) if "heat" in rows else none
    return {"electricity": electricity, "gas": gas, "heat": heat}


def _gas_share(read: Reader, rows: Mapping[str, str], split: _Split) -> Tensor:
    """Share of gas in the total; the row's own, or the region's where it is missing or `yes`."""
    own = rows.get("gas_share", "yes")
    return split("gas") if own == "yes" else read(own)


def _heating(
    read: Reader, rows: Mapping[str, str], energy: dict[str, Tensor], split: _Split, use: str
) -> dict[str, Tensor]:
    """The part of each carrier that heats rooms; heat and gas serve first, electricity the rest."""
    if "heat" in rows:  # metered apart: all of it heats
        none = torch.zeros_like(energy["heat"])
        return {"electricity": none, "gas": none, "heat": energy["heat"]}
    if "heat_share" in rows:
        share = read(rows["heat_share"])
    else:
        share = split("space", f"eui.share.heat.{use}", "eui.share.heat.office")
    need = share * sum(energy.values())
    thermal = energy["gas"] + energy["heat"]
    served = torch.minimum(need, thermal) / thermal.clamp(min=1e-9)
    return {
        "gas": energy["gas"] * served,
        "heat": energy["heat"] * served,
        "electricity": torch.minimum((need - thermal).clamp(min=0), energy["electricity"]),
    }


def _cooling_share(read: Reader, split: _Split, use: str) -> Tensor:
    rows = read.place.region.eui.get(use, {})
    if "cool_share" in rows:
        return read(rows["cool_share"])
    return split("cool", f"eui.share.cool.{use}", "eui.share.cool.office")
