"""Growing streets on a site, B candidates side by side, under the rules of `streets_rules`."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from fabricgen.generator import streets_moves as choices
from fabricgen.generator import streets_starts as origins
from fabricgen.generator.conditions import BRIEF_KEYS, Conditions, Segments
from fabricgen.generator.streets_compass import Compass, compass_of, strangeness
from fabricgen.generator.streets_features import (
    STOP,
    pad_choices,
    pad_starts,
    site_maps,
    state_features,
    told_features,
)
from fabricgen.generator.streets_model import StreetsModel, log_choice, look, told_of
from fabricgen.generator.streets_network import (
    Ground,
    Network,
    angle_between,
    chosen,
    ground_of,
    hits,
    kept_boxes,
    network_of,
    unit,
)
from fabricgen.generator.streets_rules import BEND_RAD, laid, without_stumps
from fabricgen.surfaces import BIT, BUILDING, ROAD_WIDTH_M, SECONDARY

CLOSE_M = 12.0  # a gap to a street ahead that is closed
PATIENCE = 12  # draws in a row that break a rule before a candidate is done
MAX_STREETS = 60
HOMING = 3.0  # log-probability that a direction loses where no street around runs so; a rule


@dataclass(eq=False)
class _Site:
    """One candidate while it grows."""

    ground: Ground
    network: Network
    road_ask: float
    fresh: np.ndarray  # (H, W) bool, where streets may start
    compass: Compass
    area_m2: float = 0.0
    failures: int = 0
    streets: int = 0
    banned: list[np.ndarray] = field(default_factory=list)  # starts that failed in this state
    starts: origins.Starts | None = None

    @property
    def full(self) -> bool:
        """Whether the asked road share is reached."""
        site_m2 = self.ground.editable.sum() * self.ground.pixel_m**2
        return bool(self.area_m2 >= self.road_ask * site_m2)  # never where nothing is asked: NaN

    def unfinished(self) -> np.ndarray:
        """Which padded starts must go on: cut off at the edge, or main streets, (STARTS,) bool."""
        found = np.zeros(origins.STARTS, dtype=bool)
        stub = self.starts.kind_of == origins.STUB
        found[: len(stub)] = (stub & self._cut_off(self.starts)) | self._main_ends()
        return found

    def closes(self, index: int) -> bool:
        """Whether a start is the open end of a main street, which must lead somewhere."""
        return bool(self._main_ends()[index])

    def _main_ends(self) -> np.ndarray:
        starts = self.starts
        return (starts.kind_of == origins.OPEN_END) & (starts.street <= SECONDARY)

    def _cut_off(self, starts: origins.Starts) -> np.ndarray:
        """Whether the site's edge cuts the street: a dead end has the site on both its sides."""
        back = unit(starts.incident[:, 0])
        side = np.stack([-back[:, 1], back[:, 0]], axis=1) * 8.0
        flanks = starts.point[:, None] + 4.0 * back[:, None] + np.stack([side, -side], axis=1)
        return ~self.ground.at(self.ground.editable, flanks).all(axis=1)

    @property
    def done(self) -> bool:
        return self.failures >= PATIENCE or self.streets >= MAX_STREETS


def sample(
    model: StreetsModel,
    conditions: Conditions,
    *,
    rng: torch.Generator,
    temperature: float = 0.8,
) -> Segments:
    """Draw the streets of B sites that a window holds.

    Args:
        model: Trained.
        conditions: B windows of one size; their segments end at the site's edge.
        rng: Source of chance.
        temperature: Below 1, likelier choices.

    Returns:
        The new streets only, (B, M), split at junctions; ends that meet coincide.
    """
    standing = standing_networks(conditions)
    grown = grow_streets(model, conditions, standing, rng=rng, temperature=temperature)
    return new_segments([without_stumps(network) for network in grown], like=conditions.segments)


