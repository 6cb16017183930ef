"""From straight pieces to streets: one line per kind between junctions, joined at the site's edge.

Pieces arrive as (u0, v0, u1, v1, width, kind) in frame coordinates. They become a graph whose nodes
are shared points; lines are chains of edges through nodes where nothing branches off.
"""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely.geometry import LineString, Point
from shapely.geometry.base import BaseGeometry

from fabricgen.surfaces import PATH, ROAD_KINDS
from fabricgen.vectorize.settings import DrawSettings

MERGE_M = 1.5  # ends this near are one junction
REACH_M = 4.0  # a loose end this near to another street runs into it
BRIDGE_M = 40.0  # a street net cut off from the others is linked over at most this gap
EDGE_M = 0.5  # ends this near to the site's edge lie on it
BEND_M = 0.3  # smaller wiggles of a line are drawn straight
SAME_WIDTH_M = 0.5

Key = tuple[int, int]  # a node: its place in whole millimeters


@dataclass(frozen=True)
class Street:
    """A center line in frame coordinates."""

    line: LineString
    kind: int  # index into ROAD_KINDS
    width_m: float

    @property
    def kind_name(self) -> str:
        """The kind in words."""
        return ROAD_KINDS[self.kind]


@dataclass(frozen=True)
class _Edge:
    start: Key
    end: Key
    kind: int
    width_m: float


class _Nodes:
    """Exact places of nodes; points within a millimeter are the same node."""

    def __init__(self) -> None:
        self.place: dict[Key, tuple[float, float]] = {}

    def key(self, u: float, v: float) -> Key:
        """The node at a place, made when it is new."""
        key = (round(u * 1000), round(v * 1000))
        self.place.setdefault(key, (float(u), float(v)))
        return key


def draw_streets(
    segments: np.ndarray,
    *,
    site: BaseGeometry,
    context_segments: np.ndarray,
    settings: DrawSettings,
    keep_islands: bool = False,
) -> list[Street]:
    """Center lines of the streets on a site.

    Args:
        segments: Pieces on the site, (M, 6).
        site: The site in frame coordinates.
        context_segments: Pieces around the site, (K, 6); streets join them at the edge exactly.
        settings: What counts as clean.
        keep_islands: Leave nets that reach no other as they are, where they are known to be so;
            else they are linked to one that reaches the site's edge, or left out.

    Returns:
        Lines inside the site that end at junctions, dead ends or the site's edge.
    """
    segments = np.array(segments, dtype=np.float64).reshape(-1, 6)
    length = np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1])
    segments = segments[length > 0.1]
    if len(segments) == 0:
        return []
    doors = entries(np.asarray(context_segments, dtype=np.float64).reshape(-1, 6), site)
    nodes = _Nodes()
    for u, v in doors:
        nodes.key(u, v)
    segments = _merge_ends(segments, doors, site, settings)
    edges = _clip(_split(segments, nodes), nodes, site)
    if not keep_islands:
        edges = _link_islands(edges, nodes, site)
    for _ in range(2):
        edges = _drop_stubs(edges, nodes, site, settings.stub_m)
    return [
        Street(LineString([nodes.place[k] for k in chain]).simplify(BEND_M), kind, width)
        for chain, kind, width in _chains(edges)
    ]


