"""What the accounts read: the layout's fields inside the site, and the state that stands before."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from fabricgen.carbon.change import Change, change_of, kept_built
from fabricgen.carbon.form_fields import Field, wall_area_m2
from fabricgen.carbon.measures import Exposure, Measures
from fabricgen.carbon.microclimate_reach import one_for_all
from fabricgen.errors import LayoutError
from fabricgen.form.fields import (
    WALL_CORRECTION,
    ground_with_sealed,
    hidden_outline_m,
    variation,
)
from fabricgen.form.indicators import floors_of
from fabricgen.layout import SHARE_TOLERANCE, Layout, check
from fabricgen.surfaces import BIT, BUILDING, SURFACES

MOSTLY = 0.5  # share of a pixel whose surface is known
PIXELS_PER_PART = 2**17  # of a batch; a plane of so many stays in a processor's cache


@dataclass(frozen=True, eq=False)
class State:
    """A layout as the accounts see it, with heights filled in.

    Attributes:
        cover: Shares seen from above, (B, 8, H, W).
        height_m: Of buildings, (B, H, W); imputed where the source gives none.
        pixel_m: Edge of a pixel.
        known: Surfaces whose presence is known all over the site.
    """

    cover: Tensor
    height_m: Tensor
    pixel_m: float
    known: frozenset[int]

    @cached_property
    def shares(self) -> tuple[Tensor, ...]:
        """The eight planes of `cover`, (B, H, W) each.

        Taken apart once: the gradient of every plane that is read by its index is a whole cover of
        zeros, and there would be dozens.
        """
        return self.cover.unbind(dim=1)

    @cached_property
    def seen(self) -> Tensor:
        """Pixels whose surface is known, (B or 1, H, W) bool; one item where all are alike."""
        return one_for_all(self.cover.detach().sum(dim=1) > MOSTLY)

    @cached_property
    def _ground(self) -> tuple[Tensor, Tensor, Tensor]:
        return ground_with_sealed(self.cover, self.pixel_m)

    @property
    def ground(self) -> Tensor:
        """Shares of the ground under the crowns, (B, 8, H, W)."""
        return self._ground[0]

    @property
    def ground_road(self) -> Tensor:
        """Share of the ground under roads, (B, H, W)."""
        return self._ground[1]

    @property
    def ground_paved(self) -> Tensor:
        """Share of the ground under paving, (B, H, W)."""
        return self._ground[2]

    @cached_property
    def floors(self) -> Tensor:
        """Storeys of a building that stands in the pixel, (B, H, W)."""
        return floors_of(self.height_m)

    def knows(self, *surfaces: int) -> bool:
        """Whether these surfaces are mapped all over the site."""
        return self.known.issuperset(surfaces)

    @cached_property
    def parts(self) -> tuple["State", ...]:
        """The same items, a few at a time; see `Site.parts`."""
        items = _items_per_part(self.height_m)
        pairs = zip(self.cover.split(items), self.height_m.split(items), strict=True)
        return tuple(State(cover, height, self.pixel_m, self.known) for cover, height in pairs)


@dataclass(frozen=True, eq=False)
class Fate:
    """Areas of a surface that are new, kept and lost against today (equation 4.12) [m²]."""

    new: Field
    kept: Field
    lost: Field


@dataclass(frozen=True, eq=False)
class Site:
    """The scored part of a batch of layouts.

    Attributes:
        design: What is proposed.
        base: What stands today, (B or 1 items); None where nothing is known of it.
        pixel_area_m2: Area of each pixel that counts, 0 outside the site, (B, H, W).
        measures: What the plan says of its buildings beside their shape.
        exposure: What the surroundings do to the buildings; None where not assessed.
        sky_view: Share of the sky that each place sees, (B, H, W); None where not assessed.
    """

    design: State
    base: State | None
    pixel_area_m2: Tensor
    measures: Measures = field(default_factory=Measures)
    exposure: Exposure | None = None
    sky_view: Tensor | None = None

    @cached_property
    def parts(self) -> tuple["Site", ...]:
        """The same items, a few at a time; itself where they are few, or elsewhere than on a CPU.

        Planes of a whole batch fit no cache, and each is memory that the system hands out anew.
        """
        count, items = len(self.pixel_area_m2), _items_per_part(self.pixel_area_m2)
        if count <= items or self.pixel_area_m2.device.type != "cpu":
            return (self,)
        number = -(-count // items)
        bases = [self.base] * number  # one for all layouts is one for all parts
        if self.base is not None and len(self.base.cover) > 1:
            bases = [*self.base.parts]
        sky = [None] * number if self.sky_view is None else self.sky_view.split(items)
        found = zip(self.design.parts, bases, self.pixel_area_m2.split(items), sky, strict=True)
        return tuple(
            Site(design, base, area, self.measures, None, sky) for design, base, area, sky in found
        )

    @property
    def plane_m2(self) -> Tensor:
        """`pixel_area_m2` as it broadcasts: one item where it is one for all, (B or 1, H, W)."""
        area = self.pixel_area_m2
        return area[:1] if area.stride(0) == 0 else area

    def field(self, share: Callable[["Site"], Tensor]) -> Field:
        """Shares of a part (or amounts per m²) as amounts inside the site."""
        return Field(
            self.parts,
            lambda part: (share(part) * part.plane_m2).expand_as(part.pixel_area_m2),
        )

    def sums(self, of: Callable[["Site"], Tensor]) -> Tensor:
        """What is summed up in each part, its items first, for the whole batch."""
        return torch.cat([of(part) for part in self.parts])

    def area(self, surface: int) -> Field:
        """Area of a surface seen from above [m²]."""
        return Field(
            self.parts,
            lambda part: part.design.shares[surface] * part.plane_m2,
            lambda part: part.areas_m2[:, surface],
        )

    def knows(self, *surfaces: int) -> bool:
        """Whether the state before is known for these surfaces."""
        return self.base is not None and self.base.knows(*surfaces)

    @cached_property
    def fates(self) -> tuple[Fate, ...]:
        """What becomes of each of the eight surfaces; all is new where today's is not known."""
        return tuple(self._fate(surface) for surface in range(len(SURFACES)))

    def _fate(self, surface: int) -> Fate:
        def before(part: Site) -> Tensor:
            known = part.base is not None and part.base.knows(surface)
            return part.base.shares[surface] if known else part.none  # type: ignore[union-attr]

        def after(part: Site) -> Tensor:
            return part.design.shares[surface]

        # What is no variable comes first: the product of two planes that are is kept in memory.
        return Fate(
            new=Field(self.parts, lambda x: (1 - before(x)) * x.plane_m2 * after(x)),
            kept=Field(self.parts, lambda x: before(x) * x.plane_m2 * after(x)),
            lost=Field(self.parts, lambda x: before(x) * x.plane_m2 * (1 - after(x))),
        )

    @cached_property
    def none(self) -> Tensor:
        """Nothing anywhere, (1, H, W)."""
        return torch.zeros_like(self.pixel_area_m2[:1])

    @cached_property
    def change(self) -> Change:
        """What becomes of buildings: new, kept and demolished."""
        return change_of(self)

    @cached_property
    def kept_built(self) -> Tensor:
        """Share of each pixel under buildings that stay, (B, H, W); see `change_of`."""
        return kept_built(self)

    @cached_property
    def area_m2(self) -> Tensor:
        """Area of the site, (B,)."""
        return self.pixel_area_m2.sum(dim=(1, 2))

    @cached_property
    def areas_m2(self) -> Tensor:
        """Area of each surface seen from above, (B, 8)."""
        if self.parts == (self,):
            return areas_of(self.design.cover, self)
        return self.sums(lambda part: part.areas_m2)

    @cached_property
    def ground_areas_m2(self) -> Tensor:
        """Area of each surface of the ground under crowns, (B, 8)."""
        if self.parts == (self,):
            return areas_of(self.design.ground, self)
        return self.sums(lambda part: part.ground_areas_m2)

    @cached_property
    def footprint(self) -> Field:
        """Roof and ground slab [m²]; equation 1.3."""
        return self.area(BUILDING)

    @cached_property
    def floor_area(self) -> Field:
        """Gross floor area [m²]; equations 1.1 and 1.2 with the storeys of `form.indicators`."""
        return self.field(lambda part: part.design.shares[BUILDING] * part.design.floors)

    @cached_property
    def volume(self) -> Field:
        """Built volume [m³]; equation 1.5."""
        return self.field(lambda part: part.design.shares[BUILDING] * part.design.height_m)

    @cached_property
    def wall(self) -> Field:
        """Outer walls [m²]; equation 1.8. Buildings around the site cover walls at its edge."""
        return walls_of(self, lambda part: part.design.shares[BUILDING])

    @cached_property
    def street_m_per_m2(self) -> Tensor:
        """Length of streets over the area of the site, (B,): half their outline (equation 1.12).

        Streets are followed under crowns; the edge of the site is no outline.
        """
        outline = self.sums(
            lambda part: variation(part.design.ground_road, part.design.pixel_m, inside=part.within)
        )
        return WALL_CORRECTION * outline / 2 / self.area_m2

    @cached_property
    def within(self) -> Tensor | None:
        """The pixels that count, (B or 1, H, W) bool; None for all."""
        inside = self.plane_m2 > 0
        return None if bool(inside.all()) else inside


