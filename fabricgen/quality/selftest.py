"""Are the measures any good: real tiles of a city, damaged on purpose, against other real tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import shapely

from fabricgen.errors import InputError
from fabricgen.plan import Plan
from fabricgen.quality.c2st import c2st
from fabricgen.quality.damage import DAMAGES, Damage
from fabricgen.quality.descriptors import KEYS, describe, table
from fabricgen.quality.distances import fit_scaler, frechet, w1_by_key
from fabricgen.quality.metrics import CHANCE
from fabricgen.quality.reals import Extract, mapped_plan

EDGE_M = 200.0
BUILT_SHARE = 0.1
LEAST_TILES = 40
NAMES = list(KEYS)


def real_tiles(path: Path, count: int) -> list[Plan]:
    """Built squares of a city as mapped, in random order, at most so many.

    Raises:
        InputError: The city is smaller than 40 of them.
    """
    extract = Extract.open(path)
    west, south, east, north = extract.mapped.clip.bounds
    corners = [
        (x, y)
        for x in np.arange(west, east - EDGE_M, EDGE_M)
        for y in np.arange(south, north - EDGE_M, EDGE_M)
    ]
    found: list[Plan] = []
    for x, y in np.random.default_rng(CHANCE).permutation(np.array(corners).reshape(-1, 2)):
        site = shapely.intersection(shapely.box(x, y, x + EDGE_M, y + EDGE_M), extract.mapped.clip)
        if len(found) == count or site.area < 0.99 * EDGE_M**2:
            continue
        plan = mapped_plan(extract, site)
        if plan.buildings.area.sum() >= BUILT_SHARE * site.area:
            found.append(plan)
    if len(found) < LEAST_TILES:
        raise InputError(f"{path.name}: {len(found)} built tiles", f"give {LEAST_TILES} or more")
    return found


def descriptors_of(plans: list[Plan], damage: Damage | None = None) -> np.ndarray:
    """Descriptors of plans, damaged or not, that need no layer which cities leave out."""
    if damage is not None:
        rng = np.random.default_rng(CHANCE)
        others = np.roll(np.arange(len(plans)), 7)
        plans = [damage(p, plans[n], rng) for p, n in zip(plans, others, strict=True)]
    return table([describe(plan, mapped=()) for plan in plans])


def table_of(path: Path, *, tiles: int = 400) -> str:
    """What W1, the Fréchet distance and the classifier say of each damage, in Markdown."""
    plans = real_tiles(path, tiles)
    own, other = plans[::2], descriptors_of(plans[1::2])
    scaler = fit_scaler(other, NAMES)
    lines = [
        f"{len(own)} tiles of {path.name} against {len(other)} others",
        "",
        "| damage | W1 mean | FD | C2ST | moved most (sd) |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for name, damage in {"none": None, **DAMAGES}.items():
        rows = descriptors_of(own, damage)
        moved = w1_by_key(rows, other, NAMES)
        worst = sorted(moved, key=moved.__getitem__, reverse=True)[:2]
        sites = (np.arange(len(other)), len(other) + np.arange(len(rows)))
        told = c2st(other, rows, NAMES, sites=sites, rng=np.random.default_rng(CHANCE), top=0)
        lines.append(
            f"| {name} | {np.mean(list(moved.values())):.3f} "
            f"| {frechet(scaler(rows), scaler(other)):.1f} | {told.accuracy:.3f} "
            f"| {', '.join(f'{key} {moved[key]:.2f}' for key in worst)} |"
        )
    return "\n".join(lines)
