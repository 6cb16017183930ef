"""Traced streets against real ones: junctions that come back, and nets that stay in one piece.

Streets that count are carriageways, which the raster draws as road; foot and cycle ways are drawn
as paved ground. Junctions are places where three or more pieces of street meet, those within 8 m
made one as in the descriptors, those at the edge of the site left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fabricgen.plan import Plan
from fabricgen.quality.drawn import Drawn, drawn_of
from fabricgen.quality.streets import EDGE_M, MERGE_M

FOUND_M = 6.0  # a junction this near to another is that one
TOUCH_M = 0.01
DIGITS = 3  # of meters: ends that differ by less are one
SHOWN_M = 4.0  # of a street beside all others and roofs, for a raster to show it
MORE_NETS = 1  # traced nets that may be more than real ones


@dataclass(frozen=True, eq=False)
class Network:
    """Streets as a graph.

    Attributes:
        junction: Places where three or more pieces meet, (J, 2).
        shown: Of which three or more pieces have ground of their own, (J,) bool.
        nets: Connected parts.
        shown_nets: The same where a street ends under each roof.
    """

    junction: np.ndarray
    shown: np.ndarray
    nets: int
    shown_nets: int


@dataclass(frozen=True)
class RoadMatch:
    """One window's streets against the real ones; counts."""

    real: int  # junctions
    found: int  # of which traced
    shown: int  # real junctions that the raster shows
    shown_found: int
    traced: int  # junctions
    true: int  # of which real
    real_nets: int
    shown_nets: int
    traced_nets: int

    @staticmethod
    def summary(rows: Sequence[RoadMatch]) -> dict[str, float]:
        """Figures of many windows."""
        total = {name: sum(getattr(row, name) for row in rows) for name in vars(rows[0])}
        return {
            "junctions": float(total["real"]),
            "found": _share(total["found"], total["real"]),
            "shown": _share(total["shown"], total["real"]),
            "found of shown": _share(total["shown_found"], total["shown"]),
            "real of traced": _share(total["true"], total["traced"]),
            "nets": total["real_nets"] / len(rows),
            "shown nets": total["shown_nets"] / len(rows),
            "traced nets": total["traced_nets"] / len(rows),
            "nets <= real + 1": _held([(row.traced_nets, row.real_nets) for row in rows]),
            "nets <= shown + 1": _held([(row.traced_nets, row.shown_nets) for row in rows]),
        }


def match_roads(real: Plan, traced: Plan) -> RoadMatch:
    """Compares two plans of a site."""
    one, other = network(drawn_of(real)), network(drawn_of(traced))
    found, true = _near(one.junction, other.junction), _near(other.junction, one.junction)
    return RoadMatch(
        real=len(found),
        found=int(found.sum()),
        shown=int(one.shown.sum()),
        shown_found=int((found & one.shown).sum()),
        traced=len(true),
        true=int(true.sum()),
        real_nets=one.nets,
        shown_nets=one.shown_nets,
        traced_nets=other.nets,
    )


def network(drawn: Drawn) -> Network:
    """The graph of the carriageways of a plan, cut where they cross."""
    pieces = shapely.get_parts(shapely.union_all(drawn.street))
    pieces = pieces[shapely.get_type_id(pieces) == 1]
    ends = np.stack([shapely.get_coordinates(shapely.get_point(pieces, at)) for at in (0, -1)])
    ends = ends.transpose(1, 0, 2).reshape(-1, 2)
    place, end, arms = np.unique(
        np.round(ends, DIGITS), axis=0, return_inverse=True, return_counts=True
    )
    inside = shapely.distance(shapely.points(place), shapely.boundary(drawn.site)) > EDGE_M
    meets = np.flatnonzero((arms > 2) & inside)
    group = _merged(place[meets])
    count = group.max(initial=-1) + 1
    at = np.full(len(place), -1)
    at[meets] = group
    one, other = at[end.reshape(-1, 2).T]
    arms = _own(pieces, drawn) & (one != other)
    own = np.bincount(np.concatenate([one[arms], other[arms]]) + 1, minlength=count + 1)[1:]
    near = np.stack([np.bincount(group, place[meets, k], minlength=count) for k in (0, 1)], axis=1)
    size = np.bincount(group, minlength=count)
    return Network(
        near / size[:, None],
        own > 2,
        _nets(pieces),
        _nets(shapely.get_parts(shapely.difference(pieces, drawn.built))),
    )


def _merged(place: np.ndarray) -> np.ndarray:
    """Number of the junction that each place belongs to, (N,)."""
    if len(place) < 2:
        return np.zeros(len(place), int)
    number: np.ndarray = fcluster(linkage(place, "single"), MERGE_M, "distance") - 1
    return number


def _own(pieces: np.ndarray, drawn: Drawn) -> np.ndarray:
    """Which pieces show ground of their own: outside of roofs and of other carriageways, (N,)."""
    middle = shapely.line_interpolate_point(pieces, 0.5, normalized=True)
    street = shapely.STRtree(drawn.street).query_nearest(middle, all_matches=False)[1]
    strips = shapely.buffer(pieces, drawn.street_width_m[street] / 2, cap_style="flat")
    tree = shapely.STRtree(strips)
    found = np.zeros(len(pieces), bool)
    for k, piece in enumerate(pieces):
        others = tree.query(piece, predicate="intersects")
        over = shapely.union_all([drawn.built, *strips[others[others != k]]])
        found[k] = piece.difference(over).length >= SHOWN_M
    return found


def _nets(pieces: np.ndarray) -> int:
    """Connected parts of lines; those as short as a tracer leaves out are none."""
    pieces = pieces[shapely.length(pieces) > 0]
    i, j = shapely.STRtree(pieces).query(pieces, predicate="dwithin", distance=TOUCH_M)
    links = coo_array((np.ones(len(i)), (i, j)), shape=(len(pieces), len(pieces)))
    if not len(pieces):
        return 0
    net = connected_components(links, directed=False)[1]
    return int((np.bincount(net, shapely.length(pieces)) >= SHOWN_M).sum())


def _near(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Which places of one have one of the other within reach, (N,) bool."""
    if not len(one) or not len(other):
        return np.zeros(len(one), bool)
    away = np.hypot(*(one[:, None] - other[None]).transpose(2, 0, 1))
    near: np.ndarray = away.min(axis=1) <= FOUND_M
    return near


def _held(nets: Sequence[tuple[int, int]]) -> float:
    return float(np.mean([traced <= real + MORE_NETS for traced, real in nets]))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
