"""Sites: what cannot be designed on is refused in one line; what can gets its surroundings."""

import warnings

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from shapely.geometry import LineString, Point, Polygon, box

from fabricgen.design.site import (
    check_covered,
    open_context,
    place_site,
    read_polygons,
    read_site,
)
from fabricgen.errors import FabricgenError, FormatError, InputError
from fabricgen.files import shipped

CRS = "EPSG:32635"
MIDDLE = box(385500, 6671100, 385600, 6671200)


def saved(tmp_path, shapes, *, crs=CRS, name="site.gpkg"):
    """The path of a file with these shapes."""
    path = tmp_path / name
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")
        gpd.GeoDataFrame(geometry=shapes, crs=crs).to_file(path)
    return path


def refused(path, store) -> FabricgenError:
    with pytest.raises(FabricgenError) as caught:
        read_site(path, context=store.folder(store.cities()[0]))
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2
    return caught.value


@pytest.fixture
def store(helsinki):
    return helsinki


BOW_TIE = Polygon([(385500, 6671100), (385600, 6671200), (385600, 6671100), (385500, 6671200)])


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ([BOW_TIE], "feature 1 is not a valid polygon (Self-intersection"),
        ([MIDDLE, Polygon()], "feature 2 is empty; delete it or draw it"),
        ([Point(385500, 6671100)], "feature 1 is a Point; draw the site as a polygon"),
        ([LineString([(385500, 6671100), (385600, 6671200)])], "feature 1 is a LineString"),
        ([box(370000, 6655000, 401000, 6688000)], "the site has 1,023.00 km2; give at most 1 km2"),
        ([box(385500, 6671100, 385510, 6671110)], "has 100.0 m2; give at least 400 m2"),
        (
            [box(395500, 6671100, 395600, 6671200)],
            "km away from it; give the extract that holds it",
        ),
        ([box(385500, 671100, 385600, 671200)], "km away from it; check its coordinate system"),
        ([MIDDLE, box(395500, 6671100, 395600, 6671200)], "50% of the site lies outside"),
    ],
)
def test_a_shape_that_is_no_site_is_refused_in_one_line(shapes, words, tmp_path, store):
    assert words in str(refused(saved(tmp_path, shapes), store))


def test_without_a_crs_the_fix_depends_on_the_numbers(tmp_path, store):
    meters = refused(saved(tmp_path, [MIDDLE], crs=None), store)
    assert "no coordinate system" in str(meters) and "EPSG:32635" in meters.fix
    degrees = box(24.94, 60.16, 24.945, 60.163)
    said = refused(saved(tmp_path, [degrees], crs=None, name="degrees.gpkg"), store)
    assert "look like degrees: set EPSG:4326" in said.fix


def test_degrees_that_claim_to_be_meters_are_refused(tmp_path, store):
    path = saved(tmp_path, [box(24.94, 60.16, 24.945, 60.163)], crs=CRS)
    said = refused(path, store)
    assert "says that it is in WGS 84 / UTM zone 35N, but its numbers are not" in said.problem
    assert "look like degrees: set EPSG:4326" in said.fix


def test_longitude_and_latitude_in_the_wrong_order_are_suspected(tmp_path, store):
    swapped = saved(tmp_path, [box(60.16, 24.94, 60.163, 24.945)], crs="EPSG:4326")
    assert "that longitude stands before latitude" in refused(swapped, store).fix


def test_meters_that_claim_to_be_degrees_are_refused(tmp_path, store):
    said = refused(saved(tmp_path, [MIDDLE], crs="EPSG:4326"), store)
    assert "says that it is in degrees, but its numbers are not" in said.problem
    assert "set the CRS it was drawn in" in said.fix


def test_a_file_with_no_feature_or_no_shape_is_refused(tmp_path, store):
    assert "holds no shape" in str(refused(saved(tmp_path, []), store))
    plain = tmp_path / "table.csv"
    plain.write_text("a,b\n1,2\n")
    assert "table.csv" in str(refused(plain, store))


def test_of_several_layers_the_one_called_site_is_read_and_none_by_chance(tmp_path, store):
    path = tmp_path / "project.gpkg"
    table = gpd.GeoDataFrame(geometry=[MIDDLE], crs=CRS)
    wide = gpd.GeoDataFrame(geometry=[MIDDLE.buffer(5000)], crs=CRS)
    wide.to_file(path, layer="area")
    table.to_file(path, layer="plot")
    said = refused(path, store)
    assert "has 2 layers (area, plot); save the site alone, or call its layer 'site'" in str(said)
    pyogrio.write_dataframe(pd.DataFrame({"style": ["red"]}), path, layer="layer_styles")
    table.to_file(path, layer="site")
    assert read_polygons(path).area.sum() == pytest.approx(MIDDLE.area)


