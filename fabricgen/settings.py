"""Settings: Hydra at the door, frozen dataclasses inside.

`compose` reads the primary file of a verb with its groups and the user's overrides into a plain
dict; `fill` turns one part of it into the dataclass of the room that uses it, and refuses unknown
keys, wrong types and numbers out of range. No other file knows Hydra.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import re
import threading
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from .errors import FormatError, SettingsError, need, one_line
from .files import shipped

T = TypeVar("T")

_ONE_AT_A_TIME = threading.Lock()  # Hydra keeps one global state per process


def compose(
    name: str, overrides: Sequence[str] = (), *, config_dir: Path | None = None
) -> dict[str, Any]:
    """Reads the settings of a verb.

    Args:
        name: The verb, which is the name of its primary file: `generate`, `ingest`, `train`.
        overrides: `key=value` in Hydra's grammar: `brief.far=2.0`, `sampler=fast`.
        config_dir: A folder of the user's own choices; adds to ours and cannot shadow them.

    Returns:
        Plain nested dicts, lists, numbers and texts, fully resolved.

    Raises:
        SettingsError: An override is misspelt, malformed or not finite.
    """
    need("hydra")
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    asked = list(overrides)
    for override in asked:
        _check_form(override)
    if config_dir is not None:
        if not Path(config_dir).is_dir():
            raise SettingsError(f"--config-dir {config_dir}: no such folder", "give a folder")
        asked.append(f"hydra.searchpath=[file://{Path(config_dir).absolute()}]")
    try:
        settings = _compose(name, asked)
    except (HydraException, OmegaConfBaseException) as err:
        raise _explain(err, name=name) from err
    _check_finite(settings)
    return settings


def _compose(name: str, overrides: Sequence[str], *, may_miss: bool = False) -> dict[str, Any]:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    with _ONE_AT_A_TIME:
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(shipped("configs").absolute()), version_base="1.3"):
            config = hydra_compose(name, overrides=list(overrides))
    settings = OmegaConf.to_container(config, resolve=True, throw_on_missing=not may_miss)
    return typing.cast("dict[str, Any]", settings)


def _check_form(override: str) -> None:
    if "=" not in override.lstrip("+~") and not override.startswith("~"):
        raise SettingsError(
            f"'{override}' is not a setting", "write key=value, such as brief.far=2.0"
        )


def _explain(err: Exception, *, name: str) -> SettingsError:
    """Turns Hydra's complaint into one line with the right spelling."""
    problem = one_line(str(err).strip().splitlines()[0] if str(err).strip() else type(err).__name__)

    # An unknown key.
    found = re.search(r"Could not override '([^']+)'", problem)
    if found:
        key = found.group(1).split("@")[0]
        known = [*flatten(_compose(name, [], may_miss=True)), *_groups()]
        return SettingsError(f"no setting is called '{key}'", suggest(key, known))

    # An unknown choice of a group.
    found = re.search(r"Could not find '([^']+)'", problem) or re.search(
        r"In '[^']+': Could not (?:find|load) '([^']+)'", problem
    )
    if found:
        group, _, choice = found.group(1).rpartition("/")
        known = _groups().get(group, [])
        return SettingsError(f"'{group}' has no choice '{choice}'", suggest(choice, known))

    # A setting without a default.
    found = re.search(r"Missing mandatory value: (\S+)", problem)
    if found:
        key = getattr(err, "full_key", None) or found.group(1)
        return SettingsError(f"'{key}' is missing", f"set it: {key}=VALUE")

    # A form that Hydra's grammar does not have; its own words speak of lexers and sweeps.
    found = re.search(r"Ambiguous value for argument '([^']+)'", problem)
    if found:
        fix = "write decimals with a point, and a list or range in brackets: key=[1,2]"
        return SettingsError(f"'{found.group(1)}' holds a comma", fix)
    override = getattr(err, "override", None)
    if override is not None:
        fix = "write key=value with no blank around =, quoted, such as 'brief.far=[1.5,2.0]'"
        return SettingsError(f"'{override}' cannot be read", fix)
    return SettingsError(problem, "see the pages of the verb in docs/")


def _groups() -> dict[str, list[str]]:
    """Every group of choices with its choices, as in `model/buildings: [default]`."""
    root = shipped("configs")
    groups: dict[str, list[str]] = {}
    for path in sorted(root.rglob("*.yaml")):
        group = path.parent.relative_to(root).as_posix()
        if group != ".":
            groups.setdefault(group, []).append(path.stem)
    return groups


def suggest(word: str, known: Iterable[str]) -> str:
    """A fix for a misspelt word: the nearest known one, or the first few there are."""
    names = sorted(set(known))
    # Perhaps only the last part was given, `far` for `brief.far`; perhaps misspelt as well.
    tails = {name.rpartition(".")[2]: name for name in reversed(names)}
    tail = word.rpartition(".")[2]
    near = [tails[tail]] if tail in tails else difflib.get_close_matches(word, names, n=1)
    near = near or [tails[part] for part in difflib.get_close_matches(tail, tails, n=1)]
    if near:
        return f"did you mean {near[0]}?"
    return f"known are {', '.join(names[:12])}" if names else "there are none to choose from"


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted name of every entry, groups included: `brief`, `brief.far`, and so on."""
    for key, value in settings.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")


def _check_finite(value: Any, where: str = "") -> None:
    """Refuses nan and infinity, which YAML and Hydra let pass as numbers."""
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingsError(f"{where} is {value}", "give a finite number")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _check_finite(inner, f"{where}.{key}" if where else str(key))
    if isinstance(value, list):
        for inner in value:
            _check_finite(inner, where)


def load(path: Path) -> dict[str, Any]:
    """Reads resolved settings from JSON: a `run.json`, or the bare settings. Needs no Hydra.

    Raises:
        FormatError: The file is missing or is not such a document.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        raise FormatError(f"{path.name}: no such file", "give the run.json of a run") from err
    except (ValueError, IsADirectoryError) as err:
        raise FormatError(f"{path.name}: not JSON", "give the run.json of a run") from err
    settings = document.get("settings", document) if isinstance(document, dict) else None
    if not isinstance(settings, dict):
        raise FormatError(f"{path.name}: holds no settings", "give the run.json of a run")
    _check_finite(settings)
    return settings


