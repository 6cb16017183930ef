"""Draw it clean: boxes, street pieces and a ground map, or any layout, become a plan."""

from fabricgen.vectorize.close import Closed, Unmet, close_brief
from fabricgen.vectorize.drawing import vectorize
from fabricgen.vectorize.settings import DrawSettings
from fabricgen.vectorize.trace import TraceSettings, trace_layout

__all__ = [
    "Closed",
    "DrawSettings",
    "TraceSettings",
    "Unmet",
    "close_brief",
    "trace_layout",
    "vectorize",
]
