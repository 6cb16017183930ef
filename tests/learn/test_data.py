import numpy as np
import pytest
from toy_stage import BuildingsSettings

from fabricgen.city.store import TRAIN, VALIDATION, TileStore
from fabricgen.errors import InputError
from fabricgen.learn.data import MAX_JITTER_M, StepBatches, batches, draw_sample, usable_windows

STAGES = {"buildings": BuildingsSettings()}


def make(stores, seed=0):
    return StepBatches(stores, STAGES, batch_size=4, seed=seed)


def test_a_batch_depends_on_seed_and_step_alone(stores):
    first, again = make(stores), make(stores)
    first[0], first[1]  # what came before leaves no trace
    assert first[7]["buildings"]["asks"].equal(again[7]["buildings"]["asks"])
    assert not first[8]["buildings"]["asks"].equal(again[7]["buildings"]["asks"])
    assert not make(stores, seed=1)[7]["buildings"]["asks"].equal(again[7]["buildings"]["asks"])


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_that_starts_late_gives_the_same_batches(stores, workers):
    whole = list(batches(make(stores), first=0, last=5, workers=0))
    late = list(batches(make(stores), first=3, last=5, workers=workers))
    assert len(late) == 2
    for one, other in zip(whole[3:], late, strict=True):
        assert one["buildings"]["asks"].equal(other["buildings"]["asks"])


def test_train_and_validation_share_no_window_of_the_lattice(stores):
    store = TileStore.open(stores)
    train = usable_windows(store, split=TRAIN, stage="buildings")
    held = usable_windows(store, split=VALIDATION, stage="buildings")
    pairs = [set(zip(w.city, w.x_m, w.y_m, strict=True)) for w in (train, held)]
    assert pairs[0] and pairs[1] and not pairs[0] & pairs[1]
    assert train.chance.sum() == pytest.approx(1)


def test_the_ground_stage_sees_no_unmapped_city(stores):
    store = TileStore.open(stores)
    ground = usable_windows(store, split=TRAIN, stage="ground")
    assert {ground.names[c] for c in ground.city} == {"gridton"}
    with pytest.raises(InputError, match="no window of the tile stores can train the ground stage"):
        usable_windows(TileStore.open(stores / "unmapped"), split=TRAIN, stage="ground")


def test_samples_stay_near_the_lattice_and_see_all_eight_views(stores):
    store = TileStore.open(stores)
    lattice = usable_windows(store, split=TRAIN, stage="buildings")
    seen = []

    class Spy:
        def window(self, city, x_m, y_m, angle_deg, **more):
            near = np.maximum(np.abs(lattice.x_m - x_m), np.abs(lattice.y_m - y_m)).min()
            assert near <= MAX_JITTER_M
            seen.append(more["flip"])
            return store.window(city, x_m, y_m, angle_deg, **more)

    for number in range(60):
        sample = draw_sample(Spy(), lattice, np.random.default_rng(number))
        assert sample.editable.any() and sample.labels.shape == (128, 128)
    assert set(seen) == set(range(8))
