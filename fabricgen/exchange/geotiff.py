"""A plan as pixels, both ways: the surface of each, the height on it, and where the site is.

Two forms are read. Labels, as we write them: band 1 the surface, band 2 the height, band 3 the
site, which may be missing; behind these, where pixels hold several surfaces, eight bands of their
shares in thousandths, which are then what counts. Shares alone: bands 1 to 8 the share of each
surface in the order of `surfaces.SURFACES`, band 9 the height in meters; a pixel without any share
has no data.
"""

import errno
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from torch import Tensor

from fabricgen.errors import FormatError, InputError
from fabricgen.files import atomic_file
from fabricgen.layout import MAX_HEIGHT_M, Frame, Layout, check
from fabricgen.surfaces import BIT, COLORS, LABELS, SURFACES

NO_DATA = 255
DECIMETER = 0.1
SHARE_STEP = 1e-3  # of the bands of shares behind labels
COLORED_BANDS = 2  # a TIFF of more has no place for a table of colors
MAX_PIXELS = 4096 * 4096
MOST_BANDS = len(SURFACES) + 3  # labels, height, site and shares
MIN_PIXEL_M, MAX_PIXEL_M = 0.1, 100.0  # what a layout may have
SUM_TOLERANCE = 1e-2  # rounding of shares in a file


@dataclass(frozen=True, eq=False)
class Raster:
    """A layout out of a file.

    Attributes:
        layout: (1, 8, rows, cols).
        frame: Where it lies.
        inside: What is to be scored, (1, rows, cols) bool: the site where the file tells it, else
            all that has data.
    """

    layout: Layout
    frame: Frame
    inside: Tensor


def read_geotiff(path: Path) -> Raster:
    """Read a raster of labels or of shares.

    Raises:
        FormatError: The file is no raster of these forms, or holds values that mean nothing.
        InputError: Its grid is not in meters, not square, or too large.
    """
    path = Path(path)
    if not path.is_file():
        raise FormatError(f"{path.name}: no such file", "give the path of a GeoTIFF")
    try:
        with rasterio.open(path) as source:
            bands, floating = source.count, np.dtype(source.dtypes[0]).kind == "f"
            if bands > MOST_BANDS:
                raise _other_bands(path.name, bands, source.dtypes[0])
            frame = _frame(source, path.name)
            grid = source.read(out_dtype=np.float32)  # (bands, rows, cols)
            scale = source.scales[1] if bands > 1 else 1.0
    except RasterioError as err:
        raise FormatError(f"{path.name}: is no raster, or is cut short", "export it again") from err
    if bands == len(SURFACES) + 1 and floating:
        layout = _of_shares(grid, frame.pixel_m, path.name)
        return Raster(layout, frame, _data(layout, path.name))
    labels = bands - len(SURFACES) if bands > len(SURFACES) else bands
    if labels in (2, 3) and not (floating and bands > labels):
        layout = _of_labels(grid, scale, frame.pixel_m, path.name, shares=grid[labels:])
        inside = _data(layout, path.name)
        return Raster(layout, frame, inside if labels == 2 else _site(grid[2], inside, path.name))
    raise _other_bands(path.name, bands, source.dtypes[0])


def _other_bands(name: str, bands: int, kind: str) -> FormatError:
    return FormatError(
        f"{name}: has {bands} bands of {kind}",
        "give surface and height as integers, or eight shares and the height as floats",
    )


