"""The street network while it grows: what stands, what a ray meets, how a street joins.

Plain numpy, one site at a time; training targets and the sampler run the same functions, so that a
step looks the same in both. Points are frame coordinates in meters, directions radians from u to v.
"""

from dataclasses import dataclass, replace

import numpy as np

from fabricgen.generator.conditions import Boxes
from fabricgen.surfaces import PATH

REACH_M = 16.0  # a new street may leave the site this far to meet a street along its edge
JOIN_M = 1.0  # an end this near to a street lies on it
RAY_M = 240.0  # how far a ray looks
MARCH_M = 4.0  # steps of a ray over the raster
FAR_M = 999.0  # stands for "nothing met"


@dataclass(frozen=True, eq=False)
class Ground:
    """Where streets may lie: the site, the strip around it, what is built there and stays."""

    editable: np.ndarray  # (H, W) bool, the site
    reach: np.ndarray  # (H, W) bool, the site and REACH_M around it
    blocked: np.ndarray  # (H, W) bool, buildings that stay
    pixel_m: float

    def goes_on(self, point: np.ndarray) -> bool:
        """Whether the site may go on at a point of its edge: at the window's rim."""
        rows, cols = self.editable.shape
        far_m = np.array([cols, rows]) * self.pixel_m - 5.0
        return bool(point.min() < 5.0 or (point > far_m).any())

    def at(self, mask: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Values of a mask at points (..., 2), False outside the window."""
        rows, cols = mask.shape
        cell = np.floor(points / self.pixel_m).astype(np.int64)
        col, row = cell[..., 0], cell[..., 1]
        inside = (col >= 0) & (row >= 0) & (col < cols) & (row < rows)
        return inside & mask[row.clip(0, rows - 1), col.clip(0, cols - 1)]


@dataclass(frozen=True, eq=False)
class Network:
    """Street pieces that meet only at their ends."""

    ends: np.ndarray  # (M, 4) float64
    kind: np.ndarray  # (M,) int64
    placed: np.ndarray  # (M,) bool, True for the new streets of the site
    last_end: np.ndarray  # (2,) where the last street ended, NaN at first

    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """Distinct nodes (N, 2) and the node of each end (M, 2)."""
        flat = self.ends.reshape(-1, 2)
        key = np.round(flat * 10.0).astype(np.int64)
        _, first, node = np.unique(
            key[:, 0] * 1_000_003 + key[:, 1], return_index=True, return_inverse=True
        )
        return flat[first], node.reshape(-1, 2)


def ground_of(
    editable: np.ndarray,
    building: np.ndarray,
    pixel_m: float,
    *,
    kept: np.ndarray | None = None,
) -> Ground:
    """Masks of a site.

    Args:
        editable: (H, W) bool, the site.
        building: (H, W) bool, buildings of the context; on the site they do not count.
        pixel_m: Edge of a pixel.
        kept: Boxes (N, 5+) that stay although they stand on the site.
    """
    reach = dilate(editable, round(REACH_M / pixel_m))
    blocked = building & ~editable
    for box in kept if kept is not None else ():
        blocked |= _box_mask(box, editable.shape, pixel_m)
    return Ground(editable, reach, blocked, pixel_m)


def kept_boxes(boxes: Boxes, item: int, editable: np.ndarray, pixel_m: float) -> np.ndarray:
    """Boxes of one item whose center lies on the site, (N, 5)."""
    rows = boxes.geometry[item][boxes.valid[item]].cpu().numpy()
    probe = Ground(editable, editable, editable, pixel_m)
    return rows[probe.at(editable, rows[:, :2])] if len(rows) else rows


def network_of(segments: np.ndarray) -> Network:
    """A network of standing streets from rows (M, 6); foot and cycle ways are left out."""
    rows = np.asarray(segments, dtype=np.float64)
    rows = rows[(rows[:, 5] < PATH) & (np.hypot(*(rows[:, 2:4] - rows[:, :2]).T) > 0.05)]
    return Network(
        rows[:, :4].copy(),
        rows[:, 5].astype(np.int64),
        np.zeros(len(rows), dtype=bool),
        np.full(2, np.nan),
    )


def chosen(network: Network, index: np.ndarray) -> Network:
    """Some of the pieces, by a mask or by numbers."""
    return Network(
        network.ends[index], network.kind[index], network.placed[index], network.last_end
    )


def joined(first: Network, second: Network) -> Network:
    """All pieces of both; the street that was laid last is the second's."""
    return Network(
        np.concatenate([first.ends, second.ends]),
        np.concatenate([first.kind, second.kind]),
        np.concatenate([first.placed, second.placed]),
        second.last_end,
    )


def shifted(network: Network, move_m: np.ndarray) -> Network:
    """The network moved by (du, dv)."""
    return replace(
        network, ends=network.ends + np.tile(move_m, 2), last_end=network.last_end + move_m
    )


def grow(network: Network, start: np.ndarray, end: np.ndarray, *, kind: int) -> Network:
    """Add one street and split it, and what it meets, where they touch or cross."""
    cuts, splits = [start, end], []  # of the new street; of the standing ones (index, point)
    axis = end - start
    length = float(np.hypot(*axis))
    unit = axis / max(length, 1e-9)
    if len(network.ends):
        nodes, _ = network.points()
        along = (nodes - start) @ unit
        aside = np.abs((nodes - start) @ np.array([-unit[1], unit[0]]))
        on = (aside < JOIN_M) & (along > JOIN_M) & (along < length - JOIN_M)
        cuts += list(nodes[on])
        for tip in (start, end):
            splits += [(piece, tip) for piece in _touched(network.ends, tip)]
        reach = hits(start[None], unit[None], network.ends)[0]
        for piece in np.flatnonzero((reach > JOIN_M) & (reach < length - JOIN_M)):
            point = start + unit * reach[piece]
            near = np.hypot(*(np.array(cuts) - point).T) < 2 * JOIN_M
            if not near.any():
                cuts.append(point)
                splits.append((int(piece), point))
    order = np.argsort((np.array(cuts) - start) @ unit)
    chain = np.array(cuts)[order]
    new = np.concatenate([chain[:-1], chain[1:]], axis=1)
    old = split(network, splits)
    return Network(
        np.concatenate([old.ends, new]),
        np.concatenate([old.kind, np.full(len(new), kind)]),
        np.concatenate([old.placed, np.ones(len(new), dtype=bool)]),
        end,
    )


def split(network: Network, splits: list[tuple[int, np.ndarray]]) -> Network:
    """The network with pieces cut at points on them, (piece, point) each."""
    if not splits:
        return network
    keep = np.ones(len(network.ends), dtype=bool)
    ends, source = [], []
    for piece in {index for index, _ in splits}:
        keep[piece] = False
        row = network.ends[piece]
        points = np.array([row[:2], row[2:], *[p for index, p in splits if index == piece]])
        chain = points[np.argsort((points - row[:2]) @ (row[2:] - row[:2]))]
        ends.append(np.concatenate([chain[:-1], chain[1:]], axis=1))
        source += [piece] * (len(chain) - 1)
    index = np.concatenate([np.flatnonzero(keep), np.array(source, dtype=np.int64)])
    return Network(
        np.concatenate([network.ends[keep], *ends]),
        network.kind[index],
        network.placed[index],
        network.last_end,
    )


def hits(origins: np.ndarray, units: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Distance along each ray to each segment, (R, M); FAR_M where it passes by."""
    u0, v0, u1, v1 = ends.T
    du, dv = u1 - u0, v1 - v0
    ray_u, ray_v = units[:, :1], units[:, 1:]
    gap_u, gap_v = u0 - origins[:, :1], v0 - origins[:, 1:]  # (R, M)
    cross = ray_u * dv - ray_v * du
    per_cross = 1.0 / np.where(np.abs(cross) < 1e-9, 1.0, cross)
    along = (gap_u * dv - gap_v * du) * per_cross
    share = (gap_u * ray_v - gap_v * ray_u) * per_cross
    met = (np.abs(cross) > 1e-9) & (along > 0.5) & (share > -1e-6) & (share < 1 + 1e-6)
    return np.where(met, along, FAR_M)


def march(ground: Ground, origins: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far each ray (R, 2) stays on the site and clear of buildings that stay, (R,) each.

    A ray may first cross up to REACH_M outside the site; one that never enters leaves at 0.
    """
    step_m = np.arange(1, int(RAY_M / MARCH_M) + 1) * MARCH_M  # (T,)
    points = origins[:, None] + units[:, None] * step_m[None, :, None]  # (R, T, 2)
    inside = ground.at(ground.editable, points)
    entered = np.cumsum(inside, axis=1) > 0
    late = step_m > REACH_M + 2 * MARCH_M  # by then a ray must have entered
    gone = entered & ~inside
    leave_m = np.where(gone.any(1), step_m[gone.argmax(1)] - MARCH_M / 2, RAY_M)
    leave_m = np.where(inside[:, ~late].any(1), leave_m, 0.0)
    built = ground.at(ground.blocked, points)
    block_m = np.where(built.any(1), step_m[built.argmax(1)] - MARCH_M, FAR_M)
    return leave_m, block_m


def distance(points: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Distance of points (..., 2) to the nearest segment, (...); FAR_M without any."""
    if not len(ends):
        return np.full(points.shape[:-1], FAR_M)
    return np.sqrt(_gap2(points, ends).min(axis=-1))


def distance_to_each(point: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Distance of one point (2,) to each segment, (M,)."""
    return np.sqrt(_gap2(point[None], ends)[0])


def angle_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Unsigned angle between two directions, 0 to pi."""
    return np.abs((first - second + np.pi) % (2 * np.pi) - np.pi)


def unit(angle: np.ndarray) -> np.ndarray:
    """Unit vectors (..., 2) of directions (...)."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _gap2(points: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Squared distances of points (..., 2) to segments, (..., M)."""
    u0, v0, u1, v1 = ends.astype(points.dtype).T
    du, dv = u1 - u0, v1 - v0
    per_length2 = 1.0 / np.maximum(du * du + dv * dv, 1e-9)
    u, v = points[..., :1] - u0, points[..., 1:] - v0  # (..., M)
    share = ((u * du + v * dv) * per_length2).clip(0.0, 1.0)
    u -= share * du
    v -= share * dv
    return u * u + v * v


def _touched(ends: np.ndarray, tip: np.ndarray) -> np.ndarray:
    near = _gap2(tip[None], ends)[0] < JOIN_M**2
    tips = ends.reshape(-1, 2, 2) - tip
    return np.flatnonzero(near & (np.hypot(tips[..., 0], tips[..., 1]) > JOIN_M).all(1))


def dilate(mask: np.ndarray, radius_px: int) -> np.ndarray:
    """A mask (H, W) grown by a square of this radius."""
    wide = mask.copy()
    for axis in (0, 1):
        source = wide.copy()
        for shift in range(1, radius_px + 1):
            moved = np.moveaxis(wide, axis, 0)
            still = np.moveaxis(source, axis, 0)
            moved[shift:] |= still[:-shift]
            moved[:-shift] |= still[shift:]
    return wide


def _box_mask(box: np.ndarray, shape: tuple[int, int], pixel_m: float) -> np.ndarray:
    margin_m = 6.0  # both sides: a street keeps its half width away from what stays
    row, col = np.mgrid[: shape[0], : shape[1]]
    du, dv = (col + 0.5) * pixel_m - box[0], (row + 0.5) * pixel_m - box[1]
    cos, sin = np.cos(box[4]), np.sin(box[4])
    across, deep = np.abs(cos * du + sin * dv), np.abs(-sin * du + cos * dv)
    return (across <= (box[2] + margin_m) / 2) & (deep <= (box[3] + margin_m) / 2)
