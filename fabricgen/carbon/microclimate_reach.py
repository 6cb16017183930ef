"""How far green reaches: round kernels, and sums over them by Fourier transform.

The kernels and the rule for borders are those of InVEST Urban Cooling (its users' guide and
pygeoprocessing's `convolve_2d`; carbon-model equations 8.11 to 8.13).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

TAILS = 5  # a decaying kernel ends at this many times its distance
SINGLE_MOST = 2**18  # pixels that single precision counts without error
LEAST_SEEN = 8  # times less than the most: so few pixels are seen where precision runs out
SPECTRUM_PER_CHUNK = 2**18  # numbers; so much stays in a processor's cache


@dataclass(frozen=True)
class Reach:
    """A kernel that is the same in all directions.

    Attributes:
        px: Distance in pixels; 0 leaves every pixel to itself.
        decays: `exp(-d / px)` as far as five times the distance; else 1 within the distance.
    """

    px: int
    decays: bool

    @property
    def radius_px(self) -> int:
        """Offsets beyond it have no weight."""
        return TAILS * self.px if self.decays else self.px

    def weights(self, down: Tensor, right: Tensor) -> Tensor:
        """Weight at offsets in pixels, which broadcast against each other."""
        square = down * down + right * right
        within = square <= self.radius_px**2
        if not self.decays or self.px == 0:
            return within.to(square.dtype)
        # Beyond the reach the exponent is cut: tiny numbers are slow, and not used.
        return torch.exp(-torch.sqrt(square).clamp(max=self.radius_px) / self.px) * within


def reach(distance_m: float, pixel_m: float, *, decays: bool) -> Reach:
    """The kernel of a distance, in whole pixels; halves go to the even number, as in InVEST."""
    return Reach(round(distance_m / pixel_m), decays)


@lru_cache(maxsize=64)
def weight_sum(of: Reach) -> float:
    """Sum of the whole kernel, however small the raster is."""
    at = torch.arange(of.radius_px + 1, dtype=torch.float64)
    total = 0.0
    for rows in at.split(256):
        quarter = of.weights(rows[:, None], at[None, :])
        twice = quarter * torch.where(rows > 0, 2.0, 1.0)[:, None] * torch.where(at > 0, 2.0, 1.0)
        total += float(twice.sum())
    return total


def weighted_sum(amount: Tensor, of: Reach, *, whole: bool = False) -> Tensor:
    """Sum of each pixel's surroundings, weighted by the kernel; nothing lies outside the raster.

    Args:
        amount: (B, H, W), float32 or float64.
        of: The kernel.
        whole: The sums are whole numbers, and rounding errors are taken off.

    Returns:
        (B, H, W), differentiable any number of times.
    """
    found: Tensor = _WeightedSum.apply(amount, of, whole)
    return found


class _WeightedSum(torch.autograd.Function):
    """The kernel is even, so the sum is its own adjoint: a gradient costs as much as a sum."""

    @staticmethod
    def forward(ctx: Any, amount: Tensor, of: Reach, whole: bool) -> Tensor:  # noqa: FBT001
        ctx.reach = of
        kernel = _spectrum(of, *amount.shape[1:], amount.dtype, amount.device)
        step = max(1, SPECTRUM_PER_CHUNK // kernel.numel())
        found = torch.cat([_filtered(tiles, kernel) for tiles in amount.split(step)])
        return found.round_() if whole else found

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None]:
        return weighted_sum(slopes[0], ctx.reach), None, None


def _filtered(tiles: Tensor, kernel: Tensor) -> Tensor:
    """Product with the kernel's spectrum; columns are transformed where they lie side by side."""
    rows, cols = tiles.shape[1:]
    half, padded_rows = kernel.shape
    padded_cols = 2 * (half - 1)
    spectrum = torch.fft.rfft(tiles, n=padded_cols, dim=2).mT.contiguous()
    spectrum = torch.fft.fft(spectrum, n=padded_rows, dim=2).mul_(kernel)
    spectrum = torch.fft.ifft(spectrum, dim=2)[..., :rows].mT
    return torch.fft.irfft(spectrum, n=padded_cols, dim=2)[..., :cols]