def entries(context_segments: np.ndarray, site: BaseGeometry) -> np.ndarray:
    """Where streets of the context meet the site's edge, (n, 2)."""
    if len(context_segments) == 0:
        return np.zeros((0, 2))
    edge = site.boundary
    lines = shapely.linestrings(context_segments[:, :4].reshape(-1, 2, 2))
    found: list[tuple[float, float]] = []
    ends = context_segments[:, :4].reshape(-1, 2)
    distance = shapely.distance(shapely.points(ends), edge)
    found += [tuple(point) for point in ends[distance < EDGE_M]]
    # A street that stops a little short of the edge meant to reach it.
    outside = ~shapely.contains_xy(site, ends[:, 0], ends[:, 1])
    short = shapely.points(ends[outside & (distance >= EDGE_M) & (distance < REACH_M)])
    found += [edge.interpolate(edge.project(point)).coords[0] for point in short]
    for line in lines[shapely.intersects(lines, edge)]:
        hits = [p for p in shapely.get_parts(line.intersection(edge)) if p.geom_type == "Point"]
        found += [(hit.x, hit.y) for hit in hits]
    unique: list[tuple[float, float]] = []
    for u, v in found:
        if all(np.hypot(u - a, v - b) > REACH_M for a, b in unique):
            unique.append((float(u), float(v)))
    return np.array(unique).reshape(-1, 2)


def surface(
    streets: Sequence[Street], *, margin_m: float = 0.0, square: bool = False
) -> np.ndarray:
    """Ground under streets in frame coordinates, one polygon per street.

    Args:
        streets: Center lines.
        margin_m: Added on both sides.
        square: Straight outlines that contain the round ones, for cutting walls.
    """
    lines = np.array([street.line for street in streets], dtype=object)
    half = np.array([street.width_m for street in streets]) / 2 + margin_m
    if square:
        return shapely.buffer(lines, half, cap_style="square", join_style="mitre")
    return shapely.buffer(lines, half, cap_style="round", join_style="round", quad_segs=4)


def _merge_ends(
    segments: np.ndarray, doors: np.ndarray, site: BaseGeometry, settings: DrawSettings
) -> np.ndarray:
    """Let ends that nearly meet be one point, and ends near a context street reach it."""
    points = segments[:, :4].reshape(-1, 2).copy()  # (2 M, 2)
    near = np.hypot(*(points[:, None] - points[None, :]).transpose(2, 0, 1)) < MERGE_M
    own = np.arange(len(points)) ^ 1  # the other end of the same piece
    near[np.arange(len(points)), own] = False
    label = connected_components(coo_array(near), directed=False)[1]
    for cluster in range(label.max() + 1):
        members = np.flatnonzero(label == cluster)
        # The place most ends already share is the junction.
        places, counts = np.unique(np.round(points[members], 3), axis=0, return_counts=True)
        points[members] = places[counts.argmax()]
    if len(doors):
        degree = np.bincount(label)
        loose = degree[label] == 1
        away = np.hypot(*(points[:, None] - doors[None, :]).transpose(2, 0, 1))  # (2 M, n)
        outside = ~shapely.contains_xy(site.buffer(-settings.join_m), points[:, 0], points[:, 1])
        for door in range(len(doors)):
            # A junction at the door moves there as one; else the nearest loose end does.
            chosen = np.where(loose & outside, away[:, door], np.inf)
            limit = settings.join_m
            if chosen.min() > MERGE_M:
                chosen = np.where(outside & (away[:, door] < MERGE_M), away[:, door], chosen)
            if chosen.min() <= limit:
                points[label == label[chosen.argmin()]] = doors[door]
    return np.concatenate([points.reshape(-1, 4), segments[:, 4:]], axis=1)


