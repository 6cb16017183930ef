"""What every drawn street obeys.

Rules that hold whatever the network says, because a street that breaks one is drawn again:

* it starts on the network and lies on the site, but for up to REACH_M to a street along its edge;
* it crosses no building that stays, and meets every street it touches in a junction, at
  JUNCTION_RAD or more; a street that bends keeps BEND_RAD between its arms;
* no street runs beside another at less than PARALLEL_M, between axes;
* a street goes on as the kind that it continues, and no block is less than BLOCK_M around;
* every street that ends at the site's edge goes on into it, where these rules allow;
* with a road share asked, nothing but that is laid once the share is reached;
* an end that stops just short of a street or of a node is led onto it;
* at the end, dead ends shorter than STUMP_M are taken away.

What pulls directions to those of the city around is in `streets_compass`; what completes a whole
site's network is in `streets_complete`.
"""

import numpy as np

from fabricgen.generator import streets_moves as choices
from fabricgen.generator import streets_starts as origins
from fabricgen.generator.streets_network import (
    REACH_M,
    Ground,
    Network,
    angle_between,
    chosen,
    distance_to_each,
    grow,
    hits,
    split,
    unit,
)

PARALLEL_M = 22.0  # two half streets and the shallowest house between them
STUMP_M = 15.0
WELD_M = 6.0  # an end this near to a node goes to the node
TOUCH_M = 0.3  # a crossing this near to a piece's end is a junction
BLOCK_M = 150.0
JUNCTION_RAD = np.deg2rad(40.0)
BEND_RAD = np.deg2rad(80.0)  # between the arms of a street that only bends


def laid(
    network: Network, start: np.ndarray, end: np.ndarray, *, kind: int, ground: Ground
) -> Network | None:
    """The network with one more street, or None where that would break a rule."""
    end = weld(network, start, end)
    if flaw(network, start, end, ground=ground):
        return None
    after = grow(network, start, end, kind=kind)
    if crossings(after) or around_m(network, start, end) < BLOCK_M:
        return None
    return after


def flaw(network: Network, start: np.ndarray, end: np.ndarray, *, ground: Ground) -> str:
    """What a street from start to end would break, or an empty string."""
    axis = end - start
    length = float(np.hypot(*axis))
    if length < choices.SHORTEST_M:
        return "too short"
    angle = float(np.arctan2(axis[1], axis[0]))
    at_m = np.arange(1.0, length, 2.0)
    points = start + axis / length * at_m[:, None]
    inside = ground.at(ground.editable, points)
    near_end = (at_m < REACH_M + 4.0) | (at_m > length - REACH_M - 4.0)
    if not (inside | near_end).all() or inside.mean() < 0.3:
        return "off the site"
    first, last = inside.argmax(), len(inside) - inside[::-1].argmax()
    if not inside[first:last].all():
        return "leaves the site"
    if not ground.at(ground.editable, end[None])[0] and not _joined(network, end, ground):
        return "ends outside"
    if ground.at(ground.blocked, points).any():
        return "through a building"
    return _flaw_beside(network, start, end, angle=angle)


def crossings(network: Network) -> int:
    """How often a new piece is met away from its ends."""
    ends = network.ends
    axis = ends[:, 2:] - ends[:, :2]
    length = np.hypot(*axis.T)
    new = np.flatnonzero(network.placed)
    if not len(new):
        return 0
    way = axis[new] / length[new, None]
    reach = hits(ends[new, :2], way, ends)  # (N, M)
    inner = (reach > TOUCH_M) & (reach < length[new, None] - TOUCH_M)
    return int(inner.sum())


