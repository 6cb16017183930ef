"""The contract, raster form: eight surfaces and a height per pixel, soft or hard, known or open.

Row 0 is the top of the frame, column 0 its left. A batch carries its frames beside it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fabricgen.errors import LayoutError
from fabricgen.surfaces import ANY, BIT, SURFACES

MAX_HEIGHT_M = 1000.0
SHARE_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Frame:
    """Where a grid lies on earth: a projected CRS in meters, a corner and a turn.

    `x_m, y_m` is the outer top-left corner; `angle_deg` is the bearing of the frame's up,
    clockwise from north. Frame coordinates (u, v) are meters to the right and down of the corner.
    """

    crs: str
    x_m: float
    y_m: float
    angle_deg: float
    pixel_m: float
    rows: int
    cols: int

    def affine(self) -> tuple[float, float, float, float, float, float]:
        """(a, b, c, d, e, f): x = a col + b row + c, y = d col + e row + f."""
        turn = math.radians(self.angle_deg)
        sin, cos = math.sin(turn) * self.pixel_m, math.cos(turn) * self.pixel_m
        return cos, -sin, self.x_m, -sin, -cos, self.y_m

    def to_world(self, row, col):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        """World x, y [m] of fractional pixel positions; row 0 is the top edge."""
        a, b, c, d, e, f = self.affine()
        return a * col + b * row + c, d * col + e * row + f

    def from_world(self, x_m, y_m):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        """Fractional row, col of world positions [m]; the inverse of `to_world`."""
        a, b, c, d, e, f = self.affine()
        east, north = x_m - c, y_m - f
        area = self.pixel_m**2
        # A mirrored rotation times pixel_m: the inverse is the transpose over the area.
        return (b * east + e * north) / area, (a * east + d * north) / area


@dataclass(frozen=True, eq=False)
class Layout:
    """A batch of layouts.

    Attributes:
        cover: Known share of each pixel under each surface, (B, 8, H, W) float32, 0…1.
        height_m: Roof or crown top above ground given that something stands there, (B, H, W).
        allowed: Bit s set: surface s may be here, (B, H, W) uint8; several: open; 0: no data.
        height_known: `height_m` means something here, (B, H, W) bool.
        pixel_m: Edge of a pixel.
    """

    cover: Tensor
    height_m: Tensor
    allowed: Tensor
    height_known: Tensor
    pixel_m: float = 2.0

    @property
    def unknown(self) -> Tensor:
        """Share of each pixel without a known surface, (B, H, W)."""
        return 1.0 - self.cover.sum(dim=1)

    @property
    def is_hard(self) -> bool:
        """Every share is 0 or 1."""
        return bool(((self.cover == 0) | (self.cover == 1)).all())

    @property
    def is_complete(self) -> bool:
        """Every pixel's surface is known."""
        return bool((self.unknown <= SHARE_TOLERANCE).all())

    def to(self, device: torch.device | str) -> "Layout":
        """The same layout on another device."""
        return Layout(
            self.cover.to(device),
            self.height_m.to(device),
            self.allowed.to(device),
            self.height_known.to(device),
            self.pixel_m,
        )

    def area_m2(self) -> Tensor:
        """Known area of each surface, (B, 8) [m²]."""
        return self.cover.sum(dim=(2, 3), dtype=torch.float64) * self.pixel_m**2


def check(layout: Layout, *, complete: bool = False) -> Layout:
    """Hold a layout against the contract, and hand it back.

    Args:
        layout: What came through a door.
        complete: Also ask that every pixel's surface is known.

    Raises:
        LayoutError: Shapes, types, shares, bits or heights break the contract.
    """
    _check_shapes(layout)
    cover, height = layout.cover.detach(), layout.height_m.detach()
    (least, most), (lowest, highest) = (
        (float(x) for x in torch.aminmax(plate)) for plate in (cover, height)
    )  # NaN where one is
    if not all(math.isfinite(x) for x in (least, most, lowest, highest)):
        raise LayoutError("layout: a share or height is NaN or infinite", "mask it as unknown")
    total = cover.sum(dim=1)
    if least < 0 or float(total.max()) > 1 + SHARE_TOLERANCE:
        raise LayoutError(
            f"layout: surface shares run from {least:.3g} and sum up to {float(total.max()):.4g}",
            "give shares between 0 and 1 that sum to at most 1",
        )
    _check_bits(layout)
    if lowest < 0 or highest > MAX_HEIGHT_M:
        raise LayoutError(
            f"layout: heights run from {lowest:.4g} to {highest:.4g} m",
            f"give heights between 0 and {MAX_HEIGHT_M:.0f} m",
        )
    if bool(((height != 0) & ~layout.height_known).any()):
        raise LayoutError("layout: a height stands where it is not known", "set it to 0 or mark it")
    if complete and float(total.min()) < 1 - SHARE_TOLERANCE:
        share = float((1 - total).clamp(min=0).mean())
        raise LayoutError(
            f"layout: {share:.1%} of the area has no known surface",
            "map it, or score only the part that is known",
        )
    return layout


