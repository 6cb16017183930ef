import subprocess
import sys
import time

import numpy as np
import pytest
import shapely
from rasterio import features
from rasterio.transform import Affine

from fabricgen.city import window
from fabricgen.city.store import TileStore
from fabricgen.errors import FormatError
from fabricgen.surfaces import BIT, BUILDING, PAVED, ROAD, TREE

from .worlds import CENTRE, CRS

ANGLES = (0.0, 17.0, 45.0, -90.0, 133.0)


def outlines(boxes):
    """Boxes as polygons in (u, v)."""
    cos, sin = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    corners = []
    for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        along, across = a * boxes[:, 2] / 2, b * boxes[:, 3] / 2
        u = boxes[:, 0] + along * cos - across * sin
        v = boxes[:, 1] + along * sin + across * cos
        corners.append(np.column_stack([u, v]))
    return shapely.polygons(np.stack(corners, axis=1))


def drawn(window):
    """The window's own boxes on its own grid, (rows, cols) bool, by GDAL."""
    pixel_m = window.frame.pixel_m
    shapes = [(shape, 1) for shape in outlines(window.boxes.astype(float))]
    transform = Affine(pixel_m, 0, 0, 0, pixel_m, 0)
    return features.rasterize(shapes, window.labels.shape, transform=transform).astype(bool)


@pytest.mark.parametrize("angle_deg", ANGLES)
@pytest.mark.parametrize("flip", range(8))
def test_a_windows_boxes_lie_on_its_building_labels(town_store, angle_deg, flip):
    window = town_store.window(
        "town", *CENTRE, angle_deg, rows=110, cols=96, pixel_m=2.0, flip=flip
    )
    assert window.labels.shape == window.height_dm.shape == (110, 96)
    labels = window.labels == BIT[BUILDING]
    boxes = drawn(window)
    assert labels.sum() > 300
    assert (labels & boxes).sum() / (labels | boxes).sum() > 0.93