def _split(segments: np.ndarray, nodes: _Nodes) -> list[_Edge]:
    """Cut pieces where they cross or where a loose end runs into them."""
    lines = shapely.linestrings(segments[:, :4].reshape(-1, 2, 2))
    ends = [(nodes.key(*row[:2]), nodes.key(*row[2:4])) for row in segments]
    cuts: dict[int, list[Key]] = defaultdict(list)
    tree = shapely.STRtree(lines)
    i, j = tree.query(lines, predicate="intersects")
    for a, b in zip(i[i < j], j[i < j], strict=True):
        hit = lines[a].intersection(lines[b])
        if hit.geom_type == "Point" and not set(ends[a]) & set(ends[b]):
            key = nodes.key(hit.x, hit.y)
            cuts[a].append(key)
            cuts[b].append(key)
    count: dict[Key, int] = defaultdict(int)
    for key in (key for pair in ends for key in pair):
        count[key] += 1
    for k, pair in enumerate(ends):
        start, end = (
            _run_into(key, k, lines, tree, cuts, nodes) if count[key] == 1 else key for key in pair
        )
        ends[k] = (start, end)
    edges: dict[tuple[Key, Key], _Edge] = {}
    for k, (start, end) in enumerate(ends):
        stops = sorted(
            {start, end, *cuts[k]}, key=lambda q: lines[k].project(Point(nodes.place[q]))
        )
        for a, b in itertools.pairwise(stops):
            edge = _Edge(a, b, int(segments[k, 5]), float(segments[k, 4]))
            known = edges.get((min(a, b), max(a, b)))
            if known is None or known.width_m < edge.width_m:
                edges[min(a, b), max(a, b)] = edge
    return list(edges.values())


def _run_into(
    key: Key,
    own: int,
    lines: np.ndarray,
    tree: shapely.STRtree,
    cuts: dict[int, list[Key]],
    nodes: _Nodes,
) -> Key:
    """The place on another street that a loose end reaches, or the end itself."""
    point = Point(nodes.place[key])
    others = [k for k in tree.query(point, predicate="dwithin", distance=REACH_M) if k != own]
    if not others:
        return key
    nearest = others[int(shapely.distance(lines[others], point).argmin())]
    along = lines[nearest].project(point)
    at_end = min(along, lines[nearest].length - along) < MERGE_M
    if at_end:
        along = 0.0 if along < lines[nearest].length / 2 else lines[nearest].length
    place = lines[nearest].interpolate(along)
    reached = nodes.key(place.x, place.y)
    if not at_end:
        cuts[nearest].append(reached)
    return reached


def _clip(edges: list[_Edge], nodes: _Nodes, site: BaseGeometry) -> list[_Edge]:
    kept: list[_Edge] = []
    for edge in edges:
        line = LineString([nodes.place[edge.start], nodes.place[edge.end]])
        if site.covers(line):
            kept.append(edge)
            continue
        for part in shapely.get_parts(line.intersection(site)):
            if part.geom_type == "LineString" and part.length > 0.05:
                keys = [nodes.key(*xy) for xy in part.coords]
                kept += [
                    _Edge(a, b, edge.kind, edge.width_m)
                    for a, b in itertools.pairwise(keys)
                    if a != b
                ]
    return kept


def _on_edge(key: Key, nodes: _Nodes, site: BaseGeometry) -> bool:
    return site.boundary.distance(Point(nodes.place[key])) < EDGE_M


def _components(edges: list[_Edge]) -> list[list[_Edge]]:
    """Edges by connected net, in order of first appearance."""
    number: dict[Key, int] = {}
    for edge in edges:
        number.setdefault(edge.start, len(number))
        number.setdefault(edge.end, len(number))
    i = [number[edge.start] for edge in edges]
    j = [number[edge.end] for edge in edges]
    links = coo_array((np.ones(len(i)), (i, j)), shape=(len(number), len(number)))
    label = connected_components(links, directed=False)[1]
    nets: dict[int, list[_Edge]] = defaultdict(list)
    for edge, node in zip(edges, i, strict=True):
        nets[label[node]].append(edge)
    return list(nets.values())


def _link_islands(edges: list[_Edge], nodes: _Nodes, site: BaseGeometry) -> list[_Edge]:
    """Link street nets that reach no edge of the site to one that does, or leave them out."""
    if not edges:
        return []
    nets = _components(edges)
    anchored = [
        net
        for net in nets
        if any(_on_edge(key, nodes, site) for edge in net for key in (edge.start, edge.end))
    ]
    if not anchored:
        return max(nets, key=lambda net: sum(_length(e, nodes) for e in net))
    main = [edge for net in anchored for edge in net]
    for net in (net for net in nets if net not in anchored):
        main = _bridge(main, net, nodes, site)
    return main


