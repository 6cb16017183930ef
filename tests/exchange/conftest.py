"""A small plan with something in every layer."""

import pytest
import shapely

from fabricgen.plan import Plan, layer

CRS = "EPSG:32635"
X, Y = 385_000.0, 6_672_000.0


def box(u0, v0, u1, v1):
    return shapely.box(X + u0, Y + v0, X + u1, Y + v1)


@pytest.fixture
def plan():
    """A block of 100 m with two houses, a street, a way, a lawn, a tree and a pond."""
    tree = shapely.Point(X + 70, Y + 70)
    canopy = tree.buffer(3)
    lawn = box(60, 60, 95, 95).difference(canopy)
    base = {"source": "test"}
    return Plan(
        box(0, 0, 100, 100),
        CRS,
        buildings=layer("buildings", CRS, [
            {**base, "id": "b1", "height_m": 12.0, "floors": 4, "use": "residential",
             "footprint_m2": 400.0, "geometry": box(10, 60, 50, 70)},
            {**base, "id": "b2", "height_m": 6.0, "floors": 2, "use": "",
             "footprint_m2": 300.0, "geometry": box(10, 75, 40, 85)},
        ]),
        roads=layer("roads", CRS, [
            {**base, "id": "r1", "kind": "local", "width_m": 7.0,
             "geometry": shapely.LineString([(X, Y + 30), (X + 100, Y + 30)])},
            {**base, "id": "r2", "kind": "path", "width_m": 2.5,
             "geometry": shapely.LineString([(X + 55, Y + 30), (X + 55, Y + 100)])},
        ]),
        paved=layer("paved", CRS, [
            {**base, "id": "p1", "kind": "yard", "geometry": box(10, 40, 50, 58)},
        ]),
        water=layer("water", CRS, [
            {**base, "id": "w1", "kind": "water", "geometry": box(70, 5, 90, 20)},
        ]),
        green=layer("green", CRS, [
            {**base, "id": "g1", "kind": "grass", "geometry": lawn},
            {**base, "id": "g2", "kind": "tree", "geometry": canopy},
        ]),
        trees=layer("trees", CRS, [
            {**base, "id": "t1", "crown_m": 6.0, "height_m": 8.0, "geometry": tree},
        ]),
    )  # fmt: skip
