"""Count carbon: what a layout emits, takes up and holds, from a table of factors with ranges."""

from fabricgen.carbon.evaluator import evaluate
from fabricgen.carbon.ledger import Entry, Ledger
from fabricgen.carbon.regions import Region, locate, region, region_for, region_names
from fabricgen.carbon.surroundings import Sunlight

__all__ = [
    "Entry",
    "Ledger",
    "Region",
    "Sunlight",
    "evaluate",
    "locate",
    "region",
    "region_for",
    "region_names",
]
