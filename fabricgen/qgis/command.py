"""What fabricgen is asked, as the words of its command line; needs no QGIS."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

INDICATORS = {
    "far": "Floor area per site area (FAR)",
    "site_coverage": "Site coverage by buildings, 0 to 1",
    "green_ratio": "Green per site area, 0 to 1",
    "mean_height_m": "Mean building height, meters",
    "road_share": "Roads per site area, 0 to 1",
    "tree_share": "Tree crowns per site area, 0 to 1",
}
FORMATS = ("gpkg", "geojson", "geoparquet", "dxf", "cityjson", "ifc", "cog")
SITES = ("auto", "one", "each")  # the file's features: as its columns say, one site, a site each
STREETS = ("new", "keep")

_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_ONE = re.compile(_NUMBER)
_RANGES = (
    re.compile(rf"{_NUMBER}\s*(?:-|–|…|\.\.|to)\s*{_NUMBER}"),
    re.compile(rf"\[\s*{_NUMBER}\s*[,;]\s*{_NUMBER}\s*\]"),
)


class TextError(ValueError):
    """A text in a field of the dialog that cannot be read; one line, for the user."""


def ask(text: str) -> str:
    """An item of the brief as fabricgen reads it: `2.0`, or `[0.3,0.5]` from `0.3-0.5`.

    Raises:
        TextError: It is neither a number nor a range with the lower end first.
    """
    text = text.strip()
    if _ONE.fullmatch(text):
        return text
    for pattern in _RANGES:
        found = pattern.fullmatch(text)
        if found:
            low, high = found.groups()
            if float(low) > float(high):
                raise TextError(f"'{text}': give the lower end first")
            return f"[{low},{high}]"
    raise TextError(f"'{text}': give a number such as 2.0, or a range such as 0.3-0.5")


def setting(key: str, value: str) -> str:
    """`key='value'` for any text, such as a path with blanks, quoted as the settings want it."""
    if os.name == "nt":
        value = value.replace("\\", "/")
    # Backslashes count only before a quote, where each of them is doubled.
    inner = re.sub(r"(\\*)'", r"\1\1\\'", value)
    tail = re.search(r"\\*$", inner)
    return f"{key}='{inner}{tail.group() if tail else ''}'"


def more_settings(text: str) -> list[str]:
    """Settings of a text field, one on each line.

    Raises:
        TextError: A line is no `key=value`.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        if line.startswith("-") or "=" not in line:
            raise TextError(f"'{line}': write key=value, one on each line")
    return lines


def generate(
    *,
    site: Path,
    context: Path,
    out: Path,
    count: int,
    seed: int,
    asks: Mapping[str, str],
    settings: Sequence[str] = (),
) -> list[str]:
    """Words of `fabricgen generate`.

    Args:
        site: File with the site.
        context: Extract or tile store.
        out: Folder of the results.
        count: Schemes to hand over.
        seed: Of every random choice.
        asks: Texts by indicator, as in `ask`; what is blank is free.
        settings: `key=value`, more of them.
    """
    paths = ["--site", str(site), "--context", str(context), "--out", str(out)]
    numbers = ["--count", str(count), "--seed", str(seed)]
    brief = [f"brief.{name}={ask(text)}" for name, text in asks.items() if text.strip()]
    return ["generate", "--json", *paths, *numbers, *brief, *settings]


def score(
    *, plans: Sequence[Path], out: Path, region: str, settings: Sequence[str] = ()
) -> list[str]:
    """Words of `fabricgen score`."""
    named = [str(path) for path in plans]
    return ["score", "--json", "--region", region, "--out", str(out), *named, *settings]


def export(
    *, plan: Path, out: Path, formats: Sequence[str], schemes: str = "", region: str = ""
) -> list[str]:
    """Words of `fabricgen export`; blank schemes are all, a blank region counts no carbon."""
    words = ["export", "--json", "--to", ",".join(formats), "--out", str(out), str(plan)]
    names = ",".join(name.strip() for name in schemes.split(",") if name.strip())
    words += [f"scheme={names}"] if names else []
    return [*words, "--region", region] if region else words


def ingest(*, extract: Path, out: Path, city: str = "", settings: Sequence[str] = ()) -> list[str]:
    """Words of `fabricgen ingest`; a blank city is called like its file."""
    named = ["--city", city] if city else []
    return ["ingest", "--json", *named, "--out", str(out), str(extract), *settings]
