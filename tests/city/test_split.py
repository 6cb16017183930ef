import numpy as np
import pytest
import yaml

from fabricgen.city import split
from fabricgen.city.store import BUFFER, LOCAL_ONLY, TEST, TRAIN, VALIDATION
from fabricgen.files import shipped


def windows(side_m, step_m=64.0):
    place = np.arange(0, side_m + 1, step_m)
    return np.stack(np.meshgrid(place, place), axis=-1).reshape(-1, 2)


def test_test_cities_and_local_ones_never_train():
    for city in ("helsinki-centre", "dortmund", "shanghai-bund"):
        assert split.city_split(city) == TEST
    assert split.city_split("zhuhai") == LOCAL_ONLY
    assert split.city_split("athens") == TRAIN
    assert split.city_split("a-town-of-a-user") == TRAIN


def test_no_city_is_on_two_sides():
    table = yaml.safe_load((shipped("configs") / "data" / "split.yaml").read_text())
    names = [
        name
        for group in ("test_cities", "train_cities", "local_only")
        for some in table[group].values()
        for name in some
    ]
    assert len(names) == len(set(names)) == 61


def test_all_windows_of_a_test_city_test():
    chosen = np.ones((4, 4), bool)
    codes = split.window_split("dortmund", windows(2048), chosen, window_m=256)
    assert (codes == TEST).all()


@pytest.mark.parametrize("city", ["athens", "nis", "somewhere", "elsewhere"])
def test_training_pixels_keep_the_buffer_to_validation_blocks(city):
    built = np.full((12, 12), 0.3)
    chosen = split.validation_blocks(city, built, np.ones((12, 12)))
    assert chosen.sum() == round(0.08 * 144)
    centres = windows(12 * 512)
    codes = split.window_split(city, centres, chosen, window_m=256)
    assert set(codes) == {TRAIN, VALIDATION, BUFFER}

    # Held against the definition, window by window.
    pixel = centres[codes == TRAIN]
    for row, col in np.argwhere(chosen):
        low, high = np.array([col, row]) * 512, np.array([col + 1, row + 1]) * 512
        gap = np.linalg.norm(np.maximum(np.maximum(low - pixel, pixel - high), 0), axis=1)
        assert gap.min() >= 256 + 128 * np.sqrt(2) - 1e-6
    inside = chosen[
        tuple(np.minimum((centres[codes == VALIDATION] // 512).astype(int), 11).T[::-1])
    ]
    assert inside.mean() > 0.8  # the rest lie exactly on a block's edge
    train = centres[codes == TRAIN]
    validation = centres[codes == VALIDATION]
    apart = np.abs(train[:, None] - validation[None]).max(axis=2).min()
    assert apart > 256  # no two windows share a pixel


def test_blocks_lie_in_built_up_ground_and_follow_the_seed():
    built = np.zeros((10, 10))
    built[2:8, 3:9] = 0.25
    covered = np.ones((10, 10))
    chosen = split.validation_blocks("athens", built, covered)
    assert (built[chosen] > 0).all() and chosen.sum() == 8
    assert (chosen == split.validation_blocks("athens", built, covered)).all()
    others = [split.validation_blocks(f"city-{n}", built, covered) for n in range(8)]
    assert any((other != chosen).any() for other in others)


def test_a_very_small_city_holds_nothing_back():
    chosen = split.validation_blocks("athens", np.full((2, 2), 0.3), np.ones((2, 2)))
    assert not chosen.any()
