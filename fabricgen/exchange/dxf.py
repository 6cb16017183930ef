"""Plans as DXF drawings: closed outlines by layer, extruded to their height, in meters."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely

from fabricgen.errors import need, one_line
from fabricgen.exchange.heights import standing_m
from fabricgen.files import atomic_file
from fabricgen.plan import CROWN_M, LAYERS, Plan
from fabricgen.surfaces import BUILDING, COLORS, GRASS, PAVED, ROAD, SHRUB, TREE, WATER

# Names by the pattern of the US National CAD Standard: discipline, major group, minor group.
SITE_LAYER, NOTE_LAYER, TREE_LAYER = "C-PROP-LINE", "G-ANNO-NOTE", "L-PLNT-TREE"
GREEN_LAYERS = {"grass": "L-PLNT-TURF", "shrub": "L-PLNT-SHRB", "tree": "L-PLNT-CNPY"}
CAD_LAYERS: dict[str, str] = {
    SITE_LAYER: "#000000",
    "C-BLDG-OTLN": COLORS[BUILDING],
    "C-ROAD-CNTR": COLORS[ROAD],
    "C-PVMT-OTLN": COLORS[PAVED],
    "C-WATR-OTLN": COLORS[WATER],
    GREEN_LAYERS["grass"]: COLORS[GRASS],
    GREEN_LAYERS["shrub"]: COLORS[SHRUB],
    GREEN_LAYERS["tree"]: COLORS[TREE],
    TREE_LAYER: COLORS[TREE],
    NOTE_LAYER: "#000000",
}
CAD_NAMES = {
    "buildings": "C-BLDG-OTLN", "roads": "C-ROAD-CNTR", "paved": "C-PVMT-OTLN",
    "water": "C-WATR-OTLN", "trees": TREE_LAYER,
}  # fmt: skip
APP = "FABRICGEN"  # of the extended data: `column=value` of each feature
FAR_M = 10_000.0  # coordinates beyond it lose precision and jitter in CAD programs
ORIGIN_STEP_M = 100.0
METERS = 6  # $INSUNITS
NOTE_SIGNS = 50  # of a string of extended data, which holds 255 bytes
NOTE_M = 2.0  # height of the note's letters


def write_dxf(plan: Plan, path: Path, *, scheme: str, meta: Mapping[str, object]) -> list[str]:
    """Write a plan as a drawing of AutoCAD 2013.

    Polygons are closed LWPOLYLINEs, a ring each; buildings have their height as thickness. Roads
    are center lines of constant width, trees circles of their crown. The columns of a feature, and
    whether a ring is outer or inner, stand in its extended data.

    Args:
        plan: A plan that passes `check_plan`.
        path: The file, written whole or not at all.
        scheme: Its name, stored as a property of the drawing.
        meta: Provenance; its `attribution` is stored the same way.

    Returns:
        Where the local origin lies, if coordinates are large, and buildings without any height.

    Raises:
        MissingDependencyError: ezdxf is not installed.
    """
    ezdxf = need("ezdxf", extra="cad")
    drawing = ezdxf.new("R2013", units=METERS)
    drawing.appids.add(APP)
    for name, color in CAD_LAYERS.items():
        drawing.layers.add(name, true_color=int(color[1:], 16))
    space = drawing.modelspace()
    origin, remarks = origin_of(plan), []
    for layer, shape, row in _features(plan):
        _draw(space, layer, _shifted(shape, origin), row)
    said = {"scheme": scheme, "crs": plan.crs, "origin_x_m": origin[0], "origin_y_m": origin[1]}
    if meta.get("attribution"):
        said["attribution"] = str(meta["attribution"])
    for key, value in said.items():
        drawing.header.custom_vars.append(f"fabricgen {key}", f"{value}")
    if origin.any():
        remarks.append(
            f"local origin at {origin[0]:.0f}, {origin[1]:.0f} of {plan.crs}; move the drawing "
            "there to place it"
        )
        x, y = shapely.bounds(plan.site)[:2] - origin
        note = f"Local origin: x {origin[0]:.0f} m, y {origin[1]:.0f} m, {plan.crs}. Unit: meter."
        text = space.add_text(note, height=NOTE_M, dxfattribs={"layer": NOTE_LAYER})
        text.set_placement((x, y - 2 * NOTE_M))
    with atomic_file(Path(path)) as part:
        drawing.saveas(part)
    return [*remarks, *standing_m(plan)[1]]


def origin_of(plan: Plan) -> np.ndarray:
    """What is taken off all coordinates, (2,): whole hundreds of meters, 0 where they are small."""
    bounds = np.array(plan.site.bounds)
    if np.abs(bounds).max() <= FAR_M:
        return np.zeros(2)
    return np.floor(bounds[:2] / ORIGIN_STEP_M) * ORIGIN_STEP_M


def _shifted(shape: Any, origin: np.ndarray) -> Any:
    return shapely.transform(shape, lambda xy: xy - origin)


def _features(plan: Plan) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """CAD layer, geometry and columns of everything on a plan."""
    for part in shapely.get_parts(plan.site):
        yield SITE_LAYER, part, {"id": "site"}
    heights, _ = standing_m(plan)
    for name, columns in LAYERS.items():
        table = getattr(plan, name)
        for n, row in enumerate(table.to_dict("records")):
            said = {key: row[key] for key in columns if not pd.isna(row[key]) and row[key] != ""}
            if name == "buildings":
                said["thickness"] = 0.0 if np.isnan(heights[n]) else heights[n]
            layer = GREEN_LAYERS[row["kind"]] if name == "green" else CAD_NAMES[name]
            yield layer, row["geometry"], said


def _draw(space: Any, layer: str, shape: Any, row: dict[str, Any]) -> None:
    """Adds the entities of one feature."""
    style = {"layer": layer, "thickness": row.pop("thickness", 0.0)}
    if shape.geom_type == "Point":
        radius = row.get("crown_m", CROWN_M) / 2
        style["thickness"] = row.get("height_m", 0.0)
        _note(space.add_circle((shape.x, shape.y), radius, dxfattribs=style), row)
    elif shape.geom_type == "LineString":
        style["const_width"] = row["width_m"]
        _note(space.add_lwpolyline(shape.coords, dxfattribs=style), row)
    else:
        rings = [("outer", shape.exterior), *(("inner", ring) for ring in shape.interiors)]
        for side, ring in rings:
            points = ring.coords[:-1]
            _note(space.add_lwpolyline(points, close=True, dxfattribs=style), {**row, "ring": side})


def _note(entity: Any, row: dict[str, Any]) -> None:
    """Columns as extended data; what is longer than a string may be follows in a second one."""
    entity.set_xdata(
        APP, [(1000, f"{key}={piece}") for key, value in row.items() for piece in _pieces(value)]
    )


def _pieces(value: Any) -> list[str]:
    text = one_line(value)  # a line break would end the string, and with it the drawing
    return [text[n : n + NOTE_SIGNS] for n in range(0, max(1, len(text)), NOTE_SIGNS)]
