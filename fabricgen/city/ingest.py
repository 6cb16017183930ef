"""Turns a city extract into a tile store: read, paint, find the gaps, cover by boxes, index."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import shapely

from ..errors import FormatError
from ..files import atomic_folder, check_replaceable, prepare_output
from ..layout import Frame
from ..settings import ranged
from ..steps import OnStep, quiet
from ..surfaces import BIT, BUILDING, SURFACES
from . import cover, gaps, labels, lattice, osm, segments, vector
from .mapped import Mapped, reproject
from .raster import edges_of, paint, spans_of
from .store import SPLITS

STEPS = ("read", "paint", "find gaps", "cover by boxes", "index", "write")
SEEN_SHARE = 0.3  # of a footprint that larger ones leave; below, it is a part of them
BYTES_PER_PIXEL = 3
CARD = "city.json"  # written into every store, and what tells one from other folders


@dataclass(frozen=True)
class CitySettings:
    """How a city is ingested."""

    threads: int = ranged(2, 1, 64)  # for the box cover
    mask_gaps: bool = True  # take ground that nobody mapped out of the covered area
    max_km2: float = ranged(2500.0, 0.01, 20_000.0)  # a larger box is refused


@dataclass(frozen=True)
class CityReport:
    """What was made of an extract: the summary that `fabricgen ingest` prints.

    Attributes:
        city: Its name.
        crs: The projected CRS of the store.
        area_km2: The covered area.
        windows: Windows of the lattice by split.
        surface_share: Share of the covered area that is known to be each surface.
        unknown_share: The rest.
        buildings: Footprints in the store.
        boxes: Boxes that stand for them.
        segments: Straight pieces of street.
        height_known_share: Of the built area, with a known height.
        dropped: Features left out, by reason.
        masked_m2: Ground left out as unmapped, by reason.
    """

    city: str
    crs: str
    area_km2: float
    windows: dict[str, int]
    surface_share: dict[str, float]
    unknown_share: float
    buildings: int
    boxes: int
    segments: int
    height_known_share: float
    dropped: dict[str, int]
    masked_m2: dict[str, float]


def ingest(
    source: Path,
    *,
    city: str,
    out: Path,
    settings: CitySettings = CitySettings(),  # frozen
    on_step: OnStep = quiet,
) -> CityReport:
    """Makes the tile store of a city.

    Args:
        source: An OpenStreetMap extract (`.osm.pbf`), a folder of GeoParquet layers, or a
            GeoPackage.
        city: Name of the city; its split follows from it.
        out: Folder of the store; written whole or not at all.
        settings: How.
        on_step: Hears of each step.

    Raises:
        FormatError: The source is damaged, empty, too large, or not what it claims to be.
        StorageError: The store cannot be written.
    """
    source, out = Path(source), Path(out)

    def tell(step: int) -> None:
        on_step(step, len(STEPS), STEPS[step])

    tell(0)
    check_replaceable(out, mark=CARD)
    mapped = read(source)
    frame = frame_of(mapped, settings, source)
    shape, corner = (frame.rows, frame.cols), (frame.x_m, frame.y_m)
    room_mb = BYTES_PER_PIXEL * frame.rows * frame.cols / 1e6
    prepare_output(out.absolute().parent, free_mb=room_mb)

    tell(1)
    mapped = _clip_buildings(mapped)
    plates = labels.paint_all(mapped, shape, corner)

    # Ground outside the covered area has no data.
    tell(2)
    cells = lattice.count_cells(plates.labels, plates.height_dm)
    found = gaps.find(mapped, plates.labels, cells, corner)
    covered = _covered(mapped, found, settings, source)
    _clear(plates, covered, corner)
    cells = lattice.count_cells(plates.labels, plates.height_dm)

    tell(3)
    footprints = _in_frame(mapped.buildings.shape, corner)
    kept = np.flatnonzero(plates.seen_share >= SEEN_SHARE)
    mapped.dropped["building on top of a larger one"] += len(footprints) - len(kept)
    boxes = _box_table(footprints, plates, kept, settings)
    pieces = segments.pieces_of(mapped.streets, mapped.clip, corner)  # also across gaps

    tell(4)
    walls = np.column_stack(edges_of(footprints[kept])[:2])
    index = lattice.index_of(frame, cells, walls, complete=found.complete, city=city)
    card = _card(city, mapped, frame, covered, cells)
    card |= {"boxes": len(boxes), "segments": len(pieces), "buildings": len(kept)}
    card["masked_m2"] = {why: round(area) for why, area in sorted(found.area_m2.items())}

    tell(5)
    with atomic_folder(out, mark=CARD) as part:
        arrays = {
            "labels": plates.labels,
            "height_dm": plates.height_dm,
            "boxes": boxes,
            "segments": pieces,
            "uses": np.array([use[:24] for use in mapped.buildings.use], dtype=np.str_),
        }
        _write(part, arrays, index, card=card, covered=covered)
    on_step(len(STEPS), len(STEPS), "done")
    return _report(card, index)


def read(source: Path) -> Mapped:
    """Reads any source that a city may come as.

    Raises:
        FormatError: It is none of them.
    """
    name = source.name.lower()
    if not source.exists():
        raise FormatError(f"{source.name}: no such file or folder", "check the path")
    if name.endswith((".pbf", ".osm", ".osm.gz", ".osm.bz2")):
        return osm.read(source)
    if source.is_dir() or name.endswith(".gpkg"):
        return vector.read(source)
    raise FormatError(
        f"{source.name}: not a city extract",
        "give an .osm.pbf, a .gpkg, or a folder of GeoParquet layers",
    )


def frame_of(mapped: Mapped, settings: CitySettings, source: Path) -> Frame:
    """The frame of the rasters: north up, whole meters, pixels of 1 m.

    Raises:
        FormatError: The area is empty or larger than the settings allow.
    """
    west, south, east, north = mapped.clip.bounds
    if not mapped.clip.area > 0:
        raise FormatError(f"{source.name}: covers no area", "give a city extract")
    if mapped.clip.area > settings.max_km2 * 1e6:
        raise FormatError(
            f"{source.name}: covers {mapped.clip.area / 1e6:,.0f} km2, more than "
            f"{settings.max_km2:,.0f}",
            "cut out a city, or raise ingest.max_km2",
        )
    x_m, y_m = math.floor(west), math.ceil(north)
    rows, cols = math.ceil(y_m - south), math.ceil(east - x_m)
    return Frame(mapped.crs, float(x_m), float(y_m), 0.0, 1.0, rows, cols)


def _clip_buildings(mapped: Mapped) -> Mapped:
    """Keeps buildings and parts that reach into the clip; ground and streets are cut later."""
    shapely.prepare(mapped.clip)
    kept = {}
    for name in ("buildings", "parts"):
        table = getattr(mapped, name)
        inside = shapely.intersects(mapped.clip, table.shape)
        mapped.dropped[f"{name[:-1]} outside"] += int((~inside).sum())
        kept[name] = table.take(inside)
    fields = {name: getattr(mapped, name) for name in mapped.__dataclass_fields__}
    return Mapped(**(fields | kept))


def _covered(
    mapped: Mapped, found: gaps.Gaps, settings: CitySettings, source: Path
) -> shapely.Geometry:
    """The area that counts: the clip without the ground that nobody mapped."""
    if not settings.mask_gaps or len(found.faces) == 0:
        return mapped.clip
    covered = shapely.difference(mapped.clip, shapely.union_all(found.faces))
    if covered.area <= 0:
        raise FormatError(f"{source.name}: nothing is mapped in its area", "check the extract")
    return covered


def _clear(plates: labels.Plates, covered: shapely.Geometry, corner: tuple[float, float]) -> None:
    inside = np.zeros(plates.labels.shape, np.uint8)
    shapes = np.array([covered], object)
    paint(inside, spans_of(shapes, plates.labels.shape, corner), 1)
    np.multiply(plates.labels, inside, out=plates.labels)
    np.multiply(plates.height_dm, inside, out=plates.height_dm, casting="unsafe")


def _in_frame(shapes: np.ndarray, corner: tuple[float, float]) -> np.ndarray:
    """Geometries in the frame's (u, v): meters right and down of its corner."""
    origin, turn = np.array(corner), np.array([1.0, -1.0])
    return shapely.transform(shapes, lambda points: (points - origin) * turn)


