"""Which way a street runs and where it ends: candidates, and what the network may know of each.

Each choice is a list of candidates: exact ones taken from what stands (straight on, square,
parallel, aimed at an open end; a crossing, an open end, the window's edge) and bins for everything
else. Where a street starts is chosen before, in `streets_starts`. Fixed sizes, numpy.
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
from fabricgen.generator.streets_starts import Starts, one_hot, outward, scale

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
TURN_FEATURES, END_FEATURES, STATE_FEATURES = 25, 17, 9
PROBES_M = (20.0, 50.0, 100.0)  # where a direction looks at the map
NEVER = -1e4  # log-density of what a candidate cannot give


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
