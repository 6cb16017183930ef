"""`fabricgen score`: the carbon of plans and rasters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SettingsError
from .options import ConfigDir, Out, SettingsFile, read_settings, sort_words
from .score_few import score_few
from .score_many import score_many

if TYPE_CHECKING:
    from ..batch import Part

MOST_PAGES = 50  # plans that get a page each unless pages=all
PAGES = ("auto", "all", "none")


def score(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="PLAN_OR_RASTER... [KEY=VALUE]...",
            help="Files, folders, patterns or tables of plans, GeoTIFFs; then settings.",
            show_default=False,
        ),
    ],
    *,
    region: Annotated[
        str | None, typer.Option("--region", help="Carbon region; auto: by the site's place.")
    ] = None,
    out: Out = Path("outputs/scores"),
    config_dir: ConfigDir = None,
    settings: SettingsFile = None,
) -> None:
    """Count the carbon of plans and rasters, with ranges.

    fabricgen score plans/*.gpkg scheme.tif --region auto --out outputs/scores

    More than 50 plans get one ranked table and no pages; a stopped run goes on.
    """
    paths, overrides = sort_words(words, "plan to score", "give a plan or a GeoTIFF, or several")
    values = read_settings("score", overrides, config_dir=config_dir, settings=settings)
    if region is not None:
        values = {**values, "region": region}

    from ..batch import BatchSettings, find_files, list_parts
    from ..design.candidates import ScoreSettings
    from ..settings import fill

    batch = fill(BatchSettings, _named(BatchSettings, values))
    chosen = fill(ScoreSettings, _named(ScoreSettings, values))
    files = find_files(paths)
    parts = list_parts(files, plans_per_part=batch.plans_per_part)
    if with_pages(values.get("pages", "auto"), parts):
        score_few(files, chosen, out=out, values=values)
    else:
        score_many(parts, chosen, out=out, batch=batch)


def _named(cls: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of one dataclass out of those of the verb."""
    return {field.name: values[field.name] for field in fields(cls) if field.name in values}


def with_pages(asked: str, parts: Sequence[Part]) -> bool:
    """Whether each plan gets a page.

    Raises:
        SettingsError: It is none of the choices.
    """
    if asked not in PAGES:
        raise SettingsError(f"pages is {asked!r}", f"give {', '.join(PAGES)}")
    few = sum(part.plans for part in parts) <= MOST_PAGES
    return asked == "all" or (asked == "auto" and few)
