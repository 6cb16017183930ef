"""Rules, not the model: what a drawn network is completed by.

The model sees 256 m at a time and leaves some streets loose and, on large sites, some blocks too
large. In this order, each street under the rules of `streets_rules`:

* open ends that face each other within FACING_M and roughly in line are joined, those of main
  streets within MAIN_M;
* an open end goes on to the street ahead of it within AHEAD_M, a service way within YARD_M, a main
  street within MAIN_M;
* blocks that are larger than LARGE_M2 or deeper than DEEP_M are divided by streets that continue
  what ends at the block, or stand square on the streets around it, from street to street;
* what was opened by that is joined once more, and stumps are taken away.

With a road share asked, blocks are divided only until it is reached.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from fabricgen.generator.paths import strip_mask
from fabricgen.generator.streets_compass import Compass, strangeness
from fabricgen.generator.streets_network import (
    FAR_M,
    REACH_M,
    Ground,
    Network,
    angle_between,
    hits,
    unit,
)
from fabricgen.generator.streets_rules import laid, without_stumps
from fabricgen.surfaces import LOCAL, ROAD_WIDTH_M, SECONDARY, SERVICE

FACING_M = 60.0
MAIN_M = 240.0  # the same for two ends of main streets, and how far one looks ahead
FACING_RAD = np.deg2rad(35.0)  # between an end's own direction and the other end
AHEAD_M = 80.0
YARD_M = 40.0  # the same for ways that only serve a yard
SIDE_RAD = np.deg2rad(np.arange(-40.0, 41.0, 5.0))  # directions in which an end looks ahead
CROSS_RAD = np.deg2rad(50.0)  # least angle to the street met
SNAP_M = 16.0  # an end this near to a node goes there
LARGE_M2 = 25_000.0
DEEP_M = 75.0  # from the deepest spot of a block to a street
LEAST_M2 = 6_000.0  # smaller blocks are left, however deep
SPACING_M = 14.0  # between places along a street where a dividing street may start
PROBE_M = 8.0  # from a street's edge to the ground beside it
THIN_M = 50.0  # a part that is shallower than this from street to street is a poor block
TRIES = 12  # dividing streets that are tried on a block
CUTS = 200  # most dividing streets


@dataclass(frozen=True, eq=False)
class Ends:
    """Open ends on a site."""

    point: np.ndarray  # (N, 2)
    way: np.ndarray  # (N,) direction in which the street would go on
    kind: np.ndarray  # (N,)


@dataclass(frozen=True, eq=False)
class _Cuts:
    """Streets that could divide a block."""

    start: np.ndarray  # (R, 2)
    way: np.ndarray  # (R,)
    kind: np.ndarray  # (R,)
    goes_on: np.ndarray  # (R,) bool, continues a street that ends here
    foreign: np.ndarray  # (R,) how strange its direction is, 0 to 1


def complete(
    network: Network,
    ground: Ground,
    *,
    compass: Compass,
    dice: np.random.Generator,
    road_share: float,
) -> Network:
    """A network without loose ends that could be tied and without blocks that are too large.

    Args:
        network: As the model left it.
        ground: The whole site.
        compass: Directions at home around it.
        dice: Chooses among dividing streets of like merit.
        road_share: Asked share of streets, NaN where free.
    """
    network = lead_on(join_facing(network, ground), ground, compass)
    network = divide_blocks(network, ground, compass, dice=dice, road_share=road_share)
    return without_stumps(lead_on(join_facing(network, ground), ground, compass))


def open_ends(network: Network, ground: Ground) -> Ends:
    """New streets' loose ends on the site, and streets cut off at its edge."""
    nodes, node_of = network.points()
    degree = np.bincount(node_of.ravel(), minlength=len(nodes))
    piece, side = np.nonzero(degree[node_of] == 1)
    tip = network.ends.reshape(-1, 2, 2)[piece, side]
    step = tip - network.ends.reshape(-1, 2, 2)[piece, 1 - side]
    way = np.arctan2(step[:, 1], step[:, 0])
    ahead = ground.at(ground.editable, tip + PROBE_M * unit(way))
    keep = ground.at(ground.reach, tip) & (network.placed[piece] | ahead)
    return Ends(tip[keep], way[keep], network.kind[piece][keep])


def join_facing(network: Network, ground: Ground) -> Network:
    """Join open ends that face each other, nearest and straightest first."""
    failed: set[tuple[float, ...]] = set()
    while True:
        ends = open_ends(network, ground)
        for i, j in _facing(ends):
            key = tuple(np.round(np.concatenate([ends.point[i], ends.point[j]]), 1))
            kind = int(min(ends.kind[i], ends.kind[j]))
            after = None
            if key not in failed:
                after = laid(network, ends.point[i], ends.point[j], kind=kind, ground=ground)
            if after is not None:
                network = after
                break
            failed.add(key)
        else:
            return network


