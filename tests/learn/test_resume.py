import logging
import random

import pytest
import torch

from fabricgen.errors import CheckpointError
from fabricgen.learn import resume


def save(folder, step):
    return resume.save(
        folder, step=step, tensors={"a.b.c": torch.full((50,), float(step))}, facts={"x": step}
    )


def test_the_last_two_states_are_kept(tmp_path):
    for step in (3, 20, 100):
        save(tmp_path, step)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"state-{step:08d}.{suffix}" for step in (20, 100) for suffix in ("json", "safetensors")
    ]
    tensors, facts = resume.latest(tmp_path)
    assert facts["step"] == facts["x"] == 100
    assert tensors["a.b.c"].eq(100).all()


@pytest.mark.parametrize("cut", [0, 10, 0.5, 0.9999, "flip", "manifest"])
def test_a_damaged_state_falls_back_to_the_one_before_and_says_so(tmp_path, caplog, cut):
    save(tmp_path, 1)
    target = save(tmp_path, 2)
    data = bytearray(target.read_bytes())
    if cut == "flip":
        bit = random.Random(0).randrange(8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
        target.write_bytes(data)
    elif cut == "manifest":
        target.with_suffix(".json").write_text("{")
    else:
        target.write_bytes(data[: int(cut * len(data)) if isinstance(cut, float) else cut])
    with caplog.at_level(logging.WARNING):
        _, facts = resume.latest(tmp_path)
    assert facts["step"] == 1
    assert "state-00000002: damaged, falling back" in caplog.text


def test_only_damaged_states_are_an_error_and_none_is_none(tmp_path):
    assert resume.latest(tmp_path) is None
    save(tmp_path, 1).write_bytes(b"")
    with pytest.raises(CheckpointError, match="none of its 1 saved states is intact"):
        resume.latest(tmp_path)


def test_a_state_with_nan_is_never_written(tmp_path):
    with pytest.raises(CheckpointError, match="model.x is not finite"):
        resume.save(tmp_path, step=1, tensors={"model.x": torch.tensor([float("nan")])}, facts={})
    assert resume.latest(tmp_path) is None


def test_a_state_without_its_manifest_does_not_count(tmp_path):
    save(tmp_path, 1)
    save(tmp_path, 2).with_suffix(".json").unlink()
    assert resume.latest(tmp_path)[1]["step"] == 1
