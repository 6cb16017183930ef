"""Some of a run's schemes, from the proposal to the closed plan: a piece of work on its own.

A run is cut into parts by its count alone, and each part has its own source of chance, so that the
schemes are the same however many processes share the parts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
import torch

from fabricgen.design.brief import Brief
from fabricgen.design.conditions import conditions_of, cut_streets
from fabricgen.design.counting import Counting
from fabricgen.design.objective import SteeringSettings
from fabricgen.design.site import Site
from fabricgen.design.steer import lay_ground, steer_boxes
from fabricgen.generator import cascade
from fabricgen.generator.cascade import SamplerSettings
from fabricgen.generator.checkpoint import Models
from fabricgen.generator.conditions import Proposal
from fabricgen.plan import Plan
from fabricgen.steps import OnStep
from fabricgen.vectorize import close_brief, vectorize

MOST = 4  # schemes of a part: enough for one batch, few enough for several cores
STAGES = 3  # steps of a part besides one for each scheme


@dataclass(frozen=True)
class LoopSettings:
    """Everything that `generate` can be told besides site, context, brief, count and seed."""

    sampler: SamplerSettings = field(default_factory=SamplerSettings)
    steering: SteeringSettings = field(default_factory=SteeringSettings)
    streets: Literal["new", "keep"] = "new"  # keep: the site's own stay and no others are drawn
    region: str = "auto"  # carbon region; auto: by the site's place on earth
    factors: str | None = None  # a table of own factors, which replace ours of the same ids
    weights: str = "default"  # name in `checkpoints/`, or a path
    workers: int = 0  # processes that share the work; 0: one for each core, at most 4


@dataclass(frozen=True, eq=False)
class Part:
    """Schemes `first` to `first + count` of a run."""

    site: Site
    brief: Brief
    models: Models
    counting: Counting
    settings: LoopSettings
    seed: int  # of the run
    first: int
    count: int

    @property
    def steps(self) -> int:
        """How many steps `draft` reports."""
        return STAGES + self.count


@dataclass(frozen=True, eq=False)
class Draft:
    """A plan drawn and closed on the brief, to be judged."""

    plan: Plan
    said: dict[str, str]  # why an ask could not be met, by name
    seed: int


def split(count: int) -> list[tuple[int, int]]:
    """First scheme and number of schemes of each part: two parts or more, as equal as can be."""
    parts = min(count, max(2, -(-count // MOST)))
    edges = [count * k // parts for k in range(parts + 1)]
    return [(low, high - low) for low, high in pairwise(edges)]


def draft(part: Part, on_step: OnStep) -> list[Draft]:
    """Draw the schemes of a part."""
    site, brief, settings, total = part.site, part.brief, part.settings, part.steps
    keep = settings.streets == "keep"
    chance = np.random.SeedSequence([part.seed, part.first]).generate_state(1, np.uint64)[0]
    rng = torch.Generator().manual_seed(int(chance))

    on_step(0, total, "proposing streets and buildings")
    many = part.count * max(1, settings.sampler.oversample)
    conditions = conditions_of(site, brief, many, keep_streets=keep)
    proposal = cascade.propose(
        part.models, conditions, fixed_streets=keep, rng=rng, settings=settings.sampler
    )
    steered = {"counting": part.counting, "rng": rng} | {
        "sampler": settings.sampler, "steering": settings.steering
    }  # fmt: skip
    proposal, conditions = steer_boxes(
        part.models, proposal, conditions, brief, part.count,
        say=lambda note: on_step(1, total, note), **steered,
    )  # fmt: skip
    on_step(2, total, "laying the ground")
    proposal = lay_ground(part.models, proposal, conditions, brief, **steered)
    drafts = []
    for item in range(part.count):
        on_step(STAGES + item, total, f"drawing scheme {part.first + item + 1}")
        drafts.append(_draw_clean(proposal, item, part))
    on_step(total, total, "drawn")
    return drafts


def _draw_clean(proposal: Proposal, item: int, part: Part) -> Draft:
    """One proposal drawn clean and closed on the brief."""
    site, seed = part.site, part.seed * 1000 + part.first + item
    one = cascade.choose(proposal, torch.tensor([item]))
    keep = part.settings.streets == "keep"
    plan = vectorize(
        boxes=one.boxes.to_arrays()[0],
        segments=site.window.segments if keep else one.streets.to_arrays()[0],
        ground=one.ground[0].numpy(),
        frame=site.frame,
        site=site.boundary,
        context_segments=cut_streets(site.window.segments, site),
        no_build=site.no_build,
        seed=seed,
    )
    closed = close_brief(plan, part.brief.asks, no_build=site.no_build, seed=seed)
    return Draft(closed.plan, {u.name: u.why for u in closed.unmet}, seed)
