"""GeoPackages of many sites as one, without ever holding all of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio
from pyproj import CRS

from fabricgen.errors import InputError
from fabricgen.exchange.gpkg import GEOMETRY, add_styles, metadata_of, read_layer
from fabricgen.files import atomic_file
from fabricgen.plan import LAYERS

AT_ONCE = 64  # files in memory


def join_schemes(
    parts: Sequence[tuple[str, Path]], path: Path, *, meta: Mapping[str, object] | None = None
) -> None:
    """Files that `write_schemes` wrote, side by side in one, whole or not at all.

    Args:
        parts: (name of the site, its file), all in one CRS. A scheme is called `<site>-<scheme>`
            in the joined file, whose layers have the site's name in a column `block`.
        path: The file.
        meta: Provenance, as in `write_schemes`.

    Raises:
        InputError: No parts, or parts of several coordinate systems.
        FormatError: A part is not what `write_schemes` wrote.
    """
    if not parts:
        raise InputError("no schemes to join", "give the files of at least one site")
    crs = read_layer(parts[0][1], "site").crs
    with atomic_file(Path(path)) as target:
        for name in ("site", *LAYERS):
            first: dict[str, object] = {}
            if name == "site":
                first = {"layer_metadata": metadata_of(meta or {})}
            for start in range(0, len(parts), AT_ONCE):
                pyogrio.write_dataframe(
                    _table(name, parts[start : start + AT_ONCE], crs),
                    target,
                    layer=name,
                    driver="GPKG",
                    geometry_type=GEOMETRY[name],
                    append=target.exists(),
                    **(first if start == 0 else {}),
                )
        add_styles(target)


def _table(name: str, parts: Sequence[tuple[str, Path]], crs: CRS) -> gpd.GeoDataFrame:
    """One layer of some files; floors may be unknown in any, so the column allows that in all."""
    tables = []
    for block, path in parts:
        table = read_layer(path, name)
        if table.crs != crs:
            found = f"{path.name} is in {table.crs}, the others in {crs}"
            raise InputError(found, "bring them to one CRS")
        table.insert(0, "block", block)
        table["scheme"] = [f"{block}-{scheme}" for scheme in table["scheme"]]
        tables.append(table)
    joined = gpd.GeoDataFrame(pd.concat(tables, ignore_index=True), crs=crs)
    return joined.astype({"floors": float}) if "floors" in joined else joined
