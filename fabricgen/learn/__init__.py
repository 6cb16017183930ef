"""Train the stages of the generator on tile stores: `train`, `export`, `TrainSettings`.

`train` brings Lightning, which is slow to import; it loads on first use.
"""

from typing import Any

from fabricgen.learn.settings import TrainSettings

__all__ = ["TrainSettings", "export", "train"]


def __getattr__(name: str) -> Any:
    if name == "train":
        from fabricgen.learn.run import train

        return train
    if name == "export":
        from fabricgen.learn.weights import export

        return export
    raise AttributeError(f"module 'fabricgen.learn' has no attribute {name!r}")
