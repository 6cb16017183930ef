"""Any number of plans for measurements: real blocks of the demo's city, each time another design.

Windows of the extract are read as mapped. A plan is one of them turned by an angle of its own, with
some houses left out and the others higher or lower, so that no two have the same grid or numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from fabricgen.batch import write_plan_table
from fabricgen.errors import InputError
from fabricgen.files import atomic_file, shipped
from fabricgen.plan import Plan, check_plan
from fabricgen.quality.reals import Extract, mapped_plan

EDGES_M = (100.0, 140.0)  # of the windows: 1 to 2 ha
LEAST_HOUSES = 4
BASES = 96
KEPT = 0.85  # of the houses of a window
LOWEST, HIGHEST = 0.6, 1.6  # times the height that is mapped
SMALLEST_M2 = 10.0
HEIGHT_M = 12.0  # of a house that says none
PER_GROUP = 128  # plans in a row group
SEED = 20260101


def write_plans(count: int, path: Path, *, bases: int = BASES) -> None:
    """Writes a table of so many plans, a row group at a time.

    Args:
        count: Of plans.
        path: The Parquet file.
        bases: Real windows behind them.

    Raises:
        InputError: The extract has not enough windows.
    """
    rng = np.random.default_rng(SEED)
    with atomic_file(path) as part:
        source = part.with_name("bases.parquet")
        write_plan_table(_bases(bases, rng), source)
        meta = pq.read_schema(source).metadata
        rows = gpd.read_parquet(source)
        source.unlink()
        windows = [one for _, one in rows.groupby("scheme", sort=False)]
        with pq.ParquetWriter(part, _schema(rows, meta), compression="zstd") as table:
            for start in range(0, count, PER_GROUP):
                some = range(start, min(start + PER_GROUP, count))
                table.write_table(_group(windows, some, rng).cast(_schema(rows, meta)))


def _schema(rows: gpd.GeoDataFrame, meta: dict[bytes, bytes]) -> pa.Schema:
    kinds = {
        name: pa.float64() if pd.api.types.is_numeric_dtype(rows[name]) else pa.string()
        for name in rows.columns
        if name != "geometry"
    }
    return pa.schema([*kinds.items(), ("geometry", pa.binary())], metadata={b"geo": meta[b"geo"]})


def _bases(count: int, rng: np.random.Generator) -> Iterator[tuple[str, Plan]]:
    """Sound plans of windows of the extract."""
    extract = Extract.open(shipped("demo") / "helsinki-centre.osm.pbf")
    west, south, east, north = shapely.total_bounds(extract.mapped.buildings.shape)
    found = 0
    for _ in range(100 * count):
        if found == count:
            return
        wide, deep = rng.uniform(*EDGES_M, size=2)
        x, y = rng.uniform(west, east - wide), rng.uniform(south, north - deep)
        plan = _sound(mapped_plan(extract, shapely.box(x, y, x + wide, y + deep)))
        if len(plan.buildings) < LEAST_HOUSES:
            continue
        try:
            yield f"w{found:03d}", check_plan(plan)
        except InputError:
            continue  # a map has overlaps that a plan must not have
        found += 1
    raise InputError(f"{found} sound windows in the extract", "ask for fewer")


def _sound(plan: Plan) -> Plan:
    """A plan whose houses stand neither on streets nor in water, nor in each other."""
    blocked = shapely.union_all([plan.carriageways, plan.water.union_all()])
    shapes = shapely.difference(plan.buildings.geometry.to_numpy(), blocked)
    houses = plan.buildings.assign(
        height_m=plan.buildings["height_m"].fillna(HEIGHT_M), geometry=shapes
    ).explode(ignore_index=True)
    houses = houses[(houses.geometry.geom_type == "Polygon") & (houses.area > SMALLEST_M2)]
    first, second = houses.sindex.query(houses.geometry, predicate="intersects")
    apart = shapely.area(
        shapely.intersection(houses.geometry.to_numpy()[first], houses.geometry.to_numpy()[second])
    )
    late = np.unique(second[(first < second) & (apart > 0)])
    houses = houses.drop(index=houses.index[late]).reset_index(drop=True)
    names = [str(n) for n in range(len(houses))]
    return replace(plan, buildings=houses.assign(id=names, footprint_m2=houses.area))


def _group(windows: list[gpd.GeoDataFrame], numbers: range, rng: np.random.Generator) -> pa.Table:
    """The rows of some plans."""
    parts, turns = [], []
    for number in numbers:
        rows = windows[number % len(windows)]
        house = (rows["layer"] == "buildings").to_numpy()
        kept = ~house | (rng.random(len(rows)) < KEPT)
        factor = np.where(house, rng.uniform(LOWEST, HIGHEST, len(rows)), 1.0)[kept]
        some = rows[kept]
        parts.append(
            some.assign(scheme=f"p{number:06d}", height_m=some["height_m"] * factor, floors=np.nan)
        )
        turns.append(np.full(len(some), rng.uniform(0, np.pi / 2)))
    table = pd.concat(parts, ignore_index=True)
    shapes = _turned(table.geometry.to_numpy(), np.concatenate(turns))
    columns = {name: table[name] for name in table.columns if name != "geometry"}
    wkb = pa.array(shapely.to_wkb(shapes), type=pa.binary())
    return pa.table(
        {name: pa.array(values) for name, values in columns.items()} | {"geometry": wkb}
    )


def _turned(shapes: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Each shape turned by its angle about one point, so that those of a plan turn together."""
    xy, of_shape = shapely.get_coordinates(shapes, return_index=True)
    middle = xy.mean(axis=0)
    cos, sin = np.cos(angles[of_shape]), np.sin(angles[of_shape])
    u, v = (xy - middle).T
    turned = np.stack([cos * u - sin * v, sin * u + cos * v], axis=1) + middle
    return shapely.set_coordinates(shapes.copy(), turned)
