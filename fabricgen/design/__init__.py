"""The loop: a site, a brief and a city become ranked schemes."""

from fabricgen.design.brief import Brief
from fabricgen.design.loop import LoopSettings, Run, generate, run, weights_path
from fabricgen.design.rank import rank
from fabricgen.design.scheme import Scheme, Score, Unmet
from fabricgen.design.score import score
from fabricgen.design.site import Site, read_site

__all__ = [
    "Brief",
    "LoopSettings",
    "Run",
    "Scheme",
    "Score",
    "Site",
    "Unmet",
    "generate",
    "rank",
    "read_site",
    "run",
    "score",
    "weights_path",
]
