"""A run over blocks: each designed once, whatever interrupts it, and all of them in one file."""

import json
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from fabricgen.batch import blocks as batch
from fabricgen.batch.blocks import BlockSettings, generate_blocks
from fabricgen.cli.app import main
from fabricgen.design import Brief
from fabricgen.design.blocks import Block, Refused
from fabricgen.errors import InputError
from fabricgen.exchange import read_plan, write_schemes
from fabricgen.files import atomic_folder, shipped
from fabricgen.plan import empty_plan
from fabricgen.steps import quiet

CRS = "EPSG:32635"
RECORD = {"settings": {"a": 1}, "seed": 0, "weights": None}


def block(name: str, place: int) -> Block:
    shape = shapely.box(385_000 + 100 * place, 6_672_000, 385_080 + 100 * place, 6_672_080)
    return Block(name, gpd.GeoDataFrame(geometry=[shape], crs=CRS), Brief.read({}), seed=place)


BLOCKS = [block(name, place) for place, name in enumerate("abcd")]


@pytest.fixture
def drawn(monkeypatch):
    """Blocks in the order in which they were drawn; the drawing itself is left out."""
    calls = []

    def draw(task, on_step):
        on_step(0, 1, "drawing")
        calls.append(task.block.name)
        if task.block.name == "c":
            return Refused("c", "is too narrow", "draw it wider")
        plan = empty_plan(task.block.shapes.geometry.iloc[0], CRS)
        names = [f"s{k + 1:02d}" for k in range(task.count)]
        with atomic_folder(task.folder, mark="run.json") as folder:
            write_schemes([(name, plan) for name in names], folder / "schemes.gpkg")
            table = pd.DataFrame({"scheme": names, "rank": range(1, task.count + 1)})
            table.to_parquet(folder / "scores.parquet", index=False)
            (folder / "run.json").write_text(json.dumps({"seed": task.block.seed}))
        return None

    def here(function, items, **_):
        for place, item in enumerate(items):
            yield place, function(item, quiet)

    monkeypatch.setattr(batch, "draw_block", draw)
    monkeypatch.setattr(batch, "run_engine", here)
    return calls


def generate(out: Path, *, blocks=BLOCKS, refused=(), count=2, record=RECORD):
    return generate_blocks(
        blocks, refused, Path("store"), out,
        settings=BlockSettings(count=count), record=record, inputs=[],
    )  # fmt: skip


def test_all_schemes_stand_in_one_file_and_what_failed_in_another(drawn, tmp_path):
    out = tmp_path / "city"
    scores, aside = generate(out, refused=[Refused("e", "is empty", "draw it")])
    assert drawn == ["a", "b", "c", "d"]
    names = [f"{block}-{scheme}" for block in "abd" for scheme in ("s01", "s02")]
    assert list(scores["scheme"]) == names == list(pd.read_csv(out / "scores.csv")["scheme"])
    assert list(gpd.read_file(out / "schemes.gpkg", layer="site")["scheme"]) == names
    assert read_plan(out / "schemes.gpkg", scheme="b-s02").site.equals(
        BLOCKS[1].shapes.geometry.iloc[0]
    )
    assert [one.block for one in aside] == ["e", "c"]
    assert list(pd.read_csv(out / "rejected.csv")["problem"]) == ["is empty", "is too narrow"]
    counts = json.loads((out / "run.json").read_text())["counts"]
    assert counts == {"blocks": 3, "made": 6, "rejected": 2}
    assert (out / "overview.png").stat().st_size > 1000


def test_a_run_that_was_interrupted_goes_on_where_it_was(drawn, tmp_path, monkeypatch):
    out, draw = tmp_path / "city", batch.draw_block

    def interrupted(task, on_step):
        if task.block.name == "b":
            raise KeyboardInterrupt
        return draw(task, on_step)

    with monkeypatch.context() as patch:
        patch.setattr(batch, "draw_block", interrupted)
        with pytest.raises(KeyboardInterrupt):
            generate(out)
    assert drawn == ["a"] and not (out / "run.json").exists()
    generate(out)
    assert drawn == ["a", "b", "c", "d"]