@torch.inference_mode()
def grow_streets(
    model: StreetsModel,
    conditions: Conditions,
    networks: list[Network],
    *,
    rng: torch.Generator,
    temperature: float = 0.8,
    fresh: np.ndarray | None = None,
    compasses: list[Compass] | None = None,
) -> list[Network]:
    """Let the networks of B windows grow until the model stops.

    Args:
        model: Trained.
        conditions: B windows of one size; their own segments are not read.
        networks: What stands in each window; pieces that are `placed` count as drawn before.
        rng: Source of chance.
        temperature: Below 1, likelier choices.
        fresh: Where streets may start, (H, W) bool; anywhere if None.
        compasses: Directions at home around each site; those of its own window if None.

    Returns:
        The networks with the new streets.
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    dice = np.random.default_rng(int(torch.randint(2**31, (1,), generator=rng, device=rng.device)))
    compasses = compasses or [compass_of(network) for network in networks]
    sites = [
        _site(conditions, item, network, fresh, compass)
        for item, (network, compass) in enumerate(zip(networks, compasses, strict=True))
    ]
    bits = conditions.context.allowed.cpu().numpy()
    maps = np.stack(
        [
            site_maps(b, s.ground, chosen(s.network, ~s.network.placed))
            for b, s in zip(bits, sites, strict=True)
        ]
    )
    told = np.stack(
        [
            told_features(conditions.asks[item].cpu().numpy(), float(conditions.north_deg[item]))
            for item in range(len(sites))
        ]
    )
    seen, summary = model.encode(
        torch.from_numpy(maps).to(device), torch.from_numpy(told).to(device)
    )
    going = [item for item, site in enumerate(sites) if site.ground.editable.any()]
    while going:
        draw = _Draw(model, seen[going], summary[going], dice, temperature)
        stopped = _step([sites[item] for item in going], draw)
        going = [
            item
            for item, stop in zip(going, stopped, strict=True)
            if not stop and not sites[item].done
        ]
    model.train(was_training)
    return [site.network for site in sites]


def standing_networks(conditions: Conditions) -> list[Network]:
    """The streets of the conditions as networks in which nothing is placed yet."""
    segments = conditions.segments
    rows = torch.cat(
        [segments.ends.double(), segments.width_m[..., None], segments.kind[..., None]], dim=-1
    )
    kept = zip(rows.cpu(), segments.valid.cpu(), strict=True)
    return [network_of(item[valid].numpy()) for item, valid in kept]


def site_ground(conditions: Conditions, item: int) -> Ground:
    """Where streets may lie in one item of a batch."""
    editable = conditions.editable[item].cpu().numpy()
    pixel_m = conditions.context.pixel_m
    building = (conditions.context.allowed[item] == BIT[BUILDING]).cpu().numpy()
    kept = kept_boxes(conditions.boxes, item, editable, pixel_m)
    return ground_of(editable, building, pixel_m, kept=kept)


def new_segments(networks: list[Network], *, like: Segments) -> Segments:
    """The placed pieces of B networks in the usual width of their kind, (B, M)."""
    rows = []
    for network in networks:
        kind = network.kind[network.placed]
        width = np.array(ROAD_WIDTH_M)[kind]
        rows.append(np.column_stack([network.ends[network.placed], width, kind]).reshape(-1, 6))
    found = Segments.from_arrays(rows)
    return Segments(*(value.to(like.ends.device) for value in vars(found).values()))


@dataclass(frozen=True, eq=False)
class _Draw:
    """The model and the dice of one step."""

    model: StreetsModel
    maps: Tensor
    summary: Tensor
    dice: np.random.Generator
    temperature: float

    def pick(self, log_p: Tensor) -> np.ndarray:
        """One index of each row (N, C)."""
        p = (log_p.double() / self.temperature).softmax(dim=1).cumsum(dim=1).cpu().numpy()
        where = self.dice.random(len(p)) * p[:, -1]
        return (p > where[:, None]).argmax(axis=1)

    def stack(self, items: list[dict[str, np.ndarray]]) -> dict[str, Tensor]:
        """Dictionaries of arrays as one batch on the model's device."""
        names = items[0]
        device = self.maps.device
        return {
            name: torch.from_numpy(np.stack([item[name] for item in items])).to(device)
            for name in names
        }


