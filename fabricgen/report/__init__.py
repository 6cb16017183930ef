"""Show what was drawn and counted: drawings, contact sheet, tables, one self-contained page."""

from fabricgen.report.html import write_report
from fabricgen.report.results import facts_of, record_of, write_results
from fabricgen.report.sheet import contact_sheet, plan_png
from fabricgen.report.surroundings import surroundings_of
from fabricgen.report.svg import plan_svg
from fabricgen.report.tables import scores_table, write_table

__all__ = [
    "contact_sheet",
    "facts_of",
    "plan_png",
    "plan_svg",
    "record_of",
    "scores_table",
    "surroundings_of",
    "write_report",
    "write_results",
    "write_table",
]
