"""How much sun reaches walls, past buildings and trees around them (carbon-model 7.2, 7.3).

Walls are the steps of a height field along rows and columns; marches over the field
(`shading`) tell up to which height each place lies in the shade.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fabricgen.carbon.shading import Ray, quick_shadow_height_m, shadow_height_m
from fabricgen.carbon.sun import Sun, season_suns

LIT_SOFTNESS_M = 0.5  # how sharp a shadow's edge is on a wall; tau of equation 7.4
WALL_SMOOTH_M = 0.01  # e of the smooth step between two heights


@dataclass(frozen=True, eq=False)
class Shading:
    """Share of the beam on walls that gets past what stands around them, each (B,).

    An isolated block without trees has 1 in both: a wall that turns away from the sun is no shade.

    Attributes:
        cooling: F_sh of equation 6.5, season of cooling.
        heating: F_sol of equation 6.4, season of heating.
    """

    cooling: Tensor
    heating: Tensor


def shading_factors(  # noqa: PLR0913
    building_m: Tensor,
    canopy_m: Tensor,
    pixel_m: float,
    *,
    latitude_deg: float | Sequence[float],
    passes: tuple[float | Tensor, float | Tensor],
    north_deg: float | Sequence[float] = 0.0,
    counts: Tensor | None = None,
    steps: Sequence[int] | None = None,
    sharpness: float | None = None,
    every_h: float = 2.0,
    quick: bool = False,
) -> Shading:
    """Shading of walls and windows by buildings and trees around them (carbon-model 7.2, 7.3).

    Walls are the steps of the height field along rows and columns, as long as they are high, each
    with the beam that falls on it; of each the part above the shadow of buildings counts, and
    above that of crowns in full, below it as much as passes them.

    Args:
        building_m: Building share times height, (B, H, W).
        canopy_m: Tree share times crown height, (B, H, W).
        pixel_m: Edge of a pixel.
        latitude_deg: North positive; one for all items, or one for each.
        passes: Share of the beam that crowns let through in the season of cooling and of heating;
            factors `shade.tree.leaf_on` and `shade.tree.leaf_off`.
        north_deg: Bearing of the image's up, clockwise from north; as many as latitudes.
        counts: 1 where a wall's foot counts, (B, H, W) or (1, H, W); None for everywhere.
        steps: As in `shadow_height_m`.
        sharpness: As in `shadow_height_m`.
        every_h: Hours between suns.
        quick: By `quick_shadow_height_m`; steps and sharpness are then not used.

    Returns:
        Both factors; 1 where there is no wall, or no sun in the season.

    Raises:
        SettingsError: Latitude or step is out of range.
    """
    latitudes, norths = (
        tuple(one) if isinstance(one, Sequence) else (one,) for one in (latitude_deg, north_deg)
    )
    walls = _Walls(building_m, canopy_m, pixel_m, norths, counts, steps, sharpness, quick)
    found = []
    for season, through in zip(("cooling", "heating"), passes, strict=True):
        suns = [season_suns(latitude, season, every_h=every_h) for latitude in latitudes]
        found.append(walls.lit_share(list(zip_longest(*suns, fillvalue=NO_SUN)), through))
    return Shading(*found)


# Sides of a pixel that a wall may stand on: its outward direction (columns, rows up).
Side = tuple[int, int]
SIDES: tuple[Side, ...] = ((1, 0), (-1, 0), (0, 1), (0, -1))
LEAST_FACING = 1e-9  # a sun along the wall brings nothing
NO_SUN = Sun(0.0, 45.0, 0.0)  # of a place whose day is shorter than that of others


@dataclass(frozen=True, eq=False)
class _Walls:
    building_m: Tensor
    canopy_m: Tensor
    pixel_m: float
    norths_deg: tuple[float, ...]
    counts: Tensor | None
    steps: Sequence[int] | None
    sharpness: float | None
    quick: bool
    known: dict[tuple[Ray, ...], tuple[Tensor, Tensor, Tensor]] = field(default_factory=dict)

    def lit_share(self, hours: Sequence[Sequence[Sun]], passes: float | Tensor) -> Tensor:
        """Beam that reaches walls over the beam on them without anything around, (B,).

        Args:
            hours: Of each hour the suns of all items: one, or B.
            passes: Share of the beam that crowns let through.
        """
        lit = self.building_m.new_zeros(self.building_m.shape[0])
        free = torch.zeros_like(lit)
        for suns in hours:
            through, seen, unshaded = self._under(suns)
            weight = lit.new_tensor([sun.weight for sun in suns])
            lit = lit + weight * (passes * through + (1 - passes) * seen)
            free = free + weight * unshaded
        known = free > 0
        return torch.where(known, lit / torch.where(known, free, torch.ones_like(free)), 1.0)

    def _under(self, suns: Sequence[Sun]) -> tuple[Tensor, Tensor, Tensor]:
        """Walls that the suns reach past buildings, past crowns too, and if nothing stood around.

        As far as they face them, each (B,) [m]. Both seasons have the suns of the equinox.
        """
        rays = tuple(
            (sun.azimuth_deg - north_deg, sun.altitude_deg)
            for sun, north_deg in zip(suns, self.norths_deg, strict=True)
        )
        if rays in self.known:
            return self.known[rays]
        shades = [self._shade(height_m, rays) for height_m in (self.building_m, self.highest_m)]
        weights = {side: [_facing(ray, side) for ray in rays] for side in SIDES}
        weights = {side: each for side, each in weights.items() if max(each) > LEAST_FACING}
        free = self.building_m.new_zeros(self.building_m.shape[0])
        for side, each in weights.items():
            free = free + free.new_tensor(each) * self.bare_m[side]
        through, seen = (self._above(shade, weights) for shade in shades)
        self.known[rays] = through, seen, free
        return self.known[rays]

    def _shade(self, height_m: Tensor, rays: Sequence[Ray]) -> Tensor:
        if self.quick:
            return quick_shadow_height_m(height_m, self.pixel_m, rays)
        items = [height_m] if len(rays) == 1 else height_m.split(1)
        return torch.cat([
            shadow_height_m(
                item, self.pixel_m, azimuth_deg=azimuth_deg, altitude_deg=altitude_deg,
                steps=self.steps, sharpness=self.sharpness,
            )
            for item, (azimuth_deg, altitude_deg) in zip(items, rays, strict=True)
        ])  # fmt: skip

    def _above(self, shade_m: Tensor, weights: Mapping[Side, Sequence[float]]) -> Tensor:
        """Weighted length of walls above a shadow whose edge is half a meter soft, (B,) [m].

        As the integral of equation 7.4 over the wall's height, with an algebraic edge instead of a
        logistic one (a tenth of the time): exactly 0 without a wall, all of it far above shadow.
        """
        if not weights:  # a sun in the zenith
            return shade_m.new_zeros(len(shade_m))
        tops = [self.tops_m[side] for side in weights]
        each = [shade_m.new_tensor(one)[:, None, None] for one in weights.values()]
        found: Tensor = _Above.apply(shade_m, self.counts, each, self.building_m, *tops)
        return found

    @cached_property
    def highest_m(self) -> Tensor:
        """What casts shade where crowns do as well, (B, H, W)."""
        return torch.maximum(self.building_m, self.canopy_m)

    @cached_property
    def bare_m(self) -> dict[Side, Tensor]:
        """Length of the walls of each side, without anything around, each (B,)."""
        return {
            side: _counted(top - self.building_m, self.counts) for side, top in self.tops_m.items()
        }

    @cached_property
    def tops_m(self) -> dict[Side, Tensor]:
        """Top of the wall behind each pixel by the side it faces; its foot where there is none."""
        foot = self.building_m
        wide = torch.nn.functional.pad(foot[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
        rows, cols = foot.shape[-2:]
        found = {}
        for right, up in SIDES:
            step = wide[:, 1 + up : 1 + up + rows, 1 - right : 1 - right + cols] - foot
            smooth = torch.sqrt(step * step + WALL_SMOOTH_M**2) - WALL_SMOOTH_M
            found[right, up] = foot + (smooth + step).clamp(min=0) / 2
        return found


def _facing(ray: Ray, side: Side) -> float:
    """Cosine between a ray and what stands upright on a side's wall; 0 from behind."""
    turn, level = math.radians(ray[0]), math.cos(math.radians(ray[1]))
    return max(0.0, level * (side[0] * math.sin(turn) + side[1] * math.cos(turn)))


