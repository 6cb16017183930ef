"""Who proposes plans: the generator, and what it must beat.

Each is a function from a place and the number of a seed to a plan, so that all are measured alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fabricgen import carbon
from fabricgen.city.window import ANGLE_RAD, BUILDING_ID, DEPTH_M, FLOORS, WIDTH_M, U, V, Window
from fabricgen.design.brief import LIMITS, Brief
from fabricgen.design.counting import Counting
from fabricgen.design.drafts import LoopSettings, Part, draft
from fabricgen.design.workers import one_thread
from fabricgen.form.indicators import of_plan
from fabricgen.generator.checkpoint import Models
from fabricgen.plan import Plan
from fabricgen.quality.layouts import Pool, alike, masks_of
from fabricgen.quality.places import Place, boxes_inside
from fabricgen.quality.reals import drawn_real, pasted_real, streets_around
from fabricgen.steps import quiet
from fabricgen.surfaces import GRASS, PAVED
from fabricgen.vectorize import vectorize

Propose = Callable[[Place, int], Plan]

# What a brief asks for, and the layer that a city must map for it.
ASKED = {"site_coverage": "", "far": "heights", "green_ratio": "greenery"}
LOOKED_AT = 8  # training windows for each site
SLAB_M = (40.0, 12.0)  # of the rules' buildings
SLAB_GAP_M = 8.0
LEAST_PITCH_M = 16.0  # between two rows


@dataclass(frozen=True, eq=False)
class Generator:
    """The cascade without carbon: streets, buildings and ground under the site's own brief."""

    models: Models
    settings: LoopSettings

    def __call__(self, place: Place, seed: int) -> Plan:
        """The first scheme that is drawn; none is chosen."""
        return self.under(place, brief_of(place), seed)

    def under(self, place: Place, brief: Brief, seed: int) -> Plan:
        """The same under another brief."""
        region = carbon.region_for(*place.site.lon_lat)
        part = Part(
            place.site, brief, self.models, Counting(region), self.settings,
            seed=place.seed(seed), first=0, count=1,
        )  # fmt: skip
        with one_thread():
            return draft(part, quiet)[0].plan


def brief_of(place: Place, real: Plan | None = None) -> Brief:
    """What the real plan of a site has, as a brief; what is not mapped is free."""
    form = of_plan(real or drawn_real(place))
    asks = {}
    for name, layer in ASKED.items():
        if not layer or layer in place.mapped:
            low, high = LIMITS[name]
            asks[name] = float(np.clip(form[name], low, high))
    return Brief.read(asks)


def real(place: Place, _seed: int) -> Plan:
    """What stands there, drawn like a generated plan."""
    return drawn_real(place)


def shuffled(places: Sequence[Place]) -> Propose:
    """What stands on the most alike of some other places."""
    masks = np.stack([masks_of(place.tile.labels) for place in places])

    def propose(place: Place, _seed: int) -> Plan:
        inside = inside_px(place)
        there = (masks & inside).sum(axis=(2, 3)) / inside.sum()
        wanted = (masks_of(place.tile.labels) & inside).sum(axis=(1, 2)) / inside.sum()
        off = np.abs(there - wanted).sum(axis=1)
        off[[other.name == place.name for other in places]] = np.inf
        other = places[int(off.argmin())]
        return pasted_real(place, other.tile, other.coarse)

    return propose


def retrieval(pool: Pool) -> Propose:
    """What stands in the most alike training window."""

    def propose(place: Place, _seed: int) -> Plan:
        inside = inside_px(place)
        wanted = (masks_of(place.tile.labels) & inside).sum(axis=(1, 2)) / inside.sum()
        found = [pool.windows(int(n)) for n in alike(wanted, inside, pool, LOOKED_AT)]
        # A building is taken by its middle, and so a large one wholly or not at all.
        built = [_box_share(place, tile) for tile, _ in found]
        return pasted_real(place, *found[int(np.abs(np.subtract(built, wanted[0])).argmin())])

    return propose


def _box_share(place: Place, tile: Window) -> float:
    boxes = boxes_inside(place, tile)
    return float((boxes[:, WIDTH_M] * boxes[:, DEPTH_M]).sum()) / place.site.boundary.area


def rules(place: Place, _seed: int) -> Plan:
    """Rows of equal slabs at the asked coverage and floor area, grass and paving in strips."""
    asks = {name: low for name, (low, _) in brief_of(place).asks.items()}
    cover = max(asks["site_coverage"], 0.02)
    long_m, deep_m = SLAB_M
    pitch_m = max(LEAST_PITCH_M, deep_m * long_m / (long_m + SLAB_GAP_M) / cover)
    frame = place.coarse.frame
    edge_m = frame.cols * frame.pixel_m
    v = np.arange(pitch_m / 2, edge_m, pitch_m)
    u = np.arange(long_m / 2, edge_m, long_m + SLAB_GAP_M)
    rows = np.zeros((len(u) * len(v), 7))
    rows[:, U], rows[:, V] = (x.ravel() for x in np.meshgrid(u, v))
    rows[:, WIDTH_M], rows[:, DEPTH_M], rows[:, ANGLE_RAD] = long_m, deep_m, 0.0
    rows[:, FLOORS] = max(1.0, round(asks["far"] / cover)) if "far" in asks else np.nan
    rows[:, BUILDING_ID] = np.arange(len(rows))
    green = asks.get("green_ratio", 0.5 * (1 - cover)) / (1 - cover)
    strip = np.abs((np.arange(frame.rows) + 0.5) * frame.pixel_m % pitch_m / pitch_m - 0.5) * 2
    ground = np.where(strip[:, None] <= green, GRASS, PAVED) * np.ones((1, frame.cols), int)
    return vectorize(
        boxes=rows, segments=np.zeros((0, 6)), ground=ground.astype(np.uint8), frame=frame,
        site=place.site.boundary, context_segments=streets_around(place),
    )  # fmt: skip


def inside_px(place: Place) -> np.ndarray:
    """The site in the model's pixels, (128, 128) bool."""
    step = place.inside.shape[0] // place.coarse.labels.shape[0]
    return place.inside[step // 2 :: step, step // 2 :: step]
