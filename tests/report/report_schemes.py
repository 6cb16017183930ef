"""Schemes made by code: perimeter blocks, slabs, lawns and trees on one site, really scored."""

import functools

import numpy as np
import shapely

from fabricgen.carbon import evaluate
from fabricgen.design.green_score import green_indicators
from fabricgen.design.rank import rank
from fabricgen.design.scheme import Scheme, Score, Unmet
from fabricgen.form.indicators import of_plan
from fabricgen.layout import Frame
from fabricgen.plan import Plan, check_plan, layer, rasterize
from fabricgen.report.surroundings import surroundings_of
from fabricgen.surfaces import BIT, GRASS, OPEN, TREE, WATER

FRAME = Frame("EPSG:32635", 385_000.0, 6_672_000.0, 17.0, 2.0, 128, 128)
REGION = "fi"
ASKED = {
    "far": "1.5", "site_coverage": "free", "green_ratio": "0.3…0.5", "mean_height_m": "free",
    "road_share": "free", "tree_share": "free",
}  # fmt: skip


def world(shape):
    """A shape of (u, v) in the CRS."""

    def place(uv):
        return np.stack(FRAME.to_world(uv[:, 1] / 2, uv[:, 0] / 2), axis=1)

    return shapely.orient_polygons(shapely.transform(shape, place))


def site_uv():
    return shapely.Polygon([(48, 46), (206, 50), (204, 204), (84, 206), (50, 172)])


def block(u, v, wide, deep, thick):
    outer = shapely.box(u, v, u + wide, v + deep)
    return outer.difference(shapely.box(u + thick, v + thick, u + wide - thick, v + deep - thick))


def plan_of(seed):
    """One design: two blocks, slabs and a tower around a cross of streets."""
    rng = np.random.default_rng(seed)
    site = site_uv()
    across = shapely.LineString([(40, 124), (124 + rng.integers(-6, 7), 124), (215, 120)])
    along = shapely.LineString([(128, 40), (127, 124), (130, 215)])
    path = shapely.LineString([(66, 60), (66, 116)])
    lines = [(across, "local", 7.0), (along, "secondary", 10.0), (path, "path", 2.5)]
    roads = [
        {"id": f"r{n}", "source": "test", "kind": kind, "width_m": width,
         "geometry": world(line.intersection(site.buffer(-0.01)))}
        for n, (line, kind, width) in enumerate(lines)
    ]  # fmt: skip
    shapes = [
        block(140, 58, 52, 52, rng.integers(11, 15)), shapely.box(72, 58, 116, 70),
        shapely.box(72, 92, 116, 104), block(140, 136, 46, 40, 12),
    ]  # fmt: skip
    shapes += [shapely.box(70, 138 + 20 * k, 118, 150 + 20 * k) for k in range(3)]
    shapes += [shapely.affinity.rotate(shapely.box(146, 184, 162, 200), 30)]
    floors = rng.integers(3, 9, len(shapes))
    walls = shapely.union_all(shapes)
    street = shapely.union_all([line.buffer(width / 2) for line, _, width in lines])
    paved = street.buffer(5).intersection(site).difference(shapely.union_all([walls, street]))
    pond = shapely.Point(94, 81).buffer(7).difference(path.buffer(2))
    stems = [(140 + 9 * k, 114.5) for k in range(6)] + [(70 + 8 * k, 131) for k in range(6)]
    stems += list(rng.uniform((152, 72), (180, 98), (int(4 + 3 * seed), 2)))
    stems += list(rng.uniform((160, 150), (172, 162), (4, 2)))
    crown = shapely.union_all([shapely.Point(x).buffer(3.2) for x in stems]).difference(walls)
    left = site.difference(shapely.union_all([walls, street, paved, pond, crown]))
    shrub = shapely.box(188, 180, 204, 204).intersection(left)
    bare = shapely.box(84, 196, 130, 206)
    green = [(left.difference(shapely.union_all([shrub, bare])), "grass"), (shrub, "shrub")]
    green.append((crown.intersection(site), "tree"))
    rows = {
        "buildings": [
            {"id": f"b{n}", "source": "test", "height_m": 3.0 * k, "floors": k, "use": "residential",
             "footprint_m2": shape.area, "geometry": world(shape)}
            for n, (shape, k) in enumerate(zip(shapes, floors, strict=True))
        ],
        "roads": roads,
        "paved": patches("paved", [(paved, "yard")]),
        "water": patches("water", [(pond, "water")]),
        "green": patches("green", green),
        "trees": [
            {"id": f"t{n}", "source": "test", "crown_m": 6.4, "height_m": 8.0,
             "geometry": world(shapely.Point(x))}
            for n, x in enumerate(stems)
        ],
    }  # fmt: skip
    layers = {name: layer(name, FRAME.crs, found) for name, found in rows.items()}
    return check_plan(Plan(world(site), FRAME.crs, **layers))


