import json
import random

import pytest
import torch

from fabricgen.errors import CheckpointError, SettingsError
from fabricgen.generator import checkpoint
from fabricgen.generator.checkpoint import Models, card_path
from fabricgen.generator.ground import GroundModel, GroundSettings

TINY = GroundSettings(widths=(8, 16, 16), embedding=16, fine=8)


@pytest.fixture
def saved(tmp_path):
    models = Models(None, None, GroundModel(TINY), card={})
    return checkpoint.save(models, tmp_path / "w.safetensors", {"note": "tiny"}), models.ground


def test_weights_come_back_in_half_precision_with_their_settings(saved):
    path, model = saved
    models = checkpoint.load(path)
    assert models.streets is None and models.buildings is None
    assert models.ground.settings == TINY and not models.ground.training
    assert models.card["note"] == "tiny" and len(models.sha256) == 64
    for name, value in model.state_dict().items():
        torch.testing.assert_close(models.ground.state_dict()[name], value.half().float())


def test_any_flipped_bit_is_noticed(saved):
    path, _ = saved
    whole = path.read_bytes()
    for seed in range(20):
        data = bytearray(whole)
        bit = random.Random(seed).randrange(8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        with pytest.raises(
            CheckpointError, match=r"w.safetensors: damaged, its SHA-256 .*; fetch both"
        ):
            checkpoint.load(path)


def test_missing_and_foreign_files_are_told_in_one_line(saved, tmp_path):
    path, _ = saved
    with pytest.raises(CheckpointError, match="x.safetensors: no such file"):
        checkpoint.load(tmp_path / "x.safetensors")
    good = json.loads(card_path(path).read_text())
    for text, said in (
        ("{", "w.json: not JSON"),
        ("[]", "not a card"),
        (json.dumps({**good, "format": 9}), "format 9, this version reads 1"),
    ):
        card_path(path).write_text(text)
        with pytest.raises(CheckpointError, match=said):
            checkpoint.load(path)
    card_path(path).unlink()
    with pytest.raises(CheckpointError, match="w.json: no such file"):
        checkpoint.load(path)


def test_weights_of_other_sizes_or_settings_do_not_fit(saved):
    path, _ = saved
    good = json.loads(card_path(path).read_text())
    for change in ({"fine": 4}, {"unknown": 1}):
        stages = {"ground": {**good["stages"]["ground"], **change}}
        card_path(path).write_text(json.dumps({**good, "stages": stages}))
        with pytest.raises(CheckpointError, match="the stage 'ground' does not fit this version"):
            checkpoint.load(path)


def test_weights_too_large_for_half_precision_are_not_saved(tmp_path):
    model = GroundModel(TINY)
    with torch.no_grad():
        model.network.out.bias.fill_(1e6)
    with pytest.raises(CheckpointError, match="not finite in half precision"):
        checkpoint.save(Models(None, None, model, card={}), tmp_path / "w.safetensors", {})
    assert not list(tmp_path.iterdir())


def test_an_unknown_stage_is_refused_with_the_nearest_name():
    with pytest.raises(SettingsError, match="no stage is called 'grund'; did you mean ground"):
        checkpoint.build("grund")