def _counted(field: Tensor, counts: Tensor | None) -> Tensor:
    """Sum over what counts, (B,)."""
    return (field if counts is None else field * counts).sum(dim=(1, 2))


class _Above(torch.autograd.Function):
    """Sum of weight (ramp(top - shade) - ramp(foot - shade)), its edges made anew going backward.

    The ramp is a smooth max(x, 0), at most half of the softness above it: (x + q) / 2 with
    q = sqrt(x² + w²).
    """

    @staticmethod
    def forward(
        ctx: Any,
        shade_m: Tensor,
        counts: Tensor | None,
        weights: Sequence[Tensor],
        foot_m: Tensor,
        *tops_m: Tensor,
    ) -> Tensor:
        ctx.weights = weights
        ctx.save_for_backward(shade_m, counts, foot_m, *tops_m)
        length = torch.zeros_like(shade_m)
        for top_m, weight in zip(
            (foot_m, *tops_m), (-torch.stack(list(weights)).sum(dim=0), *weights), strict=True
        ):
            above = top_m - shade_m
            above += _edge(above).sqrt_()
            length.addcmul_(above, weight, value=0.5)
        return _counted(length, counts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        shade_m, counts, foot_m, *tops_m = ctx.saved_tensors
        each = slopes[0][:, None, None] / 2
        each = each if counts is None else each * counts
        found = []
        of_shade = torch.zeros_like(shade_m)
        weights = (-torch.stack(list(ctx.weights)).sum(dim=0), *ctx.weights)
        for top_m, weight in zip((foot_m, *tops_m), weights, strict=True):
            above = top_m - shade_m
            slope = _edge(above).rsqrt_().mul_(above).add_(1).mul_(each).mul_(weight)
            of_shade -= slope
            found.append(slope)
        return of_shade, None, None, *found


def _edge(x: Tensor) -> Tensor:
    """q² of a soft edge. Any shape."""
    width = torch.full((), LIT_SOFTNESS_M**2, dtype=x.dtype, device=x.device)
    return torch.addcmul(width, x, x)
