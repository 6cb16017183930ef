"""Urban cooling: a plain twin without Fourier transforms, laws, gradients and refusals."""

import pytest
import torch

from fabricgen.carbon.microclimate import energy_saving_kwh, urban_cooling, wet_bulb_globe_c
from fabricgen.carbon.microclimate_park import park_rule
from fabricgen.carbon.microclimate_reach import Reach, mean_around, weight_sum, weighted_sum
from fabricgen.errors import LayoutError, SettingsError

NUMBERS = {
    "pixel_m": 10.0,
    "t_ref_c": 24.0,
    "uhi_max_k": 4.0,
    "cooling_distance_m": 60.0,
    "mixing_distance_m": 30.0,
    "park_area_m2": 2500.0,
}
MAPS = ("cc", "hm", "cc_park", "green_area_sum", "t_air_nomix", "t_air")


def layers(shape=(1, 14, 11), seed=0, dtype=torch.float64, holes=0.0):
    rng = torch.Generator().manual_seed(seed)
    found = {
        name: torch.rand(shape, generator=rng, dtype=dtype)
        for name in ("shade", "kc", "albedo", "building_intensity")
    }
    found["green_area"] = green = (torch.rand(shape, generator=rng) < 0.4).to(dtype)
    for name in ("shade", "kc"):  # green cools, or the rule of parks would have nothing to do
        found[name] = found[name] * 0.1 + 0.85 * green
    found["building_intensity"] = found["building_intensity"] * 0.1 + 0.9 * (1 - green)
    found["et0"] = 3 + 3 * torch.rand(shape, generator=rng, dtype=dtype)
    found["valid"] = torch.rand(shape, generator=rng) >= holes
    return found


def weight(far, n, *, decays):
    """Weight at distances in pixels, as the tool makes it."""
    within = far <= (5 * n if decays else n)
    return torch.exp(-far / n) * within if decays and n else within.double()


def size_of(n, *, decays=False):
    """Sum of the whole kernel."""
    at = torch.arange(-5 * n, 5 * n + 1, dtype=torch.float64)
    return float(weight(torch.hypot(at[:, None], at[None, :]), n, decays=decays).sum())


def plain_mean(values, known, n, *, decays):
    """Weighted mean of the known pixels around each known one, by the distances of all pairs."""
    at = torch.cartesian_prod(*(torch.arange(size, dtype=torch.float64) for size in values.shape))
    pairs = weight(torch.cdist(at, at), n, decays=decays) * known.flatten()
    found = (pairs @ torch.where(known, values, 0.0).flatten()) / pairs.sum(dim=1)
    return torch.where(known, found.reshape(values.shape), torch.nan)


def plain_cooling(item, *, method="factors", weights=(0.6, 0.2, 0.2), **numbers):
    """The model read off its rules, for one raster (H, W)."""
    near = round(numbers["cooling_distance_m"] / numbers["pixel_m"])
    mix = round(numbers["mixing_distance_m"] / numbers["pixel_m"])
    valid = item["valid"]
    share = [weight / sum(weights) for weight in weights]
    if method == "factors":
        index = item["kc"] * item["et0"] / item["et0"].nan_to_num(0).max()
        cc = share[0] * item["shade"] + share[1] * item["albedo"] + share[2] * index
    else:
        cc = 1 - item["building_intensity"]
    known = valid & ~cc.isnan()
    park = plain_mean(torch.where(item["green_area"] > 0, cc, 0.0), known, near, decays=True)
    area = plain_mean(item["green_area"], valid, near, decays=False) * size_of(near)
    enough = numbers["park_area_m2"] / numbers["pixel_m"] ** 2
    hm = torch.where((cc >= park) | (area < enough - 1e-9), cc, park)
    unmixed = numbers["t_ref_c"] + (1 - hm) * numbers["uhi_max_k"]
    mixed = plain_mean(unmixed, known, mix, decays=True)
    maps = (cc, hm, park, area, unmixed, mixed)
    masks = (known, known, known, valid, known, known)
    return {
        name: torch.where(mask, x, torch.nan)
        for name, x, mask in zip(MAPS, maps, masks, strict=True)
    }


