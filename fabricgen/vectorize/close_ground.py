"""Ground brought to shares: what moved walls leave or cover, trees planted or felled, lawns laid.

Shapes are taken from one layer and given to another; nothing is ever covered twice.
"""

from dataclasses import replace

import geopandas as gpd
import numpy as np
import shapely
from scipy.spatial import cKDTree
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from fabricgen.plan import Plan, layer
from fabricgen.vectorize.settings import DrawSettings
from fabricgen.vectorize.trees import Trees, canopy, crowns, spaced
from fabricgen.vectorize.walls import parts, patches_of

SOURCE = "fabricgen"
FIXED_PAVED = ("path", "carriageway")  # paved ground that never turns green
BESIDE_M = 0.02  # shapes this near have a common edge
DUST_M2 = 0.05
CUT_ROUNDS = 24
DISTANCE_ROUNDS = 12
NEAR_M2 = 1.0  # ground this near to what is wanted is enough
REACH_M = 80.0  # no ground of a site lies much farther from its walls and streets
YOUNG_CROWN_M = 7.0
CANDIDATES_PER_M2 = 0.12


def follow_walls(plan: Plan, before: BaseGeometry) -> Plan:
    """Ground after walls moved: none under new walls; what old ones leave joins its neighbors.

    Args:
        plan: A plan with moved buildings and the ground of before.
        before: Footprints that the ground was drawn around.
    """
    built = plan.buildings.union_all()
    grown, left = built.difference(before), before.difference(built)
    if grown.area < DUST_M2 and left.area < DUST_M2:
        return plan
    stems = plan.trees.geometry.to_numpy()
    hit = shapely.dwithin(stems, grown, 0.5) if grown.area > DUST_M2 else np.zeros(len(stems), bool)
    plan = fell(plan, hit) if hit.any() else plan
    green = [(shape.difference(grown), kind) for shape, kind in _rows(plan.green)]
    paved = [(shape.difference(grown), kind) for shape, kind in _rows(plan.paved)]
    return _give(
        replace(plan, green=_layer(plan, "green", green), paved=_layer(plan, "paved", paved)), left
    )


def close_trees(plan: Plan, low: float, high: float, *, seed: int, settings: DrawSettings) -> Plan:
    """Trees planted or felled until the canopy's share of the site is in a range."""
    site_m2 = plan.site.area
    share = tree_area(plan) / site_m2
    rng = np.random.default_rng(seed)
    if share < low:
        return _plant(plan, low * site_m2, rng, settings)
    if share > high:
        return _thin(plan, high * site_m2, rng)
    return plan


def close_green(plan: Plan, low: float, high: float, *, settings: DrawSettings) -> Plan:
    """Bare and paved ground turned to lawn, or lawn to paved ground, until green is in a range."""
    site_m2 = plan.site.area
    now = float(plan.green.geometry.area.sum())
    if now < low * site_m2:
        return _lay_lawn(plan, low * site_m2 - now, settings)
    if now > high * site_m2:
        return _pave_lawn(plan, now - high * site_m2, settings)
    return plan


def tree_area(plan: Plan) -> float:
    """Ground under tree polygons. [m²]."""
    return float(plan.green.geometry[plan.green["kind"] == "tree"].area.sum())


def fell(plan: Plan, rows: np.ndarray) -> Plan:
    """Without some trees; ground under their crowns alone goes to what is beside it.

    Args:
        plan: A plan whose stems stand in its tree polygons.
        rows: Which trees go, (N,) bool.
    """
    freed = _freed(_trees(plan), rows, _tree_cover(plan))
    green = [
        (shape.difference(freed) if kind == "tree" else shape, kind)
        for shape, kind in _rows(plan.green)
    ]
    plan = replace(plan, green=_layer(plan, "green", green), trees=plan.trees[~rows].copy())
    return _give(plan, freed)


def _tree_cover(plan: Plan) -> BaseGeometry:
    return shapely.union_all(plan.green.geometry[plan.green["kind"] == "tree"].to_numpy())


def _freed(trees: Trees, rows: np.ndarray, cover: BaseGeometry) -> BaseGeometry:
    """Ground under the crowns of some trees and of no other."""
    if rows.all() or not rows.any():
        return cover if rows.all() else Polygon()
    gone, kept = trees.place[rows], trees.place[~rows]
    # Only crowns that reach the gone ones matter.
    near = cKDTree(gone).query(kept)[0] < trees.crown_m.max()
    stay = canopy(Trees(kept[near], trees.crown_m[~rows][near]), cover)
    return shapely.union_all(crowns(Trees(gone, trees.crown_m[rows]), cover)).difference(stay)