def one_for_all(known: Tensor) -> Tensor:
    """A mask of B items, or its first where all are alike: its sums are then needed once."""
    return known[:1] if bool((known == known[:1]).all()) else known


def mean_around(
    amount: Tensor, known: Tensor, of: Reach, beyond: float | Tensor | None = None
) -> Tensor:
    """Mean over each pixel's surroundings, weighted by the kernel.

    Args:
        amount: (B, H, W), 0 where not known.
        known: Pixels that count, (B or 1, H, W) bool.
        of: The kernel.
        beyond: What the amount is where it is not seen (outside the raster or not known), number
            or (B, 1, 1), equation 8.19; where None it is taken to be like what is seen, 8.13.

    Returns:
        (B, H, W); of no meaning in pixels that are not known.
    """
    seen = _seen(known, of, amount.dtype)
    total = weighted_sum(amount.to(seen), of)
    if beyond is None:
        return (total * torch.where(known, 1 / seen, 1.0)).to(amount)
    whole = weight_sum(of)
    return (total / whole + (1 - seen / whole) * beyond).to(amount)


def _seen(known: Tensor, of: Reach, dtype: torch.dtype) -> Tensor:
    """Weight of the known pixels around each pixel, in double precision where some see very little.

    A transform errs by a share of the largest sum, so that means over few pixels amid nodata would
    lose digits. At the corners of a raster a quarter of the kernel is seen.
    """
    seen = weighted_sum(known.to(dtype), of)
    least = torch.where(known, seen, torch.inf).min()
    if dtype == torch.float32 and bool(least * LEAST_SEEN < seen.max()):
        return weighted_sum(known.double(), of)
    return seen


def count_around(
    green: Tensor, known: Tensor, of: Reach, beyond: float | Tensor | None = None
) -> Tensor:
    """Number of green pixels within a distance, as if the whole disc were seen; see `mean_around`.

    Where green is 0 or 1 the number seen is whole, so that no rounding error decides whether an
    area is just large enough.
    """
    disc = weight_sum(of)
    binary = torch.equal(green * green, green)
    # So many pixels are too many for single precision to count.
    exact = torch.float64 if min(disc, green[0].numel()) > SINGLE_MOST else green.dtype
    seen = weighted_sum(known.to(exact), of, whole=True) if binary else _seen(known, of, exact)
    total = weighted_sum(green.to(seen), of, whole=binary)
    if beyond is None:
        return (total * torch.where(known, disc / seen, 1.0)).to(green)
    return (total + (disc - seen) * beyond).to(green)


@lru_cache(maxsize=12)
@torch.inference_mode(mode=False)
def _spectrum(of: Reach, rows: int, cols: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Transform of the kernel, transposed; real because the kernel is even."""
    sizes = [_length(size + min(of.radius_px, size - 1)) for size in (rows, cols)]
    down, right = (_offsets(size, n) for size, n in zip((rows, cols), sizes, strict=True))
    kernel = of.weights(down[:, None], right[None, :])
    # Offsets that no two pixels of the raster have would wrap around.
    kernel = kernel * (down < rows)[:, None] * (right < cols)[None, :]
    return torch.fft.rfft2(kernel).real.mT.contiguous().to(device, dtype)


def _offsets(size: int, length: int) -> Tensor:
    """Distance of each place of a ring from its first, (length,)."""
    at = torch.arange(length, dtype=torch.float64)
    return torch.minimum(at, length - at)


def _length(least: int) -> int:
    """The next even number without large prime factors: fast to transform."""
    length = least + least % 2
    while _rest(length) > 1:
        length += 2
    return length


def _rest(number: int) -> int:
    for prime in (2, 3, 5):
        while number % prime == 0:
            number //= prime
    return number
