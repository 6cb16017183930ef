import numpy as np
import pytest
import shapely
from rasterio import features
from rasterio.transform import Affine

from fabricgen.city import raster


def random_polygons(count, *, rng, size=120.0):
    shapes = []
    for _ in range(count):
        angle = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 12)))
        radius = rng.uniform(1, 18, len(angle))
        middle = rng.uniform(-5, size + 5, 2)
        ring = middle + np.column_stack([np.cos(angle), np.sin(angle)]) * radius[:, None]
        shape = shapely.make_valid(shapely.Polygon(ring), method="structure")
        if rng.random() < 0.4:
            shape = shape.difference(shapely.Point(middle).buffer(rng.uniform(0.5, 4)))
        shapes.append(shape if shape.area else shapely.box(*middle, *(middle + 3)))
    return np.array(shapes, object)


@pytest.mark.parametrize("seed", range(6))
def test_pixels_are_those_of_gdal(seed):
    rng = np.random.default_rng(seed)
    shapes = random_polygons(25, rng=rng)
    value = np.arange(1, len(shapes) + 1, dtype=np.uint16)
    plate = np.zeros((117, 123), np.uint16)
    corner = (1.37, 119.71)
    raster.paint(plate, raster.spans_of(shapes, plate.shape, corner), value)
    transform = Affine(1, 0, corner[0], 0, -1, corner[1])
    expected = features.rasterize(
        zip(shapes, value, strict=True), plate.shape, transform=transform, dtype="uint16"
    )
    assert (plate != expected).mean() < 1e-4  # centers that lie on a wall


def test_neighbors_share_their_wall_without_gap_or_overlap():
    shapes = np.array([shapely.box(0, 0, 7.3, 20), shapely.box(7.3, 0, 20, 20)], object)
    spans = raster.spans_of(shapes, (20, 20), (0.0, 20.0))
    assert raster.area_of(spans, 2).sum() == 400


def test_large_shapes_are_painted_in_pieces(monkeypatch):
    monkeypatch.setattr(raster, "_PIXELS_AT_ONCE", 50)
    monkeypatch.setattr(raster, "_EDGES_AT_ONCE", 7)
    shapes = np.array([shapely.box(0, 0, 30, 30), shapely.Point(15, 15).buffer(9)], object)
    plate = np.zeros((30, 30), np.uint8)
    raster.paint(plate, raster.spans_of(shapes, plate.shape, (0.0, 30.0)), np.array([1, 2]))
    assert (plate == 2).sum() == pytest.approx(np.pi * 81, rel=0.03)
    assert (plate > 0).all()


def test_nothing_paints_nothing():
    plate = np.zeros((5, 5), np.uint8)
    empty = np.array([shapely.Polygon(), shapely.box(50, 50, 60, 60)], object)
    raster.paint(plate, raster.spans_of(empty, plate.shape, (0.0, 5.0)), 1)
    assert not plate.any()
