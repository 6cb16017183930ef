"""Draw it clean: from a proposal of boxes, street pieces and a ground map to a plan."""

from fabricgen.vectorize.drawing import vectorize
from fabricgen.vectorize.settings import DrawSettings

__all__ = ["DrawSettings", "vectorize"]