def assert_as_plain(batch, found, tolerance=1e-9, **options):
    for item in range(len(batch["valid"])):
        plain = plain_cooling({k: x[item].double() for k, x in batch.items()} | {"valid": batch["valid"][item]}, **options)  # fmt: skip
        for name in MAPS:
            value = getattr(found, name)[item].double()
            scale = max(1.0, float(plain[name].nan_to_num(0).max())) if name == "green_area_sum" else 1.0  # fmt: skip
            assert torch.allclose(
                value, plain[name], rtol=0, atol=tolerance * scale, equal_nan=True
            ), name


@pytest.mark.parametrize("method", ["factors", "intensity"])
@pytest.mark.parametrize("holes", [0.0, 0.3, 0.95], ids=["whole", "holes", "islands"])
@pytest.mark.parametrize("shape", [(1, 14, 11), (3, 7, 16), (2, 1, 9), (1, 13, 1)], ids=str)
def test_it_is_the_plain_model(shape, holes, method):
    batch = layers(shape, seed=3, holes=holes)
    found = urban_cooling(**batch, **NUMBERS, method=method)
    assert_as_plain(batch, found, method=method, **NUMBERS)
    if holes < 0.9 and shape[1] > 1:
        assert bool((found.hm > found.cc).any())


@pytest.mark.parametrize(
    ("cooling_m", "mixing_m", "pixel_m"),
    [(25.0, 35.0, 10.0), (4.0, 0.0, 10.0), (13.0, 17.0, 2.6), (100.0, 120.0, 10.0)],
    ids=["halves", "none", "fractions", "beyond"],
)
def test_distances_become_whole_pixels(cooling_m, mixing_m, pixel_m):
    numbers = NUMBERS | {
        "cooling_distance_m": cooling_m, "mixing_distance_m": mixing_m, "pixel_m": pixel_m
    }  # fmt: skip
    batch = layers((1, 12, 15), seed=5)
    assert_as_plain(batch, urban_cooling(**batch, **numbers), **numbers)


def test_halves_go_to_the_even_number():
    batch = layers()
    found = [
        urban_cooling(**batch, **NUMBERS | {"mixing_distance_m": distance}).t_air
        for distance in (25.0, 20.0, 35.0, 40.0)
    ]
    assert torch.equal(found[0], found[1]) and torch.equal(found[2], found[3])


def test_a_distance_of_no_pixels_leaves_each_to_itself():
    batch = layers()
    found = urban_cooling(
        **batch, **NUMBERS | {"mixing_distance_m": 4.0, "cooling_distance_m": 1.0}
    )
    assert torch.allclose(found.t_air, found.t_air_nomix, rtol=0, atol=1e-12)
    assert torch.equal(found.green_area_sum, batch["green_area"])
    assert torch.allclose(found.cc_park, found.cc * batch["green_area"], rtol=0, atol=1e-12)


def test_unknown_evapotranspiration_hides_capacity_but_not_green():
    batch = layers(seed=2)
    batch["et0"][0, 3:6, 2:5] = torch.nan
    found = urban_cooling(**batch, **NUMBERS)
    assert int(found.cc.isnan().sum()) == 9 and not bool(found.green_area_sum.isnan().any())
    assert_as_plain(batch, found, **NUMBERS)


def test_evapotranspiration_outside_the_land_cover_sets_the_maximum():
    batch = layers(seed=2)
    batch["valid"][0, 0, 0] = False
    batch["et0"][0, 0, 0] = 50.0
    found = urban_cooling(**batch, **NUMBERS)
    assert_as_plain(batch, found, **NUMBERS)
    given = urban_cooling(**batch, **NUMBERS, et0_max_mm=50.0)
    assert torch.allclose(found.t_air, given.t_air, rtol=0, atol=1e-12, equal_nan=True)


def test_each_raster_of_a_batch_is_on_its_own():
    batch = layers((3, 9, 9), seed=7, holes=0.2)
    whole = urban_cooling(**batch, **NUMBERS).t_air
    for item in range(3):
        alone = urban_cooling(**{k: x[item : item + 1] for k, x in batch.items()}, **NUMBERS).t_air
        assert torch.allclose(whole[item : item + 1], alone, rtol=0, atol=1e-10, equal_nan=True)


