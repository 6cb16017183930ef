"""Footprints brought to a coverage: groups scaled, buildings left out or repeated, walls moved.

A touching group scales about the middle of its street front, so that the front stays where it is;
what is missing even then, walls make up for that move out into the yards.
"""

from dataclasses import dataclass, replace

import geopandas as gpd
import numpy as np
import shapely
from shapely import affinity
from shapely.geometry import Point, Polygon
from shapely.geometry.base import BaseGeometry

from fabricgen.plan import Plan, layer, road_polygons
from fabricgen.surfaces import PATH, ROAD_KINDS
from fabricgen.vectorize.buildings import INSIDE_M
from fabricgen.vectorize.close_walls import push_walls
from fabricgen.vectorize.rectangles import groups_of
from fabricgen.vectorize.settings import DrawSettings
from fabricgen.vectorize.walls import parts, valid

TOUCH_M = 0.05
TOUCH_M2 = 0.001
GENTLE = 0.06  # groups scale by this much before buildings are added or left out
SCALES = 6  # halvings in the search for the largest scale that fits
SLIT_M = 3.0  # growing walls keep at least this far from other groups, or as far as they were
YARD_M = 7.0  # a repeated building stands at least this far from all others
GRID_M = 7.0  # raster of places tried for a repeated building
FRONT_M = 30.0  # farther than this from a street a repeated building is out of place
MAX_CHANGES = 12  # buildings added or left out at most


@dataclass(frozen=True, eq=False)
class _Ground:
    """Where walls may stand."""

    inside: BaseGeometry  # site within its margin
    blocked: BaseGeometry  # streets with their setback, paths, water
    streets: BaseGeometry  # center lines, or the site's edge where there are none
    trees: BaseGeometry  # canopy; walls may replace it where nothing else is open


def close_coverage(
    plan: Plan,
    low: float,
    high: float,
    *,
    no_build: BaseGeometry,
    settings: DrawSettings,
    gentle: bool = False,
) -> Plan:
    """The plan with its coverage brought toward a range; other layers are left as they are.

    Args:
        plan: What was drawn.
        low: Least coverage wanted.
        high: Most coverage wanted.
        no_build: Ground on which no wall may come to stand.
        settings: Setbacks and the least footprint.
        gentle: Only scale, by a little; add nothing and leave nothing out.
    """
    table = plan.buildings
    if len(table) == 0:
        return plan
    site_m2, ground = plan.site.area, _ground_of(plan, no_build, settings)
    shapes = table.geometry.to_numpy().copy()
    rows = np.arange(len(shapes))  # row of the table that each shape repeats
    goal_m2 = float(np.clip(shapely.area(shapes).sum(), low * site_m2, high * site_m2))
    first = GENTLE / 3 if gentle else GENTLE
    for limit in (first,) if gentle else (first, settings.scale_share):
        shapes = _scale(shapes, goal_m2, limit, table.geometry.to_numpy()[rows], ground)
        if not gentle and limit == first:
            shapes, rows = _leave_out(shapes, rows, goal_m2)
            shapes, rows = _repeat(shapes, rows, goal_m2, ground)
    if not gentle:
        shapes = push_walls(
            shapes, goal_m2, inside=ground.inside, blocked=ground.blocked, slit_m=SLIT_M
        )
    return replace(plan, buildings=_rebuilt(plan, shapes, rows))


def _ground_of(plan: Plan, no_build: BaseGeometry, settings: DrawSettings) -> _Ground:
    roads = plan.roads
    on_path = (roads["kind"] == ROAD_KINDS[PATH]).to_numpy()
    areas = road_polygons(roads)
    margins = np.where(on_path, settings.path_setback_m, settings.setback_m)
    fixed = plan.paved.geometry[plan.paved["kind"] == "carriageway"].to_numpy()
    blocked = shapely.union_all(
        [
            *shapely.buffer(areas, margins),
            *shapely.buffer(fixed, settings.setback_m),
            *plan.water.geometry.to_numpy(),
            no_build,
        ]
    )
    lines = shapely.union_all(roads.geometry.to_numpy()) if len(roads) else plan.site.boundary
    inside = plan.site.buffer(-INSIDE_M, join_style="mitre")
    for shape in (inside, blocked):
        shapely.prepare(shape)
    trees = shapely.union_all(plan.green.geometry[plan.green["kind"] == "tree"].to_numpy())
    shapely.prepare(trees)
    return _Ground(inside, blocked, lines, trees)


