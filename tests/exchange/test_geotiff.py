"""Laws of the raster of a plan: same pixels, same place, also on a turned grid."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest
import rasterio
import torch

from fabricgen.errors import FormatError, InputError
from fabricgen.exchange import read_drawn, read_geotiff, read_plan, write_geotiff, write_schemes
from fabricgen.exchange.geotiff import read_back
from fabricgen.layout import Frame, Layout, harden
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
    assert source.scales[:2] == (1.0, 0.1)
    assert np.all(height[~known] == 65535)
    assert height[known] * 0.1 == pytest.approx(layout.height_m[0].numpy()[known], abs=0.051)


def test_the_turned_grid_and_its_crs_are_kept(raster):
    source, _ = raster
    assert source.crs.to_epsg() == 32635
    assert tuple(source.transform)[:6] == pytest.approx(FRAME.affine())
    assert source.shape == (80, 90)


def test_surfaces_have_names(raster):
    source, _ = raster
    assert source.tags(1)["CLASS_0"] == "Building"
    assert source.read(1)[0, 0] == 255


def test_hard_surfaces_have_colors(tmp_path, plan):
    write_geotiff(harden(rasterize(plan, FRAME)), FRAME, tmp_path / "01.tif")
    with rasterio.open(tmp_path / "01.tif") as source:
        red, green, blue, _ = source.colormap(1)[WATER]
    assert f"#{red:02x}{green:02x}{blue:02x}" == COLORS[WATER]


@pytest.fixture
def write(tmp_path):
    """Writes bands as a GeoTIFF of ours."""

    def make(bands, crs="EPSG:32635", transform=None, name="in.tif"):
        bands = np.asarray(bands)
        profile = {
            "driver": "GTiff", "count": len(bands), "height": bands.shape[1],
            "width": bands.shape[2], "dtype": bands.dtype, "crs": crs,
            "transform": transform or rasterio.transform.Affine(*FRAME.affine()),
        }  # fmt: skip
        with rasterio.open(tmp_path / name, "w", **profile) as target:
            target.write(bands)
        return tmp_path / name

    return make


def shares(rows=6, cols=5, height=9.0):
    bands = np.zeros((9, rows, cols), dtype=np.float32)
    bands[BUILDING], bands[GRASS], bands[8] = 0.25, 0.75, height
    return bands


def test_what_was_written_reads_back_with_its_frame_and_site(tmp_path, plan):
    layout = harden(rasterize(plan, FRAME))
    inside = layout.allowed[0] > 0
    inside[:, :45] = False
    write_geotiff(layout, FRAME, tmp_path / "01.tif", inside=inside)
    back = read_geotiff(tmp_path / "01.tif")
    assert torch.equal(back.layout.allowed, layout.allowed)
    assert torch.equal(back.layout.height_known, layout.height_known)
    assert torch.allclose(back.layout.height_m, layout.height_m, atol=0.051)
    assert torch.equal(back.inside[0], inside)
    assert back.frame.affine() == pytest.approx(FRAME.affine())
    assert (back.frame.crs, back.frame.pixel_m) == ("EPSG:32635", 2.0)


def test_a_soft_layout_keeps_its_shares(tmp_path, plan):
    layout = rasterize(plan, FRAME)
    assert not layout.is_hard
    for inside in (None, layout.allowed[0] > 0):
        write_geotiff(layout, FRAME, tmp_path / "01.tif", inside=inside)
        back = read_geotiff(tmp_path / "01.tif")
        assert torch.allclose(back.layout.cover, layout.cover, atol=2e-3)
        assert torch.equal(back.layout.allowed, layout.allowed)
        assert torch.equal(back.inside, layout.allowed > 0)


def test_shares_that_thousandths_cannot_hold_still_sum_to_one(tmp_path):
    cover = torch.softmax(torch.randn(1, 8, 80, 90, generator=torch.Generator().manual_seed(1)), 1)
    plane = torch.zeros(1, 80, 90)
    layout = Layout(cover, plane, (plane + 255).to(torch.uint8), plane > 0)
    write_geotiff(layout, FRAME, tmp_path / "01.tif")
    back = read_geotiff(tmp_path / "01.tif").layout
    assert torch.allclose(back.cover, cover, atol=3e-3) and back.is_complete


def test_a_hard_layout_has_no_bands_of_shares(tmp_path, plan):
    write_geotiff(harden(rasterize(plan, FRAME)), FRAME, tmp_path / "01.tif")
    with rasterio.open(tmp_path / "01.tif") as source:
        assert source.count == 2


def test_without_a_site_band_all_that_has_data_counts(tmp_path, plan):
    layout = rasterize(plan, FRAME)
    write_geotiff(layout, FRAME, tmp_path / "01.tif")
    assert torch.equal(read_geotiff(tmp_path / "01.tif").inside, layout.allowed > 0)


def test_shares_read_as_a_soft_layout(write):
    bands = shares()
    bands[:, 0] = 0
    back = read_geotiff(write(bands))
    assert float(back.layout.cover[0, GRASS, 1, 0]) == 0.75
    assert not bool(back.inside[0, 0].any()) and bool(back.inside[0, 1:].all())


def broken(change):
    bands = shares()
    change(bands)
    return bands


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        (broken(lambda b: b[8].__setitem__((2, 3), np.nan)), "height at row 2, column 3 is nan m"),
        (broken(lambda b: b[8].__setitem__((2, 3), -4)), "height at row 2, column 3 is -4 m"),
        (broken(lambda b: b[0].__setitem__((1, 1), 0.5)), "surfaces sum to 1.25 at row 1, column 1"),
        (broken(lambda b: b[0].__setitem__((1, 1), np.nan)), "share at row 1, column 1 is negative or"),
        (np.full((2, 4, 4), 9, dtype=np.uint16), "surface 9 at row 0, column 0; use 0 to 7"),
        (np.zeros((4, 4, 4), dtype=np.uint16), "has 4 bands of uint16; give surface and height"),
        (np.full((10, 4, 4), 2, dtype=np.uint16), "surfaces sum to 0.016 at row 0, column 0"),
        (np.zeros((10, 4, 4), dtype=np.float32), "has 10 bands of float32; give surface and"),
        (np.zeros((3, 4, 4), dtype=np.uint16), "its site band marks no pixel"),
        (np.full((2, 4, 4), 255, dtype=np.uint16), "no pixel has data"),
    ],
)  # fmt: skip
def test_values_that_mean_nothing_are_refused_with_their_place(write, bands, message):
    with pytest.raises(FormatError, match=f"in.tif: .*{message}"):
        read_geotiff(write(bands))


def test_negative_heights_of_labels_are_refused(write):
    bands = np.zeros((2, 4, 4), dtype=np.int16)
    bands[1, 1, 2] = -3
    with pytest.raises(FormatError, match="the height at row 1, column 2 is -3 m"):
        read_geotiff(write(bands))


def test_degrees_and_oblong_pixels_are_refused(write):
    affine = rasterio.transform.Affine
    with pytest.raises(InputError, match=r"not in meters \(EPSG:4326\); reproject it"):
        read_geotiff(write(shares(), crs="EPSG:4326"))
    with pytest.raises(InputError, match="its pixels are not square"):
        read_geotiff(write(shares(), transform=affine(2, 0, 0, 0, -3, 0)))
    with pytest.raises(InputError, match="no coordinate system"):
        read_geotiff(write(shares(), crs=None))
    with pytest.raises(InputError, match="pixels of 0.01 m; resample it to 0.1 to 100 m"):
        read_geotiff(write(shares(), transform=affine(0.01, 0, 0, 0, -0.01, 0)))


def test_what_is_no_raster_is_refused(tmp_path):
    (tmp_path / "x.tif").write_bytes(b"no raster at all")
    with pytest.raises(FormatError, match="x.tif: is no raster, or is cut short"):
        read_geotiff(tmp_path / "x.tif")
    with pytest.raises(FormatError, match="y.tif: no such file"):
        read_geotiff(tmp_path / "y.tif")


def test_all_schemes_of_a_package_are_read_and_other_files_refused(tmp_path, plan):
    write_schemes([("a", plan), ("b", plan)], tmp_path / "two.gpkg")
    assert list(read_drawn(tmp_path / "two.gpkg")) == ["a", "b"]
    with pytest.raises(
        InputError, match=r"plan.dwg: no format of this suffix; use .gpkg, .geojson"
    ):
        read_drawn(tmp_path / "plan.dwg")


def test_a_plan_that_breaks_its_contract_names_the_file(tmp_path, plan):
    write_schemes([("a", plan)], tmp_path / "one.gpkg")
    with closing(sqlite3.connect(tmp_path / "one.gpkg")) as base, base:
        base.create_function("ST_IsEmpty", 1, lambda _: 0)
        for trigger in base.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'buildings'"
        ).fetchall():
            base.execute(f'DROP TRIGGER "{trigger[0]}"')
        base.execute("UPDATE buildings SET height_m = -2 WHERE id = 'b1'")
    with pytest.raises(InputError, match="one.gpkg: buildings b1: height_m is -2; give 0 to 1000"):
        read_plan(tmp_path / "one.gpkg")


@pytest.mark.parametrize("kept", [0.001, 0.5, 0.9, 0.999])
def test_a_raster_that_lost_its_end_does_not_read_back(tmp_path, plan, kept):
    path = tmp_path / "cut.tif"
    write_geotiff(rasterize(plan, FRAME), FRAME, path)
    read_back(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(OSError, match="missing|not recognized|cut.tif"):
        read_back(path)
