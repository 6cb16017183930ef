"""Does the city go on across the outline of a site: streets that meet, and no line to be seen.

Real plans do not score 1, since real streets also run along an outline, bend and end: divide by
what real plans score on the same sites.
"""

from __future__ import annotations

import numpy as np
import shapely
from scipy import ndimage

from fabricgen.plan import Plan
from fabricgen.quality.maps import EIGHT, city_map, kinds_of, ring_lines, sample
from fabricgen.quality.places import Place
from fabricgen.surfaces import BIT, ROAD

BESIDE_M = 0.75  # from the outline to the pixels on either side
BAND_M = 14.0  # of city in which a street is followed
REACH_M = 10.0  # a street that comes so far from the outline goes somewhere
STUB_M = 4.0  # shorter runs of street along the outline are no stubs
ENTRY_M = 2.0
ALONG_M = 30.0  # longer ones run along the outline
WIDER_M = 2  # an entry counts this far to either side
MET_SHARE = 0.5
INNER_M = (8.0, 16.0)  # of the lines that the outline is compared with
RIM_M = 10.0
CUT_M, ON_EDGE_M = 3.0, 0.5  # a building is cut by an edge this long and this near to the outline
SQUARES_ONLY = ("seam.recall", "seam.precision", "seam.offset", "seam.across", "seam.inner")
NAN = float("nan")


def seam_measures(
    plan: Plan, place: Place, *, labels: np.ndarray | None = None
) -> dict[str, float]:
    """Recall, precision, offset, changes and cut buildings; NaN where there is nothing to judge.

    Squares cut through the city, and what crosses their outline must go on. The outline of a block
    is itself a line in the city: of blocks only cut buildings are counted. The contrast of many
    sites is the mean of `seam.across` over that of `seam.inner`; 1 cannot be seen.

    Args:
        plan: What stands on the site.
        place: The site.
        labels: Its `city_map`, where the caller has it.
    """
    cut = {"seam.cut_buildings": _cut(plan)}
    if place.kind != "square":
        return dict.fromkeys(SQUARES_ONLY, NAN) | cut
    labels = city_map(plan, place) if labels is None else labels
    road, inside = labels == BIT[ROAD], place.inside
    outer = _reaching(road & ~inside, ndimage.distance_transform_edt(~inside))
    inner = _reaching(road & inside, ndimage.distance_transform_edt(inside))
    met, stubs, answered, entries, offset = 0, 0, 0, 0, []
    for line in ring_lines(place, inward_m=0.0):
        out, into = (
            sample(mask, line, outward_m=side)
            for mask, side in ((outer, BESIDE_M), (inner, -BESIDE_M))
        )
        here, there = _runs(out, STUB_M), _runs(into, ENTRY_M)
        for run in here:
            stubs += 1
            if _share(_widened(into), run) >= MET_SHARE:
                met += 1
                offset += _apart(run, there, len(line))
        for run in _runs(into, STUB_M):
            entries += 1
            answered += _share(_widened(out), run) >= MET_SHARE
    return {
        "seam.recall": met / stubs if stubs else NAN,
        "seam.precision": answered / entries if entries else NAN,
        "seam.offset": float(np.mean(offset)) if offset else NAN,
        **_contrast(kinds_of(labels), place),
        **cut,
    }


def _reaching(road: np.ndarray, away_m: np.ndarray) -> np.ndarray:
    """Street within 14 m of the outline that leads 10 m away from it, (H, W) bool."""
    part, count = ndimage.label(road & (away_m <= BAND_M), structure=EIGHT)
    far = ndimage.maximum(away_m, part, np.arange(1, count + 1)) if count else np.zeros(0)
    leads = np.concatenate([[False], np.asarray(far) >= REACH_M])
    return leads[part]


def _runs(mask: np.ndarray, least_m: float) -> list[np.ndarray]:
    """Runs of True on a ring, as indices; those that go along the outline left out."""
    if mask.all() or not mask.any():
        return []
    start = int(np.flatnonzero(~mask)[0])
    turned = np.roll(mask, -start)
    edge = np.flatnonzero(np.diff(np.concatenate([[False], turned, [False]]).astype(int)))
    runs = [np.arange(a, b) for a, b in edge.reshape(-1, 2) if least_m <= b - a <= ALONG_M]
    return [(run + start) % len(mask) for run in runs]


def _widened(mask: np.ndarray) -> np.ndarray:
    return np.any([np.roll(mask, n) for n in range(-WIDER_M, WIDER_M + 1)], axis=0)


def _share(mask: np.ndarray, run: np.ndarray) -> float:
    return float(mask[run].mean())


def _apart(run: np.ndarray, entries: list[np.ndarray], around: int) -> list[float]:
    """Distance along the ring from the middle of a run to that of the nearest entry beside it."""
    reach = np.unique((run[:, None] + np.arange(-WIDER_M, WIDER_M + 1)) % around)
    met = [_middle(entry, around) for entry in entries if np.isin(entry, reach).any()]
    if not met:  # the entry is wide enough to be a street along the outline
        return []
    off = np.abs((np.array(met) - _middle(run, around) + around / 2) % around - around / 2)
    return [float(off.min())]


def _middle(run: np.ndarray, around: int) -> float:
    return float((run[0] + (len(run) - 1) / 2) % around)


def _contrast(kinds: np.ndarray, place: Place) -> dict[str, float]:
    """Changes of kind per meter across the outline, and across lines inside."""
    inner = [_changes(kinds, ring_lines(place, inward_m=d)) for d in INNER_M]
    known = [share for share in inner if not np.isnan(share)]
    return {
        "seam.across": _changes(kinds, ring_lines(place, inward_m=0.0)),
        "seam.inner": float(np.mean(known)) if known else NAN,
    }


def _changes(kinds: np.ndarray, lines: list[np.ndarray]) -> float:
    """Share of a line on whose two sides different things stand."""
    pairs = [[sample(kinds, line, outward_m=s) for s in (BESIDE_M, -BESIDE_M)] for line in lines]
    return float(np.concatenate([a != b for a, b in pairs]).mean()) if pairs else NAN


def _cut(plan: Plan) -> float:
    """Share of the buildings in the rim that end exactly on the outline."""
    outline = shapely.boundary(plan.site)
    shape = plan.buildings.geometry.to_numpy()
    rim = shape[shapely.distance(shape, outline) <= RIM_M]
    if not len(rim):
        return NAN
    strip = shapely.buffer(outline, ON_EDGE_M)
    ending = shapely.length(shapely.intersection(shapely.boundary(rim), strip))
    # A wall across the strip is inside it as well, for less than twice its width each.
    return float((ending > CUT_M).mean())