def _facing(ends: Ends) -> list[tuple[int, int]]:
    gap = ends.point[None] - ends.point[:, None]  # (N, N, 2) from i to j
    far_m = np.hypot(gap[..., 0], gap[..., 1])
    turn = angle_between(np.arctan2(gap[..., 1], gap[..., 0]), ends.way[:, None])  # (N, N)
    bend = np.maximum(turn, turn.T)
    main = ends.kind <= SECONDARY
    most_m = np.where(main[:, None] & main[None], MAIN_M, FACING_M)
    first, second = np.nonzero(np.triu((far_m < most_m) & (bend < FACING_RAD), 1))
    order = np.argsort((far_m * (1 + 2 * bend))[first, second])
    return [(int(first[k]), int(second[k])) for k in order]


def lead_on(network: Network, ground: Ground, compass: Compass) -> Network:
    """Lead each open end to the street ahead; ends of through streets first."""
    ends = open_ends(network, ground)
    for place in np.argsort(ends.kind, kind="stable"):
        point, kind = ends.point[place], int(ends.kind[place])
        most_m = {LOCAL: AHEAD_M, SERVICE: YARD_M}.get(kind, MAIN_M)
        for end in _ahead(network, point, float(ends.way[place]), most_m, compass):
            after = laid(network, point, end, kind=kind, ground=ground)
            if after is not None:
                network = after
                break
    return network


def _ahead(
    network: Network, point: np.ndarray, way: float, most_m: float, compass: Compass
) -> np.ndarray:
    """Places on streets ahead of an end, nearest and straightest first, (P, 2)."""
    rays = unit(way + SIDE_RAD)
    reach = hits(np.repeat(point[None], len(rays), axis=0), rays, network.ends)
    met = reach.argmin(axis=1)
    reach_m = reach[np.arange(len(rays)), met]
    good = (reach_m < most_m) & (_crossing(network, met, way + SIDE_RAD) > CROSS_RAD)
    foreign = strangeness(compass, point, way + SIDE_RAD)
    order = np.argsort(reach_m * (1 + 1.5 * np.abs(SIDE_RAD) + foreign))
    order = order[good[order]][:6]
    return point + rays[order] * reach_m[order, None]


def _crossing(network: Network, piece: np.ndarray, way: np.ndarray) -> np.ndarray:
    """Angle between pieces (R,) and directions (R,), 0 to pi / 2."""
    axis = network.ends[piece, 2:] - network.ends[piece, :2]
    return angle_between(2 * np.arctan2(axis[:, 1], axis[:, 0]), 2 * way) / 2


def divide_blocks(
    network: Network,
    ground: Ground,
    compass: Compass,
    *,
    dice: np.random.Generator,
    road_share: float = np.nan,
) -> Network:
    """Divide blocks that are too large or too deep until none can be divided."""
    most_m2 = road_share * ground.editable.sum() * ground.pixel_m**2
    left = np.zeros_like(ground.editable)  # blocks that no street divides
    for _ in range(CUTS):
        if _street_m2(network) >= most_m2:  # never where nothing is asked: NaN
            break
        block = _worst_block(network, ground, left)
        if block is None:
            break
        after = _divide(network, ground, block, compass=compass, dice=dice)
        if after is None:
            left |= block
        else:
            network = after
    return network


def _street_m2(network: Network) -> float:
    axis = (network.ends[:, 2:] - network.ends[:, :2])[network.placed]
    width_m = np.array(ROAD_WIDTH_M)[network.kind[network.placed]]
    return float((np.hypot(*axis.T) * width_m).sum())


def block_labels(network: Network, ground: Ground) -> np.ndarray:
    """Number of the block of each pixel, (H, W); 0 on streets."""
    kind = network.kind
    rows = np.column_stack([network.ends, np.array(ROAD_WIDTH_M)[kind], kind])
    return ndimage.label(~strip_mask(rows, ground.editable.shape, pixel_m=ground.pixel_m))[0]


def _worst_block(network: Network, ground: Ground, left: np.ndarray) -> np.ndarray | None:
    """The part on the site of the block that most needs a street, (H, W) bool."""
    labels = block_labels(network, ground)
    numbers = np.arange(1, labels.max() + 1)
    site = ground.editable & ~left
    area_m2 = ndimage.sum(site, labels, numbers) * ground.pixel_m**2
    deep = ndimage.distance_transform_edt(labels > 0) * ground.pixel_m
    deep_m = np.asarray(ndimage.maximum(np.where(site, deep, 0.0), labels, numbers))
    need = np.maximum(area_m2 / LARGE_M2, deep_m / DEEP_M)
    need = np.where(area_m2 > LEAST_M2, need, 0.0)
    if not len(need) or need.max() <= 1.0:
        return None
    return (labels == numbers[need.argmax()]) & ground.editable


