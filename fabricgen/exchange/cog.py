"""A layout as a cloud-optimized GeoTIFF: tiles and overviews, the same bands."""

from pathlib import Path

import rasterio.shutil
from torch import Tensor

from fabricgen.exchange.geotiff import read_back, write_geotiff
from fabricgen.files import atomic_file
from fabricgen.layout import Frame, Layout


def write_cog(layout: Layout, frame: Frame, path: Path, *, inside: Tensor | None = None) -> None:
    """Write what `write_geotiff` writes, laid out for reading in parts over a network.

    Overviews take the nearest pixel: a mean of surfaces would be none.
    """
    path = Path(path)
    with atomic_file(path) as part:
        plain = part.with_name(f"{part.name}.plain.tif")
        write_geotiff(layout, frame, plain, inside=inside)
        rasterio.shutil.copy(
            plain, part, driver="COG", compress="deflate", overview_resampling="nearest"
        )
        read_back(part)
