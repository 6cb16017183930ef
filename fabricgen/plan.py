"""The contract, vector form: a site and six layers that open in any GIS, and how they are drawn.

A `Plan` is what a designer edits and what is scored: `rasterize` draws it to a `Layout`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
import torch
from pyproj import CRS
from rasterio import features
from shapely.geometry.base import BaseGeometry

from fabricgen.errors import PlanError
from fabricgen.layout import Frame, Layout, check
from fabricgen.surfaces import (
    BARE,
    BIT,
    BUILDING,
    GRASS,
    PATH,
    PAVED,
    ROAD,
    ROAD_KINDS,
    SHRUB,
    TREE,
    WATER,
)

LAYERS: dict[str, tuple[str, ...]] = {
    "buildings": ("id", "source", "height_m", "floors", "use", "footprint_m2"),
    "roads": ("id", "source", "kind", "width_m"),
    "paved": ("id", "source", "kind"),
    "water": ("id", "source", "kind"),
    "green": ("id", "source", "kind"),
    "trees": ("id", "source", "crown_m", "height_m"),
}
TEXT_COLUMNS = ("id", "source", "use", "kind")
GREEN_KINDS = {"grass": GRASS, "shrub": SHRUB, "tree": TREE}
OVERLAP_M2 = 0.01  # floating point dust between neighbors
CROWN_M = 6.0  # crown of a tree that does not say
# Samples along a pixel's edge. Odd: a wall along the grid never takes exactly half of a pixel,
# which hardening would always build.
SUBPIXELS = 5
# Of a sample, added to every position: where walls run through samples, as those at half pixels do,
# rounding errors would decide. So moved, both walls of a house give way alike: it keeps its area.
HAIR = 1e-3

Shape = tuple[BaseGeometry, int, float]  # geometry in the CRS, allowed bits, height_m or NaN


@dataclass(frozen=True, eq=False)
class Plan:
    """One design on one site. What no layer covers is bare ground.

    Attributes:
        site: Polygon or MultiPolygon.
        crs: A projected CRS in meters.
        buildings: Polygons; height_m, floors, use, footprint_m2.
        roads: Center lines; kind of `ROAD_KINDS`, width_m.
        paved: Polygons; kind.
        water: Polygons; kind.
        green: Disjoint polygons as seen from above; kind grass, shrub or tree (canopy).
        trees: Stems; crown_m, height_m. A stem inside a tree polygon is part of that canopy.
    """

    site: BaseGeometry
    crs: str
    buildings: gpd.GeoDataFrame
    roads: gpd.GeoDataFrame
    paved: gpd.GeoDataFrame
    water: gpd.GeoDataFrame
    green: gpd.GeoDataFrame
    trees: gpd.GeoDataFrame

    @cached_property
    def road_shapes(self) -> np.ndarray:
        """`road_polygons` of all roads."""
        return road_polygons(self.roads)

    @cached_property
    def carriageways(self) -> BaseGeometry:
        """Ground under roads but foot and cycle ways, inside the site."""
        return _ground_under(self, self.roads["kind"].to_numpy() != ROAD_KINDS[PATH])

    @cached_property
    def ways(self) -> BaseGeometry:
        """Ground under foot and cycle ways, inside the site; carriageways may cross them."""
        return _ground_under(self, self.roads["kind"].to_numpy() == ROAD_KINDS[PATH])


def layer(name: str, crs: str, rows: Iterable[dict[str, Any]] = ()) -> gpd.GeoDataFrame:
    """A layer with its columns, from records that hold `geometry`; also when there are none."""
    rows = list(rows)
    columns = LAYERS[name]
    table = {}
    for column in columns:
        values = [row.get(column) for row in rows]
        if column not in TEXT_COLUMNS:
            table[column] = np.array(values, dtype=np.float64)
        else:
            table[column] = np.array(["" if v is None else str(v) for v in values], dtype=object)
    geometry = [row["geometry"] for row in rows]
    return gpd.GeoDataFrame(table, geometry=gpd.GeoSeries(geometry, crs=crs), crs=crs)


def empty_plan(site: BaseGeometry, crs: str) -> Plan:
    """A site with nothing on it."""
    return Plan(site, crs, **{name: layer(name, crs) for name in LAYERS})


def check_plan(plan: Plan, *, tolerance_m: float = 0.05) -> Plan:
    """Hold a plan against the contract, and hand it back.

    Raises:
        PlanError: Names the layer, the feature's id and the value.
    """
    crs = CRS.from_user_input(plan.crs)
    if not crs.is_projected or crs.axis_info[0].unit_name not in ("metre", "meter"):
        raise PlanError(f"plan: {crs.name} is not in meters", "use a projected metric CRS")
    near = plan.site.buffer(tolerance_m)
    shapely.prepare(near)
    for name, columns in LAYERS.items():
        _check_layer(name, getattr(plan, name), columns, near)
    height = plan.buildings["height_m"].to_numpy()
    for row in np.flatnonzero(~np.isnan(height) & (height <= 0)):
        raise PlanError(
            f"buildings {plan.buildings['id'].iloc[row]}: height {height[row]} m",
            "give a positive height, or none",
        )
    _check_overlaps(plan)
    return plan


def _check_layer(
    name: str, table: gpd.GeoDataFrame, columns: tuple[str, ...], near: BaseGeometry
) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise PlanError(f"{name}: no column {', '.join(missing)}", "add it, empty if unknown")
    if table.empty:
        return
    shapes = table.geometry.to_numpy()
    wrong = shapely.is_empty(shapes) | ~shapely.is_valid(shapes) | shapely.has_z(shapes)
    outside = ~wrong & ~shapely.covers(near, np.where(wrong, None, shapes))
    for mask, what, fix in (
        (wrong, "is empty, invalid or 3D", "repair it, for example by make_valid"),
        (outside, "reaches out of the site", "clip it to the site"),
    ):
        if mask.any():
            raise PlanError(f"{name} {table['id'][mask].iloc[0]}: {what}", fix)
    if len(set(table["id"].to_numpy())) < len(table):
        raise PlanError(f"{name}: id {table['id'][table['id'].duplicated()].iloc[0]} twice", "")


def _check_overlaps(plan: Plan) -> None:
    if plan.buildings.empty:
        return
    shapes = plan.buildings.geometry.to_numpy()
    first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    pair = first < second
    first, second = first[pair], second[pair]
    others = [(shapes[first], shapes[second], "another building", plan.buildings["id"])]
    for name, blockers in (("road", plan.carriageways), ("water", plan.water.union_all())):
        others.append((shapes, np.full(len(shapes), blockers), name, plan.buildings["id"]))
    for mine, theirs, what, ids in others:
        overlap = shapely.area(shapely.intersection(mine, theirs)) if len(mine) else np.zeros(0)
        if (overlap > OVERLAP_M2).any():
            row = int(np.argmax(overlap))
            index = first[row] if what == "another building" else row
            raise PlanError(
                f"buildings {ids.iloc[index]}: overlaps {what} by {overlap[row]:.2f} m2",
                "cut one of them back",
            )


def road_polygons(roads: gpd.GeoDataFrame) -> np.ndarray:
    """Each center line widened to its width, (N,) polygons."""
    return shapely.buffer(roads.geometry.to_numpy(), roads["width_m"].to_numpy(np.float64) / 2)


def _ground_under(plan: Plan, rows: np.ndarray) -> BaseGeometry:
    areas = plan.road_shapes[rows]
    return areas_of(shapely.intersection(union_of(areas), plan.site))


def union_of(shapes: np.ndarray) -> BaseGeometry:
    """The union of shapes most of which lie apart, ten times as fast as for any."""
    return shapely.disjoint_subset_union_all(shapes) if len(shapes) else shapely.MultiPolygon()


def areas_of(shape: BaseGeometry) -> BaseGeometry:
    """The polygons of a geometry, without the lines that a touch leaves and that GEOS trips on."""
    if shape.geom_type in ("Polygon", "MultiPolygon"):
        return shape
    pieces = shapely.get_parts(shape)
    return shapely.union_all(pieces[shapely.get_dimensions(pieces) == 2])


def canopy(plan: Plan) -> list[Shape]:
    """Crowns as seen from above: tree polygons, and discs of stems that stand in none."""
    tops = plan.trees["height_m"].to_numpy(np.float64)
    mean_m = float(np.nanmean(tops)) if not np.isnan(tops).all() else float("nan")
    patches = plan.green.geometry.to_numpy()[plan.green["kind"].to_numpy() == "tree"]
    shapes: list[Shape] = [(patch, BIT[TREE], mean_m) for patch in patches]
    stems = plan.trees.geometry.to_numpy()
    alone = np.ones(len(stems), dtype=bool)
    if len(patches):
        alone[shapely.STRtree(stems).query(patches, predicate="intersects")[1]] = False
    crown_m = plan.trees["crown_m"].to_numpy(np.float64)
    crown_m = np.where(np.isnan(crown_m), CROWN_M, crown_m)
    discs = shapely.buffer(stems[alone], crown_m[alone] / 2, quad_segs=16)
    shapes += [(disc, BIT[TREE], float(top)) for disc, top in zip(discs, tops[alone], strict=True)]
    return shapes


def shapes_of(plan: Plan) -> list[Shape]:
    """Everything on a plan in the order in which it is painted, bottom to top."""
    nan = float("nan")
    shapes: list[Shape] = []
    patches, kinds = plan.green.geometry.to_numpy(), plan.green["kind"].to_numpy()
    for kind in ("grass", "shrub"):
        shapes += [(patch, BIT[GREEN_KINDS[kind]], nan) for patch in patches[kinds == kind]]
    shapes += [(patch, BIT[WATER], nan) for patch in plan.water.geometry.to_numpy()]
    shapes += [(patch, BIT[PAVED], nan) for patch in plan.paved.geometry.to_numpy()]
    on_path = plan.roads["kind"].to_numpy() == ROAD_KINDS[PATH]
    areas = plan.road_shapes
    shapes += [(area, BIT[PAVED], nan) for area in areas[on_path]]
    shapes += [(area, BIT[ROAD], nan) for area in areas[~on_path]]
    shapes += canopy(plan)
    heights = plan.buildings["height_m"].to_numpy()
    shapes += [
        (shape, BIT[BUILDING], float(height))
        for shape, height in zip(plan.buildings.geometry.to_numpy(), heights, strict=True)
    ]
    return shapes


def rasterize(plan: Plan, frame: Frame, *, subpixels: int = SUBPIXELS) -> Layout:
    """A plan as drawn, (1, 8, rows, cols); outside the site there is no data.

    Args:
        plan: A plan that passes `check_plan`.
        frame: Where to draw it, in the plan's CRS.
        subpixels: Samples along a pixel's edge; shares are multiples of 1 / subpixels².
    """
    ground = [(plan.site, BIT[BARE], float("nan"))]
    beyond = (shapely.difference(_outline(frame), plan.site), 0, float("nan"))
    return paint([*ground, *shapes_of(plan), beyond], frame, ground=0, subpixels=subpixels)


def site_mask(site: BaseGeometry, frame: Frame, *, subpixels: int = SUBPIXELS) -> torch.Tensor:
    """Pixels at least half of which lie in the site, (rows, cols) bool."""
    layout = paint([(site, BIT[BARE], float("nan"))], frame, ground=0, subpixels=subpixels)
    return layout.allowed[0] > 0


def paint(
    shapes: Iterable[Shape], frame: Frame, *, ground: int, subpixels: int = SUBPIXELS
) -> Layout:
    """Paint shapes one over the other.

    A pixel less than half of which has data has none; otherwise its shares are those of the part
    that has. Where a roof and a crown share a pixel, the roof's height stands.

    Args:
        shapes: (geometry, allowed bits, height_m or NaN), bottom to top, in the frame's CRS.
        frame: The grid.
        ground: Bits of what no shape covers; 0: no data.
        subpixels: Samples along a pixel's edge.

    Returns:
        A layout (1, 8, rows, cols).
    """
    shapes = list(shapes)
    plane = (frame.rows, frame.cols)
    index = _samples(_burn([shape for shape, _, _ in shapes], frame, subpixels), subpixels)
    kinds = np.array([ground, *(bits for _, bits, _ in shapes)], dtype=np.uint8)
    tops = np.array([np.nan, *(height for _, _, height in shapes)], dtype=np.float32)
    bits = kinds[index]

    # Shares of the part of a pixel that has data.
    counts = np.stack([_count(bits == bit) for bit in BIT])  # (8, pixels)
    seen = _count(bits > 0)
    known = seen * 2 >= subpixels**2
    cover = np.where(known, counts / np.maximum(seen, 1), 0).astype(np.float32)
    allowed = np.where(known, np.bitwise_or.reduce(bits, axis=0), 0).astype(np.uint8)

    # One height a pixel: the roof's where there is one, else the crown's.
    height = np.full(seen.shape, np.nan)
    for surface in (TREE, BUILDING):
        here = np.flatnonzero(counts[surface])
        mean = _mean_of(tops, index[:, here], kinds == BIT[surface])
        height[here] = np.where(np.isnan(mean), height[here], mean)
    height_known = known & ~np.isnan(height)
    height = np.where(height_known, height, 0).astype(np.float32)
    return check(
        Layout(
            torch.from_numpy(cover.reshape(1, len(BIT), *plane)),
            torch.from_numpy(height.reshape(1, *plane)),
            torch.from_numpy(allowed.reshape(1, *plane)),
            torch.from_numpy(height_known.reshape(1, *plane)),
            frame.pixel_m,
        )
    )


def _samples(index: np.ndarray, subpixels: int) -> np.ndarray:
    """A grid of samples with those of each pixel in one column, (subpixels², pixels)."""
    rows, cols = (size // subpixels for size in index.shape)
    blocks = index.reshape(rows, subpixels, cols, subpixels)
    return blocks.transpose(1, 3, 0, 2).reshape(subpixels**2, rows * cols).astype(np.intp)


def _count(mask: np.ndarray) -> np.ndarray:
    """How many samples of each pixel are True, (pixels,)."""
    # Bytes add up eight times as fast as bools.
    return mask.view(np.uint8).sum(axis=0, dtype=np.uint16).astype(np.int64)


def _mean_of(tops: np.ndarray, index: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """Mean of the heights that some shapes have in the samples of each pixel, (pixels,); else NaN.

    Args:
        tops: Height of each shape; NaN: unknown.
        index: Shape of each sample, (samples, pixels).
        shapes: Which shapes count, bool.
    """
    some = shapes & ~np.isnan(tops)
    count = _count(some[index])
    total = np.where(some, tops, 0)[index].sum(axis=0, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _burn(shapes: list[BaseGeometry], frame: Frame, subpixels: int) -> np.ndarray:
    size = (frame.rows * subpixels, frame.cols * subpixels)
    inked = [shape for shape in shapes if not shape.is_empty]
    if not inked:
        return np.zeros(size, dtype=np.int32)
    numbers = [number for number, shape in enumerate(shapes, start=1) if not shape.is_empty]
    outlines, at = _outlines(np.array(inked, dtype=object), frame, subpixels)
    return features.rasterize(
        ((outline, numbers[n]) for outline, n in zip(outlines, at, strict=True)),
        out_shape=size, fill=0, dtype=np.int32,
    )  # fmt: skip


def _outlines(
    shapes: np.ndarray, frame: Frame, subpixels: int
) -> tuple[list[dict[str, Any]], list[int]]:
    """The polygons of shapes in samples of a grid, as GeoJSON, and whose each is.

    All at once: point by point, as shapely's own mapping does it, took half the time of painting.
    """
    polygons, shape_of = shapely.get_parts(shapes, return_index=True)
    rings, polygon_of = shapely.get_rings(polygons, return_index=True)
    xy, ring_of = shapely.get_coordinates(rings, return_index=True)
    row, col = frame.from_world(xy[:, 0], xy[:, 1])
    points = (np.stack([col, row], axis=1) * subpixels + HAIR).tolist()
    ends = np.searchsorted(ring_of, np.arange(len(rings) + 1)).tolist()
    loops = [points[start:end] for start, end in pairwise(ends)]
    ends = np.searchsorted(polygon_of, np.arange(len(polygons) + 1)).tolist()
    return [
        {"type": "Polygon", "coordinates": loops[start:end]} for start, end in pairwise(ends)
    ], shape_of.tolist()


def _outline(frame: Frame) -> BaseGeometry:
    rows = np.array([-1, -1, frame.rows + 1, frame.rows + 1])
    cols = np.array([-1, frame.cols + 1, frame.cols + 1, -1])
    x, y = frame.to_world(rows, cols)
    return shapely.polygons(np.stack([x, y], axis=1))
