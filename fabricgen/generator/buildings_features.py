"""What the buildings network is shown: the order of cells, neighbors, streets, snap candidates."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from fabricgen.generator.blocks import CELLS, WINDOW_M
from fabricgen.generator.boxes import axes, edge_candidates, half_extent
from fabricgen.generator.snap import OFFSET

NEW, ANOTHER, END = 0, 1, 2
FLOOR_CLASSES = 40
TOKEN_FEATURES = 13
NEIGHBOR_FEATURES = 15
STREET_FEATURES = 8
OFFSET_KINDS = 7  # four edges of a neighbor, three setbacks from a street
GAP_BINS = 73
REACH_CELLS = 8  # offsets from the last box told apart by the pointer
MIN_ALIGNED = 0.9  # cosine between a wall's normal and a street's for the street line to count


@dataclass(frozen=True, eq=False)
class Place:
    """R chosen cells with what stands near them."""

    center: Tensor  # (R, 2) of the cell
    state: Tensor  # (R, head)
    boxes: Tensor  # (R, K, 5) neighbors
    floors: Tensor  # (R, K) NaN unknown
    there: Tensor  # (R, K) bool
    edges: Tensor  # (R, K, edge) features of the neighbors
    street: Tensor  # (R, 2, 6) see Scene.street
    street_edges: Tensor  # (R, 2, edge)
    setbacks: Tensor  # (R, 2) NaN where there is none

    def repeat(self, times: int) -> "Place":
        """Each row so many times in a row."""
        rows = {one.name: getattr(self, one.name) for one in fields(self)}
        return Place(**{name: rows[name].repeat_interleave(times, dim=0) for name in rows})


@dataclass(frozen=True, eq=False)
class CellWalk:
    """What the order of cells says about each cell for R rows; all (R, C)."""

    gap_bin: Tensor  # long, how far along the walk
    reach_bin: Tensor  # long, offset from the last box
    built: Tensor  # float, 1 where a box stands
    closed: Tensor  # bool, may not be chosen


def walk_cells(
    *,
    cells: dict[str, Tensor],
    last: Tensor,
    last_box: Tensor,
    kind: Tensor,
    built: Tensor,
) -> CellWalk:
    """Describe every cell as seen from the last building.

    Args:
        cells: `rank`, `block`, `face` (R, C) long, `walk_m` (R, C), `open` (R, C) bool.
        last: Cell of the last building, -1 at the start, (R,).
        last_box: Cell of the last box, -1 at the start, (R,).
        kind: NEW or ANOTHER, (R,).
        built: (R, C) bool.
    """
    at = last.clamp(min=0)[:, None]
    rank, block, face = cells["rank"], cells["block"], cells["face"]
    same_block = block == block.gather(1, at)
    same_face = face == face.gather(1, at)
    ahead = cells["walk_m"] - cells["walk_m"].gather(1, at)
    near = torch.floor(ahead / 2).clamp(-16, 48).long() + 16  # 0 … 64
    near = near + (ahead > 128).long() + (ahead > 200).long()
    later = block - block.gather(1, at)
    elsewhere = torch.where(later < 0, 71, 67 + later.clamp(max=3))
    bins = torch.where(same_block, torch.where(same_face, near, 67), elsewhere)
    started = (last >= 0)[:, None]
    bins = torch.where(started, bins, GAP_BINS - 1)

    middle = torch.arange(CELLS * CELLS, device=last.device)
    box_at = last_box.clamp(min=0)[:, None]
    row = (middle // CELLS - box_at // CELLS).clamp(-REACH_CELLS, REACH_CELLS) + REACH_CELLS
    column = (middle % CELLS - box_at % CELLS).clamp(-REACH_CELLS, REACH_CELLS) + REACH_CELLS
    reach = torch.where(started, row * (2 * REACH_CELLS + 1) + column, 0)
    passed = started & (rank < rank.gather(1, at))
    closed = (kind == NEW)[:, None] & (passed | ~cells["open"])
    return CellWalk(bins, reach, built.float(), closed)


def cell_center(cell: Tensor) -> Tensor:
    """Middle of each cell (R,) in meters, (R, 2) as u, v."""
    size = WINDOW_M / CELLS
    return torch.stack([cell % CELLS + 0.5, cell // CELLS + 0.5], dim=-1) * size


def box_cell(boxes: Tensor) -> Tensor:
    """Cell that holds each box's center, (...)."""
    place = (boxes[..., :2] / (WINDOW_M / CELLS)).long().clamp(0, CELLS - 1)
    return place[..., 1] * CELLS + place[..., 0]


