"""Center lines and widths moved until the kerbs they imply lie on the kerbs that are seen.

Each place on a seen kerb should be half a width away from its nearest center line. That is a
nonlinear least-squares problem in the vertices and widths, solved by damped Gauss-Newton steps with
a bounded influence (Huber 1964), so that bays, plazas and noise do not drag lines along.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array

ROUNDS = 12
CANDIDATES = 6  # lines kept as possibly nearest to a place on a kerb
TRUST_M = 1.0  # residuals beyond count no more than this
DAMPING = 2.0  # of steps of vertices, in places on kerbs
WIDTH_DAMPING = 20.0
STEP_M = 3.0  # longest step of a vertex in a round
DONE_M = 0.02  # steps below this end the rounds
WEIGHINGS = 2
LEAST_HALF_M = 0.5
MOST_M = 1.5  # widths change by at most this to match the area
FAR_M = 12.0  # kerbs farther from every line are of no street


@dataclass(frozen=True, eq=False)
class Lines:
    """Straight pieces between shared vertices.

    Attributes:
        vertex: Places, (V, 2).
        piece: Vertices at the ends of each piece, (M, 2).
        branch: Branch that each piece belongs to, (M,).
        half_m: Half the width of each branch, (E,).
    """

    vertex: np.ndarray
    piece: np.ndarray
    branch: np.ndarray
    half_m: np.ndarray


def fitted(lines: Lines, kerbs: np.ndarray) -> Lines:
    """Lines that explain kerbs.

    Args:
        lines: A first guess with the right neighbors.
        kerbs: Places on kerbs, (N, 2).
    """
    if len(lines.piece) == 0 or len(kerbs) == 0:
        return lines
    distance, _, _ = _away(lines, kerbs, np.arange(len(lines.piece))[None])
    keep = min(CANDIDATES, len(lines.piece))
    near = np.argpartition(distance, keep - 1, axis=1)[:, :keep]
    for _ in range(ROUNDS):
        step, widening = _step(lines, kerbs, near)
        lines = replace(lines, vertex=lines.vertex + step, half_m=lines.half_m + widening)
        if np.abs(step).max() < DONE_M:
            break
    return lines


def weighed(lines: Lines, places: np.ndarray, share: np.ndarray, *, pixel_m: float) -> Lines:
    """Lines whose strips have the area that a raster gives them.

    A kerb between pixels is placed only to a fraction of a pixel, area over length is exact.

    Args:
        lines: Fitted lines.
        places: Middles of pixels, (N, 2).
        share: How much of each is carriageway, (N,).
        pixel_m: Their edge.
    """
    if len(lines.piece) == 0:
        return lines
    run = np.diff(lines.vertex[lines.piece], axis=1)[:, 0]
    branches = len(lines.half_m)
    length_m = np.bincount(lines.branch, np.hypot(*run.T), minlength=branches)
    near = np.arange(len(lines.piece))[None]
    for _ in range(WEIGHINGS):
        distance, _, _ = _away(lines, places, near)
        best = distance.argmin(axis=1)
        gap = distance[np.arange(len(places)), best]
        beside = gap < 1.5 * pixel_m
        missing = share - np.clip(0.5 - gap / pixel_m, 0, 1)
        owner = lines.branch[best[beside]]
        area_m2 = np.bincount(owner, missing[beside], minlength=branches) * pixel_m**2
        change = np.clip(area_m2 / np.maximum(length_m, pixel_m), -MOST_M, MOST_M)
        lines = replace(lines, half_m=np.maximum(lines.half_m + change / 2, LEAST_HALF_M))
    return lines


def _away(
    lines: Lines, kerbs: np.ndarray, near: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signed distances of kerbs from strips of pieces (N, K), where along, and unit vectors."""
    start, stop = lines.vertex[lines.piece[near, 0]], lines.vertex[lines.piece[near, 1]]
    run = stop - start
    length2 = np.maximum((run**2).sum(-1), 1e-9)
    offset = kerbs[:, None] - start
    along = np.clip((offset * run).sum(-1) / length2, 0, 1)
    across = offset - along[..., None] * run
    away = np.maximum(np.hypot(across[..., 0], across[..., 1]), 1e-9)
    return away - lines.half_m[lines.branch[near]], along, across / away[..., None]


def _step(lines: Lines, kerbs: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One damped Gauss-Newton step of vertices (V, 2) and half widths (E,)."""
    distance, along, normal = _away(lines, kerbs, near)
    best = distance.argmin(axis=1)
    rows = np.arange(len(kerbs))
    gap, t, n = distance[rows, best], along[rows, best], normal[rows, best]
    piece = near[rows, best]
    weight = np.where(np.abs(gap) < TRUST_M, 1.0, TRUST_M / np.maximum(np.abs(gap), TRUST_M))
    weight = np.sqrt(weight * (gap < FAR_M))
    a, b = lines.piece[piece].T
    total = 2 * len(lines.vertex)
    column = np.stack([2 * a, 2 * a + 1, 2 * b, 2 * b + 1, total + lines.branch[piece]], axis=1)
    slope = np.column_stack([-n * (1 - t)[:, None], -n * t[:, None], -np.ones(len(n))])
    size = (len(kerbs), total + len(lines.half_m))
    jacobian = coo_array(
        ((slope * weight[:, None]).ravel(), (np.repeat(rows, 5), column.ravel())), shape=size
    ).tocsr()
    damping = np.full(size[1], DAMPING)
    damping[total:] = WIDTH_DAMPING
    normal_matrix = (jacobian.T @ jacobian).toarray() + np.diag(damping)
    change = np.linalg.solve(normal_matrix, -(jacobian.T @ (weight * gap)))
    step = change[:total].reshape(-1, 2)
    length = np.hypot(*step.T)[:, None]
    return step * np.minimum(1.0, STEP_M / np.maximum(length, 1e-9)), change[total:]
