"""Network of the buildings stage: a causal transformer over boxes, and its heads in turn.

Each step chooses type, cell, angle, width, depth, two offsets and floors. `attributes` walks
through the numbers of a box in one way for training (the choice is the truth) and for sampling
(the choice is drawn), so that both give the same probability to the same box.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fabricgen.generator.blocks import CELLS, GRID, WINDOW_M
from fabricgen.generator.boxes import axes, edge_candidates, half_extent, wrap_angle
from fabricgen.generator.buildings_scene import CHANNELS, GLOBALS, PROGRESS
from fabricgen.generator.encoder import RasterEncoder
from fabricgen.generator.snap import ANGLE, OFFSET, SIZE, SnapRange

NEW, ANOTHER, END = 0, 1, 2
FLOOR_CLASSES = 40
TOKEN_FEATURES = 13
NEIGHBOR_FEATURES = 15
PATCH_PX = 6  # condition pixels around a cell that a head sees in full
GAP_BINS = 73
REACH_CELLS = 8  # offsets from the last box told apart by the pointer
MIN_ALIGNED = 0.9  # cosine between a wall's normal and a street's for the street line to count

Choose = Callable[[str, SnapRange | None, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class BuildingsSettings:
    """Sizes of the buildings model."""

    width: int = 160  # of the sequence's transformer
    layers: int = 4
    heads: int = 5
    fine: int = 48  # channels of the fine map
    trunk: int = 128  # width of the encoder's attention
    head: int = 128  # width of the heads
    edge: int = 48  # width of a neighbor's features
    neighbors: int = 8
    max_boxes: int = 128
    max_context: int = 128
    ask_drop_share: float = 0.25  # each ask hidden
    all_drop_share: float = 0.1  # all asks hidden
    block_drop_share: float = 0.6  # coverage per block hidden
    keep_share: float = 0.2  # windows where some buildings of the site stand already


@dataclass(frozen=True, eq=False)
class Maps:
    """A batch of encoded sites; C = 1024 cells."""

    cells: Tensor  # (B, C, fine)
    keys: Tensor  # (B, C, head)
    coarse: Tensor  # (B, T, trunk)
    raster: Tensor  # (B, G + 4, G + 4, CHANNELS), padded


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


class SequenceBlock(nn.Module):
    """Causal self-attention, attention to the map if asked, and a two-layer network."""

    def __init__(self, width: int, heads: int, memory: int | None) -> None:
        super().__init__()
        self.heads = heads
        self.norm_self = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.has_memory = memory is not None
        if memory is not None:
            self.norm_cross = nn.LayerNorm(width)
            self.cross_query = nn.Linear(width, width)
            self.cross_kv = nn.Linear(memory, 2 * width)
            self.cross_out = nn.Linear(width, width)
        self.norm_mix = nn.LayerNorm(width)
        self.mix = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width))

    def remember(self, coarse: Tensor) -> Tensor | None:
        """Keys and values of the map, (2, B, heads, T, d)."""
        return self._split(self.cross_kv(coarse), 2) if self.has_memory else None

    def forward(
        self, tokens: Tensor, memory: Tensor | None, past: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Tokens (B, T, width) after `past` keys and values; returns tokens and all of them."""
        query, key, value = self._split(self.qkv(self.norm_self(tokens)), 3)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=past is None)
        tokens = tokens + self.out(_merge(seen))
        if memory is not None:
            query = self._split(self.cross_query(self.norm_cross(tokens)), 1)[0]
            seen = F.scaled_dot_product_attention(query, memory[0], memory[1])
            tokens = tokens + self.cross_out(_merge(seen))
        return tokens + self.mix(self.norm_mix(tokens)), torch.stack([key, value])

    def _split(self, packed: Tensor, parts: int) -> Tensor:
        batch, count, _ = packed.shape
        return packed.view(batch, count, parts, self.heads, -1).permute(2, 0, 3, 1, 4)


class SnapHead(nn.Module):
    """Weights of bins and of candidates, given the state of a place."""

    def __init__(self, state: int, edge: int, *, bins: int, kinds: int, scalars: int) -> None:
        super().__init__()
        self.bins = nn.Sequential(nn.Linear(state, state), nn.SiLU(), nn.Linear(state, bins))
        self.query = nn.Linear(state, edge)
        self.kinds = nn.Parameter(torch.randn(kinds, edge) * 0.1)
        self.scalars = nn.Linear(scalars, edge)
        self.weight = nn.Linear(edge, 1)

    def forward(self, state: Tensor, edges: Tensor, scalars: Tensor, there: Tensor) -> Tensor:
        """Logits (R, bins + K) of states (R, S), edges (R, n, E), scalars (R, K, s).

        K is a multiple of n: kind by kind over the edges; `there` (R, K) marks usable candidates.
        """
        rows, count, _ = edges.shape
        kinds = scalars.shape[1] // count
        near = (edges + self.query(state)[:, None])[:, None] + self.kinds[:kinds, None]
        near = near.reshape(rows, kinds * count, -1) + self.scalars(scalars)
        weight = self.weight(F.relu(near))[..., 0]  # (R, K)
        return torch.cat([self.bins(state), weight.masked_fill(~there, -torch.inf)], dim=1)


