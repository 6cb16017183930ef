"""Network of the buildings stage: a causal transformer over boxes, and its heads in turn.

Each step chooses type, cell, angle, width, depth, two offsets and floors. `attributes` walks
through the numbers of a box in one way for training (the choice is the truth) and for sampling
(the choice is drawn), so that both give the same probability to the same box.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from fabricgen.generator.blocks import CELLS, GRID
from fabricgen.generator.boxes import axes, wrap_angle
from fabricgen.generator.buildings_features import (
    FLOOR_CLASSES,
    GAP_BINS,
    NEIGHBOR_FEATURES,
    OFFSET_KINDS,
    REACH_CELLS,
    STREET_FEATURES,
    TOKEN_FEATURES,
    CellWalk,
    Place,
    angle_features,
    box_cell,
    cell_center,
    neighbor_features,
    offset_candidates,
    size_features,
    street_features,
    token_features,
)
from fabricgen.generator.buildings_raster import CHANNELS
from fabricgen.generator.buildings_scene import GLOBALS, PROGRESS
from fabricgen.generator.encoder import RasterEncoder
from fabricgen.generator.sequence import SequenceBlock
from fabricgen.generator.snap import ANGLE, OFFSET, SIZE, SnapHead, SnapRange

PATCH_PX = 6  # condition pixels around a cell that a head sees in full

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
    memory: tuple[Tensor | None, ...]  # keys and values of the coarse map for each layer
    raster: Tensor  # (B, G + 4, G + 4, CHANNELS), padded


class BuildingsModel(nn.Module):
    """Boxes one after the other on given streets."""

    def __init__(self, settings: BuildingsSettings) -> None:
        super().__init__()
        s = settings
        self.settings = s
        self.encoder = RasterEncoder(CHANNELS, GLOBALS, grid=GRID, fine=s.fine, width=s.trunk)
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
        self.street_edge = nn.Linear(STREET_FEATURES, s.edge)
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
                "along": SnapHead(s.head, s.edge, bins=OFFSET.bins, kinds=OFFSET_KINDS, scalars=4),
                "across": SnapHead(s.head, s.edge, bins=OFFSET.bins, kinds=OFFSET_KINDS, scalars=4),
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
        padded = functional.pad(raster, (rim, rim, rim, rim)).permute(0, 2, 3, 1).contiguous()
        memory = tuple(block.remember(coarse) for block in self.blocks)
        return Maps(cells, self.keys(cells), memory, padded)

    def read(
        self,
        maps: Maps,
        overall: Tensor,
        boxes: Tensor,
        account: Tensor,
        past: list[Tensor] | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """States (B, T, width) after each token, with keys and values for the next call.

        Args:
            maps: Encoded sites.
            overall: (B, GLOBALS).
            boxes: The box that each token reports, (B, T, 8): geometry, floors, new, there.
            account: Running account, (B, T, PROGRESS).
            past: What the last call returned, when tokens are read one by one.
        """
        index = box_cell(boxes)[..., None].expand(-1, -1, maps.cells.shape[-1])
        there = boxes[..., 7:]
        seen = maps.cells.gather(1, index) * there
        tokens = self.token(torch.cat([token_features(boxes) * there, account, seen], dim=-1))
        tokens = tokens + self.overall(overall)[:, None]
        kept = []
        for layer, block in enumerate(self.blocks):
            before = None if past is None else past[layer]
            tokens, pair = block(tokens, maps.memory[layer], before)
            kept.append(pair)
        return self.norm(tokens), kept

    def cell_logits(
        self, maps: Maps, state: Tensor, kind: Tensor, item: Tensor, walk: CellWalk
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
        edges = self.edge(neighbor_features(near, center)) * there[..., None]
        street_edges = self.street_edge(street_features(street, center, setbacks))
        row, column = cell // CELLS * 2, cell % CELLS * 2
        span = torch.arange(PATCH_PX, device=cell.device)
        patch = maps.raster[
            item[:, None, None],
            (row[:, None] + span)[:, :, None],
            (column[:, None] + span)[:, None],
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

    def attributes(self, place: Place, choose: Choose, *, offsets: int = 1) -> Tensor:
        """Go through the numbers of a box in turn.

        Args:
            place: Where it goes.
            choose: Called with name, range (None for floors), logits and candidates; returns the
                number, (R,), or (R * offsets,) from the offsets on.
            offsets: How many places each box of a size is tried at.

        Returns:
            Geometry and floors, (R * offsets, 6), those of a size in a row.
        """
        state, side = place.state, place.edges
        angle = choose("angle", ANGLE, *self._angle(place, state))
        state = state + self.told["angle"](angle_features(angle))
        along, across = axes(angle)
        turned = (4 * (angle[:, None] - place.boxes[..., 4])).cos()  # (R, K)

        # Sizes, as logarithms.
        sizes = place.boxes[..., 2:4].clamp(min=0.5).log().transpose(1, 2).flatten(1)  # (R, 2K)
        twice, facing = place.there.repeat(1, 2), turned.repeat(1, 2)
        drawn = [torch.full_like(angle, 2.5)]  # a neighbor's size is told relative to the last
        for name in ("width", "depth"):
            scalars = torch.stack([sizes - drawn[-1][:, None], facing], dim=-1)
            logits = self.heads[name](state, side, scalars, twice)
            drawn.append(choose(name, SIZE, logits, sizes))
            state = state + self.told[name](size_features(drawn[-1]))
        size = torch.stack(drawn[1:], dim=1).exp()

        # What is known so far holds for all places that the box is tried at.
        if offsets > 1:
            place, known = place.repeat(offsets), (state, size, angle, along, across)
            state, size, angle, along, across = (
                each.repeat_interleave(offsets, dim=0) for each in known
            )
            side = place.edges

        # Offsets from the middle of the cell, first along the width, then along the depth.
        box = torch.cat([place.center, size, angle[:, None]], dim=1)  # (R, 5)
        for name, direction, other in (("along", along, across), ("across", across, along)):
            values, there, scalars = offset_candidates(place, box, direction, other)
            both = torch.cat([side, place.street_edges], dim=1)
            offset = choose(name, OFFSET, self.heads[name](state, both, scalars, there), values)
            state = state + self.told[name](offset[:, None] / 4)
            box = torch.cat([box[:, :2] + offset[:, None] * direction, box[:, 2:]], dim=1)

        known = place.there & ~place.floors.isnan()
        storeys = place.floors.nan_to_num(1.0)
        logits = self.heads["floors"](state, side, storeys[..., None] / 5, known)
        floors = choose("floors", None, logits, storeys)
        return torch.cat([box, floors[:, None]], dim=1)

    def _angle(self, place: Place, state: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and candidates: angles of neighbors and of the streets."""
        street = wrap_angle(torch.atan2(place.street[..., 3], place.street[..., 2]))  # (R, 2)
        candidates = torch.cat([place.boxes[..., 4], street], dim=1)
        there = torch.cat([place.there, place.street[..., 5] > 0], dim=1)
        edges = torch.cat([place.edges, place.street_edges], dim=1)
        return self.heads["angle"](state, edges, candidates[..., None] * 1.27, there), candidates
