"""Sun and sky for a batch whose items lie in different places, or are turned differently."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from fabricgen.carbon.measures import Exposure
from fabricgen.carbon.place import Place
from fabricgen.carbon.site import Site, State
from fabricgen.carbon.surroundings import Sunlight, with_surroundings
from fabricgen.errors import SettingsError


def with_suns(site: Site, place: Place, suns: Sequence[Sunlight]) -> Site:
    """As `with_surroundings`, with a sun for each item; items whose suns are equal go together.

    Args:
        site: Of B items.
        place: As there.
        suns: B of them.

    Raises:
        SettingsError: There are not as many suns as items, or a latitude is out of range.
    """
    count = len(site.pixel_area_m2)
    if len(suns) != count:
        raise SettingsError(f"{len(suns)} suns for {count} layouts", "give one for each")
    order: list[int] = []
    seen = []
    for sun in dict.fromkeys(suns):
        items = [n for n, one in enumerate(suns) if one == sun]
        seen.append(with_surroundings(_only(site, items), place, sun))
        order += items
    back = torch.tensor(order, device=site.pixel_area_m2.device).argsort()
    exposures = [one.exposure or Exposure() for one in seen]
    summer = torch.cat([_here(one.summer_sun_share) for one in exposures])[back]
    winter = torch.cat([_here(one.winter_sun_share) for one in exposures])[back]
    sky = torch.cat([_here(one.sky_view) for one in seen])[back]
    exposure = replace(
        site.exposure or Exposure(), summer_sun_share=summer, winter_sun_share=winter
    )
    return replace(site, exposure=exposure, sky_view=sky)


def _only(site: Site, items: list[int]) -> Site:
    """Some items, as far as sun and sky read them."""
    design = site.design
    some = State(design.cover[items], design.height_m[items], design.pixel_m, design.known)
    return Site(some, None, site.pixel_area_m2[items], site.measures)


def _here(found: Tensor | None) -> Tensor:
    """What `with_surroundings` fills in, for certain."""
    if found is None:
        raise TypeError("sun and sky were not read")
    return found