def _scale(
    shapes: np.ndarray, goal_m2: float, limit: float, drawn: np.ndarray, ground: _Ground
) -> np.ndarray:
    """Scale groups alike toward a summed area, each no more than fits and the limit allows.

    `drawn` holds the shapes as they were first, against which the limit is measured.
    """
    shapes = shapes.copy()
    group = groups_of(shapes, TOUCH_M)
    count = group.max() + 1
    done = np.array(
        [
            np.sqrt(shapely.area(shapes[group == k]).sum() / shapely.area(drawn[group == k]).sum())
            for k in range(count)
        ]
    )
    open_groups = set(range(count))
    for _ in range(4):
        areas = np.bincount(group, shapely.area(shapes))
        missing = goal_m2 - areas.sum()
        if abs(missing) < 1e-4 * goal_m2 or not open_groups:
            break
        step = np.sqrt(max(0.0, 1 + missing / areas[sorted(open_groups)].sum()))
        for k in sorted(open_groups, key=lambda k: -areas[k]):
            wanted = float(np.clip(step, (1 - limit) / done[k], (1 + limit) / done[k]))
            got = _fit(shapes, group == k, wanted, ground)
            done[k] *= got
            if abs(got - step) > 1e-9:
                open_groups.discard(k)
    return shapes


def _fit(shapes: np.ndarray, members: np.ndarray, wanted: float, ground: _Ground) -> float:
    """Scale one group in place by the wanted factor, or by as much of it as fits."""
    mine = shapes[members]
    union = shapely.union_all(mine)
    anchor = shapely.get_coordinates(_front(union, ground.streets))[0]
    others = shapes[~members]
    near = others[shapely.dwithin(others, union, 40.0)]
    keep_m = np.minimum(shapely.distance(near, union), SLIT_M)
    inside_m2 = _blocked_m2(mine, ground) + TOUCH_M2

    def scaled(factor: float) -> np.ndarray:
        moved = shapely.transform(mine, lambda xy: anchor + (xy - anchor) * factor)
        for k in np.flatnonzero(~shapely.is_valid(moved)):
            moved[k] = max(parts(valid(moved[k])), key=lambda part: part.area)
        return moved

    def fits(factor: float) -> bool:
        trial = scaled(factor)
        if not shapely.contains(ground.inside, trial).all():
            return False
        gap_m = shapely.distance(near[:, None], trial[None]).min(axis=1)
        return _blocked_m2(trial, ground) <= inside_m2 and bool((gap_m >= keep_m - 1e-6).all())

    # Smaller shapes may leave their old ground too, where they are not convex.
    factor = wanted
    if not fits(wanted):
        low, high = 1.0, wanted
        for _ in range(SCALES):
            middle = (low + high) / 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        factor = low
    if factor != 1.0:
        shapes[members] = scaled(factor)
    return factor


def _blocked_m2(shapes: np.ndarray, ground: _Ground) -> float:
    """How much of some shapes stands where no wall may. [m²]."""
    hit = shapes[shapely.intersects(ground.blocked, shapes)]
    return float(shapely.area(shapely.intersection(hit, ground.blocked)).sum())


def _front(shape: BaseGeometry, streets: BaseGeometry) -> Point:
    """The place on a group's walls nearest to a street, about which it scales."""
    hull = shapely.convex_hull(shape)
    line = shapely.shortest_line(hull, streets)
    point = shapely.get_point(line, 0)
    # Slide to the middle of the wall, so that it grows to both sides.
    ring = shapely.get_coordinates(hull.exterior)
    walls = shapely.linestrings(np.stack([ring[:-1], ring[1:]], axis=1))
    reach = shapely.distance(walls, point)
    near = walls[reach < reach.min() + TOUCH_M]
    wall = near[shapely.length(near).argmax()]
    return wall.interpolate(0.5, normalized=True)


