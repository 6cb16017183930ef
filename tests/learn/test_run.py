import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from fabricgen.errors import CheckpointError, SettingsError
from fabricgen.generator import checkpoint
from fabricgen.learn import TrainSettings, export, resume, train

STEPS = 12


def settings(stores, **more):
    base = dict(
        data=str(stores),
        stages=("buildings",),
        batch_size=3,
        max_steps=STEPS,
        warmup_steps=4,
        validation_items=3,
        log_steps=4,
    )
    return TrainSettings(**{**base, **more})


def weights_of(out):
    return resume.latest(out)[0]


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].equal(other[name]), name


class Stop(Exception):
    pass


def stop_at(step):
    def on_step(done, total, note):
        if done >= step:
            raise Stop

    return on_step


def test_a_stopped_and_resumed_run_ends_with_the_weights_of_an_unbroken_one(stores, tmp_path):
    train(settings(stores), out=tmp_path / "whole")
    with pytest.raises(Stop):  # a crash between two saved states
        train(
            settings(stores, checkpoint_minutes=0, log_steps=1),
            out=tmp_path / "broken",
            on_step=stop_at(5),
        )
    assert resume.latest(tmp_path / "broken")[1]["step"] == 4
    train(settings(stores), out=tmp_path / "broken")
    assert_same(weights_of(tmp_path / "whole"), weights_of(tmp_path / "broken"))


@pytest.mark.slow
def test_a_killed_and_resumed_run_ends_with_the_weights_of_an_unbroken_one(stores, tmp_path):
    plan = {
        **vars(
            settings(stores, checkpoint_minutes=0, max_steps=200, validation_items=0, log_steps=1)
        )
    }
    (tmp_path / "settings.json").write_text(json.dumps(plan))
    script = Path(__file__).with_name("run_toy.py")
    command = [
        sys.executable,
        str(script),
        str(tmp_path / "settings.json"),
        str(tmp_path / "killed"),
    ]
    kill_at = random.Random(4).randrange(3, 150)
    process = subprocess.Popen(
        command, cwd=Path(__file__).parents[2], env={"PYTHONPATH": ".", "OMP_NUM_THREADS": "1"}
    )
    log = tmp_path / "killed" / "log.jsonl"
    while process.poll() is None:
        if log.exists() and f'"step": {kill_at},' in log.read_text():
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    assert process.wait() == -signal.SIGKILL
    assert kill_at - 1 <= resume.latest(tmp_path / "killed")[1]["step"] < 200
    train(plan, out=tmp_path / "killed")
    train({**plan, "checkpoint_minutes": 5.0}, out=tmp_path / "whole")
    assert_same(weights_of(tmp_path / "whole"), weights_of(tmp_path / "killed"))


def test_a_request_to_end_saves_the_state_and_a_finished_run_exports_at_once(stores, tmp_path):
    def ask_to_end(done, total, note):
        signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        train(settings(stores), out=tmp_path, on_step=ask_to_end)
    assert resume.latest(tmp_path)[1]["step"] == 4
    assert not (tmp_path / "weights.safetensors").exists()
    train(settings(stores), out=tmp_path)
    train(settings(stores), out=tmp_path)  # nothing left to do
    assert resume.latest(tmp_path)[1]["step"] == STEPS


def test_the_log_and_the_card_tell_what_was_done(stores, tmp_path):
    path = train(vars(settings(stores)), out=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "event" not in line] == [4, 8, 12]
    assert lines[0]["losses"]["buildings.root"] > 0
    card = checkpoint.load(path).card
    told = card["training"]["buildings"]
    assert told["windows_seen"] == STEPS * 3 and told["steps"] == STEPS
    assert told["validation"]["loss"] > 0
    assert card["cities"]["gridton"] == {
        "source": "code",
        "licence": "none",
        "attribution": "nobody",
    }
    assert str(stores) not in json.dumps(dict(card))


def test_stages_train_alike_apart_and_together(stores, tmp_path):
    train(settings(stores, stages=("streets", "buildings")), out=tmp_path / "both")
    train(settings(stores), out=tmp_path / "one")
    both = weights_of(tmp_path / "both")
    one = weights_of(tmp_path / "one")
    assert {name.split(".")[1] for name in both} == {"streets", "buildings"}
    # The networks start from other random weights, yet see the same windows.
    assert both.keys() > one.keys()