# --- from a mapping to a dataclass ---------------------------------------------------------------


def ranged(default: Any, low: float | None = None, high: float | None = None) -> Any:
    """A dataclass field whose number must lie in [low, high]; `fill` holds it to that.

    Example: `steps: int = ranged(16, 1, 1000)`.
    """
    return dataclasses.field(default=default, metadata={"low": low, "high": high})


def fill(cls: type[T], values: Mapping[str, Any] | None, *, where: str = "") -> T:
    """Makes a settings dataclass from a mapping, and refuses what does not fit.

    Args:
        cls: A frozen dataclass; nested dataclasses, tuples, optionals and literals are understood.
        values: What was composed for it; None takes every default.
        where: The dotted place of these values, for messages: `model.buildings`.

    Returns:
        The dataclass, each value of its declared type.

    Raises:
        SettingsError: An unknown or missing key, a wrong type, a number out of range, nan.
    """
    values = {} if values is None else values
    dot = f"{where}." if where else ""
    if not isinstance(values, Mapping):
        raise SettingsError(f"{where or cls.__name__} is {values!r}", "give key: value pairs")
    fields = {field.name: field for field in dataclasses.fields(typing.cast("Any", cls))}
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in fields:
            raise SettingsError(f"no setting is called '{dot}{key}'", suggest(str(key), fields))

    kept = {}
    for name, field in fields.items():
        if name in values:
            kept[name] = _fit(values[name], hints[name], f"{dot}{name}")
            _check_range(kept[name], field.metadata, f"{dot}{name}")
        elif _is_required(field):
            raise SettingsError(f"'{dot}{name}' is missing", "set it")
    return cls(**kept)


def _is_required(field: dataclasses.Field) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing and field.init


def _check_range(value: Any, metadata: Mapping[str, Any], where: str) -> None:
    low, high = metadata.get("low"), metadata.get("high")
    numbers = value if isinstance(value, tuple) else (value,)
    for number in numbers:
        if number is None or isinstance(number, str):
            continue
        if (low is not None and number < low) or (high is not None and number > high):
            bounds = f"{'-inf' if low is None else low} to {'inf' if high is None else high}"
            raise SettingsError(f"{where} is {number}", f"give a number in {bounds}")


def _fit(value: Any, hint: Any, where: str) -> Any:
    """Holds a value against a type; gives it back as that type."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _fit_union(value, inside, where)
    if origin is typing.Literal:
        if value not in inside:
            raise SettingsError(f"{where} is {value!r}", suggest(str(value), map(str, inside)))
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else fill(hint, value, where=where)
    if origin is tuple or origin is list or hint in (tuple, list):
        return _fit_sequence(value, hint, where)
    if isinstance(origin or hint, type) and issubclass(origin or hint, Mapping):
        if not isinstance(value, Mapping):
            raise _wrong(value, "key: value pairs", where)
        return {
            key: _fit(v, inside[1] if inside else Any, f"{where}.{key}") for key, v in value.items()
        }
    return _fit_plain(value, hint, where)


def _fit_union(value: Any, choices: Sequence[Any], where: str) -> Any:
    if value is None and type(None) in choices:
        return None
    errors = []
    for choice in choices:
        if choice is type(None):
            continue
        try:
            return _fit(value, choice, where)
        except SettingsError as err:
            errors.append(err)
    raise errors[0]


def _fit_sequence(value: Any, hint: Any, where: str) -> Any:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _wrong(value, "a list such as [1, 2]", where)
    kind, inside = typing.get_origin(hint) or hint, typing.get_args(hint)
    if kind is tuple and inside and inside[-1] is not Ellipsis:
        if len(inside) != len(value):
            raise _wrong(value, f"a list of {len(inside)}", where)
        return tuple(_fit(v, each, where) for v, each in zip(value, inside, strict=True))
    each = inside[0] if inside else Any
    return kind(_fit(v, each, where) for v in value)


def _fit_plain(value: Any, hint: Any, where: str) -> Any:
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise SettingsError(f"{where} is {value}", "give a finite number")
        return float(value)
    if hint is Path and isinstance(value, str | Path):
        return Path(value)
    if isinstance(value, bool) and hint is not bool:
        raise _wrong(value, _KINDS.get(hint, hint.__name__), where)
    if isinstance(hint, type) and isinstance(value, hint):
        return value
    raise _wrong(value, _KINDS.get(hint, str(hint)), where)


_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def _wrong(value: Any, expected: str, where: str) -> SettingsError:
    return SettingsError(f"{where} is {value!r}", f"give {expected}")
