"""Forty numbers of a plan, after urban morphometrics and landscape ecology.

Lengths in m, areas in m², per hectare of the site. The list follows the primary characters of
urban form (Fleischmann et al. 2021, EPB, doi 10.1177/23998083211059835) and standard landscape
metrics; `docs/evaluate.md` defines each.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from fabricgen.errors import SettingsError
from fabricgen.plan import Plan
from fabricgen.quality.buildings import building_descriptors
from fabricgen.quality.drawn import drawn_of
from fabricgen.quality.greenery import green_descriptors
from fabricgen.quality.streets import street_descriptors

# Descriptor: how it is transformed before sets are compared.
KEYS = {
    "bld.count_ha": "log1p", "bld.cover": "", "bld.far": "",
    "bld.area_med": "log", "bld.area_p90": "log",
    "bld.eri": "", "bld.convexity": "", "bld.elongation": "", "bld.corners": "log",
    "bld.wall_order": "", "bld.align_street": "", "bld.align_nb": "",
    "bld.front_parallel": "", "bld.collinear": "", "bld.on_street": "",
    "bld.gap": "log1p", "bld.joined": "", "bld.setback": "log1p", "bld.court": "",
    "bld.height_mean": "log1p", "bld.height_sd": "log1p",
    "road.share": "", "paved.share": "", "road.length_ha": "", "road.width": "log1p",
    "road.nodes_ha": "log1p", "road.deadends": "", "road.order": "",
    "tree.share": "", "green.share": "", "water.share": "", "bare.share": "",
    "green.patches_ha": "log1p", "green.largest": "", "green.edge_ha": "log1p",
    "green.mesh": "sqrt", "green.shape": "log",
    "tree.spacing": "log1p", "green.reach": "log1p", "green.facade": "",
}  # fmt: skip
TRANSFORMS = {"": lambda x: x, "log": np.log10, "log1p": np.log1p, "sqrt": np.sqrt}

# Descriptors that need a layer which not every city maps.
NEEDS = {
    "heights": ("bld.far", "bld.height_mean", "bld.height_sd"),
    "paved": ("paved.share", "bare.share"),
    "greenery": tuple(k for k in KEYS if k.startswith(("tree.", "green.", "water.", "bare."))),
}
ALL = frozenset(NEEDS)


def describe(
    plan: Plan, *, around: Plan | None = None, mapped: Collection[str] = ALL
) -> dict[str, float]:
    """The 40 descriptors of a plan, in the order of `KEYS`.

    Args:
        plan: What is measured, inside its site alone.
        around: Surroundings, whose streets and paved ground count for distances to them.
        mapped: Which of `heights`, `paved` and `greenery` the site's city maps. Descriptors of
            the others are NaN, and so are those that a plan has nothing to measure for.

    Raises:
        SettingsError: `mapped` names something else.
    """
    unknown = sorted(set(mapped) - ALL)
    if unknown:
        raise SettingsError(f"mapped: {unknown[0]}", f"choose from {', '.join(sorted(ALL))}")
    drawn = drawn_of(plan, around=around, paved="paved" in mapped)
    found = building_descriptors(drawn) | street_descriptors(drawn)
    if "greenery" in mapped:
        found |= green_descriptors(drawn)
    missing = {key for name in ALL - set(mapped) for key in NEEDS[name]}
    return {key: np.nan if key in missing else found[key] for key in KEYS}


def table(rows: Sequence[Mapping[str, float]]) -> np.ndarray:
    """Descriptors of many plans, transformed, (N, 40) float64; NaN = missing."""
    values = np.array([[row[key] for key in KEYS] for row in rows], dtype=np.float64)
    values = values.reshape(len(rows), len(KEYS))
    columns = [TRANSFORMS[how](values[:, n]) for n, how in enumerate(KEYS.values())]
    return np.stack(columns, axis=1)