def test_single_precision_is_enough_amid_nodata():
    batch = layers((1, 40, 40), seed=1, dtype=torch.float32, holes=0.98)
    batch["valid"][0, 39, 39] = True
    found = urban_cooling(**batch, **NUMBERS)
    assert found.t_air.dtype == torch.float32
    assert_as_plain(batch, found, tolerance=1e-5, **NUMBERS)


def test_just_enough_green_is_enough():
    batch = layers((1, 40, 40), dtype=torch.float32)
    batch["green_area"].zero_()
    batch["green_area"][0, 18:23, 18:23] = 1
    batch["shade"] = batch["kc"] = batch["albedo"] = batch["green_area"].clone()
    cools = [
        urban_cooling(**batch, **NUMBERS | {"park_area_m2": area}).hm[0, 20, 23]
        for area in (2500.0, 2500.1)
    ]
    assert float(cools[0]) > float(cools[1])


def test_an_even_place_is_as_warm_as_it_makes_itself():
    batch = layers((1, 9, 9))
    for name in ("shade", "kc", "albedo", "et0"):
        batch[name] = torch.full_like(batch[name], 0.5)
    found = urban_cooling(**batch, **NUMBERS)
    assert torch.allclose(found.t_air, found.t_air_nomix, rtol=0, atol=1e-12)


def test_a_tenth_more_crowns_over_a_district_cools_by_a_few_tenths_of_a_kelvin():
    batch = layers((1, 9, 9))
    flat = {
        name: torch.full_like(batch[name], value)
        for name, value in (("shade", 0.0), ("kc", 0.1), ("albedo", 0.1), ("et0", 4.0))
    }
    crowns = {"shade": 1.0, "kc": 0.95, "albedo": 0.15}
    more = {name: 0.9 * flat[name] + 0.1 * value for name, value in crowns.items()}
    before, after = (
        urban_cooling(**batch | flat | layer, **NUMBERS).t_air.mean() for layer in ({}, more)
    )
    assert -0.5 < float(after - before) < -0.2


def test_two_hectares_are_five_thousand_pixels_of_two_meters():
    assert park_rule(450.0, 2.0, park_area_m2=2e4, softness=0.0).enough_px == 5000


def test_temperatures_stay_between_countryside_and_bare_town():
    found = urban_cooling(**layers((2, 20, 20), holes=0.1), **NUMBERS)
    air = found.t_air[~found.t_air.isnan()]
    assert float(air.min()) >= 24.0 - 0.2 and float(air.max()) <= 28.0


def test_more_shade_never_warms():
    batch = layers((1, 12, 12), seed=4)
    before = urban_cooling(**batch, **NUMBERS).t_air
    batch["shade"] = batch["shade"] + 0.1
    assert bool((urban_cooling(**batch, **NUMBERS).t_air < before).all())


def test_the_soft_rule_is_near_the_hard_one_away_from_its_edge():
    batch = layers((1, 30, 30), seed=6)
    numbers = NUMBERS | {"cooling_distance_m": 100.0, "park_area_m2": 6e3}
    hard, soft = (urban_cooling(**batch, **numbers, softness=s) for s in (0.0, 1.0))
    away = (hard.green_area_sum * 100 - 6e3).abs() > 6e3
    assert bool(away.any()) and bool((hard.hm != hard.cc).any())
    assert float((soft.hm - hard.hm).abs()[away].max()) < 0.006
    nearly = urban_cooling(**batch, **numbers, softness=1e-4)
    assert torch.allclose(nearly.t_air, hard.t_air, rtol=0, atol=1e-4)


@pytest.mark.parametrize("holes", [0.0, 0.3], ids=["whole", "holes"])
@pytest.mark.parametrize("method", ["factors", "intensity"])
def test_the_gradient_is_that_of_the_temperature(method, holes):
    batch = layers((2, 3, 4), seed=8, holes=holes)
    batch["green_area"] = 0.2 + 0.6 * batch["green_area"]
    names = ("shade", "albedo", "kc", "et0") if method == "factors" else ("building_intensity",)
    names = (*names, "green_area")
    numbers = NUMBERS | {"park_area_m2": 1000.0}

    def outputs(*inputs):
        found = urban_cooling(
            **batch | dict(zip(names, inputs, strict=True)), **numbers, softness=1.0, method=method
        )
        return tuple(getattr(found, name).nan_to_num(0) for name in MAPS)

    inputs = tuple(batch[name].clone().requires_grad_() for name in names)
    assert torch.autograd.gradcheck(outputs, inputs, eps=1e-6, atol=1e-5)


