"""Where a street may start: candidates on the network, and what the network may know of each.

Stubs at the site's edge, open ends, junctions, and places along streets. Fixed sizes, numpy.
"""

from dataclasses import dataclass

import numpy as np

from fabricgen.generator.streets_network import (
    FAR_M,
    RAY_M,
    Ground,
    Network,
    angle_between,
    distance,
    distance_to_each,
    hits,
    march,
    unit,
)

STUB, OPEN_END, NODE, CONTEXT_NODE, ALONG, ALONG_CONTEXT, BORDER = range(7)
STARTS, INCIDENT = 128, 6
SPACING_M = 8.0  # between candidate starts along a street, and from its ends
START_FEATURES = 43


@dataclass(frozen=True, eq=False)
class Starts:
    """Where a street may start."""

    point: np.ndarray  # (S, 2)
    kind_of: np.ndarray  # (S,) STUB ... BORDER
    street: np.ndarray  # (S,) kind of the street that stands there
    incident: np.ndarray  # (S, INCIDENT) directions of the pieces that meet there, NaN where none
    gap_m: np.ndarray  # (S, 2) along the street to the next node on both sides, 0 at a node


def scale(length_m: np.ndarray) -> np.ndarray:
    """Lengths squeezed to about 0..1, finest near 0."""
    return np.log1p(np.minimum(length_m, RAY_M) / 10.0) / 3.2


def one_hot(index: np.ndarray, size: int) -> np.ndarray:
    """(..., size) zeros with a one at the index."""
    return np.eye(size)[index]


def starts_of(
    network: Network,
    ground: Ground,
    rng: np.random.Generator,
    *,
    true: np.ndarray | None = None,
) -> tuple[Starts, int]:
    """All candidate starts, and the index of the true one (-1: none of them).

    Candidates along a street are jittered, so that a true one, put in the place of the nearest,
    does not stand out by its spacing.
    """
    nodes = _node_starts(network, ground)
    along = _along_starts(network, ground, rng, true if _misses(nodes, true) else None)
    found = _concat([nodes, along])
    if not len(found.point):
        found = _border_starts(ground, rng, true)
    index = -1
    if true is not None and len(found.point):
        gap = np.hypot(*(found.point - true).T)
        index = int(gap.argmin()) if gap.min() < 3.0 else -1
    if len(found.point) > STARTS:
        few = rng.permutation(len(found.point))
        few = few[np.argsort(found.kind_of[few] >= ALONG, kind="stable")][:STARTS]
        if index >= 0 and index not in few:
            few[-1] = index
        found = take(found, few)
        index = int(np.flatnonzero(few == index)[0]) if index >= 0 else -1
    return found, index


def take(starts: Starts, index: np.ndarray) -> Starts:
    """Some of the starts."""
    return Starts(*(getattr(starts, name)[index] for name in Starts.__dataclass_fields__))


def outward(starts: Starts) -> np.ndarray:
    """The direction that stands freest at each start, (S,): away from all that meet there."""
    known = np.isfinite(starts.incident)
    arms = np.where(known[..., None], unit(np.nan_to_num(starts.incident)), 0.0)
    total = arms.sum(axis=1)
    away = np.arctan2(-total[:, 1], -total[:, 0])
    level = np.hypot(*total.T) < 0.1  # arms in balance: take the square to the first
    return np.where(level, np.nan_to_num(starts.incident[:, 0]) + np.pi / 2, away)


def start_features(starts: Starts, network: Network, ground: Ground) -> np.ndarray:
    """What the choice of a start may know, (S, START_FEATURES)."""
    count = len(starts.point)
    ahead = outward(starts)
    fan = ahead[:, None] + np.deg2rad([0.0, 90.0, -90.0, 45.0, -45.0, 180.0])  # (S, 6)
    units = unit(fan).reshape(-1, 2)
    origins = np.repeat(starts.point, 6, axis=0)
    met = hits(origins, units, network.ends).min(axis=1, initial=FAR_M)
    leave_m, block_m = march(ground, origins, units)
    probe = starts.point[:, None, None] + unit(fan[:, :3])[:, :, None] * np.array(
        [30.0, 70.0]
    ).reshape(1, 1, 2, 1)
    half = ground.editable.shape[0] * ground.pixel_m / 2
    last = np.hypot(*(starts.point - network.last_end).T) < 1.0
    return np.concatenate(
        [
            one_hot(starts.kind_of, 7),
            one_hot(starts.street.clip(0, 3), 4),
            np.isfinite(starts.incident).sum(1, keepdims=True) / 4.0,
            last[:, None],
            starts.point / half - 1.0,
            np.stack([np.cos(4 * ahead), np.sin(4 * ahead)], axis=1),
            scale(starts.gap_m),
            scale(np.stack([met, leave_m, block_m], axis=1)).reshape(count, 18),
            scale(distance(probe, network.ends)).reshape(count, 6),
        ],
        axis=1,
    )


def _misses(nodes: Starts, true: np.ndarray | None) -> bool:
    if true is None:
        return False
    return not len(nodes.point) or float(np.hypot(*(nodes.point - true).T).min()) > 3.0