def _frame(source: rasterio.DatasetReader, name: str) -> Frame:
    """The grid of a file as a frame: projected, in meters, square pixels, turned or not."""
    if source.crs is None:
        raise InputError(f"{name}: no coordinate system", "save it with a CRS in meters")
    unit = source.crs.linear_units.lower()
    if not source.crs.is_projected or unit not in ("metre", "meter", "m"):
        raise InputError(
            f"{name}: its coordinates are not in meters ({source.crs.to_string()})",
            "reproject it, for example to the UTM zone of the site",
        )
    a, b, c, d, e, f = tuple(source.transform)[:6]
    pixel_m = float(np.hypot(a, d))
    if not np.allclose((b, e), (d, -a), atol=1e-6 * max(pixel_m, 1e-9)) or pixel_m == 0:
        raise InputError(f"{name}: its pixels are not square", "resample it")
    if not MIN_PIXEL_M <= pixel_m <= MAX_PIXEL_M:
        raise InputError(
            f"{name}: pixels of {pixel_m:g} m",
            f"resample it to {MIN_PIXEL_M:g} to {MAX_PIXEL_M:g} m",
        )
    if source.width * source.height > MAX_PIXELS:
        raise InputError(f"{name}: {source.height} x {source.width} pixels", "cut it into parts")
    angle_deg = float(np.degrees(np.arctan2(-d, a)))
    return Frame(
        source.crs.to_string(), c, f, angle_deg, round(pixel_m, 9), source.height, source.width
    )


def _of_labels(
    grid: np.ndarray, scale: float, pixel_m: float, name: str, *, shares: np.ndarray
) -> Layout:
    """A layout from surface and height; hard where there are no bands of shares."""
    surface = grid[0]
    odd = ~np.isin(surface, [*range(len(SURFACES)), NO_DATA])
    if odd.any():
        row, col = np.argwhere(odd)[0]
        raise FormatError(
            f"{name}: surface {surface[row, col]:g} at row {row}, column {col}",
            f"use 0 to 7 ({', '.join(SURFACES)}), and {NO_DATA} for no data",
        )
    data = surface != NO_DATA
    unknown = grid[1] == np.iinfo(np.uint16).max
    height = _heights(np.where(unknown, 0, grid[1] * scale), name)
    cover = (surface[None] == np.arange(len(SURFACES))[:, None, None]).astype(np.float32)
    if len(shares):
        cover = _whole(np.where(data, shares * SHARE_STEP, 0), name)
        data = data & (cover.sum(axis=0) > 0)
    return _layout(cover, height, data & ~unknown, pixel_m)


def _of_shares(grid: np.ndarray, pixel_m: float, name: str) -> Layout:
    """A soft layout from eight shares and the height."""
    height = _heights(grid[-1], name)
    cover = _whole(grid[: len(SURFACES)], name)
    return _layout(cover, height, cover.sum(axis=0) > 0, pixel_m)


def _whole(cover: np.ndarray, name: str) -> np.ndarray:
    """Shares held to sense, their rounding taken off: they sum to 1, or to 0 without data."""
    if not np.isfinite(cover).all() or (cover < 0).any():
        row, col = np.argwhere(~(np.isfinite(cover) & (cover >= 0)).all(axis=0))[0]
        raise FormatError(
            f"{name}: a share at row {row}, column {col} is negative or no number",
            "give shares between 0 and 1",
        )
    total = cover.sum(axis=0)
    data = total > 0
    wrong = data & (np.abs(total - 1) > SUM_TOLERANCE)
    if wrong.any():
        row, col = np.argwhere(wrong)[0]
        raise FormatError(
            f"{name}: the surfaces sum to {total[row, col]:.3g} at row {row}, column {col}",
            "give eight shares that sum to 1, or all 0 for no data",
        )
    return cover / np.where(data, total, 1)


def _heights(height_m: np.ndarray, name: str) -> np.ndarray:
    """Heights held to sense."""
    wrong = ~(np.isfinite(height_m) & (height_m >= 0) & (height_m <= MAX_HEIGHT_M))
    if wrong.any():
        row, col = np.argwhere(wrong)[0]
        raise FormatError(
            f"{name}: the height at row {row}, column {col} is {height_m[row, col]:g} m",
            f"give heights between 0 and {MAX_HEIGHT_M:.0f} m",
        )
    return height_m


def _layout(cover: np.ndarray, height: np.ndarray, known: np.ndarray, pixel_m: float) -> Layout:
    shares = torch.from_numpy(cover.astype(np.float32))[None]
    bits = torch.tensor(BIT, dtype=torch.int64).reshape(1, -1, 1, 1)
    allowed = ((shares > 0).to(torch.int64) * bits).sum(dim=1).to(torch.uint8)
    height_known = torch.from_numpy(known)[None]
    heights = torch.from_numpy(height.astype(np.float32))[None]
    heights = torch.where(height_known, heights, torch.zeros_like(heights))
    return check(Layout(shares, heights, allowed, height_known, pixel_m))