def test_sums_differentiate_twice():
    amount = torch.rand(1, 5, 4, dtype=torch.float64, requires_grad=True)
    of = Reach(2, decays=True)
    assert torch.autograd.gradgradcheck(lambda x: weighted_sum(x**3, of), (amount,))


def test_gradients_are_finite_where_nothing_is_known():
    batch = layers((2, 6, 6), holes=0.5)
    batch["et0"][~batch["valid"]] = torch.nan
    batch["valid"][1] = False
    for name in ("shade", "kc", "et0", "albedo"):
        batch[name].requires_grad_()
    found = urban_cooling(**batch, **NUMBERS, softness=1.0)
    found.t_air.nan_to_num(0).sum().backward()
    for name in ("shade", "kc", "et0", "albedo"):
        assert bool(torch.isfinite(batch[name].grad).all())


def test_a_fixed_outside_leaves_a_small_site_little_say():
    ones = torch.ones(1, 128, 128, dtype=torch.float64)
    of = Reach(250, decays=True)  # 500 m in pixels of 2 m
    found = mean_around(ones, ones.bool(), of, beyond=0.0)
    assert float(found[0, 64, 64]) == pytest.approx(0.036, abs=0.001)
    assert float(found.mean()) == pytest.approx(0.034, abs=0.001)
    assert torch.allclose(mean_around(ones, ones.bool(), of, beyond=1.0), ones)


def test_the_whole_kernel_is_summed_however_small_the_raster():
    for of in (Reach(7, decays=False), Reach(3, decays=True), Reach(0, decays=True)):
        assert weight_sum(of) == pytest.approx(size_of(of.px, decays=of.decays))


def test_wet_bulb_globe_temperature_of_a_summer_day():
    assert float(wet_bulb_globe_c(32.0, 60.0)) == pytest.approx(33.3, abs=0.05)


def test_saved_energy_is_that_of_a_hand_computation():
    air = torch.tensor([[25.0, 26.0], [27.0, float("nan")]], dtype=torch.float64)
    masks = torch.tensor([[[1, 1], [0, 0]], [[0, 0], [1, 1]], [[0, 0], [0, 1]]], dtype=torch.bool)
    numbers = {"footprint_m2": torch.tensor([100.0, 50.0, 9.0]), "consumption_kwh_per_k_m2": 2.0,
               "t_ref_c": 24.0, "uhi_max_k": 4.0}  # fmt: skip
    found = energy_saving_kwh(air, masks, **numbers)
    assert found[:2].tolist() == [2 * 100 * 2.5, 2 * 50 * 1.0] and bool(found[2].isnan())
    pair = energy_saving_kwh(torch.stack([air, air + 1]), masks, **numbers)
    assert pair.shape == (2, 3) and torch.equal(pair[0, :2], found[:2])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"method": "day"}, "no method 'day'"),
        ({"pixel_m": 0.0}, "give a pixel above 0"),
        ({"cooling_distance_m": -1.0}, "distances and softness of 0 or more"),
        ({"softness": -0.1}, "softness -0.1"),
        ({"weights": (0.0, 0.0, 0.0)}, "at least one above 0"),
    ],
)
def test_numbers_out_of_range_are_refused(changed, message):
    with pytest.raises(SettingsError, match=message):
        urban_cooling(**layers(), **NUMBERS | changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shade": None}, "by factors: no shade"),
        ({"valid": torch.ones(1, 14, 11)}, "valid is torch.float32"),
        ({"kc": torch.ones(1, 14, 10)}, r"kc is \(1, 14, 10\)"),
        ({"et0": torch.zeros(1, 14, 11)}, "et0 is nowhere above 0"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(changed, message):
    with pytest.raises(LayoutError, match=message):
        urban_cooling(**layers() | changed, **NUMBERS)
