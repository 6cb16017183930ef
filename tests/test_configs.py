"""What stands in configs/ is what the rooms take, with the same defaults."""

import dataclasses

import pytest

from fabricgen.settings import compose, fill

DRAW = compose("generate")
TRAIN = compose("train", ["trainer.data=stores"])


def _loop_values():
    from fabricgen.design import LoopSettings

    return {field.name: DRAW[field.name] for field in dataclasses.fields(LoopSettings)}


def _everything():
    from fabricgen.city.ingest import CitySettings
    from fabricgen.design import LoopSettings
    from fabricgen.learn import TrainSettings

    return {
        "ingest": (CitySettings, compose("ingest")["ingest"]),
        "generate": (LoopSettings, _loop_values()),
        "train": (TrainSettings, TRAIN["trainer"]),
    }


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


# Choices of the config alone: a training run must be told when to end.
MAY_DIFFER = {"max_minutes"}
MAY_LACK = {"models"}


@pytest.mark.parametrize("verb", ["ingest", "generate", "train"])
def test_configs_fill_their_dataclass_and_show_its_defaults(verb):
    cls, values = _everything()[verb]
    fill(cls, values)
    found = [
        text
        for text in _differences(cls, values)
        if text.split(":")[0] not in MAY_DIFFER and text.split(" ")[0] not in MAY_LACK
    ]
    assert found == []


def test_the_brief_has_every_indicator_and_all_are_free():
    from fabricgen.form.indicators import BRIEF_KEYS

    assert DRAW["brief"] == dict.fromkeys(BRIEF_KEYS)


def test_overrides_of_the_readme_compose():
    found = compose(
        "generate",
        ["brief.far=2.0", "brief.green_ratio=[0.3,0.5]", "sampler.oversample=3", "region=fi"],
    )
    assert found["brief"]["far"] == 2.0 and found["brief"]["green_ratio"] == [0.3, 0.5]
