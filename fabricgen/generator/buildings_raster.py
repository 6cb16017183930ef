"""The condition raster of the buildings stage: streets, what stands, the site, what is asked."""

import numpy as np

from fabricgen.generator.blocks import GRID, WINDOW_M, Streets, grid_points, nearest_street

CHANNELS = 15


def draw_raster(
    streets: Streets,
    context: np.ndarray,
    site: np.ndarray,
    unmapped: np.ndarray,
    water: np.ndarray,
    ask_map: np.ndarray | None,
) -> np.ndarray:
    """The condition raster (CHANNELS, G, G): streets, what stands, the site, what is asked."""
    view = nearest_street(grid_points(GRID), streets)
    near = np.exp(-np.maximum(view.edge_m, 0) / 20)
    site_share = pool(site, GRID)
    built, floors = _draw_context(context)
    asked = np.zeros((GRID, GRID), np.float32)
    flag = asked
    if ask_map is not None:
        flag = (~np.isnan(ask_map)).astype(np.float32)
        asked = np.nan_to_num(ask_map)
    grid = (GRID, GRID)
    maps = [
        np.tanh(view.edge_m / 8).reshape(grid),
        np.clip(view.edge_m / 40, -0.5, 1.5).reshape(grid),
        (view.normal[:, 0] * near).reshape(grid),
        (view.normal[:, 1] * near).reshape(grid),
        (view.edge_m < 0).reshape(grid),
        (view.kind / 4).reshape(grid),
        built,
        floors / 5,
        built > 0,
        site_share,
        pool(unmapped, GRID),
        pool(water, GRID),
        asked * site_share * 2.5,
        flag * site_share,
        np.ones(grid),  # lets the first layer tell the window from its padding
    ]
    return np.stack([np.asarray(one, np.float32) for one in maps])


def pool(fine: np.ndarray, size: int) -> np.ndarray:
    """Mean over squares, (size, size) float32."""
    factor = fine.shape[0] // size
    return fine.reshape(size, factor, size, factor).mean(axis=(1, 3)).astype(np.float32)


def top_left(fine: np.ndarray, size: int) -> np.ndarray:
    """Top left value of each square (a block's value is one over the block), (size, size)."""
    factor = fine.shape[0] // size
    return fine[::factor, ::factor].astype(np.float32)


def _draw_context(context: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of each condition pixel under the boxes that stand, and their floors; (G, G) each."""
    built = np.zeros((2 * GRID, 2 * GRID), np.float32)
    floors = np.zeros_like(built)
    step = WINDOW_M / len(built)
    for u, v, width, depth, angle, storeys, *_ in context:
        cos, sin = abs(np.cos(angle)), abs(np.sin(angle))
        reach = np.array([width * cos + depth * sin, width * sin + depth * cos]) / 2
        low = np.clip(np.floor((np.array([u, v]) - reach) / step).astype(int), 0, len(built))
        high = np.clip(np.ceil((np.array([u, v]) + reach) / step).astype(int), 0, len(built))
        du = (np.arange(low[0], high[0]) + 0.5) * step - u
        dv = ((np.arange(low[1], high[1]) + 0.5) * step - v)[:, None]
        along = np.abs(du * np.cos(angle) + dv * np.sin(angle)) <= width / 2
        across = np.abs(dv * np.cos(angle) - du * np.sin(angle)) <= depth / 2
        patch = (slice(low[1], high[1]), slice(low[0], high[0]))
        hit = along & across
        built[patch] = np.maximum(built[patch], hit)
        if not np.isnan(storeys):
            floors[patch] = np.maximum(floors[patch], hit * storeys)
    return pool(built, GRID), pool(floors, GRID)
