"""Descriptors of buildings and streets against momepy's stored runs, and by hand."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from shapely.geometry import LineString, Polygon, box

from fabricgen.errors import SettingsError
from fabricgen.form.morphology import building_shapes, street_shapes
from fabricgen.form.neighborhood import (
    building_nearness,
    building_plots,
    building_walls,
    street_profiles,
)

FOLDER = Path(__file__).parents[1] / "golden" / "morphology"
# Ours to the judge's names, where the unit is not the only difference.
JUDGE = {
    "longest_axis_m": "longest_axis_length",
    "shared_walls_m": "shared_walls_strict",
    "shared_walls_joined_m": "shared_walls_tol_0_01",
    "neighbor_distance_m": "neighbor_distance_knn5",
    "adjacency_share": "building_adjacency_knn5",
    "alignment_deg": "alignment_knn5",
}
ABSOLUTE = {"squareness_deg": 1e-3, "orientation_deg": 1e-3, "alignment_deg": 1e-3}
RELATIVE = {"elongation": 2e-4}


@pytest.fixture(scope="module", params=["case_01", "case_02"])
def case(request):
    """Buildings, streets, and what the judge says of both."""
    name, tables = request.param, []
    for layer, key in (("buildings", "uid"), ("streets", "sid")):
        read = gpd.read_file(FOLDER / f"{name}_input.gpkg", layer=layer)
        stored = pd.read_csv(FOLDER / f"{name}_{layer}.csv")
        tables += [read.set_index(key).geometry, stored.set_index(key)]
    return tables


def hold(ours: pd.DataFrame, stored: pd.DataFrame) -> None:
    for column in ours:
        bare = next(
            (column.removesuffix(u) for u in ("_m2", "_m", "_deg") if column.endswith(u)), column
        )
        expected = stored.loc[ours.index, JUDGE.get(column, bare)].to_numpy()
        np.testing.assert_allclose(
            ours[column].to_numpy(),
            expected,
            rtol=RELATIVE.get(column, 1e-6),
            atol=ABSOLUTE.get(column, 1e-6),
            err_msg=column,
        )


def test_shapes_of_buildings_equal_the_stored_run(case):
    buildings, stored, _, _ = case
    ours = building_shapes(buildings)
    assert ours.shape == (len(buildings), 20) and not ours.isna().any().any()
    hold(ours, stored)


def test_walls_and_neighbors_equal_the_stored_run(case):
    buildings, stored, _, _ = case
    hold(building_walls(buildings), stored)
    hold(building_nearness(buildings), stored)


def test_shapes_of_streets_equal_the_stored_run(case):
    _, _, streets, stored = case
    hold(street_shapes(streets), stored)


def test_profiles_of_streets_equal_the_stored_run(case):
    buildings, _, streets, stored = case
    hold(street_profiles(streets, buildings), stored)


def test_plots_are_within_one_percent_of_the_stored_run_and_cover_no_ground_twice(case):
    buildings, stored, _, _ = case
    plots = building_plots(buildings)
    expected = stored.loc[plots.index, "tessellation_area_limit50"]
    np.testing.assert_allclose(plots.area, expected, rtol=0.01)
    coverage = buildings.area / plots.area
    np.testing.assert_allclose(
        coverage, stored.loc[plots.index, "coverage_ratio_limit50"], rtol=0.01
    )
    assert plots.area.sum() == pytest.approx(plots.union_all().area, rel=1e-6)


def test_a_square_court_by_hand():
    court = Polygon(box(0, 0, 40, 40).exterior, [box(10, 10, 30, 30).exterior])
    got = building_shapes(gpd.GeoSeries([court], index=["a"])).loc["a"]
    assert got["area_m2"] == 1200 and got["perimeter_m"] == 240
    assert got["courtyard_area_m2"] == 400 and got["courtyard_index"] == pytest.approx(1 / 3)
    assert got["elongation"] == pytest.approx(1) and got["corners"] == 4
    assert got["squareness_deg"] == pytest.approx(0, abs=1e-9)
    assert got["longest_axis_m"] == pytest.approx(40 * np.sqrt(2))
    assert got["centroid_corner_mean_m"] == pytest.approx(20 * np.sqrt(2))
    assert got["centroid_corner_std_m"] == pytest.approx(0, abs=1e-9)


def test_two_of_a_row_share_a_wall_and_one_outline():
    row = gpd.GeoSeries([box(0, 0, 10, 10), box(10, 0, 20, 10), box(50, 0, 60, 10)])
    got = building_walls(row)
    assert got["shared_walls_m"].tolist() == [10, 10, 0]
    assert got["contiguity_degree"].tolist() == [1, 1, 0]
    assert got["perimeter_wall_m"].to_numpy() == pytest.approx([60, 60, 40], abs=0.1)
    assert got["courtyards"].tolist() == [0, 0, 0]


def test_shapes_do_not_depend_on_where_a_building_stands_or_how_it_is_turned():
    shape = Polygon([(0, 0), (30, 0), (30, 12), (12, 12), (12, 25), (0, 25)])
    first = building_shapes(gpd.GeoSeries([shape])).iloc[0]
    moved = shapely.affinity.translate(shapely.affinity.rotate(shape, 33), 500, -200)
    second = building_shapes(gpd.GeoSeries([moved])).iloc[0]
    pd.testing.assert_series_equal(
        first.drop("orientation_deg"), second.drop("orientation_deg"), rtol=1e-6, check_names=False
    )
    assert (first["orientation_deg"], second["orientation_deg"]) == pytest.approx((0, 33), abs=1e-6)


def test_a_street_between_two_rows_is_as_wide_as_they_stand_apart():
    rows = gpd.GeoSeries([box(0, 9, 100, 20), box(0, -26, 100, -6)])
    street = gpd.GeoSeries([LineString([(0, 0), (100, 0)]), LineString([(0, 300), (100, 300)])])
    got = street_profiles(street, rows)
    assert got["profile_width_m"].tolist() == [15, 50]
    assert got["profile_openness"].tolist() == pytest.approx([4 / 22, 1])
    assert got["profile_width_deviation_m"].iloc[0] == pytest.approx(1.5)


def test_no_buildings_have_no_descriptors_and_too_few_no_neighbors():
    nothing = gpd.GeoSeries([], crs="EPSG:3067")
    assert building_shapes(nothing).empty and building_walls(nothing).empty
    with pytest.raises(SettingsError, match="nearest: 5 of 2 buildings; ask for fewer"):
        building_nearness(gpd.GeoSeries([box(0, 0, 9, 9), box(20, 0, 29, 9)]))
