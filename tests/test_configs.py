"""What stands in configs/ is what the rooms take, with the same defaults."""

import dataclasses

import pytest

from fabricgen.settings import compose, fill

DRAW = compose("generate")
TRAIN = compose("train", ["trainer.data=stores"])


def _ingest():
    from fabricgen.city.ingest import CitySettings

    return CitySettings, compose("ingest")["ingest"]


def _generate():
    from fabricgen.design import LoopSettings

    return LoopSettings, {
        field.name: DRAW[field.name] for field in dataclasses.fields(LoopSettings)
    }


def _train():
    from fabricgen.learn import TrainSettings

    return TrainSettings, TRAIN["trainer"]


def _differences(cls, values, prefix=""):
    for field in dataclasses.fields(cls):
        name = f"{prefix}{field.name}"
        if field.name not in values:
            yield f"{name} is not in configs"
            continue
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        value = values[field.name]
        if dataclasses.is_dataclass(default):
            yield from _differences(type(default), value, f"{name}.")
        elif isinstance(default, tuple):
            if tuple(value) != default:
                yield f"{name}: {value} in configs, {default} in code"
        elif default is not dataclasses.MISSING and value != default:
            yield f"{name}: {value} in configs, {default} in code"


# Choices of the config alone: when a run ends, and the stages, each with its own test below.
MAY_DIFFER = {"max_minutes", "models"}


@pytest.mark.parametrize("both", [_ingest, _generate, _train])
def test_configs_fill_their_dataclass_and_show_its_defaults(both):
    cls, values = both()
    fill(cls, values)
    found = [text for text in _differences(cls, values) if text.split(":")[0] not in MAY_DIFFER]
    assert found == []


@pytest.mark.parametrize("stage", ["streets", "buildings", "ground"])
def test_configs_of_a_stage_show_its_defaults(stage):
    from fabricgen.generator.checkpoint import stage_module

    cls = getattr(stage_module(stage), f"{stage.capitalize()}Settings")
    values = TRAIN["trainer"]["models"][stage]
    fill(cls, values)
    assert list(_differences(cls, values)) == []


def test_the_brief_has_every_indicator_and_all_are_free():
    from fabricgen.form.indicators import BRIEF_KEYS

    assert DRAW["brief"] == dict.fromkeys(BRIEF_KEYS)


def test_overrides_of_the_readme_compose():
    found = compose(
        "generate",
        ["brief.far=2.0", "brief.green_ratio=[0.3,0.5]", "sampler.oversample=3", "region=fi"],
    )
    assert found["brief"]["far"] == 2.0 and found["brief"]["green_ratio"] == [0.3, 0.5]