def _box_table(
    footprints: np.ndarray, plates: labels.Plates, kept: np.ndarray, settings: CitySettings
) -> np.ndarray:
    """Boxes (N, 7) as a store keeps them; `building` is the footprint's number."""
    boxes = cover.cover(footprints[kept], threads=settings.threads)
    building = kept[boxes.owner]
    table = np.column_stack([boxes.geometry, plates.floors[building], building])
    return table.astype(np.float32)


# --- what is written -----------------------------------------------------------------------------


def _card(
    city: str, mapped: Mapped, frame: Frame, covered: shapely.Geometry, cells: lattice.Cells
) -> dict:
    """What city.json says."""
    area_m2 = {name: int(cells.surface(surface).sum()) for surface, name in enumerate(SURFACES)}
    built = max(area_m2[SURFACES[BUILDING]], 1)
    origin = mapped.origin
    return {
        "name": city,
        "crs": mapped.crs,
        "frame": {name: getattr(frame, name) for name in frame.__dataclass_fields__},
        "area_km2": covered.area / 1e6,
        "surface_area_m2": area_m2,
        "unknown_m2": int(cells.covered.sum()) - sum(area_m2.values()),
        "height_known_share": float(cells.tall.sum() / built),
        "layers": sorted(mapped.layers),
        "open_surfaces": [
            name for name, bit in zip(SURFACES, BIT, strict=True) if mapped.open_bits & bit
        ],
        "dropped": {why: int(count) for why, count in sorted(mapped.dropped.items()) if count},
        "source": origin.source,
        "licence": origin.license,
        "attribution": origin.attribution,
        "date": origin.date,
    }