def areas_of(cover: Tensor, site: Site) -> Tensor:
    """Area of the eight surfaces of some cover inside a site, (B, 8) [m²]."""
    found: Tensor = _Areas.apply(cover, site.plane_m2)
    return found.expand(len(site.pixel_area_m2), -1)


class _Areas(torch.autograd.Function):
    """Plane by plane, which stays in a processor's cache."""

    @staticmethod
    def forward(ctx: Any, cover: Tensor, area_m2: Tensor) -> Tensor:
        ctx.save_for_backward(area_m2)
        ctx.items = len(cover)
        sums = [(share * area_m2).sum(dim=(1, 2)) for share in cover.unbind(dim=1)]
        return torch.stack(sums, dim=1)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        (area_m2,) = ctx.saved_tensors
        found = slopes[0][:, :, None, None] * area_m2[:, None]
        return found.sum(dim=0, keepdim=True) if ctx.items < len(found) else found, None


def walls_of(site: Site, share: Callable[[Site], Tensor]) -> Field:
    """Outer walls of a share of buildings, inside the site [m²]; equation 1.8.

    With those of houses and gaps narrower than a pixel, which the equation cannot see.
    """

    def hidden(part: Site) -> Tensor:
        outline = hidden_outline_m(share(part), part.design.pixel_m) * part.design.height_m
        return WALL_CORRECTION * outline * (part.plane_m2 > 0)

    def mapped(part: Site) -> Tensor:
        walls = wall_area_m2(share(part) * part.design.height_m, part.design.pixel_m)
        return walls * (part.plane_m2 > 0) + hidden(part)

    def total(part: Site) -> Tensor:
        high = share(part) * part.design.height_m
        steps = variation(high, part.design.pixel_m, inside=part.within, shared=True)
        return WALL_CORRECTION * steps + hidden(part).sum(dim=(1, 2))

    return Field(site.parts, mapped, total)


