"""The loop: propose, draw soft, score, steer by the gradient, draw clean, close the brief, rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fabricgen import carbon
from fabricgen.carbon.factors import read_own
from fabricgen.carbon.regions import Region, with_factors
from fabricgen.carbon.surroundings import Sunlight
from fabricgen.design.brief import Brief
from fabricgen.design.conditions import surroundings_of
from fabricgen.design.counting import Counting
from fabricgen.design.drafts import Draft, LoopSettings, Part, draft, split
from fabricgen.design.rank import rank
from fabricgen.design.scheme import Scheme, Unmet
from fabricgen.design.score import DRAWS, score
from fabricgen.design.site import Site, read_site
from fabricgen.design.workers import one_thread, share
from fabricgen.errors import InputError
from fabricgen.files import shipped
from fabricgen.generator.checkpoint import Models, load
from fabricgen.steps import OnStep, quiet


@dataclass(frozen=True, eq=False)
class Run:
    """Ranked schemes with what they were made from."""

    schemes: list[Scheme]
    site: Site
    brief: Brief
    region: str
    models: Models
    settings: LoopSettings


def generate(
    site: Site | Path | str,
    context: Path | str | None,
    brief: Brief | Mapping[str, object],
    count: int = 8,
    seed: int = 0,
    *,
    settings: LoopSettings | None = None,
    on_step: OnStep = quiet,
) -> list[Scheme]:
    """Ranked block schemes for a site, steered by carbon under a brief.

    Args:
        site: A vector file with the site's polygons, or a site that was read before.
        context: The city around it: an extract or a tile store.
        brief: Asks by the names of the indicators: a value, a range (low, high), or None.
        count: Schemes to hand over.
        seed: Of every random choice; the same seed gives the same schemes.
        settings: Of sampler, steering, region and weights.
        on_step: Hears about progress.

    Returns:
        `count` schemes, best first.
    """
    return run(site, context, brief, count, seed, settings=settings, on_step=on_step).schemes


def run(
    site: Site | Path | str,
    context: Path | str | None,
    brief: Brief | Mapping[str, object],
    count: int = 8,
    seed: int = 0,
    *,
    settings: LoopSettings | None = None,
    on_step: OnStep = quiet,
) -> Run:
    """As `generate`, with the site, the region and the models beside the schemes."""
    settings = settings or LoopSettings()
    brief = brief if isinstance(brief, Brief) else Brief.read(brief)
    on_step(0, None, "reading the site")
    if not isinstance(site, Site):
        if context is None:
            raise InputError("no context", "give the city extract or tile store around the site")
        site = read_site(Path(site), context=Path(context))
    region = _region_of(site, settings)
    around = surroundings_of(site)
    counting = Counting(region, around, Sunlight(site.lon_lat[1], site.frame.angle_deg))
    steering = replace(counting, sunlight=replace(counting.sunlight, quick=True))
    models = load(weights_path(settings.weights))
    parts = [
        Part(site, brief, models, steering, settings, seed, first, some)
        for first, some in split(count)
    ]
    total = sum(part.steps for part in parts)
    far = [0] * len(parts)

    def hear(index: int, done: int, note: str) -> None:
        far[index] = done
        on_step(sum(far), total, note)

    def judge(drafts: list[Draft]) -> list[Scheme]:
        return [_judge(one, parts[0], counting) for one in drafts]

    with one_thread():
        judged = share(draft, parts, workers=settings.workers, on_step=hear, finish=judge)
    schemes = [scheme for some in judged for scheme in some]
    on_step(total, total, "ranked")
    return Run(rank(schemes), site, brief, region.name, models, settings)


def _region_of(site: Site, settings: LoopSettings) -> Region:
    """The carbon region that is asked for, or that of the site's place, with own factors."""
    name = settings.region
    region = carbon.region(carbon.region_for(*site.lon_lat) if name == "auto" else name)
    if settings.factors is None:
        return region
    return with_factors(region, read_own(Path(settings.factors)))


def weights_path(name: str) -> Path:
    """Weights by name, or a path to some."""
    path = Path(name)
    return path if path.suffix == ".safetensors" else shipped("checkpoints") / f"{name}.safetensors"


def _judge(drafted: Draft, part: Part, counting: Counting) -> Scheme:
    """A drawn plan scored, with the asks that it misses."""
    site, brief = part.site, part.brief
    judged, layout = score(
        drafted.plan, site.frame, counting, surroundings=counting.today, draws=DRAWS
    )
    unmet = tuple(
        Unmet(
            name,
            brief.text(name),
            judged.indicators[name],
            drafted.said.get(name, "not reached"),
        )
        for name in brief.misses(judged.indicators)
    )
    return Scheme(
        name="",
        plan=drafted.plan,
        frame=site.frame,
        layout=layout,
        score=judged,
        seed=drafted.seed,
        rank=0,
        tie=0,
        asked=brief.table(),
        unmet=unmet,
        origin="guided" if part.settings.steering.guided else "unguided",
    )