def _write(
    part: Path,
    arrays: dict[str, np.ndarray],
    index: dict[str, np.ndarray],
    *,
    card: dict,
    covered: shapely.Geometry,
) -> None:
    for name, array in arrays.items():
        np.save(part / f"{name}.npy", array, allow_pickle=False)
    np.savez(part / "index.npz", **index)  # type: ignore[arg-type]
    people = pd.DataFrame({name: column for name, column in index.items() if name != "split"})
    people.insert(0, "city", card["name"])
    people["crs"], people["source"] = card["crs"], card["source"]
    people["licence"], people["attribution"] = card["licence"], card["attribution"]
    people["split"] = [SPLITS[code] for code in index["split"]]
    people.to_parquet(part / "index.parquet", index=False)
    outline = reproject(np.array([covered], object), card["crs"], "EPSG:4326")[0]
    properties = {"city": card["name"], "area_km2": card["area_km2"]}
    feature = {
        "type": "Feature",
        "properties": properties | {"attribution": card["attribution"]},
        "geometry": shapely.geometry.mapping(outline),
    }
    document = {"type": "FeatureCollection", "features": [feature]}
    (part / "coverage.geojson").write_text(json.dumps(document), encoding="utf-8")
    (part / "city.json").write_text(json.dumps(card, indent=2), encoding="utf-8")


def _report(card: dict, index: dict[str, np.ndarray]) -> CityReport:
    total = max(sum(card["surface_area_m2"].values()) + card["unknown_m2"], 1)
    count = Counter(SPLITS[code] for code in index["split"])
    return CityReport(
        city=card["name"],
        crs=card["crs"],
        area_km2=card["area_km2"],
        windows={name: count[name] for name in SPLITS if count[name]},
        surface_share={name: area / total for name, area in card["surface_area_m2"].items()},
        unknown_share=card["unknown_m2"] / total,
        buildings=card["buildings"],
        boxes=card["boxes"],
        segments=card["segments"],
        height_known_share=card["height_known_share"],
        dropped=card["dropped"],
        masked_m2=card["masked_m2"],
    )