def _plant(plan: Plan, goal_m2: float, rng: np.random.Generator, settings: DrawSettings) -> Plan:
    """New trees on green ground first, then on bare and paved yards, until the goal is reached."""
    old = _tree_cover(plan)
    region = _crown_ground(plan)
    soft = shapely.union_all(plan.green.geometry.to_numpy())
    stems = _trees(plan).place
    ground = region.buffer(-settings.stem_gap_m, quad_segs=2)
    u0, v0, u1, v1 = ground.bounds if not ground.is_empty else (0, 0, 0, 0)
    many = int((u1 - u0) * (v1 - v0) * CANDIDATES_PER_M2)
    points = rng.uniform((u0, v0), (u1, v1), (many, 2))
    for shape in (ground, soft):
        shapely.prepare(shape)
    points = points[shapely.contains_xy(ground, points[:, 0], points[:, 1])]
    on_soft = shapely.contains_xy(soft, points[:, 0], points[:, 1])
    points = np.concatenate([points[on_soft], points[~on_soft]])
    points = points[spaced(points, settings.tree_spacing_m, stems)]
    crown = YOUNG_CROWN_M * rng.uniform(0.85, 1.15, len(points))

    def grown(count: int) -> BaseGeometry:
        return canopy(Trees(points[:count], crown[:count]), region).difference(old)

    # The canopy grows with every tree: search the number that comes nearest to the goal.
    low, high = 0, len(points)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if old.area + grown(middle).area < goal_m2 else (low, middle)
    new = grown(low)
    green = [
        (shape if kind == "tree" else shape.difference(new), kind)
        for shape, kind in _rows(plan.green)
    ]
    paved = [(shape.difference(new), kind) for shape, kind in _rows(plan.paved)]
    green = [(shape, kind) for shape, kind in green if kind != "tree"]
    green.append((shapely.union_all([old, new]), "tree"))
    added = [
        {
            "id": f"n{number}",
            "source": SOURCE,
            "crown_m": float(c),
            "height_m": float(h),
            "geometry": shapely.Point(p),
        }
        for number, (p, c, h) in enumerate(
            zip(points[:low], crown[:low], Trees(points[:low], crown[:low]).height_m, strict=True),
            start=1 + len(plan.trees),
        )
    ]
    trees = layer("trees", plan.crs, [*plan.trees.to_dict("records"), *added])
    return replace(
        plan, green=_layer(plan, "green", green), paved=_layer(plan, "paved", paved), trees=trees
    )


def _thin(plan: Plan, goal_m2: float, rng: np.random.Generator) -> Plan:
    """Fell trees by lot until no more than the goal is left."""
    trees, cover = _trees(plan), _tree_cover(plan)
    order = rng.permutation(len(plan.trees))

    def chosen(count: int) -> np.ndarray:
        rows = np.zeros(len(order), dtype=bool)
        rows[order[:count]] = True
        return rows

    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        left_m2 = cover.area - _freed(trees, chosen(middle), cover).area
        low, high = (middle + 1, high) if left_m2 > goal_m2 else (low, middle)
    return fell(plan, chosen(low))


def _crown_ground(plan: Plan) -> BaseGeometry:
    """Ground that crowns may cover: no walls, carriageways, water or ways."""
    ways = plan.paved.geometry[plan.paved["kind"].isin(FIXED_PAVED)].to_numpy()
    return plan.site.difference(
        shapely.union_all(
            [
                plan.buildings.union_all(),
                plan.carriageways,
                plan.water.union_all(),
                *ways,
            ]
        )
    )


def bare_ground(plan: Plan) -> BaseGeometry:
    """What no layer covers."""
    return plan.site.difference(
        shapely.union_all(
            [
                *plan.buildings.geometry,
                *plan.green.geometry,
                *plan.paved.geometry,
                *plan.water.geometry,
                plan.carriageways,
                plan.ways,
            ]
        )
    )


