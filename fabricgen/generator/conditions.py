"""What the three stages are told, and what they hand over: plain batched arrays.

All lengths are meters in frame coordinates (u to the right, v down, from the frame's outer
top-left corner); angles are radians turning from u toward v.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from fabricgen.form.indicators import BRIEF_KEYS
from fabricgen.layout import Layout

WINDOW_PX = 128  # a window is 128 x 128 pixels of 2 m
PIXEL_M = 2.0


@dataclass(frozen=True, eq=False)
class SiteSample:
    """One real window with a site cut into it, as training sees it."""

    labels: np.ndarray  # (H, W) uint8, surfaces that the sources allow; 0: no data
    height_m: np.ndarray  # (H, W) float32
    height_known: np.ndarray  # (H, W) bool
    boxes: np.ndarray  # (N, 7) float32: u, v, width, depth, angle, floors (NaN unknown), building
    segments: np.ndarray  # (M, 6) float32: u0, v0, u1, v1, width, kind
    editable: np.ndarray  # (H, W) bool, the site
    asks: np.ndarray  # (K,) float32 in the order of BRIEF_KEYS, measured on the site, NaN unknown
    north_deg: float  # the window's up, clockwise from north


@dataclass(frozen=True, eq=False)
class Boxes:
    """Buildings as oriented boxes, padded to N."""

    geometry: Tensor  # (B, N, 5) center u, v, width, depth, angle
    floors: Tensor  # (B, N) storeys, NaN where unknown
    building: Tensor  # (B, N) long; boxes of one building share it
    valid: Tensor  # (B, N) bool

    @staticmethod
    def empty(batch: int, device: torch.device | str = "cpu") -> "Boxes":
        """No boxes at all, (B, 0)."""
        return Boxes(
            torch.zeros(batch, 0, 5, device=device),
            torch.zeros(batch, 0, device=device),
            torch.zeros(batch, 0, dtype=torch.long, device=device),
            torch.zeros(batch, 0, dtype=torch.bool, device=device),
        )

    @staticmethod
    def from_arrays(arrays: list[np.ndarray]) -> "Boxes":
        """Pad arrays of (N_i, 7) store rows into one batch."""
        rows, valid = _pad(arrays, 7)
        return Boxes(rows[..., :5], rows[..., 5], rows[..., 6].long(), valid)

    def to_arrays(self) -> list[np.ndarray]:
        """The valid rows of each item as (N_i, 7) store rows."""
        rows = torch.cat(
            [self.geometry, self.floors[..., None], self.building[..., None].float()], dim=-1
        )
        return _unpad(rows, self.valid)


@dataclass(frozen=True, eq=False)
class Segments:
    """Straight pieces of street center lines, padded to M."""

    ends: Tensor  # (B, M, 4) u0, v0, u1, v1
    width_m: Tensor  # (B, M)
    kind: Tensor  # (B, M) long, index into ROAD_KINDS
    valid: Tensor  # (B, M) bool

    @staticmethod
    def empty(batch: int, device: torch.device | str = "cpu") -> "Segments":
        """No segments at all, (B, 0)."""
        return Segments(
            torch.zeros(batch, 0, 4, device=device),
            torch.zeros(batch, 0, device=device),
            torch.zeros(batch, 0, dtype=torch.long, device=device),
            torch.zeros(batch, 0, dtype=torch.bool, device=device),
        )

    @staticmethod
    def from_arrays(arrays: list[np.ndarray]) -> "Segments":
        """Pad arrays of (M_i, 6) store rows into one batch."""
        rows, valid = _pad(arrays, 6)
        return Segments(rows[..., :4], rows[..., 4], rows[..., 5].long(), valid)

    def to_arrays(self) -> list[np.ndarray]:
        """The valid rows of each item as (M_i, 6) store rows."""
        rows = torch.cat([self.ends, self.width_m[..., None], self.kind[..., None].float()], dim=-1)
        return _unpad(rows, self.valid)


@dataclass(frozen=True, eq=False)
class Conditions:
    """What a proposal is asked to respect."""

    context: Layout  # (B, 8, H, W) what stands around the site, and on it where it must stay
    editable: Tensor  # (B, H, W) bool, the site
    asks: Tensor  # (B, K) in the order of BRIEF_KEYS, NaN = free
    north_deg: Tensor  # (B,) the frame's up, clockwise from north
    boxes: Boxes  # buildings of the context
    segments: Segments  # streets of the context, cut at the site's edge
    buildable: Tensor | None = None  # (B, H, W) bool, where houses may stand; None: on all the site

    def with_segments(self, segments: Segments) -> "Conditions":
        """The same with other streets, say those of the context and the proposed ones."""
        return replace(self, segments=segments)

    def first(self, count: int) -> "Conditions":
        """Those of the first items alone."""
        c, b, s = self.context, self.boxes, self.segments
        layers = (c.cover, c.height_m, c.allowed, c.height_known)
        return Conditions(
            Layout(*(x[:count] for x in layers), c.pixel_m),
            self.editable[:count],
            self.asks[:count],
            self.north_deg[:count],
            Boxes(*(x[:count] for x in vars(b).values())),
            Segments(*(x[:count] for x in vars(s).values())),
            None if self.buildable is None else self.buildable[:count],
        )


@dataclass(frozen=True, eq=False)
class Proposal:
    """A layout as the cascade drew it."""

    streets: Segments  # new streets on the site only
    boxes: Boxes  # new buildings on the site only
    ground: Tensor  # (B, 8, H, W) log-probabilities of the surface of each ground pixel


def join_segments(first: Segments, second: Segments) -> Segments:
    """Both sets in one batch."""
    return Segments(
        torch.cat([first.ends, second.ends], dim=1),
        torch.cat([first.width_m, second.width_m], dim=1),
        torch.cat([first.kind, second.kind], dim=1),
        torch.cat([first.valid, second.valid], dim=1),
    )


def packed(boxes: Boxes) -> Boxes:
    """The same boxes without room for those that are not valid, order kept."""
    order = (~boxes.valid).long().argsort(dim=1, stable=True)[:, : int(boxes.valid.sum(1).max())]
    return Boxes(
        boxes.geometry.gather(1, order[..., None].expand(-1, -1, 5)),
        boxes.floors.gather(1, order),
        boxes.building.gather(1, order),
        boxes.valid.gather(1, order),
    )


def join_boxes(first: Boxes, second: Boxes) -> Boxes:
    """Both sets in one batch; building numbers of the second follow those of the first."""
    shift = first.building.amax(dim=1, keepdim=True) + 1 if first.building.shape[1] else 0
    return Boxes(
        torch.cat([first.geometry, second.geometry], dim=1),
        torch.cat([first.floors, second.floors], dim=1),
        torch.cat([first.building, second.building + shift], dim=1),
        torch.cat([first.valid, second.valid], dim=1),
    )


def _unpad(rows: Tensor, valid: Tensor) -> list[np.ndarray]:
    rows = rows.detach().cpu()
    return [item[keep].numpy() for item, keep in zip(rows, valid.cpu(), strict=True)]


def _pad(arrays: list[np.ndarray], columns: int) -> tuple[Tensor, Tensor]:
    longest = max((len(rows) for rows in arrays), default=0)
    padded = torch.zeros(len(arrays), longest, columns)
    valid = torch.zeros(len(arrays), longest, dtype=torch.bool)
    for item, rows in enumerate(arrays):
        padded[item, : len(rows)] = torch.as_tensor(np.asarray(rows, dtype=np.float32))
        valid[item, : len(rows)] = True
    return padded, valid


ASKS = len(BRIEF_KEYS)
