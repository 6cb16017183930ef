"""The skeleton of a road mask as nodes and branches: spurs cut, and nodes of one place made one.

A wide place (a plaza, a car park) has many nodes inside; each lies in the circle to the kerb around
another, which makes them one.
"""

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from skimage.morphology import skeletonize

from fabricgen.vectorize.road_mask import CELL_M, RoadMask

EIGHT = np.ones((3, 3), dtype=bool)
SPUR_M = 2.5  # dead ends that show less than this beyond the street they leave are noise
MERGE_M = 5.5  # nodes this near along a branch are one junction
BENT = 1.5  # a branch this many times as long as its ends are apart leads around something
LOOP_SHARE = 4.0  # loops at a junction shorter than this many times its reach are part of it


@dataclass(frozen=True, eq=False)
class Branch:
    """A line between two nodes.

    Attributes:
        ends: The nodes that it starts and ends at.
        path: Its places in frame coordinates, (n, 2).
        radius_m: Distance to the kerb at each place, (n,).
    """

    ends: tuple[int, int]
    path: np.ndarray
    radius_m: np.ndarray

    @property
    def length_m(self) -> float:
        """Its length."""
        return float(np.hypot(*np.diff(self.path, axis=0).T).sum())

    def turned(self) -> "Branch":
        """The same, walked the other way."""
        return Branch(self.ends[::-1], self.path[::-1], self.radius_m[::-1])


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Nodes and branches.

    Attributes:
        place: Nodes in frame coordinates by their number.
        radius_m: Distance from each node to the kerb.
        branches: What links them.
    """

    place: dict[int, np.ndarray]
    radius_m: dict[int, float]
    branches: list[Branch]

    def degree(self) -> dict[int, int]:
        """Ends of branches at each node."""
        degree: dict[int, int] = defaultdict(int)
        for branch in self.branches:
            for end in branch.ends:
                degree[end] += 1
        return degree


def skeleton_of(mask: RoadMask) -> Skeleton:
    """The clean skeleton of a mask."""
    skeleton = _joined(_traced(mask))
    while True:
        kept = _without_spurs(skeleton)
        if len(kept.branches) == len(skeleton.branches):
            return _joined(_merged(kept))
        skeleton = _joined(kept)


def _traced(mask: RoadMask) -> Skeleton:
    """The skeleton as it comes: nodes are clusters of cells where branches meet, and loose ends."""
    radius = ndimage.distance_transform_edt(np.pad(mask.inside, 1))[1:-1, 1:-1] * CELL_M
    radius -= CELL_M / 2  # to the kerb, which lies between two cells
    thin = skeletonize(mask.inside)
    thin[[0, -1]] = thin[:, [0, -1]] = False
    count = ndimage.convolve(thin.astype(np.uint8), EIGHT.astype(np.uint8), mode="constant") - 1
    crossing = thin & (count >= 3)
    cluster, clusters = ndimage.label(crossing, EIGHT)
    place: dict[int, np.ndarray] = {}
    reach: dict[int, float] = {}
    rows, cols = np.nonzero(crossing)
    owner = cluster[rows, cols]
    uv = mask.to_uv(np.stack([rows, cols], axis=1))
    for node in range(1, clusters + 1):
        own = owner == node
        place[node] = uv[own].mean(axis=0)
        reach[node] = float(radius[rows[own], cols[own]].max())
    branches = []
    for cells, ends in _walks(thin & ~crossing, cluster):
        path = mask.to_uv(cells)
        along = radius[cells[:, 0], cells[:, 1]]
        named = []
        for end, at in zip(ends, (0, -1), strict=True):
            if end == 0 and named and np.array_equal(path[0], path[-1]):
                end = named[0]  # a ring
            if end == 0:
                end = len(place) + 1
                place[end], reach[end] = path[at], float(along[at])
            named.append(end)
        branches.append(Branch((named[0], named[1]), path, along))
    return Skeleton(place, reach, branches)


def _walks(strands: np.ndarray, cluster: np.ndarray) -> list[tuple[np.ndarray, tuple[int, int]]]:
    """Cells of each strand in order, (n, 2), and the clusters at its ends, 0 where it is loose."""
    width = strands.shape[1]
    steps = [1, -1, width, -width, width + 1, width - 1, -width + 1, -width - 1]
    flat = cluster.ravel()
    left = set(np.flatnonzero(strands.ravel()).tolist())
    near = {cell: [cell + s for s in steps if cell + s in left] for cell in left}
    hubs = {
        cell: list(dict.fromkeys(int(flat[cell + s]) for s in steps if flat[cell + s]))
        for cell in left
    }
    found = []
    ends = [cell for cell in sorted(left) if len(near[cell]) < 2]
    for start in [*ends, *sorted(left)]:  # rings have no end: they start anywhere
        if start not in left:
            continue
        run = [start]
        left.discard(start)
        while (step := next((c for c in near[run[-1]] if c in left), None)) is not None:
            run.append(step)
            left.discard(step)
        first = hubs[run[0]][0] if hubs[run[0]] else 0
        last = next((h for h in hubs[run[-1]] if len(run) > 1 or h != first), 0)
        if len(run) > 2 and not first and not last and run[0] in near[run[-1]]:
            run.append(run[0])
        found.append((np.stack(np.divmod(np.array(run), width), axis=1), (first, last)))
    return found


def _without_spurs(skeleton: Skeleton) -> Skeleton:
    """Without dead ends that hardly show beyond the kerb of the street that they leave."""
    degree = skeleton.degree()
    kept = []
    for branch in skeleton.branches:
        a, b = branch.ends
        loose = (degree[a] == 1) + (degree[b] == 1)
        tip, root = (a, b) if degree[a] == 1 else (b, a)
        shows_m = branch.length_m + skeleton.radius_m[tip] - skeleton.radius_m[root]
        if loose != 1 or shows_m >= SPUR_M:
            kept.append(branch)
    return replace(skeleton, branches=kept)


def _joined(skeleton: Skeleton) -> Skeleton:
    """Branches made one where only two meet."""
    at: dict[int, list[int]] = defaultdict(list)
    branches = dict(enumerate(skeleton.branches))
    for k, branch in branches.items():
        for end in branch.ends:
            at[end].append(k)
    for node, around in at.items():
        if len(around) != 2 or around[0] == around[1]:
            continue
        first, second = branches.pop(around[0]), branches.pop(around[1])
        first = first if first.ends[1] == node else first.turned()
        second = second if second.ends[0] == node else second.turned()
        whole = Branch(
            (first.ends[0], second.ends[1]),
            np.concatenate([first.path, skeleton.place[node][None], second.path]),
            np.concatenate([first.radius_m, [skeleton.radius_m[node]], second.radius_m]),
        )
        branches[around[0]] = whole
        far = whole.ends[1]
        at[far] = [around[0] if k == around[1] else k for k in at[far]]
    return replace(skeleton, branches=list(branches.values()))


def _merged(skeleton: Skeleton) -> Skeleton:
    """Nodes that are one junction made one: near ones, and those within one wide place."""
    hub = _hubs(skeleton)
    members: dict[int, list[int]] = defaultdict(list)
    for node, own in hub.items():
        members[own].append(node)
    place = {a: np.mean([skeleton.place[k] for k in own], axis=0) for a, own in members.items()}
    reach = {
        a: max(skeleton.radius_m[k] + np.hypot(*(skeleton.place[k] - place[a])) for k in own)
        for a, own in members.items()
    }
    kept = []
    for branch in skeleton.branches:
        a, b = (hub[end] for end in branch.ends)
        if a != b or branch.length_m > LOOP_SHARE * max(MERGE_M, reach[a]):
            kept.append(replace(branch, ends=(a, b)))
    return Skeleton(place, reach, kept)


def _hubs(skeleton: Skeleton) -> dict[int, int]:
    """Of each node, the node that stands for its junction; the nearest pairs join first."""
    hub = {node: node for node in skeleton.place}
    members = {node: [node] for node in skeleton.place}
    degree = skeleton.degree()
    for branch in sorted(skeleton.branches, key=lambda b: b.length_m):
        a, b = (hub[end] for end in branch.ends)
        if a == b or min(degree[end] for end in branch.ends) < 3:
            continue
        limit_m = max(MERGE_M, skeleton.radius_m[a], skeleton.radius_m[b])
        middle_a, middle_b = (
            np.mean([skeleton.place[k] for k in members[end]], axis=0) for end in (a, b)
        )
        apart_m = max(np.hypot(*(middle_a - middle_b)), branch.length_m / BENT)
        if apart_m <= limit_m:
            hub.update(dict.fromkeys(members[b], a))
            members[a] += members.pop(b)
    return hub