def _lay_lawn(plan: Plan, wanted_m2: float, settings: DrawSettings) -> Plan:
    """Bare patches turn to lawn, then the parts of yards farthest from walls and streets."""
    lawn = shapely.union_all(plan.green.geometry.to_numpy())
    bare = [part for part in parts(bare_ground(plan)) if part.area > DUST_M2]
    taken, _ = _choose(bare, wanted_m2, beside=lawn, settings=settings)
    paved = _rows(plan.paved)
    yards = shapely.union_all([shape for shape, kind in paved if kind not in FIXED_PAVED])
    left = wanted_m2 - sum(shape.area for shape in taken)
    edge = shapely.union_all([plan.buildings.union_all(), plan.carriageways])
    more, yards = _by_distance(yards, edge, left, far=True, settings=settings)
    green = [*_rows(plan.green), *((shape, "grass") for shape in [*taken, *more])]
    paved = [(shape, kind) for shape, kind in paved if kind in FIXED_PAVED]
    paved += [(shape, "yard") for shape in yards]
    return replace(
        plan, green=_layer(plan, "green", _dissolved(green)), paved=_layer(plan, "paved", paved)
    )


def _pave_lawn(plan: Plan, wanted_m2: float, settings: DrawSettings) -> Plan:
    """Lawn along walls and streets is paved, an even strip of it; shrubs only after all lawn."""
    edge = shapely.union_all([plan.buildings.union_all(), plan.carriageways])
    green = _rows(plan.green)
    paved, rest = _rows(plan.paved), [row for row in green if row[1] == "tree"]
    left = wanted_m2
    for kind in ("grass", "shrub"):
        ground = shapely.union_all([shape for shape, name in green if name == kind])
        taken, kept = _by_distance(ground, edge, left, far=False, settings=settings)
        left -= sum(shape.area for shape in taken)
        paved += [(shape, "yard") for shape in taken]
        rest += [(shape, kind) for shape in kept]
    fixed = [(shape, kind) for shape, kind in paved if kind in FIXED_PAVED]
    yards = [(shape, "yard") for shape, kind in paved if kind not in FIXED_PAVED]
    return replace(
        plan,
        green=_layer(plan, "green", rest),
        paved=_layer(plan, "paved", fixed + _dissolved(yards)),
    )


def _by_distance(
    ground: BaseGeometry,
    edge: BaseGeometry,
    wanted_m2: float,
    *,
    far: bool,
    settings: DrawSettings,
) -> tuple[list[Polygon], list[Polygon]]:
    """The part of a ground that lies far from walls and streets, or near to them.

    The distance is the one that gives the wanted area; patches too small to draw are left out.

    Returns:
        What is taken and what stays.
    """
    if wanted_m2 < settings.min_patch_m2 / 4 or ground.is_empty:
        return [], parts(ground)
    if ground.area <= wanted_m2:
        return parts(ground), []

    def cut(distance_m: float) -> list[Polygon]:
        strip = edge.buffer(distance_m, join_style="mitre", mitre_limit=2.0)
        found = parts(ground.difference(strip) if far else ground.intersection(strip))
        return [part for part in found if part.area >= settings.min_patch_m2 / 4]

    # False position halved toward the end that stays (Dowell and Jarratt 1971), for few cuts.
    low, high = 0.0, REACH_M
    at_low, at_high = (ground.area if far else 0.0), (0.0 if far else ground.area)
    taken: list[Polygon] = []
    for _ in range(DISTANCE_ROUNDS):
        share = (wanted_m2 - at_low) / (at_high - at_low)
        middle = low + (high - low) * float(np.clip(share, 0.05, 0.95))
        taken = cut(middle)
        got = sum(part.area for part in taken)
        if abs(got - wanted_m2) < NEAR_M2:
            break
        if (got > wanted_m2) == far:
            low, at_low, at_high = middle, got, (at_high + wanted_m2) / 2
        else:
            high, at_high, at_low = middle, got, (at_low + wanted_m2) / 2
    return taken, parts(ground.difference(shapely.union_all(taken)))


def _choose(
    shapes: list[Polygon], wanted_m2: float, *, beside: BaseGeometry, settings: DrawSettings
) -> tuple[list[Polygon], list[Polygon]]:
    """Whole shapes up to a wanted area, those beside a neighbor first; the last one is cut.

    Returns:
        The chosen shapes and the shapes that stay.
    """
    close = shapely.dwithin(np.array(shapes, dtype=object), beside, BESIDE_M) if shapes else []
    order = sorted(range(len(shapes)), key=lambda k: (not close[k], -shapes[k].area))
    taken, stay = [], []
    for k in order:
        shape = shapes[k]
        if wanted_m2 < DUST_M2:
            stay.append(shape)
        elif shape.area <= wanted_m2:
            taken.append(shape)
            wanted_m2 -= shape.area
        elif wanted_m2 < settings.min_patch_m2 / 4:
            stay.append(shape)
        else:
            part, rest = _cut_off(shape, wanted_m2, beside)
            taken += part
            stay += rest
            wanted_m2 -= sum(piece.area for piece in part)
    return taken, stay