def patches(name, shapes):
    parts = [(part, kind) for shape, kind in shapes for part in shapely.get_parts(shape)]
    return [
        {"id": f"{name}{n}", "source": "test", "kind": kind, "geometry": world(part)}
        for n, (part, kind) in enumerate(parts)
        if part.geom_type == "Polygon"
    ]


def scheme_of(number, *, draws=64):
    plan = plan_of(number)
    layout = rasterize(plan, FRAME)
    ledger = evaluate(layout, region=REGION, inside=layout.allowed > 0, draws=draws)
    low, middle, high = (float(x) for x in ledger.spread("net")[0])
    seen = green_indicators(layout, layout.allowed > 0, ledger, region=REGION)
    unmet = (
        (Unmet("far", "1.5", of_plan(plan)["far"], "storeys change by whole storeys"),)
        if number == 2
        else ()
    )
    return Scheme(
        name=f"{number:02d}", plan=plan, frame=FRAME, layout=layout,
        score=Score(of_plan(plan) | seen, ledger, (low, middle, high)), seed=40 + number,
        rank=0, tie=0, asked=ASKED, unmet=unmet, origin="guided" if number % 2 else "unguided",
    )  # fmt: skip


@functools.lru_cache(maxsize=1)
def schemes(count=8):
    return rank([scheme_of(number) for number in range(1, count + 1)])


def surroundings():
    """Houses, streets and a park around the site."""
    boxes = []
    for k in range(9):
        boxes.append((14 + 26 * k, 14, 20, 12, 0, 4, len(boxes)))
        boxes.append((14 + 26 * k, 238, 18, 14, 0.05, 5, len(boxes)))
        boxes += [(20, 40 + 22 * k, 14, 16, 0, 3, len(boxes)), (234, 40 + 22 * k, 16, 18, 0, 3, 99)]
    segments = [
        (0, 124, 48, 124, 7, 2), (206, 120, 256, 119, 7, 2), (128, 0, 128, 48, 10, 1),
        (130, 204, 131, 256, 10, 1), (0, 30, 256, 34, 12, 0), (0, 218, 256, 222, 8, 2),
    ]  # fmt: skip
    labels = np.full((128, 128), OPEN, np.uint8)
    v, u = (np.mgrid[:128, :128] + 0.5) * 2
    labels[np.hypot(u - 215, v - 110) < 40] = BIT[GRASS]
    labels[np.hypot(u - 40, v - 150) < 22] = BIT[TREE]
    labels[u + v > 480] = BIT[WATER]
    return surroundings_of(np.array(boxes), np.array(segments), labels, FRAME)


RUN = {
    "verb": "generate",
    "command": ["fabricgen", "generate", "--site", "block.gpkg", "--count", "8"],
    "fabricgen": {"version": "0.1.0", "commit": "0123abcd"},
    "started_utc": "2026-01-01T00:00:00+00:00",
    "seconds": 12.3,
    "seed": 7,
    "settings": {"brief": {"far": 1.5, "green_ratio": [0.3, 0.5]}, "count": 8},
    "versions": {"python": "3.11", "torch": "2.13.0"},
    "inputs": [{"name": "block.gpkg", "sha256": "ab" * 32}],
    "weights": {"name": "default.safetensors", "sha256": "cd" * 32},
    "data": [
        {"name": "town", "license": "ODbL-1.0", "attribution": "© OpenStreetMap contributors"}
    ],
}
