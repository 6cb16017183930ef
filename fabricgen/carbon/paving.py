"""Roads, paving and planting: what the ground costs to make and renew (carbon-model 6.9)."""

import torch
from torch import Tensor

from fabricgen.carbon.embodied import module_shares
from fabricgen.carbon.form_fields import Field
from fabricgen.carbon.ledger import Entry, Part, entry, part
from fabricgen.carbon.place import Place, Reader
from fabricgen.carbon.site import Site, State
from fabricgen.carbon.vegetation import pulse
from fabricgen.surfaces import GRASS, PAVED, ROAD, SHRUB, TREE, WATER

SEALED = ((ROAD, "road"), (PAVED, "paved"))


def paving(site: Site, place: Place) -> tuple[list[Entry], list[str]]:
    """Entries of roads and paving (equation 6.15), and what was not assessed.

    Areas are those of the ground, crowns seen through. The split into A1-A3, A4 and A5 is that of
    buildings, for want of a better one.
    """
    read = Reader(place)
    years = read("study_years")[:1]
    once = pulse(place, years)
    known = site.knows(ROAD, PAVED)
    laid = [(read(slot), *_new_and_kept(site, surface, known=known)) for surface, slot in SEALED]
    found = []
    for module, share in module_shares(read).items():
        rate = share / years
        parts = [part(new, per_m2 * rate, once) for per_m2, new, _ in laid]
        found.append(entry(f"pave.embodied.{module}", parts, read.ids))
    first, later = _renewals(read, years)
    parts = []
    for per_m2, new, kept in laid:
        parts += [part(new, per_m2 * first), part(kept, per_m2 * later)]
    found.append(entry("pave.embodied.replacement", parts, read.ids))
    if not known:
        return found, ["breaking out of roads and paving: today's are not known; all count as new"]
    found.append(_broken_out(site, place, years))
    return found, []


def _new_and_kept(site: Site, surface: int, *, known: bool) -> tuple[Field, Field]:
    """Ground area of a surface that is laid, and that stays [m²]."""

    def share(part: Site) -> Tensor:
        return _sealed(part.design, surface)

    def new(part: Site) -> Tensor:
        return torch.relu(share(part) - _sealed(part.base, surface))  # type: ignore[arg-type]

    if not known:
        return site.field(share), site.field(lambda part: 0 * share(part))
    laid = site.field(new)
    stays = Field(
        site.parts,
        lambda part: (share(part) - new(part)) * part.plane_m2,
        lambda part: part.ground_areas_m2[:, surface] - laid.of(part).sum(dim=(1, 2)),
    )
    return laid, stays


def _sealed(state: State, surface: int) -> Tensor:
    """Share of the ground under roads or paving, (B, H, W)."""
    return state.ground_road if surface == ROAD else state.ground_paved


def _renewals(read: Reader, years: Tensor) -> tuple[Tensor, Tensor]:
    """Share of the construction that is renewed per year, of new and of standing ground.

    The surface course goes every 15 years, the base every 40; what is laid new has its first
    installation in A1-A5.
    """
    surface = read("pav.surface_share")
    lives = ((surface, read("pav.life.surface")), (1 - surface, read("pav.life.base")))
    first = torch.stack([share * (years / life - 1).clamp(min=0) / years for share, life in lives])
    later = torch.stack([share / life for share, life in lives])
    return first.sum(dim=0), later.sum(dim=0)


def _broken_out(site: Site, place: Place, years: Tensor) -> Entry:
    """Sealed ground that disappears, under new buildings or green."""
    read = Reader(place)
    rate = read("pav.demolition") / years

    def unsealed(part: Site) -> Tensor:
        before: State = part.base  # type: ignore[assignment]
        sealed = before.ground_road + before.ground_paved
        return torch.relu(sealed - part.design.ground_road - part.design.ground_paved)

    lost = site.field(unsealed)
    return entry("pave.embodied.end_of_life", [part(lost, rate, pulse(place, years))], read.ids)


def planting(site: Site, place: Place) -> tuple[list[Entry], list[str]]:
    """Planting of new trees, shrubs and lawn, the bed of new ponds, and green roofs."""
    read = Reader(place)
    years = read("study_years")[:1]
    rows = [(TREE, "plant.tree_canopy"), (SHRUB, "plant.shrub"), (GRASS, "plant.turf_sod")]
    if site.knows(WATER):
        rows.append((WATER, "plant.pond_liner"))
    once = pulse(place, years)
    parts: list[Part] = [
        part(site.fates[surface].new, read(name) / years, once) for surface, name in rows
    ]
    if site.measures.green_roof_share > 0:
        build_up = site.measures.green_roof_share * read("veg.greenroof.embodied") / years
        parts.append(part(site.footprint, build_up, once))
    return [entry("green.planting", parts, read.ids)], []