def around_m(network: Network, start: np.ndarray, end: np.ndarray) -> float:
    """Way around the block that a street would close; infinite if it closes none. Meters."""
    way, before = np.inf, network
    for tip in (start, end):  # so that both ends are nodes
        at = np.flatnonzero(distance_to_each(tip, before.ends) < TOUCH_M)
        before = split(before, [(int(piece), tip) for piece in at])
    nodes, node_of = before.points()
    if not len(nodes):
        return way
    first, last = (np.hypot(*(nodes - tip).T) for tip in (start, end))
    if first.min() > TOUCH_M or last.min() > TOUCH_M:
        return way
    length = np.hypot(*(before.ends[:, 2:] - before.ends[:, :2]).T)
    reach = np.full(len(nodes), np.inf)
    reach[first.argmin()] = 0.0
    for _ in range(len(nodes)):  # Bellman and Ford: few nodes, few rounds
        known = reach.copy()
        np.minimum.at(reach, node_of[:, 1], known[node_of[:, 0]] + length)
        np.minimum.at(reach, node_of[:, 0], known[node_of[:, 1]] + length)
        if (reach == known).all():
            break
    return float(reach[last.argmin()] + np.hypot(*(end - start)))


def without_stumps(network: Network) -> Network:
    """The network without new dead ends shorter than STUMP_M."""
    while True:
        _, node_of = network.points()
        degree = np.bincount(node_of.ravel())
        free = (degree[node_of] == 1).any(axis=1) & (degree[node_of] > 1).any(axis=1)
        length = np.hypot(*(network.ends[:, 2:] - network.ends[:, :2]).T)
        stump = network.placed & free & (length < STUMP_M)
        if not stump.any():
            return network
        network = chosen(network, ~stump)


def weld(network: Network, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The end, or the node that it almost reaches."""
    nodes, _ = network.points()
    if not len(nodes):
        return end
    gap = np.hypot(*(nodes - end).T)
    near = nodes[gap.argmin()]
    if gap.min() > WELD_M or np.hypot(*(near - start)) < choices.SHORTEST_M:
        return end
    turn = angle_between(np.arctan2(*(near - start)[::-1]), np.arctan2(*(end - start)[::-1]))
    return near if turn < np.deg2rad(6.0) else end


def _joined(network: Network, end: np.ndarray, ground: Ground) -> bool:
    """Whether an end outside the site lies on a street, or where the site goes on."""
    on_street = len(network.ends) > 0 and distance_to_each(end, network.ends).min() < 0.5
    return bool(on_street or ground.goes_on(end))


def _flaw_beside(network: Network, start: np.ndarray, end: np.ndarray, *, angle: float) -> str:
    """What a street would break with those around it, or an empty string."""
    if not len(network.ends):
        return ""
    axis = network.ends[:, 2:] - network.ends[:, :2]
    heading = np.arctan2(axis[:, 1], axis[:, 0])
    length = float(np.hypot(*(end - start)))
    for tip, outward in ((start, angle), (end, angle + np.pi)):
        arms = _arms(network, tip, heading)
        least = BEND_RAD if len(arms) == 1 else JUNCTION_RAD
        if len(arms) and angle_between(arms, np.array(outward)).min() < least:
            return "too sharp"
    lean = angle_between(2 * heading, np.array(2 * angle)) / 2
    beside = network.ends[lean < choices.MIN_TURN_RAD]
    at_m = np.arange(PARALLEL_M + 4.0, length - PARALLEL_M - 4.0, 3.0)
    at_m = np.append(at_m, length / 2)
    points = start + unit(np.array(angle)) * at_m[:, None]
    step, gap = beside[:, 2:] - beside[:, :2], points[:, None] - beside[:, :2]  # (P, R, 2)
    square = np.maximum((step**2).sum(1), 1e-9)
    share = (gap * step).sum(-1) / square  # (P, R)
    aside_m = np.abs(gap[..., 0] * step[:, 1] - gap[..., 1] * step[:, 0]) / np.sqrt(square)
    if ((aside_m < PARALLEL_M) & (share > 0) & (share < 1)).any():
        return "beside another"
    loose = distance_to_each(end, network.ends)
    return "stops beside another" if 0.5 < loose.min() < origins.SPACING_M else ""


def _arms(network: Network, tip: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """Directions in which the standing pieces leave a point."""
    touch = distance_to_each(tip, network.ends) < 0.5
    goes_on = np.hypot(*(network.ends[:, 2:] - tip).T) > 0.5
    comes = np.hypot(*(network.ends[:, :2] - tip).T) > 0.5
    return np.concatenate([heading[touch & goes_on], heading[touch & comes] + np.pi])