def _divide(
    network: Network,
    ground: Ground,
    block: np.ndarray,
    *,
    compass: Compass,
    dice: np.random.Generator,
) -> Network | None:
    """The network with the best street across a block that the rules allow, or None."""
    cuts = _cuts_of(network, ground, block, compass)
    if not len(cuts.way):
        return None
    rays = unit(cuts.way)
    reach = hits(cuts.start, rays, network.ends)
    met = reach.argmin(axis=1)
    reach_m = reach[np.arange(len(met)), met]
    end, at_node = _snapped(network, cuts.start + rays * reach_m[:, None], met, cuts)
    merit = _merit(cuts, end, block=block, ground=ground, dice=dice)
    merit += 0.8 * at_node + 1.5 * np.sin(_crossing(network, met, cuts.way)) - 2.0 * cuts.foreign
    merit[(reach_m >= FAR_M) | ~_clear(cuts.start, end, ground)] = -np.inf
    for place in np.argsort(-merit)[:TRIES]:
        if np.isfinite(merit[place]):
            kind = int(cuts.kind[place])
            after = laid(network, cuts.start[place], end[place], kind=kind, ground=ground)
            if after is not None:
                return after
    return None


def _clear(start: np.ndarray, end: np.ndarray, ground: Ground) -> np.ndarray:
    """Which straight lines (R,) stay on the site and off what stays, as far as 64 spots tell."""
    share = (np.arange(64) + 0.5)[None, :, None] / 64
    spots = start[:, None] + share * (end - start)[:, None]  # (R, 64, 2)
    away_m = share[..., 0] * np.hypot(*(end - start).T)[:, None]
    inner = (away_m > REACH_M) & (away_m[:, ::-1] > REACH_M)
    on = ground.at(ground.editable, spots) | ~inner
    return (on & ~ground.at(ground.blocked, spots)).all(axis=1)


def _cuts_of(network: Network, ground: Ground, block: np.ndarray, compass: Compass) -> _Cuts:
    """Starts of streets into a block: what ends at it, and places along the streets around it."""
    axis = network.ends[:, 2:] - network.ends[:, :2]
    length = np.hypot(*axis.T)
    angle = np.arctan2(axis[:, 1], axis[:, 0])
    half_m = np.array(ROAD_WIDTH_M)[network.kind] / 2
    count = (length / SPACING_M).astype(np.int64)
    piece = np.repeat(np.arange(len(length)), count)
    place = np.arange(len(piece)) - np.repeat(np.cumsum(count) - count, count) + 0.5
    along = network.ends[piece, :2] + axis[piece] * (place / count[piece])[:, None]
    both = np.tile(np.arange(len(length)), 2)
    start = np.concatenate([along, along, network.ends[:, 2:], network.ends[:, :2]])
    source = np.concatenate([piece, piece, both])
    way = np.concatenate([angle[piece] + np.pi / 2, angle[piece] - np.pi / 2, angle, angle + np.pi])
    goes_on = np.arange(len(start)) >= 2 * len(piece)
    beside = start + unit(way) * (half_m[source] + PROBE_M)[:, None]
    into = ground.at(block, beside)
    kind = np.where(goes_on, np.minimum(network.kind[source], LOCAL), LOCAL)
    row, col = np.nonzero(block)
    middle = np.array([col.mean() + 0.5, row.mean() + 0.5]) * ground.pixel_m
    foreign = strangeness(compass, middle, way[into])
    return _Cuts(start[into], way[into], kind[into], goes_on[into], foreign)


def _snapped(
    network: Network, end: np.ndarray, met: np.ndarray, cuts: _Cuts
) -> tuple[np.ndarray, np.ndarray]:
    """Ends moved to a node of the piece they meet if one is near, and which were."""
    tips = network.ends[met].reshape(-1, 2, 2)
    gap = np.hypot(*(tips - end[:, None]).transpose(2, 0, 1))  # (R, 2)
    near = gap.argmin(axis=1)
    row = np.arange(len(end))
    node = tips[row, near]
    turn = angle_between(np.arctan2(*(node - cuts.start).T[::-1]), cuts.way)
    snap = (gap[row, near] < SNAP_M) & (turn < np.deg2rad(10.0))
    return np.where(snap[:, None], node, end), snap


def _merit(
    cuts: _Cuts, end: np.ndarray, *, block: np.ndarray, ground: Ground, dice: np.random.Generator
) -> np.ndarray:
    """How well each street divides a block: in deep halves, short, going on from what ends."""
    row, col = np.nonzero(block)
    few = dice.integers(0, len(row), 400)
    spot = np.stack([col[few], row[few]], axis=1) * ground.pixel_m  # (400, 2)
    axis = end - cuts.start
    offset = spot[None] - cuts.start[:, None]  # (R, 400, 2)
    left = (offset[..., 0] * axis[:, None, 1] > offset[..., 1] * axis[:, None, 0]).mean(axis=1)
    small = np.minimum(left, 1 - left)
    side_m = np.sqrt(block.sum()) * ground.pixel_m
    length_m = np.maximum(np.hypot(*axis.T), 1.0)
    return (
        4.0 * small
        - 3.0 * (small < 0.15)
        - 2.0 * (small * side_m**2 / length_m < THIN_M)
        - 0.8 * length_m / side_m
        + 1.2 * cuts.goes_on
        + 0.1 * dice.gumbel(size=len(end))
    )