class BuildingsModel(nn.Module):
    """Boxes one after the other on given streets."""

    def __init__(self, settings: BuildingsSettings) -> None:
        super().__init__()
        s = settings
        self.settings = s
        self.encoder = RasterEncoder(
            CHANNELS, GLOBALS, grid=GRID, fine=s.fine, width=s.trunk
        )
        self.keys = nn.Linear(s.fine, s.head)
        self.token = nn.Linear(TOKEN_FEATURES + PROGRESS + s.fine, s.width)
        self.overall = nn.Linear(GLOBALS, s.width)
        self.blocks = nn.ModuleList(
            SequenceBlock(s.width, s.heads, s.trunk if layer % 2 == 0 else None)
            for layer in range(s.layers)
        )
        self.norm = nn.LayerNorm(s.width)
        self.type_head = nn.Sequential(nn.Linear(s.width, s.head), nn.SiLU(), nn.Linear(s.head, 3))
        self.type_code = nn.Embedding(2, s.width)
        self.query = nn.Sequential(nn.Linear(s.width, s.head), nn.SiLU())
        self.key_query = nn.Linear(s.head, s.head)
        self.gap = nn.Linear(s.head, GAP_BINS)
        self.reach = nn.Linear(s.head, (2 * REACH_CELLS + 1) ** 2)
        self.built = nn.Linear(s.head, 1)

        self.edge = nn.Sequential(
            nn.Linear(NEIGHBOR_FEATURES, s.edge), nn.SiLU(), nn.Linear(s.edge, s.edge)
        )
        self.street_edge = nn.Linear(8, s.edge)
        self.patch = nn.Linear(CHANNELS * PATCH_PX**2, s.head)
        self.around = nn.Linear((s.neighbors + 2) * s.edge + s.width + s.fine, s.head)
        self.place = nn.Sequential(
            nn.SiLU(), nn.Linear(s.head, 2 * s.head), nn.SiLU(), nn.Linear(2 * s.head, s.head)
        )
        self.heads = nn.ModuleDict(
            {
                "angle": SnapHead(s.head, s.edge, bins=ANGLE.bins, kinds=1, scalars=1),
                "width": SnapHead(s.head, s.edge, bins=SIZE.bins, kinds=2, scalars=2),
                "depth": SnapHead(s.head, s.edge, bins=SIZE.bins, kinds=2, scalars=2),
                "along": SnapHead(s.head, s.edge, bins=OFFSET.bins, kinds=7, scalars=4),
                "across": SnapHead(s.head, s.edge, bins=OFFSET.bins, kinds=7, scalars=4),
                "floors": SnapHead(s.head, s.edge, bins=FLOOR_CLASSES, kinds=1, scalars=1),
            }
        )
        self.told = nn.ModuleDict(
            {
                "angle": nn.Linear(3, s.head),
                "width": nn.Linear(2, s.head),
                "depth": nn.Linear(2, s.head),
                "along": nn.Linear(1, s.head),
                "across": nn.Linear(1, s.head),
            }
        )

    def encode(self, raster: Tensor, overall: Tensor) -> Maps:
        """Feature maps of raster (B, CHANNELS, G, G) and overall conditions (B, GLOBALS)."""
        fine, coarse = self.encoder(raster, overall)
        cells = fine.flatten(2).transpose(1, 2)  # (B, C, fine)
        rim = (PATCH_PX - GRID // CELLS) // 2
        padded = F.pad(raster, (rim, rim, rim, rim)).permute(0, 2, 3, 1).contiguous()
        return Maps(cells, self.keys(cells), coarse, padded)

    def read(
        self,
        maps: Maps,
        overall: Tensor,
        boxes: Tensor,
        account: Tensor,
        past: list[Tensor] | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """States (B, T, width) after each token, and the keys and values for the next call.

        Args:
            maps: Encoded sites.
            overall: (B, GLOBALS).
            boxes: The box that each token reports, (B, T, 8): geometry, floors, new building, there.
            account: Running account, (B, T, PROGRESS).
            past: What the last call returned, when tokens are read one by one.
        """
        index = box_cell(boxes)[..., None].expand(-1, -1, maps.cells.shape[-1])
        there = boxes[..., 7:]
        seen = maps.cells.gather(1, index) * there
        tokens = self.token(torch.cat([_token_features(boxes) * there, account, seen], dim=-1))
        tokens = tokens + self.overall(overall)[:, None]
        kept = []
        for layer, block in enumerate(self.blocks):
            tokens, pair = block(
                tokens, block.remember(maps.coarse), None if past is None else past[layer]
            )
            kept.append(pair)
        return self.norm(tokens), kept

    def cell_logits(
        self, maps: Maps, state: Tensor, kind: Tensor, item: Tensor, walk: "CellWalk"
    ) -> Tensor:
        """Logits of the cell of the next box, (R, C).

        Args:
            maps: Encoded sites.
            state: (R, width).
            kind: NEW or ANOTHER, (R,).
            item: Which site of the batch, sorted, (R,).
            walk: What the order says about each cell.
        """
        hidden = self.query(state + self.type_code(kind))  # (R, head)
        query = self.key_query(hidden)
        counts = torch.bincount(item, minlength=len(maps.keys)).tolist()
        scores = torch.cat(
            [part @ keys.T for part, keys in zip(query.split(counts), maps.keys, strict=True)]
        )
        scores = scores / query.shape[1] ** 0.5
        scores = scores + self.gap(hidden).gather(1, walk.gap_bin)
        scores = scores + self.reach(hidden).gather(1, walk.reach_bin)
        scores = scores + self.built(hidden) * walk.built
        return scores.masked_fill(walk.closed, -1e9)

    def look(
        self,
        maps: Maps,
        state: Tensor,
        kind: Tensor,
        item: Tensor,
        cell: Tensor,
        near: Tensor,
        street: Tensor,
        setbacks: Tensor,
    ) -> Place:
        """Gather what stands around chosen cells.

        Args:
            maps: Encoded sites.
            state: (R, width).
            kind: NEW or ANOTHER, (R,).
            item: Which site of the batch, (R,).
            cell: (R,).
            near: Neighbors, (R, K, 10): geometry, floors, there, standing, same building, age.
            street: (R, 2, 6).
            setbacks: (R, 2).
        """
        center = cell_center(cell)
        there = near[..., 6] > 0
        edges = self.edge(_neighbor_features(near, center)) * there[..., None]
        street_edges = self.street_edge(_street_features(street, center, setbacks))
        row, column = cell // CELLS * 2, cell % CELLS * 2
        span = torch.arange(PATCH_PX, device=cell.device)
        patch = maps.raster[
            item[:, None, None], (row[:, None] + span)[:, :, None], (column[:, None] + span)[:, None]
        ]  # (R, 6, 6, CHANNELS)
        around = torch.cat(
            [
                edges.flatten(1),
                street_edges.flatten(1),
                state + self.type_code(kind),
                maps.cells[item, cell],
            ],
            dim=1,
        )
        mixed = self.around(around) + self.patch(patch.flatten(1))
        return Place(
            center=center,
            state=self.place(mixed) + mixed,
            boxes=near[..., :5],
            floors=near[..., 5],
            there=there,
            edges=edges,
            street=street,
            street_edges=street_edges,
            setbacks=setbacks,
        )

    def attributes(self, place: Place, choose: Choose) -> Tensor:
        """Go through the numbers of a box in turn.

        Args:
            place: Where it goes.
            choose: Called with name, range (None for floors), logits and candidates; returns the
                number, (R,).

        Returns:
            Geometry and floors, (R, 6).
        """
        state, side = place.state, place.edges
        angle = choose("angle", ANGLE, *self._angle(place, state))
        state = state + self.told["angle"](_angle_features(angle))
        along, across = axes(angle)
        turned = (4 * (angle[:, None] - place.boxes[..., 4])).cos()  # (R, K)

        # Sizes, as logarithms.
        sizes = place.boxes[..., 2:4].clamp(min=0.5).log().transpose(1, 2).flatten(1)  # (R, 2K)
        twice = place.there.repeat(1, 2)
        scalars = torch.stack([sizes - 2.5, turned.repeat(1, 2)], dim=-1)
        log_width = choose("width", SIZE, self.heads["width"](state, side, scalars, twice), sizes)
        state = state + self.told["width"](_size_features(log_width))
        scalars = torch.stack([sizes - log_width[:, None], turned.repeat(1, 2)], dim=-1)
        log_depth = choose("depth", SIZE, self.heads["depth"](state, side, scalars, twice), sizes)
        state = state + self.told["depth"](_size_features(log_depth))

        # Offsets from the middle of the cell, first along the width, then along the depth.
        size = torch.stack([log_width, log_depth], dim=1).exp()
        box = torch.cat([place.center, size, angle[:, None]], dim=1)  # (R, 5)
        parts = self._offset(place, state, box, (along, across), turned, name="along")
        first = choose("along", OFFSET, *parts)
        state = state + self.told["along"](first[:, None] / 4)
        box = torch.cat([place.center + first[:, None] * along, size, angle[:, None]], dim=1)
        parts = self._offset(place, state, box, (across, along), turned, name="across")
        second = choose("across", OFFSET, *parts)
        state = state + self.told["across"](second[:, None] / 4)

        known = place.there & ~place.floors.isnan()
        storeys = place.floors.nan_to_num(1.0)
        logits = self.heads["floors"](state, side, storeys[..., None] / 5, known)
        floors = choose("floors", None, logits, storeys)
        center = box[:, :2] + second[:, None] * across
        return torch.cat([center, size, angle[:, None], floors[:, None]], dim=1)

    def _angle(self, place: Place, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and candidates: angles of neighbors and of the streets."""
        street = wrap_angle(torch.atan2(place.street[..., 3], place.street[..., 2]))  # (R, 2)
        candidates = torch.cat([place.boxes[..., 4], street], dim=1)
        there = torch.cat([place.there, place.street[..., 5] > 0], dim=1)
        edges = torch.cat([place.edges, place.street_edges], dim=1)
        return self.heads["angle"](state, edges, candidates[..., None] * 1.27, there), candidates

    def _offset(
        self,
        place: Place,
        state: Tensor,
        box: Tensor,
        directions: tuple[Tensor, Tensor],
        turned: Tensor,
        *,
        name: str,
    ) -> tuple[Tensor, Tensor]:
        """Logits and candidates of an offset of `box` along the first of two directions."""
        direction, other = directions
        half = half_extent(box, direction)
        edge = edge_candidates(place.boxes, box[:, :2], half, direction)  # (R, K, 4)
        reach = half_extent(place.boxes, other[:, None]) + half_extent(box, other)[:, None]
        shift = ((place.boxes[..., :2] - box[:, None, :2]) * other[:, None]).sum(-1).abs()
        beside = ((shift - reach) / 8).clamp(-1, 2)  # (R, K), below zero: side by side
        line, line_there, line_turned = _street_lines(place, box, direction)
        # Kind by kind over neighbors and streets; each has kinds that only the other uses.
        pad = line.new_zeros(len(line), 4, 2)
        wide = torch.cat([edge.transpose(1, 2), pad], dim=2)  # (R, 4, K + 2)
        low = torch.cat([edge.new_zeros(len(edge), 3, edge.shape[1]), line], dim=2)
        candidates = torch.cat([wide, low], dim=1).flatten(1)
        edge_there = place.there[:, None].expand(-1, 4, -1)
        there = torch.cat(
            [
                torch.cat([edge_there, torch.zeros_like(pad, dtype=torch.bool)], dim=2),
                torch.cat([torch.zeros_like(edge_there[:, :3]), line_there], dim=2),
            ],
            dim=1,
        ).flatten(1)
        there = there & (candidates.abs() <= OFFSET.high)
        facing = torch.cat([turned, line_turned], dim=1).repeat(1, 7)
        gap = torch.cat([beside, torch.zeros_like(line_turned)], dim=1).repeat(1, 7)
        value = (candidates / 4).clamp(-2, 2)
        scalars = torch.stack([value, value**2, facing, gap], dim=-1)
        edges = torch.cat([place.edges, place.street_edges], dim=1)
        return self.heads[name](state, edges, scalars, there), candidates


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


def _token_features(boxes: Tensor) -> Tensor:
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


def _neighbor_features(near: Tensor, center: Tensor) -> Tensor:
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


def _street_features(street: Tensor, center: Tensor, setbacks: Tensor) -> Tensor:
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


def _angle_features(angle: Tensor) -> Tensor:
    return torch.stack([angle * 1.27, (4 * angle).cos(), (4 * angle).sin()], dim=-1)


def _size_features(log_size: Tensor) -> Tensor:
    return torch.stack([log_size - 2.5, (log_size.exp() / 20).clamp(max=4)], dim=-1)


def _merge(heads: Tensor) -> Tensor:
    return heads.transpose(1, 2).flatten(2)
