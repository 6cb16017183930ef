"""A file of blocks: every feature a site of its own, with its own asks."""

from pathlib import Path

import geopandas as gpd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from fabricgen.design.blocks import holds_blocks, read_blocks
from fabricgen.errors import InputError

SQUARES = [shapely.box(x, 6_672_000, x + 80, 6_672_080) for x in (385_000, 385_100, 385_200)]


def write(folder: Path, shapes=SQUARES, crs="EPSG:32635", **columns) -> Path:
    path = folder / "blocks.gpkg"
    gpd.GeoDataFrame(columns, geometry=shapes, crs=crs).to_file(path)
    return path


def test_each_feature_is_a_block_with_the_asks_of_its_columns_over_the_common_ones(tmp_path):
    path = write(tmp_path, block=["a", "b", "c"], far=[1.0, None, 2.0], note=["x", "y", "z"])
    blocks, refused = read_blocks(path, {"far": 0.5, "green_ratio": [0.2, 0.4]}, seed=0)
    assert refused == []
    assert [block.name for block in blocks] == ["a", "b", "c"]
    assert [block.brief.asks["far"] for block in blocks] == [(1, 1), (0.5, 0.5), (2, 2)]
    assert all(block.brief.asks["green_ratio"] == (0.2, 0.4) for block in blocks)


@pytest.mark.parametrize("text", ["0.3-0.5", "0.3 – 0.5", "[0.3, 0.5]", "0.3 to 0.5", " 0.3…0.5 "])
def test_a_range_is_read_as_people_write_it(tmp_path, text):
    blocks, _ = read_blocks(write(tmp_path, green_ratio=[text, "", "0.4"]), {}, seed=0)
    assert [block.brief.asks.get("green_ratio") for block in blocks] == [
        (0.3, 0.5),
        None,
        (0.4, 0.4),
    ]


def test_what_cannot_be_designed_is_told_apart_from_the_rest(tmp_path):
    tie = shapely.Polygon([(0, 0), (80, 80), (80, 0), (0, 80)])
    path = write(tmp_path, [tie, *SQUARES[1:]], name=["tie", "lot", "good"], far=["1", "lots", "1"])
    blocks, refused = read_blocks(path, {}, seed=0)
    assert [block.name for block in blocks] == ["good"]
    assert [one.block for one in refused] == ["tie", "lot"]
    assert "not a valid polygon" in refused[0].problem
    assert "brief.far='lots'" in refused[1].problem


def test_a_file_without_names_numbers_its_blocks(tmp_path):
    blocks, _ = read_blocks(write(tmp_path, far=[1.0] * 3), {}, seed=0)
    assert [block.name for block in blocks] == ["b0001", "b0002", "b0003"]


def test_names_that_stand_for_several_blocks_are_refused(tmp_path):
    with pytest.raises(InputError, match="'a' stands for several"):
        read_blocks(write(tmp_path, block=["a", "b", "a"]), {}, seed=0)


def test_a_file_holds_blocks_where_several_features_have_asks(tmp_path):
    assert holds_blocks(write(tmp_path, far=[1.0] * 3))
    assert not holds_blocks(write(tmp_path, note=["x"] * 3))
    assert not holds_blocks(write(tmp_path, SQUARES[:1], far=[1.0]))


@settings(max_examples=8, deadline=None)
@given(st.permutations(["a", "b", "c"]), st.integers(0, 2**32))
def test_the_seed_of_a_block_hangs_on_its_name_and_not_on_its_place(tmp_path_factory, names, seed):
    folder = tmp_path_factory.mktemp("blocks")
    blocks, _ = read_blocks(write(folder, block=names), {}, seed=seed)
    sorted_blocks, _ = read_blocks(write(folder, block=sorted(names)), {}, seed=seed)
    assert {b.name: b.seed for b in blocks} == {b.name: b.seed for b in sorted_blocks}
    assert len({block.seed for block in blocks}) == 3
