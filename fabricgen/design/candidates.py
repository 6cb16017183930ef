"""Plans and rasters out of files, scored side by side: what `fabricgen score` runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import shapely
import torch
from pyproj import Transformer
from torch import Tensor

from fabricgen import carbon
from fabricgen.carbon.factors import read_own
from fabricgen.carbon.measures import Measures
from fabricgen.carbon.place import place_for
from fabricgen.carbon.regions import Region, with_factors
from fabricgen.carbon.surroundings import Sunlight
from fabricgen.carbon.uncertainty import (
    DRAWS,
    Gap,
    Swing,
    beat_matrix,
    hardening_gap,
    net_draws,
    tie_groups,
    tornado,
)  # fmt: skip
from fabricgen.design.green_score import green_indicators
from fabricgen.design.scheme import Score
from fabricgen.design.site import edge_angle_deg
from fabricgen.errors import InputError
from fabricgen.exchange import Raster, read_drawn
from fabricgen.files import safe_name
from fabricgen.form.indicators import STOREY_M, of_layout, of_plan
from fabricgen.layout import SHARE_TOLERANCE, Frame, Layout
from fabricgen.plan import Plan, rasterize
from fabricgen.settings import ranged
from fabricgen.steps import OnStep, quiet
from fabricgen.surfaces import BUILDING

PIXEL_M = 1.0  # of the grid that a plan is drawn on; finer than steering needs
FINEST_M, COARSEST_M = 0.25, 5.0
MAX_PIXELS = 4096 * 4096
ANGLE_DIGITS = 6  # of degrees: 5 micrometers on a plan of 300 m
SAME_GRID_M = 1e-3  # corners of grids that are the same
EDGE_PX = 1e-6  # by which a site that went through degrees may miss the edge of a pixel
MARGIN_PX = 2  # of nothing around a plan, so that its outer walls are seen
HEIGHTS = "geom.height.default"  # range of heights where a plan gives none


@dataclass(frozen=True)
class ScoreSettings:
    """Everything that `score` can be told besides the files."""

    region: str = "auto"  # carbon region, NAME or NAME/CLIMATE; auto: by each plan's place
    factors: str | None = None  # a table of own factors
    year: int | None = ranged(None, 1990, 2200)  # of the electricity factor; None: of its row
    horizon_years: int = ranged(60, 1, 200)
    draws: int = ranged(DRAWS, 1, 100_000)
    use_mix: dict[str, float] | None = None  # floor area by use; None: the region's
    before: str | None = None  # a plan or raster of what stands today
    measures: Measures = field(default_factory=Measures)  # of buildings, beside their shape
    pixel_m: float = ranged(PIXEL_M, FINEST_M, COARSEST_M)  # of the grid that plans are drawn on
    sunlight: Literal["careful", "quick", "off"] = "careful"  # sun on walls, sky over crowns


@dataclass(frozen=True, eq=False)
class Candidate:
    """Something drawn that can be scored.

    Attributes:
        name: Unique among the candidates; also the name of its page.
        file: Name of the file that it came from.
        layout: As drawn, (1, 8, rows, cols); heights may be unknown.
        frame: Where it lies.
        inside: What is scored, (1, rows, cols) bool.
        plan: None for a raster.
        lon_lat: Middle of what is scored [degrees].
    """

    name: str
    file: str
    layout: Layout
    frame: Frame
    inside: Tensor
    plan: Plan | None
    lon_lat: tuple[float, float]


@dataclass(frozen=True)
class Heights:
    """What a plan without heights could be.

    Attributes:
        unknown_share: Part of the footprint without a height.
        low_m, central_m, high_m: Heights that were put in.
        net_low, net_high: Net at the lowest and the highest [kgCO2e/yr].
        per_floor_low, per_floor_high: The same per floor area [kgCO2e/m2/yr].
    """

    unknown_share: float
    low_m: float
    central_m: float
    high_m: float
    net_low: float
    net_high: float
    per_floor_low: float
    per_floor_high: float

    @property
    def text(self) -> str:
        """One line for the report."""
        return (
            f"{self.unknown_share:.0%} of the footprint has no height: counted with "
            f"{self.central_m:g} m; from {self.low_m:g} to {self.high_m:g} m, net runs from "
            f"{self.net_low:,.0f} to {self.net_high:,.0f} kgCO2e/yr, per floor area from "
            f"{self.per_floor_low:.1f} to {self.per_floor_high:.1f} kg/m2/yr"
        )


@dataclass(frozen=True, eq=False)
class Scored:
    """A candidate with its count.

    Attributes:
        name: Of the candidate.
        candidate: What was counted.
        region: The carbon region, with the user's factors.
        reason: Why this region.
        score: Indicators, ledger and range.
        swings: What net hangs on, the widest first.
        gap: Of making the drawing one-hot.
        heights: None where all heights are known.
        rank, tie: Place in the order, and its group of plans that cannot be told apart.
        beats: P(this plan has less net per area than another), by the other's name.
    """

    name: str
    candidate: Candidate
    region: Region
    reason: str
    score: Score
    swings: tuple[Swing, ...]
    gap: Gap
    heights: Heights | None
    rank: int = 0
    tie: int = 0
    beats: Mapping[str, float] = field(default_factory=dict)


def score_files(
    paths: Sequence[Path], *, settings: ScoreSettings | None = None, on_step: OnStep = quiet
) -> list[Scored]:
    """Scores every scheme of every file, and ranks them by net per floor area.

    Args:
        paths: GeoPackages of plans and GeoTIFFs of layouts.
        settings: Region, own factors, horizon, draws.
        on_step: Hears about progress.

    Returns:
        Best first. Plans of several regions have no common draws: each is then a group of its own.

    Raises:
        InputError: A file, a setting or what a plan holds cannot be used.
    """
    settings = settings or ScoreSettings()
    if not paths:
        raise InputError("no plan to score", "give a GeoPackage or GeoTIFF, or several")
    if settings.region != "auto":
        carbon.region(settings.region)  # a misspelt name is told before any work
    candidates = read_candidates(paths, pixel_m=settings.pixel_m)
    return order(score_candidates(candidates, settings=settings, on_step=on_step))


def score_candidates(
    candidates: Sequence[Candidate], *, settings: ScoreSettings, on_step: OnStep = quiet
) -> list[Scored]:
    """Counts candidates one by one, in the order given and unranked.

    Args:
        candidates: What was drawn.
        settings: Region, own factors, horizon, draws.
        on_step: Hears about progress.

    Raises:
        InputError: A setting or what a candidate holds cannot be used.
    """
    own = {} if settings.factors is None else read_own(Path(settings.factors))
    before = None if settings.before is None else read_before(Path(settings.before))
    regions: dict[str, Region] = {}
    found = []
    for number, candidate in enumerate(candidates):
        on_step(number, len(candidates), candidate.name)
        name, reason = region_of(candidate, settings)
        if name not in regions:
            regions[name] = with_factors(carbon.region(name), own)
        found.append(
            judge(candidate, regions[name], reason=reason, settings=settings, before=before)
        )
    on_step(len(candidates), len(candidates), "ranked")
    return found


def region_of(candidate: Candidate, settings: ScoreSettings) -> tuple[str, str]:
    """Name of the carbon region in which a candidate counts, and why."""
    if settings.region != "auto":
        return settings.region, "asked for"
    located = carbon.locate(*candidate.lon_lat)
    return located.name, located.reason


def sun_over(candidate: Candidate, settings: ScoreSettings) -> Sunlight | None:
    """How sun and sky are read where a candidate lies; None where they are not."""
    if settings.sunlight == "off":
        return None
    quick = settings.sunlight == "quick"
    return Sunlight(candidate.lon_lat[1], candidate.frame.angle_deg, quick)


def read_candidates(paths: Iterable[Path], *, pixel_m: float = PIXEL_M) -> list[Candidate]:
    """Everything drawn in some files, drawn on grids, each with a name of its own."""
    found: list[Candidate] = []
    taken: set[str] = set()
    for path in (Path(p) for p in paths):
        drawn = read_drawn(path)
        for scheme, thing in drawn.items():
            plain = path.stem if len(drawn) == 1 else f"{path.stem}-{scheme}"
            name = _free(safe_name(plain), taken)
            taken.add(name.lower())
            try:
                found.append(candidate_of(thing, name=name, file=path.name, pixel_m=pixel_m))
            except InputError as err:
                raise type(err)(f"{path.name}: {err.problem}", err.fix) from err
    return found


def _free(name: str, taken: set[str]) -> str:
    """The name, or with a number behind it where it is taken; files may ignore case."""
    if name.lower() not in taken:
        return name
    return next(f"{name}-{n}" for n in range(2, 10_000) if f"{name}-{n}".lower() not in taken)


def candidate_of(
    thing: Plan | Raster, *, name: str, file: str, pixel_m: float = PIXEL_M
) -> Candidate:
    """A plan on a grid of such pixels, or a raster on its own, as it is counted.

    Raises:
        InputError: Its site is too large for one grid.
    """
    if isinstance(thing, Raster):
        where = np.argwhere(thing.inside[0].numpy()).mean(axis=0)
        place = thing.frame.to_world(*where)
        lon_lat = _degrees(thing.frame.crs, *place)
        return Candidate(name, file, thing.layout, thing.frame, thing.inside, None, lon_lat)
    frame = frame_of(thing, pixel_m=pixel_m)
    drawn = rasterize(with_storeys(thing), frame)
    middle = thing.site.centroid
    lon_lat = _degrees(thing.crs, middle.x, middle.y)
    return Candidate(name, file, drawn, frame, drawn.allowed > 0, thing, lon_lat)


def _degrees(crs: str, x_m: float, y_m: float) -> tuple[float, float]:
    lon, lat = _to_degrees(crs).transform(x_m, y_m)
    return float(lon), float(lat)


@lru_cache(maxsize=16)
def _to_degrees(crs: str) -> Transformer:
    return Transformer.from_crs(crs, 4326, always_xy=True)


def frame_of(plan: Plan, *, pixel_m: float = PIXEL_M) -> Frame:
    """A grid along the plan's walls that holds its site and a little around.

    Raises:
        InputError: The site is too large for one grid.
    """
    walls = plan.buildings.geometry.to_numpy()
    # Rounded: coordinates that went through degrees and back must find the same grid, and a turn
    # by 1e-10 degrees about the far origin moves it by a hundredth of a millimeter.
    angle_deg = round(edge_angle_deg(walls if len(walls) else plan.site), ANGLE_DIGITS)
    turned = Frame(plan.crs, 0.0, 0.0, angle_deg, pixel_m, 1, 1)
    xy = shapely.get_coordinates(plan.site)
    row, col = turned.from_world(xy[:, 0], xy[:, 1])
    top = math.floor(row.min() + EDGE_PX) - MARGIN_PX
    left = math.floor(col.min() + EDGE_PX) - MARGIN_PX
    rows = math.ceil(row.max() - EDGE_PX) + MARGIN_PX - top
    cols = math.ceil(col.max() - EDGE_PX) + MARGIN_PX - left
    if rows * cols > MAX_PIXELS:
        raise InputError(f"a plan of {rows} x {cols} pixels", "cut the site into parts")
    x_m, y_m = turned.to_world(top, left)
    return Frame(plan.crs, float(x_m), float(y_m), angle_deg, pixel_m, rows, cols)


def with_storeys(plan: Plan) -> Plan:
    """Heights from the floors where a plan gives those alone."""
    heights, floors = (plan.buildings[name].to_numpy() for name in ("height_m", "floors"))
    open_ = np.isnan(heights) & ~np.isnan(floors)
    if not open_.any():
        return plan
    filled = np.where(open_, floors * STOREY_M, heights)
    return replace(plan, buildings=plan.buildings.assign(height_m=filled))


def read_before(path: Path) -> Plan | Raster:
    """What stands today, out of a file that holds one plan or raster.

    Raises:
        InputError: The file holds several plans, or cannot be used.
    """
    drawn = read_drawn(path)
    if len(drawn) != 1:
        raise InputError(f"{path.name}: holds {len(drawn)} plans", "give a file with one, of today")
    return next(iter(drawn.values()))


def on_grid(before: Plan | Raster | None, candidate: Candidate) -> Layout | None:
    """The state before on a candidate's grid.

    Raises:
        InputError: A raster on another grid, or a plan in another CRS.
    """
    if before is None:
        return None
    frame = candidate.frame
    if isinstance(before, Plan):
        if before.crs != frame.crs:
            raise InputError(f"what stands today is in {before.crs}", f"bring it to {frame.crs}")
        return rasterize(with_storeys(before), frame)
    apart = np.abs(np.subtract(before.frame.affine(), frame.affine())).max()
    same = (before.frame.rows, before.frame.cols) == (frame.rows, frame.cols)
    if before.frame.crs != frame.crs or not same or apart > SAME_GRID_M:
        raise InputError(
            f"{candidate.name}: what stands today is a raster on another grid",
            "give it as a plan, or as a raster on the same grid",
        )
    return before.layout


def judge(
    candidate: Candidate,
    region: Region,
    *,
    reason: str,
    settings: ScoreSettings,
    before: Plan | Raster | None = None,
) -> Scored:
    """Counts one candidate: ledger with draws, tornado, hardening gap, range over heights."""
    options = {
        "region": region, "inside": candidate.inside, "context": on_grid(before, candidate),
        "use_mix": settings.use_mix, "measures": settings.measures,
        "sunlight": sun_over(candidate, settings),
    }  # fmt: skip
    more = {"horizon_years": settings.horizon_years, "year": settings.year}
    layout, heights_m, share = fill_heights(candidate, region)
    ledger = carbon.evaluate(layout, draws=settings.draws, **options, **more)
    heights = None
    if share > 0:
        nets = []
        for height_m in (heights_m[0], heights_m[2]):
            other = with_height(candidate, height_m)
            counted = carbon.evaluate(other, **options, **more)
            nets.append((float(counted.net_kgco2e_per_year), float(counted.gross_floor_area_m2)))
        (low, low_m2), (high, high_m2) = nets
        per_floor = (low / max(low_m2, 1.0), high / max(high_m2, 1.0))
        heights = Heights(share, *heights_m, low, high, *per_floor)
    indicators = form_of(candidate, layout, unknown_share=share)
    indicators |= green_indicators(
        layout, candidate.inside, ledger, region=region, quick=settings.sunlight == "quick"
    )
    low, middle, high = (float(x) for x in ledger.spread("net")[0])
    return Scored(
        name=candidate.name,
        candidate=candidate,
        region=region,
        reason=reason,
        score=Score(indicators, ledger, (low, middle, high)),
        swings=tuple(tornado(layout, **options, **more)),
        gap=hardening_gap(layout, **options)[0],
        heights=heights,
    )


def form_of(candidate: Candidate, layout: Layout, *, unknown_share: float) -> dict[str, float]:
    """Indicators of form: of the plan where all its heights are known, else of the layout."""
    if candidate.plan is not None and unknown_share == 0:
        return of_plan(with_storeys(candidate.plan))
    measured = of_layout(layout, candidate.inside)
    return {name: float(value) for name, value in measured.items()}


def fill_heights(
    candidate: Candidate, region: Region
) -> tuple[Layout, tuple[float, float, float], float]:
    """A layout whose buildings all have heights, the plausible ones, and the share that had none.

    The central height is the mean of the known ones, or the factor's where none is.
    """
    layout = candidate.layout
    built = layout.cover[:, BUILDING] * candidate.inside
    known = built * layout.height_known
    total, of_known = float(built.sum()), float(known.sum())
    share = 1 - of_known / total if total > 0 else 0.0
    cover = layout.cover
    default = place_for(region, 1, None, 0, 0, cover.dtype, cover.device).find(HEIGHTS)
    central = float((known * layout.height_m).sum()) / of_known if of_known > 0 else default.value
    plausible = (default.low, round(central, 1), default.high)
    if share <= SHARE_TOLERANCE:
        return layout, plausible, 0.0
    return with_height(candidate, plausible[1]), plausible, share


def with_height(candidate: Candidate, height_m: float) -> Layout:
    """The layout with this height for buildings that have none."""
    layout = candidate.layout
    missing = (layout.cover[:, BUILDING] > SHARE_TOLERANCE) & ~layout.height_known
    height = torch.where(missing, torch.full_like(layout.height_m, height_m), layout.height_m)
    return replace(layout, height_m=height, height_known=layout.height_known | missing)


def order(scored: Sequence[Scored]) -> list[Scored]:
    """Least net per floor area first, with groups of plans that the draws do not tell apart.

    Where some plan has no floors, net per site area takes the place of net per floor area.
    """
    areas = {s.name: _area_m2(s, scored) for s in scored}
    ranked = sorted(scored, key=lambda s: s.score.net_kgco2e_per_year / areas[s.name])
    draws = [net_draws(s.score.ledger) / areas[s.name] for s in ranked]
    if len({s.region.name for s in ranked}) > 1:  # other factors, other draws
        return [replace(s, rank=n, tie=n) for n, s in enumerate(ranked, start=1)]
    ties, matrix = tie_groups(draws), beat_matrix(draws)
    names = [s.name for s in ranked]
    return [
        replace(
            s, rank=n + 1, tie=ties[n],
            beats={name: float(matrix[n, k]) for k, name in enumerate(names) if k != n},
        )
        for n, s in enumerate(ranked)
    ]  # fmt: skip


def _area_m2(one: Scored, all_of_them: Sequence[Scored]) -> float:
    floors = all(s.score.indicators["gross_floor_area_m2"] > 1 for s in all_of_them)
    name = "gross_floor_area_m2" if floors else "site_area_m2"
    return max(one.score.indicators[name], 1.0)
