"""Laws of the raster of a plan: same pixels, same place, also on a turned grid."""

import numpy as np
import pytest
import rasterio

from fabricgen.exchange import write_geotiff
from fabricgen.layout import Frame
from fabricgen.plan import rasterize
from fabricgen.surfaces import BUILDING, COLORS, GRASS, WATER

FRAME = Frame("EPSG:32635", 384_960.0, 6_672_120.0, 17.0, 2.0, 80, 90)


@pytest.fixture
def raster(tmp_path, plan):
    layout = rasterize(plan, FRAME)
    write_geotiff(layout, FRAME, tmp_path / "01.tif")
    with rasterio.open(tmp_path / "01.tif") as source:
        yield source, layout


@pytest.mark.parametrize(
    ("u", "v", "surface"), [(30, 65, BUILDING), (80, 80, GRASS), (80, 12, WATER)]
)
def test_a_place_has_its_surface(raster, u, v, surface):
    source, _ = raster
    values = next(source.sample([(385_000 + u, 6_672_000 + v)]))
    assert values[0] == surface


def test_heights_are_in_decimeters_with_their_scale(raster):
    source, layout = raster
    height = source.read(2)
    known = layout.height_known[0].numpy()
    assert source.scales == (1.0, 0.1)
    assert np.all(height[~known] == 65535)
    assert height[known] * 0.1 == pytest.approx(layout.height_m[0].numpy()[known], abs=0.051)


def test_the_turned_grid_and_its_crs_are_kept(raster):
    source, _ = raster
    assert source.crs.to_epsg() == 32635
    assert tuple(source.transform)[:6] == pytest.approx(FRAME.affine())
    assert source.shape == (80, 90)


def test_surfaces_have_colors_and_names(raster):
    source, _ = raster
    red, green, blue, _ = source.colormap(1)[WATER]
    assert f"#{red:02x}{green:02x}{blue:02x}" == COLORS[WATER]
    assert source.tags(1)["CLASS_0"] == "Building"
    assert source.read(1)[0, 0] == 255
