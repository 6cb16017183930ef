"""Landscape measures against pylandstats: stored runs, live runs, and cases done by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from fabricgen.form.landscape import (
    class_metrics,
    connectance_shares,
    landscape_metrics,
    patch_metrics,
    shortest_sides,
)
from fabricgen.form.patches import cut

GOLDEN = sorted((Path(__file__).parents[1] / "golden" / "landscape").glob("case_*.npz"))
UNITS = ("_m_per_ha", "_per_100ha", "_percent", "_bits", "_ha", "_m")


def bare_name(key: str) -> str:
    """The judge's name: ours without its unit."""
    return next((key.removesuffix(unit) for unit in UNITS if key.endswith(unit)), key)


def by_bare_name(measures: dict) -> dict:
    return {bare_name(key): value for key, value in measures.items()}


@pytest.fixture(params=GOLDEN, ids=lambda path: path.stem)
def case(request):
    stored = np.load(request.param)
    patches = cut(
        stored["categories"],
        pixel_m=float(stored["pixel_size_m"]),
        nodata=int(stored["nodata"]),
        neighbors=int(str(stored["neighborhood_rule"])),
    )
    return stored, patches


def test_every_class_and_landscape_measure_equals_the_stored_run(case):
    stored, patches = case
    ours = {
        "class": by_bare_name(class_metrics(patches)),
        "landscape": by_bare_name(landscape_metrics(patches)),
    }
    checked = 0
    for key in stored:
        level, _, name = key.removeprefix("out_").partition("_")
        if key.startswith("out_") and level in ours:
            np.testing.assert_allclose(ours[level][name], stored[key], rtol=1e-6, err_msg=key)
            checked += 1
    assert checked == 50 and set(stored["classes"]) == set(class_metrics(patches)["category"])


def test_every_patch_equals_the_stored_run(case):
    stored, patches = case
    ours = patch_metrics(patches)
    keys = ("category", "area_ha", "perimeter_m", "euclidean_nearest_neighbor_m")
    np.testing.assert_allclose(np.stack([ours[k] for k in keys], axis=1), stored["out_patch"], 1e-6)


def test_textbook_diversity_by_cells_is_near_the_one_by_sides(case):
    stored, patches = case
    by_sides = landscape_metrics(patches)["shannon_diversity_index"]
    assert by_sides == pytest.approx(float(stored["extra_shdi_by_cells"]), rel=0.02)


def random_raster(seed: int) -> tuple[np.ndarray, float, int]:
    rng = np.random.default_rng(seed)
    kinds, shape = int(rng.integers(2, 6)), rng.integers(8, 40, 2)
    field = ndimage.gaussian_filter(rng.random(shape), 3 * rng.random())
    steps = np.quantile(field, np.linspace(0, 1, kinds + 1)[1:-1])
    raster = np.digitize(field, steps) + 1
    if seed % 3 == 0:
        raster[rng.random(shape) < 0.2] = 0
    return raster, float(rng.choice([2.0, 5.5, 30.0])), int(rng.choice([4, 8]))


@pytest.mark.filterwarnings("ignore")  # of the judge's own arithmetic
@pytest.mark.parametrize("seed", range(12))
def test_random_landscapes_measure_as_the_judge_measures_them(seed):
    judge = pytest.importorskip("pylandstats", reason="pylandstats, the judge, is not installed")
    raster, pixel_m, neighbors = random_raster(seed)
    patches = cut(raster, pixel_m=pixel_m, neighbors=neighbors)
    theirs = judge.Landscape(
        raster.astype(np.int16),
        res=(pixel_m, pixel_m),
        nodata=0,
        neighborhood_rule=str(neighbors),
    )
    for ours, table in (
        (class_metrics(patches), theirs.compute_class_metrics_df()),
        (landscape_metrics(patches), theirs.compute_landscape_metrics_df()),
    ):
        named = by_bare_name(ours)
        common = set(named) & set(table.columns)
        assert len(common) >= 20
        for name in common:
            got = np.atleast_1d(named[name])
            np.testing.assert_allclose(got, table[name], rtol=1e-6, atol=1e-9, err_msg=name)


def test_two_squares_by_hand():
    raster = np.ones((10, 20), dtype=int)
    raster[2:5, 2:5] = raster[2:5, 9:12] = 2  # 9 cells each, centers of the nearest 5 apart
    patches = cut(raster, pixel_m=2.0)
    two = {key: value[1] for key, value in class_metrics(patches).items()}
    assert two["number_of_patches"] == 2
    assert two["total_area_ha"] == pytest.approx(2 * 9 * 4 / 1e4)
    assert two["total_edge_m"] == 2 * 12 * 2
    assert two["shape_index_mn"] == 1
    assert two["euclidean_nearest_neighbor_mn_m"] == 10
    assert two["core_area_mn_ha"] == pytest.approx(4 / 1e4)
    # A pair of cells shares 12 inner sides in a 3 x 3 square, 27 at most in 18 cells.
    assert two["aggregation_index_percent"] == pytest.approx(100 * 24 / 27)
    cohesion = (1 - 24 / (24 * 3)) / (1 - 1 / math.sqrt(200))
    assert two["cohesion_percent"] == pytest.approx(100 * cohesion)


def test_pairs_are_connected_from_the_distance_of_their_nearest_cells_on():
    raster = np.ones((10, 30), dtype=int)
    raster[2:5, 2:5] = raster[2:5, 9:12] = raster[2:5, 22:25] = 2
    patches = cut(raster, pixel_m=2.0)
    shares = list(connectance_shares(patches, 2, distances_m=(9.9, 10, 21.9, 22, 35.9, 36)))
    assert shares == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 2 / 3, 1])
    assert math.isnan(*connectance_shares(patches, 1, distances_m=(50,)))


@pytest.mark.parametrize("cells", range(1, 40))
def test_the_shortest_outline_is_that_of_the_best_rectangle(cells):
    boxes = [2 * (a + math.ceil(cells / a)) for a in range(1, cells + 1)]
    assert int(shortest_sides(np.array(cells))) == min(boxes)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_turning_or_mirroring_a_landscape_changes_no_measure(seed):
    raster, pixel_m, neighbors = random_raster(seed)
    first = landscape_metrics(cut(raster, pixel_m=pixel_m, neighbors=neighbors))
    turned = np.rot90(raster)[:, ::-1]
    second = landscape_metrics(cut(turned, pixel_m=pixel_m, neighbors=neighbors))
    assert second == pytest.approx(first, nan_ok=True)


def test_a_finer_grid_keeps_areas_and_edges():
    raster, pixel_m, _ = random_raster(4)
    coarse = landscape_metrics(cut(raster, pixel_m=pixel_m, neighbors=4))
    fine = np.kron(raster, np.ones((2, 2), dtype=int))
    finer = landscape_metrics(cut(fine, pixel_m=pixel_m / 2, neighbors=4))
    for key in ("total_area_ha", "number_of_patches", "total_edge_m", "effective_mesh_size_ha"):
        assert finer[key] == pytest.approx(coarse[key])


def test_an_empty_landscape_and_a_single_category_are_no_error():
    empty = cut(np.zeros((4, 5), dtype=int), pixel_m=2.0)
    assert landscape_metrics(empty)["number_of_patches"] == 0
    assert len(class_metrics(empty)["category"]) == 0
    alone = landscape_metrics(cut(np.ones((4, 5), dtype=int), pixel_m=2.0))
    assert alone["entropy_bits"] == 0 and math.isnan(alone["contagion_percent"])
    assert alone["largest_patch_index_percent"] == 100