def _cut_off(
    shape: Polygon, wanted_m2: float, beside: BaseGeometry
) -> tuple[list[Polygon], list[Polygon]]:
    """Part of a shape with a wanted area, cut by a straight line across its longer axis."""
    box = shapely.get_coordinates(shapely.oriented_envelope(shape))
    first, second = box[1] - box[0], box[2] - box[1]
    long, short = (first, second) if np.hypot(*first) > np.hypot(*second) else (second, first)
    corner = box[0] if long is first else box[1]
    side = short if long is first else -first
    # Start from the end that has more of the neighbor beside it.
    start = beside.intersection(_strip(corner, long / 2, side)).area
    end = beside.intersection(_strip(corner + long, -long / 2, side)).area
    if end > start:
        corner, long = corner + long, -long
    low, high = 0.0, 1.0
    for _ in range(CUT_ROUNDS):
        middle = (low + high) / 2
        if shape.intersection(_strip(corner, long * middle, side)).area < wanted_m2:
            low = middle
        else:
            high = middle
    strip = _strip(corner, long * high, side)
    return (
        [p for p in parts(shape.intersection(strip)) if p.area > DUST_M2],
        [p for p in parts(shape.difference(strip)) if p.area > DUST_M2],
    )


def _strip(corner: np.ndarray, along: np.ndarray, side: np.ndarray) -> Polygon:
    # Wider than the shape's own box, so that rounding leaves no hairs at its sides.
    start, end = corner - side * 0.5, corner + side * 1.5
    back = along / max(np.hypot(*along), 1e-9)
    return Polygon([start - back, start + along, end + along, end - back])


def _give(plan: Plan, freed: BaseGeometry) -> Plan:
    """Freed ground joins the lawn, shrub or yard with the longest common edge; else it is bare."""
    pieces = [piece for piece in parts(freed) if piece.area > DUST_M2]
    if not pieces:
        return plan
    green, paved = _rows(plan.green), _rows(plan.paved)
    hosts = [("green", k) for k, (_, kind) in enumerate(green) if kind != "tree"]
    hosts += [("paved", k) for k, (_, kind) in enumerate(paved) if kind not in FIXED_PAVED]
    if not hosts:
        return plan
    tables = {"green": green, "paved": paved}
    shapes = np.array([tables[name][k][0] for name, k in hosts], dtype=object)
    tree = shapely.STRtree(shapes)
    gifts: dict[int, list[Polygon]] = {}
    for piece in pieces:
        near = tree.query(piece, predicate="dwithin", distance=BESIDE_M)
        if len(near):
            rim = piece.buffer(BESIDE_M)
            common = shapely.area(shapely.intersection(rim, shapes[near]))
            gifts.setdefault(int(near[common.argmax()]), []).append(piece)
    for host, more in gifts.items():
        name, k = hosts[host]
        shape, kind = tables[name][k]
        tables[name][k] = (shapely.union_all([shape, *more]), kind)
    return replace(plan, green=_layer(plan, "green", green), paved=_layer(plan, "paved", paved))


def _dissolved(rows: list[tuple[BaseGeometry, str]]) -> list[tuple[BaseGeometry, str]]:
    kinds = dict.fromkeys(kind for _, kind in rows)
    return [(shapely.union_all([s for s, k in rows if k == kind]), kind) for kind in kinds]


def _trees(plan: Plan) -> Trees:
    place = shapely.get_coordinates(plan.trees.geometry.to_numpy()).reshape(-1, 2)
    return Trees(place, plan.trees["crown_m"].fillna(YOUNG_CROWN_M).to_numpy())


def _rows(table: gpd.GeoDataFrame) -> list[tuple[BaseGeometry, str]]:
    return list(zip(table.geometry, table["kind"], strict=True))


def _layer(plan: Plan, name: str, rows: list[tuple[BaseGeometry, str]]) -> gpd.GeoDataFrame:
    """A layer of patches from shapes of any kind, dust left out, numbered anew."""
    flat = [(part, kind) for shape, kind in rows for part in patches_of(shape, DUST_M2)]
    return layer(
        name,
        plan.crs,
        [
            {"id": f"{name[0]}{number}", "source": SOURCE, "kind": kind, "geometry": part}
            for number, (part, kind) in enumerate(flat, start=1)
        ],
    )