def _data(layout: Layout, name: str) -> Tensor:
    """Pixels with data."""
    inside = layout.allowed > 0
    if not bool(inside.any()):
        raise FormatError(f"{name}: no pixel has data", "export it again")
    return inside


def _site(band: np.ndarray, data: Tensor, name: str) -> Tensor:
    inside = torch.from_numpy(band > 0)[None] & data
    if not bool(inside.any()):
        raise FormatError(f"{name}: its site band marks no pixel with data", "mark the site by 1")
    return inside


def write_geotiff(
    layout: Layout, frame: Frame, path: Path, *, item: int = 0, inside: Tensor | None = None
) -> None:
    """Write a layout as a GeoTIFF, whole or not at all.

    Band 1 is the surface with the largest share (0 building … 7 bare, 255 no data), with names, and
    with colors where there are but two bands; band 2 is the height in decimeters (scale 0.1, 65535
    unknown); band 3 is 1 on the site. Where pixels hold several surfaces eight bands of shares
    follow: the largest one alone would lose what is narrower than a pixel. The grid may be turned.

    Args:
        layout: What was drawn, say by `plan.rasterize`.
        frame: Where it lies.
        path: The file to write.
        item: Which layout of the batch.
        inside: The site among its surroundings, (H, W) bool; None leaves band 3 out.
    """
    cover = layout.cover[item].cpu().numpy()  # (8, H, W)
    seen = cover.sum(axis=0)
    surface = np.where(seen > 0, cover.argmax(axis=0), NO_DATA)
    height = layout.height_m[item].cpu().numpy() / DECIMETER
    known = layout.height_known[item].cpu().numpy()
    bands = [
        ("surface", "", 1.0, surface),
        ("height", "m", DECIMETER, np.where(known, np.rint(height), np.iinfo(np.uint16).max)),
    ]
    if inside is not None:
        bands.append(("site", "", 1.0, inside.cpu().numpy()))
    if not np.isin(cover, (0, 1)).all():
        thousandths = np.rint(cover / np.where(seen > 0, seen, 1) / SHARE_STEP)
        bands += [
            (f"share of {name}", "", SHARE_STEP, share)
            for name, share in zip(SURFACES, thousandths, strict=True)
        ]
    profile = {
        "driver": "GTiff",
        "width": frame.cols,
        "height": frame.rows,
        "count": len(bands),
        "dtype": "uint16",
        "crs": CRS.from_user_input(frame.crs),
        "transform": Affine(*frame.affine()),
        "compress": "deflate",
        "photometric": "minisblack",
    }
    names, units, scales, planes = zip(*bands, strict=True)
    with atomic_file(Path(path)) as part:
        with rasterio.open(part, "w", **profile) as target:
            target.write(np.stack(planes).astype(np.uint16))
            target.descriptions, target.units, target.scales = names, units, scales
            target.update_tags(1, **{f"CLASS_{k}": label for k, label in enumerate(LABELS)})
            target.update_tags(surfaces=",".join(SURFACES), no_data=str(NO_DATA))
            if len(bands) <= COLORED_BANDS:
                target.write_colormap(1, {k: _rgba(color) for k, color in enumerate(COLORS)})
        read_back(part)


def read_back(path: Path) -> None:
    """Reads all of a raster: of a disk that filled up while it was closed, GDAL only logs.

    Raises:
        OSError: A part is missing.
    """
    with rasterio.open(path) as source:
        source.read()
        if source.crs is None or "surfaces" not in source.tags():  # they stand behind the pixels
            raise OSError(errno.EIO, "the end of the raster is missing", str(path))


def _rgba(color: str) -> tuple[int, int, int, int]:
    red, green, blue = (int(color[k : k + 2], 16) for k in (1, 3, 5))
    return red, green, blue, 255
