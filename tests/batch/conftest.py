"""Small plans made by code, tables of them, and an engine that works in this process."""

import numpy as np
import pytest
import shapely

from fabricgen.batch import BatchSettings, score_many, write_plan_table
from fabricgen.design.candidates import ScoreSettings
from fabricgen.plan import LAYERS, Plan, layer
from fabricgen.steps import quiet

CRS = "EPSG:32635"
X, Y = 385_000.0, 6_672_000.0
FAST = ScoreSettings(draws=8, pixel_m=2.0, sunlight="quick")
SMALL = BatchSettings(workers=1, plans_per_part=3)


def made_plan(seed: int) -> Plan:
    """A yard of its own size with up to six houses, turned, with a lawn, trees, a street, a pond."""
    rng = np.random.default_rng(seed)
    width, depth, turn = rng.uniform(50, 80), rng.uniform(40, 60), rng.uniform(0, 90)
    base = {"source": "test", "use": ""}

    def placed(shape):
        return shapely.affinity.rotate(shape, turn, origin=(X, Y))

    houses, lawns, stems = [], [], []
    for n, (u, v) in enumerate((u, v) for u in (6, 22, 38) for v in (10, 28)):
        if n and rng.random() < 0.3:
            continue
        wide, deep = rng.uniform(7, 10, 2)
        if v + deep + 4 > depth or u + wide + 4 > width:
            continue
        house = shapely.box(X + u, Y + v, X + u + wide, Y + v + deep)
        houses.append({
            **base, "id": f"b{n}", "height_m": float(rng.uniform(4, 25)), "floors": np.nan,
            "footprint_m2": house.area, "geometry": placed(house),
        })  # fmt: skip
        lawn = shapely.box(X + u, Y + v + deep + 0.5, X + u + wide, Y + v + deep + 3)
        lawns.append({**base, "id": f"g{n}", "kind": "grass", "geometry": placed(lawn)})
        stem = shapely.Point(X + u + wide + 2, Y + v + 2)
        stems.append(
            {**base, "id": f"t{n}", "crown_m": 4.0, "height_m": 7.0, "geometry": placed(stem)}
        )
    line = shapely.LineString([(X, Y + 4), (X + width, Y + 4)])
    roads = [{**base, "id": "r", "kind": "local", "width_m": 5.0, "geometry": placed(line)}]
    tables = {name: layer(name, CRS) for name in LAYERS}
    made = {"buildings": houses, "green": lawns, "trees": stems, "roads": roads}
    tables |= {name: layer(name, CRS, rows) for name, rows in made.items() if rows}
    return Plan(placed(shapely.box(X, Y, X + width, Y + depth)), CRS, **tables)


def named_plans(count: int) -> list[tuple[str, Plan]]:
    return [(f"p{n:04d}", made_plan(n)) for n in range(count)]


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """A table of twelve plans."""
    path = tmp_path_factory.mktemp("plans") / "plans.parquet"
    write_plan_table(named_plans(12), path)
    return path


def engine_here(done):
    """An engine in this process, which notes the parts that it has done."""

    def engine(function, items, **_):
        for index, item in enumerate(items):
            answer = function(item, quiet)
            done.append(item.part.number)
            yield index, answer

    return engine


@pytest.fixture
def inline(monkeypatch):
    """Work in this process, and the parts in the order in which they were done."""
    done = []
    monkeypatch.setattr("fabricgen.batch.run.run_engine", engine_here(done))
    return done


@pytest.fixture(scope="session")
def whole(table, tmp_path_factory):
    """Results of a run over the table that nothing stopped."""
    out = tmp_path_factory.mktemp("whole") / "o"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fabricgen.batch.run.run_engine", engine_here([]))
        score_many([table], out=out, settings=FAST, batch=SMALL)
    return out
