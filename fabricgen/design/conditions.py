"""What the generator is told about a site: the city around, cut free of what the site holds."""

from __future__ import annotations

import numpy as np
import shapely
import torch
from torch import Tensor

from fabricgen.design.brief import Brief
from fabricgen.design.site import Site
from fabricgen.generator.conditions import Boxes, Conditions, Segments
from fabricgen.layout import Layout, from_labels
from fabricgen.plan import site_mask
from fabricgen.surfaces import BIT, OPEN, WATER
from fabricgen.vectorize.drawing import to_frame


def conditions_of(site: Site, brief: Brief, batch: int, *, keep_streets: bool) -> Conditions:
    """What the generator is told about a site: the city around, cut free of what the site holds."""
    window, editable = site.window, torch.from_numpy(site.editable)[None]
    around = surroundings_of(site)
    # Water lies where it lay: nobody fills a river, and left alone the model digs ponds in one
    # site of six, where one real site of a hundred has any.
    wet = around.allowed == BIT[WATER]
    ours = torch.where(wet, BIT[WATER], OPEN & ~BIT[WATER]).to(around.allowed.dtype)
    labels = torch.where(editable, ours, around.allowed)
    known = around.height_known & ~editable
    context = from_labels(labels, around.height_m, known, site.frame.pixel_m)
    context = Layout(*(_repeat(x, batch) for x in _fields(context)), pixel_m=context.pixel_m)
    outside = [box for box in window.boxes if not _in_site(site, box[0], box[1])]
    boxes = np.array(outside, dtype=np.float32).reshape(-1, 7)
    segments = window.segments if keep_streets else cut_streets(window.segments, site)
    return Conditions(
        context=context,
        editable=_repeat(editable, batch),
        asks=brief.targets().expand(batch, -1).clone(),
        north_deg=torch.full((batch,), float(window.north_deg)),
        boxes=Boxes.from_arrays([boxes] * batch),
        segments=Segments.from_arrays([segments] * batch),
        buildable=None if site.no_build.is_empty else _repeat(_buildable(site), batch),
    )


def _buildable(site: Site) -> Tensor:
    """Pixels of the site on which houses may stand, (1, rows, cols) bool."""
    zones = site_mask(site.no_build, site.frame)
    return (torch.from_numpy(site.editable) & ~zones)[None]


def _fields(layout: Layout) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return layout.cover, layout.height_m, layout.allowed, layout.height_known


def _repeat(x: Tensor, batch: int) -> Tensor:
    return x.expand(batch, *x.shape[1:]).contiguous()


def _in_site(site: Site, u: float, v: float) -> bool:
    row, col = int(v / site.frame.pixel_m), int(u / site.frame.pixel_m)
    rows, cols = site.editable.shape
    return 0 <= row < rows and 0 <= col < cols and bool(site.editable[row, col])


def cut_streets(segments: np.ndarray, site: Site) -> np.ndarray:
    """Street pieces without the parts that lie on the site, (M, 6)."""
    flat = to_frame(site.boundary, site.frame)
    left = []
    for row in segments:
        line = shapely.LineString(row[:4].reshape(2, 2)).difference(flat)
        for part in shapely.get_parts(line):
            xy = shapely.get_coordinates(part)
            if len(xy) >= 2 and part.length > 0.1:  # dust at the site's edge
                left.append([*xy[0], *xy[-1], row[4], row[5]])
    return np.array(left, dtype=np.float32).reshape(-1, 6)


def surroundings_of(site: Site) -> Layout:
    """What stands around a site as a layout, (1, 8, rows, cols)."""
    labels = torch.from_numpy(np.array(site.window.labels))[None]
    height = torch.from_numpy(site.window.height_dm.astype(np.float32) / 10)[None]
    return from_labels(labels, height, height > 0, site.frame.pixel_m)
