"""Descriptors of streets: their shares of the ground, and the network of their center lines."""

from __future__ import annotations

import numpy as np
import shapely
from scipy.cluster.hierarchy import fcluster, linkage
from shapely.geometry.base import BaseGeometry

from fabricgen.quality.buildings import resultant
from fabricgen.quality.drawn import Drawn

MERGE_M = 8.0  # nodes nearer than this are one
EDGE_M = 1.0  # a line that ends this near to the site's outline goes on outside
NAN = float("nan")


def street_descriptors(drawn: Drawn) -> dict[str, float]:
    """The descriptors `road.*` and `paved.share`; without streets most are NaN."""
    length_m = float(shapely.length(drawn.street).sum())
    road_m2 = drawn.ground["road"].area
    degree = node_degrees(drawn.street, drawn.site)
    counted = degree[degree != 2]
    return {
        "road.share": road_m2 / drawn.site.area,
        "paved.share": drawn.ground["paved"].area / drawn.site.area,
        "road.length_ha": length_m / drawn.area_ha,
        "road.width": road_m2 / length_m if length_m > 0 else NAN,
        "road.nodes_ha": float((degree > 2).sum()) / drawn.area_ha,
        "road.deadends": float((counted == 1).mean()) if len(counted) else NAN,
        "road.order": _order(drawn.street),
    }


def node_degrees(lines: np.ndarray, site: BaseGeometry) -> np.ndarray:
    """How many pieces of street meet at each node inside a site, (N,).

    Lines are cut where they cross, nodes within 8 m are one, and places where a street leaves the
    site are no nodes.
    """
    pieces = shapely.get_parts(shapely.union_all(lines))
    pieces = pieces[shapely.get_type_id(pieces) == 1]
    if not len(pieces):
        return np.zeros(0, int)
    ends = np.stack(
        [shapely.get_coordinates(shapely.get_point(pieces, at)) for at in (0, -1)], axis=1
    ).reshape(-1, 2)
    node = fcluster(linkage(ends, "single"), MERGE_M, "distance") - 1
    one, other = node[::2], node[1::2]
    # A piece inside a node is none, unless it is a loop that comes back from afar.
    real = (one != other) | (shapely.length(pieces) > 2 * MERGE_M)
    count = node.max() + 1
    degree = np.bincount(one[real], minlength=count) + np.bincount(other[real], minlength=count)
    leaving = shapely.distance(shapely.points(ends), shapely.boundary(site)) <= EDGE_M
    at_edge = np.bincount(node, leaving, minlength=count) > 0
    return degree[~at_edge & (degree > 0)]


def _order(lines: np.ndarray) -> float:
    xy, owner = shapely.get_coordinates(lines, return_index=True)
    way = np.diff(xy, axis=0)[np.diff(owner) == 0]
    total = np.hypot(way[:, 0], way[:, 1]).sum()
    return float(np.abs(resultant(way).sum()) / total) if total > 0 else NAN
