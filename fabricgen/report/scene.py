"""Plans in three dimensions: what `scene.js` needs to build them and to let the sun move.

Lengths are whole centimeters on a sheet that is turned like the plan's drawing: x to its right, y
down it, from the middle of the site. A polygon is a list of rings [x0, y0, x1, y1, ...], the outer
ring first, turned the other way round than its holes.
"""

import base64
import gzip
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from fabricgen.carbon.sun import sun_at
from fabricgen.form.indicators import STOREY_M
from fabricgen.layout import Frame
from fabricgen.plan import CROWN_M, Plan
from fabricgen.report.draw import (
    STYLES,
    Mark,
    Surroundings,
    View,
    background,
    beside,
    ground,
    polygons_of,
    view_of,
)
from fabricgen.report.page import shipped
from fabricgen.vectorize.trees import HEIGHT_PER_CROWN

UNIT_M = 0.01
MARGIN_SHARE = 0.35  # of ground around the site, of its longer side, where something stands there
BARE_MARGIN_M = 40.0  # where nothing is known of the surroundings: room for shadows
NORTH_STEP_DEG = 1e-4  # of latitude, to see where north lies on the grid
DAYS = range(1, 366)
# Colors of uses, the one with most ground first; what is left shares the last.
USE_COLORS = ("#e0b394", "#93a9c6", "#d6bc5e", "#b39bb5", "#9dbb9c", "#c98277")
OTHER, OTHER_COLOR = "other uses", "#b9afa5"
UNTOLD, UNTOLD_COLOR = "use not told", "#d8cfc3"


