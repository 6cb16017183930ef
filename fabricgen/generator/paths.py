"""Streets and ways as pixels."""

import numpy as np

from fabricgen.surfaces import PATH


def path_mask(segments: np.ndarray, size: tuple[int, ...], *, pixel_m: float) -> np.ndarray:
    """Pixels whose center lies on a foot or cycle way; arguments as those of `strip_mask`."""
    return strip_mask(segments[segments[:, 5] == PATH], size, pixel_m=pixel_m)


def strip_mask(segments: np.ndarray, size: tuple[int, ...], *, pixel_m: float) -> np.ndarray:
    """Pixels whose center lies on a street or way.

    Args:
        segments: (M, 6) u0, v0, u1, v1, width, kind [m].
        size: Rows and columns.
        pixel_m: Edge of a pixel.

    Returns:
        (H, W) bool. What is thinner than a pixel is drawn a pixel wide, so that it connects.
    """
    mask = np.zeros(size, bool)
    for u0, v0, u1, v1, width_m, _ in segments / (*[pixel_m] * 5, 1):
        reach = max(width_m, 1.0) / 2
        left, right = _span(u0, u1, reach, size[1])
        top, bottom = _span(v0, v1, reach, size[0])
        if left >= right or top >= bottom:
            continue
        u = np.arange(left, right) + 0.5 - u0
        v = (np.arange(top, bottom) + 0.5 - v0)[:, None]
        step_u, step_v = u1 - u0, v1 - v0
        along = (u * step_u + v * step_v) / max(step_u**2 + step_v**2, 1e-9)
        along = np.clip(along, 0.0, 1.0)
        near = (u - along * step_u) ** 2 + (v - along * step_v) ** 2 <= reach**2
        mask[top:bottom, left:right] |= near
    return mask


def _span(start: float, end: float, reach: float, length: int) -> tuple[int, int]:
    low, high = min(start, end) - reach, max(start, end) + reach
    return max(0, int(np.floor(low))), min(length, int(np.ceil(high)) + 1)
