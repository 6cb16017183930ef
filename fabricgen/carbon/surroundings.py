"""What stands around: the sun that reaches walls and the sky that crowns see (carbon-model 7).

Both are read off the whole image, also where it lies outside the site. A careful reading of a tile
of 128 x 128 pixels takes 0.03 s on one core (0.07 s with gradients): for scores. A quick one looks
at half the resolution, in longer steps, with fewer suns, and takes 1.5 ms (4.4): for the loop,
where gradients are to show the way. On tiles of real cities it sees 0.06 too much of the sun on
walls, in both seasons, and 0.02 too much of the sky over crowns.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from fabricgen.carbon.measures import Exposure
from fabricgen.carbon.place import Place, Reader
from fabricgen.carbon.shading import EYE_M, obstruction_m, sky_view_factor
from fabricgen.carbon.site import Site
from fabricgen.carbon.walls import shading_factors
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


def with_surroundings(site: Site, place: Place, how: Sunlight) -> Site:
    """The site with the sun on its walls and the sky over it filled in.

    Args:
        site: Of any kind.
        place: Gives the latitude where none is known, the height and the shade of trees.
        how: Where the site lies, and how careful to be.

    Returns:
        A site whose `exposure` holds both shares of sun beside what it held, and whose `sky_view`
        is what the middle of a crown sees among buildings; how trees shade each other is in their
        rates of growth already.

    Raises:
        SettingsError: The latitude is out of range.
    """
    read = Reader(place)
    crown_m = _crown_m(read)
    view = _View(
        pixel_m=site.design.pixel_m * (2 if how.quick else 1),
        latitude_deg=float(read("latitude")[0]) if how.latitude_deg is None else how.latitude_deg,
        how=how,
        passes=(read("shade.tree.leaf_on")[0], read("shade.tree.leaf_off")[0]),
        eye_m=crown_m / 2,
    )
    seen = [view.of(fields) for part in site.parts for fields in _split(part, crown_m, how)]
    summer, winter, sky = (torch.cat(found) for found in zip(*seen, strict=True))
    if how.quick:
        rows, cols = site.design.height_m.shape[-2:]
        sky = _doubled(sky)[:, :rows, :cols]
    exposure = replace(
        site.exposure or Exposure(), summer_sun_share=summer, winter_sun_share=winter
    )
    return replace(site, exposure=exposure, sky_view=sky)


@dataclass(frozen=True, eq=False)
class _View:
    """How sun and sky are read off heights.

    Attributes:
        pixel_m: Edge of a pixel.
        latitude_deg: North positive.
        how: As asked.
        passes: Light through crowns in the seasons of cooling and of heating.
        eye_m: From where sky is seen.
    """

    pixel_m: float
    latitude_deg: float
    how: Sunlight
    passes: tuple[Tensor, Tensor]
    eye_m: float

    def of(self, fields: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """Sun on walls in both seasons, (B,), and sky, (B, H, W).

        Args:
            fields: Heights of buildings and of crowns, and what counts, (B, H, W) each.
        """
        building, canopy, counts = fields
        quick = self.how.quick
        sun = shading_factors(
            building,
            canopy,
            self.pixel_m,
            latitude_deg=self.latitude_deg,
            north_deg=self.how.north_deg,
            passes=self.passes,
            counts=counts,
            every_h=QUICK_HOURS if quick else 2.0,
            quick=quick,
        )
        directions = QUICK_DIRECTIONS if quick else 16
        sky = sky_view_factor(
            building,
            self.pixel_m,
            eye_m=self.eye_m,
            directions=directions,
            steps=QUICK_STEPS if quick else None,
        )
        return sun.cooling, sun.heating, sky


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


def _split(site: Site, crown_m: float, how: Sunlight) -> Iterator[tuple[Tensor, ...]]:
    """Heights of buildings and crowns and what counts, a few items at a time, (b, H, W) each."""
    building, canopy = _heights(site, crown_m)
    counts = (site.plane_m2 > 0).to(building).expand_as(building)
    fields: tuple[Tensor, ...] = (building, canopy, counts)
    if how.quick:
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