def scene_values(
    plans: Sequence[tuple[str, Plan]],
    frame: Frame,
    *,
    surroundings: Surroundings | None = None,
    unknown_heights_m: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """What the template `scene.html` asks for; arguments as in `scene_of`."""
    scene = scene_of(plans, frame, surroundings=surroundings, unknown_heights_m=unknown_heights_m)
    return {
        "scene_names": [name for name, _ in plans],
        "scene_uses": [(use["label"], use["color"]) for use in scene["uses"]],
        "scene_unknown": scene["unknown_heights"],
        "scene_around": bool(scene["around_buildings"]),
        "scene_json": htmlsafe_json_dumps(scene, separators=(",", ":"), ensure_ascii=False),
        "scene_script": Markup(shipped("scene.js")),
        "scene_library": Markup(_library()),
    }


@lru_cache(maxsize=1)
def _library() -> str:
    """three.js as shipped, packed as text; its license stands at its head."""
    packed = gzip.compress(shipped("three.min.js").encode(), compresslevel=9, mtime=0)
    return base64.b64encode(packed).decode()


def scene_of(
    plans: Sequence[tuple[str, Plan]],
    frame: Frame,
    *,
    surroundings: Surroundings | None = None,
    unknown_heights_m: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """The scene of one site and its schemes, ready for JSON.

    Args:
        plans: Name and plan of each scheme, all of one site.
        frame: The view is turned like it.
        surroundings: Layers around the site, as in `plan_svg`; buildings may have `height_m`.
        unknown_heights_m: Of buildings without a height, by name of the plan; else one storey.
    """
    first = plans[0][1]
    view = _view(first, frame, surroundings)
    site = view.flat(first.site)
    left, top, right, bottom = site.bounds
    middle = np.array([left + right, top + bottom]) / 2
    latitude_deg, grid_north_deg = _place(first)
    others = {k: v for k, v in (surroundings or {}).items() if k != "buildings"}
    uses = _uses(plan for _, plan in plans)
    unknown_m = unknown_heights_m or {}
    schemes = [
        {
            "name": name,
            **_scheme(plan, view, middle, uses=list(uses), unknown_m=unknown_m.get(name, STOREY_M)),
        }
        for name, plan in plans
    ]
    around = background(first, view, others)
    marks = [*around, *ground(first, view)]
    corners = np.array([[0, 0], [view.width_m, view.height_m]]) - middle
    return {
        "unit_m": UNIT_M,
        "latitude_deg": round(latitude_deg, 4),
        "north_deg": round(view.north_deg + grid_north_deg, 3),
        "declination_deg": [round(sun_at(90.0, day, 12.0)[1], 3) for day in DAYS],
        "radius_m": round(float(np.hypot(*np.abs(corners).max(axis=0))) + 10.0, 1),
        "site_radius_m": round(math.hypot(right - left, bottom - top) / 2, 1),
        "colors": {mark.name: STYLES[mark.name].fill for mark in marks} | {"under": "#b7cf98"},
        "uses": [{"label": label, "color": color} for label, color in uses.items()],
        "site": _polygons(polygons_of([site]), middle),
        "around": [_layer(mark, middle) for mark in around],
        "around_buildings": [
            {"h": round(height_m, 2), "p": _polygons(polygons_of([shape]), middle)}
            for shape, height_m in _around_buildings(view, site, surroundings)
        ],
        "unknown_heights": sum(int(p.buildings["height_m"].isna().sum()) for _, p in plans),
        "schemes": schemes,
    }


def _view(plan: Plan, frame: Frame, surroundings: Surroundings | None) -> View:
    left, bottom, right, top = plan.site.bounds
    if surroundings:
        return view_of(plan, frame, margin_m=MARGIN_SHARE * max(right - left, top - bottom))
    near = view_of(plan, frame, margin_m=0.0)
    return replace(
        near,
        left_m=near.left_m - BARE_MARGIN_M, top_m=near.top_m - BARE_MARGIN_M,
        width_m=near.width_m + 2 * BARE_MARGIN_M, height_m=near.height_m + 2 * BARE_MARGIN_M,
    )  # fmt: skip


def _place(plan: Plan) -> tuple[float, float]:
    """Latitude of a site, and where true north lies on its grid, clockwise from the grid's up."""
    middle = plan.site.centroid
    there = Transformer.from_crs(plan.crs, 4326, always_xy=True)
    lon_deg, lat_deg = there.transform(middle.x, middle.y)
    x_m, y_m = there.transform(lon_deg, lat_deg + NORTH_STEP_DEG, direction="INVERSE")
    return lat_deg, math.degrees(math.atan2(x_m - middle.x, y_m - middle.y))


def _uses(plans: Iterable[Plan]) -> dict[str, str]:
    """Colors of all uses of buildings, by label."""
    ground_m2: defaultdict[str, float] = defaultdict(float)
    for plan in plans:
        for use, area_m2 in zip(plan.buildings["use"], plan.buildings.area, strict=True):
            ground_m2[use] += area_m2
    told = sorted((use for use in ground_m2 if use), key=lambda use: (-ground_m2[use], use))
    colors = dict(zip(told, USE_COLORS, strict=False))
    if len(told) > len(USE_COLORS):
        colors[OTHER] = OTHER_COLOR
    return colors | ({UNTOLD: UNTOLD_COLOR} if "" in ground_m2 else {})


def _scheme(
    plan: Plan, view: View, middle: np.ndarray, *, uses: list[str], unknown_m: float
) -> dict[str, Any]:
    """One scheme: layers of ground, buildings, crowns."""
    stemless, under = _canopy(plan)
    layers = [_layer(mark, middle) for mark in ground(plan, view) if mark.shapes]
    if len(under):
        patches = polygons_of(view.flat(under))
        layers.insert(-1, {"c": "under", "p": _polygons(patches, middle)})
    table = plan.buildings
    heights_m = table["height_m"].fillna(table["floors"] * STOREY_M).fillna(unknown_m)
    walls = shapely.orient_polygons(view.flat(table.geometry.to_numpy()))
    crown_m = HEIGHT_PER_CROWN * CROWN_M
    return {
        "ground": layers,
        "buildings": [
            {"h": round(float(h), 2), "u": _use(use, uses), "p": _polygons([wall], middle)}
            for wall, h, use in zip(walls, heights_m, table["use"], strict=True)
        ],
        "canopy": [
            {"h": crown_m, "p": _polygons([patch], middle)}
            for patch in polygons_of(view.flat(stemless))
        ],
        "trees": _trees(plan, view, middle),
    }


def _use(use: str, uses: list[str]) -> int:
    return uses.index(use if use in uses else OTHER if use else UNTOLD)


def _canopy(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Patches of canopy without a stem in them, and those under whose trees one sees ground."""
    patches = plan.green.geometry[plan.green["kind"] == "tree"].to_numpy()
    stems = shapely.STRtree(plan.trees.geometry.to_numpy())
    held = np.zeros(len(patches), dtype=bool)
    held[stems.query(patches, predicate="intersects")[0]] = True
    return patches[~held], patches[held]


def _trees(plan: Plan, view: View, middle: np.ndarray) -> list[list[int]]:
    """Stems as rows of x, y, crown and height [cm]."""
    if plan.trees.empty:
        return []
    xy = shapely.get_coordinates(view.flat(plan.trees.geometry.to_numpy())) - middle
    crown_m = plan.trees["crown_m"].fillna(CROWN_M)
    height_m = plan.trees["height_m"].fillna(HEIGHT_PER_CROWN * crown_m)
    rows = np.column_stack([xy, crown_m, height_m])
    return np.round(rows / UNIT_M).astype(int).tolist()


def _around_buildings(
    view: View, site: BaseGeometry, surroundings: Mapping[str, gpd.GeoDataFrame] | None
) -> list[tuple[BaseGeometry, float]]:
    """Buildings beside the site with their heights, one storey where none is known.

    What the site cuts off most of is gone with its rest.
    """
    if not surroundings or "buildings" not in surroundings:
        return []
    table = surroundings["buildings"]
    whole = table.geometry.to_numpy()
    shapes = beside(whole, view, site)
    stands = shapely.area(shapely.intersection(view.flat(whole), site)) < 0.5 * shapely.area(whole)
    heights_m = table["height_m"].fillna(STOREY_M)
    rows = zip(shapes, heights_m, stands & ~shapely.is_empty(shapes), strict=True)
    return [(shape, float(height_m)) for shape, height_m, kept in rows if kept]


def _layer(mark: Mark, middle: np.ndarray) -> dict[str, Any]:
    return {"c": mark.name, "p": _polygons(mark.shapes, middle)}


def _polygons(shapes: Sequence[BaseGeometry], middle: np.ndarray) -> list[list[list[int]]]:
    """Polygons as rings of whole centimeters, without the corner that closes them."""
    found = []
    for part in shapely.get_parts(list(shapes)):
        rings = [_ring(shapely.get_coordinates(r), middle) for r in shapely.get_rings(part)]
        found.append([ring for ring in rings if len(ring) >= 6])
    return [polygon for polygon in found if polygon]


def _ring(xy: np.ndarray, middle: np.ndarray) -> list[int]:
    return np.round((xy[:-1] - middle) / UNIT_M).astype(int).ravel().tolist()
