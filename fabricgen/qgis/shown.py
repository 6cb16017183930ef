"""Which layers of a result are shown, in which groups and order; needs no QGIS."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# From top to bottom; `ground` is the site once more, filled, for what no layer covers.
ORDER = ("site", "trees", "buildings", "roads", "green", "paved", "water", "ground")
LAYERS = ORDER[:-1]
MOST_GROUPS = 12  # schemes that are shown; the file holds all
PLANS = "schemes.gpkg"
SCORES = "scores.csv"


@dataclass(frozen=True)
class Shown:
    """A layer to show.

    Attributes:
        uri: Where it is, as QGIS's OGR provider reads it.
        name: Of the layer.
        groups: Names of its groups, from the outermost.
        place: Its place among its siblings, counted from the top.
        visible: Whether its group is switched on.
        style: Style document of ours; blank: the one that its file holds.
    """

    uri: str
    name: str
    groups: tuple[str, ...]
    place: int
    visible: bool = True
    style: str = ""


def uri_of(path: Path, layer: str, subset: str = "") -> str:
    """A layer of a GeoPackage, or the part of it that a condition picks."""
    return f"{path}|layername={layer}" + (f"|subset={subset}" if subset else "")


def layers_of(folder: Path, *, most: int = MOST_GROUPS) -> list[Shown]:
    """The layers of what `generate` wrote, a group for each scheme, the best one switched on.

    Of blocks, the group of a rank holds the schemes of that rank of all blocks.

    Args:
        folder: The folder of results.
        most: Schemes to show, the best first.
    """
    shown = []
    for rank, (name, title, subset) in enumerate(_schemes(folder)[:most]):
        for place, layer in enumerate(ORDER):
            # Processing knows layers by where they are, so the site's second must differ a little.
            again = layer == "ground"
            source, part = ("site", f"({subset})") if again else (layer, subset)
            shown.append(
                Shown(
                    uri=uri_of(folder / PLANS, source, part),
                    name=layer,
                    groups=(folder.name, title or name),
                    place=place,
                    visible=rank == 0,
                    style="ground" if again else "",
                )
            )
    return shown


def table_of(folder: Path, name: str) -> Shown:
    """The table of scores, with numbers as numbers."""
    uri = f"{folder / SCORES}|option:AUTODETECT_TYPE=YES"
    return Shown(uri=uri, name=name, groups=(folder.name,), place=-1)


def best_of(folder: Path, column: str) -> str:
    """The name of the best plan in the table of scores."""
    return _rows(folder)[0][column]


def _schemes(folder: Path) -> list[tuple[str, str, str]]:
    """Name, title and condition of each scheme, the best first."""
    rows = _rows(folder)
    if rows and "block" in rows[0]:  # a scheme is called <block>-<rank>
        ranks = sorted({row["scheme"].rpartition("-")[2] for row in rows})
        return [(rank, f"{rank} of each block", _like(f"%-{rank}")) for rank in ranks]
    return [(row["scheme"], _title(row), _equal(row["scheme"])) for row in rows]


def _rows(folder: Path) -> Sequence[dict[str, str]]:
    with (folder / SCORES).open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source))
    return sorted(rows, key=lambda row: int(row["rank"]))


def _title(row: dict[str, str]) -> str:
    net_t = float(row["net_kgco2e_per_year"]) / 1000
    return f"{row['scheme']}: FAR {float(row['far']):.2f}, net {net_t:,.0f} t CO2e a year"


def _equal(name: str) -> str:
    quoted = name.replace("'", "''")
    return f"\"scheme\" = '{quoted}'"


def _like(pattern: str) -> str:
    quoted = pattern.replace("'", "''")
    return f"\"scheme\" LIKE '{quoted}'"
