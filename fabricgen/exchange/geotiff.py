"""A plan as pixels: the surface of each, and the height on it."""

from pathlib import Path

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.transform import Affine

from fabricgen.files import atomic_file
from fabricgen.layout import Frame, Layout
from fabricgen.surfaces import COLORS, LABELS, SURFACES

NO_DATA = 255
DECIMETER = 0.1


def write_geotiff(layout: Layout, frame: Frame, path: Path, *, item: int = 0) -> None:
    """Write a layout as a GeoTIFF of two bands, whole or not at all.

    Band 1 is the surface with the largest share (0 building … 7 bare, 255 no data), with colors and
    names; band 2 is the height in decimeters (scale 0.1, 65535 unknown). The grid may be turned.

    Args:
        layout: What was drawn, say by `plan.rasterize`.
        frame: Where it lies.
        path: The file to write.
        item: Which layout of the batch.
    """
    cover = layout.cover[item].cpu().numpy()  # (8, H, W)
    surface = np.where(cover.sum(axis=0) > 0, cover.argmax(axis=0), NO_DATA).astype(np.uint16)
    height = layout.height_m[item].cpu().numpy() / DECIMETER
    known = layout.height_known[item].cpu().numpy()
    height_dm = np.where(known, np.rint(height), np.iinfo(np.uint16).max).astype(np.uint16)
    profile = {
        "driver": "GTiff",
        "width": frame.cols,
        "height": frame.rows,
        "count": 2,
        "dtype": "uint16",
        "crs": CRS.from_user_input(frame.crs),
        "transform": Affine(*frame.affine()),
        "compress": "deflate",
        "photometric": "minisblack",
    }
    with atomic_file(Path(path)) as part, rasterio.open(part, "w", **profile) as target:
        target.write(surface, 1)
        target.write(height_dm, 2)
        target.descriptions = ("surface", "height")
        target.units = ("", "m")
        target.scales = (1.0, DECIMETER)
        target.update_tags(1, **{f"CLASS_{k}": label for k, label in enumerate(LABELS)})
        target.update_tags(surfaces=",".join(SURFACES), no_data=str(NO_DATA))
        target.write_colormap(1, {k: _rgba(color) for k, color in enumerate(COLORS)})


def _rgba(color: str) -> tuple[int, int, int, int]:
    red, green, blue = (int(color[k : k + 2], 16) for k in (1, 3, 5))
    return red, green, blue, 255
