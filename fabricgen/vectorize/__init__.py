"""Draw it clean: boxes, street pieces and a ground map become a plan, closed on its brief."""

from fabricgen.vectorize.close import Closed, Unmet, close_brief
from fabricgen.vectorize.drawing import vectorize
from fabricgen.vectorize.settings import DrawSettings

__all__ = ["Closed", "DrawSettings", "Unmet", "close_brief", "vectorize"]