def offset_candidates(
    place: Place, box: Tensor, direction: Tensor, other: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Offsets of `box` along a direction that snap to a neighbor's edge or to the street line.

    Args:
        place: Where the box goes.
        box: The box as far as it is known, (R, 5).
        direction: Unit vector of the offset, (R, 2).
        other: Unit vector of the other axis, (R, 2).

    Returns:
        Values (R, OFFSET_KINDS * (K + 2)), kind by kind over neighbors and streets, which of them
        are usable, and what the head is told of each, (R, ..., 4).
    """
    half = half_extent(box, direction)
    edge = edge_candidates(place.boxes, box[:, :2], half, direction).transpose(1, 2)  # (R, 4, K)
    line, line_there, square = _street_lines(place, box, direction)
    # Neighbors and streets each have kinds that the other lacks.
    no_line, no_edge = line.new_zeros(len(line), 4, 2), torch.zeros_like(edge[:, :3])
    upper, lower = torch.cat([edge, no_line], 2), torch.cat([no_edge, line], 2)
    candidates = torch.cat([upper, lower], dim=1).flatten(1)
    edge_there = place.there[:, None].expand(-1, 4, -1)
    upper = torch.cat([edge_there, no_line > 0], dim=2)
    lower = torch.cat([no_edge > 0, line_there], dim=2)
    there = torch.cat([upper, lower], dim=1).flatten(1) & (candidates.abs() <= OFFSET.high)

    # Does the neighbor stand beside the box, seen along the offset?
    reach = half_extent(place.boxes, other[:, None]) + half_extent(box, other)[:, None]
    shift = ((place.boxes[..., :2] - box[:, None, :2]) * other[:, None]).sum(-1).abs()
    beside = ((shift - reach) / 8).clamp(-1, 2)  # (R, K), below zero: yes
    turned = (4 * (box[:, 4:] - place.boxes[..., 4])).cos()
    facing = torch.cat([turned, square], dim=1).repeat(1, OFFSET_KINDS)
    beside = torch.cat([beside, torch.zeros_like(square)], dim=1).repeat(1, OFFSET_KINDS)
    value = (candidates / 4).clamp(-2, 2)
    return candidates, there, torch.stack([value, value**2, facing, beside], dim=-1)


def _street_lines(place: Place, box: Tensor, direction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Offsets of `box` along a direction that set its front on the street line.

    Returns:
        (R, 3, 2) offsets for two neighbors' setbacks and for none, over two streets; whether each
        is usable; and how squarely the direction meets each street, (R, 2).
    """
    foot, normal, half_road = place.street[..., :2], place.street[..., 2:4], place.street[..., 4]
    cosine = (normal * direction[:, None]).sum(-1)  # (R, 2)
    stands = ((box[:, None, :2] - foot) * normal).sum(-1)
    stands = stands - half_extent(box[:, None], normal) - half_road  # setback without the offset
    wanted = torch.cat([place.setbacks, torch.zeros_like(place.setbacks[:, :1])], dim=1)  # (R, 3)
    square = (cosine.abs() > MIN_ALIGNED) & (place.street[..., 5] > 0)
    safe = torch.where(square, cosine, torch.ones_like(cosine))
    line = (wanted.nan_to_num(0.0)[:, :, None] - stands[:, None]) / safe[:, None]
    there = square[:, None] & ~wanted.isnan()[:, :, None]
    # Setbacks of neighbors belong to the nearest street only.
    there = torch.cat([there[:, :, :1], there[:, :, 1:] & (wanted[:, :, None] == 0)], dim=2)
    return line, there, cosine.abs()


def token_features(boxes: Tensor) -> Tensor:
    """(..., 8) to (..., TOKEN_FEATURES)."""
    angle, floors = boxes[..., 4], boxes[..., 5]
    known = ~floors.isnan()
    cell = (boxes[..., :2] / (WINDOW_M / CELLS)).frac() - 0.5
    parts = [
        boxes[..., 0] / 128 - 1,
        boxes[..., 1] / 128 - 1,
        cell[..., 0],
        cell[..., 1],
        boxes[..., 2].clamp(min=0.5).log() - 2.5,
        boxes[..., 3].clamp(min=0.5).log() - 2.5,
        (4 * angle).cos(),
        (4 * angle).sin(),
        angle * 1.27,
        floors.nan_to_num(0.0).clamp(max=20) / 5,
        known.float(),
        boxes[..., 6],
        boxes[..., 7],
    ]
    return torch.stack(parts, dim=-1)


def neighbor_features(near: Tensor, center: Tensor) -> Tensor:
    """(R, K, 10) to (R, K, NEIGHBOR_FEATURES), places relative to the cell."""
    offset = near[..., :2] - center[:, None]
    angle, floors = near[..., 4], near[..., 5]
    along, across = axes(angle)
    parts = [
        offset[..., 0] / 16,
        offset[..., 1] / 16,
        (offset * along).sum(-1) / 16,
        (offset * across).sum(-1) / 16,
        near[..., 2].clamp(min=0.5).log() - 2.5,
        near[..., 3].clamp(min=0.5).log() - 2.5,
        (4 * angle).cos(),
        (4 * angle).sin(),
        angle * 1.27,
        floors.nan_to_num(0.0).clamp(max=20) / 5,
        (~floors.isnan()).float(),
        near[..., 6],
        near[..., 7],
        near[..., 8],
        near[..., 9],
    ]
    return torch.stack(parts, dim=-1)


def street_features(street: Tensor, center: Tensor, setbacks: Tensor) -> Tensor:
    """(R, 2, 6) to (R, 2, 8): distance, direction, width, and the neighbors' setbacks."""
    offset = ((center[:, None] - street[..., :2]) * street[..., 2:4]).sum(-1) - street[..., 4]
    there = street[..., 5]
    backs = setbacks.nan_to_num(0.0)[:, None].expand(-1, 2, -1) / 8
    known = (~setbacks[:, :1].isnan()).float().expand(-1, 2)
    parts = [
        offset.clamp(-10, 60) / 16,
        street[..., 2],
        street[..., 3],
        street[..., 4] / 4,
        backs[..., 0],
        backs[..., 1],
        known,
        torch.ones_like(there),
    ]
    return torch.stack(parts, dim=-1) * there[..., None]


def angle_features(angle: Tensor) -> Tensor:
    """(R,) to (R, 3)."""
    return torch.stack([angle * 1.27, (4 * angle).cos(), (4 * angle).sin()], dim=-1)


def size_features(log_size: Tensor) -> Tensor:
    """(R,) to (R, 2)."""
    return torch.stack([log_size - 2.5, (log_size.exp() / 20).clamp(max=4)], dim=-1)


def mask_types(logits: Tensor, at_start: Tensor) -> Tensor:
    """Type logits (R, 3) without ANOTHER where no building was begun, (R,) bool."""
    another = torch.arange(3, device=logits.device) == ANOTHER
    return logits.masked_fill(at_start[:, None] & another, -1e9)


def floors_log_prob(weights: Tensor, neighbors: Tensor, target: Tensor) -> Tensor:
    """Log-probability of whole storeys: one class each, or the same as a neighbor, (R,)."""
    whole = target.round().clamp(1, FLOOR_CLASSES)
    own = weights.gather(1, whole.long()[:, None] - 1)
    same = neighbors.round().clamp(1, FLOOR_CLASSES) == whole[:, None]
    shared = weights[:, FLOOR_CLASSES:].masked_fill(~same, -torch.inf)
    return torch.cat([own, shared], dim=1).logsumexp(1) - weights.logsumexp(1)


def gather_near(batch: dict[str, Tensor], item: Tensor, at: Tensor, near: Tensor) -> Tensor:
    """Neighbors of R rows as the network takes them, (R, K, 10).

    Args:
        batch: With `context` (B, N, 6), `boxes` (B, 1 + L, 8) and `building` (B, 1 + L).
        item: Which item, (R,).
        at: Boxes placed before, (R,).
        near: Index into context followed by placed boxes, -1 none, (R, K).
    """
    standing = batch["context"].shape[1]
    pool = torch.cat([batch["context"], batch["boxes"][:, 1:, :6]], dim=1)
    index = near.clamp(min=0)
    rows = pool[item[:, None], index]  # (R, K, 6)
    placed = index >= standing
    own = (index - standing).clamp(min=0)  # order of the placed box
    current = batch["building"][item, at]  # building of the last box, -1 at the start
    same = placed & (batch["building"][item[:, None], own + 1] == current[:, None])
    age = torch.where(placed, ((at[:, None] - own) / 8).clamp(max=4.0), 4.0)
    flags = torch.stack([near >= 0, ~placed, same], dim=-1).float()
    return torch.cat([rows, flags, age[..., None]], dim=-1)
