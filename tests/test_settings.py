"""Settings: what is misspelt, mistyped or not a number is refused with the right spelling."""

import json
import math
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from fabricgen import settings as module
from fabricgen.errors import FormatError, SettingsError
from fabricgen.settings import compose, fill, load, ranged, suggest


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """A small folder of configs: one verb, two groups."""
    root = tmp_path / "configs"
    (root / "brief").mkdir(parents=True)
    (root / "trainer").mkdir()
    (root / "draw.yaml").write_text(
        "defaults: [_self_, {brief: free}, {trainer: cpu}, {optional experiment: null}]\n"
        "count: 8\nseed: 0\n"
    )
    (root / "brief" / "free.yaml").write_text("far: null\ngreen_ratio: null\n")
    (root / "brief" / "dense.yaml").write_text("far: 3.0\ngreen_ratio: [0.1, 0.2]\n")
    (root / "trainer" / "cpu.yaml").write_text("max_steps: 10\nlearning_rate: 1e-3\n")
    monkeypatch.setattr(module, "shipped", lambda _name: root)
    return root


def test_groups_and_overrides_come_together(configs):
    found = compose("draw", ["brief=dense", "brief.far=2.5", "count=3"])
    assert found == {
        "count": 3,
        "seed": 0,
        "brief": {"far": 2.5, "green_ratio": [0.1, 0.2]},
        "trainer": {"max_steps": 10, "learning_rate": 0.001},
    }


def test_ranges_and_null_are_values(configs):
    found = compose("draw", ["brief.far=[1.5,2]", "brief.green_ratio=null"])
    assert found["brief"] == {"far": [1.5, 2], "green_ratio": None}


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("trainer.max_step=5", "no setting is called 'trainer.max_step'; did you mean trainer.max_steps?"),
        ("far=2", "no setting is called 'far'; did you mean brief.far?"),
        ("brieff.far=2", "no setting is called 'brieff.far'; did you mean brief.far?"),
        ("brief.max_step=5", "no setting is called 'brief.max_step'; did you mean trainer.max_steps?"),
        ("green_rato=0.4", "no setting is called 'green_rato'; did you mean brief.green_ratio?"),
        ("brief=dens", "'brief' has no choice 'dens'; did you mean dense?"),
        ("brief.far=nan", "brief.far is nan; give a finite number"),
        ("brief.far=1e400", "brief.far is inf; give a finite number"),
        ("brief.green_ratio=[0.1,nan]", "brief.green_ratio is nan; give a finite number"),
        ("brief.far", "'brief.far' is not a setting; write key=value, such as brief.far=2.0"),
    ],
)  # fmt: skip
def test_a_bad_override_is_one_line_with_the_fix(configs, override, says):
    with pytest.raises(SettingsError) as caught:
        compose("draw", [override])
    assert str(caught.value) == says


def test_a_setting_without_a_default_must_be_given(configs):
    (configs / "trainer" / "cpu.yaml").write_text("data: ???\nmax_steps: 10\n")
    with pytest.raises(
        SettingsError, match="'trainer.data' is missing; set it: trainer.data=VALUE"
    ):
        compose("draw", [])
    with pytest.raises(SettingsError, match="did you mean trainer.max_steps"):
        compose("draw", ["trainer.max_step=3"])
    assert compose("draw", ["trainer.data=stores"])["trainer"]["data"] == "stores"


@pytest.mark.parametrize("override", ["brief.far=[1,2", "brief.far = 2", "brief.far=(1,2)"])
def test_a_malformed_override_is_refused(configs, override):
    with pytest.raises(SettingsError) as caught:
        compose("draw", [override])
    assert str(caught.value).startswith(f"'{override}' cannot be read; write key=value")


def test_a_decimal_comma_is_named(configs):
    with pytest.raises(SettingsError, match=r"'brief\.far=2,0' holds a comma; write decimals with"):
        compose("draw", ["brief.far=2,0"])


def test_a_users_folder_adds_choices(configs, tmp_path):
    mine = tmp_path / "mine" / "brief"
    mine.mkdir(parents=True)
    (mine / "garden.yaml").write_text("far: 0.4\ngreen_ratio: 0.6\n")
    found = compose("draw", ["brief=garden"], config_dir=tmp_path / "mine")
    assert found["brief"]["far"] == 0.4


def test_a_users_folder_that_is_missing_is_named(configs, tmp_path):
    with pytest.raises(SettingsError, match="no such folder"):
        compose("draw", [], config_dir=tmp_path / "none")


