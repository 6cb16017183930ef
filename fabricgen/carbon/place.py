"""A region made ready for counting: each slot's factor found, its value and draws as tensors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import ParamSpec, TypeVar, cast

import torch
from torch import Tensor

from fabricgen.carbon.factors import Factor, factor, table, values
from fabricgen.carbon.regions import Region
from fabricgen.errors import SettingsError

P = ParamSpec("P")
R = TypeVar("R")

USES = ("residential", "office", "retail", "hotel", "hospital", "education", "industrial")
KWH_PER_GJ = 1000 / 3.6

# Where to look for each slot, most specific first. {country}, {place}, {group} and the climates are
# the region's codes; a line whose code is empty is skipped. What comes after the first line that
# applies, or holds for another region, is a fall-through and is listed.
SLOTS: Mapping[str, tuple[str, ...]] = {
    "grid_decline": ("grid.decline.{country}", "grid.decline.oecd"),
    "td_loss": ("grid.td_loss.{country}", "grid.td_loss.default"),
    "gas": ("fuel.gas.{country}.kwh", "fuel.gas.ipcc"),
    "heat": ("heat.{place}", "heat.{country}.dh", "heat.{country}.default", "heat.eu.dh"),
    "hdd": ("clim.{climate}.hdd18",),
    "cdd": ("clim.{climate}.cdd26",),
    "sun": ("clim.i_cool.{climate}", "clim.i_cool.{country}", "clim.i_cool.{group}"),
    "season": ("ucm.f_season.{climate}", "ucm.f_season.{country}", "ucm.f_season.{group}"),
    "u_wall": (
        "u.{country}.new.{climate}.wall", "u.{country}.new.wall", "u.de.tabula.mfh.l.wall"
    ),
    "u_roof": (
        "u.{country}.new.{climate}.roof", "u.{country}.new.roof", "u.de.tabula.mfh.l.roof"
    ),
    "u_window": (
        "u.{country}.new.{climate}.window", "u.{country}.new.window", "u.de.tabula.mfh.l.window"
    ),
    "u_ground": ("u.{country}.tabula.mfh.l.floor", "u.de.tabula.mfh.l.floor"),
    "u_wall_old": (
        "u.{country}.old.{climate}.wall", "u.{country}.tabula.mfh.f.wall", "u.de.tabula.mfh.f.wall"
    ),
    "u_roof_old": (
        "u.{country}.old.{climate}.roof", "u.{country}.tabula.mfh.f.roof", "u.de.tabula.mfh.f.roof"
    ),
    "u_window_old": (
        "u.{country}.old.{climate}.window", "u.{country}.tabula.mfh.f.window",
        "u.de.tabula.mfh.f.window",
    ),
    "u_ground_old": ("u.{country}.tabula.mfh.f.floor", "u.de.tabula.mfh.f.floor"),
    "t_mean": ("clim.{climate}.t_mean",),
    "t_ref_summer": ("clim.{climate}.t_ref_summer",),
    "zeta_heat": (
        "sys.zeta_h.{climate}", "sys.zeta_h.{country}", "sys.zeta_h.{group}", "sys.zeta_h.eu"
    ),
    "zeta_cool": (
        "sys.zeta_c.{climate}", "sys.zeta_c.{country}", "sys.zeta_c.{group}", "sys.zeta_c.eu"
    ),
    "electric_heating": ("sys.eff.split_ac_heat",),
    "pv_yield": (
        "pv.yield.{climate}", "pv.yield.{country}", "pv.yield.{group}", "pv.yield.eu"
    ),
    "uhi_max": ("clim.{climate}.uhi_max",),
    "rain_events": (
        "rain.events.{climate}", "rain.events.{country}", "rain.events.{group}"
    ),
    "rain_depth": (
        "rain.mean_depth.{climate}", "rain.mean_depth.{country}", "rain.mean_depth.{group}"
    ),
    "wwtp_kwh": ("water.wwtp_kwh.{country}_south", "water.wwtp_kwh.default"),
    "tree_stock": ("veg.tree.stock.{country}", "veg.tree.stock.us"),
    "tree_rate": ("veg.tree.seq_gross.{climate}", "veg.tree.seq_gross.{tree_climate}"),
    "soc_ref": ("soil.soc_ref.{soil_climate}",),
    "study_years": ("gen.rsp.{country}", "gen.rsp.default"),
    "structure": ("emb.a1a5.{structure}",),
    "road": ("pav.road.asphalt.construction",),
    "paved": ("pav.plaza_mixed",),
    "latitude": ("clim.latitude.{country}", "clim.{climate}.latitude"),
    "living_space": (
        "geom.area_per_person.{place}", "geom.area_per_person.{country}",
        "geom.area_per_person.{group}",
    ),
    "travel_vkt": ("travel.vkt.{country}", "travel.vkt.{group}"),
    "travel_density": ("travel.ref.density.{country}", "travel.ref.density.{group}"),
    "travel_junctions": (
        "travel.ref.intersections.{country}", "travel.ref.intersections.{group}"
    ),
    "car": ("travel.car.{country}.ice", "travel.car.{country}.unknown", "travel.car.uk.unknown"),
    "ev_share": ("travel.ev_share.{country}", "travel.ev_share.{group}"),
}  # fmt: skip
# Slots whose general row is the normal case and no stand-in.
GENERAL = (
    "study_years", "structure", "road", "paved", "soc_ref", "tree_rate", "gas", "electric_heating"
)  # fmt: skip


def cached(function: Callable[P, R]) -> Callable[P, R]:
    """Remembers what a place's factors make.

    Made as ordinary tensors even under inference mode, so that a later call may differentiate.
    """
    made = lru_cache(maxsize=64)(torch.inference_mode(mode=False)(function))
    return cast(Callable[P, R], made)


@dataclass(frozen=True)
class FallThrough:
    """A factor that stands in for one the region lacks.

    Attributes:
        id: The factor used.
        text: One line for the report.
    """

    id: str
    text: str


@dataclass(frozen=True, eq=False)
class Place:
    """A region with its factors as tensors.

    Attributes:
        region: The preset.
        horizon_years: Years over which vegetation and soil are averaged.
        year: Calendar year of the electricity factor; None for the year of its row.
        draws: Number D of random draws of each factor.
        seed: Of the draws.
        like: A tensor whose dtype and device all values take.
        fall_throughs: Grows as slots are looked up; what stood in for a missing row.
        used: Grows as factors are looked up; each as it was counted with, by id.
        leaves: Where a dict, values are leaves of a gradient, one per factor id, and grow into it;
            such a place has no draws and serves one backward pass.
    """

    region: Region
    horizon_years: int
    year: int | None
    draws: int
    seed: int
    like: Tensor
    fall_throughs: dict[str, FallThrough] = field(default_factory=dict)
    used: dict[str, Factor] = field(default_factory=dict)
    leaves: dict[str, Tensor] | None = None

    def values(self, of: Factor) -> Tensor:
        """Central value and draws of a factor, (1 + D,)."""
        if self.leaves is None:
            return values(of, draws=self.draws, seed=self.seed).to(self.like)
        if of.id not in self.leaves:
            central = values(of, draws=0, seed=self.seed).to(self.like)
            self.leaves[of.id] = central.requires_grad_()
        return self.leaves[of.id]

    def find(self, slot: str) -> Factor:
        """The factor of a slot for this region, or of an id if no slot is called so.

        Raises:
            SettingsError: No row applies.
        """
        name, stands_in = self._id_of(slot)
        found = self._own(factor(name))
        if name not in self.region.factors and (stands_in or self._foreign(found)):
            self.note(slot, found)
        self.used[found.id] = found
        return found

    def note(self, slot: str, found: Factor) -> None:
        """Lists a factor that stands in for a missing one."""
        where = "a general value" if found.region == "GLOBAL" else f"a value of {found.region}"
        text = f"{found.id}, {where}" if slot == found.id else f"{slot}: {found.id}, {where}"
        self.fall_throughs[slot] = FallThrough(found.id, text)

    def _id_of(self, slot: str) -> tuple[str, bool]:
        if slot in self.region.choose:
            return self.region.choose[slot], False
        if slot not in SLOTS:
            return slot, False
        codes = {
            key: getattr(self.region, key)
            for key in (
                "country", "place", "group", "climate", "tree_climate", "soil_climate", "structure"
            )
        }  # fmt: skip
        applies = [
            line
            for line in SLOTS[slot]
            if all(codes[key] for key in codes if "{" + key + "}" in line)
        ]
        for rank, line in enumerate(applies):
            name = line.format(**codes)
            if name in table():
                general = factor(name).region == "GLOBAL" or "{place}" in applies[0]
                return name, rank > 0 and general and slot not in GENERAL
        raise SettingsError(
            f"carbon region {self.region.name}: no factor for {slot}",
            f"add one of {', '.join(line.format(**codes) for line in applies)}",
        )

    def _own(self, found: Factor) -> Factor:
        """The factor with the region's own numbers put in."""
        own = self.region.factors.get(found.id)
        if own is None:
            return found
        value = float(own["value"])
        return replace(
            found, value=value, low=float(own.get("low", value)),
            high=float(own.get("high", value)), source=str(own.get("source", "user")),
            distribution=str(own.get("distribution", found.distribution)),
            year=own.get("year", found.year), confirmed=bool(own.get("confirmed", False)),
            note=str(own.get("note", "")),
        )  # fmt: skip

    def _foreign(self, found: Factor) -> bool:
        """The row names a region that is not this one."""
        row = found.region.lower().replace("-", ".")
        own = (self.region.country, self.region.place, self.region.name.replace("-", "."))
        return row != "global" and not any(
            code and (row == code or row.startswith(f"{code}.")) for code in own
        )


