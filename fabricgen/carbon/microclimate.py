"""Air temperature and what cools it: InVEST Urban Cooling, exact or softened.

Equations as in the InVEST users' guide and the model's source (natcap.invest 3.20; carbon-model
8.1 to 8.19): cooling capacity, the rule of large green areas, and mixing of air. With softness 0
results are those of the tool, borders and nodata included; with softness they have a gradient.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fabricgen.carbon.microclimate_park import heat_mitigation, park_rule
from fabricgen.carbon.microclimate_reach import (
    count_around,
    mean_around,
    one_for_all,
    reach,
)
from fabricgen.errors import LayoutError, SettingsError

METHODS = ("factors", "intensity")
ET0_DECIMALS = 9  # the tool rounds the largest reference evapotranspiration


@dataclass(frozen=True, eq=False)
class UrbanCooling:
    """Result for each pixel, each (B, H, W); NaN where not known.

    Attributes:
        cc: Cooling capacity, 0…1.
        hm: Heat mitigation, the capacity after the rule of large green areas.
        cc_park: Mean capacity of green around, weighted by distance.
        green_area_sum: Pixels of green within the cooling distance.
        t_air_nomix: Air temperature before mixing [°C].
        t_air: Air temperature [°C].
    """

    cc: Tensor
    hm: Tensor
    cc_park: Tensor
    green_area_sum: Tensor
    t_air_nomix: Tensor
    t_air: Tensor


def urban_cooling(  # noqa: PLR0913
    *,
    shade: Tensor | None,
    kc: Tensor | None,
    albedo: Tensor | None,
    green_area: Tensor,
    building_intensity: Tensor | None,
    et0: Tensor | None,
    valid: Tensor,
    et0_max_mm: float | Tensor | None = None,
    pixel_m: float,
    t_ref_c: float,
    uhi_max_k: float,
    cooling_distance_m: float,
    mixing_distance_m: float,
    method: str = "factors",
    weights: tuple[float, float, float] = (0.6, 0.2, 0.2),
    park_area_m2: float = 2e4,
    softness: float = 0.0,
) -> UrbanCooling:
    """Cooling capacity, heat mitigation and air temperature of a batch of rasters.

    The tensors are (B, H, W); those that the method does not use may be None. A pixel where one
    that it does use is not finite counts as not valid. Pixels outside the raster or not valid have
    no weight in any mean: what is not seen is taken to be like what is.

    Args:
        shade: Share under canopy of at least 2 m, 0…1; method `factors`.
        kc: Crop coefficient; method `factors`.
        albedo: Share of sunlight reflected, 0…1; method `factors`.
        green_area: 1 where green counts for large green areas, else 0; shares with softness.
        building_intensity: Floor area over footprint, scaled to 0…1; method `intensity`.
        et0: Reference evapotranspiration [mm], NaN where unknown; method `factors`.
        valid: Pixels whose land cover is known, bool.
        et0_max_mm: Evapotranspiration that gives an index of `kc`, number or (B,); the largest
            `et0` of each raster (valid or not) where None.
        pixel_m: Edge of a pixel.
        t_ref_c: Air temperature of the countryside.
        uhi_max_k: Warming of a place that nothing cools.
        cooling_distance_m: How far large green areas cool.
        mixing_distance_m: How far air mixes. Both become whole pixels, halves the even number; a
            distance of 0 pixels leaves each pixel to itself.
        method: `factors` (by day) or `intensity` (by night).
        weights: Of shade, albedo and evapotranspiration; divided by their sum.
        park_area_m2: From this area on green within the cooling distance cools its surroundings.
        softness: 0 for the hard rule; at 1 its steps are 0.1 ha and 0.02 wide (equation 8.17).

    Returns:
        Six maps, in the precision of the inputs.

    Raises:
        LayoutError: Shapes or kinds of the tensors do not fit, or one is missing.
        SettingsError: A number is out of range, or there is no such method.
    """
    _check_numbers(pixel_m, (cooling_distance_m, mixing_distance_m), weights, softness)
    used = _used(
        method,
        factors={"shade": shade, "albedo": albedo, "kc": kc, "et0": et0},
        intensity={"building_intensity": building_intensity},
    )
    _check_tensors({**used, "green_area": green_area, "valid": valid})

    layers, green, known, mapped = _prepared(used, green_area, valid)

    # Cooling capacity, and what large green around adds to it.
    if method == "factors":
        cc = _capacity(layers, _peak_mm(et0_max_mm, used["et0"]), weights)
    else:
        cc = 1 - layers["building_intensity"]
    cc = _within(known, cc)
    rule = park_rule(cooling_distance_m, pixel_m, park_area_m2=park_area_m2, softness=softness)
    cc_park = mean_around(cc * green, known, rule.near)
    green_px = count_around(green, mapped, rule.disc)
    hm = _within(known, heat_mitigation(cc, cc_park, green_px, rule))

    # Mixing acts on the mitigation: temperatures are linear in it, and would lose digits.
    mixed = mean_around(hm, known, reach(mixing_distance_m, pixel_m, decays=True))
    hottest = torch.as_tensor(t_ref_c + uhi_max_k, dtype=cc.dtype, device=cc.device)
    air = [torch.add(hottest, share, alpha=-uhi_max_k) for share in (hm, mixed)]  # equation 8.9
    masks = (known, known, known, mapped, known, known)
    maps = zip(masks, (cc, hm, cc_park, green_px, *air), strict=True)
    return UrbanCooling(*(_within(mask, x, torch.nan) for mask, x in maps))


def _prepared(
    used: dict[str, Tensor], green_area: Tensor, valid: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor]:
    """Layers and green with 0 where not known, and the masks of both, (B or 1, H, W)."""
    dtype = _precision(used)
    layers = {name: layer.to(dtype) for name, layer in used.items()}
    green = green_area.to(dtype)
    sums = [layer.sum() for layer in (green, *layers.values())]  # NaN and infinity stay
    if bool(valid.all()) and all(bool(torch.isfinite(total)) for total in sums):
        known = torch.ones_like(valid[:1])
        return layers, green, known, known
    mapped = valid & torch.isfinite(green)
    known = mapped & torch.stack([torch.isfinite(layer) for layer in layers.values()]).all(dim=0)
    layers = {name: _within(known, layer) for name, layer in layers.items()}
    return layers, _within(mapped, green), one_for_all(known), one_for_all(mapped)


def _precision(used: dict[str, Tensor]) -> torch.dtype:
    return torch.float64 if torch.float64 in {x.dtype for x in used.values()} else torch.float32


def _within(known: Tensor, layer: Tensor, beyond: float = 0.0) -> Tensor:
    """The layer with a number where it is not known: no NaN may enter a sum or a gradient."""
    return layer if bool(known.all()) else torch.where(known, layer, beyond)


def _capacity(
    layers: dict[str, Tensor], peak_mm: Tensor, weights: tuple[float, float, float]
) -> Tensor:
    """Equations 8.1 and 8.2, weights divided by their sum; (B, H, W)."""
    shade, albedo, index = (weight / sum(weights) for weight in weights)
    fixed = torch.add(layers["shade"] * shade, layers["albedo"], alpha=albedo)
    per_mm = (index / peak_mm).to(fixed)  # (B, 1, 1) or ()
    return torch.addcmul(fixed, layers["kc"], layers["et0"] * per_mm)


def _peak_mm(given: float | Tensor | None, et0: Tensor) -> Tensor:
    """Largest evapotranspiration of each raster, leaving NaN out; (B, 1, 1) or ()."""
    if given is not None:
        peak = torch.as_tensor(given, dtype=torch.float64, device=et0.device)
        peak = peak.reshape(-1, 1, 1) if peak.ndim else peak
    else:
        least = -torch.inf
        known = torch.nan_to_num(et0, nan=least, posinf=least, neginf=least)
        peak = known.amax(dim=(1, 2), keepdim=True).double()
        peak = peak + (peak.round(decimals=ET0_DECIMALS) - peak).detach()
    if not bool((peak > 0).all()):
        raise LayoutError("urban cooling: et0 is nowhere above 0", "give evapotranspiration in mm")
    return peak


def _used(
    method: str, *, factors: dict[str, Tensor | None], intensity: dict[str, Tensor | None]
) -> dict[str, Tensor]:
    """The layers that the method reads; all must be there."""
    if method not in METHODS:
        raise SettingsError(
            f"urban cooling has no method {method!r}", f"use {' or '.join(METHODS)}"
        )
    used = factors if method == "factors" else intensity
    missing = [name for name, layer in used.items() if layer is None]
    if missing:
        raise LayoutError(f"urban cooling by {method}: no {', '.join(missing)}", "give the tensors")
    return {name: layer for name, layer in used.items() if layer is not None}


def _check_numbers(
    pixel_m: float, distances_m: tuple[float, float], weights: tuple[float, ...], softness: float
) -> None:
    if not pixel_m > 0 or min(distances_m) < 0 or softness < 0:
        raise SettingsError(
            f"urban cooling: pixel {pixel_m} m, distances {distances_m} m, softness {softness}",
            "give a pixel above 0, distances and softness of 0 or more",
        )
    if min(weights) < 0 or not sum(weights) > 0:
        raise SettingsError(
            f"urban cooling: weights {weights}", "give shares, at least one above 0"
        )


def _check_tensors(layers: dict[str, Tensor]) -> None:
    valid = layers["valid"]
    if valid.dtype != torch.bool or valid.ndim != 3:
        raise LayoutError(
            f"urban cooling: valid is {valid.dtype} {tuple(valid.shape)}", "give bool (B, H, W)"
        )
    for name, layer in layers.items():
        if layer.shape != valid.shape:
            raise LayoutError(
                f"urban cooling: {name} is {tuple(layer.shape)}, valid is {tuple(valid.shape)}",
                "give all of one shape",
            )


def wet_bulb_globe_c(t_air_c: Tensor | float, relative_humidity_percent: Tensor | float) -> Tensor:
    """Wet bulb globe temperature in the shade, equation 8.15 (InVEST users' guide) [°C].

    Args:
        t_air_c: Air temperature, any shape.
        relative_humidity_percent: 0…100, broadcasts.
    """
    t = torch.as_tensor(t_air_c)
    vapor_hpa = relative_humidity_percent / 100 * 6.105 * torch.exp(17.27 * t / (237.7 + t))
    return 0.567 * t + 0.393 * vapor_hpa + 3.94


def energy_saving_kwh(
    t_air_c: Tensor,
    footprint_mask: Tensor,
    *,
    footprint_m2: Tensor | float,
    consumption_kwh_per_k_m2: Tensor | float,
    t_ref_c: float,
    uhi_max_k: float,
) -> Tensor:
    """What buildings save against a city that nothing cools, equation 8.14 without cost.

    Args:
        t_air_c: Air temperature, (H, W) or (B, H, W); NaN where not known.
        footprint_mask: Pixels of each building, (N, H, W).
        footprint_m2: Its area, number or (N,).
        consumption_kwh_per_k_m2: Energy per kelvin and m² of footprint, number or (N,).
        t_ref_c: Air temperature of the countryside.
        uhi_max_k: Warming of a place that nothing cools.

    Returns:
        (N,) of one raster, (B, N) of several [kWh]; NaN where a building has no known pixel.

    Raises:
        LayoutError: Masks and temperatures do not lie on one grid.
    """
    if footprint_mask.ndim != 3 or t_air_c.shape[-2:] != footprint_mask.shape[1:]:
        raise LayoutError(
            f"energy saving: temperatures {tuple(t_air_c.shape)}, masks "
            f"{tuple(footprint_mask.shape)}",
            "give (B, H, W) and (N, H, W) of one grid",
        )
    known = torch.isfinite(t_air_c)
    cooling_k = torch.where(known, t_ref_c + uhi_max_k - t_air_c.double(), 0.0)
    masks = footprint_mask.double().flatten(1).T  # (H W, N)
    pixels = known.double().flatten(-2) @ masks  # (N,) or (B, N)
    total_k = cooling_k.flatten(-2) @ masks
    mean_k = torch.where(pixels > 0, total_k / pixels.clamp(min=1), torch.nan)
    area, per_area = (
        torch.as_tensor(x).to(mean_k) for x in (footprint_m2, consumption_kwh_per_k_m2)
    )
    saved = (mean_k * area * per_area).to(t_air_c.dtype)
    return saved[0] if saved.ndim == 2 and len(saved) == 1 else saved
