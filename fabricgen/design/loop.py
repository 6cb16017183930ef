"""The loop: propose, draw soft, score, steer by the gradient, draw clean, close the brief, rank."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fabricgen import carbon
from fabricgen.carbon.factors import read_own
from fabricgen.carbon.regions import Region, with_factors
from fabricgen.design.brief import Brief
from fabricgen.design.objective import SteeringSettings, energy_of, ground_cost, hold
from fabricgen.design.rank import rank
from fabricgen.design.scheme import Scheme, Unmet
from fabricgen.design.score import DRAWS, score
from fabricgen.design.site import Site, read_site
from fabricgen.errors import InputError
from fabricgen.files import shipped
from fabricgen.form.indicators import STOREY_M, of_layout
from fabricgen.generator import cascade
from fabricgen.generator.cascade import SamplerSettings
from fabricgen.generator.checkpoint import Models, load
from fabricgen.generator.conditions import (
    Boxes,
    Conditions,
    Proposal,
    Segments,
    join_segments,
)
from fabricgen.generator.proposal import Guide, PolishSettings, draw, groups_of, polish
from fabricgen.generator.steering import Constraint, harden, kl_tilt
from fabricgen.layout import Layout, from_labels
from fabricgen.steps import OnStep, quiet
from fabricgen.surfaces import GREEN, OPEN, PAVED, TREE
from fabricgen.vectorize import close_brief, vectorize

TREE_HEIGHT_M = 8.0  # of a mature street tree; carbon-model section 1
COMMON_FLOORS = 3.0  # of a box whose floors nobody knows


@dataclass(frozen=True)
class LoopSettings:
    """Everything that `generate` can be told besides site, context, brief, count and seed."""

    sampler: SamplerSettings = field(default_factory=SamplerSettings)
    steering: SteeringSettings = field(default_factory=SteeringSettings)
    streets: str = "new"  # "keep": the site's existing streets stay and no others are drawn
    region: str = "auto"  # carbon region; auto: by the site's place on earth
    factors: str | None = None  # a table of own factors, which replace ours of the same ids
    weights: str = "default"  # name in `checkpoints/`, or a path


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
    total = count + 4
    on_step(0, total, "reading the site")
    if not isinstance(site, Site):
        if context is None:
            raise InputError("no context", "give the city extract or tile store around the site")
        site = read_site(Path(site), context=Path(context))
    region = _region_of(site, settings)
    models = load(weights_path(settings.weights))

    on_step(1, total, "proposing streets and buildings")
    rng = torch.Generator().manual_seed(seed)
    many = count * max(1, settings.sampler.oversample)
    conditions = conditions_of(site, brief, many, keep_streets=settings.streets == "keep")
    proposal = cascade.propose(
        models,
        conditions,
        fixed_streets=settings.streets == "keep",
        rng=rng,
        settings=settings.sampler,
    )
    proposal, conditions = _steer_boxes(
        models, proposal, conditions, brief, count, region=region, rng=rng, settings=settings,
        on_step=lambda note: on_step(2, total, note),
    )  # fmt: skip
    on_step(3, total, "laying the ground")
    proposal = _lay_ground(
        models, proposal, conditions, brief, region=region, rng=rng, settings=settings
    )
    schemes = []
    for item in range(count):
        on_step(4 + item, total, f"drawing scheme {item + 1} of {count}")
        schemes.append(
            _draw_scheme(proposal, item, site, brief, region=region, seed=seed, settings=settings)
        )
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


def conditions_of(site: Site, brief: Brief, batch: int, *, keep_streets: bool) -> Conditions:
    """What the generator is told about a site: the city around, cut free of what the site holds."""
    window, editable = site.window, torch.from_numpy(site.editable)[None]
    around = surroundings_of(site)
    labels = torch.where(editable, torch.full_like(around.allowed, OPEN), around.allowed)
    known = around.height_known & ~editable
    context = from_labels(labels, around.height_m, known, site.frame.pixel_m)
    context = Layout(*(_repeat(x, batch) for x in _fields(context)), pixel_m=context.pixel_m)
    outside = [box for box in window.boxes if not _in_site(site, box[0], box[1])]
    boxes = np.array(outside, dtype=np.float32).reshape(-1, 7)
    segments = window.segments if keep_streets else cut_streets(window.segments, site)
    return Conditions(
        context=context,
        editable=_repeat(editable, batch),
        asks=brief.targets().expand(batch, -1).clone(),
        north_deg=torch.full((batch,), float(window.north_deg)),
        boxes=Boxes.from_arrays([boxes] * batch),
        segments=Segments.from_arrays([segments] * batch),
    )


def _fields(layout: Layout) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return layout.cover, layout.height_m, layout.allowed, layout.height_known


def _repeat(x: Tensor, batch: int) -> Tensor:
    return x.expand(batch, *x.shape[1:]).contiguous()


def _in_site(site: Site, u: float, v: float) -> bool:
    row, col = int(v / site.frame.pixel_m), int(u / site.frame.pixel_m)
    rows, cols = site.editable.shape
    return 0 <= row < rows and 0 <= col < cols and bool(site.editable[row, col])


def cut_streets(segments: np.ndarray, site: Site) -> np.ndarray:
    """Street pieces without the parts that lie on the site, (M, 6)."""
    import shapely

    from fabricgen.vectorize.drawing import to_frame

    flat = to_frame(site.boundary, site.frame)
    left = []
    for row in segments:
        line = shapely.LineString(row[:4].reshape(2, 2)).difference(flat)
        for part in shapely.get_parts(line):
            xy = shapely.get_coordinates(part)
            if len(xy) >= 2 and part.length > 0.1:  # dust at the site's edge
                left.append([*xy[0], *xy[-1], row[4], row[5]])
    return np.array(left, dtype=np.float32).reshape(-1, 6)


def _steer_boxes(  # noqa: PLR0913  # the whole state of the loop passes through here
    models: Models,
    proposal: Proposal,
    conditions: Conditions,
    brief: Brief,
    count: int,
    *,
    region: Region,
    rng: torch.Generator,
    settings: LoopSettings,
    on_step,  # noqa: ANN001
) -> tuple[Proposal, Conditions]:
    """Rounds of polishing and redrawing; then the best of each scheme's candidates."""
    steering = settings.steering
    proposal = replace(proposal, boxes=_with_floors(proposal.boxes))
    inside = conditions.editable
    targets = _targets(proposal, conditions, brief)
    proposal = replace(proposal, boxes=_fit_floors(proposal.boxes, targets, inside, conditions))
    guide = energy_of(
        region=region, inside=inside, targets=targets, carbon_weight=float(steering.guided)
    )
    energy = _energy(guide, proposal, conditions)
    best = energy.reshape(count, -1).argmin(dim=1)
    index = torch.arange(count) * (len(energy) // count) + best
    proposal, conditions = cascade.choose(proposal, index), _first(conditions, count)
    if not steering.guided:
        return proposal, conditions

    # The costliest parts anew, then all groups down the gradient; only what gains is kept.
    inside, targets, energy = conditions.editable, targets[index], energy[index]
    guide = energy_of(region=region, inside=inside, targets=targets)
    for turn in range(steering.rounds):
        on_step(f"drawing the costliest parts anew, round {turn + 1} of {steering.rounds}")
        leave = _costliest(proposal, conditions, region=region, share=steering.redraw_share)
        other = cascade.redraw(
            models, proposal, leave, conditions, rng=rng, settings=settings.sampler
        )
        fitted = _fit_floors(_with_floors(other.boxes), targets, inside, conditions)
        proposal, energy = _better(
            guide, replace(other, boxes=fitted), proposal, energy, conditions
        )
    on_step("moving buildings down the gradient")
    other = polish(
        proposal,
        conditions,
        guide,
        storey_m=STOREY_M,
        tree_height_m=TREE_HEIGHT_M,
        settings=PolishSettings(steps=steering.polish_steps),
    )
    return _better(guide, other, proposal, energy, conditions)[0], conditions


def _better(
    guide: Guide, other: Proposal, proposal: Proposal, energy: Tensor, conditions: Conditions
) -> tuple[Proposal, Tensor]:
    """Item by item, the one with less energy."""
    trial = _energy(guide, other, conditions)
    wins = trial < energy
    return cascade.where(wins, other, proposal), torch.where(wins, trial, energy)


def _energy(guide: Guide, proposal: Proposal, conditions: Conditions) -> Tensor:
    return hold(guide, _soft(proposal, conditions))


def _soft(proposal: Proposal, conditions: Conditions) -> Layout:
    return draw(proposal, conditions, storey_m=STOREY_M, tree_height_m=TREE_HEIGHT_M)


def _with_floors(boxes: Boxes) -> Boxes:
    return replace(boxes, floors=torch.nan_to_num(boxes.floors, nan=COMMON_FLOORS).clamp(min=1))


def _targets(proposal: Proposal, conditions: Conditions, brief: Brief) -> Tensor:
    """Floor area ratio and coverage to hold: what was asked, or else what was proposed, (B, 2)."""
    got = of_layout(_soft(proposal, conditions), conditions.editable)
    columns = []
    for name in ("far", "site_coverage"):
        low, high = brief.asks.get(name, (-math.inf, math.inf))
        columns.append(got[name].clamp(low, high))
    return torch.stack(columns, dim=1)


def _fit_floors(boxes: Boxes, targets: Tensor, inside: Tensor, conditions: Conditions) -> Boxes:
    """Floors scaled alike on all boxes so that the floor area is the asked one."""
    foot_m2 = boxes.geometry[..., 2:4].prod(-1) * boxes.valid
    site_m2 = inside.sum(dim=(1, 2)) * conditions.context.pixel_m**2
    far = (foot_m2 * boxes.floors).sum(1) / site_m2
    factor = (targets[:, 0] / far.clamp(min=1e-6)).clamp(0.2, 5.0)
    return replace(boxes, floors=(boxes.floors * factor[:, None]).clamp(min=1.0))


def _costliest(
    proposal: Proposal, conditions: Conditions, *, region: Region, share: float
) -> Tensor:
    """Groups of boxes with the highest net carbon per floor area, up to a share of it, (B, N)."""
    layout = _soft(proposal, conditions)
    with torch.no_grad():
        ledger = carbon.evaluate(layout, region=region, inside=conditions.editable)
        net = ledger.map("emission") - ledger.map("sink")  # (B, H, W)
    boxes, groups = proposal.boxes, groups_of(proposal.boxes)
    cell = (boxes.geometry[..., :2] / conditions.context.pixel_m).long()
    col, row = cell[..., 0].clamp(0, net.shape[2] - 1), cell[..., 1].clamp(0, net.shape[1] - 1)
    item = torch.arange(len(net))[:, None]
    floor_m2 = boxes.geometry[..., 2:4].prod(-1) * boxes.floors * boxes.valid
    cost = net[item, row, col] / boxes.floors * boxes.valid  # per pixel and storey
    size = int(groups.max()) + 1
    total = torch.zeros(len(net), size).scatter_add(1, groups, cost * floor_m2)
    weight = torch.zeros(len(net), size).scatter_add(1, groups, floor_m2)
    order = (total / weight.clamp(min=1e-6)).argsort(dim=1, descending=True)
    run_up = weight.gather(1, order).cumsum(1) / weight.sum(1, keepdim=True).clamp(min=1e-6)
    taken = torch.zeros_like(weight, dtype=torch.bool).scatter(1, order, run_up <= share)
    return taken.gather(1, groups) & boxes.valid


def _first(conditions: Conditions, count: int) -> Conditions:
    """Conditions of a smaller batch; all items are told the same."""
    b, s = conditions.boxes, conditions.segments
    return Conditions(
        Layout(*(x[:count] for x in _fields(conditions.context)), conditions.context.pixel_m),
        conditions.editable[:count],
        conditions.asks[:count],
        conditions.north_deg[:count],
        Boxes(b.geometry[:count], b.floors[:count], b.building[:count], b.valid[:count]),
        Segments(s.ends[:count], s.width_m[:count], s.kind[:count], s.valid[:count]),
    )


def _lay_ground(
    models: Models,
    proposal: Proposal,
    conditions: Conditions,
    brief: Brief,
    *,
    region: Region,
    rng: torch.Generator,
    settings: LoopSettings,
) -> Proposal:
    """The ground stage under the brief, tilted by carbon where the run is guided."""
    streets = join_segments(conditions.segments, proposal.streets)
    told = conditions.with_segments(streets)
    steering = settings.steering
    pull = None
    if steering.guided:
        cost = ground_cost(_soft(proposal, conditions), region=region, inside=conditions.editable)
        pull = -steering.ground_pull * (cost - cost.mean(dim=1, keepdim=True))
    tilt = _tilt_of(brief, pull, steering.keep_access_share)
    log_p = cascade.draw_ground(
        models, told, proposal.boxes, proposal.streets, tilt=tilt, rng=rng,
        settings=settings.sampler,
    )  # fmt: skip
    built, road = cascade.built_masks(conditions, proposal.boxes, proposal.streets)
    free = conditions.editable & ~built & ~road
    log_p = harden(log_p, _shares(brief, conditions.editable, free), where=free)
    return replace(proposal, ground=log_p)


def _shares(brief: Brief, site: Tensor, free: Tensor) -> list[Constraint]:
    """The brief's shares of the site as shares of its open ground."""
    share = site.sum(dim=(1, 2)) / free.sum(dim=(1, 2)).clamp(min=1)  # (B,)
    return [
        Constraint(surfaces, brief.asks[name][0] * share, brief.asks[name][1] * share)
        for name, surfaces in (("green_ratio", GREEN), ("tree_share", (TREE,)))
        if name in brief.asks
    ]


def _tilt_of(brief: Brief, pull: Tensor | None, keep_access_share: float) -> cascade.Tilt:
    """Steers the ground: shares of the brief hold, and carbon pulls within them.

    A share of the site becomes one of the open ground that a window draws; each window holds it
    on its own part of the site.
    """

    def tilt(log_p: Tensor, free: Tensor, part: Tensor, span: tuple[slice, slice]) -> Tensor:
        constraints = _shares(brief, part, free)
        if pull is not None:
            paved = (log_p[:, PAVED].exp() * free).sum(dim=(1, 2)) / free.sum((1, 2)).clamp(min=1)
            constraints.append(Constraint((PAVED,), keep_access_share * paved, 1.0))
            log_p = torch.log_softmax(log_p + pull[:, :, span[0], span[1]], dim=1)
        return kl_tilt(log_p, constraints, where=free)

    return tilt


def _draw_scheme(
    proposal: Proposal,
    item: int,
    site: Site,
    brief: Brief,
    *,
    region: Region,
    seed: int,
    settings: LoopSettings,
) -> Scheme:
    """One proposal drawn clean, closed on the brief, drawn back and scored."""
    one = cascade.choose(proposal, torch.tensor([item]))
    keep = settings.streets == "keep"
    around = cut_streets(site.window.segments, site)
    inner = site.window.segments if keep else one.streets.to_arrays()[0]
    plan = vectorize(
        boxes=one.boxes.to_arrays()[0],
        segments=inner,
        ground=one.ground[0].numpy(),
        frame=site.frame,
        site=site.boundary,
        context_segments=around,
        seed=seed * 1000 + item,
    )
    closed = close_brief(plan, brief.asks, seed=seed * 1000 + item)
    surroundings = surroundings_of(site)
    judged, layout = score(
        closed.plan, site.frame, region=region, surroundings=surroundings, draws=DRAWS
    )
    missed = brief.misses(judged.indicators)
    said = {u.name: u.why for u in closed.unmet}
    unmet = tuple(
        Unmet(name, brief.text(name), judged.indicators[name], said.get(name, "not reached"))
        for name in missed
    )
    return Scheme(
        name="",
        plan=closed.plan,
        frame=site.frame,
        layout=layout,
        score=judged,
        seed=seed * 1000 + item,
        rank=0,
        tie=0,
        asked=brief.table(),
        unmet=unmet,
        origin="guided" if settings.steering.guided else "unguided",
    )


def surroundings_of(site: Site) -> Layout:
    """What stands around a site as a layout, (1, 8, rows, cols)."""
    labels = torch.from_numpy(np.array(site.window.labels))[None]
    height = torch.from_numpy(site.window.height_dm.astype(np.float32) / 10)[None]
    return from_labels(labels, height, height > 0, site.frame.pixel_m)
