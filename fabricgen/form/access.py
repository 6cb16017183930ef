"""Who lives within a walk of a green space: walking distance around walls and water."""

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

DIAGONAL = float(np.sqrt(2.0))
# A cell and its neighbor to the right, below, and along both diagonals.
STEPS = ((0, 1, 1.0), (1, 0, 1.0), (1, 1, DIAGONAL), (1, -1, DIAGONAL))


def walk_m(
    goal: np.ndarray, *, walkable: np.ndarray, indoors: np.ndarray, pixel_m: float, limit_m: float
) -> np.ndarray:
    """Walking distance of each cell to the nearest goal.

    Steps go to the eight neighbors, which overstates a straight walk by 8 % at most. A walk may
    begin indoors, but once outside it does not pass through a building.

    Args:
        goal: Where walks end, (H, W) bool.
        walkable: Open ground on which one walks, (H, W) bool.
        indoors: Buildings, (H, W) bool.
        pixel_m: Edge of a cell.
        limit_m: Walks longer than this are not followed.

    Returns:
        (H, W), infinite beyond the limit and where nobody walks.
    """
    if not goal.any():
        return np.full(goal.shape, np.inf)
    graph = _steps_back(walkable | goal, indoors & ~goal, pixel_m)
    away = dijkstra(graph, indices=np.flatnonzero(goal), min_only=True, limit=limit_m)
    return away.reshape(goal.shape)


def _steps_back(walkable: np.ndarray, indoors: np.ndarray, pixel_m: float) -> sparse.csr_array:
    """Edges from the goal outward: onto open ground, and from anywhere into a building."""
    rows, cols = walkable.shape
    number = np.arange(rows * cols).reshape(rows, cols)
    start, end, length = [], [], []
    for down, right, times in STEPS:
        here = (slice(0, rows - down), slice(max(0, -right), cols - max(0, right)))
        there = (slice(down, rows), slice(max(0, right), cols - max(0, -right)))
        for one, other in ((here, there), (there, here)):
            # Outward from the goal, a wall once entered is not left again.
            go = (walkable[one] & (walkable[other] | indoors[other])) | (
                indoors[one] & indoors[other]
            )
            start.append(number[one][go])
            end.append(number[other][go])
            length.append(np.full(len(start[-1]), times * pixel_m))
    ends = (np.concatenate(start), np.concatenate(end))
    return sparse.csr_array((np.concatenate(length), ends), shape=(number.size, number.size))
