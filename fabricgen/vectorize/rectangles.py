"""Boxes as rectangles: corners, parallel turning, shared wall lines.

A box is a row (u, v, width, depth, angle, floors, building) in frame coordinates; the width runs
along (cos angle, sin angle). Angles matter modulo a quarter turn only.
"""

import numpy as np
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fabricgen.vectorize.settings import DrawSettings

QUARTER = np.pi / 2
JOINED_M = 0.3  # boxes this near are one group and turn as one body
JOINED_RAD = np.radians(0.6)
TOUCH_M = 1.5  # boxes this near stand wall to wall once their walls are snapped
SAME_RAD = np.radians(2.0)  # after averaging, neighbors this close take one angle
FRAME_RAD = np.radians(1.5)  # walls this close to the frame follow it
NARROW_M = 2.5  # a box thinner than this keeps its width
RAD_PER_M = np.radians(1 / 6)  # a street 6 m farther off is chosen for a turn 1 degree smaller
STREET_M = 12.0  # shorter pieces of street are no direction to build along
NO_LINES = np.zeros((0, 4))


def corners(boxes: np.ndarray) -> np.ndarray:
    """Corner points of boxes, (N, 4, 2)."""
    along = np.stack([np.cos(boxes[:, 4]), np.sin(boxes[:, 4])], axis=1) * boxes[:, 2:3] / 2
    across = np.stack([-np.sin(boxes[:, 4]), np.cos(boxes[:, 4])], axis=1) * boxes[:, 3:4] / 2
    signs = ((1, 1), (-1, 1), (-1, -1), (1, -1))
    return np.stack([boxes[:, :2] + a * along + b * across for a, b in signs], axis=1)


def polygons(boxes: np.ndarray) -> np.ndarray:
    """Boxes as shapely polygons, (N,)."""
    return shapely.polygons(corners(boxes))


def canonical(boxes: np.ndarray) -> np.ndarray:
    """The same rectangles with angles in (-pi/4, pi/4]."""
    boxes = np.array(boxes, dtype=np.float64).reshape(-1, 7)
    turns = np.ceil(boxes[:, 4] / QUARTER - 0.5)
    boxes[:, 4] -= turns * QUARTER
    odd = turns.astype(int) % 2 == 1
    boxes[odd, 2], boxes[odd, 3] = boxes[odd, 3].copy(), boxes[odd, 2].copy()
    return boxes


def angle_between(first: np.ndarray, second: np.ndarray | float) -> np.ndarray:
    """Signed smallest turn from `second` to `first`, modulo a quarter turn. [rad]."""
    return (first - second + QUARTER / 2) % QUARTER - QUARTER / 2


def groups_of(shapes: np.ndarray, distance_m: float, keep: np.ndarray | None = None) -> np.ndarray:
    """Number of the connected group of each shape; shapes within a distance are joined.

    Args:
        shapes: Geometries, (N,).
        distance_m: How near two shapes count as joined.
        keep: Optional test of pairs, a bool matrix (N, N).
    """
    i, j = near_pairs(shapes, distance_m)
    if keep is not None:
        chosen = keep[i, j]
        i, j = i[chosen], j[chosen]
    size = len(shapes)
    links = coo_array((np.ones(len(i), dtype=np.int8), (i, j)), shape=(size, size))
    return connected_components(links, directed=False)[1]