def test_export_joins_stages_of_several_runs(stores, tmp_path):
    for stage in ("streets", "buildings"):
        train(settings(stores, stages=(stage,)), out=tmp_path / stage)
    path = export(
        [tmp_path / "streets", tmp_path / "buildings"],
        tmp_path / "all.safetensors",
        card={"note": "toy"},
    )
    models = checkpoint.load(path)
    assert set(models.stages()) == {"streets", "buildings"} and models.card["note"] == "toy"
    average = weights_of(tmp_path / "streets")["average.streets.net.0.weight"]
    torch.testing.assert_close(models.streets.net[0].weight.detach(), average.half().float())
    with pytest.raises(CheckpointError, match="no saved state"):
        export(tmp_path / "nowhere", tmp_path / "x.safetensors")


def test_training_starts_from_given_weights(stores, tmp_path):
    path = train(settings(stores), out=tmp_path / "first")
    train(settings(stores, init_from=str(path), lr=1e-7, max_steps=1), out=tmp_path / "second")
    torch.testing.assert_close(
        weights_of(tmp_path / "second")["model.buildings.net.0.weight"],
        checkpoint.load(path).buildings.net[0].weight.detach(),
        atol=1e-5,
        rtol=0,
    )


def test_a_run_of_nan_returns_to_the_last_good_state_and_ends_in_one_line(stores, tmp_path):
    plan = settings(
        stores,
        models={"buildings": {"break_at": 5}},
        max_steps=200,
        checkpoint_minutes=0,
        log_steps=1,
    )
    with pytest.raises(
        CheckpointError, match="the loss is not finite and stays so; lower the learning rate"
    ):
        train(plan, out=tmp_path)
    assert '"event": "backed off"' in (tmp_path / "log.jsonl").read_text()
    assert all(torch.isfinite(v.float()).all() for v in weights_of(tmp_path).values())


def test_one_nan_batch_is_skipped(stores, tmp_path, monkeypatch):
    import toy_stage

    honest, calls = toy_stage.loss, []

    def once_nan(model, batch, *, rng):
        calls.append(1)
        value, parts = honest(model, batch, rng=rng)
        return (value * float("nan") if len(calls) == 6 else value), parts

    monkeypatch.setattr(toy_stage, "loss", once_nan)
    train(settings(stores, validation_items=0), out=tmp_path)
    tensors, facts = resume.latest(tmp_path)
    assert facts["skipped"] == 1 and facts["step"] == STEPS
    assert all(torch.isfinite(v.float()).all() for v in tensors.values())


def test_a_folder_of_another_run_and_settings_without_end_are_refused(stores, tmp_path):
    train(settings(stores), out=tmp_path)
    with pytest.raises(SettingsError, match="holds a run with seed=0, asked is 1"):
        train(settings(stores, seed=1), out=tmp_path)
    with pytest.raises(SettingsError, match="neither max_steps nor max_minutes"):
        train(settings(stores, max_steps=None), out=tmp_path)
    with pytest.raises(SettingsError, match="did you mean max_steps"):
        train({"data": str(stores), "max_step": 3}, out=tmp_path)


def test_the_clock_ends_a_run(stores, tmp_path):
    train(settings(stores, max_steps=None, max_minutes=0.02), out=tmp_path)
    step = resume.latest(tmp_path)[1]["step"]
    assert 1 <= step < 5000
    train(settings(stores, max_steps=None, max_minutes=0.02), out=tmp_path)
    assert resume.latest(tmp_path)[1]["step"] == step  # its time is up


@pytest.mark.slow
def test_training_imports_no_geo_library_and_no_hydra():
    names = (
        "geopandas",
        "shapely",
        "rasterio",
        "pyproj",
        "osmium",
        "pyarrow",
        "pandas",
        "hydra",
        "omegaconf",
        "pydantic",
    )
    block = f"import sys; sys.modules.update(dict.fromkeys({names}))"
    work = "import fabricgen.learn.run, fabricgen.learn.weights, fabricgen.generator.ground"
    subprocess.run(
        [sys.executable, "-c", f"{block}; {work}"], cwd=Path(__file__).parents[2], check=True
    )
