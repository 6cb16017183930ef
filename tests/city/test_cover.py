import numpy as np
import pytest
import shapely

from fabricgen.city import cover


def polygons(boxes):
    shapes = []
    for u, v, width, depth, angle in boxes.geometry:
        shape = shapely.affinity.rotate(
            shapely.box(-width / 2, -depth / 2, width / 2, depth / 2), angle, use_radians=True
        )
        shapes.append(shapely.affinity.translate(shape, u, v))
    return np.array(shapes, object)


def overlap(shapes, boxes):
    """IoU of each footprint with the union of its boxes."""
    drawn = polygons(boxes)
    shares = []
    for number, shape in enumerate(shapes):
        union = shapely.union_all(drawn[boxes.owner == number])
        shares.append(union.intersection(shape).area / union.union(shape).area)
    return np.array(shares)


def turned(shape, degrees):
    return shapely.affinity.translate(shapely.affinity.rotate(shape, degrees), 300, -70)


L = shapely.union(shapely.box(0, 0, 30, 10), shapely.box(0, 0, 10, 25))
COURT = shapely.box(0, 0, 40, 30).difference(shapely.box(12, 10, 28, 20))
LARGE_COMB = shapely.union_all(
    [shapely.box(0, 0, 100, 12)] + [shapely.box(x, 12, x + 12, 40) for x in (0, 29, 58, 87)]
)


@pytest.mark.parametrize("degrees", [0, 17, 44.9, 45, 80, -30])
def test_a_rectangle_is_one_box_of_its_own_size(degrees):
    shapes = np.array([turned(shapely.box(0, 0, 31, 12), degrees)], object)
    boxes = cover.cover(shapes)
    assert len(boxes.owner) == 1
    assert sorted(boxes.geometry[0, 2:4]) == pytest.approx([12, 31], abs=1e-6)
    assert overlap(shapes, boxes)[0] > 0.999


@pytest.mark.parametrize("degrees", [0, 23, 61])
@pytest.mark.parametrize(("shape", "count"), [(L, 2), (COURT, 4), (LARGE_COMB, 5)])
def test_composed_footprints_get_the_boxes_they_are_made_of(shape, count, degrees):
    shapes = np.array([turned(shape, degrees)], object)
    boxes = cover.cover(shapes)
    assert len(boxes.owner) == count
    assert overlap(shapes, boxes)[0] > 0.97


def test_boxes_are_canonical_and_in_order_of_their_footprints():
    rng = np.random.default_rng(1)
    shapes = np.array([turned(L, angle) for angle in rng.uniform(0, 360, 40)], object)
    boxes = cover.cover(shapes, threads=2)
    assert (np.diff(boxes.owner) >= 0).all() and set(boxes.owner) == set(range(40))
    assert (np.abs(boxes.geometry[:, 4]) <= np.pi / 4 + 1e-6).all()


def test_small_buildings_have_at_most_four_boxes_and_large_ones_six():
    star = shapely.union_all([turned(shapely.box(-20, -2, 20, 2), a) for a in range(0, 180, 15)])
    boxes = cover.cover(np.array([star, shapely.affinity.scale(star, 4, 4)], object))
    count = np.bincount(boxes.owner)
    assert count[0] <= 4 and count[1] <= 6


def test_two_wings_at_an_angle_get_two_directions():
    wings = shapely.union(shapely.box(0, 0, 40, 10), turned_about(shapely.box(0, 0, 40, 10), 30))
    boxes = cover.cover(np.array([wings], object))
    turn = np.degrees(boxes.geometry[:, 4])
    assert np.ptp(turn) == pytest.approx(30, abs=2)


def turned_about(shape, degrees):
    return shapely.affinity.rotate(shape, degrees, origin=(0, 0))