def near_pairs(shapes: np.ndarray, distance_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs i < j of shapes within a distance, in a fixed order."""
    tree = shapely.STRtree(shapes)
    i, j = tree.query(shapes, predicate="dwithin", distance=distance_m)
    i, j = i[i < j], j[i < j]
    order = np.lexsort((j, i))
    return i[order], j[order]


def settle_angles(
    boxes: np.ndarray, settings: DrawSettings, lines: np.ndarray = NO_LINES
) -> np.ndarray:
    """Turn joined boxes as one body until nearly parallel neighbors and streets are parallel.

    Args:
        boxes: Canonical rows (N, 7).
        settings: How far to turn and to look.
        lines: Straight pieces of streets (K, 4) as (u0, v0, u1, v1).
    """
    if len(boxes) == 0:
        return boxes
    shapes = polygons(boxes)
    parallel = np.abs(angle_between(boxes[:, None, 4], boxes[None, :, 4])) < JOINED_RAD
    group = groups_of(shapes, JOINED_M, parallel)
    areas = boxes[:, 2] * boxes[:, 3]
    count = group.max() + 1
    weight = np.bincount(group, areas, count)
    before = _mean_angle(boxes[:, 4], areas, group, count)

    # Neighbors wall to wall may be turned farther than neighbors across a yard.
    apart = np.abs(angle_between(before[:, None], before[None, :]))
    touch = _near_groups(shapes, group, count, TOUCH_M)
    near = _near_groups(shapes, group, count, settings.turn_reach_m)
    pull = near & (apart < np.radians(settings.turn_deg))
    touch &= apart < np.radians(settings.touch_turn_deg)
    phase = np.exp(4j * before) * weight
    mean = np.angle(pull @ phase) / 4
    street = _street_angles(shapes, group, before, lines, settings)
    after = _merge_angles((before, mean, street), touch, pull, weight)
    return _turn_groups(boxes, group, angle_between(after, before), areas, after)


def _street_angles(
    shapes: np.ndarray,
    group: np.ndarray,
    before: np.ndarray,
    lines: np.ndarray,
    settings: DrawSettings,
) -> np.ndarray:
    """Direction of a near street that a group is nearly parallel to, NaN where there is none.

    A street farther off must be followed the better: each meter counts as much as some turn.
    """
    found = np.full(len(before), np.nan)
    lines = lines[np.hypot(lines[:, 2] - lines[:, 0], lines[:, 3] - lines[:, 1]) > STREET_M]
    if len(lines) == 0:
        return found
    angle = np.arctan2(lines[:, 3] - lines[:, 1], lines[:, 2] - lines[:, 0])
    streets = shapely.linestrings(lines.reshape(-1, 2, 2))
    reach_m = np.full((len(before), len(lines)), np.inf)
    np.minimum.at(reach_m, group, shapely.distance(shapes[:, None], streets[None]))
    turn = np.abs(angle_between(angle[None], before[:, None]))
    fits = (turn < np.radians(settings.street_turn_deg)) & (reach_m < settings.turn_reach_m)
    cost = np.where(fits, turn + reach_m * RAD_PER_M, np.inf)  # (groups, K)
    best = cost.argmin(axis=1)
    return np.where(fits.any(axis=1), angle_between(angle[best], 0.0), np.nan)


def _mean_angle(
    angles: np.ndarray, weights: np.ndarray, group: np.ndarray, count: int
) -> np.ndarray:
    phase = np.exp(4j * angles)
    real = np.bincount(group, phase.real * weights, count)
    imaginary = np.bincount(group, phase.imag * weights, count)
    return np.arctan2(imaginary, real) / 4


def _near_groups(shapes: np.ndarray, group: np.ndarray, count: int, reach_m: float) -> np.ndarray:
    near = np.eye(count, dtype=bool)
    i, j = near_pairs(shapes, reach_m)
    near[group[i], group[j]] = near[group[j], group[i]] = True
    return near


def _merge_angles(
    angles: tuple[np.ndarray, np.ndarray, np.ndarray],
    touch: np.ndarray,
    pull: np.ndarray,
    weight: np.ndarray,
) -> np.ndarray:
    """Large groups first, each takes the first of these that is nearly its own angle.

    A settled neighbor's wall to wall, a street's, a settled neighbor's across a yard, the frame's.

    Args:
        angles: Of each group before, averaged with its neighbors, and of its street (NaN: none).
        touch: Neighbors wall to wall and nearly parallel, (n, n).
        pull: Neighbors nearby and nearly parallel, (n, n).
        weight: Area of each group.
    """
    before, mean, street = angles
    after = np.full(len(mean), np.nan)
    for one in np.argsort(-weight, kind="stable"):
        settled = ~np.isnan(after)
        beside, near = after[touch[one] & settled], after[pull[one] & settled]
        wanted = mean[one] if np.isnan(street[one]) else street[one]
        if len(beside):
            after[one] = beside[np.abs(angle_between(beside, before[one])).argmin()]
        elif len(near) and np.abs(angle_between(near, wanted)).min() < SAME_RAD:
            after[one] = near[np.abs(angle_between(near, wanted)).argmin()]
        elif abs(wanted) < FRAME_RAD / 2 or max(abs(before[one]), abs(wanted)) < FRAME_RAD:
            after[one] = 0.0
        else:
            after[one] = wanted
    return after


def _turn_groups(
    boxes: np.ndarray, group: np.ndarray, turn: np.ndarray, areas: np.ndarray, angle: np.ndarray
) -> np.ndarray:
    total = np.bincount(group, areas)
    center = np.stack([np.bincount(group, areas * boxes[:, k]) / total for k in (0, 1)], axis=1)
    arm = boxes[:, :2] - center[group]
    cos, sin = np.cos(turn[group]), np.sin(turn[group])
    turned = boxes.copy()
    turned[:, 0] = center[group, 0] + cos * arm[:, 0] - sin * arm[:, 1]
    turned[:, 1] = center[group, 1] + sin * arm[:, 0] + cos * arm[:, 1]
    # All boxes of a group get the very same angle, so that their walls can meet exactly.
    turned[:, 4] = angle[group] + np.round((boxes[:, 4] - angle[group]) / QUARTER) * QUARTER
    return canonical(turned)


def snap_edges(boxes: np.ndarray, settings: DrawSettings) -> np.ndarray:
    """Let wall lines of parallel neighbors that nearly coincide become one line.

    Closes slits and small overlaps between neighbors and makes ragged fronts flush.
    """
    snapped = boxes.copy()
    for angle in np.unique(np.round(boxes[:, 4], 9)):
        rows = np.flatnonzero(np.round(boxes[:, 4], 9) == angle)
        cos, sin = np.cos(angle), np.sin(angle)
        x = cos * boxes[rows, 0] + sin * boxes[rows, 1]
        y = -sin * boxes[rows, 0] + cos * boxes[rows, 1]
        spans = np.stack(
            [
                x - boxes[rows, 2] / 2,
                x + boxes[rows, 2] / 2,
                y - boxes[rows, 3] / 2,
                y + boxes[rows, 3] / 2,
            ],
            axis=1,
        )  # (n, 4) left, right, top, bottom
        spans[:, 0:2] = _snap_axis(spans[:, 0:2], spans[:, 2:4], settings)
        spans[:, 2:4] = _snap_axis(spans[:, 2:4], spans[:, 0:2], settings)
        x, y = spans[:, 0:2].mean(axis=1), spans[:, 2:4].mean(axis=1)
        snapped[rows, 0], snapped[rows, 1] = cos * x - sin * y, sin * x + cos * y
        snapped[rows, 2] = spans[:, 1] - spans[:, 0]
        snapped[rows, 3] = spans[:, 3] - spans[:, 2]
        snapped[rows, 4] = angle
    return snapped


def _snap_axis(spans: np.ndarray, others: np.ndarray, settings: DrawSettings) -> np.ndarray:
    """Merge nearly equal edge coordinates along one axis.

    Args:
        spans: Low and high edge of each rectangle along this axis, (n, 2).
        others: The same across it, (n, 2).
        settings: Snap and flush distances.
    """
    n = len(spans)
    edges = spans.T.reshape(-1)  # (2 n,) all low edges, then all high edges
    owner = np.tile(np.arange(n), 2)
    gap_along = _gaps(spans)
    gap_across = _gaps(others)
    touching = np.hypot(gap_along, gap_across) < settings.snap_m
    # Flush: the same side of two neighbors in a row, nothing deeper than a fine step apart.
    row = (gap_across < settings.flush_reach_m) & (gap_along < settings.snap_m)
    distance = np.abs(edges[:, None] - edges[None, :])  # (2 n, 2 n)
    same_side = (np.arange(2 * n) < n)[:, None] == (np.arange(2 * n) < n)[None, :]
    beside, in_row = touching[np.ix_(owner, owner)], (touching | row)[np.ix_(owner, owner)]
    linked = (distance < settings.snap_m) & np.where(same_side, in_row, beside)
    linked |= (distance < settings.flush_m) & same_side & beside
    wide = spans[:, 1] - spans[:, 0] > NARROW_M
    linked &= wide[owner][:, None] & wide[owner][None, :]
    linked &= owner[:, None] != owner[None, :]
    cluster = _clusters(edges, distance, linked, settings.flush_m)
    length = (others[:, 1] - others[:, 0])[owner]
    return _longest_line(edges, cluster, length)[cluster].reshape(2, n).T


def _longest_line(edges: np.ndarray, cluster: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Where the wall lines of each cluster go: to the longest wall, (clusters,)."""
    order = np.argsort(length, kind="stable")
    line = np.zeros(cluster.max() + 1)
    line[cluster[order]] = edges[order]  # of equal numbers the last one stays
    return line


def _gaps(spans: np.ndarray) -> np.ndarray:
    """Distance between intervals, 0 where they overlap, (n, n)."""
    apart = np.maximum(spans[:, None, 0] - spans[None, :, 1], spans[None, :, 0] - spans[:, None, 1])
    return np.maximum(apart, 0.0)


def _clusters(
    edges: np.ndarray, distance: np.ndarray, linked: np.ndarray, limit_m: float
) -> np.ndarray:
    """Join linked edges, nearest first, as long as no cluster is wider than the limit."""
    label = np.arange(len(edges))
    low, high = edges.copy(), edges.copy()
    i, j = np.nonzero(np.triu(linked, 1))
    for one in np.argsort(distance[i, j], kind="stable"):
        a, b = label[i[one]], label[j[one]]
        if a == b or max(high[a], high[b]) - min(low[a], low[b]) > limit_m:
            continue
        low[a], high[a] = min(low[a], low[b]), max(high[a], high[b])
        label[label == b] = a
    return np.unique(label, return_inverse=True)[1]
