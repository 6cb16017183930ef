import geopandas as gpd
import numpy as np
import pytest
import shapely

from fabricgen.city.window import Window
from fabricgen.design.site import Site
from fabricgen.layout import Frame
from fabricgen.plan import Plan, layer, site_mask
from fabricgen.quality.places import Place
from fabricgen.surfaces import BARE, BIT, ROAD

CRS = "EPSG:32635"


@pytest.fixture(scope="session")
def make_plan():
    """A plan from plain shapes: buildings as (polygon, height), roads as (line, width, kind)."""

    def make(site, buildings=(), roads=(), green=(), *, paved=(), trees=(), water=()) -> Plan:
        rows = {
            "buildings": [{"geometry": b, "height_m": h} for b, h in buildings],
            "roads": [{"geometry": line, "width_m": w, "kind": k} for line, w, k in roads],
            "green": [{"geometry": g, "kind": k} for g, k in green],
            "paved": [{"geometry": p, "kind": "yard"} for p in paved],
            "water": [{"geometry": w, "kind": "water"} for w in water],
            "trees": [{"geometry": t, "crown_m": c, "height_m": 8.0} for t, c in trees],
        }
        layers = {
            name: layer(name, CRS, [row | {"id": f"{name}{n}"} for n, row in enumerate(some)])
            for name, some in rows.items()
        }
        return Plan(site, CRS, **layers)

    return make


@pytest.fixture(scope="session")
def moved_plan():
    """The same plan under an affine map (a, b, d, e, x, y)."""

    def move(plan: Plan, matrix) -> Plan:
        a, b, d, e, x, y = matrix

        def turn(xy):
            return shapely.transform(xy, lambda p: p @ [[a, d], [b, e]] + [x, y])

        tables = {}
        for name in ("buildings", "roads", "paved", "water", "green", "trees"):
            table: gpd.GeoDataFrame = getattr(plan, name)
            tables[name] = table.set_geometry(
                gpd.GeoSeries(turn(table.geometry.to_numpy()), index=table.index, crs=plan.crs)
            )
        return Plan(turn(plan.site), plan.crs, **tables)

    return move


TILE = 256  # a tile of 1 m whose top left corner lies at (0, 256): u = x, v = 256 - y
MIDDLE = shapely.box(68, 68, 188, 188)


@pytest.fixture(scope="session")
def make_place():
    """A place on a flat tile from labels, boxes (center x y, width, depth, floors) and streets."""

    def make(
        labels=None, boxes=(), segments=(), *, site=MIDDLE, kind="square", name="p", mapped=()
    ):
        if labels is None:
            labels = np.full((TILE, TILE), BIT[BARE], np.uint8)
        rows = [(x, TILE - y, w, d, 0.0, floors, n) for n, (x, y, w, d, floors) in enumerate(boxes)]
        lines = [(a, TILE - b, c, TILE - d, width, k) for a, b, c, d, width, k in segments]
        fine, coarse = (
            Frame(CRS, 0.0, 256.0, 0.0, p, int(TILE / p), int(TILE / p)) for p in (1.0, 2.0)
        )
        windows = [
            Window(
                np.ascontiguousarray(labels[:: int(f.pixel_m), :: int(f.pixel_m)]),
                np.zeros((f.rows, f.cols), np.uint16),
                np.array(rows, np.float32).reshape(-1, 7),
                np.array(lines, np.float32).reshape(-1, 6),
                f, 0.0, "flat",
            )
            for f in (fine, coarse)
        ]  # fmt: skip
        editable = site_mask(site, coarse).numpy()
        place = Site(site, coarse, windows[1], {"name": "flat"}, editable, (27.0, 0.0))
        return Place(name, kind, place, windows[0], windows[1], frozenset(mapped))

    return make


@pytest.fixture(scope="session")
def cross_labels():
    """Two carriageways of 8 m that cross in the middle of a tile, bare ground around."""
    labels = np.full((TILE, TILE), BIT[BARE], np.uint8)
    labels[124:132] = labels[:, 124:132] = BIT[ROAD]
    return labels