def _bridge(main: list[_Edge], net: list[_Edge], nodes: _Nodes, site: BaseGeometry) -> list[_Edge]:
    """The main net with an island linked to it by the shortest straight piece, if that is short."""
    own = sorted({key for edge in net for key in (edge.start, edge.end)})
    points = shapely.points([nodes.place[key] for key in own])
    lines = shapely.linestrings([(nodes.place[edge.start], nodes.place[edge.end]) for edge in main])
    gaps = shapely.distance(points[:, None], lines[None, :])
    near, hit = np.unravel_index(gaps.argmin(), gaps.shape)
    along = lines[hit].project(points[near])
    if along < MERGE_M or along > lines[hit].length - MERGE_M:
        along = 0.0 if along < MERGE_M else lines[hit].length
    place = lines[hit].interpolate(along)
    if gaps[near, hit] > BRIDGE_M or not site.covers(shapely.shortest_line(points[near], place)):
        return main
    reached, edge = nodes.key(place.x, place.y), main[hit]
    if reached not in (edge.start, edge.end):
        halves = [replace(edge, end=reached), replace(edge, start=reached)]
        main = [*main[:hit], *halves, *main[hit + 1 :]]
    widest = max(net, key=lambda edge: edge.width_m)
    return [*main, *net, _Edge(own[near], reached, widest.kind, widest.width_m)]


def _length(edge: _Edge, nodes: _Nodes) -> float:
    (a, b), (c, d) = nodes.place[edge.start], nodes.place[edge.end]
    return float(np.hypot(c - a, d - b))


def _degrees(edges: list[_Edge]) -> dict[Key, int]:
    degree: dict[Key, int] = defaultdict(int)
    for edge in edges:
        degree[edge.start] += 1
        degree[edge.end] += 1
    return degree


def _drop_stubs(
    edges: list[_Edge], nodes: _Nodes, site: BaseGeometry, limit_m: float
) -> list[_Edge]:
    """Leave out short dead ends; whoever drew them meant nothing by it."""
    degree = _degrees(edges)
    dropped: set[frozenset[Key]] = set()
    for chain, kind, _ in _chains(edges):
        pairs = list(itertools.pairwise(chain))
        length = sum(np.hypot(*np.subtract(nodes.place[a], nodes.place[b])) for a, b in pairs)
        loose = [
            key
            for key in (chain[0], chain[-1])
            if degree[key] == 1 and not _on_edge(key, nodes, site)
        ]
        if loose and length < limit_m / (2 if kind == PATH else 1):
            dropped |= {frozenset(pair) for pair in pairs}
    return [edge for edge in edges if frozenset((edge.start, edge.end)) not in dropped]


def _chains(edges: list[_Edge]) -> list[tuple[list[Key], int, float]]:
    """Runs of edges of one kind and width through nodes where nothing else meets."""
    at: dict[Key, list[int]] = defaultdict(list)
    for k, edge in enumerate(edges):
        at[edge.start].append(k)
        at[edge.end].append(k)

    def follow(key: Key, k: int) -> int | None:
        others = [other for other in at[key] if other != k]
        if len(at[key]) != 2 or len(others) != 1:
            return None
        same = edges[others[0]].kind == edges[k].kind
        near = abs(edges[others[0]].width_m - edges[k].width_m) < SAME_WIDTH_M
        return others[0] if same and near else None

    used: set[int] = set()
    chains = []
    for k, edge in enumerate(edges):
        if k in used:
            continue
        used.add(k)
        run = [edge.start, edge.end]
        for _ in range(2):  # forward from the end, then turned around from the start
            last = k
            while (step := follow(run[-1], last)) is not None and step not in used:
                used.add(step)
                run.append(edges[step].end if edges[step].start == run[-1] else edges[step].start)
                last = step
            run.reverse()
        chains.append((run, edge.kind, edge.width_m))
    return chains