def test_composing_in_four_threads_at_once_works(configs):
    found = []
    threads = [
        threading.Thread(target=lambda i=i: found.append(compose("draw", [f"seed={i}"])["seed"]))
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 1, 2, 3]


@dataclass(frozen=True)
class Inner:
    sizes: tuple[int, ...] = (32, 64)
    pair: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class Outer:
    steps: int = ranged(16, 1, 100)
    share: float = ranged(0.5, 0, 1)
    low: float | None = ranged(None, 0, None)
    mode: Literal["fast", "exact"] = "fast"
    where: Path | None = None
    on: bool = False
    name: str = "x"
    inner: Inner = field(default_factory=Inner)
    weights: dict[str, float] = field(default_factory=dict)


def test_a_dataclass_is_filled_with_its_own_types():
    outer = fill(
        Outer, {"steps": 3, "share": 1, "inner": {"sizes": [1, 2], "pair": [0, 2]}, "where": "a/b"}
    )
    assert outer == Outer(steps=3, share=1.0, inner=Inner((1, 2), (0.0, 2.0)), where=Path("a/b"))
    assert isinstance(outer.share, float) and isinstance(outer.inner.pair[0], float)


def test_nothing_given_takes_every_default():
    assert fill(Outer, {}) == fill(Outer, None) == Outer()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"step": 3}, "no setting is called 'sampler.step'; did you mean steps?"),
        ({"steps": 2.5}, "sampler.steps is 2.5; give a whole number"),
        ({"steps": "many"}, "sampler.steps is 'many'; give a whole number"),
        ({"steps": ""}, "sampler.steps is ''; give a whole number"),
        ({"steps": True}, "sampler.steps is True; give a whole number"),
        ({"steps": 0}, "sampler.steps is 0; give a number in 1 to 100"),
        ({"share": math.nan}, "sampler.share is nan; give a finite number"),
        ({"share": math.inf}, "sampler.share is inf; give a finite number"),
        ({"share": 1.5}, "sampler.share is 1.5; give a number in 0 to 1"),
        ({"low": -1}, "sampler.low is -1.0; give a number in 0 to inf"),
        ({"mode": "fst"}, "sampler.mode is 'fst'; did you mean fast?"),
        ({"on": "yes"}, "sampler.on is 'yes'; give true or false"),
        ({"name": 3}, "sampler.name is 3; give a text"),
        ({"inner": {"pair": [1]}}, "sampler.inner.pair is [1]; give a list of 2"),
        ({"inner": {"sizes": 4}}, "sampler.inner.sizes is 4; give a list such as [1, 2]"),
        ({"weights": {"a": "b"}}, "sampler.weights.a is 'b'; give a number"),
        ({"inner": 3}, "sampler.inner is 3; give key: value pairs"),
    ],
)
def test_what_does_not_fit_is_one_line_with_the_fix(values, says):
    with pytest.raises(SettingsError) as caught:
        fill(Outer, values, where="sampler")
    assert str(caught.value) == says


def test_a_required_setting_that_is_missing_is_named():
    @dataclass(frozen=True)
    class Needs:
        city: str

    with pytest.raises(SettingsError, match="'city' is missing; set it"):
        fill(Needs, {})


def test_a_word_with_no_near_one_lists_what_there_is():
    assert suggest("zzz", ["b", "a"]) == "known are a, b"


def test_the_last_part_of_a_word_counts_before_its_likeness_to_others():
    known = ["factors", "brief.far", "brief.green_ratio", "brief"]
    assert suggest("far", known) == "did you mean brief.far?"
    assert suggest("green_rato", known) == "did you mean brief.green_ratio?"


def test_the_settings_of_a_run_come_back_without_hydra(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"settings": {"count": 3}, "seed": 1}))
    (tmp_path / "bare.json").write_text(json.dumps({"count": 3}))
    code = (
        "import sys; sys.modules['hydra'] = sys.modules['omegaconf'] = None\n"
        "from pathlib import Path; from fabricgen.settings import load\n"
        "print([load(Path(p)) for p in sys.argv[1:]])"
    )
    paths = [str(tmp_path / "run.json"), str(tmp_path / "bare.json")]
    done = subprocess.run(
        [sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[{'count': 3}, {'count': 3}]"


@pytest.mark.parametrize("text", ["{", "[1]", '{"settings": 3}'])
def test_settings_that_are_no_settings_are_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(FormatError, match="run.json"):
        load(tmp_path / "run.json")


def test_settings_that_are_missing_are_named(tmp_path):
    with pytest.raises(FormatError, match="none.json: no such file"):
        load(tmp_path / "none.json")