@pytest.mark.parametrize("flip", range(8))
def test_streets_lie_on_their_labels_in_every_view(town_store, flip):
    window = town_store.window("town", *CENTRE, 30.0, rows=100, cols=80, flip=flip)
    for u0, v0, u1, v1, _, _ in window.segments:
        for share in np.linspace(0, 1, 9):
            col = int((u0 + (u1 - u0) * share) // 2)
            row = int((v0 + (v1 - v0) * share) // 2)
            if 0 <= row < 100 and 0 <= col < 80:
                assert window.labels[row, col] in (BIT[ROAD], BIT[PAVED], BIT[TREE])


def test_turns_and_flips_keep_areas(town_store):
    plain = town_store.window("town", *CENTRE, rows=200, cols=200, pixel_m=1.0)
    area = np.bincount(plain.labels.ravel(), minlength=256)
    for flip in range(8):
        view = town_store.window("town", *CENTRE, rows=200, cols=200, pixel_m=1.0, flip=flip)
        assert (np.bincount(view.labels.ravel(), minlength=256) == area).all()
        assert view.height_dm.sum() == plain.height_dm.sum()
        assert view.boxes[:, 2:4].prod(axis=1).sum() == pytest.approx(
            plain.boxes[:, 2:4].prod(axis=1).sum()
        )
    built = (plain.labels == BIT[BUILDING]).sum()
    for angle_deg in ANGLES:
        turned = town_store.window("town", *CENTRE, angle_deg, rows=200, cols=200, pixel_m=1.0)
        assert (turned.labels == BIT[BUILDING]).sum() == pytest.approx(built, rel=0.02)


def test_flips_are_those_of_numpy(town_store):
    plain = town_store.window("town", *CENTRE, 20.0, rows=60, cols=60)
    for flip in range(8):
        expected = plain.labels[:, ::-1] if flip >= 4 else plain.labels
        view = town_store.window("town", *CENTRE, 20.0, rows=60, cols=60, flip=flip)
        assert (view.labels == np.rot90(expected, flip % 4)).all()


@pytest.mark.parametrize("angle_deg", ANGLES)
@pytest.mark.parametrize("flip", range(8))
def test_north_points_to_the_tree_in_the_north(town_store, angle_deg, flip):
    window = town_store.window(
        "town", CENTRE[0] - 150, CENTRE[1] + 50, angle_deg, rows=128, cols=128, flip=flip
    )
    row, col = np.argwhere(window.labels == BIT[TREE]).T
    near = window.height_dm[row, col] > 0  # the one tree with a height, 50 m north of the middle
    right, up = (col[near] + 0.5).mean() - 64, 64 - (row[near] + 0.5).mean()
    bearing_in_window = np.degrees(np.arctan2(right, up))
    off = (bearing_in_window + window.north_deg + 180) % 360 - 180
    assert abs(off) < 3


def test_windows_reach_over_the_edge_without_data(town_store):
    window = town_store.window("town", CENTRE[0] + 300, CENTRE[1], 0.0, rows=64, cols=64)
    assert (window.labels[:, -20:] == 0).all() and (window.height_dm[:, -20:] == 0).all()
    far = town_store.window("town", CENTRE[0] + 1e5, CENTRE[1], 0.0, rows=64, cols=64)
    assert not far.labels.any() and len(far.boxes) == 0 and len(far.segments) == 0


def test_only_what_touches_the_window_is_in_it(town_store):
    for angle_deg in ANGLES:
        window = town_store.window("town", *CENTRE, angle_deg, rows=50, cols=40)
        frame = shapely.box(0, 0, 80, 100)
        assert shapely.intersects(outlines(window.boxes.astype(float)), frame).all()
        everything = town_store.window("town", *CENTRE, angle_deg, rows=500, cols=500)
        shift = np.array([(500 - 40), (500 - 50)])  # pixels of 2 m, half of them on each side
        moved = everything.boxes.astype(float)
        moved[:, :2] -= shift
        assert shapely.intersects(outlines(moved), frame).sum() == len(window.boxes)


def test_a_coarse_pixel_takes_the_majority_and_ties_go_up():
    labels = np.zeros((1, 2, 3, 2), np.uint8)
    labels[0, :, 0] = [[BIT[ROAD], BIT[ROAD]], [BIT[BUILDING], BIT[ROAD]]]
    labels[0, :, 1] = [[BIT[ROAD], BIT[BUILDING]], [BIT[ROAD], BIT[BUILDING]]]
    labels[0, :, 2] = [[252, 252], [BIT[PAVED], BIT[PAVED]]]
    height_dm = np.zeros(labels.shape, np.uint16)
    height_dm[0, 0, 1, 1] = 120
    winner, mean = window._majority(labels, height_dm)
    assert winner.tolist() == [[BIT[ROAD], BIT[BUILDING], BIT[PAVED]]]
    assert mean.tolist() == [[0, 120, 0]]


def test_canonical_boxes_are_the_same_rectangles():
    rng = np.random.default_rng(0)
    boxes = rng.uniform(1, 30, (200, 7))
    boxes[:, 4] = rng.uniform(-10, 10, 200)
    canonical = window.canonical(boxes)
    assert (canonical[:, 4] > -np.pi / 4 - 1e-6).all()
    assert (canonical[:, 4] <= np.pi / 4 + 1e-6).all()
    apart = shapely.symmetric_difference(outlines(boxes), outlines(canonical))
    assert shapely.area(apart).max() < 1e-6


def test_the_frame_of_a_window_is_centered_on_its_place(town_store):
    window = town_store.window("town", *CENTRE, 33.0, rows=40, cols=60, pixel_m=3.0)
    assert window.frame.to_world(20, 30) == pytest.approx(CENTRE)
    assert window.frame.crs == CRS


def test_a_window_takes_under_five_milliseconds(town_store):
    town_store.window("town", *CENTRE, 10.0)
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        town_store.window("town", *CENTRE, 10.0, flip=3)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.005


def test_an_unknown_city_or_an_empty_folder_is_said(town_store, tmp_path):
    with pytest.raises(FormatError, match="no city 'atlantis'"):
        town_store.window("atlantis", 0, 0)
    with pytest.raises(FormatError, match="no tile store"):
        TileStore.open(tmp_path)


def test_a_damaged_store_is_said(town_store, tmp_path):
    folder = tmp_path / "town"
    folder.mkdir()
    (folder / "city.json").write_text("{")
    with pytest.raises(FormatError, match=r"city\.json"):
        TileStore.open(folder)


def test_the_store_needs_no_geo_library():
    code = (
        "import sys, fabricgen.city.store; "
        "bad = {'shapely', 'geopandas', 'rasterio', 'pandas', 'pyarrow', 'osmium', 'pyproj', "
        "'yaml', 'scipy'} & set(sys.modules); sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