def _leave_out(
    shapes: np.ndarray, rows: np.ndarray, goal_m2: float
) -> tuple[np.ndarray, np.ndarray]:
    """Leave out the buildings that best make up for too much area."""
    for _ in range(MAX_CHANGES):
        areas = shapely.area(shapes)
        excess = areas.sum() - goal_m2
        fitting = np.flatnonzero(areas <= excess * 1.02)
        if len(shapes) < 2 or excess < 0.005 * goal_m2 or len(fitting) == 0:
            break
        alone = np.bincount(groups_of(shapes, TOUCH_M))[groups_of(shapes, TOUCH_M)] == 1
        choice = max(fitting, key=lambda k: (areas[k] * (1.0 if alone[k] else 0.7), -k))
        shapes, rows = np.delete(shapes, choice), np.delete(rows, choice)
    return shapes, rows


def _repeat(
    shapes: np.ndarray, rows: np.ndarray, goal_m2: float, ground: _Ground
) -> tuple[np.ndarray, np.ndarray]:
    """Repeat buildings of the plan on open ground along streets while area is missing."""
    low_u, low_v, high_u, high_v = ground.inside.bounds
    grid = np.stack(
        np.meshgrid(np.arange(low_u, high_u, GRID_M), np.arange(low_v, high_v, GRID_M)), axis=-1
    ).reshape(-1, 2)
    shapely.prepare(ground.streets)
    for _ in range(MAX_CHANGES):
        areas = shapely.area(shapes)
        missing = goal_m2 - areas.sum()
        donors = [k for k in np.argsort(-areas, kind="stable") if areas[k] <= missing * 1.02]
        if missing < 0.01 * goal_m2:
            break
        taken = shapely.union_all(shapely.buffer(shapes, YARD_M, quad_segs=2))
        added = next(
            (
                copy
                for k in donors[:4]
                if (copy := _place(shapes[k], grid, taken, ground)) is not None
            ),
            None,
        )
        if added is None:
            break
        donor = min((k for k in donors), key=lambda k: abs(areas[k] - added.area))
        shapes, rows = np.append(shapes, added), np.append(rows, rows[donor])
    return shapes, rows


def _place(
    shape: Polygon, grid: np.ndarray, taken: BaseGeometry, ground: _Ground
) -> Polygon | None:
    """A copy of a building at the open place nearest to a street, trees spared where possible."""
    moves = grid - shapely.get_coordinates(shape.centroid)
    reach = shapely.distance(shapely.points(grid), ground.streets)
    order = np.argsort(reach, kind="stable")
    half = np.sqrt(shape.area)
    order = order[reach[order] < FRONT_M + half]
    if len(order) == 0:
        return None
    # Tried by their outer outlines alone, which is all that matters for a fit.
    ring = shapely.get_coordinates(shape.exterior)
    copies = shapely.polygons(ring[None] + moves[order][:, None])
    shapely.prepare(taken)
    fits = shapely.contains(ground.inside, copies) & ~shapely.intersects(ground.blocked, copies)
    fits &= ~shapely.intersects(taken, copies)
    spared = fits & ~shapely.intersects(ground.trees, copies)
    fits = spared if spared.any() else fits
    return affinity.translate(shape, *moves[order[fits.argmax()]]) if fits.any() else None


def _rebuilt(plan: Plan, shapes: np.ndarray, rows: np.ndarray) -> gpd.GeoDataFrame:
    """The building layer with new outlines; repeated buildings get ids of their own."""
    records, seen = plan.buildings.to_dict("records"), set(plan.buildings["id"])
    used: set[int] = set()
    out = []
    for shape, row in zip(shapes, rows, strict=True):
        name = records[row]["id"]
        if row in used:
            number = 2
            while f"{name}-{number}" in seen:
                number += 1
            name = f"{name}-{number}"
        used.add(row)
        seen.add(name)
        shape = max(parts(valid(shape)), key=lambda part: part.area)
        out.append({**records[row], "id": name, "geometry": shape, "footprint_m2": shape.area})
    return layer("buildings", plan.crs, out)
