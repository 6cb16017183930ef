"""The one door to torch, torchvision and lightning.

Stock torchvision beside a CPU build of torch carries compiled operators that cannot load, and then
refuses to be imported at all, which takes lightning down with it (through torchmetrics). Its Python
side is sound: only the registration of shapes for the missing operators fails. This module lets
just that registration pass, once, and hands out the libraries afterwards.

`torchvision` and `lightning` load on first use: `from fabricgen._torch import lightning`.
Compiled operators (`torchvision.ops.nms`, `torchvision.io`) stay unavailable in that case.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch

__all__ = ["lightning", "torch", "torchvision"]  # noqa: F822 (two load on first use)


@contextmanager
def _missing_operators_allowed() -> Iterator[None]:
    """Lets torchvision register shapes for operators that this build does not have."""
    strict = torch.library.register_fake

    def register_fake(op: Any, func: Callable | None = None, /, **options: Any) -> Any:
        def register(shape_of: Callable) -> Callable:
            try:
                return strict(op, shape_of, **options)
            except RuntimeError:
                if not str(op).startswith("torchvision::"):
                    raise
                return shape_of

        return register if func is None else register(func)

    torch.library.register_fake = register_fake
    try:
        yield
    finally:
        torch.library.register_fake = strict


def _load_torchvision() -> ModuleType:
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as err:
        if "operator torchvision::" not in str(err):
            raise

    # The failed import left half-made modules behind.
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    with _missing_operators_allowed():
        return importlib.import_module("torchvision")


def _load_lightning() -> ModuleType:
    if importlib.util.find_spec("torchvision") is not None:
        _load_torchvision()
    return importlib.import_module("lightning")


_LOADERS = {"torchvision": _load_torchvision, "lightning": _load_lightning}


def __getattr__(name: str) -> ModuleType:
    if name not in _LOADERS:
        raise AttributeError(f"module 'fabricgen._torch' has no attribute {name!r}")
    globals()[name] = module = _LOADERS[name]()
    return module
