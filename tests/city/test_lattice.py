import numpy as np
import pytest

from fabricgen.city import lattice
from fabricgen.layout import Frame
from fabricgen.surfaces import BIT, BUILDING, GRASS, ROAD


def walls_of(angle_deg, count=40, *, rng):
    """Walls of squares turned clockwise by an angle, around (200, 200), v down."""
    turn = np.radians(angle_deg)
    walls = []
    for middle in rng.uniform(120, 280, (count, 2)):
        for quarter in range(4):
            bearing = turn + quarter * np.pi / 2
            step = np.array([np.sin(bearing), -np.cos(bearing)]) * 10
            walls.append([*middle, *(middle + step)])
    return np.array(walls)


@pytest.mark.parametrize("angle_deg", [-40.0, -10.0, 0.0, 25.0, 44.0])
def test_the_wall_angle_is_that_of_the_buildings(angle_deg):
    walls = walls_of(angle_deg, rng=np.random.default_rng(0))
    angle, order = lattice.wall_angles(walls, np.array([[200.0, 200.0]]))
    assert angle[0] == pytest.approx(angle_deg, abs=1e-6) and order[0] == pytest.approx(1)


def test_mixed_walls_have_little_order_and_no_walls_none():
    rng = np.random.default_rng(0)
    walls = np.concatenate([walls_of(a, 5, rng=rng) for a in range(0, 90, 6)])
    _, order = lattice.wall_angles(walls, np.array([[200.0, 200.0], [9000.0, 0.0]]))
    assert order[0] < 0.15 and order[1] == 0


def test_walls_beyond_150_m_do_not_count():
    rng = np.random.default_rng(0)
    near, far = walls_of(10.0, rng=rng), walls_of(40.0, rng=rng) + 400
    angle, _ = lattice.wall_angles(np.concatenate([near, far]), np.array([[200.0, 200.0]]))
    assert angle[0] == pytest.approx(10.0)


@pytest.fixture
def city():
    rng = np.random.default_rng(3)
    labels = rng.choice([BIT[BUILDING], BIT[ROAD], BIT[GRASS], 0, 252], (600, 730))
    labels = labels.astype(np.uint8)
    labels[:, 600:] = 0
    height_dm = rng.integers(0, 3, labels.shape).astype(np.uint16)
    return labels, height_dm


def test_shares_of_every_window_are_those_of_its_pixels(city):
    labels, height_dm = city
    frame = Frame("EPSG:32635", 1000.0, 9000.0, 0.0, 1.0, *labels.shape)
    cells = lattice.count_cells(labels, height_dm)
    complete = np.ones(cells.pixels.shape)
    index = lattice.index_of(frame, cells, np.zeros((0, 4)), complete=complete, city="x")
    assert len(index["x_m"]) > 8
    for number, (x_m, y_m) in enumerate(zip(index["x_m"], index["y_m"], strict=True)):
        row, col = int(9000 - y_m), int(x_m - 1000)
        part = labels[row - 128 : row + 128, col - 128 : col + 128]
        tall = height_dm[row - 128 : row + 128, col - 128 : col + 128]
        built = part == BIT[BUILDING]
        assert index["surface_share_building"][number] == pytest.approx(built.mean())
        assert index["surface_share_grass"][number] == pytest.approx((part == BIT[GRASS]).mean())
        assert index["unknown_share"][number] == pytest.approx(
            ((part == 0) | (part == 252)).mean(), abs=1e-6
        )
        assert index["height_known_share"][number] == pytest.approx((tall[built] > 0).mean())
        assert index["min_x_m"][number] == x_m - 128 and index["max_y_m"][number] == y_m + 128


def test_counts_add_up_to_the_city(city):
    labels, height_dm = city
    cells = lattice.count_cells(labels, height_dm)
    assert cells.pixels.sum() == labels.size
    assert cells.covered.sum() == (labels > 0).sum()
    assert cells.surface(ROAD).sum() == (labels == BIT[ROAD]).sum()