def make_site(
    layout: Layout, *, context: Layout | None, inside: Tensor | None, usual_height_m: float
) -> tuple[Site, list[str]]:
    """Checks a layout at the door and prepares its fields.

    Args:
        layout: B layouts, complete inside the site.
        context: The state before, B or 1 items; may have unknown ground.
        inside: The pixels that count, (B, H, W) or (1, H, W) bool; None for all.
        usual_height_m: For buildings where no height is known at all.

    Returns:
        The site, and remarks on what was filled in.

    Raises:
        LayoutError: A layout breaks the contract, is not complete inside, or shapes disagree.
    """
    layout = _checked(
        replace(layout, cover=layout.cover.contiguous()), complete=inside is None
    )  # planes are read one by one
    mask = torch.ones_like(layout.height_known[:1]) if inside is None else _mask(layout, inside)
    remarks: list[str] = []
    base = None
    before: Layout | None = None
    if context is not None:
        before = _matched(_checked(context), layout)
        height, remark = _filled(before, mask, None, usual_height_m, "state before")
        remarks += remark
        base = State(before.cover, height, before.pixel_m, _known(before, mask))
        before = replace(before, height_m=height)
    height, remark = _filled(layout, mask, before, usual_height_m, "layout")
    design = State(layout.cover, height, layout.pixel_m, frozenset(range(len(SURFACES))))
    area = mask.to(layout.cover.dtype) * layout.pixel_m**2
    return Site(design, base, area.expand_as(layout.height_m)), remarks + remark


