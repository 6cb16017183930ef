"""Plans as GeoParquet: all layers in one table, in the plan's own CRS."""

import json
from collections.abc import Mapping
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyarrow.parquet

from fabricgen.files import atomic_file
from fabricgen.plan import LAYERS, TEXT_COLUMNS, Plan

META = "fabricgen"  # key of the provenance in the file's metadata


def write_geoparquet(plan: Plan, path: Path, *, scheme: str, meta: Mapping[str, object]) -> None:
    """Write a plan as one GeoParquet 1.1 table with a column `layer`.

    Args:
        plan: A plan that passes `check_plan`.
        path: The file, written whole or not at all.
        scheme: Its name, in the column `scheme`.
        meta: Provenance, stored as JSON in the metadata of the file.
    """
    with atomic_file(Path(path)) as part:
        joined(plan, scheme).to_parquet(
            part, index=False, schema_version="1.1.0", compression="zstd"
        )
        table = pyarrow.parquet.read_table(part)
        stored = {**(table.schema.metadata or {}), META.encode(): _json(meta)}
        pyarrow.parquet.write_table(table.replace_schema_metadata(stored), part, compression="zstd")


def joined(plan: Plan, scheme: str) -> gpd.GeoDataFrame:
    """The site and all layers as one table."""
    shapes, parts = [plan.site], [pd.DataFrame({"layer": ["site"]})]
    for name, columns in LAYERS.items():
        table = getattr(plan, name)
        shapes += list(table.geometry)
        parts.append(pd.DataFrame(table[list(columns)]).assign(layer=name))
    rows = pd.concat([part for part in parts if len(part)], ignore_index=True)
    order = dict.fromkeys(column for columns in LAYERS.values() for column in columns)
    rows = rows.reindex(columns=["layer", *order]).assign(scheme=scheme)
    for column in order:
        rows[column] = rows[column].astype("string" if column in TEXT_COLUMNS else "float64")
    geometry = gpd.GeoSeries(shapes, crs=plan.crs)
    return gpd.GeoDataFrame(rows, geometry=geometry, crs=plan.crs)


def _json(meta: Mapping[str, object]) -> bytes:
    return json.dumps(meta, sort_keys=True, default=str, ensure_ascii=False).encode()