@dataclass(frozen=True, eq=False)
class Reader:
    """Reads factors of a place and keeps their ids, so that an entry can name what it rests on."""

    place: Place
    ids: list[str] = field(default_factory=list)

    def __call__(self, slot: str) -> Tensor:
        """Value and draws of a slot or id, (1 + D,), in the unit of its row."""
        found = self.place.find(slot)
        self.ids.append(found.id)
        return self.place.values(found)

    def per_kwh(self, slot: str) -> Tensor:
        """An energy's emission factor in kgCO2e/kWh, (1 + D,)."""
        unit = self.place.find(slot).unit
        scale = {"kWh": 1.0, "GJ": 1 / KWH_PER_GJ, "TJ": 1e-3 / KWH_PER_GJ}
        mass, _, energy = unit.partition("/")
        if energy not in scale or mass[:1] not in "kt":
            raise SettingsError(f"factor of {slot} is in {unit}", "give mass of CO2 per kWh or GJ")
        return self(slot) * scale[energy] * (1000.0 if mass.startswith("t") else 1.0)

    def mean(self, mix: Mapping[str, float], pattern: str) -> Tensor:
        """Mean of a factor over shares of uses, (1 + D,); {} in `pattern` stands for the use."""
        parts = [share * self(pattern.format(use)) for use, share in mix.items()]
        return torch.stack(parts).sum(dim=0)

    def best(self, *ids: str) -> Tensor:
        """The first of several ids that the table has; a later one is listed as a fall-through."""
        known = [name for name in ids if name in table()]
        if not known:
            raise SettingsError(f"no carbon factor {' or '.join(ids)}", "add one to the table")
        found = self(known[0])
        if known[0] != ids[0]:
            self.place.note(ids[0], factor(known[0]))
        return found


@cached
def place_for(
    region: Region, horizon_years: int, year: int | None, draws: int, seed: int,
    dtype: torch.dtype, device: torch.device,
) -> Place:  # fmt: skip
    """The place of a region, made once per setting."""
    like = torch.zeros((), dtype=dtype, device=device)
    return Place(region, horizon_years, year, draws, seed, like)


def use_mix_of(place: Place, use_mix: Mapping[str, float] | None) -> dict[str, float]:
    """Share of floor area by use, summing to 1.

    Raises:
        SettingsError: A use is unknown, a share is negative, or they do not sum to 1.
    """
    mix = dict(place.region.use_mix if use_mix is None else use_mix)
    for use in mix:
        if use not in USES:
            raise SettingsError(f"there is no building use {use!r}", f"one of {', '.join(USES)}")
    if min(mix.values(), default=-1.0) < 0 or abs(sum(mix.values()) - 1) > 1e-3:
        raise SettingsError(f"use_mix {mix} does not sum to 1", "give shares of floor area by use")
    return {use: share for use, share in mix.items() if share > 0}
