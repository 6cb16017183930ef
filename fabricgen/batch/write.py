"""Plans into one table, as they are made: never all in memory."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fabricgen.errors import InputError
from fabricgen.exchange.geoparquet import joined
from fabricgen.files import atomic_file
from fabricgen.plan import Plan

PLANS_PER_GROUP = 128  # in a row group, which is what a reader takes at a time


def write_plan_table(plans: Iterable[tuple[str, Plan]], path: Path) -> int:
    """Writes plans as one GeoParquet table with a row for each feature, plan by plan.

    Args:
        plans: (name of the scheme, plan), all in one CRS; names are unique.
        path: The file, written whole or not at all.

    Returns:
        How many plans.

    Raises:
        InputError: No plans, or plans of several coordinate systems.
    """
    source, count = iter(plans), 0
    with atomic_file(Path(path)) as part:
        writer: pq.ParquetWriter | None = None
        crs = ""
        try:
            while some := list(islice(source, PLANS_PER_GROUP)):
                crs = crs or some[0][1].crs
                table = _table(some, crs)
                writer = writer or pq.ParquetWriter(part, table.schema, compression="zstd")
                writer.write_table(table.cast(writer.schema))
                count += len(some)
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise InputError("no plans to write", "give at least one")
    return count


def _table(plans: list[tuple[str, Plan]], crs: str) -> pa.Table:
    others = {plan.crs for _, plan in plans} - {crs}
    if others:
        raise InputError(f"plans in {crs} and {others.pop()}", "bring them to one CRS")
    rows = pd.concat([joined(plan, name) for name, plan in plans], ignore_index=True)
    buffer = io.BytesIO()
    gpd.GeoDataFrame(rows, crs=crs).to_parquet(buffer, index=False, schema_version="1.1.0")
    table = pq.read_table(buffer)
    return table.replace_schema_metadata({b"geo": _of_any_row(table.schema.metadata[b"geo"])})


def _of_any_row(geo: bytes) -> bytes:
    """What GeoParquet says of a geometry column, without what holds for these rows alone."""
    card = json.loads(geo)
    column = card["columns"]["geometry"]
    column.pop("bbox", None)
    column["geometry_types"] = []  # any
    return json.dumps(card).encode()
