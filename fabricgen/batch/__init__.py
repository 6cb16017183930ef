"""Many pieces of work at once: plans to be scored, blocks to be designed, cities to be read."""

from .engines import EngineSettings
from .run import BatchSettings, Summary, score_many, score_parts
from .sources import Part, find_files, list_parts
from .write import write_plan_table

__all__ = [
    "BatchSettings",
    "EngineSettings",
    "Part",
    "Summary",
    "find_files",
    "list_parts",
    "score_many",
    "score_parts",
    "write_plan_table",
]