def test_missing_and_broken_files_are_refused(tmp_path, store):
    assert "no such file" in str(refused(tmp_path / "none.gpkg", store))
    broken = tmp_path / "broken.geojson"
    broken.write_text('{"type": "FeatureCollection", "features": [{"type": "Fea')
    assert "cannot be read as a vector file" in str(refused(broken, store))


def test_a_context_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(FormatError, match=r"none\.osm\.pbf: no such file or folder"):
        open_context(tmp_path / "none.osm.pbf")


def test_a_folder_of_stores_is_refused_with_their_names(tmp_path):
    for name in ("athens", "nis"):
        (tmp_path / "stores" / name).mkdir(parents=True)
        (tmp_path / "stores" / name / "city.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds tile stores \(athens, nis\); give one"):
        open_context(tmp_path / "stores")


def test_a_site_on_ground_that_a_store_leaves_out_is_told_to_take_the_extract():
    ring = box(0, 0, 1000, 1000).difference(box(400, 400, 600, 600))
    with pytest.raises(InputError, match=r"100% of the site .* give the extract itself"):
        check_covered(box(450, 450, 550, 550), ring, name="site.gpkg", city="town")


def test_a_refused_extract_leaves_no_store_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("FABRICGEN_CACHE", str(tmp_path / "cache"))
    cut = tmp_path / "cut.osm.pbf"
    cut.write_bytes((shipped("demo") / "helsinki-centre.osm.pbf").read_bytes()[:200_000])
    with pytest.raises(InputError):
        open_context(cut)
    assert not list((tmp_path / "cache").rglob("city.json"))


def test_the_site_lies_in_its_frame_with_a_ring_around(demo_shape, store):
    site = place_site(demo_shape, store, name="site.gpkg")
    area_m2 = float(site.editable.sum()) * site.frame.pixel_m**2
    assert area_m2 == pytest.approx(demo_shape.area.sum(), rel=0.01)
    assert site.editable.shape == (site.frame.rows, site.frame.cols) == site.window.labels.shape
    rows, cols = np.nonzero(site.editable)
    ring = min(rows.min(), cols.min(), site.frame.rows - rows.max(), site.frame.cols - cols.max())
    assert ring * site.frame.pixel_m >= 44
    assert site.lon_lat == pytest.approx((24.94, 60.16), abs=0.01)
    assert len(site.window.boxes) > 10 and len(site.window.segments) > 10


def test_the_frame_runs_along_the_walls_around(demo_shape, store):
    site = place_site(demo_shape, store, name="site.gpkg")
    angle = site.window.boxes[:, 4]
    length = site.window.boxes[:, 2:4].sum(axis=1)
    along = np.abs(angle) < np.radians(6)
    assert length[along].sum() > 0.6 * length.sum()


def test_a_site_in_another_crs_or_in_parts_is_the_same_place(demo_shape, store):
    there = place_site(demo_shape, store, name="a")
    degrees = place_site(demo_shape.to_crs(4326), store, name="b")
    assert degrees.boundary.symmetric_difference(there.boundary).area < 0.1
    shape = demo_shape.geometry.iloc[0]
    west, south, east, north = shape.bounds
    halves = shapely.intersection(
        shape,
        [box(west, south, (west + east) / 2, north), box((west + east) / 2, south, east, north)],
    )
    parts = gpd.GeoDataFrame(geometry=halves, crs=demo_shape.crs)
    assert place_site(parts, store, name="c").boundary.area == pytest.approx(shape.area)


def with_zones(tmp_path, site, zones):
    """The path of a site with a layer of zones."""
    path = tmp_path / "site.gpkg"
    gpd.GeoDataFrame(geometry=[site], crs=CRS).to_file(path, layer="mine")
    gpd.GeoDataFrame(geometry=zones, crs=CRS).to_crs(4326).to_file(path, layer="no_build")
    return path


def test_zones_without_houses_are_read_in_the_sites_system(tmp_path, store):
    zone = box(385480, 6671100, 385540, 6671200)
    path = with_zones(tmp_path, MIDDLE, [zone])
    site = read_site(path, context=store.folder(store.cities()[0]))
    assert site.no_build.area == pytest.approx(40 * 100, rel=1e-3)  # the part on the site
    assert shapely.hausdorff_distance(site.no_build, zone.intersection(MIDDLE)) < 0.01
    plain = read_site(
        saved(tmp_path, [MIDDLE], name="b.gpkg"), context=store.folder(store.cities()[0])
    )
    assert plain.no_build.is_empty


@pytest.mark.parametrize(
    ("zones", "words"),
    [
        ([MIDDLE.buffer(5)], "layer no_build leaves 0 m2 for houses; leave 200 m2 at least"),
        ([BOW_TIE], "layer no_build: feature 1 is not a valid polygon"),
        ([LineString([(385500, 6671100), (385600, 6671200)])], "draw the zone as a polygon"),
    ],
)
def test_zones_that_cannot_be_are_refused(tmp_path, store, zones, words):
    assert words in str(refused(with_zones(tmp_path, MIDDLE, zones), store))
