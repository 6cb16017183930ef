"""Streets that stand on no wall: narrower beside walls, cut where one stands on their middle."""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby, pairwise

import geopandas as gpd
import shapely
from shapely.geometry.base import BaseGeometry
from shapely.ops import substring

from fabricgen.plan import layer

GAP_M = 0.02  # carriageways keep this much off walls
THIN_SHARE = 0.6  # a street loses its width down to this beside a wall
LEAST_M = 2.0  # and where that is not enough down to this; below it is cut
LEAST_LINE_M = 4.0  # shorter dead ends that a cut leaves are left out
HAIR_M = 0.01  # what a round outline of straight pieces may miss; half of the gap


def beside(roads: gpd.GeoDataFrame, built: BaseGeometry) -> gpd.GeoDataFrame:
    """Streets that no wall stands on.

    Args:
        roads: Rows of the plan layer `roads`.
        built: Footprints in its CRS.

    Returns:
        Rows of that layer; pieces of one street meet exactly.
    """
    rows: list[dict] = []
    cut: list[dict] = []
    shapely.prepare(built)
    for row in roads.to_dict("records"):
        line, width_m = row["geometry"], float(row["width_m"])
        room_m = 2 * (shapely.distance(line, built) - GAP_M)
        if room_m >= THIN_SHARE * width_m:
            rows.append(row | {"width_m": min(width_m, room_m)})
        else:
            parts = _narrowed(line, width_m, built)
            cut += [row | {"geometry": part, "width_m": wide_m} for part, wide_m in parts]
    rows = _without_bits(rows, cut)
    for number, row in enumerate(rows, start=1):
        row["id"] = f"r{number}"
    return layer("roads", str(roads.crs), rows)


def _narrowed(
    line: shapely.LineString, width_m: float, built: BaseGeometry
) -> Iterator[tuple[shapely.LineString, float]]:
    """Pieces of a line with the greatest width each has room for."""
    widths = sorted({width_m, THIN_SHARE * width_m, min(LEAST_M, width_m)}, reverse=True)
    stops = {0.0, line.length}
    for wide_m in widths:
        free = line.difference(built.buffer(wide_m / 2 + GAP_M))
        for part in shapely.get_parts(free):
            if part.length > 0:
                stops |= {line.project(shapely.Point(part.coords[at])) for at in (0, -1)}
    pieces = [(a, b) for a, b in pairwise(sorted(stops)) if b - a > 0]
    rooms_m = [
        2 * (shapely.distance(substring(line, a, b), built) - GAP_M + HAIR_M) for a, b in pieces
    ]
    fits = [next((w for w in widths if w <= room_m), None) for room_m in rooms_m]
    for wide_m, run in groupby(zip(pieces, fits, strict=True), key=lambda item: item[1]):
        own = [piece for piece, _ in run]
        if wide_m is not None:
            yield substring(line, own[0][0], own[-1][1]), wide_m


def _without_bits(rows: list[dict], cut: list[dict]) -> list[dict]:
    """All rows but short ones among the cut that end loose."""

    def ends(row: dict) -> list[tuple[float, ...]]:
        return [row["geometry"].coords[at] for at in (0, -1)]

    met = Counter(end for row in (*rows, *cut) for end in ends(row))
    kept = [
        row
        for row in cut
        if row["geometry"].length >= LEAST_LINE_M or min(met[end] for end in ends(row)) > 1
    ]
    return [*rows, *kept]
