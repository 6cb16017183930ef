"""Sky and sun on a height field: sky view factor and shadows (carbon-model section 7).

Every routine marches over the field by whole pixels, as UMEP's shadow casting does: in step i the
field moves i pixels along the axis nearer to the direction and the rounded share across it. With
`sharpness` the largest obstruction is a smooth one and gradients reach every obstacle; without it
the maximum is exact, which is what scores use. Beyond the image nothing stands.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fabricgen.errors import SettingsError

DOUBLING_STEPS = (1, 2, 4, 8, 16)  # reach 32 pixels
STEERING_STEPS = (1, 2, 4, 8, 16, 32, 64)  # equation 7.2: few, ever longer steps, for the loop
EYE_M = 1.5  # where sky is seen from on open ground
NEVER_M = -1e4  # height of what does not stand there
ZENITH_DEG = 89.5  # from here up nothing casts shade


@dataclass(frozen=True)
class Step:
    """One step of a march: how far the field moves [pixels] and how far that is along the ray."""

    rows: int
    cols: int
    distance_px: float


def ray(azimuth_deg: float, steps: Sequence[int]) -> tuple[Step, ...]:
    """The pixels that a ray passes, in its main direction one by one.

    Args:
        azimuth_deg: Where the ray goes, clockwise from the image's up.
        steps: Pixels along the main axis, ascending.
    """
    turn = math.radians(azimuth_deg % 360)
    sin, cos = math.sin(turn), math.cos(turn)
    across = abs(sin) >= abs(cos) - 1e-9 and azimuth_deg % 180 < 135 - 1e-9  # 45…135, 225…315
    main, other = (sin, cos) if across else (cos, sin)
    slope = abs(other / main)
    found = []
    for step in steps:
        along = int(math.copysign(step, main))
        aside = int(math.copysign(math.floor(step * slope + 0.5), other))
        rows, cols = (-aside, along) if across else (-along, aside)
        found.append(Step(rows, cols, step / abs(main)))
    return tuple(found)


def all_steps(field: Tensor, pixel_m: float, reach_m: float) -> tuple[int, ...]:
    """Every whole pixel up to a reach, but not beyond the image."""
    return tuple(range(1, min(round(reach_m / pixel_m), max(field.shape[-2:]) - 1) + 1))


def _march(field: Tensor, azimuth_deg: float, steps: Sequence[int]) -> list[Step]:
    """The steps of a ray that do not leave the image from everywhere."""
    rows, cols = field.shape[-2:]
    found = ray(azimuth_deg, steps)
    return [step for step in found if abs(step.rows) < rows and abs(step.cols) < cols]


def _shifted(field: Tensor, march: Sequence[Step]) -> list[Tensor]:
    """The field as seen from each pixel one step further, each (B, H, W)."""
    rows, cols = field.shape[-2:]
    up = max(0, *(-step.rows for step in march))
    down = max(0, *(step.rows for step in march))
    left = max(0, *(-step.cols for step in march))
    right = max(0, *(step.cols for step in march))
    wide = torch.nn.functional.pad(field, (left, right, up, down), value=NEVER_M)
    return [
        wide[
            :,
            up + step.rows : up + step.rows + rows,
            left + step.cols : left + step.cols + cols,
        ]
        for step in march
    ]


@dataclass(frozen=True, eq=False)
class _Search:
    """What is looked for along a march: the largest of (seen - eye) * per - drop, or the floor."""

    march: Sequence[Step]
    per: Sequence[float]
    drop: Sequence[float]
    floor: float

    def values(
        self, field: Tensor, eye: Tensor | None, *, into: Tensor | None = None
    ) -> Iterator[Tensor]:
        """The value of every step, each (B, H, W); an eye on the ground is None.

        With `into` each value is written over the last one there, which needs no graph and a
        third less time.
        """
        # Numbers as tensors: each Python number would be made one, and cast, in every step.
        pers, drops = (field.new_tensor(numbers).unbind() for numbers in (self.per, self.drop))
        level, straight = not any(self.drop), all(per == 1 for per in self.per)
        for there, per, drop in zip(_shifted(field, self.march), pers, drops, strict=True):
            value = there if eye is None else torch.sub(there, eye, out=into)
            value = value if straight else torch.mul(value, per, out=into)
            yield value if level else torch.sub(value, drop, out=into)

    def largest(self, field: Tensor, eye: Tensor | None) -> Tensor:
        """The true maximum, (B, H, W)."""
        if not self.march:
            return torch.full_like(field, self.floor)
        if torch.is_grad_enabled() and (
            field.requires_grad or (eye is not None and eye.requires_grad)
        ):
            found: Tensor = _Largest.apply(field, eye, self)
            return found
        best = torch.full_like(field, self.floor)
        for value in self.values(field, eye, into=torch.empty_like(field)):
            torch.maximum(best, value, out=best)
        return best


class _Largest(torch.autograd.Function):
    """The maximum with the step that won it, which alone has a slope.

    A gradient through every step would cost ten times as much and reach the same pixels.
    """

    @staticmethod
    def forward(ctx: Any, field: Tensor, eye: Tensor | None, search: _Search) -> Tensor:
        best = torch.full_like(field, search.floor)
        winner = torch.zeros_like(field)  # counts from 1; 0 where nothing is above the floor
        values = search.values(field, eye, into=torch.empty_like(field))
        larger = torch.empty_like(field)  # 0 or 1: masks of numbers are much faster than of bools
        for number, value in enumerate(values, start=1):
            torch.gt(value, best, out=larger)
            torch.maximum(winner, larger.mul_(number), out=winner)
            torch.maximum(best, value, out=best)
        ctx.search, ctx.eye_shape = search, None if eye is None else eye.shape
        ctx.save_for_backward(winner.to(torch.int16))
        return best

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor | None, None]:
        winner, slope = ctx.saved_tensors[0].int(), slopes[0]
        rows, cols = slope.shape[-2:]
        # One more line for places where nothing is above the floor: they have no slope.
        per = slope.new_tensor([0.0, *ctx.search.per])[winner] * slope
        jumps = [0] + [step.rows * cols + step.cols for step in ctx.search.march]
        jump = torch.tensor(jumps, device=slope.device)[winner].flatten(1)
        own = torch.arange(rows * cols, device=slope.device)
        of_field = torch.zeros_like(per).flatten(1).scatter_add_(1, own + jump, per.flatten(1))
        of_eye = None if ctx.eye_shape is None else -per.sum_to_size(ctx.eye_shape)
        return of_field.view_as(slope), of_eye, None


Ray = tuple[float, float]  # azimuth, clockwise from the image's up, and altitude [degrees]


def quick_shadow_height_m(height_m: Tensor, pixel_m: float, rays: Sequence[Ray]) -> Tensor:
    """As `shadow_height_m`, of all that stands within 32 pixels, in five steps; for the loop.

    What shades within k steps, seen k steps further on, shades within 2 k: steps double, and every
    pixel on the way counts. The ray strays by up to two pixels, since rounded steps are added up.

    Args:
        height_m: What casts shade, (B, H, W).
        pixel_m: Edge of a pixel.
        rays: Where the sun stands, above 0: one for all items, or one for each.
    """
    marches = [_drops(ray_of, pixel_m) for ray_of in rays]
    if len(marches) > 1:
        return _doubled_each(height_m, marches)
    rows, cols = height_m.shape[-2:]
    march = [one for one in marches[0] if abs(one[0].rows) < rows and abs(one[0].cols) < cols]
    found: Tensor = _Doubling.apply(height_m, march)
    return found


def _drops(of: Ray, pixel_m: float) -> list[tuple[Step, float]]:
    """Doubling steps toward a sun, and how far the ray rises over each [m]; none from above."""
    azimuth_deg, altitude_deg = of
    if altitude_deg >= ZENITH_DEG:
        return []
    rise = pixel_m * math.tan(math.radians(altitude_deg))
    return [(step, step.distance_px * rise) for step in ray(azimuth_deg, DOUBLING_STEPS)]


def _doubled_each(height_m: Tensor, marches: Sequence[Sequence[tuple[Step, float]]]) -> Tensor:
    """The largest of height less drop, each item along a ray of its own, (B, H, W)."""
    rows, cols = height_m.shape[-2:]
    reach = DOUBLING_STEPS[-1]
    wide = cols + 2 * reach
    down, right = (torch.arange(size, device=height_m.device) + reach for size in (rows, cols))
    own = (down[:, None] * wide + right).flatten()  # of each pixel on a canvas with a margin

    def ahead(field: Tensor, number: int) -> Tensor:
        steps = [march[number] if march else (Step(0, 0, 0.0), -NEVER_M) for march in marches]
        jumps = own.new_tensor([step.rows * wide + step.cols for step, _ in steps])
        drops = field.new_tensor([drop for _, drop in steps])[:, None, None]
        canvas = torch.nn.functional.pad(field, (reach,) * 4, value=NEVER_M).flatten(1)
        seen = canvas.gather(1, own + jumps[:, None]).view_as(field)
        return (seen - drops).clamp(min=NEVER_M)

    shade = ahead(height_m, 0)
    for number in range(len(DOUBLING_STEPS)):
        shade = torch.maximum(shade, ahead(shade, number))
    return shade


Stretch = tuple[slice, slice, slice]


def _stretches(shape: Sequence[int], step: Step) -> tuple[Stretch, Stretch]:
    """The pixels from which a step stays in the image, and those where it leads."""
    rows, cols = shape[-2:]
    every = slice(None)
    here = (
        slice(max(0, -step.rows), rows - max(0, step.rows)),
        slice(max(0, -step.cols), cols - max(0, step.cols)),
    )
    there = (
        slice(max(0, step.rows), rows - max(0, -step.rows)),
        slice(max(0, step.cols), cols - max(0, -step.cols)),
    )
    return (every, *here), (every, *there)


class _Doubling(torch.autograd.Function):
    """The largest of height less drop along a ray, with masks of where the farther half won."""

    @staticmethod
    def forward(ctx: Any, height_m: Tensor, march: Sequence[tuple[Step, float]]) -> Tensor:
        ctx.march = march
        shade = torch.full_like(height_m, NEVER_M)
        if not march:
            return shade
        here, there = _stretches(height_m.shape, march[0][0])
        torch.sub(height_m[there], march[0][1], out=shade[here])
        masks = []
        for step, drop in march:
            here, there = _stretches(height_m.shape, step)
            farther = shade[there] - drop
            if ctx.needs_input_grad[0]:
                masks.append(torch.gt(farther, shade[here], out=torch.empty_like(farther)))
            torch.maximum(shade[here], farther, out=farther)  # not in place: it is read shifted
            shade[here] = farther
        ctx.save_for_backward(*masks)
        return shade

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        slope = slopes[0].clone()
        if not ctx.march:
            return torch.zeros_like(slope), None
        for (step, _), mask in zip(reversed(ctx.march), reversed(ctx.saved_tensors), strict=True):
            here, there = _stretches(slope.shape, step)
            moved = slope[here] * mask
            slope[here] -= moved
            slope[there] += moved
        here, there = _stretches(slope.shape, ctx.march[0][0])
        found = torch.zeros_like(slope)
        found[there] = slope[here]
        return found, None


def obstruction_m(
    building_m: Tensor, canopy_m: Tensor, *, opacity: float, sharpness: float = 5.0
) -> Tensor:
    """What stands in the way, buildings and trees (equation 7.1), (B, H, W) [m].

    Args:
        building_m: Building share times height, (B, H, W).
        canopy_m: Tree share times crown height, (B, H, W).
        opacity: Share of light that crowns hold back; lowers their height.
        sharpness: b of the smooth maximum [1/m], at most ln 2 / b below the true one.
    """
    both = torch.stack([building_m, opacity * canopy_m])
    return (torch.logsumexp(sharpness * both, dim=0) - math.log(2)) / sharpness


def sky_view_factor(
    height_m: Tensor,
    pixel_m: float,
    *,
    eye_m: Tensor | float | None = None,
    directions: int = 16,
    steps: Sequence[int] | None = None,
    reach_m: float = 128.0,
    sharpness: float | None = None,
) -> Tensor:
    """Share of the sky that a level surface sees, cosine weighted (equations 7.2 and 7.3).

    The horizon is looked up in some directions; where it stands at angle beta, sin² beta of that
    direction's sky is lost.

    Args:
        height_m: What stands in the way, (B, H, W); may lie on sloping ground.
        pixel_m: Edge of a pixel.
        eye_m: Height it is seen from, (B, H, W) or one; None for the surface itself, but at
            least 1.5 m above open ground.
        directions: Number of directions around.
        steps: Pixels to look at in each; None for every one up to `reach_m`.
        reach_m: How far to look where `steps` is None.
        sharpness: b of the smooth maximum over tan beta; None for the true maximum. 20 shows up
            to ln(number of steps) / 20 too little horizon.

    Returns:
        (B, H, W), 0…1.

    Raises:
        SettingsError: Fewer than 4 directions.
    """
    if directions < 4:
        raise SettingsError(f"{directions} directions of sky", "give 4 or more")
    eye = torch.clamp(height_m, min=EYE_M) if eye_m is None else eye_m
    eye = torch.as_tensor(eye, dtype=height_m.dtype, device=height_m.device)
    if steps is None:
        steps = all_steps(height_m, pixel_m, reach_m)
    above: Tensor | None = eye
    if eye.ndim == 0 and sharpness is None:  # taken off once, not in every step
        height_m, above = height_m - eye, None
    lost = torch.zeros_like(height_m)
    for turn in range(directions):
        march = _march(height_m, 360.0 * turn / directions, steps)
        per_m = [1 / (step.distance_px * pixel_m) for step in march]
        if sharpness is None or not march:
            search = _Search(march, per_m, [0.0] * len(march), floor=0.0)
            tan = search.largest(height_m, above)
        else:
            tan = _soft_horizon(_shifted(height_m, march), eye, per_m, sharpness)
        lost = lost + tan * tan / (1 + tan * tan)
    return 1 - lost / directions


def _soft_horizon(
    seen: list[Tensor], eye: Tensor, per_m: Sequence[float], sharpness: float
) -> Tensor:
    """Tangent of the horizon as LME of softplus (equation 7.2), (B, H, W), above 0."""
    soft = torch.nn.functional.softplus
    slopes = [
        soft(there - eye, beta=sharpness) * per for there, per in zip(seen, per_m, strict=True)
    ]
    smooth = torch.logsumexp(sharpness * torch.stack(slopes), dim=0)
    return (smooth - math.log(len(slopes))) / sharpness


def shadow_height_m(
    height_m: Tensor,
    pixel_m: float,
    *,
    azimuth_deg: float,
    altitude_deg: float,
    steps: Sequence[int] | None = None,
    sharpness: float | None = None,
) -> Tensor:
    """Up to which height each place lies in the shade of what stands around it.

    One march serves every height: a point of a wall or roof is sunlit where it is higher.

    Args:
        height_m: What casts shade, (B, H, W).
        pixel_m: Edge of a pixel.
        azimuth_deg: Of the sun, clockwise from the image's up.
        altitude_deg: Of the sun.
        steps: Pixels to look at; None for every one that could cast shade here.
        sharpness: b of the smooth maximum [1/m]; None for the true one. At most ln(steps) / b
            too high.

    Returns:
        (B, H, W) [m]; far below the ground where nothing shades.

    Raises:
        SettingsError: The sun stands below the horizon.
    """
    if altitude_deg <= 0:
        raise SettingsError(f"the sun at {altitude_deg:g} degrees", "it must be above 0")
    if altitude_deg >= ZENITH_DEG:
        return torch.full_like(height_m, NEVER_M)
    rise = pixel_m * math.tan(math.radians(altitude_deg))  # per pixel along the ray
    if steps is None:
        relief_m = float(height_m.detach().amax() - height_m.detach().amin())
        steps = all_steps(height_m, pixel_m, pixel_m * math.ceil(relief_m / rise))
    march = _march(height_m, azimuth_deg, steps)
    drops = [step.distance_px * rise for step in march]
    search = _Search(march, [1.0] * len(march), drops, floor=NEVER_M)
    if sharpness is None or not march:
        return search.largest(height_m, None)
    values = torch.stack(list(search.values(height_m, None)))
    return torch.logsumexp(sharpness * values, dim=0) / sharpness


def sunlit(height_m: Tensor, pixel_m: float, *, azimuth_deg: float, altitude_deg: float) -> Tensor:
    """Which surfaces the sun reaches, (B, H, W) bool (equation 7.5); roofs like ground."""
    shade = shadow_height_m(height_m, pixel_m, azimuth_deg=azimuth_deg, altitude_deg=altitude_deg)
    return shade <= height_m
