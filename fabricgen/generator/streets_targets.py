"""From the real streets of a site to the order in which a network would have grown there.

The streets are cut at the site's edge; what lies outside is the context. From the stubs the
network grows one straight street at a time: a street that was left open goes on first, then the
widest kind, then the longest. The same site always gives the same order.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fabricgen.generator.streets_network import (
    REACH_M,
    Ground,
    Network,
    angle_between,
    distance,
    grow,
    network_of,
)
from fabricgen.surfaces import PATH, ROAD_WIDTH_M

STRAIGHT_RAD = np.deg2rad(8.0)  # pieces that turn less than this may be one street
BOW_M = 2.0  # as long as no node lies further from the chord
CONTEXT_BOW_M = 1.0  # the same for the streets around the site
SHORT_M = 4.0  # a shorter run inside or outside the site is not cut off


@dataclass(frozen=True, eq=False)
class Move:
    """One growth step: a straight street."""

    start: np.ndarray  # (2,)
    end: np.ndarray  # (2,)
    kind: int


@dataclass(frozen=True, eq=False)
class Growth:
    """How a site's real network grows."""

    context: Network
    moves: tuple[Move, ...]
    dropped: int  # pieces on the site that no street leads to


def cut_segments(
    segments: np.ndarray, editable: np.ndarray, pixel_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """Cut street rows (M, 6) at the site's edge: (inside, outside); the cuts coincide."""
    rows = np.asarray(segments, dtype=np.float64)
    if not len(rows):
        return rows.reshape(0, 6), rows.reshape(0, 6)
    ground = Ground(editable, editable, editable, pixel_m)
    share = (np.arange(256) + 0.5) / 256
    points = rows[:, None, :2] + share[None, :, None] * (rows[:, None, 2:4] - rows[:, None, :2])
    on = ground.at(editable, points)  # (M, 256)
    parts: dict[bool, list[np.ndarray]] = {True: [rows[on.all(1)]], False: [rows[~on.any(1)]]}
    for row, marks in zip(rows[on.any(1) & ~on.all(1)], on[on.any(1) & ~on.all(1)], strict=True):
        length = float(np.hypot(*(row[2:4] - row[:2])))
        for first, last, inside in _runs(marks, SHORT_M / max(length, 1e-6) * 256):
            part = row.copy()
            part[:2] = row[:2] + (row[2:4] - row[:2]) * first / 256
            part[2:4] = row[:2] + (row[2:4] - row[:2]) * last / 256
            parts[inside].append(part[None])
    return np.concatenate(parts[True]), np.concatenate(parts[False])


def growth_of(
    segments: np.ndarray,
    editable: np.ndarray,
    *,
    pixel_m: float,
    rng: np.random.Generator | None = None,
) -> Growth:
    """The growth of the streets (M, 6) of a window on its site.

    With `rng`, short ends between the site's edge and a street along it are sometimes left to be
    grown too, so that the model learns to leave a street where no stub shows.
    """
    rows = np.asarray(segments, dtype=np.float64)
    rows = rows[rows[:, 5] < PATH]
    inside, outside = cut_segments(rows, editable, pixel_m)
    if rng is not None and rng.random() < 0.5:
        inside, outside = _leave_short_ends(inside, outside)
    context = network_of(_simplify(outside, CONTEXT_BOW_M))
    if not len(inside):
        return Growth(context, (), 0)
    pieces = _Pieces(_simplify(inside, BOW_M))
    at_network = distance(pieces.nodes, context.ends) < 1.6
    if not at_network.any():
        side = editable.shape[0] * pixel_m
        at_network = (pieces.nodes.min(1) < 4.0) | (pieces.nodes.max(1) > side - 4.0)
    moves = tuple(_moves(pieces, at_network))
    return Growth(context, moves, int(pieces.left.sum()))


def grown(growth: Growth, count: int) -> Network:
    """The network after the first moves."""
    network = growth.context
    for move in growth.moves[:count]:
        network = grow(network, move.start, move.end, kind=move.kind)
    return network


def street_area_m2(moves: tuple[Move, ...]) -> float:
    """Length times usual width of some moves. Square meters."""
    return float(
        sum(np.hypot(*(move.end - move.start)) * ROAD_WIDTH_M[move.kind] for move in moves)
    )


class _Pieces:
    """The pieces of a site as a graph from which streets are taken one by one."""

    def __init__(self, rows: np.ndarray) -> None:
        network = network_of(rows)
        self.nodes, self.node_of = network.points()
        keep = self.node_of[:, 0] != self.node_of[:, 1]
        self.node_of, self.kind = self.node_of[keep], network.kind[keep]
        self.left = np.ones(len(self.kind), dtype=bool)
        self.at: list[list[int]] = [[] for _ in self.nodes]
        for piece, (first, second) in enumerate(self.node_of):
            self.at[first].append(piece)
            self.at[second].append(piece)
        self._known: dict[tuple[int, int], tuple[list[int], list[int]]] = {}

    def street(self, node: int, piece: int) -> tuple[list[int], list[int]]:
        """Nodes and pieces of the straight street that leaves a node along a piece."""
        known = self._known.get((node, piece))
        if known is not None and self.left[known[1]].all():
            return known
        nodes, pieces = [node], []
        following: int | None = piece
        while following is not None:
            pieces.append(following)
            first, second = self.node_of[following]
            nodes.append(int(second if first == nodes[-1] else first))
            following = self._straight_on(nodes, pieces)
        self._known[node, piece] = (nodes, pieces)
        return nodes, pieces

    def length_m(self, nodes: list[int]) -> float:
        """From the first node of a street to its last."""
        return float(np.hypot(*(self.nodes[nodes[-1]] - self.nodes[nodes[0]])))

    def take(self, nodes: list[int], pieces: list[int], fixed: np.ndarray) -> Move:
        """Take a street out, and move the nodes on its way, unless fixed, onto its chord."""
        start, end = self.nodes[nodes[0]].copy(), self.nodes[nodes[-1]].copy()
        axis = (end - start) / max(float(np.hypot(*(end - start))), 1e-9)
        for node in nodes[1:-1]:
            if not fixed[node]:
                self.nodes[node] = start + axis * ((self.nodes[node] - start) @ axis)
        self.left[pieces] = False
        return Move(start, end, int(self.kind[pieces[0]]))

    def _straight_on(self, nodes: list[int], pieces: list[int]) -> int | None:
        here, last = nodes[-1], self.nodes[nodes[-1]] - self.nodes[nodes[-2]]
        heading = np.arctan2(last[1], last[0])
        for piece in self.at[here]:
            first, second = self.node_of[piece]
            other = int(second if first == here else first)
            if not self.left[piece] or other in nodes or self.kind[piece] != self.kind[pieces[0]]:
                continue
            ahead = self.nodes[other] - self.nodes[here]
            turn = angle_between(np.arctan2(ahead[1], ahead[0]), heading)
            if turn < STRAIGHT_RAD and self._bow_m([*nodes, other]) < BOW_M:
                return piece
        return None

    def _bow_m(self, nodes: list[int]) -> float:
        points = self.nodes[nodes]
        axis = points[-1] - points[0]
        normal = np.array([-axis[1], axis[0]]) / max(float(np.hypot(*axis)), 1e-9)
        return float(np.abs((points - points[0]) @ normal).max())


def _moves(pieces: _Pieces, at_network: np.ndarray) -> list[Move]:
    at_network = at_network.copy()
    moves: list[Move] = []
    open_node: int | None = None
    while True:
        from_nodes = [open_node] if open_node is not None else np.flatnonzero(at_network)
        streets = [
            pieces.street(int(node), piece)
            for node in from_nodes
            for piece in pieces.at[node]
            if pieces.left[piece]
        ]
        if not streets and open_node is None:
            return moves
        if not streets:
            open_node = None
            continue
        nodes, taken = max(
            streets, key=lambda s: (-pieces.kind[s[1][0]], round(pieces.length_m(s[0]), 1))
        )
        moves.append(pieces.take(nodes, taken, at_network))
        open_node = None if at_network[nodes[-1]] else nodes[-1]
        at_network[nodes] = True


def _runs(marks: np.ndarray, short: float) -> list[tuple[int, int, bool]]:
    """Runs of equal marks as (first, last, mark), short ones joined to what precedes them."""
    edges = [0, *(np.flatnonzero(np.diff(marks)) + 1), len(marks)]
    runs: list[tuple[int, int, bool]] = []
    for first, last in pairwise(edges):
        mark = bool(marks[first])
        inner = first > 0 and last < len(marks)
        if runs and (runs[-1][2] == mark or (inner and last - first < short)):
            runs[-1] = (runs[-1][0], int(last), runs[-1][2])
        else:
            runs.append((int(first), int(last), mark))
    return runs


def _leave_short_ends(inside: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Move outside pieces that lead from the site's edge to a street within reach to the inside."""
    if not len(inside) or not len(outside):
        return inside, outside
    ends = np.round(outside[:, :4].reshape(-1, 2), 1)
    _, node, count = np.unique(ends, axis=0, return_inverse=True, return_counts=True)
    degree = count[node.reshape(-1)].reshape(-1, 2)
    tips = {tuple(tip) for tip in np.round(inside[:, :4].reshape(-1, 2), 1)}
    cut = np.array([tuple(tip) in tips for tip in ends]).reshape(-1, 2)
    length = np.hypot(*(outside[:, 2:4] - outside[:, :2]).T)
    one_way = (cut & (degree == 1)).any(1) & ((degree >= 3) & ~cut).any(1)
    short = one_way & (length < REACH_M - 2.0)
    return np.concatenate([inside, outside[short]]), outside[~short]


def _simplify(rows: np.ndarray, tolerance_m: float) -> np.ndarray:
    """Streets between junctions with as few pieces as stay within a tolerance of them."""
    pieces = _Pieces(rows)
    degree = np.array([len(at) for at in pieces.at])
    found = []
    for node in sorted(range(len(degree)), key=lambda node: degree[node] == 2):
        for piece in pieces.at[node]:
            if pieces.left[piece]:
                points = pieces.nodes[_walk(pieces, node, piece)]
                kept = points[_corners(points, tolerance_m)]
                kind = float(pieces.kind[piece])
                found += [
                    [*first, *last, ROAD_WIDTH_M[int(kind)], kind] for first, last in pairwise(kept)
                ]
    return np.array(found).reshape(-1, 6)


def _walk(pieces: _Pieces, node: int, piece: int) -> list[int]:
    """Nodes from a node along a piece to the next junction or change of kind; takes the pieces."""
    nodes, kind = [node], pieces.kind[piece]
    while True:
        pieces.left[piece] = False
        first, second = pieces.node_of[piece]
        nodes.append(int(second if first == nodes[-1] else first))
        at = pieces.at[nodes[-1]]
        following = [p for p in at if pieces.left[p] and pieces.kind[p] == kind]
        if len(at) != 2 or not following:
            return nodes
        piece = following[0]


def _corners(points: np.ndarray, tolerance_m: float) -> list[int]:
    """Which points of a line to keep (Douglas and Peucker 1973)."""
    axis = points[-1] - points[0]
    length = float(np.hypot(*axis))
    gap = points - points[0]
    away = np.hypot(*gap.T) if length < 0.1 else np.abs(gap @ [-axis[1], axis[0]]) / length
    far = int(away.argmax())
    if len(points) < 3 or away[far] <= tolerance_m:
        return [0, len(points) - 1]
    before = _corners(points[: far + 1], tolerance_m)
    after = _corners(points[far:], tolerance_m)
    return before + [far + place for place in after[1:]]