def _site(
    conditions: Conditions,
    item: int,
    network: Network,
    fresh: np.ndarray | None,
    compass: Compass,
) -> _Site:
    ground = site_ground(conditions, item)
    ask = float(conditions.asks[item, BRIEF_KEYS.index("road_share")])
    start_at = np.ones_like(ground.editable) if fresh is None else fresh
    return _Site(ground, network, ask, start_at, compass, area_m2=_area_m2(network, ground))


def _area_m2(network: Network, ground: Ground) -> float:
    """Area of the streets that are placed on a site, each counted where its middle lies."""
    middle = (network.ends[:, :2] + network.ends[:, 2:]) / 2
    own = network.placed & ground.at(ground.editable, middle)
    length = np.hypot(*(network.ends[:, 2:] - network.ends[:, :2])[own].T)
    return float((length * np.array(ROAD_WIDTH_M)[network.kind[own]]).sum())


def _step(sites: list[_Site], draw: _Draw) -> list[bool]:
    """Try one street on each site; says which sites chose to stop."""
    batch = draw.stack([_look_around(site, draw.dice) for site in sites])
    at_starts = look(draw.maps, batch["start_uv"])
    log_kind, code, starts = draw.model.choose_kind(at_starts, draw.summary, batch)
    kind = draw.pick(log_kind)
    full = np.array([site.full for site in sites])
    unfinished = np.stack([site.unfinished() for site in sites])  # (N, S)
    forced = ((kind == STOP) | full) & unfinished.any(axis=1)
    kind[full] = STOP
    kind[forced] = draw.pick(log_kind[:, :STOP])[forced]
    told = told_of(code, torch.from_numpy(kind).to(code.device), draw.model.kind_code)
    valid = batch["start_valid"] & torch.from_numpy(unfinished | ~forced[:, None]).to(code.device)
    index = draw.pick(draw.model.choose_start(starts, at_starts, valid, told))
    chosen = starts[torch.arange(len(index)), torch.from_numpy(index).to(starts.device)]
    told = torch.cat([told, chosen], dim=1)
    stop = [bool(k == STOP) for k in kind]
    live = [n for n in range(len(sites)) if not stop[n]]
    if live:
        closing = {n for n in live if forced[n] and sites[n].closes(int(index[n]))}
        turns = {n: _turns(sites[n], index[n], closing=n in closing) for n in live}
        angles = _choose_turn(sites, draw, told, turns=turns)
        ends = {n: _ends(sites[n], index[n], a, closing=n in closing) for n, a in angles.items()}
        ends = _choose_end(sites, draw, told, ends=ends)
        for n in live:
            _place(sites[n], ends.get(n), index=int(index[n]), kind=int(kind[n]))
    return stop


def _look_around(site: _Site, dice: np.random.Generator) -> dict[str, np.ndarray]:
    starts, _ = origins.starts_of(site.network, site.ground, dice)
    starts = origins.take(starts, np.flatnonzero(site.ground.at(site.fresh, starts.point)))
    if site.banned and len(starts.point):
        gap = np.hypot(*(starts.point[:, None] - np.array(site.banned)[None]).transpose(2, 0, 1))
        starts = origins.take(starts, np.flatnonzero(gap.min(axis=1) > 1.0))
    site.starts = starts
    state = state_features(
        site.network, site.ground, starts, road_ask=site.road_ask, area_m2=site.area_m2
    )
    return {
        "state": state.astype(np.float32),
        **pad_starts(starts, site.network, site.ground),
    }


def _turns(site: _Site, index: int, *, closing: bool) -> choices.Choices:
    """Directions from a start; to close a main street, those that aim at an open end if any do."""
    found = choices.turns_of(site.starts, index, site.network, site.ground)
    bend = angle_between(found.value, site.starts.incident[index, 0]) > BEND_RAD
    aimed = found.valid & bend & (choices.TURN_TYPE == choices.TURN_AIMED)
    return replace(found, valid=aimed) if closing and aimed.any() else found


