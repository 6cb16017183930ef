"""The choices of one growth step and what the network may know about each of them.

A step chooses where a street starts, which way it runs and where it ends. Each choice is a list of
candidates: exact ones taken from what stands (straight on, square, parallel, aimed at an open end;
a crossing, an open end, the window's edge) and bins for everything else. Fixed sizes, numpy.
"""

from dataclasses import dataclass

import numpy as np

from fabricgen.generator.streets_network import (
    FAR_M,
    RAY_M,
    REACH_M,
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
TURN_BINS = 24
BIN_RAD = 2 * np.pi / TURN_BINS
TURNS = 20 + TURN_BINS  # straight 4, square 4, axes 4, parallel 4, aimed 4, bins
TURN_AIMED, TURN_BIN = 4, 5
TURN_TYPE = np.repeat(np.arange(6), [4, 4, 4, 4, 4, TURN_BINS])
MIN_TURN_RAD = np.deg2rad(30.0)
TURN_SD_RAD = np.deg2rad(1.5)
HITS, AIMED, END_BINS = 6, 2, 16
SHORTEST_M = 5.0  # street
ENDS = HITS + AIMED + 1 + END_BINS
END_EDGES_M = np.exp(np.linspace(np.log(SHORTEST_M), np.log(RAY_M), END_BINS + 1))
END_SD_M = 1.5
START_FEATURES, TURN_FEATURES, END_FEATURES, STATE_FEATURES = 43, 25, 17, 9
PROBES_M = (20.0, 50.0, 100.0)  # where a direction looks at the map
NEVER = -1e4  # log-density of what a candidate cannot give


@dataclass(frozen=True, eq=False)
class Starts:
    """Where a street may start."""

    point: np.ndarray  # (S, 2)
    kind_of: np.ndarray  # (S,) STUB ... BORDER
    street: np.ndarray  # (S,) kind of the street that stands there
    incident: np.ndarray  # (S, INCIDENT) directions of the pieces that meet there, NaN where none
    gap_m: np.ndarray  # (S, 2) along the street to the next node on both sides, 0 at a node


@dataclass(frozen=True, eq=False)
class Choices:
    """Candidates of one choice: values, features, which may be taken."""

    value: np.ndarray  # (C,) direction [rad] or length [m]; the middle of a bin
    features: np.ndarray  # (C, F)
    points: np.ndarray  # (C, P, 2) where the map is looked at
    valid: np.ndarray  # (C,) bool
    target: np.ndarray  # (C, 2) exact end point, NaN where the value says it all
    way: np.ndarray | None = None  # (2,) the direction along which ends lie
    most_m: float = RAY_M  # no free length exceeds this

    @property
    def start(self) -> np.ndarray:
        """Where the ends of a street are measured from, (2,)."""
        return self.points[0, 0] - self.value[0] * self.way

    def end(self, place: int, share: float) -> np.ndarray:
        """The end at a place, (2,); in a bin, at a share 0..1 of its logarithm."""
        if np.isfinite(self.target[place]).all():
            return self.target[place]
        free, length_m = place - (HITS + AIMED + 1), self.value[place]
        if free >= 0:
            low, high = END_EDGES_M[free], min(END_EDGES_M[free + 1], self.most_m)
            length_m = low * (high / low) ** share
        return self.start + self.way * length_m


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


def turns_of(start: Starts, index: int, network: Network, ground: Ground) -> Choices:
    """Candidate directions at one start."""
    point, incident = start.point[index], start.incident[index]
    incident = incident[np.isfinite(incident)]
    value = np.full(TURNS, np.nan)
    value[: len(incident[:4])] = incident[:4] + np.pi
    for place, arm in enumerate(incident[:2]):
        value[4 + 2 * place : 6 + 2 * place] = arm + np.array([np.pi / 2, -np.pi / 2])
    value[8:12] = np.arange(4) * np.pi / 2
    parallel = _parallel(point, network)
    if parallel is not None:
        value[12:16] = parallel + np.arange(4) * np.pi / 2
    aims = _open_ends(network, ground)
    gap_m = np.hypot(*(aims - point).T)
    near = np.argsort(np.where((gap_m > 15.0) & (gap_m < RAY_M), gap_m, FAR_M))[:4]
    near = near[(gap_m[near] > 15.0) & (gap_m[near] < RAY_M)]
    value[16 : 16 + len(near)] = np.arctan2(*(aims[near] - point).T[::-1])
    value[20:] = (np.arange(TURN_BINS) + 0.5) * BIN_RAD
    valid = np.isfinite(value)
    value = np.nan_to_num(value) % (2 * np.pi)
    aim_m = np.full(TURNS, FAR_M)
    aim_m[16 : 16 + len(near)] = gap_m[near]

    sharp = _sharpest(value, incident)
    slack = np.where(TURN_TYPE == TURN_BIN, BIN_RAD / 2, 0.0)
    units = unit(value)
    origins = np.repeat(point[None], TURNS, axis=0)
    leave_m, block_m = march(ground, origins, units)
    valid &= (sharp + slack > MIN_TURN_RAD) & (np.minimum(leave_m, block_m) > 3.0)
    reach = np.sort(hits(origins, units, network.ends), axis=1)
    reach = np.concatenate([reach, np.full((TURNS, 2), FAR_M)], axis=1)[:, :2]
    probe = point + units[:, None] * np.array((10.0, *PROBES_M))[None, :, None]
    ahead = outward(start)[index]
    delta = value - ahead
    features = np.concatenate(
        [
            one_hot(TURN_TYPE, 6),
            np.stack([np.cos(delta), np.sin(delta), np.cos(4 * delta), np.sin(4 * delta)], axis=1),
            np.stack([np.cos(value), np.sin(value), np.cos(4 * value), np.sin(4 * value)], axis=1),
            scale(np.stack([aim_m, leave_m, block_m], axis=1)),
            scale(reach),
            scale(distance(probe, network.ends)),
            np.stack([sharp / np.pi, np.full(TURNS, len(incident) / 4.0)], axis=1),
        ],
        axis=1,
    )
    return Choices(value, features, probe[:, 1:], valid, np.full((TURNS, 2), np.nan))


def ends_of(point: np.ndarray, angle: float, network: Network, ground: Ground) -> Choices:
    """Candidate ends of a street that starts at a point and runs along an angle."""
    way = unit(np.array(angle))
    leave_m, block_m = (float(v[0]) for v in march(ground, point[None], way[None]))
    value, target = np.full(ENDS, np.nan), np.full((ENDS, 2), np.nan)
    slope, street = np.zeros(ENDS), np.zeros(ENDS, dtype=np.int64)
    stop_m = min(leave_m + REACH_M, block_m)

    # What the ray meets, as far as the first street it would meet at a sharp angle.
    reach = hits(point[None], way[None], network.ends)[0] if len(network.ends) else np.zeros(0)
    order = np.argsort(reach)[:HITS]
    order = order[reach[order] < stop_m]
    axis = network.ends[:, 2:] - network.ends[:, :2]
    cross = angle_between(2 * np.arctan2(axis[:, 1], axis[:, 0]), 2 * angle) / 2
    sharp = np.flatnonzero(cross[order] < MIN_TURN_RAD)
    if len(sharp):
        stop_m = float(reach[order[sharp[0]]])
        order = order[: sharp[0]]
    value[: len(order)], slope[: len(order)] = reach[order], cross[order]
    street[: len(order)] = network.kind[order]

    # Open ends on the line, the window's edge, and free lengths.
    aims = _open_ends(network, ground)
    along = (aims - point) @ way
    aside = np.abs((aims - point) @ np.array([-way[1], way[0]]))
    on = np.flatnonzero((aside < 1.0) & (along > SHORTEST_M) & (along < stop_m + 1.0))
    on = on[np.argsort(along[on])][:AIMED]
    value[HITS : HITS + len(on)], target[HITS : HITS + len(on)] = along[on], aims[on]
    edge = point + way * leave_m
    if ground.goes_on(edge) and leave_m < block_m:
        value[HITS + AIMED] = leave_m
    middle = np.sqrt(END_EDGES_M[1:] * END_EDGES_M[:-1])
    value[HITS + AIMED + 1 :] = middle
    free = np.arange(ENDS) > HITS + AIMED
    valid = np.isfinite(value) & (value > SHORTEST_M)
    most_m = min(leave_m - 4.0, stop_m)
    valid[free] &= END_EDGES_M[:-1] < most_m
    value = np.nan_to_num(value)
    points = point + way * value[:, None]
    beyond = np.where(reach[None] > value[:, None] + 1.0, reach[None], FAR_M)
    beyond = np.minimum(beyond.min(1, initial=FAR_M), FAR_M) - value
    short = np.where(reach[None] < value[:, None] - 1.0, reach[None], 0.0).max(1, initial=0.0)
    features = np.concatenate(
        [
            one_hot(np.repeat(np.arange(4), [HITS, AIMED, 1, END_BINS]), 4),
            one_hot(street, 4) * (np.arange(ENDS) < HITS)[:, None],
            np.stack([scale(value), value / 100.0, np.sin(slope)], axis=1),
            scale(np.stack([beyond, value - short, distance(points, network.ends)], axis=1)),
            scale(np.stack([leave_m - value, block_m - value], axis=1).clip(0.0)),
            (reach[None] < value[:, None] - 1.0).sum(1)[:, None] / 3.0,
        ],
        axis=1,
    )
    return Choices(value, features, points[:, None], valid, target, way, most_m)


def turn_log_density(choices: Choices, angle: float) -> np.ndarray:
    """Log-density of a direction under each candidate, per radian, (TURNS,)."""
    miss = angle_between(choices.value, np.array(angle))
    exact = -0.5 * (miss / TURN_SD_RAD) ** 2 - np.log(TURN_SD_RAD * np.sqrt(2 * np.pi))
    flat = np.where(miss <= BIN_RAD / 2, -np.log(BIN_RAD), NEVER)
    density = np.where(TURN_TYPE == TURN_BIN, flat, exact)
    return np.where(choices.valid, density, NEVER)


def end_log_density(choices: Choices, length_m: float) -> np.ndarray:
    """Log-density of a length under each candidate, per meter, (ENDS,)."""
    miss = choices.value[: HITS + AIMED + 1] - length_m
    exact = -0.5 * (miss / END_SD_M) ** 2 - np.log(END_SD_M * np.sqrt(2 * np.pi))
    inside = (END_EDGES_M[:-1] <= length_m) & (length_m < END_EDGES_M[1:])
    flat = np.where(inside, -np.log(np.log(END_EDGES_M[1] / END_EDGES_M[0]) * length_m), NEVER)
    return np.where(choices.valid, np.concatenate([exact, flat]), NEVER)


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


def _open_ends(network: Network, ground: Ground) -> np.ndarray:
    nodes, node_of = network.points()
    if not len(nodes):
        return np.zeros((0, 2))
    degree = np.bincount(node_of.ravel(), minlength=len(nodes))
    return nodes[(degree == 1) & ground.at(ground.reach, nodes)]


def _parallel(point: np.ndarray, network: Network) -> float | None:
    if not len(network.ends):
        return None
    gaps = distance_to_each(point, network.ends)
    others = np.flatnonzero(gaps > 2.0)
    if not len(others):
        return None
    row = network.ends[others[gaps[others].argmin()]]
    return float(np.arctan2(row[3] - row[1], row[2] - row[0]))


def _sharpest(value: np.ndarray, incident: np.ndarray) -> np.ndarray:
    if not len(incident):
        return np.full(len(value), np.pi)
    return angle_between(value[:, None], incident[None]).min(axis=1)