def _checked(layout: Layout, *, complete: bool = False) -> Layout:
    """As `check`, a few items at a time, which is several times faster on a CPU."""
    plates = (layout.cover, layout.height_m, layout.allowed, layout.height_known)
    whole = layout.height_m.device.type != "cpu" or layout.height_m.ndim != 3
    if whole or len({len(plate) for plate in plates}) != 1:
        return check(layout, complete=complete)
    items = _items_per_part(layout.height_m)
    for piece in zip(*(plate.split(items) for plate in plates), strict=True):
        cover, height_m, allowed, height_known = piece
        check(Layout(cover, height_m, allowed, height_known, layout.pixel_m), complete=complete)
    return layout


def _items_per_part(plane: Tensor) -> int:
    """How many items of (B, H, W) go together."""
    return max(1, PIXELS_PER_PART // max(1, plane.shape[1] * plane.shape[2]))


def _mask(layout: Layout, inside: Tensor) -> Tensor:
    plane = layout.height_m.shape
    if inside.dtype != torch.bool or inside.ndim != 3 or inside.shape[1:] != plane[1:]:
        raise LayoutError(
            f"carbon: inside is {inside.dtype} {tuple(inside.shape)}", f"give bool {tuple(plane)}"
        )
    unknown = (layout.unknown > SHARE_TOLERANCE) & inside
    if bool(unknown.any()):
        share = float(unknown.sum() / inside.expand(plane).sum())
        raise LayoutError(
            f"carbon: {share:.1%} of the site has no known surface",
            "map it, or score only the part that is known",
        )
    return inside


def _matched(context: Layout, layout: Layout) -> Layout:
    """The state before on the layout's grid, in its precision; one item stands for all layouts."""
    same_grid = context.cover.shape[2:] == layout.cover.shape[2:]
    if not same_grid or context.pixel_m != layout.pixel_m:
        raise LayoutError(
            f"carbon: the context has {tuple(context.cover.shape[2:])} pixels of {context.pixel_m} "
            f"m, the layout {tuple(layout.cover.shape[2:])} of {layout.pixel_m} m",
            "cut both from one frame",
        )
    count = layout.cover.shape[0]
    if context.cover.shape[0] not in (1, count):
        raise LayoutError(
            f"carbon: {context.cover.shape[0]} contexts for {count} layouts", "give 1 or as many"
        )
    like = layout.cover
    return replace(context, cover=context.cover.to(like), height_m=context.height_m.to(like))


def _known(layout: Layout, mask: Tensor) -> frozenset[int]:
    """Surfaces that no open pixel of the site may hide."""
    open_ground = (layout.unknown > SHARE_TOLERANCE) & mask  # (B, H, W), also for one item
    hidden = layout.allowed.expand(open_ground.shape)[open_ground]
    return frozenset(
        surface
        for surface in range(len(SURFACES))
        # no data at all (0) may hide anything
        if not bool(((hidden & BIT[surface]) > 0).any() or (hidden == 0).any())
    )


def _filled(
    layout: Layout, mask: Tensor, before: Layout | None, usual_height_m: float, name: str
) -> tuple[Tensor, list[str]]:
    """Heights with those of buildings filled in where unknown, and a remark where any was.

    First from the state before (a building that stays), else the mean of the item's known ones.
    """
    built = layout.cover[:, BUILDING]
    missing = (built > SHARE_TOLERANCE) & ~layout.height_known
    if not bool(missing.any()):
        return layout.height_m, []
    weight = built * layout.height_known
    total = weight.sum(dim=(1, 2))
    mean = (weight * layout.height_m).sum(dim=(1, 2)) / total.clamp(min=SHARE_TOLERANCE)
    fill = torch.where(total > 1, mean, torch.full_like(mean, usual_height_m))[:, None, None]
    fill = fill.expand_as(layout.height_m)
    if before is not None:
        stays = before.cover[:, BUILDING] > SHARE_TOLERANCE
        fill = torch.where(stays, before.height_m, fill)
    counted = built.detach() * mask
    share = float((counted * missing).sum() / counted.sum().clamp(min=SHARE_TOLERANCE))
    remark = [f"{name}: {share:.0%} of the buildings had no height; the mean stands in"]
    return torch.where(missing, fill, layout.height_m), remark if share > 0 else []
