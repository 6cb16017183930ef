import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from fabricgen.city import vector
from fabricgen.city.ingest import CitySettings, ingest, read
from fabricgen.errors import FormatError
from fabricgen.surfaces import BIT, GRASS, ROAD, WATER

from . import worlds


def test_the_layers_are_read_with_their_own_crs(tmp_path):
    mapped = vector.read(worlds.layers(tmp_path / "c"))
    assert mapped.crs == worlds.CRS
    assert mapped.layers == {"buildings", "streets", "green"}
    assert mapped.buildings.height_m.tolist()[0] == 9.0 and mapped.buildings.floors[1] == 5.0
    assert mapped.areas.bits.tolist() == [BIT[GRASS]]
    assert mapped.streets.width_m.tolist() == [7.0]
    assert mapped.origin.license == "ODbL 1.0" and "OpenStreetMap" in mapped.origin.attribution


def test_ground_may_be_road_where_no_street_is_mapped(tmp_path):
    with_streets = vector.read(worlds.layers(tmp_path / "a"))
    without = vector.read(worlds.layers(tmp_path / "b", streets=None))
    assert not with_streets.open_bits & BIT[ROAD] and without.open_bits & BIT[ROAD]
    assert with_streets.open_bits & BIT[WATER]  # this source maps no water


def test_a_city_in_degrees_or_feet_goes_to_utm(tmp_path):
    folder = worlds.layers(tmp_path / "c")
    for crs in ("EPSG:4326", "EPSG:2263"):
        for file in folder.glob("*.parquet"):
            if file.stem != "meta":
                gpd.read_parquet(file).to_crs(crs).to_parquet(file)
        mapped = vector.read(folder)
        assert mapped.crs == worlds.CRS
        assert shapely.area(mapped.buildings.shape).round().tolist() == [600, 400]


def test_a_geopackage_of_the_same_layers_gives_the_same(tmp_path):
    folder = worlds.layers(tmp_path / "c")
    path = tmp_path / "c.gpkg"
    for file in sorted(folder.glob("*.parquet")):
        if file.stem != "meta":
            gpd.read_parquet(file).to_file(path, layer=file.stem)
    import pyogrio

    pyogrio.write_dataframe(pd.read_parquet(folder / "meta.parquet"), path, layer="meta")
    one, other = vector.read(folder), vector.read(path)
    assert shapely.equals(one.buildings.shape, other.buildings.shape).all()
    assert one.clip.equals(other.clip) and one.layers == other.layers


def test_carriageways_drawn_as_faces_are_road(tmp_path):
    x, y = worlds.CENTRE
    faces = gpd.GeoDataFrame(
        {"class": [None]}, geometry=[shapely.box(x, y - 50, x + 80, y - 40)], crs=worlds.CRS
    )
    mapped = vector.read(worlds.layers(tmp_path / "c", streets=faces))
    assert len(mapped.streets.shape) == 0 and BIT[ROAD] in mapped.areas.bits


def broken(folder, name, **columns):
    table = gpd.read_parquet(folder / f"{name}.parquet")
    return table.assign(**columns)


def test_bad_cities_are_one_clear_line_each(tmp_path):
    folder = worlds.layers(tmp_path / "c")
    buildings = folder / "buildings.parquet"
    good = buildings.read_bytes()
    table = gpd.read_parquet(buildings)

    def expect(message):
        with pytest.raises(FormatError, match=message) as caught:
            read(folder)
        assert "\n" not in str(caught.value)
        buildings.write_bytes(good)

    buildings.unlink()
    expect("no layer 'buildings'")
    buildings.write_bytes(good[: len(good) // 2])
    expect("cannot be read")
    buildings.write_bytes(b"")
    expect("cannot be read")
    pd.DataFrame({"height_m": [1.0]}).to_parquet(buildings)
    expect("cannot be read")
    table.set_crs(None, allow_override=True).to_parquet(buildings)
    expect("no coordinate system")
    table.iloc[:0].to_parquet(buildings)
    expect("no geometry")
    table.assign(geometry=gpd.GeoSeries([None, None], crs=table.crs)).to_parquet(buildings)
    expect("no geometry")
    table.set_geometry(table.geometry.centroid).to_parquet(buildings)
    expect("layer is empty")
    pd.DataFrame({"clip_wkt": ["POLYGON ((0 0"]}).to_parquet(folder / "meta.parquet")
    expect("no geometry; write it as WKT")


@pytest.mark.parametrize("name", ["nothing", "city.shp", "notes.txt"])
def test_what_is_no_city_is_said(tmp_path, name):
    if name != "nothing":
        (tmp_path / name).write_bytes(b"text")
    with pytest.raises(FormatError):
        read(tmp_path / name)


def test_a_file_that_claims_to_be_a_geopackage_is_said(tmp_path):
    path = tmp_path / "c.gpkg"
    path.write_bytes(b"not a database")
    with pytest.raises(FormatError, match="no city layers can be read"):
        read(path)


def test_a_failed_ingest_leaves_the_old_store_and_no_part(tmp_path):
    folder = worlds.layers(tmp_path / "c")
    settings = CitySettings(mask_gaps=False)
    out = tmp_path / "stores" / "c"
    ingest(folder, city="c", out=out, settings=settings)
    before = (out / "city.json").read_bytes()
    (folder / "green.parquet").write_bytes(b"")
    with pytest.raises(FormatError, match="layer 'green' cannot be read"):
        ingest(folder, city="c", out=out, settings=settings)
    assert (out / "city.json").read_bytes() == before
    assert not list(out.parent.glob("*.part"))


def test_two_footprints_on_each_other_are_one_building(tmp_path):
    x, y = worlds.CENTRE
    table = gpd.GeoDataFrame(
        {"height_m": [9.0, 30.0, np.nan]},
        geometry=[
            shapely.box(x, y, x + 40, y + 40),
            shapely.box(x + 10, y + 10, x + 20, y + 20),
            shapely.box(x + 60, y, x + 70, y + 10),
        ],
        crs=worlds.CRS,
    )
    folder = worlds.layers(tmp_path / "c", buildings=table)
    out = tmp_path / "store"
    report = ingest(folder, city="c", out=out, settings=CitySettings(mask_gaps=False))
    assert report.buildings == 2 and report.boxes == 2
    assert report.dropped["building on top of a larger one"] == 1
    height_dm = np.load(out / "height_dm.npy")
    assert (height_dm == 300).sum() == pytest.approx(100, abs=5)  # the greater height stays
    assert (height_dm == 90).sum() == pytest.approx(1500, abs=80)


def test_damaged_bytes_never_escape_as_another_error(tmp_path):
    rng = np.random.default_rng(5)
    folder = worlds.layers(tmp_path / "c")
    for file in sorted(folder.glob("*.parquet")):
        good = file.read_bytes()
        for _ in range(12):
            bad = bytearray(good)
            bad[rng.integers(len(bad))] ^= 1 << rng.integers(8)
            file.write_bytes(bad[: rng.integers(1, len(bad))] if rng.random() < 0.4 else bad)
            try:
                read(folder)
            except FormatError as err:
                assert "\n" not in str(err)
        file.write_bytes(good)
