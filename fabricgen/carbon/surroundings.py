"""What stands around: the sun that reaches walls and the sky that crowns see (carbon-model 7).

Both are read off the whole image, also where it lies outside the site. A careful reading of a tile
of 128 x 128 pixels takes 0.03 s on one core (0.07 s with gradients): for scores. A quick one looks
at half the resolution, in longer steps, with fewer suns, and takes 1.5 ms (4.4): for the loop,
where gradients are to show the way. On tiles of real cities it sees 0.06 too much of the sun on
walls, in both seasons, and 0.02 too much of the sky over crowns.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from fabricgen.carbon.measures import Exposure
from fabricgen.carbon.place import Place, Reader
from fabricgen.carbon.shading import EYE_M, obstruction_m, sky_view_factor
from fabricgen.carbon.site import Site
from fabricgen.carbon.walls import Shading, shading_factors
from fabricgen.errors import SettingsError
from fabricgen.surfaces import BUILDING, TREE

# Of the sky. Doubling steps would jump over slabs; these find what is 12 m deep within 30 m.
QUICK_STEPS = (1, 2, 3, 4, 6, 8, 11, 15, 22, 32)
QUICK_DIRECTIONS = 8
QUICK_HOURS = 4.0
PIXELS_PER_CHUNK = 2**15  # so many pixels of a batch stay in a processor's cache


@dataclass(frozen=True)
class Sunlight:
    """How the sun around a site is read.

    Attributes:
        latitude_deg: Of the site, north positive; None for that of the climate row.
        north_deg: Bearing of the image's up, clockwise from north.
        quick: For the loop.
    """

    latitude_deg: float | None = None
    north_deg: float = 0.0
    quick: bool = False


def with_surroundings(site: Site, place: Place, suns: Sunlight | Sequence[Sunlight]) -> Site:
    """The site with the sun on its walls and the sky over it filled in.

    Args:
        site: Of B items.
        place: Gives the latitude where none is known, the height and the shade of trees.
        suns: Where the site lies, and how careful to be: one for all items, or B of them.

    Returns:
        A site whose `exposure` holds both shares of sun beside what it held, and whose `sky_view`
        is what the middle of a crown sees among buildings; how trees shade each other is in their
        rates of growth already.

    Raises:
        SettingsError: There are not as many suns as items, some are quick and some are not, or a
            latitude is out of range.
    """
    count = len(site.pixel_area_m2)
    each = [suns] * count if isinstance(suns, Sunlight) else list(suns)
    if len(each) != count:
        raise SettingsError(f"{len(each)} suns for {count} layouts", "give one for each")
    if len({one.quick for one in each}) != 1:
        raise SettingsError("some suns are quick and some are not", "give suns of one kind")
    read = Reader(place)
    quick, pixel_m = each[0].quick, site.design.pixel_m * (2 if each[0].quick else 1)
    eye_m = _crown_m(read) / 2
    chunks = [one for part in site.parts for one in _split(part, 2 * eye_m, quick=quick)]
    sky = torch.cat([_sky(building, pixel_m, eye_m, quick=quick) for building, *_ in chunks])
    if quick:
        rows, cols = site.design.height_m.shape[-2:]
        sky = _doubled(sky)[:, :rows, :cols]
    lit = _lit(chunks, each, pixel_m=pixel_m, read=read)
    exposure = replace(
        site.exposure or Exposure(), summer_sun_share=lit.cooling, winter_sun_share=lit.heating
    )
    return replace(site, exposure=exposure, sky_view=sky)


def _sky(building_m: Tensor, pixel_m: float, eye_m: float, *, quick: bool) -> Tensor:
    """Sky among buildings as seen from the middle of a crown, (B, H, W)."""
    return sky_view_factor(
        building_m,
        pixel_m,
        eye_m=eye_m,
        directions=QUICK_DIRECTIONS if quick else 16,
        steps=QUICK_STEPS if quick else None,
    )


def _lit(
    chunks: Sequence[tuple[Tensor, ...]], suns: Sequence[Sunlight], *, pixel_m: float, read: Reader
) -> Shading:
    """Sun on the walls of each item, (B,)."""
    usual = float(read("latitude")[0])
    found, first = [], 0
    for building, canopy, counts in chunks:
        here = suns[first : first + len(building)]
        first += len(here)
        places = here[:1] if len(set(here)) == 1 else here
        one = shading_factors(
            building,
            canopy,
            pixel_m,
            latitude_deg=[usual if p.latitude_deg is None else p.latitude_deg for p in places],
            north_deg=[place.north_deg for place in places],
            passes=(read("shade.tree.leaf_on")[0], read("shade.tree.leaf_off")[0]),
            counts=counts,
            every_h=QUICK_HOURS if here[0].quick else 2.0,
            quick=here[0].quick,
        )
        found.append(one)
    return Shading(
        torch.cat([one.cooling for one in found]), torch.cat([one.heating for one in found])
    )


def sky_over_ground(site: Site, place: Place) -> Tensor:
    """Share of the sky that people see among buildings and trees, (B, H, W); for indicators.

    From 1.5 m on the ground, and from roofs. Crowns in leaf count as high as they are dense
    (equation 7.1).
    """
    read = Reader(place)
    building, canopy = _heights(site, _crown_m(read))
    opacity = 1 - float(read("shade.tree.leaf_on")[0])
    around = obstruction_m(building, canopy, opacity=opacity)
    return sky_view_factor(around, site.design.pixel_m, eye_m=building.clamp(min=EYE_M))


def _split(site: Site, crown_m: float, *, quick: bool) -> Iterator[tuple[Tensor, ...]]:
    """Heights of buildings and crowns and what counts, a few items at a time, (b, H, W) each."""
    building, canopy = _heights(site, crown_m)
    counts = (site.plane_m2 > 0).to(building).expand_as(building)
    fields: tuple[Tensor, ...] = (building, canopy, counts)
    if quick:
        fields = tuple(_halved(field) for field in fields)
    step = max(1, PIXELS_PER_CHUNK // fields[0][0].numel())
    yield from zip(*(field.split(step) for field in fields), strict=True)


def _crown_m(read: Reader) -> float:
    """Height of a crown's top [m]."""
    return float(read("veg.tree.height")[0])


def _heights(site: Site, crown_m: float) -> tuple[Tensor, Tensor]:
    """Soft heights of buildings and crowns, (B, H, W) each."""
    shares = site.design.shares
    return shares[BUILDING] * site.design.height_m, shares[TREE] * crown_m


def _halved(field: Tensor) -> Tensor:
    """Means over 2 x 2 pixels, (B, H, W) to half of it, rounded up."""
    rows, cols = field.shape[1:]
    if rows % 2 or cols % 2:  # the last row or column stands for two
        field = pad(field, (0, cols % 2, 0, rows % 2), mode="replicate")
    wide = field[:, 0::2] + field[:, 1::2]
    return (wide[:, :, 0::2] + wide[:, :, 1::2]) / 4


def _doubled(field: Tensor) -> Tensor:
    """Each pixel as 2 x 2, (B, H, W) to (B, 2 H, 2 W)."""
    count, rows, cols = field.shape
    tall = field[:, :, None, :, None].expand(count, rows, 2, cols, 2)
    return tall.reshape(count, 2 * rows, 2 * cols)
