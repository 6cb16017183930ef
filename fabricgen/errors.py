"""The errors that fabricgen raises, and what each one means to the caller.

Every message is one line, "problem; fix". The command line turns an `InputError` into exit code
2 and a `ResourceError` into 3; anything else that escapes is a bug of ours and exits with 1.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class FabricgenError(Exception):
    """What went wrong, and what to do about it.

    Attributes:
        problem: What is wrong and where, with the offending value.
        fix: What the reader can do; may be empty where the problem says it all.
    """

    exit_code = 1

    def __init__(self, problem: str, fix: str = "") -> None:
        self.problem = one_line(problem)
        self.fix = one_line(fix)
        super().__init__(self.problem, self.fix)

    def __str__(self) -> str:
        return f"{self.problem}; {self.fix}" if self.fix else self.problem


class InputError(FabricgenError):
    """What was given is wrong."""

    exit_code = 2


class LayoutError(InputError):
    """A layout breaks its contract (see `layout.check`)."""


class PlanError(InputError):
    """A plan breaks its contract (see `plan.check_plan`)."""


class FormatError(InputError):
    """A file is not what it claims to be, is cut short, or is too large."""


class BriefError(InputError):
    """What the brief asks contradicts itself or physics."""


class SettingsError(InputError):
    """A setting is unknown, of the wrong type, or out of range."""


class ResourceError(FabricgenError):
    """This machine lacks something."""

    exit_code = 3


class MissingDependencyError(ResourceError):
    """An optional package is not installed."""


class CheckpointError(ResourceError):
    """Weights are missing, damaged, or from another version."""


class StorageError(ResourceError):
    """The disk is full, read-only, or held by another run."""


def one_line(text: str) -> str:
    """Folds a text of any shape into a single line."""
    return " ".join(str(text).split())


def need(module: str, *, extra: str = "") -> ModuleType:
    """Imports an optional package where it is used.

    Args:
        module: Name to import, such as `ezdxf`.
        extra: The extra of fabricgen that installs it; empty when the package stands alone.

    Returns:
        The imported module.

    Raises:
        MissingDependencyError: The package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as err:
        if err.name is not None and err.name.split(".")[0] != module.split(".")[0]:
            raise  # the package is there but broken
        what = f"fabricgen[{extra}]" if extra else module.split(".")[0]
        raise MissingDependencyError(
            f"this needs the package {module.split('.')[0]}, which is not installed",
            f"pip install '{what}'",
        ) from err
