"""Synthetic proposals: noisy boxes, street pieces and a speckled ground map on a turned frame."""

from types import SimpleNamespace

import numpy as np
import pytest
import shapely

from fabricgen.layout import Frame
from fabricgen.surfaces import BARE, BUILDING, GRASS, PAVED, ROAD, SHRUB, TREE, WATER
from fabricgen.vectorize import vectorize

SIZE_PX = 128
PIXEL_M = 2.0
FRAME = Frame("EPSG:32635", 385_000.0, 6_672_000.0, 17.0, PIXEL_M, SIZE_PX, SIZE_PX)


def site_polygon(frame=FRAME, *, low_m=32.0, high_m=224.0):
    """A slightly irregular site inside the frame, in the CRS."""
    uv = np.array(
        [
            (low_m, low_m),
            (high_m, low_m + 4),
            (high_m, high_m),
            (low_m + 30, high_m),
            (low_m, high_m - 40),
        ]
    )
    x, y = frame.to_world(uv[:, 1] / frame.pixel_m, uv[:, 0] / frame.pixel_m)
    return shapely.Polygon(np.stack([x, y], axis=1))


def street_pieces():
    """A cross of streets, a service loop and a path; ends near the doors but not on them."""
    rows = [
        (34.0, 120.5, 128.0, 121.0, 7.0, 2),
        (128.0, 121.0, 221.5, 119.0, 7.0, 2),
        (128.0, 121.0, 127.0, 38.0, 10.0, 1),
        (128.4, 121.4, 129.0, 222.0, 10.0, 1),
        (128.5, 170.0, 185.0, 171.0, 4.5, 3),
        (185.2, 171.3, 186.0, 122.0, 4.5, 3),
        (60.0, 121.0, 61.0, 40.0, 2.5, 4),
        (70.0, 119.0, 74.0, 112.0, 4.5, 3),
    ]
    return np.array(rows, dtype=np.float32)


def context_pieces():
    """Streets around the site that meet its edge."""
    rows = [
        (0.0, 119.0, 33.0, 120.0, 7.0, 2),
        (226.0, 119.0, 256.0, 119.0, 7.0, 2),
        (127.0, 0.0, 127.0, 32.5, 10.0, 1),
        (129.0, 224.0, 129.0, 256.0, 10.0, 1),
        (0.0, 20.0, 256.0, 26.0, 14.0, 0),
    ]
    return np.array(rows, dtype=np.float32)


def noisy_boxes(seed=0):
    """Perimeter blocks, slabs and a turned house, with gaps, overlaps and stray angles."""
    rng = np.random.default_rng(seed)
    rows = []

    def add(u, v, w, d, angle=0.0, floors=5, building=None):
        number = len({r[6] for r in rows}) if building is None else building
        rows.append(
            (
                u + rng.normal(0, 0.3),
                v + rng.normal(0, 0.3),
                w,
                d,
                np.radians(angle + rng.normal(0, 1.2)),
                floors,
                number,
            )
        )
        return number

    for k in range(5):  # a terrace along the street, north west
        add(75 + 9.6 * k, 106, 9.2, 12, floors=3)
    court = add(158, 104, 44, 13, floors=6)  # a perimeter block, north east: four wings
    add(142, 78, 12, 62, floors=6, building=court)
    add(202, 78, 12, 60, floors=6)
    add(172, 54, 62, 12, floors=5)
    for k in range(3):  # slabs south west
        add(78, 142 + 24 * k, 56, 12, angle=3, floors=8)
    add(170, 146, 40, 14, angle=8, floors=4)
    add(155, 195, 16, 16, angle=30, floors=10)
    add(161, 203, 16, 14, angle=24, floors=9)
    add(200, 200, 20, 30, floors=4)
    add(222, 150, 20, 20, floors=2)  # over the site's edge
    add(126, 60, 16, 14, floors=2)  # on the street
    add(46, 60, 12, 10, floors=2)
    add(47.2, 71, 10, 10.4, floors=2)
    return np.array(rows, dtype=np.float32)


def ground_map(seed=0, *, speckle=0.06):
    """Yards along the streets, lawns, a grove, a row of trees, a pond, and noise on top."""
    rng = np.random.default_rng(seed)
    v, u = (np.mgrid[:SIZE_PX, :SIZE_PX] + 0.5) * PIXEL_M
    ground = np.full((SIZE_PX, SIZE_PX), GRASS, np.uint8)
    ground[(np.abs(v - 120) < 14) | (np.abs(u - 128) < 16)] = PAVED
    ground[(u > 150) & (u < 195) & (v > 62) & (v < 96)] = PAVED
    ground[np.hypot(u - 172, v - 80) < 12] = TREE
    ground[np.hypot(u - 80, v - 70) + 6 * np.sin(u / 7) < 26] = TREE
    ground[np.hypot(u - 50, v - 95) < 11] = WATER
    ground[(np.hypot((u - 195) / 2, v - 215) < 9)] = SHRUB
    ground[(u > 195) & (v > 125) & (v < 160)] = BARE
    ground[(np.abs(v - 133) < 2.1) & ((u % 10) < 4.1)] = TREE
    noise = rng.random(ground.shape) < speckle
    ground[noise] = rng.choice([GRASS, PAVED, SHRUB, TREE, BARE, BUILDING, ROAD], noise.sum())
    return ground


def draw(seed=0, **changes):
    """A plan of the synthetic proposal, with parts of it exchanged."""
    given = {
        "boxes": noisy_boxes(seed),
        "segments": street_pieces(),
        "ground": ground_map(seed),
        "frame": FRAME,
        "site": site_polygon(),
        "context_segments": context_pieces(),
        "seed": seed,
    }
    return vectorize(**{**given, **changes})


@pytest.fixture(scope="session")
def proposals():
    """What tests of this room are made from, and a plan of it."""
    return SimpleNamespace(
        FRAME=FRAME,
        boxes=noisy_boxes,
        streets=street_pieces,
        context=context_pieces,
        ground=ground_map,
        site=site_polygon,
        draw=draw,
    )
