"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError, SettingsError

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE", help="Settings, such as brief.far=2.0.", show_default=False
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Folder for the results.")]
ConfigDir = Annotated[
    Path | None,
    typer.Option(
        "--config-dir", help="Folder with settings of your own (more choices for groups)."
    ),
]
SettingsFile = Annotated[
    Path | None,
    typer.Option("--settings", help="A run.json, to repeat its settings; needs no Hydra."),
]


def read_settings(
    verb: str, overrides: list[str] | None, *, config_dir: Path | None, settings: Path | None
) -> dict[str, Any]:
    """The settings of a run, composed from our files or taken from an earlier run.

    Raises:
        SettingsError: Both a file of settings and overrides were given.
    """
    from ..settings import compose, load

    if settings is None:
        return compose(verb, overrides or [], config_dir=config_dir)
    if overrides or config_dir:
        raise SettingsError(
            "--settings repeats a run as it was and takes no overrides",
            "leave out either the file or the overrides",
        )
    return load(settings)


def sort_words(words: Sequence[str], what: str, fix: str) -> tuple[list[Path], list[str]]:
    """Paths and settings apart; a file that exists is a path whatever its name.

    Args:
        words: Of the command line.
        what: A path stands for, to say so where there is none.
        fix: What to give.

    Raises:
        InputError: No path among them.
    """
    settings = [word for word in words if "=" in word and not Path(word).exists()]
    paths = [Path(word) for word in words if word not in settings]
    if not paths:
        raise InputError(f"no {what}", fix)
    return paths, settings
