"""The plugin as a zip: whole, of one version, with our styles; and which layers it shows."""

import ast
import configparser
import zipfile

import pandas as pd
import pytest

from fabricgen import __version__
from fabricgen.cli.app import main
from fabricgen.exchange.styles import styles
from fabricgen.files import shipped
from fabricgen.qgis import shown

FORBIDDEN = ("fabricgen", "numpy", "torch", "shapely", "geopandas")


@pytest.fixture
def plugin(tmp_path):
    """The names and texts inside the zip."""
    assert main(["qgis", "--out", str(tmp_path), "-q"]) == 0
    with zipfile.ZipFile(tmp_path / "fabricgen_qgis.zip") as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_the_zip_holds_one_folder_with_code_metadata_icon_and_styles(plugin):
    names = {name.removeprefix("fabricgen_qgis/") for name in plugin}
    code = {path.name for path in shipped("qgis").glob("*.py")}
    looks = {f"styles/{name}.qml" for name in (*styles(), "ground")}
    assert names == code | looks | {"metadata.txt", "icon.svg"}


def test_the_metadata_has_what_qgis_asks_for(plugin):
    read = configparser.ConfigParser()
    read.read_string(plugin["fabricgen_qgis/metadata.txt"])
    said = read["general"]
    for key in ("name", "description", "about", "version", "author", "email", "qgisMinimumVersion"):
        assert said[key]
    assert said["version"] == __version__ and said["hasProcessingProvider"] == "yes"


def test_the_code_imports_nothing_that_qgis_lacks(plugin):
    for name, text in plugin.items():
        if not name.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(text, feature_version=(3, 9))):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                assert (node.module or "").split(".")[0] not in FORBIDDEN, name
            if isinstance(node, ast.Import):
                assert not {one.name.split(".")[0] for one in node.names} & set(FORBIDDEN), name


def test_equal_versions_give_equal_zips(tmp_path):
    for folder in ("a", "b"):
        assert main(["qgis", "--out", str(tmp_path / folder), "-q"]) == 0
    one, other = (tmp_path / folder / "fabricgen_qgis.zip" for folder in ("a", "b"))
    assert one.read_bytes() == other.read_bytes()


def table(folder, **columns):
    size = len(columns["scheme"])
    rest = {"rank": range(1, size + 1), "far": [2.0] * size, "net_kgco2e_per_year": [1e6] * size}
    pd.DataFrame({**rest, **columns}).to_csv(folder / "scores.csv", index=False)


def test_schemes_are_groups_from_the_best_and_only_that_is_on(tmp_path):
    table(tmp_path, scheme=["it's", "b"], rank=[2, 1])
    layers = shown.layers_of(tmp_path)
    assert [layer.name for layer in layers[:8]] == list(shown.ORDER)
    titles = dict.fromkeys(layer.groups for layer in layers)
    assert [title[1][:2] for title in titles] == ["b:", "it"]
    assert all(layer.visible == (layer.groups == next(iter(titles))) for layer in layers)
    assert any("\"scheme\" = 'it''s'" in layer.uri for layer in layers)
    assert len({layer.uri for layer in layers}) == len(layers)


def test_blocks_are_grouped_by_rank(tmp_path):
    table(tmp_path, block=["n", "n", "s"], scheme=["n-s01", "n-s02", "s-s01"], rank=[1, 2, 1])
    titles = dict.fromkeys(layer.groups[1] for layer in shown.layers_of(tmp_path))
    assert list(titles) == ["s01 of each block", "s02 of each block"]


def test_no_more_groups_than_can_be_read(tmp_path):
    table(tmp_path, scheme=[f"s{n:02d}" for n in range(40)])
    groups = {layer.groups for layer in shown.layers_of(tmp_path)}
    assert len(groups) == shown.MOST_GROUPS
