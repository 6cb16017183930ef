"""`fabricgen demo`: schemes for the site in Helsinki that ships with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .generate import draw, with_options
from .options import ConfigDir, Out, Overrides, read_settings

CONTEXT = "helsinki-centre.osm.pbf"
SITE = "site.gpkg"


def demo(
    overrides: Overrides = None,
    *,
    count: Annotated[int | None, typer.Option("--count", help="Schemes to hand over.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of every random choice.")] = None,
    out: Out = Path("outputs/demo"),
    config_dir: ConfigDir = None,
) -> None:
    """Draw schemes for a site in Helsinki that ships along.

    fabricgen demo brief.far=2.0
    """
    asked = ["brief=demo", *(overrides or [])]
    values = read_settings("generate", asked, config_dir=config_dir, settings=None)

    from ..files import shipped

    city = shipped("demo")
    settings = with_options(values, count=count, seed=seed)
    draw(city / SITE, city / CONTEXT, out=out, settings=settings, verb="demo")
