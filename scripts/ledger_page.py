"""Writes docs/ledger.md: each line of the ledger with its equation, and the factors it rests on.

python scripts/ledger_page.py
"""

import csv
from functools import lru_cache
from pathlib import Path

import torch

from fabricgen.carbon import evaluate
from fabricgen.carbon.ledger import Ledger, flow_tags
from fabricgen.layout import Layout

PAGE = Path(__file__).parent.parent / "docs" / "ledger.md"
REGION = "fi"  # whose factors the page lists
PIXELS = 48

HEAD = """# The ledger, line by line

`fabricgen score` and the report show these lines. *Emission*, *sink* (what is taken up, gross and
positive), *avoided* (against today) and *stock* (held, no flow) stay apart; the only net is
emission minus sink. Amounts are kgCO2e a year; one-off flows are divided by the study period of
the region. The yearly course behind them (`flows`, `timeline`, `whole_life`) has them in their
year.

In the equations an area is that of the site seen from above, `GFA` gross floor area and `EF` the
emission factor of electricity. Names in `code` are families of rows of the factor table.
"""

FACTORS = f"""
## Factors

Those that a mixed block in the region `{REGION}` rests on, with the state before known. Another
region takes other rows; every page of `fabricgen score` lists its own. The range holds the draws:
bounds of triangles, or 5 and 95 % points of the other shapes.
"""

# Start of a flow's id, what it is, the equation, and where the method comes from.
LINES = Path(__file__).parent / "ledger_lines.csv"


def page() -> str:
    """The whole page."""
    ledger = sample()
    parts = [HEAD, "| flow | kind | what | equation | after | GPC | IPCC | EN 15978 |"]
    parts.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    parts += [_row(name) for name in flow_tags() if _line_of(name)]
    parts.append(FACTORS)
    parts.append("| factor | value | range | unit | confirmed | source |")
    parts.append("| --- | ---: | --- | --- | --- | --- |")
    for name in sorted(ledger.factors):
        of = ledger.factors[name]
        source = of.source.replace("|", "/")
        parts.append(
            f"| `{name}` | {of.value:g} | {of.low:g} to {of.high:g} | {of.unit} | "
            f"{'yes' if of.confirmed else 'no'} | {source} |"
        )
    written = "\nThis page is written by `python scripts/ledger_page.py`.\n"
    return "\n".join(parts) + "\n" + written


@lru_cache(maxsize=1)
def _lines() -> tuple[dict[str, str], ...]:
    with LINES.open(encoding="utf-8", newline="") as source:
        return tuple(csv.DictReader(source))


def _line_of(name: str) -> dict[str, str] | None:
    """The most specific line for a flow; None for one that no account makes."""
    found = [x for x in _lines() if name == x["flow"] or name.startswith(f"{x['flow']}.")]
    return max(found, key=lambda line: len(line["flow"]), default=None)


def _row(name: str) -> str:
    line = _line_of(name) or {}
    tags = flow_tags()[name]
    gpc = tags.gpc if tags.gpc == "none" else f"{tags.gpc}.{tags.gpc_scope}"
    cells = (
        f"`{name}`", tags.kind, line["what"], line["equation"], line["source"], gpc,
        tags.ipcc.replace("|", ", "), tags.en15978,
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def sample() -> Ledger:
    """A block with some of everything, on ground that was something else."""
    rng = torch.Generator().manual_seed(0)
    now, before = (
        torch.softmax(2 * torch.randn(1, 8, PIXELS, PIXELS, generator=rng), dim=1) for _ in "ab"
    )
    height = torch.full((1, PIXELS, PIXELS), 12.0)
    allowed = torch.full(height.shape, 255, dtype=torch.uint8)
    known = torch.ones(height.shape, dtype=torch.bool)
    layouts = [Layout(cover, height, allowed, known, 2.0) for cover in (now, before)]
    return evaluate(layouts[0], region=REGION, context=layouts[1])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
