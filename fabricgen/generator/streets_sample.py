"""Growing streets on a site, B candidates side by side.

Rules that hold whatever the network says, because a street that breaks one is drawn again:

* it starts on the network and lies on the site, but for up to REACH_M to a street along its edge;
* it crosses no building that stays, and meets every street it touches in a junction, at
  JUNCTION_RAD or more; a street that bends keeps BEND_RAD between its arms;
* no street runs beside another at less than PARALLEL_M, between axes;
* a street goes on as the kind that it continues, and no block is less than BLOCK_M around;
* every street that ends at the site's edge goes on into it, where these rules allow;
* with a road share asked, nothing but that is laid once the share is reached;
* an end that stops just short of a street or of a node is led onto it;
* at the end, dead ends shorter than STUMP_M are taken away.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from fabricgen.generator import streets_moves as choices
from fabricgen.generator.conditions import BRIEF_KEYS, Conditions, Segments
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
    REACH_M,
    Ground,
    Network,
    angle_between,
    distance_to_each,
    ground_of,
    grow,
    hits,
    kept_boxes,
    network_of,
    split,
    unit,
)
from fabricgen.surfaces import BIT, BUILDING, ROAD_WIDTH_M

PARALLEL_M = 12.0
STUMP_M = 15.0
WELD_M = 6.0  # an end this near to a node goes to the node
CLOSE_M = 12.0  # a gap to a street ahead that is closed
TOUCH_M = 0.3  # a crossing this near to a piece's end is a junction
BLOCK_M = 150.0
JUNCTION_RAD = np.deg2rad(40.0)
BEND_RAD = np.deg2rad(80.0)  # between the arms of a street that only bends
PATIENCE = 12  # draws in a row that break a rule before a candidate is done
MAX_STREETS = 60


@dataclass(eq=False)
class _Site:
    """One candidate while it grows."""

    ground: Ground
    network: Network
    road_ask: float
    area_m2: float = 0.0
    failures: int = 0
    streets: int = 0
    banned: list[np.ndarray] = field(default_factory=list)  # starts that failed in this state
    starts: choices.Starts | None = None

    @property
    def full(self) -> bool:
        """Whether the asked road share is reached."""
        site_m2 = self.ground.editable.sum() * self.ground.pixel_m**2
        return bool(self.area_m2 >= self.road_ask * site_m2)  # never where nothing is asked: NaN

    def open_stubs(self) -> np.ndarray:
        """Which of the padded starts are streets cut off at the site's edge, (STARTS,) bool."""
        found = np.zeros(choices.STARTS, dtype=bool)
        stub = self.starts.kind_of == choices.STUB
        found[: len(stub)] = stub & self._cut_off(self.starts)
        return found

    def _cut_off(self, starts: choices.Starts) -> np.ndarray:
        """Whether the site's edge cuts the street: a dead end has the site on both its sides."""
        back = unit(starts.incident[:, 0])
        side = np.stack([-back[:, 1], back[:, 0]], axis=1) * 8.0
        flanks = starts.point[:, None] + 4.0 * back[:, None] + np.stack([side, -side], axis=1)
        return ~self.ground.at(self.ground.editable, flanks).all(axis=1)

    @property
    def done(self) -> bool:
        return self.failures >= PATIENCE or self.streets >= MAX_STREETS


