import pytest
import torch
from scipy.optimize import minimize

from fabricgen.generator.steering import Constraint, distance, harden, kl_tilt
from fabricgen.surfaces import GRASS, GREEN, PAVED, TREE


def posterior(batch=3, size=12, sharpness=2.0, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.log_softmax(sharpness * torch.randn(batch, 8, size, size, generator=rng), dim=1)


def everywhere(log_p):
    return torch.ones(log_p.shape[0], *log_p.shape[2:], dtype=torch.bool)


def share(log_p, surfaces, where):
    inside = log_p.exp()[:, list(surfaces)].sum(1)
    return (inside * where).sum((1, 2)) / where.sum((1, 2))


@pytest.mark.parametrize("target", [0.02, 0.3, 0.7, 0.98])
def test_a_tilt_meets_its_expectation(target):
    log_p = posterior()
    where = everywhere(log_p)
    tilted = kl_tilt(log_p, [Constraint(GREEN, target, target)], where=where)
    torch.testing.assert_close(
        share(tilted, GREEN, where), torch.full((3,), target), atol=2e-4, rtol=0
    )
    torch.testing.assert_close(tilted.exp().sum(1), torch.ones_like(tilted[:, 0]))


def test_nested_constraints_and_bounds_per_item_are_met_together():
    log_p = posterior()
    where = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(1)) < 0.7
    tree = torch.tensor([0.1, 0.2, 0.35])
    asked = [
        Constraint(GREEN, 0.5, 0.5),
        Constraint((TREE,), tree, tree),
        Constraint((PAVED,), 0.2, 1.0),
    ]
    tilted = kl_tilt(log_p, asked, where=where)
    torch.testing.assert_close(
        share(tilted, GREEN, where), torch.full((3,), 0.5), atol=2e-4, rtol=0
    )
    torch.testing.assert_close(share(tilted, (TREE,), where), tree, atol=2e-4, rtol=0)
    assert (share(tilted, (PAVED,), where) >= 0.2 - 2e-4).all()
    assert tilted[:, :, ~where[0]].shape  # and the pixels that do not count stay
    assert torch.equal(tilted.movedim(1, -1)[~where], log_p.movedim(1, -1)[~where])


@pytest.mark.parametrize("paved", [0.1, 0.24, 0.45])
def test_sets_that_share_nearly_everything_between_them_are_both_held(paved):
    """Their multipliers nearly cancel, and a plain Newton step would take both the wrong way."""
    log_p = posterior(sharpness=1.0)
    log_p[:, list(GREEN)] += 5.0
    log_p[:, PAVED] += 3.0
    log_p = torch.log_softmax(log_p, dim=1)
    where = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(1)) < 0.4
    asked = [Constraint(GREEN, 0.5, 0.5), Constraint((PAVED,), paved, 1.0)]
    assert share(log_p, GREEN, where).min() > 0.85
    assert (share(log_p, GREEN, where) + share(log_p, (PAVED,), where)).min() > 0.97
    tilted = kl_tilt(log_p, asked, where=where)
    assert (distance(tilted, asked, where=where) <= 2e-4).all()
    alone = kl_tilt(log_p, asked[:1], where=where)
    if (share(alone, (PAVED,), where) > paved).all():  # it needs no help, and gets none
        torch.testing.assert_close(tilted, alone)


def test_no_distribution_that_keeps_the_promise_is_nearer():
    """Against a general-purpose optimizer over all distributions, by brute force."""
    log_p = posterior(batch=1, size=2).double()
    where = everywhere(log_p)
    p = log_p.exp().flatten(2)[0].T.numpy()  # (4, 8)
    tilted = (
        kl_tilt(log_p, [Constraint(GREEN, 0.6, 1.0)], where=where).exp().flatten(2)[0].T.numpy()
    )

    def divergence(flat):
        q = torch.softmax(torch.as_tensor(flat).reshape(4, 8), dim=1).numpy()
        return (q * (torch.as_tensor(q).log().numpy() - torch.as_tensor(p).log().numpy())).sum()

    def slack(flat):
        q = torch.softmax(torch.as_tensor(flat).reshape(4, 8), dim=1).numpy()
        return q[:, list(GREEN)].sum(1).mean() - 0.6

    start = torch.as_tensor(p).log().numpy().ravel()
    best = minimize(
        divergence,
        start,
        constraints={"type": "ineq", "fun": slack},
        options={"maxiter": 500, "ftol": 1e-12},
    )
    found = torch.as_tensor(tilted).log().numpy().ravel()
    assert divergence(found) == pytest.approx(best.fun, abs=2e-4)
    q = torch.softmax(torch.as_tensor(best.x).reshape(4, 8), dim=1).numpy()
    assert abs(q - tilted).max() < 5e-3


def test_what_is_kept_already_stays_bit_for_bit():
    log_p = posterior()
    where = everywhere(log_p)
    assert kl_tilt(log_p, [Constraint(GREEN, 0.0, 1.0)], where=where).equal(log_p)
    assert harden(log_p, [], where=where).equal(log_p)


def test_what_is_impossible_is_approached_and_its_distance_told():
    log_p = posterior()
    log_p[:, list(GREEN)] = -1e4  # no green here
    log_p = torch.log_softmax(log_p, dim=1)
    where = everywhere(log_p)
    asked = [Constraint(GREEN, 0.4, 0.6)]
    tilted = kl_tilt(log_p, asked, where=where)
    assert torch.isfinite(tilted.exp()).all()
    torch.testing.assert_close(distance(tilted, asked, where=where), torch.full((3, 1), 0.4))
    both = [Constraint((TREE,), 0.5, 1.0), Constraint(GREEN, 0.0, 0.2)]  # contradict each other
    tilted = kl_tilt(posterior(), both, where=where)
    assert torch.isfinite(tilted).all()
    assert (distance(tilted, both, where=where).sum(1) > 0.1).all()


@pytest.mark.parametrize("sharpness", [0.3, 2.0, 10.0])
def test_the_hard_map_holds_nested_ranges(sharpness):
    log_p = posterior(size=40, sharpness=sharpness)
    where = everywhere(log_p)
    asked = [Constraint(GREEN, 0.55, 0.55), Constraint((TREE,), 0.0, 0.1)]
    hard = harden(log_p, asked, where=where)
    assert distance(hard, asked, where=where, hard=True).max() < 2e-3
    assert torch.isfinite(hard).all()


def test_a_sure_pixel_moves_less_than_an_undecided_one():
    log_p = torch.full((1, 8, 1, 2), -30.0)
    log_p[0, GRASS, 0] = torch.tensor([0.01, 0.5]).log()
    log_p[0, PAVED, 0] = torch.tensor([0.99, 0.5]).log()
    tilted = kl_tilt(log_p, [Constraint((GRASS,), 0.4, 0.4)], where=everywhere(log_p))
    change = (tilted.exp() - log_p.exp())[0, GRASS, 0]
    assert change[1] > 3 * change[0] > 0
