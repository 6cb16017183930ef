import geopandas as gpd
import pytest
import shapely

from fabricgen.plan import Plan, layer

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