@torch.no_grad()
def sample(
    model: StreetsModel,
    conditions: Conditions,
    *,
    rng: torch.Generator,
    temperature: float = 0.8,
    beyond: Tensor | None = None,
) -> Segments:
    """Draw the streets of B sites.

    Args:
        model: Trained.
        conditions: B windows of one size; their segments end at the site's edge.
        rng: Source of chance.
        temperature: Below 1, likelier choices.
        beyond: Ground outside the site that will be a site later, (B, H, W) bool: streets may run
            to its edge, to be taken up from there.

    Returns:
        The new streets only, (B, M), split at junctions; ends that meet coincide.
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    dice = np.random.default_rng(int(torch.randint(2**31, (1,), generator=rng, device=rng.device)))
    sites = [_site(conditions, item, beyond) for item in range(len(conditions.asks))]
    bits = conditions.context.allowed.cpu().numpy()
    maps = np.stack([site_maps(b, s.ground, s.network) for b, s in zip(bits, sites, strict=True)])
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
    rows = [_rows(without_stumps(site.network)) for site in sites]
    found = Segments.from_arrays(rows)
    place = conditions.segments.ends.device
    return Segments(*(value.to(place) for value in vars(found).values()))


def flaw(network: Network, start: np.ndarray, end: np.ndarray, *, ground: Ground) -> str:
    """What a street from start to end would break, or an empty string."""
    axis = end - start
    length = float(np.hypot(*axis))
    if length < choices.SHORTEST_M:
        return "too short"
    angle = float(np.arctan2(axis[1], axis[0]))
    at_m = np.arange(1.0, length, 2.0)
    points = start + axis / length * at_m[:, None]
    inside = ground.at(ground.editable, points)
    near_end = (at_m < REACH_M + 4.0) | (at_m > length - REACH_M - 4.0)
    if not (inside | near_end).all() or inside.mean() < 0.3:
        return "off the site"
    first, last = inside.argmax(), len(inside) - inside[::-1].argmax()
    if not inside[first:last].all():
        return "leaves the site"
    if not ground.at(ground.editable, end[None])[0] and not _joined(network, end, ground):
        return "ends outside"
    if ground.at(ground.blocked, points).any():
        return "through a building"
    return _flaw_beside(network, start, end, angle=angle)


def without_stumps(network: Network) -> Network:
    """The network without new dead ends shorter than STUMP_M."""
    while True:
        _, node_of = network.points()
        degree = np.bincount(node_of.ravel())
        free = (degree[node_of] == 1).any(axis=1) & (degree[node_of] > 1).any(axis=1)
        length = np.hypot(*(network.ends[:, 2:] - network.ends[:, :2]).T)
        stump = network.placed & free & (length < STUMP_M)
        if not stump.any():
            return network
        network = Network(
            network.ends[~stump], network.kind[~stump], network.placed[~stump], network.last_end
        )


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


def _site(conditions: Conditions, item: int, beyond: Tensor | None) -> _Site:
    editable = conditions.editable[item].cpu().numpy()
    pixel_m = conditions.context.pixel_m
    building = (conditions.context.allowed[item] == BIT[BUILDING]).cpu().numpy()
    kept = kept_boxes(conditions.boxes, item, editable, pixel_m)
    later = None if beyond is None else beyond[item].cpu().numpy()
    ground = ground_of(editable, building, pixel_m, kept=kept, beyond=later)
    segments = conditions.segments
    valid = segments.valid[item]
    rows = torch.cat(
        [
            segments.ends[item][valid].double(),
            segments.width_m[item][valid][:, None].double(),
            segments.kind[item][valid][:, None].double(),
        ],
        dim=1,
    )
    network = network_of(rows.cpu().numpy())
    return _Site(ground, network, float(conditions.asks[item, BRIEF_KEYS.index("road_share")]))


def _step(sites: list[_Site], draw: _Draw) -> list[bool]:
    """Try one street on each site; says which sites chose to stop."""
    batch = draw.stack([_look_around(site, draw.dice) for site in sites])
    at_starts = look(draw.maps, batch["start_uv"])
    log_kind, code, starts = draw.model.choose_kind(at_starts, draw.summary, batch)
    kind = draw.pick(log_kind)
    full = np.array([site.full for site in sites])
    stubs = np.stack([site.open_stubs() for site in sites])  # (N, S)
    forced = ((kind == STOP) | full) & stubs.any(axis=1)
    kind[full] = STOP
    kind[forced] = draw.pick(log_kind[:, :STOP])[forced]
    told = told_of(code, torch.from_numpy(kind).to(code.device), draw.model.kind_code)
    valid = batch["start_valid"] & torch.from_numpy(stubs | ~forced[:, None]).to(code.device)
    index = draw.pick(draw.model.choose_start(starts, at_starts, valid, told))
    chosen = starts[torch.arange(len(index)), torch.from_numpy(index).to(starts.device)]
    told = torch.cat([told, chosen], dim=1)
    stop = [bool(k == STOP) for k in kind]
    live = [n for n in range(len(sites)) if not stop[n]]
    if live:
        angles = _choose_turn(sites, draw, told, index=index, live=live)
        ends = _choose_end(sites, draw, told, index=index, angles=angles)
        for n in live:
            _place(sites[n], ends.get(n), index=int(index[n]), kind=int(kind[n]))
    return stop


def _look_around(site: _Site, dice: np.random.Generator) -> dict[str, np.ndarray]:
    starts, _ = choices.starts_of(site.network, site.ground, dice)
    if site.banned and len(starts.point):
        gap = np.hypot(*(starts.point[:, None] - np.array(site.banned)[None]).transpose(2, 0, 1))
        starts = choices.take(starts, np.flatnonzero(gap.min(axis=1) > 1.0))
    site.starts = starts
    state = state_features(
        site.network, site.ground, starts, road_ask=site.road_ask, area_m2=site.area_m2
    )
    return {
        "state": state.astype(np.float32),
        **pad_starts(starts, site.network, site.ground),
    }


def _choose_turn(
    sites: list[_Site], draw: _Draw, told: Tensor, *, index: np.ndarray, live: list[int]
) -> dict[int, float]:
    """Site number -> direction; a site without any is left out."""
    turns = {
        n: choices.turns_of(sites[n].starts, index[n], sites[n].network, sites[n].ground)
        for n in live
    }
    live = [n for n in live if turns[n].valid.any()]
    if not live:
        return {}
    batch = draw.stack([pad_choices(turns[n], sites[n].ground, "turn") for n in live])
    probes = look(draw.maps[live], batch["turn_uv"].flatten(1, 2))
    probes = probes.reshape(*batch["turn_uv"].shape[:2], -1)
    log_turn = log_choice(
        draw.model.turn(batch["turn_features"], probes, told[live]), batch["turn_valid"]
    )
    found = {}
    for n, place in zip(live, draw.pick(log_turn), strict=True):
        angle = float(turns[n].value[place])
        if choices.TURN_TYPE[place] == choices.TURN_BIN:
            angle += float(draw.dice.uniform(-0.5, 0.5)) * choices.BIN_RAD
        found[n] = angle
    return found


def _choose_end(
    sites: list[_Site], draw: _Draw, told: Tensor, *, index: np.ndarray, angles: dict[int, float]
) -> dict[int, np.ndarray]:
    """Site number -> end point; a site without any is left out."""
    ends = {
        n: choices.ends_of(
            sites[n].starts.point[index[n]], angle, sites[n].network, sites[n].ground
        )
        for n, angle in angles.items()
    }
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
        target = ends[n].target[place]
        length = ends[n].length(int(place), float(draw.dice.random()))
        start = sites[n].starts.point[index[n]]
        free = start + unit(np.array(angles[n])) * length
        found[n] = target if np.isfinite(target).all() else free
        if place > choices.HITS + choices.AIMED:
            found[n] = _close_gap(sites[n], start, free, angles[n])
    return found


def _close_gap(site: _Site, start: np.ndarray, end: np.ndarray, angle: float) -> np.ndarray:
    """A free end led onto the street that it would stop just short of."""
    if not len(site.network.ends):
        return end
    way = unit(np.array(angle))
    ahead = hits(end[None] - way * CLOSE_M / 2, way[None], site.network.ends)[0].min()
    near = ahead < 1.5 * CLOSE_M and float(np.hypot(*(end - start))) > CLOSE_M
    return end + way * (ahead - CLOSE_M / 2) if near else end


def _place(site: _Site, end: np.ndarray | None, *, index: int, kind: int) -> None:
    """Lay a street, or note that its start failed."""
    start = site.starts.point[index]
    if site.starts.kind_of[index] in (choices.STUB, choices.OPEN_END):
        kind = int(site.starts.street[index])
    if end is not None:
        end = _weld(site.network, start, end)
        if not flaw(site.network, start, end, ground=site.ground):
            after = grow(site.network, start, end, kind=kind)
            if not crossings(after) and around_m(site.network, start, end) >= BLOCK_M:
                site.network, site.failures, site.banned = after, 0, []
                site.streets += 1
                site.area_m2 += float(np.hypot(*(end - start))) * ROAD_WIDTH_M[kind]
                return
    site.failures += 1
    if site.failures % 2 == 0:  # a second chance, then another start
        site.banned.append(start)


def crossings(network: Network) -> int:
    """How often a new piece is met away from its ends."""
    ends = network.ends
    axis = ends[:, 2:] - ends[:, :2]
    length = np.hypot(*axis.T)
    new = np.flatnonzero(network.placed)
    if not len(new):
        return 0
    way = axis[new] / length[new, None]
    reach = hits(ends[new, :2], way, ends)  # (N, M)
    inner = (reach > TOUCH_M) & (reach < length[new, None] - TOUCH_M)
    return int(inner.sum())


def around_m(network: Network, start: np.ndarray, end: np.ndarray) -> float:
    """Way around the block that a street would close; infinite if it closes none. Meters."""
    way, before = np.inf, network
    for tip in (start, end):  # so that both ends are nodes
        at = np.flatnonzero(distance_to_each(tip, before.ends) < TOUCH_M)
        before = split(before, [(int(piece), tip) for piece in at])
    nodes, node_of = before.points()
    if not len(nodes):
        return way
    first, last = (np.hypot(*(nodes - tip).T) for tip in (start, end))
    if first.min() > TOUCH_M or last.min() > TOUCH_M:
        return way
    length = np.hypot(*(before.ends[:, 2:] - before.ends[:, :2]).T)
    reach = np.full(len(nodes), np.inf)
    reach[first.argmin()] = 0.0
    for _ in range(len(nodes)):  # Bellman and Ford: few nodes, few rounds
        known = reach.copy()
        np.minimum.at(reach, node_of[:, 1], known[node_of[:, 0]] + length)
        np.minimum.at(reach, node_of[:, 0], known[node_of[:, 1]] + length)
        if (reach == known).all():
            break
    return float(reach[last.argmin()] + np.hypot(*(end - start)))


def _weld(network: Network, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    nodes, _ = network.points()
    if not len(nodes):
        return end
    gap = np.hypot(*(nodes - end).T)
    near = nodes[gap.argmin()]
    if gap.min() > WELD_M or np.hypot(*(near - start)) < choices.SHORTEST_M:
        return end
    turn = angle_between(np.arctan2(*(near - start)[::-1]), np.arctan2(*(end - start)[::-1]))
    return near if turn < np.deg2rad(6.0) else end


def _joined(network: Network, end: np.ndarray, ground: Ground) -> bool:
    """Whether an end outside the site lies on a street, or where the site goes on."""
    on_street = len(network.ends) > 0 and distance_to_each(end, network.ends).min() < 0.5
    return bool(on_street or ground.goes_on(end))


def _flaw_beside(network: Network, start: np.ndarray, end: np.ndarray, *, angle: float) -> str:
    """What a street would break with those around it, or an empty string."""
    if not len(network.ends):
        return ""
    axis = network.ends[:, 2:] - network.ends[:, :2]
    heading = np.arctan2(axis[:, 1], axis[:, 0])
    length = float(np.hypot(*(end - start)))
    for tip, outward in ((start, angle), (end, angle + np.pi)):
        arms = _arms(network, tip, heading)
        least = BEND_RAD if len(arms) == 1 else JUNCTION_RAD
        if len(arms) and angle_between(arms, np.array(outward)).min() < least:
            return "too sharp"
    lean = angle_between(2 * heading, np.array(2 * angle)) / 2
    beside = network.ends[lean < choices.MIN_TURN_RAD]
    at_m = np.arange(PARALLEL_M + 4.0, length - PARALLEL_M - 4.0, 3.0)
    at_m = np.append(at_m, length / 2)
    points = start + unit(np.array(angle)) * at_m[:, None]
    for row in beside:
        share = ((points - row[:2]) @ (row[2:] - row[:2])) / ((row[2:] - row[:2]) ** 2).sum()
        gap = np.array([distance_to_each(p, row[None])[0] for p in points])
        if ((gap < PARALLEL_M) & (share > 0) & (share < 1)).any():
            return "beside another"
    loose = distance_to_each(end, network.ends)
    return "stops beside another" if 0.5 < loose.min() < choices.SPACING_M else ""


def _arms(network: Network, tip: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """Directions in which the standing pieces leave a point."""
    touch = distance_to_each(tip, network.ends) < 0.5
    goes_on = np.hypot(*(network.ends[:, 2:] - tip).T) > 0.5
    comes = np.hypot(*(network.ends[:, :2] - tip).T) > 0.5
    return np.concatenate([heading[touch & goes_on], heading[touch & comes] + np.pi])


def _rows(network: Network) -> np.ndarray:
    """The new pieces as store rows (M, 6)."""
    new = network.placed
    kind = network.kind[new]
    width = np.array(ROAD_WIDTH_M)[kind]
    return np.column_stack([network.ends[new], width, kind]).reshape(-1, 6)
