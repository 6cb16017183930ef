"""Writes docs/regions.md: every carbon preset with its electricity and climate.

python scripts/regions_table.py [--check]
"""

import sys
from pathlib import Path

from fabricgen.carbon.factors import factor
from fabricgen.carbon.regions import climates_of, region, region_names

PAGE = Path(__file__).parent.parent / "docs" / "regions.md"
HEAD = """# Carbon regions

A preset says which rows of the factor table hold for a place. `region=auto` takes the one of the
site's place: country, then province or state by outline, which can miss by some 3 to 5 km near a
border. The choice and its reason are printed, and stand on every page. `region=NAME` chooses by
hand, in any case (`US-NY` is `us-ny`).

`region=NAME/CLIMATE` takes a preset into another climate of its country: `cn-sc/cnz-c` is the grid
of Sichuan with the climate of its mountains, `us-ny/us-5a` that of New York upstate. Climates:

{climates}

Own numbers replace ours with `factors=FILE.csv` (see [score](score.md)). A file
`configs/carbon/region/NAME.yaml` adds a preset; `base: cn` builds on another one.

Whether a grid factor was confirmed in a source that could be opened stands in the last column.
This page is written by `python scripts/regions_table.py`.

| preset | place | electricity factor | kg CO2 or CO2e per kWh | year | climate | confirmed |
| --- | --- | --- | ---: | --- | --- | --- |
"""
FAMILIES = {"China": "cn", "United States and Canada": "us", "Australia": "au"}


def page() -> str:
    """The whole page."""
    lines = [
        f"- {title}: {', '.join(f'`{code}`' for code in climates_of(country))}"
        for title, country in FAMILIES.items()
    ]
    rows = [_row(name) for name in region_names()]
    return HEAD.format(climates="\n".join(lines)) + "\n".join(rows) + "\n"


def _row(name: str) -> str:
    of = region(name)
    grid = factor(of.electricity)
    cells = (
        f"`{name}`", of.title, f"`{grid.id}`", f"{grid.value:g}", str(grid.year or ""),
        f"`{of.climate}`", "yes" if grid.confirmed else "no",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        sys.exit(0 if PAGE.read_text(encoding="utf-8") == page() else "docs/regions.md is old")
    PAGE.write_text(page(), encoding="utf-8")