def _node_starts(network: Network, ground: Ground) -> Starts:
    nodes, node_of = network.points()
    rows: list[tuple] = []
    axis = network.ends[:, 2:] - network.ends[:, :2]
    away = np.stack([np.arctan2(axis[:, 1], axis[:, 0]), np.arctan2(-axis[:, 1], -axis[:, 0])], 1)
    for node in np.flatnonzero(ground.at(ground.reach, nodes)):
        piece, side = np.nonzero(node_of == node)
        arms = away[piece, side]
        placed = bool(network.placed[piece].any())
        kind = _node_kind(arms, placed=placed)
        at_edge = kind != STUB or _near(ground, nodes[node])
        if kind >= 0 and at_edge:
            arms = np.concatenate([arms, np.full(INCIDENT, np.nan)])[:INCIDENT]
            rows.append((nodes[node], kind, network.kind[piece].min(), arms, (0.0, 0.0)))
    return _starts(rows)


def _node_kind(arms: np.ndarray, *, placed: bool) -> int:
    if len(arms) == 1:
        return OPEN_END if placed else STUB
    straight = len(arms) == 2 and angle_between(arms[0], arms[1]) > np.deg2rad(172.0)
    if straight or len(arms) > 4:
        return -1
    return NODE if placed else CONTEXT_NODE


def _near(ground: Ground, point: np.ndarray) -> bool:
    around = point + 4.0 * unit(np.arange(8) * np.pi / 4)
    return bool(ground.at(ground.editable, np.concatenate([around, point[None]])).any())


def _along_starts(
    network: Network, ground: Ground, rng: np.random.Generator, true: np.ndarray | None
) -> Starts:
    ends = network.ends
    if not len(ends):
        return _starts([])
    axis = ends[:, 2:] - ends[:, :2]
    length = np.hypot(*axis.T)
    count = ((length - 2 * SPACING_M) / SPACING_M).clip(0).astype(np.int64)
    piece = np.repeat(np.arange(len(ends)), count)
    place = np.arange(len(piece)) - np.repeat(np.cumsum(count) - count, count)
    slack = (length - SPACING_M * (count + 1)).clip(0) * rng.random(len(ends))
    at_m = SPACING_M * (place + 1) + slack[piece] + rng.uniform(-2.0, 2.0, len(piece))
    if true is not None:
        piece, at_m = _with_true(piece, at_m, true, ends=ends)
    points = ends[piece, :2] + axis[piece] / length[piece, None] * at_m[:, None]
    keep = ground.at(ground.reach, points)
    piece, at_m, points = piece[keep], at_m[keep], points[keep]
    angle = np.arctan2(axis[piece, 1], axis[piece, 0])
    incident = np.full((len(piece), INCIDENT), np.nan)
    incident[:, 0], incident[:, 1] = angle, angle + np.pi
    return Starts(
        points,
        np.where(network.placed[piece], ALONG, ALONG_CONTEXT),
        network.kind[piece],
        incident,
        np.stack([at_m, length[piece] - at_m], axis=1),
    )


def _with_true(
    piece: np.ndarray, at_m: np.ndarray, true: np.ndarray, *, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The candidate nearest to the true start moved onto it, or one more."""
    gap_m = distance_to_each(true, ends)
    host = int(gap_m.argmin())
    if gap_m[host] > 3.0:
        return piece, at_m
    axis = ends[host, 2:] - ends[host, :2]
    wanted = float((true - ends[host, :2]) @ axis / np.hypot(*axis))
    away = np.where(piece == host, np.abs(at_m - wanted), FAR_M)
    at_m = at_m.copy()
    if len(away) and away.min() < SPACING_M:
        at_m[away.argmin()] = wanted
        return piece, at_m
    return np.append(piece, host), np.append(at_m, wanted)


def _border_starts(ground: Ground, rng: np.random.Generator, true: np.ndarray | None) -> Starts:
    """Points along the site's edge, for a site that no street reaches."""
    mask = np.pad(ground.editable, 1)
    core = mask[2:, 1:-1] & mask[:-2, 1:-1] & mask[1:-1, 2:] & mask[1:-1, :-2]
    row, col = np.nonzero(ground.editable & ~core)
    points = (np.stack([col, row], axis=1) + 0.5) * ground.pixel_m
    points = points[rng.permutation(len(points))[:STARTS]]
    if true is not None and len(points):
        points[np.hypot(*(points - true).T).argmin()] = true
    middle = points.mean(axis=0) if len(points) else np.zeros(2)
    rows = []
    for point in points:
        out = np.arctan2(*(point - middle)[::-1])
        out = np.round(out / (np.pi / 2)) * np.pi / 2
        rows.append((point, BORDER, 2, [out] + [np.nan] * (INCIDENT - 1), (0.0, 0.0)))
    return _starts(rows)


def _starts(rows: list[tuple]) -> Starts:
    point, kind_of, street, incident, gap = zip(*rows, strict=True) if rows else ([],) * 5
    return Starts(
        np.array(point, dtype=np.float64).reshape(-1, 2),
        np.array(kind_of, dtype=np.int64),
        np.array(street, dtype=np.int64),
        np.array(incident, dtype=np.float64).reshape(-1, INCIDENT),
        np.array(gap, dtype=np.float64).reshape(-1, 2),
    )


def _concat(parts: list[Starts]) -> Starts:
    names = Starts.__dataclass_fields__
    return Starts(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