def _check_shapes(layout: Layout) -> None:
    cover = layout.cover
    if cover.ndim != 4 or cover.shape[1] != len(SURFACES) or min(cover.shape) < 1:
        raise LayoutError(
            f"layout: cover has shape {tuple(cover.shape)}", "give (B, 8, H, W), none of them 0"
        )
    plane = (cover.shape[0], *cover.shape[2:])
    types = {"height_m": cover.dtype, "allowed": torch.uint8, "height_known": torch.bool}
    if not cover.is_floating_point():
        raise LayoutError(f"layout: cover is {cover.dtype}", "give floating point shares")
    for name, dtype in types.items():
        plate = getattr(layout, name)
        if tuple(plate.shape) != plane or plate.dtype != dtype or plate.device != cover.device:
            raise LayoutError(
                f"layout: {name} is {plate.dtype} {tuple(plate.shape)} on {plate.device}",
                f"give {dtype} {plane} on {cover.device}, as the cover",
            )
    if not 0.1 <= layout.pixel_m <= 100:
        raise LayoutError(f"layout: pixels of {layout.pixel_m} m", "use 0.1 to 100 m")


def _check_bits(layout: Layout) -> None:
    """Shares where they may be; plane by plane, since a layout's planes do not fit a cache."""
    cover, allowed = layout.cover.detach(), layout.allowed
    if bool((layout.height_known & (allowed == 0)).any()):
        raise LayoutError("layout: a height is known where there is no data", "clear it")
    if bool((allowed == ANY).all()):
        return
    wrong = torch.zeros_like(layout.height_known)
    broken = torch.zeros_like(wrong)
    for share, bit in zip(cover.unbind(dim=1), BIT, strict=True):
        wrong |= (share > SHARE_TOLERANCE) & ((allowed & bit) == 0)
        broken |= (share < 1 - SHARE_TOLERANCE) & (allowed == bit)
    if bool(wrong.any()):
        raise LayoutError("layout: a surface has a share where it is not allowed", "set its bit")
    if bool(broken.any()):
        raise LayoutError(
            "layout: a pixel with one allowed surface is not wholly that surface",
            "give it a share of 1 or allow more",
        )


def from_labels(
    allowed: Tensor, height_m: Tensor, height_known: Tensor, pixel_m: float = 2.0
) -> Layout:
    """A hard layout from one byte of allowed surfaces per pixel.

    Args:
        allowed: (B, H, W) uint8; one bit: known; several: open; 0: no data.
        height_m: (B, H, W), read where known.
        height_known: (B, H, W) bool.
        pixel_m: Edge of a pixel.
    """
    bits = torch.tensor(BIT, dtype=torch.uint8, device=allowed.device).reshape(1, -1, 1, 1)
    cover = (allowed[:, None] == bits).to(torch.float32)
    known = height_known & (allowed > 0)
    height = torch.where(known, height_m.to(torch.float32), torch.zeros_like(cover[:, 0]))
    return check(Layout(cover, height, allowed, known, pixel_m))


def to_labels(layout: Layout) -> Tensor:
    """One byte per pixel as in a tile store, (B, H, W) uint8."""
    return harden(layout).allowed


def harden(layout: Layout, *, straight_through: bool = False) -> Layout:
    """The largest share takes the pixel; ties go to the lower index.

    Where the unknown share is the largest the pixel stays open. With `straight_through` the
    shares are hard going forward and soft going backward, so that a gradient passes.
    """
    planes = [*layout.cover.detach().unbind(1), layout.unknown.detach().clamp(min=0)]
    # Plane by plane: `argmax` across planes jumps through memory, ten times as slow.
    best, winner = planes[0], torch.zeros_like(layout.allowed, dtype=torch.long)  # (B, H, W)
    for number, plane in enumerate(planes[1:], start=1):  # 8: open
        winner = torch.where(plane > best, number, winner)
        best = torch.maximum(best, plane)
    numbers = torch.arange(len(SURFACES), device=winner.device)
    hard = (winner[:, None] == numbers[:, None, None]).to(layout.cover.dtype)
    bits = torch.tensor((*BIT, 0), dtype=torch.uint8, device=winner.device)[winner]
    allowed = torch.where(winner == len(SURFACES), layout.allowed, bits)
    if straight_through:
        hard = hard + layout.cover - layout.cover.detach()
    return replace(layout, cover=hard, allowed=allowed)


def compose(mask: Tensor, inside: Layout, outside: Layout) -> Layout:
    """`inside` where `mask` (B, H, W) bool is True, `outside` elsewhere."""
    return Layout(
        torch.where(mask[:, None], inside.cover, outside.cover),
        torch.where(mask, inside.height_m, outside.height_m),
        torch.where(mask, inside.allowed, outside.allowed),
        torch.where(mask, inside.height_known, outside.height_known),
        inside.pixel_m,
    )


def stack(layouts: Sequence[Layout]) -> Layout:
    """One batch from several of equal size and pixel."""
    if len({layout.pixel_m for layout in layouts}) != 1:
        raise LayoutError("layout: pixels of different size in one batch", "resample first")
    fields = ("cover", "height_m", "allowed", "height_known")
    cover, height_m, allowed, height_known = (
        torch.cat([getattr(layout, name) for layout in layouts]) for name in fields
    )
    return Layout(cover, height_m, allowed, height_known, layouts[0].pixel_m)


def crop(layout: Layout, rows: slice, cols: slice) -> Layout:
    """The part of a layout in a range of rows and columns."""
    return Layout(
        layout.cover[..., rows, cols],
        layout.height_m[..., rows, cols],
        layout.allowed[..., rows, cols],
        layout.height_known[..., rows, cols],
        layout.pixel_m,
    )