def _ends(site: _Site, index: int, angle: float, *, closing: bool) -> choices.Choices:
    """Ends along a direction; to close a main street, those on the network if any are."""
    found = choices.ends_of(site.starts.point[index], angle, site.network, site.ground)
    exact = found.valid & (np.arange(choices.ENDS) <= choices.HITS + choices.AIMED)
    return replace(found, valid=exact) if closing and exact.any() else found


def _choose_turn(
    sites: list[_Site], draw: _Draw, told: Tensor, *, turns: dict[int, choices.Choices]
) -> dict[int, float]:
    """Site number -> direction; a site without any is left out."""
    live = [n for n in turns if turns[n].valid.any()]
    if not live:
        return {}
    batch = draw.stack([pad_choices(turns[n], sites[n].ground, "turn") for n in live])
    probes = look(draw.maps[live], batch["turn_uv"].flatten(1, 2))
    probes = probes.reshape(*batch["turn_uv"].shape[:2], -1)
    log_turn = log_choice(
        draw.model.turn(batch["turn_features"], probes, told[live]), batch["turn_valid"]
    )
    strange = np.stack([_strange(sites[n], turns[n], turns[n].value) for n in live])
    log_turn = log_turn - HOMING * torch.from_numpy(strange).to(log_turn)
    return {
        n: _angle(sites[n], turns[n], int(place), draw.dice)
        for n, place in zip(live, draw.pick(log_turn), strict=True)
    }


def _strange(site: _Site, turns: choices.Choices, angle: np.ndarray) -> np.ndarray:
    return strangeness(site.compass, turns.points[0, 0], angle)


def _angle(site: _Site, turns: choices.Choices, place: int, dice: np.random.Generator) -> float:
    """The direction at a place; in a bin, one that is not too foreign."""
    if choices.TURN_TYPE[place] != choices.TURN_BIN:
        return float(turns.value[place])
    angle = turns.value[place] + dice.uniform(-0.5, 0.5, 8) * choices.BIN_RAD
    weight = np.exp(-HOMING * _strange(site, turns, angle))
    return float(dice.choice(angle, p=weight / weight.sum()))


def _choose_end(
    sites: list[_Site], draw: _Draw, told: Tensor, *, ends: dict[int, choices.Choices]
) -> dict[int, np.ndarray]:
    """Site number -> end point; a site without any is left out."""
    live = [n for n in ends if ends[n].valid.any()]
    if not live:
        return {}
    batch = draw.stack([pad_choices(ends[n], sites[n].ground, "end") for n in live])
    log_end = log_choice(
        draw.model.end(batch["end_features"], look(draw.maps[live], batch["end_uv"]), told[live]),
        batch["end_valid"],
    )
    found = {}
    for n, place in zip(live, draw.pick(log_end), strict=True):
        end = ends[n].end(int(place), float(draw.dice.random()))
        free = place > choices.HITS + choices.AIMED
        found[n] = _close_gap(sites[n], ends[n].start, end) if free else end
    return found


def _close_gap(site: _Site, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """A free end led onto the street that it would stop just short of."""
    length = float(np.hypot(*(end - start)))
    if not len(site.network.ends) or length < CLOSE_M:
        return end
    way = (end - start) / length
    ahead = hits(end[None] - way * CLOSE_M / 2, way[None], site.network.ends)[0].min()
    return end + way * (ahead - CLOSE_M / 2) if ahead < 1.5 * CLOSE_M else end


def _place(site: _Site, end: np.ndarray | None, *, index: int, kind: int) -> None:
    """Lay a street, or note that its start failed."""
    start = site.starts.point[index]
    if site.starts.kind_of[index] in (origins.STUB, origins.OPEN_END):
        kind = int(site.starts.street[index])
    after = None
    if end is not None:
        after = laid(site.network, start, end, kind=kind, ground=site.ground)
    if after is not None:
        site.network, site.failures, site.banned = after, 0, []
        site.streets += 1
        site.area_m2 += float(np.hypot(*(after.last_end - start))) * ROAD_WIDTH_M[kind]
        return
    site.failures += 1
    if site.failures % 2 == 0:  # a second chance, then another start
        site.banned.append(start)
