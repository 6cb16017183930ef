"""Ranks: brief first, then carbon per floor area, and ties where the factors do not tell."""

import torch
from shapely.geometry import box

from fabricgen.carbon.ledger import Ledger
from fabricgen.design.rank import intensity, rank, surely_worse
from fabricgen.design.scheme import Scheme, Score, Unmet
from fabricgen.layout import Frame, from_labels
from fabricgen.plan import empty_plan
from fabricgen.surfaces import BARE, BIT


class Fixed(Ledger):
    """A ledger with given draws of emission, its middle first, and no sinks."""

    def __init__(self, draws: torch.Tensor) -> None:
        object.__setattr__(self, "draws", torch.cat([draws.mean()[None], draws])[None])

    def amounts(self, kind: str) -> torch.Tensor:
        return self.draws if kind == "emission" else torch.zeros_like(self.draws)


NOISE = 100 * torch.randn(400, generator=torch.Generator().manual_seed(0))
UNMET = Unmet("far", "2", 1.5, "no room")


def scheme(seed: int, draws: torch.Tensor, *, floor_m2: float = 100.0, unmet=()) -> Scheme:
    frame = Frame("EPSG:32635", 0, 0, 0, 2.0, 1, 1)
    labels = torch.full((1, 1, 1), BIT[BARE], dtype=torch.uint8)
    layout = from_labels(labels, torch.zeros(1, 1, 1), labels < 0)
    score = Score({"gross_floor_area_m2": floor_m2}, Fixed(draws), (0.0, 0.0, 0.0))
    plan = empty_plan(box(0, 0, 2, 2), "EPSG:32635")
    return Scheme("", plan, frame, layout, score, seed, 0, 0, {}, tuple(unmet), "guided")


def test_the_least_net_per_floor_area_comes_first_not_the_least_net():
    small = scheme(0, NOISE + 5000, floor_m2=100.0)
    large = scheme(1, NOISE + 8000, floor_m2=400.0)
    assert [s.seed for s in rank([small, large])] == [1, 0]
    assert intensity(large) < intensity(small)


def test_a_scheme_that_meets_the_brief_goes_before_a_leaner_one_that_does_not():
    ranked = rank([scheme(0, NOISE + 1000, unmet=[UNMET]), scheme(1, NOISE + 9000)])
    assert [(s.seed, s.rank, s.tie, s.name) for s in ranked] == [(1, 1, 1, "s01"), (0, 2, 2, "s02")]


def test_schemes_that_move_together_are_told_apart_by_a_small_difference():
    near, far = scheme(0, NOISE + 1000), scheme(1, NOISE + 1010)  # the same world in each draw
    assert surely_worse(far, near) and not surely_worse(near, far)
    assert [s.tie for s in rank([near, far])] == [1, 2]


def test_schemes_that_the_factors_do_not_tell_apart_share_a_tie():
    other = NOISE[torch.randperm(400, generator=torch.Generator().manual_seed(1))]
    ranked = rank([scheme(0, NOISE + 1000), scheme(1, other + 1010), scheme(2, NOISE + 9000)])
    assert [s.tie for s in ranked] == [1, 1, 2]
    assert [s.rank for s in ranked] == [1, 2, 3]


def test_equal_schemes_keep_the_order_of_their_seeds():
    ranked = rank([scheme(seed, NOISE + 1000) for seed in (3, 1, 2)])
    assert [s.seed for s in ranked] == [1, 2, 3] and {s.tie for s in ranked} == {1}


def test_no_schemes_are_no_ranks():
    assert rank([]) == []