def test_blocks_that_were_asked_otherwise_are_not_mixed_with_these(drawn, tmp_path):
    generate(tmp_path / "city")
    before = (tmp_path / "city" / "scores.csv").read_bytes()
    for change in ({"count": 3}, {"record": RECORD | {"settings": {"a": 2}}}):
        with pytest.raises(InputError, match="holds a run of other settings"):
            generate(tmp_path / "city", **change)
    assert (tmp_path / "city" / "scores.csv").read_bytes() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        generate(tmp_path / "mine")


def test_a_run_without_a_single_good_block_says_why(drawn, tmp_path):
    with pytest.raises(InputError, match="none of 1 blocks could be designed: is too narrow"):
        generate(tmp_path / "city", blocks=[BLOCKS[2]])


@pytest.mark.slow
def test_every_block_of_a_file_gets_schemes_of_its_own_brief(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FABRICGEN_CACHE", str(tmp_path / "cache"))
    city = shipped("demo")
    site = gpd.read_file(city / "site.gpkg")
    west, south, east, north = site.total_bounds
    halves = [
        site.intersection(shapely.box(*bounds)).buffer(-6).iloc[0]
        for bounds in ((west, south, (west + east) / 2, north),
                       ((west + east) / 2, south, east, north))
    ]  # fmt: skip
    away = shapely.affinity.translate(halves[0], 90_000, 0)
    table = {"block": ["west", "east", "away"], "far": [1.0, 2.0, 1.0]}
    path = tmp_path / "blocks.gpkg"
    gpd.GeoDataFrame(table, geometry=[*halves, away], crs=site.crs).to_file(path)
    out = tmp_path / "out"
    context = str(city / "helsinki-centre.osm.pbf")
    words = ["generate", "--site", str(path), "--context", context, "--count", "1"]
    assert main([*words, "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "2 blocks, 2 schemes, 1 blocks set aside" in said.out
    assert "note: away: 100% of the site lies outside the context" in said.err
    scores = pd.read_parquet(out / "scores.parquet").set_index("block")
    assert scores["far"]["west"] == pytest.approx(1.0, rel=0.02)
    assert scores["far"]["east"] == pytest.approx(2.0, rel=0.02)
    seeds = {name: json.loads((out / "blocks" / name / "run.json").read_text())["seed"]
             for name in ("west", "east")}  # fmt: skip
    assert seeds["west"] != seeds["east"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ray_draws_the_schemes_of_processes(tmp_path):
    site = gpd.read_file(shipped("demo") / "site.gpkg")
    west, south, east, north = site.total_bounds
    middle_x, middle_y = (west + east) / 2, (south + north) / 2
    halves = [
        shapely.box(middle_x - 50, middle_y - 30, middle_x, middle_y + 30),
        shapely.box(middle_x, middle_y - 30, middle_x + 50, middle_y + 30),
    ]
    path = tmp_path / "blocks.gpkg"
    gpd.GeoDataFrame({"far": [1.0, 1.5]}, geometry=halves, crs=site.crs).to_file(path)
    found = {}
    for engine in ("local", "ray"):
        out = tmp_path / engine
        words = ["--site", str(path), "--context", str(shipped("demo") / "helsinki-centre.osm.pbf")]
        words += ["--count", "1", "--out", str(out), f"engine={engine}", "-q"]
        assert main(["generate", *words]) == 0
        found[engine] = pd.read_parquet(out / "scores.parquet")
    assert list(found["local"]["block"]) == ["b0001", "b0002"]
    pd.testing.assert_frame_equal(found["local"], found["ray"])
    plans = [read_plan(tmp_path / e / "schemes.gpkg", scheme="b0002-s01") for e in found]
    assert plans[0].buildings.geometry.equals(plans[1].buildings.geometry)
